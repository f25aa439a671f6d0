"""The commands for the sound, as a person types them: review, audit-split, curate with decisions and with its report."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import yaml
from skimage import data
from typer.testing import CliRunner, Result

from svmbench import jobs
from svmbench.cli import app
from svmbench.provenance import settle
from svmbench.recipe import load
from svmbench.records import Clip, Drop, Post, Split, to_table
from svmbench.store import RunFolder

SIDE, FPS, HZ, LENGTH_S = 96, 10, 16_000, 4
PHOTO = np.ascontiguousarray(data.astronaut())
OF_ISSUE_D = ("sounds", "fingerprints", "songs", "verdicts", "labels")  # tables that older runs do not have


def tune(*pitches_hz: float) -> np.ndarray:
    """Four notes in a row: sound that is tonal."""
    at_s = np.arange(HZ * LENGTH_S // len(pitches_hz)) / HZ
    return np.concatenate([0.3 * np.sin(2 * np.pi * hz * at_s) * np.exp(-at_s) for hz in pitches_hz])


def noise(seed: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(HZ * LENGTH_S)


# What is heard, and what the rules say of it.
TUNE, OTHER_TUNE = tune(262, 330, 392, 523), tune(220, 277, 330, 440)
HEARD = {
    "tune": TUNE, "again": TUNE, "other": OTHER_TUNE,  # kept
    "wind": noise(0),  # dropped: ambience
    "breeze": noise(1) + 0.45 * tune(294, 294, 370, 440), "gale": noise(2) + 0.45 * OTHER_TUNE,  # in doubt: noisy
}  # fmt: skip
AUTHOR = {"tune": "anna", "other": "anna"}


def film(path: Path, wave: np.ndarray, row: int) -> Path:
    """A photograph that moves, from this row on, with this sound."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS, options={"crf": "24", "preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = SIDE, SIDE, "yuv420p"
        sound = container.add_stream("aac", rate=HZ, layout="mono")
        for i in range(FPS * LENGTH_S):
            image = np.ascontiguousarray(PHOTO[row : row + SIDE, 3 * i : 3 * i + SIDE])
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode())
        for start in range(0, len(wave) - 1023, 1024):
            piece = av.AudioFrame.from_ndarray(wave[None, start : start + 1024].astype(np.float32), "fltp", "mono")
            piece.rate, piece.time_base, piece.pts = HZ, Fraction(1, HZ), start
            container.mux(sound.encode(piece))
        container.mux(sound.encode())
    return path
