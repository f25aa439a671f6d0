"""Damaged files through the real supervisor and the real work: no crash, no hang, no silent short read, all accounted for.

As a program it prints the table of docs/fuzz.md: python tests/curation/test_fuzz.py [NUMBER [SEED]].
"""

from __future__ import annotations

import csv
import importlib
import math
import os
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from curation.isolate import Item, Supervisor
from svmbench import recipe
from svmbench.errors import BadMedia
from svmbench.reader import TRUNCATED_BY_S

NUMBER, SEED, MAX_S, LIMIT_S = 500, 2026, 2.0, 60.0
CHILD_MB = 600  # the target for a worker
JOB = '''
import os
from pathlib import Path
from curation.clip_job import ClipJob
from svmbench.records import Post

def memory_mb():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 // 10**6 for line in lines if line.startswith("VmHWM:"))

class FuzzJob(ClipJob):
    """The whole work over one path; answers what the test looks at."""
    def _path(self, post): return Path(post.url)
    def run(self, path):
        none = {n: None for n in ("track_id", "track_title", "duration_s", "posted_at", "fetched_at", "sha256", "author_hash")}
        post = Post(platform="fuzz", post_id="x", url=path, words=(), caption="", hashtags=(), likes=1, likes_exact=True,
                    track_original=False, **none)
        clip = super().run(post)[0].clip
        return {"length_s": clip.end_s, "claim_s": clip.measures["container_s"], "truncated": clip.measures["truncated"] == 1.0,
                "memory_mb": memory_mb(), "files": len(os.listdir("/proc/self/fd"))}
'''
SOURCES = (  # below the folder of real media: codecs, containers, and what is odd about them
    "mdn+learning-area/accessibility/multimedia/rabbit320.mp4",  # h264, aac
    "Zulko+moviepy/media/doc_medias/example3.mp4",  # h264, mp3, bars
    "androidx+media/libraries/test_data/src/test/assets/media/mp4/midroll-5s.mp4",
    "androidx+media/libraries/test_data/src/test/assets/media/mp4/sample_fragmented.mp4",  # claims 143165 s
    "androidx+media/libraries/test_data/src/test/assets/media/mp4/sample_rotate_and_reflect.mp4",
    "androidx+media/libraries/test_data/src/test/assets/media/mp4/silent-black-10s.mp4",
    "androidx+media/libraries/test_data/src/test/assets/media/mp4/hdr10-av1.mp4",  # 10 bit
    "androidx+media/libraries/test_data/src/test/assets/media/dash/captions_h265/fragmented_captions_h265.mp4",
    "pytorch+torchcodec/test/resources/h265_video.mp4",
    "pytorch+torchcodec/test/resources/h264_10bits.mp4",
    "pytorch+torchcodec/test/resources/av1_video.mkv",
    "intel-iot-devkit+sample-videos/asl_gestures/brother.mkv",  # variable frame rate
    "androidx+media/libraries/test_data/src/test/assets/media/mkv/sample_with_srt.mkv",  # h264, ac3
    "androidx+media/libraries/test_data/src/test/assets/media/vp9/bear-vp9-odd-dimensions.webm",
    "Zulko+moviepy/media/transparent.webm",  # vp9 with alpha
    "Zulko+moviepy/media/no_duration.webm",
    "Zulko+moviepy/media/big_buck_bunny_432_433.webm",  # vp8
    "androidx+media/libraries/test_data/src/test/assets/media/flv/sample.flv",
    "androidx+media/libraries/test_data/src/test/assets/media/avi/sample.avi",  # mpeg4
    "androidx+media/libraries/test_data/src/test/assets/media/3gp/bbb_176x144_128kbps_15fps_h263.3gp",
    "mozilla+popcorn-js/test/trailer.ogv",  # theora
    "mozilla+popcorn-js/test/italia.mp4",  # sound only
    "tyiannak+pyAudioAnalysis/pyAudioAnalysis/data/count.wav",
    "facebookresearch+audiocraft/assets/electronic.mp3",
)
CANNOT = ("invalid-bitstream.webm", "trailer.ogv")  # as PyAV sees them
OF_MEDIA = {"unreadable", "no_video", "no_decoder", "no_frames", "too_large"}
KNOWN = OF_MEDIA | {"crash", "timeout", "memory", "exception"}
Bytes = bytearray
Rng = np.random.Generator


# -- mutations: bytes of a file -> other bytes. The first kinds leave alone what the container claims.


def place(data: Bytes, rng: Rng, first: float = 0.0, last: float = 1.0) -> int:
    return int(rng.uniform(first, last) * (len(data) - 1))


def block(data: Bytes, rng: Rng, first: float = 0.0) -> slice:
    start = place(data, rng, first)
    return slice(start, min(len(data), start + int(2 ** rng.uniform(3, 15))))


def cut_late(data: Bytes, rng: Rng) -> Bytes:
    return data[: place(data, rng, 0.7)]


def cut_anywhere(data: Bytes, rng: Rng) -> Bytes:
    return data[: place(data, rng)]


def cut_early(data: Bytes, rng: Rng) -> Bytes:
    return data[: int(rng.integers(1, 4096))]


def lost_start(data: Bytes, rng: Rng) -> Bytes:
    return data[int(2 ** rng.uniform(0, 14)) :]


def flipped_bits(data: Bytes, rng: Rng, num: int | None = None, first: float = 0.0) -> Bytes:
    for _ in range(num or int(rng.integers(1, 30))):
        data[place(data, rng, first)] ^= 1 << int(rng.integers(8))
    return data


def noisy(data: Bytes, rng: Rng) -> Bytes:
    """One byte of five hundred is another."""
    return flipped_bits(data, rng, len(data) // 500)


def late_bits(data: Bytes, rng: Rng) -> Bytes:
    return flipped_bits(data, rng, 200, first=0.3)


def head_bits(data: Bytes, rng: Rng) -> Bytes:
    for _ in range(int(rng.integers(1, 20))):
        data[int(rng.integers(min(len(data), 2048)))] ^= 1 << int(rng.integers(8))
    return data


def zeroed(data: Bytes, rng: Rng) -> Bytes:
    gone = block(data, rng)
    data[gone] = bytes(gone.stop - gone.start)
    return data


def deleted(data: Bytes, rng: Rng) -> Bytes:
    del data[block(data, rng)]
    return data


def doubled(data: Bytes, rng: Rng) -> Bytes:
    again = block(data, rng)
    return data[: again.stop] + data[again] + data[again.stop :]


def swapped(data: Bytes, rng: Rng) -> Bytes:
    one, other = sorted((block(data, rng), block(data, rng)), key=lambda s: s.start)
    if one.stop > other.start:
        return zeroed(data, rng)
    return data[: one.start] + data[other] + data[one.stop : other.start] + data[one] + data[other.stop :]


def trailing(data: Bytes, rng: Rng) -> Bytes:
    return data + rng.bytes(int(2 ** rng.uniform(0, 17)))


def leading(data: Bytes, rng: Rng) -> Bytes:
    return Bytes(rng.bytes(int(2 ** rng.uniform(0, 12)))) + data


def foreign(data: Bytes, rng: Rng, other: bytes) -> Bytes:
    """A stretch of another file in the middle."""
    at, start = place(data, rng), int(rng.integers(len(other)))
    return data[:at] + other[start : start + 20_000] + data[at:]


def joined(data: Bytes, rng: Rng, other: bytes) -> Bytes:
    return data + other


# -- boxes of mp4: (start, length, type) of those inside a stretch of the file

INSIDE = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf", b"edts", b"mvex")


def boxes(data: Bytes, start: int = 0, stop: int | None = None) -> list[tuple[int, int, bytes]]:
    found, stop = [], len(data) if stop is None else stop
    while start + 8 <= stop:
        length, name = int.from_bytes(data[start : start + 4], "big"), bytes(data[start + 4 : start + 8])
        if not 8 <= length <= stop - start:
            break
        found.append((start, length, name))
        if name in INSIDE:
            found += boxes(data, start + 8, start + length)
        start += length
    return found


def a_box(data: Bytes, rng: Rng, names: tuple[bytes, ...] = ()) -> tuple[int, int]:
    fitting = [b for b in boxes(data) if not names or b[2] in names] or boxes(data)
    return fitting[int(rng.integers(len(fitting)))][:2]


def box_swapped(data: Bytes, rng: Rng) -> Bytes:
    (one, length, _), (other, length2, _) = sorted(boxes(data)[int(i)] for i in rng.integers(len(boxes(data)), size=2))
    if one + length > other:
        return box_lost(data, rng)
    a, b = data[one : one + length], data[other : other + length2]
    return data[:one] + b + data[one + length : other] + a + data[other + length2 :]


def box_lost(data: Bytes, rng: Rng) -> Bytes:
    start, length = a_box(data, rng)
    return data[:start] + data[start + length :]


def number(rng: Rng) -> bytes:
    """Four bytes that a parser may not expect."""
    return [bytes(4), b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0\0\0\1", rng.bytes(4)][int(rng.integers(5))]


def box_size(data: Bytes, rng: Rng) -> Bytes:
    start, _ = a_box(data, rng)
    data[start : start + 4] = number(rng)
    return data


def times(data: Bytes, rng: Rng) -> Bytes:
    """Durations and time scales in movie, track and media headers; lengths of the samples."""
    start, length = a_box(data, rng, (b"mvhd", b"mdhd", b"tkhd", b"stts", b"ctts", b"elst", b"sidx", b"mehd"))
    at = start + 8 + 4 * int(rng.integers(max(1, min(6, length // 4 - 2))))
    data[at : at + 4] = number(rng)
    return data


def tables(data: Bytes, rng: Rng) -> Bytes:
    """Sizes, offsets and chunks of the samples."""
    start, length = a_box(data, rng, (b"stsz", b"stco", b"stsc", b"stss", b"co64", b"trun", b"tfhd"))
    for _ in range(int(rng.integers(1, 6))):
        at = start + 8 + 4 * int(rng.integers(max(1, length // 4 - 2)))
        data[at : at + 4] = number(rng)
    return data


def dimensions(data: Bytes, rng: Rng) -> Bytes:
    """Width and height of the picture's sample entry, which decoders may believe."""
    start, _ = a_box(data, rng, (b"stsd",))
    for at in (start + 48, start + 50):
        data[at : at + 2] = [b"\0\0", b"\xff\xff", b"\0\1", b"\x40\0", rng.bytes(2)][int(rng.integers(5))]
    return data


TAGS = [b"avc1", b"hvc1", b"hev1", b"av01", b"vp09", b"mp4v", b"s263", b"mp4a", b".mp3", b"XVID", b"FMP4", b"xxxx"]
IDS = [b"V_VP8", b"V_VP9", b"V_AV1", b"A_OPUS", b"V_THEORA", b"V_MPEG4/ISO/AVC", b"V_MPEGH/ISO/HEVC"]


def other_codec(data: Bytes, rng: Rng) -> Bytes:
    """The name of a codec becomes another's of the same length."""
    names = [tag for tag in (*TAGS, *IDS) if tag in data[:65536] or tag in data[-65536:]]
    if not names:
        return head_bits(data, rng)
    name = names[int(rng.integers(len(names)))]
    others = [tag for tag in (*TAGS, *IDS) if len(tag) == len(name) and tag != name] or [b"x" * len(name)]
    return data.replace(name, others[int(rng.integers(len(others)))])


PAYLOAD = {"cut late": cut_late, "bits, late": late_bits}
ANY = {
    **PAYLOAD, "cut anywhere": cut_anywhere, "cut early": cut_early, "lost start": lost_start, "bits": flipped_bits,
    "noise": noisy, "bits, head": head_bits, "zeroed": zeroed, "deleted": deleted, "doubled": doubled, "swapped": swapped,
    "trailing": trailing,
    "leading": leading, "codec tag": other_codec,
}  # fmt: skip
WITH_OTHER = {"foreign": foreign, "joined": joined}
MP4 = {
    "box swapped": box_swapped, "box lost": box_lost, "box size": box_size, "times": times, "tables": tables,
    "dimensions": dimensions,
}  # fmt: skip


# -- running them


@dataclass(frozen=True)
class Result:
    """What became of one file: its values, or the reason why there are none."""

    kind: str
    source: str
    values: dict[str, Any] | None
    reason: str = ""
    detail: str = ""

    @property
    def outcome(self) -> str:
        return self.reason or ("truncated" if self.values and self.values["truncated"] else "whole")


def mutated(clips: Path, number: int, seed: int) -> Iterator[tuple[str, str, Bytes]]:
    """(kind, source, bytes) of so many mutations: all kinds in turn, each time with a source by chance."""
    kinds: dict[str, Any] = {**ANY, **WITH_OTHER, **MP4}
    boxed = [source for source in SOURCES if source.endswith((".mp4", ".3gp"))]
    for i in range(number):
        rng, kind = np.random.default_rng([seed, i]), list(kinds)[i % len(kinds)]
        source, other = rng.choice(boxed if kind in MP4 else SOURCES, 2)
        extra = [(clips / other).read_bytes()] if kind in WITH_OTHER else []
        yield kind, str(source), kinds[kind](Bytes((clips / source).read_bytes()), rng, *extra)


def odd_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """What is no video at all, made in an empty folder."""
    contents = {
        "empty": b"", "one byte": b"\0", "text": b"This is a text.\n" * 400, "html": b"<!doctype html><title>404</title>" * 40,
        "zeros": bytes(10**6), "random": np.random.default_rng(SEED).bytes(10**5),
        "only ftyp": b"\0\0\0\x18ftypisom\0\0\2\0isomavc1",
    }  # fmt: skip
    for name, data in contents.items():
        path = folder / f"{name}.mp4"
        path.write_bytes(data)
        yield name, path
    (folder / "folder.mp4").mkdir()
    os.mkfifo(folder / "fifo.mp4")
    (folder / "loop.mp4").symlink_to(folder / "loop.mp4")
    (folder / "dangling.mp4").symlink_to(folder / "nowhere.mp4")
    for name in ("folder", "fifo", "loop", "dangling", "absent"):
        yield name, folder / f"{name}.mp4"
    yield "device", Path("/dev/zero")


@contextmanager
def worker(folder: Path) -> Iterator[Callable[[str, str, Path], Result]]:
    """run(kind, source, path) in one supervised child after the other, as a curation does."""
    (folder / "fuzz_job.py").write_text(JOB)
    sys.path.insert(0, str(folder))
    sys.modules.pop("fuzz_job", None)
    fuzz_job = importlib.import_module("fuzz_job")

    plan = recipe.load("demo")
    supervisor = Supervisor(
        fuzz_job.FuzzJob, plan.model_copy(update={"clip": plan.clip.model_copy(update={"max_s": MAX_S})}), str(folder)
    )

    def run(kind: str, source: str, path: Path) -> Result:
        try:
            return Result(kind, source, supervisor.run(Item(str(path), LIMIT_S)))
        except BadMedia as error:
            return Result(kind, source, None, error.reason, error.detail)

    try:
        yield run
    finally:
        supervisor.close()
        sys.path.remove(str(folder))


def fuzzed(clips: Path, folder: Path, number: int, seed: int = SEED) -> tuple[list[Result], dict[str, Result]]:
    """The results of so many mutations, and those of the undamaged sources."""
    with worker(folder) as run:
        whole = {source: run("undamaged", source, clips / source) for source in SOURCES}
        results = []
        for kind, source, data in mutated(clips, number, seed):
            path = folder / f"damaged{Path(source).suffix}"
            path.write_bytes(data)
            results.append(run(kind, source, path))
    return results, whole


def silent(result: Result, whole: Result) -> bool:
    """Clearly less than the undamaged picture came out (nine tenths, and 0.3 s less), and nothing says so.

    Damage to the payload has no excuse where the undamaged file tells its length truly in its header; other damage has one where
    the damaged header claims no more than what came out.
    """
    if not result.values or not whole.values or result.values["truncated"]:
        return False
    length_s, full_s, claim_s = result.values["length_s"], whole.values["length_s"], result.values["claim_s"]
    if length_s >= min(0.9 * full_s, full_s - TRUNCATED_BY_S):
        return False
    if result.kind in PAYLOAD:
        return not result.source.endswith(FROM_THE_DATA)
    return claim_s is not None and math.isfinite(claim_s) and 0.9 * min(claim_s, MAX_S) > length_s + TRUNCATED_BY_S


FROM_THE_DATA = (".ogv", "no_duration.webm", "sample_fragmented.mp4", "fragmented_captions_h265.mp4")  # no length in the header


def check(results: list[Result], whole: dict[str, Result]) -> None:
    reasons = Counter(result.reason for result in results if result.reason)
    assert set(reasons) <= KNOWN, reasons
    assert "timeout" not in reasons, [r for r in results if r.reason == "timeout"]
    assert "exception" not in reasons, [r for r in results if r.reason == "exception"]
    assert not [r for r in results if silent(r, whole[r.source])]
    assert max(r.values["memory_mb"] for r in results if r.values) < CHILD_MB


def test_some_damaged_files(clips: Path, tmp_path: Path) -> None:
    results, whole = fuzzed(clips, tmp_path, 40, SEED + 1)
    assert len(results) == 40
    assert {r.outcome for r in results} > {"whole", "truncated", "unreadable"}  # the mutations do something
    check(results, whole)


@pytest.mark.slow
def test_five_hundred_damaged_files(clips: Path, tmp_path: Path) -> None:
    results, whole = fuzzed(clips, tmp_path, NUMBER)
    assert len(results) == NUMBER
    check(results, whole)


def test_what_is_no_video_has_its_reason_and_is_left_alone(tmp_path: Path) -> None:
    with worker(tmp_path) as run:
        reasons = {name: run("odd", name, path).reason for name, path in odd_files(tmp_path)}
    assert reasons == dict.fromkeys(reasons, "unreadable")
    assert len(reasons) == 13


def test_no_file_stays_open(clips: Path, tmp_path: Path) -> None:
    """Files open in the child before and after a hundred files, half of them damaged."""
    good, bad = clips / SOURCES[8], tmp_path / "bad.mp4"
    data = Bytes(good.read_bytes())
    bad.write_bytes(data[: len(data) // 2])
    with worker(tmp_path) as run:
        before = run("good", "", good).values
        reasons = {run("bad", "", path).reason for path in (bad, clips / SOURCES[-1], tmp_path / "absent.mp4") for _ in range(20)}
        after = [run("good", "", good).values for _ in range(40)][-1]
    assert len(reasons) >= 2
    assert before is not None
    assert after is not None
    assert after["files"] == before["files"]


@pytest.mark.slow
def test_every_file_of_the_manifest_is_accounted_for(clips: Path, tmp_path: Path) -> None:
    rows = list(csv.DictReader((clips / "manifest.csv").read_text().splitlines()))
    with worker(tmp_path) as run:
        found = [(row, run("manifest", row["file"], clips / row["file"])) for row in rows]
    reasons = Counter(result.reason for _, result in found)
    assert set(reasons) <= OF_MEDIA | {""}, reasons
    for row, result in found:
        if not row["video_codec"]:
            assert result.reason == "no_video", result
        elif result.values is None:
            assert row["file"].endswith(CANNOT), result
        elif not result.values["truncated"]:
            assert result.values["length_s"] >= 0.9 * min(MAX_S, shown_s(clips / row["file"])) - 0.1, result


def shown_s(path: Path) -> float:
    """From the first packet of the picture to the end of the last, without decoding."""
    with av.open(str(path)) as container:
        shown = [(p.pts * p.time_base, (p.duration or 0) * p.time_base) for p in container.demux(video=0) if p.pts is not None]
        return float(max(at + length for at, length in shown) - min(at for at, _ in shown))


def table(results: list[Result]) -> str:
    """Kinds of damage against what became of the files, as Markdown."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for result in results:
        counts[result.kind][result.outcome] += 1
        counts["all"][result.outcome] += 1
    first = ["whole", "truncated"]
    columns = first + sorted(set(counts["all"]) - set(first), key=lambda name: -counts["all"][name])
    rows = [["damage", *columns], ["---"] + ["---:"] * len(columns)]
    rows += [[kind, *(str(count[name] or "") for name in columns)] for kind, count in sorted(counts.items()) if kind != "all"]
    rows.append(["**all**", *(str(counts["all"][name]) for name in columns)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    shared = Path(os.environ.get("SVMBENCH_SHARED", "../shared")) / "clips"
    chosen = [int(word) for word in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as scratch:
        found, undamaged = fuzzed(shared, Path(scratch), *chosen) if chosen else fuzzed(shared, Path(scratch), NUMBER)
    print(table(found))
    print(f"largest memory of a child: {max(r.values['memory_mb'] for r in found if r.values)} MB")
    check(found, undamaged)
    print("no crash, hang, exception or silent short read")
