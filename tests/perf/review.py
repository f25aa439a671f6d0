"""The review page on a large run: CPU time to open it, to decide, and to sum up.

python tests/perf/review.py [number of clips, default 10000]
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from curation.review import decisions
from curation.review.session import Session
from svmbench import recipe as recipes
from svmbench import records
from svmbench.records import Box, Clip, ClipPicture, ClipSound, Features, RuleVerdict
from svmbench.store import RunFolder

RECIPE = recipes.parse(
    {"name": "review", "search": {"words": ["dance"]}, "filters": {"silence": {}, "speech": {}, "ambience": {}}}, "perf"
)
BOX = Box(left_px=0, top_px=0, width_px=90, height_px=160)


def a_run(folder: str, num_clips: int) -> RunFolder:
    """Clips of 15 s with 26 measures, a waveform, 30 beats, a motion curve and 60 hashes; a fifth of them in doubt."""
    run, rng = RunFolder.create(folder), np.random.default_rng(0)
    names = ["silent_share", "speech_share", "tonal_share", "held_share", *(f"m{k}" for k in range(22))]
    clips = [
        Clip(
            clip_id=f"tiktok-{i}-0", post_id=str(i), song_id=f"tiktok:{i // 3}", start_s=0.0, end_s=15.0, fps=30.0, width_px=90,
            height_px=160, box=BOX, media="", measures=dict(zip(names, map(float, rng.random(26)), strict=True)),
        )
        for i in range(num_clips)
    ]  # fmt: skip
    kinds = rng.choice(["review", "keep", "drop"], num_clips, p=[0.2, 0.6, 0.2])
    rules = [
        RuleVerdict(clip_id=clip.clip_id, verdict=str(kind), filter="silence", reason="mostly_silent", value=0.5)
        for clip, kind in zip(clips, kinds, strict=True)
    ]
    beats = tuple(float(t) for t in np.arange(30) / 2)
    sounds = [
        ClipSound(
            clip_id=c.clip_id, peaks=bytes(750), peak_hop_s=0.02, speech_starts_s=(1.0,), speech_ends_s=(2.0,), beats_s=beats
        )
        for c in clips
    ]
    times = tuple(float(t) for t in np.arange(60) / 4)
    pictures = [
        ClipPicture(
            clip_id=c.clip_id, border_method="robust", border_kinds=("none",) * 4, border_confidences=(0.0,) * 4,
            cut_times_s=(3.0, 9.0), hash_times_s=times, hashes=(bytes(32),) * 60, hash_qualities=(90,) * 60,
        )
        for c in clips
    ]  # fmt: skip
    flows = [(c.clip_id, Features(values_TD=np.zeros((4, 4), np.float32), hop_s=4.0)) for c in clips]
    tables = {
        "candidates": records.to_table(Clip, clips), "verdicts": records.to_table(RuleVerdict, rules),
        "sounds": records.to_table(ClipSound, sounds), "features_optical_flow": records.features_table(flows),
        "pictures": records.to_table(ClipPicture, pictures),
    }  # fmt: skip
    with run.writing("curate") as writer:
        writer.commit([], tables)
    half = [clip.clip_id for clip in clips[::2]]
    decisions.append(run.path, [
        decisions.new(name, "ben" if i % 2 else "anna", "keep", reason="", blind=False, item_hash="", filter_version="")
        for i, name in enumerate(half)
    ])  # fmt: skip
    return run


def timed(name: str, work: Callable[[], Any]) -> Any:
    began = time.process_time()
    found = work()
    print(f"{name:42s} {time.process_time() - began:7.3f} s")
    return found


def main(num_clips: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = a_run(folder, num_clips)
        print(f"{num_clips} clips, half of them decided")
        session = timed("open", lambda: Session(RECIPE, run, "anna", second=0.1, blind=0.1, seed=0))
        state = timed("first clip (reads the log)", session.state)
        for turn in ("a decision and the next clip", "another one"):
            clip_id = state["item"]["clip_id"]
            state = timed(turn, lambda clip_id=clip_id: session.decide(clip_id, "keep", ""))
        timed("summary", session.summary)
    print(f"{'memory':42s} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:7.0f} MiB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
