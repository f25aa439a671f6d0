"""Where data may come from: a run, a dataset published at a revision, a release on disk, a file; each once; what is refused."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.baselines import cca
from benchmarks.data import Pack, make_pack, pairs, split_parts
from benchmarks.metrics import mrr
from benchmarks.ranking import retrieve
from benchmarks.sources import open_source
from benchmarks.towers import embed
from curation.release import _write_sums, write_release
from svmbench import recipe as recipes
from svmbench.errors import BadInput, HubError, StorageError
from svmbench.hub import push
from svmbench.hubsim import Hub, serve
from svmbench.progress import Progress
from svmbench.records import Clip, Split, to_table
from svmbench.store import RunFolder, sha256_file, write_json

pytestmark = [
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),  # the client's own use of its HTTP library
    pytest.mark.usefixtures("only_loopback"),
]
REPO = "lab/toy"
RECIPE = recipes.parse(
    {"name": "toy", "about": "Pairs", "search": {"words": ["surf"]}, "publish": {"title": "Toy", "contact": "a@example.org"}},
    "test",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, toy_maker: Callable[..., RunFolder]) -> RunFolder:
    return toy_maker(tmp_path_factory.mktemp("run") / "toy")


@pytest.fixture(scope="module")
def release(run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release(RECIPE, run, tmp_path_factory.mktemp("release") / "toy").folder


@pytest.fixture
def commit(release: Path, hub: Hub) -> str:
    return push(release, REPO, endpoint=hub.endpoint, tag="v1.0.0", progress=Progress(quiet=True))


def test_a_run_is_found_by_its_path_and_by_its_name(run: RunFolder, tmp_path: Path) -> None:
    assert open_source(str(run.path)).path == run.path
    assert open_source("toy", cache=run.path.parent).path == run.path


def cca_scores(pack: Pack) -> list[float]:
    parts = pairs(pack, split_parts(pack))
    model = cca.fit(parts["train"], parts["val"], cca.Settings(), 0)
    ranks = retrieve(*embed(model, parts["test"]), parts["test"].song_B.numpy())
    return [mrr.score(of_direction) for of_direction in ranks.values()]


def same_data(first: Pack, second: Pack) -> None:
    """Whatever the clips are called: the same parts, songs, features, and scores of a baseline."""
    sizes = [
        [(part, len(index), len({p.song_ids[i] for i in index})) for part, index in p.parts.items()] for p in (first, second)
    ]
    assert sizes[0] == sizes[1]
    assert first.features == second.features
    for part, index in first.parts.items():
        rows = [{tuple(v) for v in p.vectors("look")[i]} for p, i in ((first, index), (second, second.parts[part]))]
        assert rows[0] == rows[1]
    assert np.allclose(cca_scores(first), cca_scores(second), atol=1e-9)
    assert min(cca_scores(first)) > 0.5, "there is something to compare"


def test_what_is_pushed_and_pulled_again_is_the_same_data(run: RunFolder, hub: Hub, commit: str, tmp_path: Path) -> None:
    pulled = open_source(f"{REPO}@v1.0.0", endpoint=hub.endpoint, cache=tmp_path / "runs")
    assert pulled.path == tmp_path / "runs" / f"lab--toy@{commit[:8]}"
    pack = make_pack(pulled)
    assert (pack.dataset, pack.source["repo"], pack.source["commit"], pack.source["version"]) == (REPO, REPO, commit, "1.0.0")
    assert pack.revision != make_pack(run).revision, "other ids are other contents"
    same_data(make_pack(run), pack)
    assert [p.name for p in (tmp_path / "runs").iterdir()] == [pulled.path.name], "nothing is left aside"
    assert not (pulled.path / "download").exists()


def test_a_second_use_fetches_nothing(hub: Hub, commit: str, tmp_path: Path) -> None:
    first = open_source(REPO, endpoint=hub.endpoint, cache=tmp_path)
    before = {path: path.stat().st_mtime_ns for path in first.path.rglob("*") if path.is_file()}
    asked = len(hub.log)
    assert open_source(f"{REPO}@{commit}", endpoint=hub.endpoint, cache=tmp_path).path == first.path
    assert len(hub.log) == asked, "a commit never changes, so nobody is asked"
    assert open_source(f"{REPO}@main", endpoint=hub.endpoint, cache=tmp_path).path == first.path
    assert [seen.path for seen in hub.log[asked:] if "/resolve/" in seen.path or "/get/" in seen.path] == []
    assert before == {path: path.stat().st_mtime_ns for path in first.path.rglob("*") if path.is_file()}


def test_a_moved_branch_is_another_run_and_the_old_commit_stays(hub: Hub, commit: str, release: Path, tmp_path: Path) -> None:
    newer = tmp_path / "newer"
    shutil.copytree(release, newer)
    (newer / "README.md").write_text((newer / "README.md").read_text() + "\nMore words.\n")
    _write_sums(sums_removed(newer))
    moved = push(newer, REPO, endpoint=hub.endpoint, progress=Progress(quiet=True))
    names = [open_source(text, endpoint=hub.endpoint, cache=tmp_path / "r").path.name for text in (REPO, f"{REPO}@v1.0.0")]
    assert names == [f"lab--toy@{moved[:8]}", f"lab--toy@{commit[:8]}"]


def sums_removed(folder: Path) -> Path:
    (folder / "CHECKSUMS.sha256").unlink()
    return folder


def test_a_download_that_is_cut_goes_on(hub: Hub, commit: str, tmp_path: Path) -> None:
    key = hub.repos[REPO].commits[commit].tree["splits/test.parquet"].key
    hub.fail("GET", f"/get/{key}", "cut_before", times=1000)
    with pytest.raises(HubError, match=r"cannot be reached.*run the same command again"):
        open_source(REPO, endpoint=hub.endpoint, cache=tmp_path)
    assert list(tmp_path.glob("*/done")) == [], "no run that is not whole"
    hub.faults.clear()
    asked = len(hub.log)
    open_source(REPO, endpoint=hub.endpoint, cache=tmp_path)
    assert f"/get/{key}" in {seen.path for seen in hub.log[asked:]}
    again = [seen.path for seen in hub.log[asked:] if seen.method == "GET" and "/resolve/" in seen.path]
    assert not any("release.json" in path for path in again), "what was fetched is not fetched again"


def test_a_busy_hub_is_asked_again(hub: Hub, commit: str, tmp_path: Path) -> None:
    hub.fail("GET", "/api/datasets/", 503)
    assert open_source(REPO, endpoint=hub.endpoint, cache=tmp_path).is_run()


def test_a_release_on_disk(run: RunFolder, release: Path, tmp_path: Path) -> None:
    opened = open_source(str(release), cache=tmp_path)
    same_data(make_pack(run), make_pack(opened))
    assert opened.path.parent == tmp_path
    assert re.fullmatch("toy-[0-9a-f]{8}", opened.path.name)
    assert open_source(str(release), cache=tmp_path).path == opened.path


def test_a_split_that_may_leak_by_design_stays_one(toy_maker: Callable[..., RunFolder], tmp_path: Path) -> None:
    """Else its run could be scored and its release could not."""
    run = toy_maker(tmp_path / "toy", split=False)
    ids = sorted(clip.clip_id for clip in run.read(Clip, "clips"))
    halves = {"train": tuple(ids[::2]), "test": tuple(ids[1::2])}
    with run.writing("split") as writer:
        splits = [Split(name=n, clip_ids=c, grouped_by="none", rule="as_published") for n, c in halves.items()]
        writer.commit(["split"], {"splits": to_table(Split, splits)})
    pulled = open_source(str(write_release(RECIPE, run, tmp_path / "release").folder), cache=tmp_path / "runs")
    assert {(split.rule, split.grouped_by) for split in pulled.read(Split, "splits")} == {("as_published", "none")}
    assert {part: len(index) for part, index in make_pack(pulled).parts.items()} == {"train": 60, "test": 60}


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    np.savez(tmp_path / "my pairs.npz", track_id=np.array(["a", "b"]), video_x=np.ones((2, 3)), music_y=np.ones((2, 4)))
    opened = open_source(str(tmp_path / "my pairs.npz"), cache=tmp_path / "runs")
    assert re.fullmatch("my-pairs-[0-9a-f]{8}", opened.path.name)
    assert make_pack(opened).source["kind"] == "file"
    before = (opened.path / "settings.json").stat().st_mtime_ns
    assert open_source(str(tmp_path / "my pairs.npz"), cache=tmp_path / "runs").path == opened.path
    assert (opened.path / "settings.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(("text", "says"), [
    ("lab/none", "lab/none at http://127.0.0.1:[0-9]+ does not exist, or is private: check the name, or sign in"),
    ("lab/toy@v9", r"lab/toy at http://.* has no revision 'v9'; it has v1\.0\.0, main, and its commits$"),
    ("lab/toy@" + 40 * "a", "lab/toy at http://.* has no revision 'a{40}'"),
    ("lab/other", r"lab/other at http://.* holds no release of svmbench \(it has no release\.json\)"),
    ("lab/secret", "lab/secret at http://.* asks for access: request it on its page, sign in"),
])  # fmt: skip
def test_a_dataset_that_cannot_be_had(hub: Hub, commit: str, release: Path, tmp_path: Path, text: str, says: str) -> None:
    for name in ("lab/other", "lab/secret"):
        push(release, name, endpoint=hub.endpoint, progress=Progress(quiet=True))
    hub.repos["lab/other"].commit("main", {}, "emptied")
    hub.fail("GET", "/lab/secret/resolve/", 403, times=1000, X_Error_Code="GatedRepo")
    hub.fail("HEAD", "/lab/secret/resolve/", 403, times=1000, X_Error_Code="GatedRepo")
    with pytest.raises(HubError, match=says) as found:
        open_source(text, endpoint=hub.endpoint, cache=tmp_path)
    assert "\n" not in str(found.value)


def test_a_private_dataset_without_the_right_to_read(tmp_path: Path) -> None:
    with serve(token="hf_other") as hub, pytest.raises(HubError, match="does not exist, or is private"):
        open_source(REPO, endpoint=hub.endpoint, cache=tmp_path)
    assert list(tmp_path.glob("*/done")) == []


OPEN = """
import sys
from pathlib import Path
from benchmarks.sources import open_source
print(open_source(sys.argv[1], cache=Path(sys.argv[2])).path)
"""


def test_in_a_process_of_its_own_with_the_hub_that_the_environment_names(hub: Hub, commit: str, tmp_path: Path) -> None:
    """As a user has it: the clients read their settings at import, and a real token is about."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    secret = "hf_abcdefghijklmnopqrstuvwxyz"
    environment = clean | {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": secret}
    words = [sys.executable, "-c", OPEN, f"{REPO}@v1.0.0", str(tmp_path / "runs")]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == str(tmp_path / "runs" / f"lab--toy@{commit[:8]}"), done.stderr
    assert secret not in done.stdout + done.stderr
    assert 401 not in {seen.status for seen in hub.log}, "the real token was not offered, or it would have been refused"


ASK = """
import os
from svmbench.hub import _client
for token in ("", "hf_abcdefghijklmnop"):
    os.environ["HF_TOKEN"] = token
    print(_client("https://hub.example.org", reading=True).token)
"""


def test_reading_needs_no_token_and_sends_the_one_there_is(tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    environment = clean | {"HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["False", "hf_abcdefghijklmnop"], done.stderr


def test_a_download_that_was_changed_on_the_way_is_no_run(hub: Hub, commit: str, tmp_path: Path) -> None:
    key = hub.repos[REPO].commits[commit].tree["splits/test.parquet"].key
    path = hub.api.blobs.path(key)
    path.write_bytes(path.read_bytes()[:-1] + b"X")
    with pytest.raises(HubError, match=r"is not a whole release of svmbench: .*splits/test.parquet has changed"):
        open_source(REPO, endpoint=hub.endpoint, cache=tmp_path)
    assert list(tmp_path.rglob("*.parquet")) == []


@pytest.mark.parametrize(("text", "says"), [
    ("nothing-here", "nothing-here is no run folder, no release, no file, and not OWNER/NAME"),
    ("missing.npz", r"missing\.npz is no run folder"),
    ("lab/toy@", "is no run folder"),
    ("", "is a folder, but neither a run folder"),
    ("a/b/c", "is no run folder"),
])  # fmt: skip
def test_a_text_that_names_nothing(text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=says):
        open_source(text)


def test_a_path_that_is_mistyped_is_not_asked_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/demo/done").mkdir(parents=True)
    with pytest.raises(BadInput, match=r"runs/dmo is no run folder.*runs in runs: demo"):
        open_source("runs/dmo", endpoint="http://127.0.0.1:9")


def test_an_owner_who_is_called_like_a_folder_here_is_reached_with_a_revision(
    hub: Hub, commit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab").mkdir()
    with pytest.raises(BadInput, match=r"lab/toy is no run folder.*; for lab/toy on the Hub write lab/toy@main"):
        open_source(REPO, endpoint=hub.endpoint)
    assert open_source(f"{REPO}@main", endpoint=hub.endpoint).path == tmp_path / "runs" / f"lab--toy@{commit[:8]}"


def test_two_that_fill_the_same_run_one_after_the_other(release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second has looked before the first was done, and gets the lock after it."""
    first = open_source(str(release), cache=tmp_path)
    looked, is_run = [], RunFolder.is_run

    def late(self: RunFolder) -> bool:
        looked.append(self.path)
        return is_run(self) and not (self.path == first.path and looked.count(first.path) == 1)

    monkeypatch.setattr(RunFolder, "is_run", late)
    monkeypatch.setattr(Path, "exists", lambda self: self != first.path and os.path.exists(self))
    before = {path: path.stat().st_mtime_ns for path in first.path.rglob("*")}
    assert open_source(str(release), cache=tmp_path).path == first.path
    assert looked.count(first.path) > 1
    assert before == {path: path.stat().st_mtime_ns for path in first.path.rglob("*")}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_something_else_under_the_name_of_the_run(release: Path, tmp_path: Path) -> None:
    name = f"toy-{sha256_file(release / 'CHECKSUMS.sha256')[:8]}"
    (tmp_path / name / "mine").mkdir(parents=True)
    with pytest.raises(BadInput, match=f"{name} is in the way and no run folder; move it"):
        open_source(str(release), cache=tmp_path)
    assert (tmp_path / name / "mine").is_dir()


def test_a_bad_file_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"plain text")
    with pytest.raises(BadInput, match=r"cannot be read as an \.npz file"):
        open_source(str(tmp_path / "bad.npz"), cache=tmp_path / "runs")
    assert list((tmp_path / "runs").iterdir()) == []


def changed(release: Path, to: Path, change: Callable[[Path], object]) -> Path:
    shutil.copytree(release, to)
    change(to)
    _write_sums(sums_removed(to))
    return to


def marked(**values: object) -> Callable[[Path], object]:
    return lambda folder: write_json(folder / "release.json", json.loads((folder / "release.json").read_text()) | values)


def without_column(name: str, column: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        for path in (folder / name).glob("*.parquet"):
            pq.write_table(pq.read_table(path).drop_columns([column]), path)

    return change


def with_column(name: str, column: str, value: pa.Scalar) -> Callable[[Path], object]:
    """The same tables with one column of another type, the same value in every row."""

    def change(folder: Path) -> None:
        for path in (folder / name).glob("*.parquet"):
            table = pq.read_table(path)
            place = table.schema.get_field_index(column)
            pq.write_table(table.set_column(place, column, pa.array([value.as_py()] * len(table), value.type)), path)

    return change


@pytest.mark.parametrize(("change", "says"), [
    (marked(kind="ids"), "holds ids, which no baseline can be trained on"),
    (marked(features=None), "does not say which features are of the picture.* another version of svmbench; publish it again"),
    (marked(version=None, features={"../x": "video"}), "'../x' cannot be the name of a feature"),
    (marked(features={"look": "video", "sound": "music", "clap": "music"}), "has no features_clap"),
    (marked(features={"look": ["video"]}), "does not say which features"),
    (marked(split={"rule": "strict"}), "does not say .* and the split"),
    (marked(split="song"), "does not say .* and the split"),
    (without_column("metadata", "box_top_px"), "metadata has no column 'box_top_px'"),
    (without_column("splits", "clip_id"), "a table cannot be read"),
    (lambda folder: (folder / "metadata/test.parquet").write_bytes(b"no parquet"), "a table cannot be read"),
    (lambda folder: (folder / "features_look/test.parquet").write_bytes(b"no parquet"), "a table cannot be read"),
    (lambda folder: (folder / "release.json").write_text("{"), r"release\.json is missing or damaged"),
    (lambda folder: shutil.rmtree(folder / "splits"), "has no splits"),
    (without_column("metadata", "song_id"), "metadata has no column 'song_id'"),
    (without_column("features_look", "dim"), "the columns of features_look are not those of a feature"),
    (with_column("features_look", "dim", pa.scalar("wide")), "the columns of features_look are not those of a feature"),
    (with_column("features_look", "values", pa.scalar(7)), "the columns of features_look are not those of a feature"),
])  # fmt: skip
def test_a_release_that_cannot_be_used(release: Path, tmp_path: Path, change: Callable[[Path], object], says: str) -> None:
    folder = changed(release, tmp_path / "other", change)
    with pytest.raises(BadInput, match=says):
        open_source(str(folder), cache=tmp_path / "runs")
    assert list((tmp_path / "runs").iterdir()) == []


def test_checksums_that_are_no_text(release: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(release, tmp_path / "other"))
    (folder / "CHECKSUMS.sha256").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="listed in CHECKSUMS"):
        open_source(str(folder), cache=tmp_path / "runs")


def test_features_of_no_clip_are_counted(release: Path, tmp_path: Path) -> None:
    def stranger(folder: Path) -> None:
        path = folder / "features_sound/test.parquet"
        table = pq.read_table(path)
        ids = pa.array(["c" + 20 * "0", *table["clip_id"].to_pylist()[1:]])
        pq.write_table(table.set_column(0, "clip_id", ids), path)

    pack = make_pack(open_source(str(changed(release, tmp_path / "other", stranger)), cache=tmp_path / "runs"))
    assert pack.left_out == {"no_sound": 1, "sound_of_no_clip": 1}


def test_two_at_a_time_do_not_mix(release: Path, tmp_path: Path) -> None:
    sha = sha256_file(release / "CHECKSUMS.sha256")
    other = RunFolder.create(tmp_path / ".imports" / f"toy-{sha[:8]}")
    with other.writing("fetch"), pytest.raises(StorageError, match="another svmbench is running 'fetch'"):
        open_source(str(release), cache=tmp_path)
    assert open_source(str(release), cache=tmp_path).is_run()


KILLED = """
import os, signal, sys
from pathlib import Path
from benchmarks import release_reader
from benchmarks.sources import open_source
make = release_reader._splits
def die(*args):
    os.kill(os.getpid(), signal.SIGKILL)
release_reader._splits = die
open_source(sys.argv[1], cache=Path(sys.argv[2]))
"""


def test_an_import_that_was_killed_is_made_anew(run: RunFolder, release: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(release), str(tmp_path)], env=dict(os.environ), timeout=120)
    assert done.returncode == -9
    assert list(tmp_path.glob("*/done")) == []
    assert list(tmp_path.glob(".imports/*/tables/features_look/*")), "it was in the middle"
    again = open_source(str(release), cache=tmp_path)
    same_data(make_pack(run), make_pack(again))
    rows = again.read_table("features_look")
    assert rows is not None
    assert rows.num_rows == len(make_pack(again).clip_ids), "no row of the first attempt is left"
