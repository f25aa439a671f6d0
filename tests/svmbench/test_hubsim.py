"""The loopback Hub, asked by the real huggingface_hub client, and by the real datasets library in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

from svmbench.errors import SiteError
from svmbench.hubsim import TOKEN, Hub, serve

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the client's own use of its HTTP library
CARD = b"---\nlicense: cc-by-4.0\ntags:\n- music\n---\n# A set\n"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    with serve(part_bytes=1000) as hub:
        yield hub
        assert hub.unknown == []
        assert not [seen for seen in hub.log if seen.origin == "cdn" and seen.authorized]


def client(hub: Hub, token: str | bool = TOKEN) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token=token)


def filled(hub: Hub, repo: str = "lab/set", *, private: bool = False) -> tuple[HfApi, str]:
    """A repository with a card and a large file of 2,500 bytes, which goes in three parts."""
    api = client(hub)
    api.create_repo(repo, repo_type="dataset", private=private)
    files = [
        CommitOperationAdd("README.md", CARD),
        CommitOperationAdd("data/big.parquet", bytes(range(250)) * 10),
        CommitOperationAdd("data/small.parquet", b"0123456789"),
    ]
    return api, api.create_commit(repo, files, commit_message="first", repo_type="dataset").oid


def fetch(url: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)


def test_files_come_back_as_they_went_in(hub, tmp_path):
    api, sha = filled(hub)
    got = api.snapshot_download("lab/set", repo_type="dataset", revision=sha, cache_dir=tmp_path)
    assert (Path(got) / "data/big.parquet").read_bytes() == bytes(range(250)) * 10
    assert (Path(got) / "README.md").read_bytes() == CARD
    info = api.dataset_info("lab/set")
    assert (info.sha, info.tags) == (sha, ["music"])
    assert {seen.path.split("/")[1] for seen in hub.log if seen.origin == "cdn"} == {"part", "put", "get"}


def test_the_tree_lists_folders_and_files(hub):
    api, sha = filled(hub)
    flat = {item.path for item in api.list_repo_tree("lab/set", repo_type="dataset", revision=sha)}
    deep = {item.path for item in api.list_repo_tree("lab/set", repo_type="dataset", recursive=True)}
    assert flat == {"README.md", "data"}
    assert deep == {"README.md", "data", "data/big.parquet", "data/small.parquet"}
    found = api.get_paths_info("lab/set", ["data/big.parquet", "data", "none"], repo_type="dataset")
    assert sorted((item.path, getattr(item, "size", None)) for item in found) == [("data", None), ("data/big.parquet", 2500)]


def test_commits_are_kept_and_a_stale_parent_is_refused(hub):
    api, first = filled(hub)
    away = [CommitOperationDelete("data/small.parquet")]
    second = api.create_commit("lab/set", away, commit_message="second", repo_type="dataset", parent_commit=first).oid
    assert "data/small.parquet" in api.list_repo_files("lab/set", repo_type="dataset", revision=first)
    assert "data/small.parquet" not in api.list_repo_files("lab/set", repo_type="dataset", revision=second)
    late = [CommitOperationAdd("x.md", b"x")]
    with pytest.raises(HfHubHTTPError, match="412"):
        api.create_commit("lab/set", late, commit_message="stale", repo_type="dataset", parent_commit=first)
    assert [c.title for c in api.list_repo_commits("lab/set", repo_type="dataset")] == ["second", "first", "initial commit"]


def test_tags_and_branches(hub):
    api, sha = filled(hub)
    api.create_tag("lab/set", tag="v1.0.0", repo_type="dataset")
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_tag("lab/set", tag="v1.0.0", repo_type="dataset")
    api.create_branch("lab/set", branch="draft", repo_type="dataset")
    api.create_commit("lab/set", [CommitOperationAdd("x.md", b"x")], commit_message="x", repo_type="dataset", revision="draft")
    refs = api.list_repo_refs("lab/set", repo_type="dataset")
    assert {ref.name: ref.target_commit for ref in refs.tags} == {"v1.0.0": sha}
    assert {ref.name for ref in refs.branches} == {"main", "draft"}
    assert "x.md" not in api.list_repo_files("lab/set", repo_type="dataset", revision="v1.0.0")
    api.delete_tag("lab/set", tag="v1.0.0", repo_type="dataset")
    with pytest.raises(RevisionNotFoundError):
        api.dataset_info("lab/set", revision="v1.0.0")


def test_who_may_see_and_write_what(hub, tmp_path):
    api, _ = filled(hub)
    filled(hub, "lab/secret", private=True)
    api.update_repo_settings("lab/set", repo_type="dataset", gated="manual")
    stranger = client(hub, token=False)
    with pytest.raises(GatedRepoError):
        stranger.hf_hub_download("lab/set", "README.md", repo_type="dataset", cache_dir=tmp_path)
    with pytest.raises(RepositoryNotFoundError):
        stranger.dataset_info("lab/secret")
    with pytest.raises(HfHubHTTPError, match="401"):
        client(hub, "hf_wrong").create_repo("lab/other", repo_type="dataset")
    with pytest.raises(HfHubHTTPError, match="401"):
        client(hub, "hf_wrong").list_repo_refs("lab/set", repo_type="dataset")
    with pytest.raises(HfHubHTTPError, match="401"):
        stranger.create_tag("lab/set", tag="v9.9.9", repo_type="dataset")
    assert stranger.list_repo_refs("lab/set", repo_type="dataset").tags == []
    assert api.whoami()["name"] == "rehearsal"
    api.delete_repo("lab/secret", repo_type="dataset")
    assert list(hub.repos) == ["lab/set"]


def test_only_the_owner_may_write(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    with serve(owner="lab") as hub, pytest.raises(HfHubHTTPError, match="403"):
        client(hub).create_repo("other/set", repo_type="dataset")


def test_the_log_tells_who_showed_a_token_to_which_origin():
    """What every other test's "no token to the CDN" rests on."""
    with serve() as hub:
        for origin in (hub.endpoint, hub.cdn):
            fetch(f"{origin}/x")
            fetch(f"{origin}/x", Authorization="Bearer hf_anything")
        assert [(seen.origin, seen.authorized) for seen in hub.log] == [
            ("api", False),
            ("api", True),
            ("cdn", False),
            ("cdn", True),
        ]


def test_ranges(hub):
    filled(hub)
    url = f"{hub.endpoint}/datasets/lab/set/resolve/main/data/small.parquet"
    for asked, status, body in (
        ("bytes=2-4", 206, b"234"), ("bytes=7-", 206, b"789"), ("bytes=-2", 206, b"89"), ("bytes=5-99", 206, b"56789"),
        ("bytes=10-", 416, b""), ("", 200, b"0123456789"),
    ):  # fmt: skip
        assert fetch(url, Range=asked)[:2] == (status, body), asked


def test_a_large_file_with_another_content_is_refused(hub):
    request = urllib.request.Request(f"{hub.cdn}/put/{'0' * 64}", data=b"not it", method="PUT")
    with pytest.raises(urllib.error.HTTPError, match="400") as caught:
        urllib.request.urlopen(request, timeout=10)
    caught.value.close()


def test_requests_without_a_route_fail_and_are_listed():
    with serve() as hub:
        status, body, _ = fetch(f"{hub.endpoint}/api/datasets/lab/set/xet-write-token/main")
        assert (status, fetch(f"{hub.cdn}/api/whoami-v2")[0]) == (404, 404)
        assert "no route GET" in json.loads(body)["error"]
        assert hub.unknown == ["api: GET /api/datasets/lab/set/xet-write-token/main", "cdn: GET /api/whoami-v2"]


def test_faults(hub):
    hub.fail("GET", "/api/datasets", 429, Retry_After="7")
    hub.fail("GET", "/api/datasets", "cut_before")
    status, _, headers = fetch(f"{hub.endpoint}/api/datasets/lab/set")
    assert (status, headers["Retry-After"]) == (429, "7")
    with pytest.raises(ConnectionError):
        fetch(f"{hub.endpoint}/api/datasets/lab/set")
    assert fetch(f"{hub.endpoint}/api/datasets/lab/set")[0] == 401
    assert [seen.status for seen in hub.log] == [429, 0, 401]


def test_a_lost_answer_is_carried_out(hub):
    body = json.dumps({"type": "dataset", "name": "set", "organization": "lab"}).encode()
    request = urllib.request.Request(f"{hub.endpoint}/api/repos/create", data=body, headers={"Authorization": f"Bearer {TOKEN}"})
    hub.fail("POST", "/api/repos/create", "cut_after")
    with pytest.raises(ConnectionError):
        urllib.request.urlopen(request, timeout=10)
    assert list(hub.repos) == ["lab/set"]


def test_a_taken_port_is_said_in_one_line():
    with (
        serve() as hub,
        pytest.raises(SiteError, match=r"port \d+ .*choose another with --port"),
        serve(port=int(hub.endpoint[-5:])),
    ):
        pass


def test_the_real_datasets_library_pushes_and_loads(tmp_path):
    code = """
import datasets
rows = datasets.Dataset.from_dict({"x": list(range(10))})
datasets.DatasetDict(train=rows, test=rows.select(range(3))).push_to_hub("lab/set", config_name="one")
rows.push_to_hub("lab/set", config_name="two", split="train")
one, two = datasets.load_dataset("lab/set", "one", split="test"), datasets.load_dataset("lab/set", "two", split="train")
print(sum(one["x"]), len(two))
"""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    with serve() as hub:
        settings = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_XET": "1"}
        done = subprocess.run([sys.executable, "-c", code], env=clean | settings, capture_output=True, text=True, timeout=120)
        assert done.stdout.split() == ["3", "10"], done.stderr[-2000:]
        assert hub.unknown == []
