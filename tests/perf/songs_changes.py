"""What happens to a song on its way into another post: the changes that tests/perf/songs.py and the tests make to a wave.

All waves are float32 mono of HZ. A speed changes pitch and tempo together, as a turntable does; 0 dB: as loud as the music.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
import soxr

from crawl.replica import voice

HZ = 22_050
SEMITONE = 2 ** (1 / 12)
Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def aac(wave_N: np.ndarray, bit_rate: int = 48_000) -> np.ndarray:
    """Through FFmpeg's AAC encoder and back."""
    file = io.BytesIO()
    with av.open(file, "w", format="adts") as container:
        stream = container.add_stream("aac", rate=HZ, layout="mono")
        stream.bit_rate, stream.options = bit_rate, {"aac_coder": "fast"}
        for start in range(0, len(wave_N) - 1023, 1024):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(wave_N[None, start : start + 1024], np.float32), "fltp", "mono"
            )
            frame.rate, frame.pts, frame.time_base = HZ, start, Fraction(1, HZ)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    file.seek(0)
    with av.open(file) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


def tempo(wave_N: np.ndarray, times: float) -> np.ndarray:
    """Faster at the same pitch: FFmpeg's atempo."""
    graph = av.filter.Graph()
    first = graph.add_abuffer(sample_rate=HZ, format="flt", layout="mono", time_base=Fraction(1, HZ))
    middle, last = graph.add("atempo", str(times)), graph.add("abuffersink")
    first.link_to(middle)
    middle.link_to(last)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave_N[None], np.float32), "flt", "mono")
    frame.rate, frame.pts, frame.time_base = HZ, 0, Fraction(1, HZ)
    graph.push(frame)
    graph.push(None)
    parts = []
    while True:
        try:
            parts.append(graph.pull().to_ndarray()[0])
        except (av.error.EOFError, av.error.BlockingIOError):
            return np.concatenate(parts)


def speed(wave_N: np.ndarray, times: float) -> np.ndarray:
    return np.asarray(soxr.resample(wave_N, HZ * times, HZ), np.float32)


def pitch(wave_N: np.ndarray, times: float) -> np.ndarray:
    """Higher at the same tempo."""
    return tempo(speed(wave_N, times), 1 / times)


def noise(wave_N: np.ndarray, rng: np.random.Generator, over_db: float = 0.0) -> np.ndarray:
    """White noise over it, louder by over_db."""
    return wave_N + rng.standard_normal(len(wave_N)).astype(np.float32) * _level(wave_N) * np.float32(10 ** (over_db / 20))


def speech(wave_N: np.ndarray, rng: np.random.Generator, over_db: float = 0.0) -> np.ndarray:
    """The composer's voice over it, louder by over_db where it speaks."""
    length_s = len(wave_N) / HZ
    spoken = voice.speak(voice.script(rng, 0.2, length_s - 0.2), length_s, rng)
    spoken = np.asarray(soxr.resample(spoken, voice.HZ, HZ))[: len(wave_N)]
    spoken *= _level(wave_N) / 0.1 * np.float32(10 ** (over_db / 20))  # the voice has an RMS of 0.1 while it speaks
    return wave_N + np.pad(spoken, (0, len(wave_N) - len(spoken)))


def _level(wave_N: np.ndarray) -> np.float32:
    return np.float32(np.sqrt((wave_N.astype(float) ** 2).mean()))


CHANGES: dict[str, Change] = {  # those that issue D asks for
    "AAC 48 kbit/s": lambda wave_N, rng: aac(wave_N),
    "tempo +5 %": lambda wave_N, rng: tempo(wave_N, 1.05),
    "tempo -5 %": lambda wave_N, rng: tempo(wave_N, 0.95),
    "speed +10 %": lambda wave_N, rng: speed(wave_N, 1.1),
    "speed -10 %": lambda wave_N, rng: speed(wave_N, 0.9),
    "pitch +1 semitone": lambda wave_N, rng: pitch(wave_N, SEMITONE),
    "pitch -1 semitone": lambda wave_N, rng: pitch(wave_N, 1 / SEMITONE),
    "noise 0 dB": lambda wave_N, rng: noise(wave_N, rng),
    "speech 0 dB": lambda wave_N, rng: speech(wave_N, rng),
}
HARDER: dict[str, Change] = {  # beyond what was asked
    "noise +5 dB": lambda wave_N, rng: noise(wave_N, rng, 5.0),
    "speech +5 dB": lambda wave_N, rng: speech(wave_N, rng, 5.0),
    "speed +10 %, speech 0 dB": lambda wave_N, rng: speech(speed(wave_N, 1.1), rng),
    "speed +6 %, AAC": lambda wave_N, rng: aac(speed(wave_N, 1.06)),
}
