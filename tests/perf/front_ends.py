"""What the sound's front ends cost: python tests/perf/front_ends.py [FILE].

CPU-milliseconds for 15 s of music (FILE, or one of librosa's tracks below SVMBENCH_SHARED, default ../shared; without them,
composed noise), one thread, the best of several takes in turn: each log-mel front end as arrays and as tensors beside
kaldi-native-fbank, and VM-NET's vector beside librosa on the same formula. Then what every filter and feature that listens and
the fingerprint cost on a decoded clip, their sum with the decoding of the sound, and that sum for 10,000 clips against the target
of 60 core-minutes (360 ms a clip). Last, what a worker would pay for PyTorch: seconds and memory of its import.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import kaldi_native_fbank as knf
import librosa
import numpy as np
import torch

from curation import fingerprint
from curation.features import _vm_net
from curation.frontends import core, inputs
from curation.frontends.spec import CMMIXER, FBANK80, VGGISH, Spec
from svmbench import plugins
from svmbench.errors import MissingExtra
from svmbench.media import ClipMedia, Needs, decode, union

SECONDS, HZ = 15.0, 16_000
TAKES = 7
TARGET_MS = 360.0
TRACK = "clips/librosa+data/audio/Kevin_MacLeod_-_Vibe_Ace.ogg"
IMPORT = """
import sys, time; began = time.process_time()
import numpy, cv2, av, soxr{more}
rss = [line for line in open('/proc/self/status') if line.startswith('VmRSS')][0].split()[1]
print(time.process_time() - began, int(rss) / 1000)
"""


def best_ms(works: dict[str, Callable[[], Any]], takes: int = TAKES) -> dict[str, float]:
    """CPU-milliseconds of each, the least of its takes; one take of all after the other, so that a busy spell hits all alike."""
    found = dict.fromkeys(works, float("inf"))
    for _ in range(takes):
        for name, work in works.items():
            began = time.process_time()
            work()
            found[name] = min(found[name], 1000 * (time.process_time() - began))
    return found


def with_kaldi(wave: np.ndarray, spec: Spec) -> np.ndarray:
    options = knf.FbankOptions()
    options.frame_opts.dither = 0
    options.frame_opts.window_type = "povey" if spec.window == "povey" else "hanning"
    options.mel_opts.num_bins = spec.num_mels
    options.use_energy = False
    extractor = knf.OnlineFbank(options)
    extractor.accept_waveform(spec.hz, wave)
    extractor.input_finished()
    return np.stack([extractor.get_frame(i) for i in range(extractor.num_frames_ready)])


def with_librosa(wave: np.ndarray) -> list[np.ndarray]:
    """VM-NET's blocks as its authors call librosa for them."""
    found = []
    feature, hz = librosa.feature, _vm_net.HZ
    for y in librosa.effects.hpss(np.pad(wave, (0, max(0, _vm_net.LENGTH - len(wave))))[: _vm_net.LENGTH]):
        grid: dict[str, Any] = {"y": y, "hop_length": 256, "n_fft": 512}
        mfcc = feature.mfcc(y=y, sr=hz, hop_length=256)
        found += [
            feature.chroma_stft(sr=hz, **grid), feature.chroma_cens(y=y, sr=hz, hop_length=256),
            feature.melspectrogram(n_mels=96, **grid), mfcc, feature.delta(mfcc), feature.delta(mfcc, order=2),
            feature.rms(y=y, hop_length=256, frame_length=512), feature.spectral_centroid(sr=hz, **grid),
            feature.spectral_bandwidth(sr=hz, **grid), feature.spectral_rolloff(sr=hz, **grid),
            feature.poly_features(sr=hz, **grid), feature.poly_features(sr=hz, order=2, **grid),
            feature.zero_crossing_rate(y=y, hop_length=256, frame_length=512),
        ]  # fmt: skip
    return [librosa.power_to_db(np.abs(rows), ref=np.max) for rows in found]


def front_ends(wave: np.ndarray, low: np.ndarray) -> None:
    one, many = torch.from_numpy(wave)[None], torch.from_numpy(wave).repeat(8, 1)
    works: dict[str, Callable[[], Any]] = {}
    for name, spec in (("vggish", VGGISH), ("fbank80", FBANK80), ("cmmixer", CMMIXER)):
        works[f"{name}, arrays"] = lambda spec=spec: core.long_log_mel(wave, spec)
        works[f"{name}, tensors"] = lambda spec=spec: core.log_mel(one, spec)
        works[f"{name}, tensors, batch of 8"] = lambda spec=spec: core.log_mel(many, spec)
        if spec.preemphasis:
            works[f"{name}, kaldi-native-fbank"] = lambda spec=spec: with_kaldi(wave, spec)
    for front_end in (inputs.vggish, inputs.ut_cmvmr, inputs.imagebind, inputs.ast, inputs.cmmixer):
        works[f"inputs.{front_end.__name__}, tensors"] = lambda front_end=front_end: front_end(one)
    works["vmnet1140, both readings"] = lambda: _vm_net.describe(low)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # librosa: empty mel filters, tuning of silence
        with_librosa(low)
        took = best_ms(works) | best_ms({"vmnet1140, librosa": lambda: with_librosa(low)}, 2)
    print(f"{'front end, 15 s':<34} {'CPU ms':>8} {'ours against it':>16}")
    for name, ms in took.items():
        each, ours = ms / (8 if "batch" in name else 1), ""
        if "kaldi" in name:
            ours = f"{ms / took[name.split(',')[0] + ', arrays']:15.1f}x"
        elif "librosa" in name:
            ours = f"{ms / took['vmnet1140, both readings']:15.1f}x"
        print(f"{name:<34} {each:8.2f} {ours:>16}")


def listeners() -> dict[str, tuple[Needs, Callable[[ClipMedia], Any]]]:
    """Every filter and feature that listens, and the fingerprint; what needs an extra that is not installed is left out."""
    found: dict[str, tuple[Needs, Callable[[ClipMedia], Any]]] = {"fingerprint": (fingerprint.NEEDS, fingerprint.of)}
    for folder in ("curation.filters", "curation.features"):
        for name in plugins.names(folder):
            try:
                module: Any = plugins.load(folder, name)
            except MissingExtra:
                continue
            if module.NEEDS.audio_hz and not module.NEEDS.frames:
                settings = module.Settings() if folder.endswith("filters") else None
                found[name] = (
                    module.NEEDS,
                    module.extract if settings is None else lambda c, m=module, s=settings: m.measure(c, s),
                )
    return found


def all_listeners(wave: np.ndarray) -> None:
    all_of, total = listeners(), 0.0
    needs = union(need for need, _ in all_of.values())
    with tempfile.TemporaryDirectory() as folder:
        path = film(Path(folder) / "clip.mp4", wave)
        silent_ms = best_ms({"": lambda: decode(path, Needs(), SECONDS)})[""]
        decoding_ms = best_ms({"": lambda: decode(path, needs, SECONDS)})[""] - silent_ms
        rows: dict[str, float] = {}
        for _ in range(TAKES + 1):  # a fresh clip each: consumers share what they compute of a clip
            clip = decode(path, needs, SECONDS)
            for name, (_, work) in all_of.items():
                began = time.process_time()
                try:
                    work(clip)
                except MissingExtra:
                    continue
                rows[name] = min(1000 * (time.process_time() - began), rows.get(name, float("inf")))
    rows = {f"decoding and resampling to {', '.join(map(str, needs.audio_hz))} Hz": decoding_ms, **rows}
    print(f"\n{'every listener, in turn on one clip':<64} {'CPU ms':>8}")
    for name, ms in rows.items():
        total += ms
        print(f"{name:<64} {ms:8.2f}")
    print(f"{'sum':<64} {total:8.2f}")
    print(f"10,000 clips of 15 s: {total / 6:.1f} core-minutes; the target is {TARGET_MS / 6:.0f}: ratio {total / TARGET_MS:.2f}")


def film(path: Path, wave: np.ndarray) -> Path:
    """The wave as AAC under a tiny picture."""
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=2)
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        sound: Any = container.add_stream("aac", rate=HZ, layout="mono")
        for _ in range(round(2 * SECONDS)):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        for start in range(0, len(wave) - 1023, 1024):
            piece = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave[None, start : start + 1024]), "fltp", "mono")
            piece.rate, piece.pts = HZ, start
            container.mux(sound.encode(piece))
        container.mux(video.encode())
        container.mux(sound.encode())
    return path


def price_of_torch() -> None:
    print()
    for more in ("", ", torch"):
        told = subprocess.run([sys.executable, "-c", IMPORT.format(more=more)], capture_output=True, text=True, check=True).stdout
        seconds, megabytes = map(float, told.split())
        print(f"a worker's imports{' with torch' * bool(more):<12} {seconds:5.2f} CPU-s {megabytes:6.0f} MB resident")


def main(track: Path) -> None:
    torch.set_num_threads(1)
    if track.is_file():
        wave, low = (librosa.load(track, sr=hz, duration=SECONDS)[0] for hz in (HZ, _vm_net.HZ))
    else:
        rng = np.random.default_rng(0)
        wave, low = (0.1 * rng.standard_normal(round(SECONDS * hz)).astype(np.float32) for hz in (HZ, _vm_net.HZ))
    front_ends(wave, low)
    all_listeners(wave)
    price_of_torch()


if __name__ == "__main__":
    shared = Path(os.environ.get("SVMBENCH_SHARED", "../shared"))
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else shared / TRACK)
