"""What does it cost to listen? python tests/perf/speech.py [--clips N]

The detector of speech against the package's own PyTorch model, one clip at a time and sixteen together, on the same clips of 15 s
in one process and on one core: CPU-seconds, and seconds of sound a CPU-second. Then each filter of the sound by itself, with what
the clips share (the spectrum, the probabilities of speech) counted for the first that asks. The clips are real speech and real
music under SVMBENCH_SHARED (default ../shared), in turn, from different places of each file. At most 20 CPU-seconds by default.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import torch

from curation.filters import _silero, ambience, clipping, held_pitch, loudness, silence, speech
from svmbench.media import ClipMedia, Probe
from svmbench.records import Box
from svmbench.sound import Sound, resampled

HZ, CLIP_S = 16_000, 15
FOLDER = (
    Path(os.environ.get("SVMBENCH_SHARED", Path(__file__).resolve().parents[2].parent / "shared")) / "clips/librosa+data/audio"
)
FILES = (
    "198-209-0000.ogg",
    "Kevin_MacLeod_-_Vibe_Ace.ogg",
    "3436-172162-0000.ogg",
    "sweet-waltz",
    "5703-47212-0000.ogg",
    "Hungarian",
)
BATCH = 16
TAKES = 3
ORDER = (silence, speech, held_pitch, ambience, loudness, clipping)


def waves(number: int) -> list[np.ndarray]:
    """Clips of 15 s, speech and music in turn."""
    found = []
    for words in FILES:
        path = next(path for path in sorted(FOLDER.iterdir()) if words in path.name)
        sound = Sound(60.0)
        with av.open(str(path)) as container:
            for frame in container.decode(audio=0):
                sound.add(frame)
        rate, wave = sound.laid_out(0.0, 60.0)
        found.append(resampled(wave, rate, HZ))
    return [np.roll(np.tile(found[i % len(found)], 2), -i * HZ)[: CLIP_S * HZ].copy() for i in range(number)]


def clip(wave: np.ndarray) -> ClipMedia:
    probe = Probe(
        width_px=2, height_px=2, fps=None, duration_s=CLIP_S, container_s=None, video_codec=None, audio_codec=None,
        audio_s=CLIP_S, rotation_deg=0, truncated=False, clipped_runs_per_s=0.0,
    )  # fmt: skip
    box = Box(left_px=0, top_px=0, width_px=2, height_px=2)
    return ClipMedia(probe=probe, start_s=0.0, end_s=float(CLIP_S), box=box, frames={}, waves={HZ: wave})


def best(work: Callable[[], object]) -> float:
    """CPU-seconds, the least of TAKES."""
    found = []
    for _ in range(TAKES):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=BATCH)
    number = parser.parse_args().clips
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from silero_vad import load_silero_vad

        model = load_silero_vad()
    sounds = waves(number)
    together = torch.from_numpy(np.stack(sounds))
    start = time.process_time()
    speech.prepare()
    print(f"start: weights read and self-test passed in {1000 * (time.process_time() - start):.0f} ms of CPU")
    with torch.no_grad():
        model.audio_forward(together[:1], HZ)
        apart = max(
            float(np.abs(_silero.probabilities(wave) - model.audio_forward(row[None], HZ)[0].numpy()).max())
            for wave, row in zip(sounds[:4], together, strict=False)
        )
        rows = {
            "ours, one clip at a time": best(lambda: [_silero.probabilities(wave) for wave in sounds]),
            "the package's model, one at a time": best(lambda: [model.audio_forward(row[None], HZ) for row in together]),
            f"the package's model, {BATCH} together": best(
                lambda: [model.audio_forward(part, HZ) for part in together.split(BATCH)]
            ),
        }
    print(f"largest difference of a probability: {apart:.1e}")
    for name, cpu_s in rows.items():
        print(f"{name:38s} {1000 * cpu_s / number:7.1f} ms a clip of {CLIP_S} s   {number * CLIP_S / cpu_s:6.0f} times real time")
    total = 0.0
    for module in ORDER:
        spent = []
        for _ in range(TAKES):
            media = [clip(wave) for wave in sounds]
            for before in ORDER[: ORDER.index(module)]:
                for one in media:
                    before.measure(one, before.Settings())
            start = time.process_time()
            for one in media:
                module.measure(one, module.Settings())
            spent.append(time.process_time() - start)
        total += min(spent)
        print(f"{module.__name__.rsplit('.', 1)[1]:12s} {1000 * min(spent) / number:7.1f} ms a clip")
    minutes = 10_000 * total / number / 60
    print(f"together {1000 * total / number:.1f} ms a clip: {minutes:.1f} core-minutes for 10,000 clips of {CLIP_S} s")


if __name__ == "__main__":
    main()
