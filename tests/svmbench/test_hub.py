"""Pushing a release with the real client to the loopback Hub: complete or not at all, whatever fails on the way."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from svmbench import hub as client
from svmbench.errors import BadInput, HubError
from svmbench.hub import push
from svmbench.hubsim import TOKEN, Hub, serve
from svmbench.hubsim.core import Api
from svmbench.progress import Progress

pytestmark = [
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),  # the client's own use of its HTTP library
    pytest.mark.usefixtures("only_loopback"),
]
REPO = "lab/set"
CARD = "---\nlicense: cc-by-4.0\nconfigs:\n- config_name: metadata\n  data_files: metadata/*.parquet\n---\n# A set\n"
REAL_TOKEN = "hf_abcdefghijklmnopqrstuvwxyz"


def make_release(
    folder: Path, *, version: str = "1.0.0", kind: str = "dataset", rows: int = 5, card: str = CARD, **more: str
) -> Path:
    """The smallest folder that is a release. more: further text files."""
    files = {"README.md": card, "release.json": json.dumps({"kind": kind, "version": version}), **more}
    (folder / "metadata").mkdir(parents=True)
    pq.write_table(pa.table({"number": list(range(rows))}), folder / "metadata/train.parquet")
    pq.write_table(pa.table({"number": list(range(rows, 2 * rows))}), folder / "metadata/test.parquet")
    for name, text in files.items():
        (folder / name).write_text(text)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(folder).as_posix()}\n" for p in paths]
    (folder / "CHECKSUMS.sha256").write_text("".join(lines))
    return folder


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return make_release(tmp_path / "release")


def send(release: Path, hub: Hub, repo: str = REPO, **settings: object) -> str:
    return push(release, repo, endpoint=hub.endpoint, progress=Progress(quiet=True), **settings)  # type: ignore[arg-type]


def main_files(hub: Hub, repo: str = REPO) -> dict[str, bytes]:
    """What readers of main get."""
    head = hub.repos[repo].at("main")
    assert head is not None
    return {path: hub.api.blobs.path(entry.key).read_bytes() for path, entry in head.tree.items()}


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def uploads(hub: Hub) -> list[str]:
    return [seen.path for seen in hub.log if seen.method == "PUT" and seen.origin == "cdn"]


def test_one_commit_holds_exactly_the_release(release, hub):
    progress = Progress(quiet=True)
    sha = push(release, REPO, endpoint=hub.endpoint, tag="v1.0.0", progress=progress)
    assert re.fullmatch("[0-9a-f]{40}", sha)
    assert main_files(hub) == files(release)
    repo = hub.repos[REPO]
    assert [c.title for c in repo.commits.values()] == ["initial commit", "Release v1.0.0"]
    assert (repo.tags, repo.private, repo.gated) == ({"v1.0.0": sha}, False, False)
    summary = progress.summaries[0]
    assert (summary.stage, summary.seen, summary.kept, summary.balanced()) == ("publish", 5, 5, True)


def test_pushing_again_changes_and_sends_nothing(release, hub):
    sha = send(release, hub)
    before = len(uploads(hub))
    assert send(release, hub) == sha
    assert send(release, hub, tag="v1.0.0") == sha
    assert send(release, hub, tag="v1.0.0") == sha
    assert len(uploads(hub)) == before
    assert len(hub.repos[REPO].commits) == 2


def test_a_new_version_takes_old_files_away_and_keeps_the_old_tag(release, hub, tmp_path):
    old = send(make_release(tmp_path / "old", **{"extra.csv": "a"}), hub, tag="v0.9.0")
    new = send(release, hub, tag="v1.0.0")
    assert main_files(hub) == files(release)
    commit = hub.repos[REPO].at("v0.9.0")
    assert commit is not None
    assert "extra.csv" in commit.tree
    assert hub.repos[REPO].tags == {"v0.9.0": old, "v1.0.0": new}


def test_a_tag_on_another_release_is_refused(release, hub, tmp_path):
    send(release, hub, tag="v1.0.0")
    with pytest.raises(HubError, match=r"has the tag v1\.0\.0 on another release; choose a new version"):
        send(make_release(tmp_path / "other", rows=6), hub, tag="v1.0.0")
    assert main_files(hub) == files(release)


def test_another_content_is_not_overwritten(release, hub):
    send(release, hub)
    repo = hub.repos[REPO]
    repo.commit("main", {"thesis.parquet": repo.commits[repo.branches["main"]].tree["metadata/train.parquet"]}, "mine")
    with pytest.raises(HubError, match="holds something else than a release of svmbench"):
        send(release, hub)
    assert list(main_files(hub)) == ["thesis.parquet"]


def test_private_is_kept_to(release, hub):
    send(release, hub, "lab/secret", private=True)
    assert hub.repos["lab/secret"].private
    send(release, hub)
    with pytest.raises(HubError, match="exists and is public"):
        send(release, hub, private=True)


def test_ids_are_gated_before_anything_is_in_the_repository(hub, tmp_path):
    send(make_release(tmp_path / "ids", kind="ids"), hub)
    paths = [seen.path for seen in hub.log]
    assert hub.repos[REPO].gated == "manual"
    assert paths.index(f"/api/datasets/{REPO}/settings") < paths.index(f"/api/datasets/{REPO}/commit/main")


@pytest.mark.parametrize("status", [409, 412, 429, 500, 503])
def test_a_commit_that_is_refused_once_is_tried_again(release, hub, status):
    hub.fail("POST", "/commit/main", status)
    send(release, hub)
    assert main_files(hub) == files(release)
    assert len(hub.repos[REPO].commits) == 2
    assert len(uploads(hub)) == len(set(uploads(hub))) == 2


def test_each_attempt_pins_the_newest_parent(release, hub, tmp_path):
    """Somebody commits between our look at main and our commit: a real 412, then a second look."""
    send(make_release(tmp_path / "old", version="0.9.0"), hub)
    repo, route = hub.repos[REPO], Api.find
    waiting = [True]

    def find(self, request, name, *, write=False):
        if waiting and request.path.endswith("/commit/main"):
            waiting.clear()
            repo.commit("main", dict(repo.commits[repo.branches["main"]].tree), "somebody else")
        return route(self, request, name, write=write)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Api, "find", find)
        send(release, hub)
    assert [seen.status for seen in hub.log if seen.path.endswith("/commit/main")] == [200, 412, 200]
    assert [c.title for c in repo.commits.values()] == ["initial commit", "Release 0.9.0", "somebody else", "Release 1.0.0"]
    assert main_files(hub) == files(release)


@pytest.mark.parametrize("what", [503, "cut_before", "cut_after"])
def test_an_upload_that_fails_once_is_tried_again(release, hub, what):
    hub.fail("PUT", "/put/", what)
    send(release, hub)
    assert main_files(hub) == files(release)


def test_a_commit_whose_answer_is_lost_is_not_doubled(release, hub):
    hub.fail("POST", "/commit/main", "cut_after")
    sha = send(release, hub, tag="v1.0.0")
    assert hub.repos[REPO].tags == {"v1.0.0": sha}
    assert len(hub.repos[REPO].commits) == 2


@pytest.mark.parametrize(("asked", "waited_s"), [("7", 7.0), ("36000", 60.0)])
def test_retry_after_is_waited_for_but_no_longer_than_a_minute(release, hub, monkeypatch, asked, waited_s):
    waits: list[float] = []
    monkeypatch.setattr(client.time, "sleep", waits.append)
    hub.fail("POST", "/commit/main", 429, Retry_After=asked)
    send(release, hub)
    assert max(waits) == waited_s


def test_after_a_cut_at_any_request_main_is_whole_and_the_same_command_finishes(release, tmp_path):
    """Each request of an upload in turn is cut for good; an earlier release is on main."""
    old = make_release(tmp_path / "old", version="0.9.0", rows=3, **{"extra.csv": "a"})
    with serve() as hub:
        send(old, hub)
        asked = len(hub.log)
        send(release, hub, tag="v1.0.0")
        requests = list(dict.fromkeys((seen.method, re.escape(seen.path)) for seen in hub.log[asked:]))
    requests.remove(("POST", "/lfs/verify"))  # the second attempt finds the file in place and has nothing to verify
    assert len(requests) >= 9
    for method, path in requests:
        with serve() as hub:
            send(old, hub)
            hub.fail(method, f"^{path}$", "cut_before", times=1000)
            with pytest.raises(HubError, match=r"cannot be reached.*run the same command again"):
                send(release, hub, tag="v1.0.0")
            complete = files(release) if "/tag/" in path else files(old)
            assert main_files(hub) == complete, f"cut at {method} {path}"
            hub.faults.clear()
            sent = len(uploads(hub))
            sha = send(release, hub, tag="v1.0.0")
            assert main_files(hub) == files(release)
            assert hub.repos[REPO].tags == {"v1.0.0": sha}
            if "/commit/" in path or "/tag/" in path:
                assert len(uploads(hub)) == sent, "a finished file was sent again"


def test_a_hub_that_stays_down_is_said_in_one_line(release, hub):
    hub.fail("POST", "/commit/main", 503, times=1000)
    with pytest.raises(HubError, match="answered 503; run the same command again, it continues where this one stopped"):
        send(release, hub)
    assert len([seen for seen in hub.log if seen.path.endswith("/commit/main")]) == client.ATTEMPTS
    assert main_files(hub) == {}


def test_nobody_answers(release, hub):
    with pytest.raises(HubError, match="cannot be reached"):
        push(release, REPO, endpoint="http://127.0.0.1:9", progress=Progress(quiet=True))


def test_wrong_token_and_no_right_to_write(release):
    with serve(token="hf_other") as hub, pytest.raises(HubError, match="refuses the token; run 'hf auth login'"):
        send(release, hub)
    with serve(owner="else") as hub, pytest.raises(HubError, match="may not write to lab/set"):
        send(release, hub)
    assert len([seen for seen in hub.log if seen.method == "POST"]) == 1


def test_a_card_that_the_hub_rejects_stops_before_any_upload(tmp_path, hub):
    folder = make_release(tmp_path / "bad", card="---\nlicense: [\n---\n# x\n")
    with pytest.raises(HubError, match="the Hub rejects the card"):
        send(folder, hub)
    assert uploads(hub) == []
    assert main_files(hub) == {}


def test_what_is_no_release_is_refused_before_any_request(release, hub, tmp_path):
    (tmp_path / "holiday").mkdir()
    with pytest.raises(BadInput, match="holiday is not a release"):
        send(tmp_path / "holiday", hub)
    with pytest.raises(BadInput, match="'my set' is not a repository name; write OWNER/NAME"):
        send(release, hub, "my set")
    train = release / "metadata/train.parquet"
    train.rename(tmp_path / "elsewhere")
    train.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadInput, match=r"metadata/train\.parquet has changed"):
        send(release, hub)
    train.unlink()
    train.write_bytes(b"PAR1changed")
    with pytest.raises(BadInput, match=r"metadata/train\.parquet has changed"):
        send(release, hub)
    assert hub.log == []


def test_a_dry_run_asks_nothing_and_needs_no_token(release):
    progress = Progress(quiet=True)
    assert push(release, REPO, dry_run=True, progress=progress) == ""
    assert (progress.summaries[0].left, progress.summaries[0].balanced()) == (5, True)


def test_addresses_that_are_not_safe_or_no_addresses(release):
    with pytest.raises(BadInput, match=r"http://hub\.example\.org would send your token in clear text"):
        push(release, REPO, endpoint="http://hub.example.org", progress=Progress(quiet=True))
    with pytest.raises(BadInput, match="is not the address of a Hub"):
        push(release, REPO, endpoint="hub", progress=Progress(quiet=True))


PUSH = """
import sys
from pathlib import Path
from svmbench.errors import SvmbenchError
from svmbench.hub import push
from svmbench.progress import Progress
try:
    print(push(Path(sys.argv[1]), "lab/set", endpoint=sys.argv[2] or None, progress=Progress()))
except SvmbenchError as error:
    print(f"{type(error).__name__}: {error}")
"""


def run_push(release: Path, endpoint: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    settings = {"HF_HOME": str(home), **environment}
    return subprocess.run(
        [sys.executable, "-c", PUSH, str(release), endpoint], env=clean | settings, capture_output=True, text=True, timeout=60
    )  # fmt: skip


def test_without_a_token_one_line_says_what_to_do(release, tmp_path):
    done = run_push(release, "", tmp_path)
    assert done.stdout == "HubError: no Hub token: run 'hf auth login', or set HF_TOKEN, then run the same command again\n"
    assert done.stderr == "" or "Traceback" not in done.stderr


def test_a_real_token_never_reaches_a_loopback_hub_nor_any_output(release, tmp_path, monkeypatch):
    given: list[str] = []
    with serve() as hub:
        from svmbench.hubsim.server import Handler

        answer = Handler.serve_one

        def listen(self: Handler) -> None:
            given.append(str(self.headers.get("Authorization")))
            answer(self)

        for method in ("do_GET", "do_POST", "do_PUT", "do_HEAD"):
            monkeypatch.setattr(Handler, method, listen)
        done = run_push(release, hub.endpoint, tmp_path, HF_TOKEN=REAL_TOKEN, HF_DEBUG="1")
        assert re.fullmatch("[0-9a-f]{40}\n", done.stdout), done.stdout + done.stderr
    assert set(given) == {f"Bearer {TOKEN}", "None"}
    assert REAL_TOKEN not in done.stdout + done.stderr
