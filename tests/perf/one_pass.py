"""One pass over a video for all outputs, against other ways to get them: python tests/perf/one_pass.py [FOLDER [NUMBER]].

Takes the first 15 s of NUMBER (default 3) of the videos of FOLDER, evenly picked, and of two that are composed here: 720p and
360 x 640, H.264 and AAC. Without FOLDER, the videos under SVMBENCH_SHARED (default ../shared). "All outputs" is what the worker
of a curation does with the demo's recipe: border, every measure, hashes, flow, features; picture outputs are the same of a copy
without sound, and sound outputs what of its filters and features listens (there the picture is decoded and not looked at). Rows
are CPU-seconds, frames a CPU-second, and that rate as a share of `ffmpeg -threads 1 -f null` (less what ffmpeg takes to start).
Every row is the better of two takes in turn, but for the peers, which are taken once. With the default it takes three to four
CPU-minutes. The peers:

a chain of consumers   every filter, feature and the border open and decode the file for themselves; without their own work. Those
                       with the same needs are timed once and counted as often as they are
Data-Juicer's path     its motion filter and its three filters of the container, written after their description: each opens the
                       file; the motion filter seeks to two frames a second and takes Farneback's flow at full size
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from skimage import data

from curation.clip_job import ClipJob
from svmbench import recipe
from svmbench.errors import BadMedia, Silent
from svmbench.media import Needs, decode, probe, union
from svmbench.records import Post
from svmbench.store import RunFolder

MAX_S, MIN_S = 15.0, 8.0
LEAST_PX = 200
TAKES = 2
SIZES = {"tall.mp4": (360, 640), "wide.mp4": (1280, 720)}
FARNEBACK = (0.5, 3, 15, 3, 5, 1.2, 0)  # pyramid scale, levels, window, iterations, neighbourhood, its sigma, flags
FARNEBACK_FPS = 2.0


def videos(folder: Path, number: int) -> list[Path]:
    """Evenly picked from those that are neither short nor tiny."""
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.suffix in (".mp4", ".webm", ".mkv")):
        try:
            seen = probe(path)
            if seen.duration_s >= MIN_S and min(seen.width_px, seen.height_px) >= LEAST_PX:
                found.append(path)
        except BadMedia:
            continue
    return [found[int((i + 0.5) * len(found) / number)] for i in range(number)] if len(found) > number else found


def compose(path: Path, width: int, height: int, length_s: int, fps: int = 24) -> Path:
    """A photograph that the camera moves over, with a little grain, and noise for sound."""
    rng = np.random.default_rng(0)
    photo = cv2.resize(data.astronaut(), (2 * width, 2 * height), interpolation=cv2.INTER_CUBIC)
    grain = rng.normal(0, 3, (8, height, width, 1)).astype(np.int8)
    with av.open(str(path), "w") as container:
        film: Any = container.add_stream("libx264", rate=fps, options={"crf": "26", "preset": "fast"})
        film.width, film.height, film.pix_fmt = width, height, "yuv420p"
        film.codec_context.thread_count = 1
        sound: Any = container.add_stream("aac", rate=44_100, layout="stereo")
        for i in range(fps * length_s):
            left, top = int(width / 2 * (1 + np.sin(i / 40))), int(height / 2 * (1 + np.cos(i / 55)))
            image = np.clip(photo[top : top + height, left : left + width].astype(np.int16) + grain[i % 8], 0, 255)
            container.mux(film.encode(av.VideoFrame.from_ndarray(image.astype(np.uint8), format="rgb24")))
        for start in range(0, 44_100 * length_s, 1024):
            piece = av.AudioFrame.from_ndarray(rng.normal(0, 0.1, (2, 1024)).astype(np.float32), "fltp", "stereo")
            piece.rate, piece.pts = 44_100, start
            container.mux(sound.encode(piece))
        container.mux(film.encode())
        container.mux(sound.encode())
    return path


def ffmpeg_s(*arguments: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["ffmpeg", "-v", "quiet", *arguments], check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def decode_s(path: Path, needs: Needs) -> float:
    began = time.process_time()
    decode(path, needs, MAX_S)
    return time.process_time() - began


def data_juicer(path: Path) -> None:
    for _ in range(3):  # length, resolution, aspect ratio: each opens the file for itself
        with av.open(str(path)) as container:
            _ = container.streams.video[0].width
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    fps = capture.get(cv2.CAP_PROP_FPS)
    step, total = max(1, round(fps / FARNEBACK_FPS)), min(capture.get(cv2.CAP_PROP_FRAME_COUNT), MAX_S * fps)
    before: np.ndarray | None = None
    for at in range(0, int(total), step):
        capture.set(cv2.CAP_PROP_POS_FRAMES, at)
        read, image = capture.read()
        if not read:
            break
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        if before is not None:
            flow = cv2.calcOpticalFlowFarneback(before, grey, None, *FARNEBACK)  # type: ignore[call-overload]
            _ = np.linalg.norm(flow, axis=-1).mean()
        before = grey
    capture.release()


def without_sound(path: Path, folder: Path) -> Path:
    """A copy of the video without its sound, its packets as they are."""
    copy = folder / f"{path.stem}-mute.mkv"
    subprocess.run(["ffmpeg", "-v", "error", "-t", str(MAX_S), "-i", str(path), "-an", "-c", "copy", str(copy)], check=True,
                   stdin=subprocess.DEVNULL)  # fmt: skip
    return copy


def listen(job: ClipJob, path: Path) -> None:
    """The filters and features that listen, of one decoding."""
    filters = [(module, chosen) for _, module, chosen in job.filters if module.NEEDS.audio_hz]
    features = [module for _, module in job.features if module.NEEDS.audio_hz]
    clip = decode(path, union([module.NEEDS for module, _ in filters] + [module.NEEDS for module in features]), MAX_S)
    for module, chosen in filters:
        module.measure(clip, chosen)
    for module in features:
        with contextlib.suppress(Silent):
            module.extract(clip)


def ways(folder: str) -> dict[str, Callable[[Path, Post, Post], Any]]:
    """What each row does with a video: its file, its post, and the post of a copy without sound."""
    plan = recipe.load("demo")
    plan = plan.model_copy(update={"clip": plan.clip.model_copy(update={"max_s": MAX_S})})
    fast = plan.model_copy(update={"clip": plan.clip.model_copy(update={"frames": "reference"})})
    job, quick = ClipJob(plan, folder), ClipJob(fast, folder)
    consumers = [module.NEEDS for _, module, _ in job.filters] + [module.NEEDS for _, module in job.features]
    alone = Counter(needs for needs in [job.border.NEEDS, *consumers] if needs != Needs())
    hz = max(union(consumers).audio_hz)
    clip = str(MAX_S)
    return {
        "ffmpeg -f null": lambda path, *_: ffmpeg_s("-threads", "1", "-t", clip, "-i", str(path), "-f", "null", "-"),
        "ffmpeg -an -f null": lambda path, *_: ffmpeg_s("-threads", "1", "-t", clip, "-i", str(path), "-an", "-f", "null", "-"),
        "ours, decoding the picture": lambda path, *_: decode(path, Needs(), MAX_S),
        "ours, decoding both": lambda path, *_: decode(path, Needs(audio_hz=(hz,)), MAX_S),
        "ours, collecting all needs": lambda path, *_: decode(path, job.needs, MAX_S),
        "ours, all outputs": lambda _, post, __: job.run(post),
        "ours, all, reference frames": lambda _, post, __: quick.run(post),
        "ours, picture outputs": lambda _, __, mute: job.run(mute),
        "ours, picture, reference": lambda _, __, mute: quick.run(mute),
        "ours, sound outputs": lambda path, *_: listen(job, path),
        f"a chain of {alone.total()} consumers": lambda path, *_: sum(n * decode_s(path, needs) for needs, n in alone.items()),
        "Data-Juicer's path": lambda path, *_: data_juicer(path),
    }


def table(total: dict[str, float], frames: int) -> None:
    limit = total["ffmpeg -f null"]
    print(f"{'':<28} {'CPU-s':>8} {'frames/CPU-s':>13} {'of ffmpeg':>10}")
    for name, seconds in total.items():
        print(f"{name:<28} {seconds:8.2f} {frames / seconds:13.0f} {limit / seconds:10.2f}")
    both, mute = total["ours, all outputs"], total["ours, picture outputs"]
    collected = total["ours, collecting all needs"]
    print(f"of all outputs: decoding and collecting {collected / both:.0%}, the sound's share {(both - mute) / both:.0%}")
    print(f"picture outputs against ffmpeg -an: {total['ffmpeg -an -f null'] / mute:.2f}, ", end="")
    print(f"with reference frames only {total['ffmpeg -an -f null'] / total['ours, picture, reference']:.2f}")
    for name in list(total)[-2:]:
        print(f"{name}: {total[name] / both:.1f} times all outputs, {total[name] / mute:.1f} times the picture's")


def timed(
    rows: dict[str, Callable[[Path, Post, Post], Any]], path: Path, posts: tuple[Post, Post], start_s: float
) -> dict[str, float]:
    """CPU-seconds of each row, the best of its takes; a row that returns a number has timed itself."""
    found: dict[str, float] = {}
    peers = list(rows)[-2:]
    for take in range(TAKES):
        for name, work in rows.items():
            if take and name in peers:
                continue
            began = time.process_time()
            told = work(path, *posts)
            seconds = told - start_s * name.startswith("ffmpeg") if isinstance(told, float) else time.process_time() - began
            found[name] = min(seconds, found.get(name, seconds))
    return found


def main(folder: Path, number: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        run = RunFolder(Path(place) / "run")
        composed = [compose(Path(place) / name, *size, int(MAX_S)) for name, size in SIZES.items()]
        groups = {"composed": composed, "real": videos(folder, number) if number and folder.is_dir() else []}
        rows = ways(str(run.path))
        start_s = min(ffmpeg_s("-version") for _ in range(5))
        for group, paths in groups.items():
            total, frames = dict.fromkeys(rows, 0.0), 0
            for path in paths:
                mute = without_sound(path, Path(place))
                posts = post_of(path, run.add_media(path)), post_of(mute, run.add_media(mute))
                if path is composed[0]:
                    rows["ours, all outputs"](path, *posts)  # imports and compiles what is left to the first use
                for name, seconds in timed(rows, path, posts, start_s).items():
                    total[name] += seconds
                seen = probe(path)
                frames += round((seen.fps or 0) * min(seen.duration_s, MAX_S))
            if paths:
                print(f"\n{group}: {len(paths)} videos, {frames} frames: {', '.join(path.name for path in paths)}")
                table(total, frames)


def post_of(path: Path, sha256: str) -> Post:
    return Post(
        platform="folder", post_id=path.stem, url="", words=(), caption="", hashtags=(), likes=0, likes_exact=False,
        track_id=None, track_title=None, track_original=False, duration_s=None, posted_at=None, fetched_at=None,
        sha256=sha256, author_hash=None,
    )  # fmt: skip


if __name__ == "__main__":
    shared = Path(os.environ.get("SVMBENCH_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else shared / "clips", int(sys.argv[2]) if len(sys.argv) > 2 else 3)
