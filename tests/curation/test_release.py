"""Releases: from a small run to folders that the real datasets library opens, and never with what must not be published."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from curation import card, published
from curation.release import verify_release, write_release
from svmbench import plugins
from svmbench import recipe as recipes
from svmbench.errors import BadInput, BadSettings, Leak
from svmbench.records import Box, Clip, Drop, Features, Post, Split, features_table, to_table
from svmbench.store import RunFolder

RECIPE = recipes.parse(
    {
        "name": "small", "about": "Twelve clips, six songs <b>&|",
        "search": {"words": ["night market", "surf"], "likes_min": 10_000},
        "filters": {"speech": {"max_share": 0.5}}, "publish": {"title": "Small set", "contact": "takedown@example.org"},
        "replica": {"media_dir": "/home/somebody/clips"},
    },
    "test",
)  # fmt: skip
FIRST = 1111111111111111000
SECRETS = ("alice", "author-hash", "1111111111111111", "/home/", "Dear diary", "Track of", "tag_of")


def post(number: int) -> Post:
    return Post(
        platform="tiktok", post_id=f"{FIRST + number}", url=f"https://www.tiktok.com/@alice/video/{number}",
        words=("surf",) if number % 2 else ("night market", "surf"), hashtags=("tag_of",),
        caption=f"Dear diary @alice number {number} https://a.example/x", likes=12_000, likes_exact=True,
        track_id=f"77{number // 2}", track_title=f"Track of {number}", track_original=False, duration_s=12.0,
        posted_at=None, fetched_at=None, sha256=f"{number:064x}", author_hash="author-hash",
    )  # fmt: skip


def clip(number: int) -> Clip:
    return Clip(
        clip_id=f"tiktok-{FIRST + number}-0", post_id=f"{FIRST + number}", song_id=f"tiktok:77{number // 2}",
        start_s=0.0, end_s=10.0 + number / 4, fps=30.0, width_px=576, height_px=1024, media=f"{number:064x}",
        box=Box(left_px=0, top_px=128, width_px=576, height_px=768),
        measures={"speech_share": number / 100, "silence_share": None},
    )  # fmt: skip


def make_run(path: Path, *, splits: list[Split] | None = None, clips: list[Clip] | None = None) -> RunFolder:
    """12 clips of 6 songs; 8 train, 2 val, 2 test; three more posts: one ruled out, one that failed, one not reached."""
    run = RunFolder.create(path)
    clips = clips or [clip(number) for number in range(12)]
    drops = [
        Drop(
            id="tiktok:1111111111111111012", stage="curate", kind="rule", reason="speech", value=0.9, detail="/home/alice/x.mp4"
        ),
        Drop(id="tiktok:1111111111111111013", stage="fetch", kind="failure", reason="private", detail="@alice"),
    ]
    with run.writing("crawl") as w:
        w.commit(["a"], {"posts": to_table(Post, [post(number) for number in range(15)]), "drops": to_table(Drop, drops[1:])})
    rng = np.random.default_rng(0)

    def features(clip_: Clip, steps: int, dim: int, hop_s: float) -> tuple[str, Features]:
        return clip_.clip_id, Features(values_TD=rng.normal(size=(steps, dim)).astype(np.float32), hop_s=hop_s)

    with run.writing("curate") as w:
        w.commit([drops[0].id], {"drops": to_table(Drop, drops[:1])})
        for half in (clips[:7], clips[7:]):
            tables = {
                "clips": to_table(Clip, half),
                "features_pooled": features_table(features(c, 1, 8, 10.0) for c in half),
                "features_steps": features_table(features(c, int(c.end_s), 4, 1.0) for c in half[1:]),
            }
            w.commit([c.clip_id for c in half], tables)
    run.write_settings({"judge": {"settings": {"filters": {"speech": {"max_share": 0.5, "window_s": 0.096}}}}})
    ids = [c.clip_id for c in clips]
    splits = splits or [
        Split(name=name, clip_ids=tuple(part), grouped_by="song")
        for name, part in (("train", ids[:8]), ("val", ids[8:10]), ("test", ids[10:]))
    ]
    with run.writing("split") as w:
        w.commit(["split"], {"splits": to_table(Split, splits)})
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return make_run(tmp_path_factory.mktemp("run") / "run")


@pytest.fixture(scope="module")
def release(run: RunFolder, tmp_path_factory: pytest.TempPathFactory):
    return write_release(RECIPE, run, tmp_path_factory.mktemp("release") / "small")


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def head(folder: Path) -> dict:
    return yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])


def python(code: str, *, home: Path, **environment: str) -> str:
    """Runs code that uses the real clients in a process of its own: they read their settings at import."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    settings = {
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": "1",
        **environment,
    }
    done = subprocess.run([sys.executable, "-c", code], env=clean | settings, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_rows_of_every_configuration(release):
    parts = {"train": 8, "validation": 2, "test": 2}
    assert release.rows == {
        "metadata": parts, "splits": parts, "features_pooled": parts,
        "features_steps": {"train": 6, "validation": 2, "test": 2}, "ids": parts,
    }  # fmt: skip
    for folder, names in ((release.folder, release.configs), (release.ids_folder, ["ids"])):
        assert json.loads((folder / "release.json").read_text())["rows"] == {name: release.rows[name] for name in names}
    assert release.configs == ["metadata", "splits", "features_pooled", "features_steps"]
    assert any("features_steps: 2 clips have none" in warning for warning in release.warnings)
    assert release.num_bytes == sum(
        len(data) for folder in (release.folder, release.ids_folder) for data in tree(folder).values()
    )


def test_nothing_personal_or_local_is_in_any_file(release):
    ids = tree(release.ids_folder)
    for path, data in {**tree(release.folder), **{name: ids[name] for name in ids if not name.endswith(".parquet")}}.items():
        text = str(pq.read_table(pa.BufferReader(data)).to_pydict()) if path.endswith(".parquet") else data.decode()
        for secret in SECRETS:
            assert secret not in text, f"{secret} in {path}"
    assert yaml.safe_load((release.folder / "recipe.yaml").read_text())["replica"]["media_dir"] is None


def test_the_recipe_in_the_release_is_the_recipe(release):
    again = recipes.load(str(release.folder / "recipe.yaml"))
    assert again == RECIPE.model_copy(update={"replica": RECIPE.replica.model_copy(update={"media_dir": None})})


def test_features_keep_their_values_and_shapes(run, release):
    rows = {row["clip_id"]: row for part in ("train", "validation", "test")
            for row in pq.read_table(release.folder / f"features_steps/{part}.parquet").to_pylist()}  # fmt: skip
    ids = pq.read_table(release.ids_folder / "ids/test.parquet").to_pylist()
    assert [row["post_id"] for row in ids] == ["1111111111111111010", "1111111111111111011"]
    wanted = {row["clip_id"]: row for row in run.read_table("features_steps").to_pylist()}["tiktok-1111111111111111011-0"]
    assert rows[ids[1]["clip_id"]] == {**wanted, "clip_id": ids[1]["clip_id"]}
    assert pa.types.is_fixed_size_list(pq.read_schema(release.folder / "features_pooled/train.parquet").field("values").type)
    assert pa.types.is_list(pq.read_schema(release.folder / "features_steps/train.parquet").field("values").type)


def test_the_card_accounts_for_every_post(release):
    mark = json.loads((release.folder / "release.json").read_text())
    assert mark["account"]["found"] == 15 == mark["account"]["published"] + sum(row["posts"] for row in mark["account"]["out"])
    assert {(row["stage"], row["reason"], row["posts"]) for row in mark["account"]["out"]} == {
        ("curate", "speech", 1), ("fetch", "private", 1), ("", "not reached", 1),
    }  # fmt: skip
    text = (release.folder / "README.md").read_text()
    assert "Of 15 posts that were found, 12 are published" in text
    assert "| 1 | curate | speech | rule |" in text
    assert "takedown@example.org" in text
    assert "<b>" not in text
    assert re.search(
        r"- Filter `speech`: How much of the clip is speech, .* Set to `max_share` 0\.5, `window_s` 0\.096\.\n", text
    )
    assert "| `features_steps` | 6 | 2 | 2 | The feature steps, as it was imported. |" in text
    assert re.search(r"\| `duration_s` \| 12 \|.*\| Length of the clip in seconds\. \|", text)
    assert re.search(r"\| `speech_share` \| 12 \|.*\| How much of the clip is speech, .*\. \|", text)
    assert "rehearsal" not in text
    assert "no media file and no song stands in two parts" in text
    assert head(release.folder)["size_categories"] == ["n<1K"]
    assert head(release.folder)["configs"][0] == {
        "config_name": "metadata", "default": True,
        "data_files": [{"split": s, "path": f"metadata/{s}.parquet"} for s in ("train", "validation", "test")],
    }  # fmt: skip
    assert "extra_gated_prompt" in head(release.ids_folder)


def test_the_card_says_that_a_rehearsal_is_one_and_what_each_plugin_is(run, tmp_path):
    asked = RECIPE.model_copy(update={"search": RECIPE.search.model_copy(update={"site": "replica"})})
    assert "**A rehearsal.**" in (write_release(asked, run, tmp_path / "out").folder / "README.md").read_text()
    for kind in ("features", "filters"):
        texts = card.plugin_texts(kind)
        assert set(plugins.names(f"curation.{kind}")) <= set(texts)
        assert all(text.endswith(".") for text in texts.values())
    for name in plugins.names("curation.filters"):
        assert card.plugin_texts("filters")[plugins.load("curation.filters", name).NAME_OF_MEASURE]


def test_the_same_run_gives_the_same_bytes_and_the_key_is_private(run, release, tmp_path):
    again = write_release(RECIPE, run, tmp_path / "small")
    assert tree(again.folder) == tree(release.folder)
    assert tree(again.ids_folder) == tree(release.ids_folder)
    key = run.path / "release.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert all(key.read_text() not in data.decode("latin1") for data in tree(again.folder).values())


def test_another_run_has_other_public_ids(release, tmp_path):
    other = write_release(RECIPE, make_run(tmp_path / "run"), tmp_path / "small")
    first, second = (set(pq.read_table(r.folder / "splits/train.parquet")["clip_id"].to_pylist()) for r in (release, other))
    assert len(first) == len(second) == 8
    assert not first & second


def test_sha256sum_accepts_the_checksums(release):
    for folder in (release.folder, release.ids_folder):
        done = subprocess.run(
            ["sha256sum", "--check", "--strict", "--quiet", "CHECKSUMS.sha256"], cwd=folder, capture_output=True
        )
        assert done.returncode == 0, done.stderr


def test_captions_only_on_request_and_without_mentions_and_links(run, tmp_path):
    asked = RECIPE.model_copy(update={"publish": RECIPE.publish.model_copy(update={"captions": True})})
    found = write_release(asked, run, tmp_path / "with").folder / "metadata/train.parquet"
    assert pq.read_table(found)["caption"].to_pylist()[0] == "Dear diary  number 0"


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"song_id": "tiktok:770"}, "song"),
        ({"media": f"{0:064x}"}, "media file"),
    ],
)
def test_a_leaky_split_is_refused_and_names_the_pair(tmp_path, change, kind):
    clips = [clip(number) for number in range(12)]
    clips[11] = replace(clips[11], **change)
    with pytest.raises(
        Leak, match=rf"tiktok-1111111111111111000-0 \(train\) and tiktok-1111111111111111011-0 \(test\).*same {kind}"
    ):
        write_release(RECIPE, make_run(tmp_path / "run", clips=clips), tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))


def test_two_clips_of_one_post_in_two_parts_are_refused(tmp_path):
    clips = [clip(number) for number in range(12)]
    clips[11] = replace(clips[11], clip_id=f"tiktok-{FIRST}-1")
    with pytest.raises(Leak, match=rf"tiktok-{FIRST}-0 \(train\) and tiktok-{FIRST}-1 \(test\).*same post"):
        write_release(RECIPE, make_run(tmp_path / "run", clips=clips), tmp_path / "out")


def test_a_clip_in_two_parts_is_refused(tmp_path):
    ids = [clip(number).clip_id for number in range(12)]
    splits = [
        Split(name="train", clip_ids=tuple(ids), grouped_by="song"),
        Split(name="test", clip_ids=(ids[3],), grouped_by="song"),
    ]
    with pytest.raises(Leak, match="same clip"):
        write_release(RECIPE, make_run(tmp_path / "run", splits=splits), tmp_path / "out")


def test_songs_that_a_split_by_post_shares_are_warned_of(tmp_path):
    ids = [clip(number).clip_id for number in range(12)]
    splits = [
        Split(name="train", clip_ids=tuple(ids[::2]), grouped_by="post"),
        Split(name="test", clip_ids=tuple(ids[1::2]), grouped_by="post"),
    ]
    found = write_release(RECIPE, make_run(tmp_path / "run", splits=splits), tmp_path / "out")
    assert "6 songs stand in several parts" in found.warnings[0]
    assert "6 songs stand in several parts" in (found.folder / "README.md").read_text()


def test_a_split_as_published_may_leak_and_the_card_says_so(tmp_path):
    clips = [replace(clip(number), media=f"{number // 2:064x}") for number in range(12)]
    ids = [one.clip_id for one in clips]
    splits = [
        Split(name=name, clip_ids=tuple(ids[i::2]), grouped_by="none", rule="as_published", sha256="5" * 64)
        for i, name in enumerate(("train", "test"))
    ]
    found = write_release(RECIPE, make_run(tmp_path / "run", clips=clips, splits=splits), tmp_path / "out")
    card = (found.folder / "README.md").read_text()
    for line in (
        "Grouped by none. It was checked that no clip stands in two parts. The split is made as the paper made it",
        f"The sha256 of the run's split is `{'5' * 64}`.",
        "- Mind: 6 songs stand in several parts",
        "- Mind: 6 media files stand in several parts",
    ):
        assert line in card
    strict = [replace(part, rule="strict", grouped_by="song+near-duplicate+post+media+author") for part in splits]
    with pytest.raises(Leak, match="same media file"):
        write_release(RECIPE, make_run(tmp_path / "strict", clips=clips, splits=strict), tmp_path / "out")


def test_a_strict_split_names_what_it_keeps_apart(tmp_path):
    ids = [clip(number).clip_id for number in range(12)]
    grouped_by = "song+near-duplicate+post+media+author"
    splits = [
        Split(name="train", clip_ids=tuple(ids[:6]), grouped_by=grouped_by, rule="strict"),
        Split(name="test", clip_ids=tuple(ids[6:]), grouped_by=grouped_by, rule="strict"),
    ]
    card = (write_release(RECIPE, make_run(tmp_path / "run", splits=splits), tmp_path / "out").folder / "README.md").read_text()
    assert (
        "Grouped by song, near-duplicate, post, media, author. It was checked that no clip, no post, no media file and no song"
        in card
    )
    crossed = [replace(splits[0], clip_ids=tuple(ids[::2])), replace(splits[1], clip_ids=tuple(ids[1::2]))]
    with pytest.raises(Leak, match="same song"):
        write_release(RECIPE, make_run(tmp_path / "crossed", splits=crossed), tmp_path / "out")


def test_imported_clips_have_no_media_and_are_no_leak(tmp_path):
    clips = [replace(clip(number), media="") for number in range(12)]
    assert write_release(RECIPE, make_run(tmp_path / "run", clips=clips), tmp_path / "out").rows["splits"]["test"] == 2


def test_large_tables_go_into_many_row_groups(run, release, tmp_path, monkeypatch):
    monkeypatch.setattr(published, "ROW_GROUP_BYTES", 400)
    small = write_release(RECIPE, run, tmp_path / "out").folder / "features_steps/train.parquet"
    whole = release.folder / "features_steps/train.parquet"
    assert pq.ParquetFile(whole).num_row_groups == 1
    assert pq.ParquetFile(small).num_row_groups >= 3
    assert pq.read_table(small).equals(pq.read_table(whole))


def test_only_posts_with_a_public_address_have_ids(tmp_path, monkeypatch):
    found = post(11)
    monkeypatch.setitem(globals(), "post", lambda number: replace(found, post_id=f"{FIRST + number}", url="file:///home/x/a.mp4"))
    made = write_release(RECIPE, make_run(tmp_path / "run"), tmp_path / "out")
    assert made.rows["ids"] == {"train": 0, "validation": 0, "test": 0}
    assert "12 clips have no public address, so their ids are left out" in made.warnings


def test_a_damaged_key_is_not_replaced_silently(tmp_path):
    made = make_run(tmp_path / "run")
    (made.path / "release.key").write_text("not hex")
    with pytest.raises(BadInput, match=r"release\.key is damaged; put back a copy"):
        write_release(RECIPE, made, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_failure_on_the_way_leaves_the_earlier_release(run, tmp_path, monkeypatch):
    before = tree(write_release(RECIPE, run, tmp_path / "out").folder)
    monkeypatch.setattr(published, "METADATA", (*published.METADATA, ("author", pa.string())))
    with pytest.raises(BadInput, match="column 'author'"):
        write_release(RECIPE, run, tmp_path / "out", version="2.0.0")
    assert tree(tmp_path / "out") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out-ids"]


def test_no_split_no_release(tmp_path):
    with pytest.raises(BadInput, match="no split to publish; run 'svmbench curate' first"):
        write_release(RECIPE, RunFolder.create(tmp_path / "run"), tmp_path / "out")


def test_a_split_without_clips_is_no_release(tmp_path):
    bare = RunFolder.create(tmp_path / "run")
    with bare.writing("split") as writer:
        writer.commit(["split"], {"splits": to_table(Split, [Split(name="train", clip_ids=(), grouped_by="song")])})
    with pytest.raises(BadInput, match="has no clip to publish: the curation kept none"):
        write_release(RECIPE, bare, tmp_path / "out")


def test_a_version_is_three_numbers(run, tmp_path):
    with pytest.raises(BadSettings, match=r"version 'new' is not like 1\.0\.0"):
        write_release(RECIPE, run, tmp_path / "out", version="new")


def test_a_release_is_replaced_and_other_folders_are_not(run, tmp_path):
    write_release(RECIPE, run, tmp_path / "out")
    write_release(RECIPE, run, tmp_path / "out", version="1.0.1")
    assert json.loads((tmp_path / "out/release.json").read_text())["version"] == "1.0.1"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("x")
    with pytest.raises(BadInput, match="mine exists and is not a release"):
        write_release(RECIPE, run, tmp_path / "mine")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "out", "out-ids"]


def plant(folder: Path, path: str, data: bytes) -> None:
    """Puts a file into a release and its sum into CHECKSUMS, as a defect of the writer would."""
    from curation.release import _write_sums

    (folder / path).write_bytes(data)
    (folder / "CHECKSUMS.sha256").unlink()
    _write_sums(folder)


def parquet(**columns: list) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("path", "data", "message"),
    [
        ("metadata/train.parquet", parquet(author=["bob"]), "column 'author'"),
        ("metadata/train.parquet", parquet(clip_id=["tiktok-1-0"]), "not an opaque id"),
        ("metadata/train.parquet", parquet(words=[["by @bob"]]), "user name"),
        ("metadata/train.parquet", parquet(measure_x=[b"bytes"]), "neither text nor numbers"),
        ("metadata/train.parquet", b"PAR1 no", "not a Parquet file"),
        ("notes.md", b"see https://www.tiktok.com/@bob/video/1", "user name"),
        ("notes.md", b"made in /home/bob/run", "local path"),
        ("notes.md", b"made in C:\\Users\\bob", "local path"),
        ("notes.md", b"\x00\x00\x00\x18ftypmp42", "is media"),
        ("notes.csv", b"RIFF\x00\x00\x00\x00WAVE", "is media"),
        ("clip.mp4", b"nothing", "unknown kind"),
        ("notes.md", b"\xc3\x28", "is not text"),
    ],
)
def test_what_is_never_published_is_found(release, tmp_path, path, data, message):
    folder = Path(shutil.copytree(release.folder, tmp_path / "out"))
    verify_release(folder)
    plant(folder, path, data)
    with pytest.raises(BadInput, match=re.escape(message)):
        verify_release(folder)


def test_changed_missing_and_added_files_are_found(release, tmp_path):
    folder = Path(shutil.copytree(release.folder, tmp_path / "out"))
    readme = (folder / "README.md").read_bytes()
    (folder / "README.md").write_bytes(readme + b" ")
    with pytest.raises(BadInput, match=r"README\.md has changed"):
        verify_release(folder)
    (folder / "README.md").unlink()
    with pytest.raises(BadInput, match=r"README\.md is missing"):
        verify_release(folder)
    (folder / "README.md").write_bytes(readme)
    (folder / "more.md").write_text("x")
    with pytest.raises(BadInput, match=r"more\.md is not listed"):
        verify_release(folder)


def test_the_real_datasets_library_opens_the_folder_offline(release, tmp_path):
    code = f"""
import json
from datasets import load_dataset, get_dataset_config_names
folder, out = {str(release.folder)!r}, {{"names": get_dataset_config_names({str(release.folder)!r})}}
for name in out["names"]:
    data = load_dataset(folder, name)
    out[name] = {{part: len(data[part]) for part in data}}
row = load_dataset(folder, "features_pooled", split="test")[0]
out["pooled"] = [len(row["values"]), row["num_steps"], row["dim"], row["hop_s"]]
out["song"] = load_dataset(folder, split="test")[0]["song_id"]
out["ids"] = load_dataset({str(release.ids_folder)!r}, "ids", split="test")[0]["platform"]
out["streamed"] = next(iter(load_dataset(folder, "metadata", split="validation", streaming=True)))["measure_speech_share"]
print(json.dumps(out))
"""
    found = json.loads(python(code, home=tmp_path, HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1"))
    assert sorted(found["names"]) == sorted(release.configs)
    assert {name: found[name] for name in release.configs} == {name: release.rows[name] for name in release.configs}
    assert found["pooled"] == [8, 1, 8, 10.0]
    assert found["streamed"] == 0.08
    assert (found["song"][0], found["ids"]) == ("s", "tiktok")


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the client's own use of its HTTP library
def test_from_run_to_loopback_hub_to_load_dataset(release, tmp_path):
    from svmbench.hub import push
    from svmbench.hubsim import TOKEN, serve
    from svmbench.progress import Progress

    with serve() as hub:
        sha = push(release.folder, "lab/small", endpoint=hub.endpoint, tag="v1.0.0", progress=Progress(quiet=True))
        push(release.ids_folder, "lab/small-ids", endpoint=hub.endpoint, progress=Progress(quiet=True))
        code = """
import json
from datasets import load_dataset
out = {"rows": {}}
for name in ("metadata", "splits", "features_pooled", "features_steps"):
    data = load_dataset("lab/small", name, revision="v1.0.0")
    out["rows"][name] = {part: len(data[part]) for part in data}
out["steps"] = [row["num_steps"] for row in load_dataset("lab/small", "features_steps", split="test", streaming=True)]
out["ids"] = len(load_dataset("lab/small-ids", "ids", split="train"))
print(json.dumps(out))
"""
        found = json.loads(python(code, home=tmp_path, HF_ENDPOINT=hub.endpoint, HF_TOKEN=TOKEN))
        assert found == {"rows": {name: release.rows[name] for name in release.configs}, "steps": [12, 12], "ids": 8}
        assert hub.repos["lab/small"].tags == {"v1.0.0": sha}
        assert hub.repos["lab/small-ids"].gated == "manual"
        assert not hub.repos["lab/small"].gated
        assert hub.unknown == []
        cdn = [seen for seen in hub.log if seen.origin == "cdn"]
        assert {seen.method for seen in cdn} >= {"PUT", "GET"}
        assert not any(seen.authorized for seen in cdn)
