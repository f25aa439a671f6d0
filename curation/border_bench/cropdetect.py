"""ffmpeg's cropdetect as a method to compare with: the program is run on the file, as people do.

It looks at every frame; the border is what it says at the end of the file ('cropdetect': all that any frame showed) or most often
('cropdetect_mode': frame by frame). Both run in one process; each one's CPU time is its share of what that process takes longer
than one that only decodes.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from svmbench.errors import BadMedia

NAMES = {"cropdetect": 0, "cropdetect_mode": 1}  # the filter's `reset`: never, or after every frame
BoxPx = tuple[int, int, int, int]
LIMIT, ROUND = 24, 2  # the filter's default limit of 24 of 255; boxes on even pixels, the finest that its default output allows
_CROP = re.compile(r"crop=(-?\d+):(-?\d+):(-?\d+):(-?\d+)")
_CPU = re.compile(r"bench: utime=([\d.]+)s stime=([\d.]+)s")


@cache
def version() -> str | None:
    """'5.1.9', or None where there is no ffmpeg."""
    if shutil.which("ffmpeg") is None:
        return None
    said = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=False).stdout.split()
    return said[2] if len(said) > 2 else "unknown"


def find(path: Path, names: Sequence[str], size: tuple[int, int], max_s: float) -> tuple[dict[str, BoxPx], float]:
    """({name: (left, top, right, bottom) in pixels, right and bottom exclusive}, CPU milliseconds of each)."""
    filters = ",".join(f"cropdetect=limit={LIMIT}:round={ROUND}:reset={NAMES[name]}" for name in names)
    said, cpu_ms = _run(path, filters, max_s)
    own_ms = (cpu_ms - _run(path, "null", max_s)[1]) / len(names)
    lines = said.splitlines()
    found = {}
    for number, name in enumerate(names):
        boxes = [_CROP.findall(line)[0] for line in lines if f"Parsed_cropdetect_{number} " in line and _CROP.search(line)]
        found[name] = _box(boxes, name, size)
    return found, own_ms


def _box(said: Sequence[tuple[str, ...]], name: str, size: tuple[int, int]) -> BoxPx:
    """Its last word or its most frequent one; the whole frame where it saw nothing but black, or nothing at all."""
    if not said:
        return (0, 0, *size)
    width, height, left, top = map(int, said[-1] if name == "cropdetect" else Counter(said).most_common(1)[0][0])
    return (left, top, left + width, top + height) if width > 0 and height > 0 else (0, 0, *size)


def _run(path: Path, video_filter: str, max_s: float) -> tuple[str, float]:
    command = ["ffmpeg", "-hide_banner", "-nostdin", "-benchmark", "-threads", "1", "-t", f"{max_s:g}", "-i", str(path), "-an",
               "-filter_threads", "1", "-vf", video_filter, "-f", "null", "-"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    cpu = _CPU.search(done.stderr)
    if done.returncode or cpu is None:
        raise BadMedia("ffmpeg", " ".join(done.stderr.split())[-160:])
    return done.stderr, 1000 * (float(cpu[1]) + float(cpu[2]))
