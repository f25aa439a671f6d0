"""Peak memory of a decode child over large and odd inputs: python tests/perf/worker_memory.py [FOLDER].

Makes videos with ffmpeg in a temporary folder (a few frames of moving colours, repeated) and curates each with the demo's recipe
in a child of its own, as a run does, borders by the default method. FOLDER holds odd files besides; without it, those under
SVMBENCH_SHARED (default ../shared). Prints the child's resident memory before the first item and its peak beside the target.
"""

from __future__ import annotations

import math
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from curation.child import MEMORY_BYTES, Child, Struck
from curation.clip_job import ClipJob
from svmbench import recipe
from svmbench.records import Post
from svmbench.store import RunFolder

TARGET_MB = 600
LIMIT_S = 600.0
MAX_S = 600.0  # the longest that a recipe may ask for
METHODS = ("robust", "paper")  # how borders are found: by default, and from full-size pictures
PICTURE = "gradients=size={size}:rate={rate}:speed=0.05"
X264, X265 = (
    ["-c:v", "libx264", "-preset", "ultrafast"],
    ["-c:v", "libx265", "-preset", "ultrafast", "-crf", "35", "-x265-params", "log-level=none"],
)
VP9 = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-crf", "40", "-b:v", "0"]
SUFFIXES, ODD_BYTES = (".mp4", ".webm", ".mkv", ".ogv", ".flv", ".avi", ".3gp"), 120_000
FILMS = {  # name: size, frames a second, seconds, what encodes it
    "360p h264, 60 s": ("640x360", 30, 60, X264),
    "1080p h264, 60 s": ("1920x1080", 30, 60, X264),
    "4K h264, 60 s": ("3840x2160", 30, 60, X264),
    "4K h264, 16 references, 10 s": ("3840x2160", 30, 10, [*X264, "-x264-params", "ref=16:dpb-size=16:bframes=8"]),
    "4K hevc 10 bit, 10 s": ("3840x2160", 30, 10, [*X265, "-pix_fmt", "yuv420p10le"]),
    "4K vp9, 10 s": ("3840x2160", 30, 10, VP9),
    "4K av1 10 bit, 5 s": ("3840x2160", 30, 5, ["-c:v", "libsvtav1", "-preset", "12", "-pix_fmt", "yuv420p10le"]),
    "8K h264, 5 s": ("7680x4320", 1, 5, X264),
    "8K hevc 10 bit, 5 s": ("7680x4320", 1, 5, [*X265, "-pix_fmt", "yuv420p10le"]),
}  # fmt: skip
NUM_ENCODED = 12  # frames: so many are encoded, or a second and a half, and repeated without encoding them again


def film(path: Path, size: str, rate: int, length_s: int, codec: list[str]) -> Path:
    once = path.with_stem(f"{path.stem}-once")
    part_s = min(1.5, NUM_ENCODED / rate)
    source = PICTURE.format(size=size, rate=rate)
    run("-f", "lavfi", "-i", source, "-f", "lavfi", "-i", "sine=440:sample_rate=44100", "-t", str(part_s),
        "-threads", "2", "-pix_fmt", "yuv420p", *codec, "-c:a", "aac", str(once))  # fmt: skip
    run("-stream_loop", str(math.ceil(length_s / part_s)), "-i", str(once), "-t", str(length_s), "-c", "copy", str(path))
    return path


def long_sound(path: Path) -> Path:
    """A small picture under ten minutes of stereo sound at 48 kHz."""
    run("-f", "lavfi", "-i", "color=size=64x64:rate=2", "-f", "lavfi", "-i", "anoisesrc=sample_rate=48000:amplitude=0.1",
        "-t", "600", *X264, "-c:a", "aac", "-ac", "2", str(path))  # fmt: skip
    return path


def run(*words: str) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *words], check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def measured(path: Path, plan: recipe.Recipe) -> tuple[int, int, str]:
    """Resident MB of the child with its libraries, its peak over one file, and what became of the file."""
    with tempfile.TemporaryDirectory() as folder:
        store = RunFolder.create(Path(folder) / "run")
        post = Post(
            platform="folder", post_id="one", url="", words=(), caption="", hashtags=(), likes=1, likes_exact=True, track_id="t",
            track_title=None, track_original=False, duration_s=None, posted_at=None, fetched_at=None,
            sha256=store.add_media(path), author_hash=None,
        )  # fmt: skip
        child = Child()
        try:
            child.ask(pickle.dumps((ClipJob, (plan, str(store.path)))), LIMIT_S)
            before = high_water_mb(child)
            try:
                status, value, _ = child.ask(post, LIMIT_S)
                became = "decoded" if status == "ok" else str(value)[:80]
            except Struck as struck:
                became = f"{struck.reason}: {struck.detail}"
            return before, high_water_mb(child), became
        finally:
            child.end()


def high_water_mb(child: Child) -> int:
    lines = Path(f"/proc/{child.process.pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 // 10**6 for line in lines if line.startswith("VmHWM:")), 0)


def odd_files(folder: Path) -> dict[str, Path]:
    """What only claims to be large or long, and what is odd in other ways: the small files of a folder."""
    return {path.name: path for path in sorted(folder.rglob("*")) if path.suffix in SUFFIXES and path.stat().st_size < ODD_BYTES}


def main(folder: Path) -> None:
    if shutil.which("ffmpeg") is None:
        raise SystemExit("the large videos are made with ffmpeg, which is not installed")
    plans = {method: with_method(method) for method in METHODS}
    print(f"{'input':<44} {'borders':<7} {'libraries MB':>12} {'peak MB':>8} {'for frames MB':>14}  became", flush=True)
    peaks: dict[str, int] = {}

    def show(name: str, path: Path, methods: tuple[str, ...] = METHODS[:1]) -> None:
        for method in methods:
            before, peak, became = measured(path, plans[method])
            peaks[f"{name}, {method}"] = peak
            print(f"{name[-44:]:<44} {method:<7} {before:>12} {peak:>8} {peak - before:>14}  {became}", flush=True)

    with tempfile.TemporaryDirectory() as scratch:
        for name, (size, rate, length_s, codec) in FILMS.items():
            methods = METHODS if "hevc" in name else METHODS[:1]
            show(name, film(Path(scratch) / "film.mkv", size, rate, length_s, codec), methods)
        show("64 x 64, 600 s of sound", long_sound(Path(scratch) / "sound.mp4"))
    for name, path in odd_files(folder).items() if folder.is_dir() else ():
        show(name, path)
    for method in METHODS:
        mine = {name: peak for name, peak in peaks.items() if name.endswith(f", {method}")}
        name = max(mine, key=lambda key: mine[key])
        print(f"largest with {method}: {mine[name]} MB ({name}); target {TARGET_MB} MB: ratio {mine[name] / TARGET_MB:.2f}")
    print(f"a child is stopped at {MEMORY_BYTES // 10**6} MB")


def with_method(method: str) -> recipe.Recipe:
    plan = recipe.load("demo")
    clip = plan.clip.model_copy(update={"max_s": MAX_S})
    return plan.model_copy(update={"clip": clip, "borders": plan.borders.model_copy(update={"method": method})})


if __name__ == "__main__":
    shared = Path(os.environ.get("SVMBENCH_SHARED", "../shared"))
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else shared / "clips")
