"""The 16 kHz network of silero-vad 6 (MIT), run in numpy: how probable speech is in each 32 ms of a wave.

Its weights lie in the PyPI package; the frames of a clip are run together, so that a worker needs neither PyTorch nor a network.
The tests compare its probabilities with the package's own model.

Axes: T frames of 32 ms, W windows of 16 ms in a frame, N samples, C channels.
"""

from __future__ import annotations

import importlib.util
import zipfile
from functools import lru_cache
from pathlib import Path

import numpy as np
import scipy.fft

from curation.spectra import hann
from svmbench.errors import MissingExtra

HZ = 16_000
FRAME, CONTEXT = 512, 64  # samples: the network reads a frame and the 64 samples before it
BLOCK = 2000  # ours: frames that are encoded together
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


def probabilities(wave: np.ndarray) -> np.ndarray:
    """(T,) probability of speech in each 32 ms frame of a finite 16 kHz wave; the last frame is padded with zeros."""
    found = _run(tested_weights(), wave)
    if not np.isfinite(found).all():
        raise RuntimeError("silero-vad gave a probability that is no number")
    return found


def _run(net: dict[str, np.ndarray], wave: np.ndarray) -> np.ndarray:
    """The probabilities, block after block: the memory does not grow with the clip."""
    memory = np.zeros(2 * 128, np.float32)
    num_frames = -(-len(wave) // FRAME)
    found = np.empty(num_frames, np.float32)
    for start in range(0, num_frames, BLOCK):
        end = min(start + BLOCK, num_frames)
        part = wave[max(0, start * FRAME - CONTEXT) : end * FRAME].astype(np.float32, copy=False)
        before = CONTEXT if start == 0 else 0
        padded = np.pad(part, (before, CONTEXT + (end - start) * FRAME - before - len(part)))
        frames_TN = np.lib.stride_tricks.sliding_window_view(padded, CONTEXT + FRAME)[::FRAME]
        hidden_TC, memory = _recur(net, _encode(net, frames_TN), memory)
        found[start:end] = _sigmoid(np.maximum(0, hidden_TC) @ net["out"] + net["out_bias"])
    return found


def _encode(net: dict[str, np.ndarray], frames_TN: np.ndarray) -> np.ndarray:
    """(T, 128): magnitudes of four windows a frame, then four convolutions over the windows."""
    mirrored = np.pad(frames_TN, ((0, 0), (0, 64)), mode="reflect")
    windows_TWN = np.lib.stride_tricks.sliding_window_view(mirrored, 256, axis=1)[:, ::128]
    x_TWC = np.abs(scipy.fft.rfft(windows_TWN * hann(256), axis=2))
    for name, stride in (("conv1", 1), ("conv2", 2), ("conv3", 2), ("conv4", 1)):
        x_TWC = _convolved(x_TWC, net[name], net[f"{name}_bias"], stride)
    return x_TWC[:, 0]


def _convolved(x_TWC: np.ndarray, weights: np.ndarray, bias: np.ndarray, stride: int) -> np.ndarray:
    """Three windows around every stride-th one, those that there are, times the weights of shape (3 x C, out); never below 0.

    The windows of a frame lie behind each other, so that a product reads its windows without a copy.
    """
    num_frames, num_windows, channels = x_TWC.shape
    flat = x_TWC.reshape(num_frames, -1)
    places = range(0, num_windows, stride)
    found = np.empty((num_frames, len(places), len(bias)), np.float32)
    for i, place in enumerate(places):
        first, last = max(0, place - 1), min(num_windows, place + 2)
        there = slice((first - place + 1) * channels, (last - place + 1) * channels)
        found[:, i] = flat[:, first * channels : last * channels] @ weights[there]
    found += bias
    return np.maximum(found, 0, out=found)


def _recur(net: dict[str, np.ndarray], x_TC: np.ndarray, memory: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T, 128), the hidden states of the LSTM, and its memory after them: twice the hidden state, and the cell.

    sigmoid(x) is (1 + tanh(x / 2)) / 2, so one tanh serves all gates; they stand in the order in, forget, out, cell.
    """
    gates_TC = x_TC @ net["gates_in"] + net["gates_bias"]
    twice_TC = np.empty_like(x_TC)
    state, products = np.empty(5 * 128, np.float32), np.empty(2 * 128, np.float32)
    gates, opened, out, cell = state[:512], state[:384], state[256:384], state[512:]
    twice, cell[:] = memory[:128], memory[128:]
    for t, gates_in in enumerate(gates_TC):
        np.dot(net["gates_hidden"], twice, out=gates)
        gates += gates_in
        np.tanh(gates, out=gates)
        opened += 1
        np.multiply(state[:256], state[384:], out=products)  # twice in x cell gate, and twice forget x cell
        np.add(products[:128], products[128:], out=cell)
        cell *= 0.5
        twice = np.multiply(out, np.tanh(cell), out=twice_TC[t])
    return twice_TC * np.float32(0.5), np.concatenate([twice, cell])


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.tanh(0.5 * x)


@lru_cache
def tested_weights() -> dict[str, np.ndarray]:
    """The network, once it has heard speech in a made-up voice and none in silence: a broken detector would pass every clip."""
    net = _arranged(_weights())
    if _run(net, _voice()).mean() < 0.5 or _run(net, np.zeros(HZ, np.float32)).max() > 0.5:
        raise MissingExtra("silero-vad fails the speech filter's self-test: pip install 'silero-vad>=6.2,<6.3'")
    return net


def _arranged(raw: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays as the products read them. The network's first layer is a Fourier transform under a Hann window, for which there
    is a faster way than a product; another one is refused.
    """
    turns = 2 * np.pi * np.arange(129)[:, None] * np.arange(256) / 256
    if not np.allclose(raw["waves"], np.concatenate([np.cos(turns), -np.sin(turns)]) * hann(256), atol=1e-5):
        raise MissingExtra("this version of silero-vad has another network: pip install 'silero-vad>=6.2,<6.3'")
    order = np.concatenate([np.arange(256), np.arange(384, 512), np.arange(256, 384)])  # the package has in, forget, cell, out
    halved = np.repeat(np.array([0.5, 1], np.float32), [384, 128])[:, None]
    net = {name: array for name, array in raw.items() if not name.startswith(("conv", "lstm")) or name.endswith("bias")}
    for name in ("conv1", "conv2", "conv3", "conv4"):
        net[name] = np.ascontiguousarray(raw[name].transpose(2, 1, 0).reshape(-1, len(raw[name])))
    net["gates_in"] = np.ascontiguousarray((raw["lstm_in"][order] * halved).T)
    net["gates_hidden"] = np.asfortranarray(
        raw["lstm_hidden"][order] * halved * np.float32(0.5)
    )  # it reads twice the hidden state
    net["gates_bias"] = (raw["lstm_in_bias"] + raw["lstm_hidden_bias"])[order] * halved[:, 0]
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
