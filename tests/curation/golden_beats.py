"""Writes beats_librosa.json, the beats that librosa finds on the seeded tracks: python tests/curation/golden_beats.py.

For each track of tests/perf/beat_tracks.py, whole and then in its seven segments of 4 s: the tempo and the frames of the beats.
"""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "perf"))
beat_tracks = importlib.import_module("beat_tracks")

SEEDS = range(4)  # of 16 styles
GOLDEN = HERE / "beats_librosa.json"
Found = tuple[float, list[int]]


def pieces(wave: np.ndarray) -> list[np.ndarray]:
    """The whole and its segments."""
    return [wave, *np.split(wave, 7)]


def by_librosa(wave: np.ndarray, **options: Any) -> Found:
    """Tempo and frames; librosa warns of waves that are shorter than its window."""
    import librosa

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "n_fft=")
        tempo_bpm, frames = librosa.beat.beat_track(y=wave, sr=beat_tracks.HZ, trim=False, **options)
    return float(np.atleast_1d(tempo_bpm)[0]), frames.tolist()


def golden() -> dict[str, list[Found]]:
    return {track.name: [by_librosa(wave) for wave in pieces(track.wave)] for track in beat_tracks.tracks(SEEDS)}


if __name__ == "__main__":
    lines = (f"{json.dumps(name)}: {json.dumps(found, separators=(',', ':'))}" for name, found in golden().items())
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{GOLDEN.name}: {GOLDEN.stat().st_size} bytes")
