-- The tables of crawl/frontier.py. Times are Unix seconds on the clock of frontier_file.File.
--
-- A job's key is rank * 2^36 + a running number. Jobs are leased in its order, the best rank first, so that jobs that are leased
-- and reported one after the other lie on the same pages of every table; that is what keeps a lease as cheap at 10 million jobs
-- as at 10 thousand. Each index but job_id holds only the jobs that its question is about.
CREATE TABLE meta(  -- one row
  one INTEGER PRIMARY KEY CHECK(one=1), settings TEXT, clock REAL NOT NULL DEFAULT 0, done_max INTEGER, bytes_max INTEGER,
  stopped INTEGER NOT NULL DEFAULT 0, num_found INTEGER NOT NULL DEFAULT 0, num_files INTEGER NOT NULL DEFAULT 0,
  num_bytes INTEGER NOT NULL DEFAULT 0, hits_version TEXT NOT NULL DEFAULT '') STRICT;
INSERT INTO meta(one) VALUES(1);
CREATE TABLE job(
  key INTEGER PRIMARY KEY, id TEXT NOT NULL, platform TEXT NOT NULL, post_id TEXT NOT NULL, url TEXT NOT NULL,
  state TEXT NOT NULL CHECK(state IN ('ready','waiting','leased','done','dropped')),
  token INTEGER NOT NULL DEFAULT 0,     -- grows with each lease
  attempts INTEGER NOT NULL DEFAULT 0,  -- tries that failed, of this crawl
  losses INTEGER NOT NULL DEFAULT 0,    -- leases that ran out
  due REAL,                             -- waiting: when it is ready again (NOT_NOW: with the next crawl); leased: when that ends
  owner TEXT, leased_at REAL,           -- leased: who renews it ('' nobody), and since when
  stage TEXT NOT NULL DEFAULT '', kind TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '', value REAL,
  detail TEXT NOT NULL DEFAULT '',
  exported INTEGER                      -- done or dropped: whether it is in the run's tables
  CHECK((due IS NOT NULL)=(state IN ('waiting','leased')) AND (owner IS NOT NULL)=(state='leased')
    AND (exported IS NOT NULL)=(state IN ('done','dropped')))) STRICT;
CREATE UNIQUE INDEX job_id ON job(id);
CREATE INDEX job_ready ON job(platform) WHERE state='ready';
CREATE INDEX job_due ON job(state, due) WHERE due IS NOT NULL;
CREATE INDEX job_owner ON job(owner) WHERE owner IS NOT NULL;
CREATE INDEX job_leased ON job(id) WHERE owner IS NOT NULL;
CREATE INDEX job_tried ON job(state) WHERE attempts>0;
CREATE INDEX job_dropped ON job(kind, reason, stage) WHERE state='dropped';
CREATE INDEX job_over ON job(exported) WHERE exported=0;
CREATE TABLE video(key INTEGER PRIMARY KEY, record TEXT NOT NULL) STRICT;  -- a post's record, once it is done
CREATE TABLE sighting(
  key INTEGER NOT NULL, query INTEGER NOT NULL, rank INTEGER NOT NULL, seen_at REAL NOT NULL, likes INTEGER,
  likes_exact INTEGER NOT NULL, PRIMARY KEY(key, query)) STRICT, WITHOUT ROWID;
CREATE TABLE query(
  no INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE, place INTEGER NOT NULL,
  state TEXT NOT NULL CHECK(state IN ('ready','leased','ended')), not_before REAL NOT NULL DEFAULT 0,
  token INTEGER NOT NULL DEFAULT 0, lease_until REAL, attempts INTEGER NOT NULL DEFAULT 0, position INTEGER NOT NULL DEFAULT 0,
  cursor TEXT NOT NULL DEFAULT '', found INTEGER NOT NULL DEFAULT 0, outcome TEXT NOT NULL DEFAULT '',
  detail TEXT NOT NULL DEFAULT '') STRICT;
CREATE INDEX query_state ON query(state, place);
CREATE TABLE blob(  -- a stored file, and the post that first led to it
  sha256 TEXT PRIMARY KEY, bytes INTEGER NOT NULL, first_id TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE attempt(  -- only grows: done, rule, failure, retry, given_back, or lost (the lease ran out)
  no INTEGER PRIMARY KEY, key INTEGER NOT NULL, token INTEGER NOT NULL, at REAL NOT NULL, outcome TEXT NOT NULL,
  reason TEXT NOT NULL, detail TEXT NOT NULL) STRICT;
CREATE UNIQUE INDEX attempt_job ON attempt(key, token);
CREATE TABLE tally(  -- number of jobs by fate
  state TEXT NOT NULL, stage TEXT NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL, n INTEGER NOT NULL,
  PRIMARY KEY(state, stage, kind, reason)) STRICT, WITHOUT ROWID;
CREATE TABLE tried(  -- number of attempts by how they went
  outcome TEXT NOT NULL, reason TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY(outcome, reason)) STRICT, WITHOUT ROWID;
CREATE TABLE hits(version TEXT, selector TEXT, n INTEGER NOT NULL, PRIMARY KEY(version, selector)) STRICT, WITHOUT ROWID;
CREATE TABLE robots(host TEXT PRIMARY KEY, status INTEGER NOT NULL, body TEXT NOT NULL, at REAL NOT NULL) STRICT;
CREATE TABLE host(host TEXT PRIMARY KEY, state TEXT NOT NULL) STRICT;
CREATE TRIGGER job_in AFTER INSERT ON job BEGIN
  INSERT INTO tally VALUES(NEW.state, NEW.stage, NEW.kind, NEW.reason, 1) ON CONFLICT DO UPDATE SET n=n+1;
END;
CREATE TRIGGER job_moved AFTER UPDATE OF state ON job WHEN OLD.state<>NEW.state BEGIN
  UPDATE tally SET n=n-1 WHERE state=OLD.state AND stage=OLD.stage AND kind=OLD.kind AND reason=OLD.reason;
  INSERT INTO tally VALUES(NEW.state, NEW.stage, NEW.kind, NEW.reason, 1) ON CONFLICT DO UPDATE SET n=n+1;
END;
CREATE TRIGGER blob_in AFTER INSERT ON blob BEGIN
  UPDATE meta SET num_files=num_files+1, num_bytes=num_bytes+NEW.bytes;
END;
CREATE TRIGGER attempt_in AFTER INSERT ON attempt BEGIN
  INSERT INTO tried VALUES(NEW.outcome, NEW.reason, 1) ON CONFLICT DO UPDATE SET n=n+1;
END;
