"""Decoding each video once for all consumers, against once a consumer: python tests/perf/one_pass.py [FOLDER].

FOLDER holds videos; without it, those under SVMBENCH_SHARED (default ../shared). Prints CPU-seconds and ratios; ffmpeg decoding
into nothing on one thread is 1, where ffmpeg is installed. The peer is what a chain of operators does that open the file each.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

from curation.borders.paper import FRAMES
from svmbench import plugins, recipe
from svmbench.errors import BadMedia
from svmbench.media import Needs, decode, union

MAX_S = 60.0


def consumers() -> dict[str, Needs]:
    """What the demo's recipe asks of the decoder, consumer by consumer."""
    plan = recipe.load("demo")
    found = {name: plugins.load("curation.filters", name).NEEDS for name in plan.filters}
    found |= {name: plugins.load("curation.features", name).NEEDS for name in plan.features}
    found["borders"] = Needs(frames=(FRAMES,))
    return {name: needs for name, needs in found.items() if needs != Needs()}


def videos(folder: Path) -> list[Path]:
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.suffix in (".mp4", ".webm", ".mkv")):
        try:
            clip = decode(path, Needs(), MAX_S)
        except BadMedia:
            continue
        if clip.duration_s >= 4:
            found.append(path)
    return found


def ffmpeg_s(path: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = ["ffmpeg", "-v", "quiet", "-threads", "1", "-t", str(MAX_S), "-i", str(path), "-f", "null", "-"]
    subprocess.run(command, check=False, stdin=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(folder: Path) -> None:
    if not folder.is_dir():
        print(f"skipped: there are no videos in {folder}; name a folder, or set SVMBENCH_SHARED")
        return
    wanted, files = consumers(), videos(folder)
    if not files:
        raise SystemExit(f"no videos of 4 s or more in {folder}")
    total = {
        "ffmpeg into nothing": 0.0,
        "ours, decode alone": 0.0,
        "ours, one pass for all": 0.0,
        "peer, one pass a consumer": 0.0,
    }
    for path in files:
        if shutil.which("ffmpeg"):
            total["ffmpeg into nothing"] += ffmpeg_s(path)
        for name, jobs in (
            ("ours, decode alone", [Needs()]),
            ("ours, one pass for all", [union(wanted.values())]),
            ("peer, one pass a consumer", list(wanted.values())),
        ):
            began = time.process_time()
            for needs in jobs:
                decode(path, needs, MAX_S)
            total[name] += time.process_time() - began
    unit = total["ffmpeg into nothing"] or total["ours, decode alone"]
    print(f"{len(files)} videos, {len(wanted)} consumers: {', '.join(wanted)}")
    for name, seconds in total.items():
        if seconds:
            print(f"{name:<28} {seconds:8.2f} CPU-s  {seconds / unit:6.2f}")
    print(f"one pass is {total['peer, one pass a consumer'] / total['ours, one pass for all']:.1f} times cheaper")


if __name__ == "__main__":
    shared = Path(os.environ.get("SVMBENCH_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else shared / "clips")
