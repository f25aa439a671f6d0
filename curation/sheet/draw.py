"""The pictures of the contact sheet as SVG: frames with their box, the motion over time, and a measure over the run."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape

from curation.sheet.margins import Rule
from svmbench.records import Clip, Thumbnails

CURVE = (300, 54)  # width and height of the motion curve, in its own units
HISTOGRAM = (300, 84)
BINS = 30
BASELINE = 16  # room below a histogram for its scale


def frame(jpeg: bytes, clip: Clip, at_s: float) -> Markup:
    """One frame with its border dimmed and the box drawn; sizes are the clip's own pixels."""
    width, height, box = clip.width_px, clip.height_px, clip.box
    right, bottom = box.left_px + box.width_px, box.top_px + box.height_px
    around = f"M0 0H{width}V{height}H0Z M{box.left_px} {box.top_px}V{bottom}H{right}V{box.top_px}Z"
    boxed = (box.width_px, box.height_px) != (width, height)
    parts = [f'<image width="{width}" height="{height}" href="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"/>']
    if boxed:
        line = max(width, height) / 160
        parts += [
            f'<path class="dim" fill-rule="evenodd" d="{around}"/>',
            f'<rect class="box" x="{box.left_px}" y="{box.top_px}" width="{box.width_px}" height="{box.height_px}" '
            f'stroke-width="{line:.1f}"/>',
        ]
    label = f"frame at {at_s:.1f} s" + (", border dimmed" if boxed else "")
    return Markup(f'<svg class="frame" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">{"".join(parts)}</svg>')


def frames(clip: Clip, thumbnails: Thumbnails | None) -> Markup:
    if thumbnails is None or not clip.width_px:
        return Markup('<p class="none">no thumbnails</p>')
    pairs = zip(thumbnails.jpegs, thumbnails.times_s, strict=True)
    return Markup("").join(frame(jpeg, clip, at_s) for jpeg, at_s in pairs)


def motion(values_T: np.ndarray, hop_s: float, clip: Clip, cuts_s: Sequence[float], top: float) -> Markup:
    """Mean displacement in diagonals a second over the clip, as steps of hop_s, with a mark at each cut.

    top: the value at the upper edge, the same for all clips of a sheet; what is above it is drawn there.
    """
    width, height = CURVE
    length_s = max(clip.end_s - clip.start_s, 1e-6)
    scale = width / length_s
    steps = []
    for step, value in enumerate(values_T):
        y = height - 2 - min(float(value) / top, 1.0) * (height - 6)
        first, last = step * hop_s * scale, min((step + 1) * hop_s, length_s) * scale
        steps.append(f"{first:.1f},{y:.1f} {last:.1f},{y:.1f}")
    marks = "".join(f'<path class="cut" d="M{t * scale:.1f} 0v{height}"/>' for t in cuts_s)
    words = f"motion over {length_s:.1f} s, mean {float(np.mean(values_T)):.3g} diagonals a second, {len(cuts_s)} cuts"
    line = " ".join(steps)
    return Markup(
        f'<svg class="curve" viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="img" '
        f'aria-label="{words}"><title>{words}</title>{marks}'
        f'<polyline points="0,{height} {line} {width},{height}" class="area"/><polyline points="{line}" class="line"/></svg>'
    )


def histogram(rule: Rule) -> Markup:
    """How a measure is distributed over the run's clips, with its thresholds."""
    width, height = HISTOGRAM
    floor = height - BASELINE
    low, high = min((*rule.values, *rule.thresholds)), max((*rule.values, *rule.thresholds))
    high = high if high > low else low + 1
    counts, _ = np.histogram(rule.values, bins=BINS, range=(low, high))
    wide = width / BINS
    bars = "".join(
        f'<rect class="bar" x="{i * wide + 0.5:.1f}" y="{floor - tall:.1f}" width="{wide - 1:.1f}" height="{tall:.1f}"/>'
        for i, count in enumerate(counts)
        if (tall := (floor - 4) * np.sqrt(count / counts.max()))
    )
    marks = "".join(f'<path class="limit" d="M{(t - low) / (high - low) * width:.1f} 0V{floor}"/>' for t in rule.thresholds)
    limits = ", ".join(f"{t:.4g}" for t in rule.thresholds) or "none"
    words = escape(f"{rule.measure} of {len(rule.values)} clips from {low:.3g} to {high:.3g}; the verdict turns at: {limits}")
    return Markup(
        f'<svg class="histogram" viewBox="0 0 {width} {height}" role="img" aria-label="{words}"><title>{words}</title>'
        f'{bars}{marks}<path class="axis" d="M0 {floor}H{width}"/><text x="0" y="{height - 3}">{low:.3g}</text>'
        f'<text x="{width}" y="{height - 3}" text-anchor="end">{high:.3g}</text></svg>'
    )
