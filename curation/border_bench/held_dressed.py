"""Held-out kinds: bars in which something is written, drawn or moves about, as editors and players put it there.

Axes: T time, H height, W width, C colour. All shares and ranges are ours.
"""

from __future__ import annotations

import cv2
import numpy as np

from curation.border_bench.bars import boxed, colour, letterbox, pillarbox
from curation.border_bench.kinds import Kind, Scene, by_name, canvas
from curation.border_bench.lettering import STICKERS, extent, fitted, phrase, sticker, write
from svmbench.records import Box

Drawn = tuple[np.ndarray, Box]
BRIGHT = ((255, 40, 60), (60, 220, 120), (250, 250, 250), (255, 200, 40), (60, 150, 255))


def _deep(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box, int]:
    """Black bars with room for something, and the first row below the picture."""
    frames, box = boxed(scene, letterbox(scene, rng, 0.16, 0.3))
    return frames, box, box.top_px + box.height_px


def _bright(rng: np.random.Generator) -> tuple[int, ...]:
    return BRIGHT[rng.integers(len(BRIGHT))]


def progress_edge(scene: Scene, rng: np.random.Generator) -> Drawn:
    """The line that grows lies against the picture."""
    frames, box, below = _deep(scene, rng)
    thick, paint = int(rng.integers(2, 4)), _bright(rng)
    for step, frame_HWC in enumerate(frames):
        frame_HWC[below : below + thick, : (step + 1) * scene.width_px // scene.num_frames] = paint
    return frames, box


def scrubber(scene: Scene, rng: np.random.Generator) -> Drawn:
    """A player's controls: a grey line through all of the bar, a knob that runs along it, and the time."""
    frames, box, below = _deep(scene, rng)
    depth = scene.height_px - below
    line, paint = below + int(rng.uniform(0.3, 0.6) * depth), _bright(rng)
    for step, frame_HWC in enumerate(frames):
        x = (step + 1) * scene.width_px // scene.num_frames
        frame_HWC[line : line + 2], frame_HWC[line : line + 2, :x] = 110, paint
        cv2.circle(frame_HWC, (x, line + 1), max(3, depth // 12), paint, -1, cv2.LINE_AA)
        write(frame_HWC, f"0:{step // scene.fps:02d} / 0:{scene.num_frames // scene.fps:02d}", 8, line + 6, 9, (200, 200, 200))
    return frames, box


def karaoke(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Lines of a song change in the lower bar, and a colour runs through the words."""
    frames, box, below = _deep(scene, rng)
    depth, length, paint = scene.height_px - below, max(6, scene.num_frames // 5), _bright(rng)
    for start in range(0, scene.num_frames, length):
        plain = np.zeros((depth, scene.width_px, 3), np.uint8)
        sung = plain.copy()
        for row in range(2):
            text = phrase(rng)
            size = fitted(text, round(0.9 * scene.width_px), round(0.34 * depth))
            left = (scene.width_px - extent(text, size)[0]) // 2
            write(plain, text, left, round((0.08 + 0.45 * row) * depth), size, (245, 245, 245))
            write(sung, text, left, round((0.08 + 0.45 * row) * depth), size, paint)
        for step, frame_HWC in enumerate(frames[start : start + length]):
            reached = round((step + 1) / length * scene.width_px)
            frame_HWC[below:, :reached], frame_HWC[below:, reached:] = sung[:, :reached], plain[:, reached:]
    return frames, box


def equaliser(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Columns that jump with the sound, from the bottom of the video at times up to the picture."""
    frames, box, below = _deep(scene, rng)
    depth, number, paint = scene.height_px - below, int(rng.integers(16, 40)), _bright(rng)
    heights = rng.uniform(0.1, 1.0, number)
    pitch = scene.width_px / number
    for frame_HWC in frames:
        heights = np.clip(0.6 * heights + 0.4 * rng.uniform(0, 1.25, number) ** 1.5, 0.03, 1.0)
        for i, height in enumerate(heights):
            left = round(i * pitch)
            frame_HWC[scene.height_px - round(height * depth) :, left : left + max(1, round(0.6 * pitch))] = paint
    return frames, box


def pop_up_button(scene: Scene, rng: np.random.Generator) -> Drawn:
    """A button appears for a while, half over the picture and half over the bar."""
    frames, box, below = _deep(scene, rng)
    wide, high, paint = round(rng.uniform(0.3, 0.6) * scene.width_px), max(16, scene.height_px // 18), _bright(rng)
    first = int(rng.uniform(0, 0.5) * scene.num_frames)
    left, top = int(rng.uniform(0.05, 0.35) * scene.width_px), below - high // 2
    for step, frame_HWC in enumerate(frames[first : first + scene.num_frames // 2]):
        grown = min(1.0, 0.4 + step / 8)
        right, bottom = left + round(grown * wide), top + round(grown * high)
        cv2.rectangle(frame_HWC, (left, top), (right, bottom), paint, -1, cv2.LINE_AA)
        write(frame_HWC, "SUBSCRIBE", left + 6, top + high // 5, max(6, high // 2), (10, 10, 10))
    return frames, box


def hopping_watermark(scene: Scene, rng: np.random.Generator) -> Drawn:
    """A name that jumps from corner to corner of the video, through bars and picture."""
    frames, box = boxed(scene, letterbox(scene, rng, 0.08, 0.3))
    size, length = max(8, scene.width_px // 24), max(4, scene.num_frames // 6)
    wide = extent("@little.fox", size)[0]
    for start in range(0, scene.num_frames, length):
        left = int(rng.choice([8, scene.width_px - wide - 8]))
        top = int(rng.choice([8, round(0.45 * scene.height_px), scene.height_px - 2 * size - 8]))
        for frame_HWC in frames[start : start + length]:
            marked = frame_HWC.copy()
            write(marked, "@little.fox", left, top, size, (255, 255, 255))
            frame_HWC[:] = cv2.addWeighted(frame_HWC, 0.3, marked, 0.7, 0)
    return frames, box


def shadow_caption(scene: Scene, rng: np.random.Generator) -> Drawn:
    """A caption with a soft shadow lies across the upper edge of the picture, all the time or most of it."""
    frames, box, _ = _deep(scene, rng)
    text = phrase(rng)
    size = fitted(text, round(0.85 * scene.width_px), round(0.12 * scene.height_px))
    wide, high = extent(text, size)
    left, top = (scene.width_px - wide) // 2, box.top_px - high // 2
    mask = np.zeros((scene.height_px, scene.width_px, 3), np.uint8)
    write(mask, text, left, top, size, (255, 255, 255))
    ink = mask[..., :1] / 255.0
    shade = cv2.GaussianBlur(np.roll(mask[..., 0], (3, 3), (0, 1)), (0, 0), 4)[..., None] / 255.0
    first = int(rng.choice([0, scene.num_frames // 4]))
    for frame_HWC in frames[first:]:
        frame_HWC[:] = frame_HWC * (1 - 0.8 * shade) * (1 - ink) + 255 * ink
    return frames, box


def hashtag_block(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Small text fills one bar from edge to edge and stands still."""
    ground = colour(rng)
    frames, box = boxed(scene, letterbox(scene, rng, 0.16, 0.3), canvas(scene, ground))
    below, size = box.top_px + box.height_px, int(rng.integers(8, 14))
    block = np.full((scene.height_px - below, scene.width_px, 3), ground, np.uint8)
    ink = (20, 20, 20) if sum(ground) > 380 else (240, 240, 240)
    for top in range(2, len(block) - 2 * size, 2 * size):
        write(block, "  ".join(phrase(rng) for _ in range(6)), 3, top, size, ink)
    frames[:, below:] = block
    return frames, box


def live_chat(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Lines of a chat climb out of the lower bar over the lower part of the picture."""
    frames, box, below = _deep(scene, rng)
    size = max(8, scene.height_px // 50)
    lines = [f"{'@' if i % 2 else ''}{phrase(rng)}" for i in range(30)]
    top, speed = below - round(0.15 * scene.height_px), rng.uniform(0.5, 2.0)
    for step, frame_HWC in enumerate(frames):
        chat = frame_HWC[top:]
        for i, line in enumerate(lines):
            y = round(len(chat) * 0.2 + 2.1 * size * i - speed * step)
            if 0 <= y < len(chat) - size:
                write(chat, line, 10, y, size, (240, 240, 240))
    return frames, box


def side_letters(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Text runs up and down the bars on the left and right."""
    ground = colour(rng)
    frames, box = boxed(scene, pillarbox(scene, rng, 0.1, 0.3), canvas(scene, ground))
    ink = (20, 20, 20) if sum(ground) > 380 else (240, 240, 240)
    for left, right in ((0, box.left_px), (box.left_px + box.width_px, scene.width_px)):
        strip, text = np.full((right - left, scene.height_px, 3), ground, np.uint8), phrase(rng)
        size = fitted(text, round(0.9 * scene.height_px), round(0.7 * (right - left)))
        write(strip, text, round(0.05 * scene.height_px), round(0.15 * (right - left)), size, ink)
        frames[:, :, left:right] = np.rot90(strip)
    return frames, box


def emoji_rain(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Stickers fall through bars and picture alike."""
    frames, box = boxed(scene, letterbox(scene, rng, 0.08, 0.3), canvas(scene, colour(rng)))
    size = np.array([scene.width_px, scene.height_px])
    falling = [(rng.random(2), rng.uniform(0.01, 0.03), rng.uniform(0.02, 0.05), str(rng.choice(STICKERS))) for _ in range(14)]
    paints = [_bright(rng) for _ in falling]
    for step, frame_HWC in enumerate(frames):
        for (place, speed, radius, name), paint in zip(falling, paints, strict=True):
            x, y = (place + np.array([0, speed * step])) % 1 * size
            sticker(frame_HWC, name, (round(x), round(y)), max(4, round(radius * size.min())), paint)
    return frames, box


def ticker_band(scene: Scene, rng: np.random.Generator) -> Drawn:
    """One band of a colour at the bottom, and news that run through it. A band of one colour with text is a bar."""
    ground, depth = colour(rng), int(rng.uniform(0.07, 0.14) * scene.height_px)
    frames, box = boxed(scene, (0, 0, 0, depth), canvas(scene, ground))
    text = "   +++   ".join(phrase(rng) for _ in range(4))
    size, ink = max(7, depth // 2), (20, 20, 20) if sum(ground) > 380 else (240, 240, 240)
    for step, frame_HWC in enumerate(frames):
        band = np.full((depth, 3 * scene.width_px, 3), ground, np.uint8)
        write(band, text, scene.width_px, depth // 5, size, ink)
        x = scene.width_px // 2 + 3 * step
        frame_HWC[scene.height_px - depth :] = band[:, x : x + scene.width_px]
    return frames, box


KINDS = by_name(
    Kind(name="progress_edge", about="a line that grows along the edge of the picture", draw=progress_edge, tolerance_px=3),
    Kind(name="scrubber", about="a player's controls in the lower black bar", draw=scrubber),
    Kind(name="karaoke", about="the words of a song in the lower bar, sung word by word", draw=karaoke),
    Kind(name="equaliser", about="columns that jump with the sound in the lower bar", draw=equaliser),
    Kind(name="pop_up_button", about="a button that appears across the edge of the picture", draw=pop_up_button),
    Kind(name="hopping_watermark", about="a name that jumps between the corners of the video", draw=hopping_watermark),
    Kind(name="shadow_caption", about="a caption with a shadow across the upper edge of the picture", draw=shadow_caption),
    Kind(name="hashtag_block", about="small text fills one bar", draw=hashtag_block),
    Kind(name="live_chat", about="lines of a chat climb out of the lower bar", draw=live_chat),
    Kind(name="side_letters", about="text along the bars on the left and right", draw=side_letters),
    Kind(name="emoji_rain", about="stickers fall through bars and picture", draw=emoji_rain),
    Kind(name="ticker_band", about="one coloured band at the bottom, with news that run through it", draw=ticker_band),
)
