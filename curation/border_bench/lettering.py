"""Text and stickers, as people put them over videos and into their bars.

With OpenCV 5 the text is set in its built-in fonts and in several scripts; with OpenCV 4 in Latin strokes only.
"""

from __future__ import annotations

import cv2
import numpy as np

SCRIPTS = hasattr(cv2, "FontFace")  # OpenCV 5 has fonts built in
LATIN = (
    "wait for the end", "POV: it is monday", "follow for part 2", "link in bio", "he did not see that coming",
    "day 12 of dancing", "@little.fox", "sound on", "#fyp #dance",
    "which one are you?", "NO WAY!!!", "original by @kk_art", "3 2 1 go",
)  # fmt: skip
OTHER = (
    "смотри до конца", "подпишись", "看到最后有惊喜", "今天的舞蹈", "最後まで見てね", "踊ってみた", "끝까지 봐주세요",
    "오늘의 춤", "Περίμενε το τέλος", "espera até o fim", "¿cuál eres tú?", "chờ đến cuối",
)  # fmt: skip
STICKERS = ("face", "heart", "star", "arrow")


def phrase(rng: np.random.Generator) -> str:
    """A short line of text; three in ten in another script than plain Latin, where the fonts are there."""
    return str(rng.choice(OTHER if SCRIPTS and rng.random() < 0.3 else LATIN))


def extent(text: str, size_px: int) -> tuple[int, int]:
    """(width_px, height_px) of the text at about this height of its capitals."""
    if SCRIPTS:
        _, _, width, height = cv2.getTextSize((10_000, 1000), text, (0, 500), cv2.FontFace("sans"), round(1.35 * size_px), 600)
        return width, height
    (width, height), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size_px / 22, _stroke(size_px))
    return width, height + base


def write(image_HWC: np.ndarray, text: str, left_px: int, top_px: int, size_px: int, colour: tuple[int, ...]) -> None:
    """Draws the text into the image, in place; what goes beyond its edge is lost."""
    if SCRIPTS:
        face = cv2.FontFace("sans")
        cv2.putText(image_HWC, text, (left_px, top_px + size_px), colour, face, round(1.35 * size_px), 600)
        return
    place = (left_px, top_px + size_px)
    cv2.putText(image_HWC, text, place, cv2.FONT_HERSHEY_SIMPLEX, size_px / 22, colour, _stroke(size_px), cv2.LINE_AA)


def _stroke(size_px: int) -> int:
    return max(1, round(size_px / 8))


def fitted(text: str, width_px: int, height_px: int) -> int:
    """The size at which the text fills this space one way or the other, at least 6."""
    width, height = extent(text, 40)
    return max(6, int(40 * min(width_px / max(width, 1), height_px / max(height, 1))))


def sticker(image_HWC: np.ndarray, name: str, centre: tuple[int, int], radius_px: int, colour: tuple[int, ...]) -> None:
    """Draws a sticker into the image, in place."""
    x, y = centre
    r = radius_px
    if name == "face":
        cv2.circle(image_HWC, centre, r, (250, 205, 60), -1, cv2.LINE_AA)
        for side in (-1, 1):
            cv2.circle(image_HWC, (x + side * r // 3, y - r // 4), max(1, r // 7), (60, 40, 20), -1, cv2.LINE_AA)
        cv2.ellipse(image_HWC, (x, y + r // 6), (r // 2, r // 3), 0, 15, 165, (60, 40, 20), max(1, r // 8), cv2.LINE_AA)
        return
    angles = np.linspace(0, 2 * np.pi, 60)
    if name == "heart":
        points = (
            np.stack([16 * np.sin(angles) ** 3, -13 * np.cos(angles) + 5 * np.cos(2 * angles) + 2 * np.cos(3 * angles)], 1) / 17
        )
    elif name == "star":
        angles = np.linspace(0, 2 * np.pi, 11)[:-1] - np.pi / 2
        points = np.stack([np.cos(angles), np.sin(angles)], 1) * np.where(np.arange(10) % 2, 0.45, 1.0)[:, None]
    else:
        points = np.array([[-1, -0.25], [0.2, -0.25], [0.2, -0.7], [1, 0], [0.2, 0.7], [0.2, 0.25], [-1, 0.25]])
    cv2.fillPoly(image_HWC, [(points * r + centre).astype(np.int32)], colour, cv2.LINE_AA)
