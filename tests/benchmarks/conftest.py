"""Runs with features that were never a video: pairs that share a hidden cause, several clips a song."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from svmbench.records import Box, Clip, Features, Split, features_table, to_table
from svmbench.store import RunFolder

BOX = Box(left_px=0, top_px=0, width_px=8, height_px=8)


def clip(clip_id: str, song_id: str, media: str) -> Clip:
    return Clip(
        clip_id=clip_id, post_id=clip_id, song_id=song_id, start_s=0.0, end_s=5.0, fps=25.0, width_px=8, height_px=8,
        box=BOX, media=media,
    )  # fmt: skip


def make_run(
    path: Path, *, songs: int = 60, signal: float = 2.0, seed: int = 0, split: bool = True, media: Mapping[str, str] | None = None
) -> RunFolder:
    """One to three clips a song; a clip's video (5 steps of 12 values) and music (one step of 10) share four hidden values."""
    rng = np.random.default_rng(seed)
    run = RunFolder.create(path)
    clips, video, music = [], [], []
    to_video, to_music = rng.normal(size=(4, 12)), rng.normal(size=(4, 10))
    for song in range(songs):
        cause = rng.normal(size=4)
        for number in range(1 + song % 3):
            clip_id = f"c{song:03d}-{number}"
            clips.append(clip(clip_id, f"s{song:03d}", (media or {}).get(clip_id, "")))
            steps = signal * cause @ to_video + rng.normal(size=(5, 12))
            video.append((clips[-1].clip_id, Features(values_TD=steps.astype(np.float32), hop_s=1.0)))
            heard = signal * cause @ to_music + rng.normal(size=(1, 10))
            music.append((clips[-1].clip_id, Features(values_TD=heard.astype(np.float32), hop_s=5.0)))
    tables = {
        "clips": to_table(Clip, clips),
        "features_look": features_table(video),
        "features_sound": features_table(music),
    }
    if split:
        bounds = {"train": (0, 0.6), "val": (0.6, 0.75), "test": (0.75, 1)}
        parts = [
            Split(
                name=n,
                clip_ids=tuple(c.clip_id for c in clips if lo * songs <= int(c.song_id[1:]) < hi * songs),
                grouped_by="song",
            )
            for n, (lo, hi) in bounds.items()
        ]
        tables["splits"] = to_table(Split, parts)
    with run.writing("curate") as writer:
        writer.commit([c.clip_id for c in clips], tables)
    run.write_settings({"features": {"look": "video", "sound": "music"}, "recipe": {"name": "toy"}})
    return run


@pytest.fixture
def toy(tmp_path: Path) -> RunFolder:
    """60 songs, 120 clips, a clear signal, split 60/15/25 by song."""
    return make_run(tmp_path / "toy")


@pytest.fixture(scope="session")
def toy_maker() -> Callable[..., RunFolder]:
    return make_run
