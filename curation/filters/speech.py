"""How much of the clip is speech, heard by silero-vad: a voice-over hides the music that the clip should be matched with.

The papers removed clips with significant voices by hand (SVM-10K, arXiv 2405.09286, section 3.1). The detector is the 16 kHz
network of silero-vad 6 (MIT), whose weights lie in its PyPI package; it is run here in numpy, the frames of a clip together,
so that a worker needs neither PyTorch nor a network. The tests compare its probabilities with the package's own model.

What it cannot do: it was not trained to tell singing from speech (snakers4/silero-vad, issues 233 and 565), so songs with
bare vocals may score high, and instruments may raise it (issue 663). Hence the default refuses only clips that are speech
for more than half of their length; the measured share is kept with the clip, and a stricter recipe can ask for less without
measuring again.

Axes: T frames of 32 ms, W windows of 16 ms in a frame, N samples, C channels.
"""

from __future__ import annotations

import importlib.util
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from curation.spectra import finite_wave
from svmbench.errors import MissingExtra
from svmbench.media import ClipMedia, Needs
from svmbench.records import Verdict
from svmbench.settings import setting

HZ = 16_000
FRAME, CONTEXT = 512, 64  # samples: the network reads a frame and the 64 samples before it
NEEDS = Needs(audio_hz=(HZ,))
NAME_OF_MEASURE = "speech_share"
MEASURED_WITH = ("probability",)
EVERY_CLIP = False
MODEL = "data/silero_vad.jit"
SHAPES: dict[str, tuple[int, ...]] = {
    "waves": (258, 256),
    "conv1": (128, 129, 3),
    "conv1_bias": (128,),
    "conv2": (64, 128, 3),
    "conv2_bias": (64,),
    "conv3": (64, 64, 3),
    "conv3_bias": (64,),
    "conv4": (128, 64, 3),
    "conv4_bias": (128,),
    "lstm_in": (512, 128),
    "lstm_hidden": (512, 128),
    "lstm_in_bias": (512,),
    "lstm_hidden_bias": (512,),
    "out": (128,),
    "out_bias": (1,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A frame is speech above `probability`; the clip is refused above `max_share` of such frames."""

    probability: float = setting(0.5, low=0.0, high=1.0, source="silero-vad's default")
    max_share: float = setting(0.5, low=0.0, high=1.0, source="ours")


def measure(clip: ClipMedia, settings: Settings) -> float | None:
    """Share of 32 ms frames that are speech, in [0, 1]; None where there is no audio. A detector that fails raises."""
    wave = finite_wave(clip, HZ)
    return float((speech_probability(wave) > settings.probability).mean()) if wave.size else None


def judge(value: float | None, settings: Settings) -> Verdict:
    """Refuses 'speech'. What could not be measured is kept: the silence filter refuses clips without audio."""
    if value is None:
        return Verdict(keep=True, reason="not_measured", value=None)
    if value > settings.max_share:
        return Verdict(keep=False, reason="speech", value=value)
    return Verdict(keep=True, reason="music", value=value)


def speech_probability(wave: np.ndarray) -> np.ndarray:
    """(T,) probability of speech in each 32 ms frame of a finite 16 kHz wave; the last frame is padded with zeros."""
    found = _run(_tested_weights(), wave)
    if not np.isfinite(found).all():
        raise RuntimeError("silero-vad gave a probability that is no number")
    return found


def _run(net: dict[str, np.ndarray], wave: np.ndarray) -> np.ndarray:
    padded = np.pad(wave.astype(np.float32, copy=False), (CONTEXT, -len(wave) % FRAME))
    frames_TN = np.lib.stride_tricks.sliding_window_view(padded, CONTEXT + FRAME)[::FRAME]
    return _read_out(net, _recur(net, _encode(net, frames_TN)))


def _encode(net: dict[str, np.ndarray], frames_TN: np.ndarray) -> np.ndarray:
    """(T, 128): magnitudes of four windows a frame, then four convolutions over the windows."""
    mirrored = np.pad(frames_TN, ((0, 0), (0, 64)), mode="reflect")
    windows_TWN = np.lib.stride_tricks.sliding_window_view(mirrored, 256, axis=1)[:, ::128]
    waves_TWC = windows_TWN @ net["waves"].T
    x_TWC = np.hypot(waves_TWC[..., :129], waves_TWC[..., 129:])
    for name, stride in (("conv1", 1), ("conv2", 2), ("conv3", 2), ("conv4", 1)):
        near = np.lib.stride_tricks.sliding_window_view(np.pad(x_TWC, ((0, 0), (1, 1), (0, 0))), 3, axis=1)[:, ::stride]
        x_TWC = np.maximum(0, np.tensordot(near, net[name], axes=([2, 3], [1, 2])) + net[f"{name}_bias"])
    return x_TWC[:, 0]


def _recur(net: dict[str, np.ndarray], x_TC: np.ndarray) -> np.ndarray:
    """(T, 128): the hidden states of the LSTM, whose gates stand in the order in, forget, cell, out."""
    gates_TC = x_TC @ net["lstm_in"].T + (net["lstm_in_bias"] + net["lstm_hidden_bias"])
    recurrent = np.ascontiguousarray(net["lstm_hidden"].T)
    hidden_TC = np.zeros_like(x_TC)
    hidden, cell = np.zeros(128, np.float32), np.zeros(128, np.float32)
    for t, gates in enumerate(gates_TC):
        gates = gates + hidden @ recurrent
        opened = _sigmoid(gates)
        cell = opened[128:256] * cell + opened[:128] * np.tanh(gates[256:384])
        hidden = opened[384:] * np.tanh(cell)
        hidden_TC[t] = hidden
    return hidden_TC


def _read_out(net: dict[str, np.ndarray], hidden_TC: np.ndarray) -> np.ndarray:
    return _sigmoid(np.maximum(0, hidden_TC) @ net["out"] + net["out_bias"])


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.tanh(0.5 * x)


@lru_cache
def _tested_weights() -> dict[str, np.ndarray]:
    """The network, once it has heard speech in a made-up voice and none in silence: a broken detector would pass every clip."""
    net = _weights()
    if _run(net, _voice()).mean() < 0.5 or _run(net, np.zeros(HZ, np.float32)).max() > 0.5:
        raise MissingExtra("silero-vad fails the speech filter's self-test: pip install 'silero-vad>=6.2,<6.3'")
    return net


def _voice() -> np.ndarray:
    """1.5 s of two vowels in turn, four syllables a second, on a pitch that moves around 120 Hz."""
    times = np.arange(3 * HZ // 2) / HZ
    phase = 2 * np.pi * np.cumsum(120 * (1 + 0.12 * np.sin(5 * np.pi * times))) / HZ
    turn = 0.5 - 0.5 * np.cos(6 * np.pi * times)
    wave = np.zeros_like(times)
    for harmonic in range(1, 34):
        open_gain, close_gain = (
            sum(gain / (1 + ((120 * harmonic - formant_hz) / 120) ** 2) for formant_hz, gain in formants)
            for formants in (((700, 1.0), (1220, 0.5), (2600, 0.25)), ((300, 1.0), (2200, 0.4), (3000, 0.25)))
        )
        wave += (open_gain * turn + close_gain * (1 - turn)) * np.sin(harmonic * phase)
    wave *= 0.25 + 0.75 * np.maximum(0, np.sin(8 * np.pi * times))
    return (0.3 * wave / np.abs(wave).max()).astype(np.float32)


def _weights() -> dict[str, np.ndarray]:
    """The 16 kHz network's arrays, read once a process from the installed package without importing it (that would import
    PyTorch).

    silero_vad.jit is a zip archive that holds each array as raw float32 in its own numbered file: first those of the 16 kHz
    network, in the order of SHAPES, then those of an 8 kHz one. An archive of other sizes is refused, not guessed at.
    """
    spec = importlib.util.find_spec("silero_vad")
    folders = (spec.submodule_search_locations or []) if spec else []
    path = next((Path(folder) / MODEL for folder in folders if (Path(folder) / MODEL).is_file()), None)
    if path is None:
        raise MissingExtra("the speech filter needs silero-vad 6.2: pip install 'svmbench[curate]'")
    with zipfile.ZipFile(path) as archive:
        numbered = {int(name.rsplit("/", 1)[1]): name for name in archive.namelist() if "/data/" in name}
        filled = [archive.read(numbered[i]) for i in sorted(numbered)]
    raw = [data for data in filled if data][: len(SHAPES)]
    if [len(data) for data in raw] != [4 * int(np.prod(shape)) for shape in SHAPES.values()]:
        raise MissingExtra("this version of silero-vad has another network: pip install 'silero-vad>=6.2,<6.3'")
    return {
        name: np.frombuffer(data, dtype="<f4").reshape(shape) for (name, shape), data in zip(SHAPES.items(), raw, strict=True)
    }
