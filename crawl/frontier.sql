-- The tables of crawl/frontier.py. One row a post (job), a search word (query), a result of a search (sighting), a try (attempt);
-- tally counts the jobs by fate, kept by triggers. Times are Unix seconds.
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS job(
  id TEXT PRIMARY KEY, platform TEXT NOT NULL, post_id TEXT NOT NULL, url TEXT NOT NULL, rank INTEGER NOT NULL, likes INTEGER, likes_exact INTEGER NOT NULL,
  state TEXT NOT NULL CHECK(state IN ('ready','leased','done','dropped')), not_before REAL NOT NULL DEFAULT 0,
  token INTEGER NOT NULL DEFAULT 0, owner TEXT, lease_until REAL, attempts INTEGER NOT NULL DEFAULT 0,
  stage TEXT NOT NULL DEFAULT '', kind TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '', value REAL,
  detail TEXT NOT NULL DEFAULT '', record TEXT, exported INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS job_ready ON job(rank, id) WHERE state='ready';
CREATE INDEX IF NOT EXISTS job_leased ON job(lease_until) WHERE state='leased';
CREATE INDEX IF NOT EXISTS job_finished ON job(id) WHERE state IN ('done','dropped') AND exported=0;
CREATE TABLE IF NOT EXISTS sighting(
  id TEXT NOT NULL, word TEXT NOT NULL, rank INTEGER NOT NULL, seen_at REAL NOT NULL,
  PRIMARY KEY(id, word)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS query(
  word TEXT PRIMARY KEY, place INTEGER NOT NULL, state TEXT NOT NULL CHECK(state IN ('ready','leased','ended')),
  not_before REAL NOT NULL DEFAULT 0, token INTEGER NOT NULL DEFAULT 0, lease_until REAL, attempts INTEGER NOT NULL DEFAULT 0,
  position INTEGER NOT NULL DEFAULT 0, cursor TEXT NOT NULL DEFAULT '', found INTEGER NOT NULL DEFAULT 0, outcome TEXT NOT NULL DEFAULT '', detail TEXT NOT NULL DEFAULT '') STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS attempt(
  id TEXT NOT NULL, token INTEGER NOT NULL, at REAL NOT NULL, outcome TEXT NOT NULL, detail TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS tally(
  state TEXT, stage TEXT, kind TEXT, reason TEXT, n INTEGER NOT NULL,
  PRIMARY KEY(state, stage, kind, reason)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS robots(host TEXT PRIMARY KEY, status INTEGER NOT NULL, body TEXT NOT NULL, at REAL NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS host(host TEXT PRIMARY KEY, state TEXT NOT NULL) STRICT;
CREATE TRIGGER IF NOT EXISTS job_in AFTER INSERT ON job BEGIN
  INSERT INTO tally VALUES(NEW.state, NEW.stage, NEW.kind, NEW.reason, 1) ON CONFLICT DO UPDATE SET n=n+1;
END;
CREATE TRIGGER IF NOT EXISTS job_moved AFTER UPDATE OF state ON job WHEN OLD.state<>NEW.state BEGIN
  UPDATE tally SET n=n-1 WHERE state=OLD.state AND stage=OLD.stage AND kind=OLD.kind AND reason=OLD.reason;
  INSERT INTO tally VALUES(NEW.state, NEW.stage, NEW.kind, NEW.reason, 1) ON CONFLICT DO UPDATE SET n=n+1;
END;
