"""No border is looked for: the picture is the whole frame."""

from __future__ import annotations

from curation.border import Border, border_of
from svmbench.media import ClipMedia, Needs

NEEDS = Needs()


def find(clip: ClipMedia) -> Border:
    size = clip.probe.width_px, clip.probe.height_px
    return border_of((0, 0, *size), size, "none", 0.0)
