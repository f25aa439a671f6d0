"""The pictures of the review page as SVG: the sound over time, and where a clip stands among the others of the run."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from markupsafe import Markup

from curation.sheet.margins import Rule
from svmbench.records import ClipSound

WAVE = (1000, 100)  # width and height of the waveform, in its own units
COLUMNS = 260  # ours: bars of a waveform
STRIP = (160, 26)
BINS = 32


def waveform(sound: ClipSound, length_s: float, *, spans: bool) -> Markup:
    """Bars as tall as the square root of the loudest sample, ticks for beats, and with `spans` what was heard as speech."""
    width, height = WAVE
    scale = width / max(length_s, 1e-6)
    heard = list(zip(sound.speech_starts_s, sound.speech_ends_s, strict=False)) if spans else []
    shades = "".join(
        f'<rect class="speech" x="{start * scale:.1f}" y="0" width="{max(end - start, 0) * scale:.1f}" height="{height}"/>'
        for start, end in heard
    )
    tops = loudness(sound, length_s)
    wide = width / COLUMNS
    bars = {"wave": "", "voice": ""}
    for i, top in enumerate(tops):
        at_s = (i + 0.5) * length_s / COLUMNS
        kind = "voice" if any(start <= at_s < end for start, end in heard) else "wave"
        tall = max(1.2, float(top) * (height - 16))
        bars[kind] += f"M{i * wide + 0.7:.1f} {(height - tall) / 2:.1f}h{wide - 1.4:.1f}v{tall:.1f}h-{wide - 1.4:.1f}z"
    beats = "".join(f"M{t * scale:.1f} {height - 7}v7" for t in sound.beats_s if 0 <= t <= length_s)
    words = f"sound over {length_s:.1f} s, {len(sound.beats_s)} beats" + (f", {len(heard)} stretches of speech" if spans else "")
    return Markup(
        f'<svg class="waveform" viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="img" aria-label="{words}">'
        f'{shades}<path class="wave" d="{bars["wave"]}"/><path class="voice" d="{bars["voice"]}"/>'
        f'<path class="beats" d="{beats}"/></svg>'
    )


def loudness(sound: ClipSound, length_s: float) -> np.ndarray:
    """(COLUMNS,) square roots of the loudest sample of each stretch of the clip, in [0, 1]."""
    peaks = np.frombuffer(sound.peaks, np.uint8) / 255
    edges = np.arange(COLUMNS + 1) * length_s / COLUMNS / sound.peak_hop_s
    found = [peaks[int(low) : max(int(np.ceil(high)), int(low) + 1)] for low, high in pairwise(edges)]
    return np.sqrt([part.max() if part.size else 0.0 for part in found])


def strip(rule: Rule, value: float | None) -> Markup:
    """How a measure is distributed over the run, where the verdict turns, and this clip's value as a dot."""
    width, height = STRIP
    if not rule.values:
        return Markup("")
    shown = (*rule.values, *rule.thresholds)
    low, high = min(shown), max(shown)
    high = high if high > low else low + 1
    counts, _ = np.histogram(rule.values, bins=BINS, range=(low, high))
    wide = (width - 8) / BINS
    bars = "".join(
        f'<rect class="bar" x="{4 + i * wide:.1f}" y="{height - 4 - tall:.1f}" width="{wide - 0.6:.1f}" height="{tall:.1f}"/>'
        for i, count in enumerate(counts)
        if (tall := (height - 8) * float(np.sqrt(count / counts.max())))
    )

    def x(number: float) -> str:
        return f"{4 + min(max((number - low) / (high - low), 0.0), 1.0) * (width - 8):.1f}"

    limits = "".join(f'<path class="limit" d="M{x(t)} 0V{height}"/>' for t in rule.thresholds)
    dot = "" if value is None or not np.isfinite(value) else f'<circle class="here" cx="{x(value)}" cy="{height - 5}" r="4"/>'
    floor = f'<path class="floor" d="M0 {height - 3.5}H{width}"/>'
    return Markup(f'<svg class="strip" viewBox="0 0 {width} {height}" aria-hidden="true">{floor}{bars}{limits}{dot}</svg>')
