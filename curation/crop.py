"""One video and its border, apart from any run: look at it, draw what was found, or write a copy without the border.

The video itself is never changed and no file is ever written over. Axes: T time, H height, W width, C colour (RGB).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curation import border
from curation.border import SIDES, Border
from svmbench import media
from svmbench.errors import BadInput, BadMedia, MissingExtra
from svmbench.media import FrameNeed, Needs, Probe
from svmbench.records import Box

try:
    from PIL import Image, ImageDraw, ImageFont

    from curation.cropped_copy import Copied, check_free, write_cropped, written
except ImportError as error:
    raise MissingExtra("svmbench crop needs PyAV and Pillow; pip install 'svmbench[curate]'") from error

PICTURES, COPIES = (".png", ".jpg", ".jpeg"), (".mp4", ".mkv")
WHOLE_S = 24 * 3600.0  # the whole video is looked at, however long
SHOWN, NUM_SHOWN = FrameNeed(count=9, plane="rgb", short_side_px=360), 3  # ours: of nine frames over the video three are drawn
SMALLEST_SHOWN_PX = 240  # ours: smaller videos are drawn enlarged
LINE, TINT, TEXT, PAPER = (0, 230, 118), (105, 21, 42), (235, 235, 235), (24, 24, 28)  # red, green, blue
PAD_PX, LINE_PX, ROW_PX = 14, 3, 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A video and the border that `method` found in it. frames_THWC: up to three whole frames, spread over its length."""

    path: Path
    method: str
    probe: Probe
    border: Border
    times_s: tuple[float, ...]
    frames_THWC: np.ndarray


def look(path: Path | str, method: str = "robust") -> Looked:
    """Decodes a video once and finds its border; BadInput where there is no video to look at, UnknownName for the method."""
    path, finder = Path(path), border.method(method)
    if not path.is_file():
        raise BadInput(f"{path} is not a file")
    try:
        clip = media.decode(path, media.union([finder.NEEDS, Needs(frames=(SHOWN,))]), WHOLE_S)
    except BadMedia as error:
        raise BadInput(f"{path} cannot be read as a video ({error})") from error
    shown, found = clip.frames(SHOWN), finder.find(clip)
    number = len(shown.images)
    chosen = [int((i + 0.5) * number / NUM_SHOWN) for i in range(NUM_SHOWN)] if number > NUM_SHOWN else list(range(number))
    times_s = tuple(float(shown.times_s_T[i]) for i in chosen)
    return Looked(path=path, method=method, probe=clip.probe, border=found, times_s=times_s, frames_THWC=shown.images[chosen])


def crop_filter(box: Box) -> str:
    """The box in the words of ffmpeg's crop filter, which turns a video by its rotation tag before it cuts, as we do."""
    return f"crop={box.width_px}:{box.height_px}:{box.left_px}:{box.top_px}"


def as_json(looked: Looked) -> dict[str, Any]:
    """All that was found, for a program to read."""
    found, probe = looked.border, looked.probe
    return {
        "file": str(looked.path), "method": looked.method, "width_px": probe.width_px, "height_px": probe.height_px,
        "duration_s": probe.duration_s, "rotation_deg": probe.rotation_deg, "truncated": probe.truncated, "kind": found.kind,
        "confidence": found.confidence, "box": asdict(found.box), "crop": crop_filter(found.box),
        "sides": {name: asdict(side) for name, side in zip(SIDES, found.sides, strict=True)},
    }  # fmt: skip


def write(looked: Looked, out: Path | str, progress: Callable[[float], None] | None = None) -> Copied | None:
    """A picture (.png, .jpg) that shows the border, or a copy (.mp4, .mkv) without it: the ending of `out` decides.

    Call check_out before look() to refuse a bad name before the work is done.
    """
    check_out(looked.path, out)
    if Path(out).suffix.lower() in PICTURES:
        draw(looked, out)
        return None
    return write_cropped(looked.path, out, looked.border.box, progress)


def check_out(path: Path | str, out: Path | str) -> None:
    """BadInput where `out` has an unknown ending, is there already (the video itself above all), or has no folder to be in."""
    if Path(out).suffix.lower() not in PICTURES + COPIES:
        wanted = f"{', '.join(PICTURES)} for a picture of the border, {' or '.join(COPIES)} for a cropped copy"
        raise BadInput(f"{out} has no ending that can be written; use {wanted}")
    check_free(path, out)


def draw(looked: Looked, out: Path | str) -> None:
    """Writes the three frames side by side with the box around the picture and what is cut dimmed; the findings below."""
    out = Path(out)
    with written(looked.path, out) as part:
        sheet(looked).save(part, quality=92)


def sheet(looked: Looked) -> Image.Image:
    """The picture that draw() writes. The frames begin PAD_PX from the left and the top; inside the box they are untouched."""
    panels = [_panel(frame_HWC, looked) for frame_HWC in looked.frames_THWC]
    lines = lines_of(looked)
    bold, plain = ImageFont.load_default(17), ImageFont.load_default(15)
    width = max(sum(p.width + PAD_PX for p in panels) + PAD_PX, 2 * PAD_PX + int(max(map(bold.getlength, lines))))
    top = PAD_PX + max(p.height for p in panels)
    canvas = Image.new("RGB", (width, top + 2 * PAD_PX + ROW_PX * (len(lines) + 1)), PAPER)
    pen, at_x = ImageDraw.Draw(canvas), PAD_PX
    for panel, time_s in zip(panels, looked.times_s, strict=True):
        canvas.paste(panel, (at_x, PAD_PX))
        _outline(pen, looked, (at_x, PAD_PX), panel.size)
        pen.text((at_x, top + 4), f"{time_s:.1f} s", TEXT, plain)
        at_x += panel.width + PAD_PX
    for i, line in enumerate(lines):
        pen.text((PAD_PX, top + PAD_PX + ROW_PX * (i + 1)), line, TEXT, plain if i else bold)
    return canvas


def _panel(frame_HWC: np.ndarray, looked: Looked) -> Image.Image:
    """One frame at the size in which it is shown, what is cut dimmed towards red."""
    height, width = frame_HWC.shape[:2]
    times = max(1, -(-SMALLEST_SHOWN_PX // min(height, width)))
    shown_HWC = frame_HWC.repeat(times, 0).repeat(times, 1)
    left, top, right, bottom = _scaled(looked, (width * times, height * times))
    dimmed_HWC = (0.35 * shown_HWC + 0.65 * np.array(TINT)).astype(np.uint8)
    dimmed_HWC[top:bottom, left:right] = shown_HWC[top:bottom, left:right]
    return Image.fromarray(dimmed_HWC)


def _scaled(looked: Looked, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box in a frame of this width and height: left, top, right, bottom."""
    box, across, down = looked.border.box, size[0] / looked.probe.width_px, size[1] / looked.probe.height_px
    right, bottom = box.left_px + box.width_px, box.top_px + box.height_px
    return round(box.left_px * across), round(box.top_px * down), round(right * across), round(bottom * down)


def _outline(pen: Any, looked: Looked, at: tuple[int, int], size: tuple[int, int]) -> None:
    """A frame of LINE_PX around the box, all of it outside, so that the picture's outermost pixels can be seen."""
    left, top, right, bottom = _scaled(looked, size)
    x, y = at
    outer = x + left - LINE_PX, y + top - LINE_PX, x + right + LINE_PX - 1, y + bottom + LINE_PX - 1
    pen.rectangle(outer, outline=LINE, width=LINE_PX)


def lines_of(looked: Looked) -> list[str]:
    """What was found, for people: the video, the verdict with ffmpeg's crop filter, and the four sides."""
    probe, found = looked.probe, looked.border
    first = f"{looked.path.name}   {probe.width_px} x {probe.height_px}   {probe.duration_s:.1f} s   method {looked.method}"
    first += "   the file is damaged or breaks off" if probe.truncated else ""
    verdict = "no border: the whole picture is kept" if found.kind == "none" else f"{found.kind}   {crop_filter(found.box)}"
    rows = [
        f"{name}: {f'{side.kind}, {side.depth_px} px' if side.depth_px else 'none'}, confidence {side.confidence:.2f}"
        for name, side in zip(SIDES, found.sides, strict=True)
    ]
    return [first, verdict, *rows]
