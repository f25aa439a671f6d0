"""Near-duplicates on re-uploads: recall by kind, false pairs, cost.

    python tests/perf/duplicates.py [CACHE] [--chosen | --smooth] [--all-kinds]

Thirty sources that were held out when max_distance was chosen are uploaded anew with ffmpeg in the five kinds of the target
(--all-kinds: in all KINDS below). They are stretches of different videos under SVMBENCH_SHARED (default ../shared), moving
photographs of scikit-image, and films that ffmpeg computes. --chosen: those on which it was chosen. --smooth: computed films
that were held out when the thresholds of layouts were chosen. The files are kept in CACHE (default: a temporary folder) and used
again. Borders are found by METHODS; "ours" is curation/duplicates.py as it is, "PDQ" that without the layouts of smooth frames,
and pHash64 stands beside them under the same rule. A false pair is one of different sources, source files included. Takes about
three CPU-minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pdqhash
from duplicates_sources import CHOSEN, HELD_OUT, LENGTH_S, SMOOTH, Sources
from skimage import data

from curation import border, hashes
from curation.duplicates import Shown, alike, shown
from svmbench import media
from svmbench.media import ClipMedia
from svmbench.recipe import Duplicates
from svmbench.records import ClipPicture

CLIPS = Path(os.environ.get("SVMBENCH_SHARED", Path(__file__).resolve().parents[3] / "shared")) / "clips"
METHODS = ("none", "paper", "robust")
PHASH_BITS = 10
FIT = "scale=w='min(480,iw)':h=-2,setsar=1,fps='min(30,source_fps)'"
ENCODER = ("-an", "-pix_fmt", "yuv420p", "-preset", "ultrafast")
KINDS: dict[str, tuple[str, tuple[str, ...]]] = {  # filters; [1] is the caption, [2] the logo; options
    "bordered": ("scale=360:-2,pad=360:640:0:(oh-ih)/2", ()),
    "pillars": ("pad=ceil(iw*0.7)*2:ih:(ow-iw)/2:0:0x203040", ()),
    "encoded": ("null", ("-crf", "37")),
    "rescaled": ("scale=ceil(iw*0.22)*2:ceil(ih*0.24)*2", ()),
    "captioned": ("scale=360:-2,pad=360:640:0:(oh-ih)/2[p];[1]scale=300:-1[c];[p][c]overlay=30:H*0.75", ()),
    "caption inside": ("null[p];[1]scale=260:-1[c];[p][c]overlay=(W-w)/2:H*0.78", ()),
    "logo": ("null[p];[2]scale=56:-1[c];[p][c]overlay=W-w-12:12", ()),
    "trimmed": ("trim=start=1.3:end=6,setpts=PTS-STARTPTS", ()),
    "sped up": ("setpts=PTS/1.05,fps=25", ()),
    "other rate": ("fps=12", ()),
    "graded": ("eq=contrast=1.2:brightness=0.06:saturation=1.5:gamma=0.85", ()),
    "dark": ("lutyuv=y=16+(val-16)*0.2", ()),
    "zoomed": ("crop=iw*0.9:ih*0.9,scale=ceil(iw/2)*2:ceil(ih/2)*2", ()),
    "blurred fill": (
        "split[a][b];[a]scale=90:160,boxblur=6:2,scale=360:640[f];[b]scale=360:-2[g];[f][g]overlay=0:(H-h)/2", ()
    ),
    "all at once": (
        "trim=start=0.7:end=7,setpts=(PTS-STARTPTS)/1.03,fps=20,eq=contrast=1.1:gamma=0.9,scale=360:-2,"
        "pad=360:640:0:(oh-ih)/2[p];[1]scale=300:-1[c];[p][c]overlay=30:H*0.78", ("-crf", "33"),
    ),
    "mirrored": ("hflip", ()),
}  # fmt: skip
CROSSED = (
    "source",
    "bordered",
    "pillars",
    "encoded",
    "rescaled",
    "captioned",
    "all at once",
)  # of these and the source files false pairs are looked for
TARGET = ("bordered", "pillars", "encoded", "rescaled", "captioned")


def ffmpeg(*arguments: str) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *arguments], check=True, stdin=subprocess.DEVNULL)


def picture(path: Path, text: str, size: tuple[int, int], scale: float) -> Path:
    """White text with a black edge on nothing, as PNG."""
    canvas = np.zeros((size[1], size[0], 4), np.uint8)
    for colour, width in (((0, 0, 0, 255), 9), ((255, 255, 255, 255), 3)):
        cv2.putText(canvas, text, (8, size[1] - 18), cv2.FONT_HERSHEY_DUPLEX, scale, colour, width, cv2.LINE_AA)
    cv2.imwrite(str(path), canvas)
    return path


def moving_photograph(name: str, path: Path) -> None:
    """A slow pan and zoom over a photograph."""
    found = getattr(data, name)()
    image = found[0] if isinstance(found, tuple) else found  # a stereo pair
    image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR if image.ndim == 2 else cv2.COLOR_RGB2BGR)
    height, width = image.shape[:2]
    raw = path.with_suffix(".avi")
    writer = cv2.VideoWriter(str(raw), cv2.VideoWriter.fourcc(*"MJPG"), 25, (480, 270))
    for t in np.linspace(0, 1, 25 * LENGTH_S):
        share = 0.9 - 0.35 * t
        across, down = int(width * share), int(min(height, width * 9 / 16) * share)
        left, top = int((width - across) * t), int((height - down) * (1 - t) * 0.8)
        writer.write(cv2.resize(image[top : top + down, left : left + across], (480, 270), interpolation=cv2.INTER_AREA))
    writer.release()
    ffmpeg("-i", str(raw), *ENCODER, "-crf", "20", str(path))
    raw.unlink()


def origins(folder: Path, sources: Sources) -> Iterator[tuple[str, Path, float]]:
    """(name, file, second to begin at)."""
    yield from ((name, CLIPS / path, start) for name, path, start in sources.names())
    for name in sources.photographs:
        path = folder / f"photograph-{name}.mp4"
        if not path.exists():
            moving_photograph(name, path)
        yield name, path, 0
    for i, film in enumerate(sources.films):
        name = f"{film.split('=')[0]} {i}"
        path = folder / f"film-{name}.mp4"
        if not path.exists():
            ffmpeg("-f", "lavfi", "-t", str(LENGTH_S), "-i", film, *ENCODER, "-crf", "18", str(path))
        yield name, path, 0


def uploads(folder: Path, sources: Sources, kinds: Collection[str]) -> Iterator[tuple[str, str, Path]]:
    """(source, kind, file); kind is 'source' for the file that the others were made from."""
    caption = picture(folder / "caption.png", "wait for it ...", (420, 70), 1.5)
    logo = picture(folder / "logo.png", "@me", (140, 80), 1.6)
    for source, origin, start in origins(folder, sources):
        first = folder / f"{source}-source.mp4".replace(" ", "_")
        if not first.exists() and origin.exists():
            ffmpeg("-ss", str(start), "-t", str(LENGTH_S), "-i", str(origin), "-vf", FIT, *ENCODER, "-crf", "18", str(first))
        for kind in kinds if first.exists() else ():
            filters, options = KINDS[kind]
            path = folder / f"{source}-{kind}.mp4".replace(" ", "_")
            if not path.exists():
                graph = f"[0:v]{filters},scale=ceil(iw/2)*2:ceil(ih/2)*2[out]"
                inputs = ["-i", str(first), "-i", str(caption), "-i", str(logo), "-filter_complex", graph, "-map", "[out]"]
                ffmpeg(*inputs, *ENCODER, *(options or ("-crf", "26")), str(path))
            yield source, kind, path
        if first.exists():
            yield source, "source", first


class Hashed:
    """All files with one way to find borders: what curation/hashes.py has, and pHash64, of the same frames."""

    def __init__(self) -> None:
        self.shown: dict[tuple[str, str], Shown] = {}
        self.phash: dict[tuple[str, str], np.ndarray] = {}
        self.cpu_s: dict[str, float] = defaultdict(float)
        self.num_frames = 0

    def add(self, name: tuple[str, str], clip: ClipMedia, rule: Duplicates, peers: bool) -> None:
        began = time.process_time()
        times_s, found, qualities, layouts = hashes.of(clip)
        self.cpu_s["PDQ and layout, ours"] += time.process_time() - began
        seen = ClipPicture(
            clip_id="", border_method="", border_kinds=(), border_confidences=(), cut_times_s=(), hash_times_s=times_s,
            hashes=found, hash_qualities=qualities, hash_layouts=layouts,
        )  # fmt: skip
        self.shown[name] = shown(seen, rule)
        images = clip.frames(hashes.FRAMES).images
        self.num_frames += len(images)
        began = time.process_time()
        self.phash[name] = np.array([phash64(image) for image in images], np.uint64)[:, None]
        self.cpu_s["pHash64"] += time.process_time() - began
        if peers:
            coloured = np.repeat(images[..., None], 3, axis=3)
            began = time.process_time()
            for image in coloured:
                pdqhash.compute(image)
            self.cpu_s["PDQ, pdqhash"] += time.process_time() - began


def phash64(luma_HW: np.ndarray) -> int:
    """The 8 x 8 lowest frequencies of 32 x 32 points against their median, as ImageHash does it."""
    low = cv2.dct(cv2.resize(luma_HW, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32))[:8, :8].ravel()
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


def share64(first_E: np.ndarray, second_F: np.ndarray, rule: Duplicates) -> float | None:
    near = np.bitwise_count(first_E ^ second_F.T) <= PHASH_BITS
    share = near.any(axis=1).mean() if len(first_E) <= len(second_F) else near.any(axis=0).mean()
    return float(share) if share >= rule.match_share else None


def pdq_share(first: Shown, second: Shown, rule: Duplicates) -> float | None:
    """Ours without the layouts."""
    first, second = (replace(clip, layouts_L4=clip.layouts_L4[:0]) for clip in (first, second))
    return alike(first, second, rule)


def report(method: str, found: Hashed, rule: Duplicates) -> None:
    names = sorted(found.shown)
    print(f"\nborders: {method}; {len({s for s, _ in names})} sources, {len(names)} files")
    ways: dict[str, Callable[[tuple[str, str], tuple[str, str]], float | None]] = {
        "ours": lambda a, b: alike(found.shown[a], found.shown[b], rule),
        "PDQ": lambda a, b: pdq_share(found.shown[a], found.shown[b], rule),
        "pHash64": lambda a, b: share64(found.phash[a], found.phash[b], rule),
    }
    for title, share in ways.items():
        hits: dict[str, list[bool]] = defaultdict(list)
        false, num_crossed = [], 0
        for a, b in combinations(names, 2):
            if a[0] != b[0]:
                num_crossed += a[1] in CROSSED and b[1] in CROSSED
                if a[1] in CROSSED and b[1] in CROSSED and share(a, b) is not None:
                    false.append((a, b))
            elif "source" in (a[1], b[1]):
                hits[a[1] if b[1] == "source" else b[1]].append(share(a, b) is not None)
        target = [hit for kind in TARGET for hit in hits[kind]]
        print(f"  {title:<8} recall {np.mean(target):.3f} of {len(target)} ({', '.join(TARGET)})")
        print(f"    false pairs {len(false)} of {num_crossed}")
        print("    " + "; ".join(f"{kind} {np.mean(hits[kind]):.2f}" for kind in KINDS if hits[kind]))
        for a, b in false[:5]:
            print(f"    false: {a} and {b}")
    print("  CPU: " + "; ".join(f"{k} {1e3 * s / found.num_frames:.2f} ms a frame, {1e3 * s / len(names):.1f} ms a file"
                                for k, s in found.cpu_s.items()))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", nargs="?", type=Path)
    parser.add_argument("--chosen", action="store_true", help="the sources on which max_distance was chosen")
    parser.add_argument("--smooth", action="store_true", help="computed films of soft shades")
    parser.add_argument("--all-kinds", action="store_true", help="all kinds of uploads, not only those of the target")
    told = parser.parse_args()
    if not CLIPS.is_dir():
        print(f"skipped: there are no videos in {CLIPS}; set SVMBENCH_SHARED")
        return
    with contextlib.ExitStack() as stack:
        folder = told.cache or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        sources = CHOSEN if told.chosen else SMOOTH if told.smooth else HELD_OUT
        compare(uploads(folder, sources, KINDS if told.all_kinds else TARGET))


def compare(files: Iterable[tuple[str, str, Path]]) -> None:
    rule = Duplicates()
    methods = {name: border.method(name) for name in METHODS}
    wanted = media.union([hashes.NEEDS, *(m.NEEDS for m in methods.values())])
    tables: dict[str, Hashed] = defaultdict(Hashed)
    for source, kind, path in files:
        clip = media.decode(path, wanted, 60.0)
        for name, method in methods.items():
            tables[name].add((source, kind), clip.with_box(method.find(clip).box), rule, peers=name == "none")
    for name, found in tables.items():
        report(name, found, rule)


if __name__ == "__main__":
    main()
