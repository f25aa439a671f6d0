"""Bars of one colour: where the colour ends along most of a side, however much text or how many stickers lie on it.

Axes: T time, D depth in pixels from the outside in, S samples along the side. All numbers are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from curation.borders._strips import Strips, counted, ranked, shares

OUTERMOST = 2  # lines that tell the colour; text seldom stands there, and their median does not mind a sticker
TOLERANCE = (5.0, 14.0)  # grey levels from the colour: the least is above a coder's error, the most is below a dim picture
RARE = 0.15  # a pixel that is off the colour in fewer of the frames is dead: something passed by
PURE_LUMA, PURE_CHROMA = 18, 6  # what is coded from black, 2 levels for the coder; cameras film darkness lighter, or with grain
BLACK_LUMA, BLACK_CHROMA = 48, 14  # as light and as colourful a bar as one may call black
THROUGH = 0.12  # a frame shows a picture across the line where this share of it is live outside and has no step
UNEVEN = 16  # levels; where more than a quarter of the outermost lines is further off, they are no bar of one colour
LEAST_LINE = 0.3  # of the line is seen at least
CLEAR = 0.03  # of a line of the bare colour is live
BLEED = 7  # lines, a block of coded chroma
BARE = 0.1  # of a line between two lines of text, and of the lines of a bar that text fills
TEXT_ROWS, TEXT_HEIGHT = 3, 0.08  # as many lines of text fill a bar, none of them higher than this share of the depth
REACH = 0.86  # of the depth, where a border may end

Colour = tuple[float, float, float]  # luma and the two chroma planes


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What speaks for and against a bar that ends before depth_px; shares in [0, 1].

    even: how much the colour varies in the outermost lines, in levels. active: samples that are live within. turn: those of them
    whose colour ends within a pixel of the line. step, steady: those with a step there in a quarter, and in most, of the frames.
    outside: live pixels outside. busy: lines outside that are mostly live. lettered: pixels outside that are always live.
    inside: live share just inside, when there is most. fill: of the whole inside. contrast: of the brightest pixels inside with
    the colour, in levels. plain: share of the line inside that is of one shade. moving: samples just inside that change.
    against: frames with a picture across the line; more than 1 where one of them shows it all along. stays: how much of the line
    is live even when it is least so, as a share of what is live a few lines further in. recurs: lines within, up to the middle,
    that are again of the bare colour. varied: how many levels apart the darkest and the brightest of the inside are.
    """

    depth_px: int
    colour: Colour
    even: float
    active: float
    turn: float
    step: float
    steady: float
    outside: float
    busy: float
    lettered: float
    inside: float
    fill: float
    contrast: float
    plain: float
    moving: float
    against: float
    stays: float
    recurs: float
    varied: float

    @property
    def black(self) -> bool:
        return self.colour[0] <= BLACK_LUMA and max(abs(c - 128) for c in self.colour[1:]) <= BLACK_CHROMA

    @property
    def pure(self) -> bool:
        """Whether the colour is black as an editor paints it."""
        return self.colour[0] <= PURE_LUMA and max(abs(c - 128) for c in self.colour[1:]) <= PURE_CHROMA


def solid(side: Strips, colour: Colour | None = None) -> list[Evidence]:
    """The evidence for each line where a bar of one colour may end: of this colour, or of that of the outermost lines."""
    luma = side.luma_TDS
    colour_T = np.median(luma[:, :OUTERMOST].reshape(len(luma), -1), axis=1)
    if colour is None:
        tints = [float(np.median(side.chroma_TCDS[:, c, :1])) for c in (0, 1)]
        colour = float(np.median(colour_T)), tints[0], tints[1]
    else:
        colour_T = np.full(len(luma), colour[0])
    usual_T: np.ndarray = np.asarray(np.abs(colour_T - colour[0]) <= TOLERANCE[1])  # the others may be dimmed
    even = ranked(np.abs(luma[usual_T, :OUTERMOST].astype(np.int16) - round(colour[0])), 0.75) if usual_T.any() else 255.0
    if even > UNEVEN:
        return []
    tolerance = float(np.clip(2.6 * even + 4, *TOLERANCE))
    telling_T = ~_faded(luma, colour_T, colour[0], tolerance)
    if telling_T.sum() < 0.4 * len(luma):
        return []
    if not telling_T.all():
        side = side.of(telling_T)
    return _Judge(side, _live(side, colour, tolerance), colour, even).all()


def _faded(luma_TDS: np.ndarray, colour_T: np.ndarray, grey: float, tolerance: float) -> np.ndarray:
    """Frames in which bar and picture are dimmed (or lit) together: they tell nothing that others do not tell."""
    usual = np.abs(colour_T - grey) <= tolerance
    if usual.all() or not usual.any():
        return np.zeros(len(luma_TDS), bool)
    small = luma_TDS[:, ::8, ::4].reshape(len(luma_TDS), -1)
    low_T, high_T = np.percentile(small, (2, 98), axis=1)
    high, low = float(np.median(high_T[usual])), float(np.median(low_T[usual]))
    dimmed = (colour_T < grey) & (high_T - 16 <= (high - 16) * (colour_T - 16) / max(1.0, grey - 16) + 12)
    lit = (colour_T > grey) & (235 - low_T <= (235 - low) * (235 - colour_T) / max(1.0, 235 - grey) + 12)
    flat = luma_TDS[:, :OUTERMOST].std(axis=(1, 2)) <= tolerance
    return ~usual & flat & (dimmed | lit)


def _live(side: Strips, colour: Colour, tolerance: float) -> np.ndarray:
    """live_TDS, uint8 0 or 1: pixels off the bar's colour, in luma or chroma."""
    number, depth, samples = side.luma_TDS.shape
    _, live = cv2.threshold(_apart(side.luma_TDS.reshape(-1, samples), colour[0]), tolerance, 1, cv2.THRESH_BINARY)
    across = side.chroma_TCDS.shape[3]
    tinted = cv2.max(*(_apart(side.chroma_TCDS[:, c].reshape(-1, across), colour[c + 1]) for c in (0, 1)))
    if tinted.max() > tolerance:
        _, tinted = cv2.threshold(tinted, tolerance, 1, cv2.THRESH_BINARY)
        live = cv2.bitwise_or(live, cv2.resize(tinted, (samples, number * depth), interpolation=cv2.INTER_NEAREST))
    return live.reshape(side.luma_TDS.shape)


def _apart(levels: np.ndarray, level: float) -> np.ndarray:
    """How far each pixel is from one level, uint8."""
    one: Any = round(level)  # a number in place of an image, which OpenCV takes and its types do not know
    return np.asarray(cv2.absdiff(levels, one))


def _along(flags_DS: np.ndarray, active_S: np.ndarray) -> float:
    """Share of the active samples that have the flag in one of these lines."""
    return float(np.asarray(flags_DS.any(axis=0))[active_S].mean())


class _Judge:
    """What is the same for all lines of a side, and the evidence for one of them."""

    def __init__(self, side: Strips, live_TDS: np.ndarray, colour: Colour, even: float) -> None:
        self.luma_TDS, self.step_TDS = side.luma_TDS, side.step_TDS
        self.live_TDS, self.colour, self.even = live_TDS, colour, even
        self.number, self.depth, self.samples = live_TDS.shape
        self.share_TD = shares(live_TDS)
        count_DS = counted(live_TDS)
        self.seen_DS: np.ndarray = count_DS > RARE * self.number
        self.turn_DS = np.zeros_like(self.seen_DS)
        self.turn_DS[1:] = self.seen_DS[1:] & ~self.seen_DS[:-1]
        self.turn_DS[2:] &= ~self.seen_DS[:-2]
        seen_D = self.seen_DS.mean(axis=1)
        self.clear_D, self.bare_D = seen_D <= CLEAR, seen_D <= BARE
        self.always_D = (count_DS > 0.8 * self.number).mean(axis=1)
        self.often_DS: np.ndarray = np.asarray(side.steps_DS > 0.25 * self.number)
        self.mostly_DS: np.ndarray = np.asarray(side.steps_DS > 0.6 * self.number)
        # chroma is coarse, and is off the colour up to four lines before the luma is: there a step tells where the colour ends
        self.turn_DS[1:] |= self.often_DS[1:] & self.seen_DS[1:] & ~self.seen_DS[np.maximum(0, np.arange(self.depth - 1) - BLEED)]
        self.often_D = np.count_nonzero(self.often_DS, axis=1) + np.count_nonzero(self.turn_DS, axis=1)
        self.size_D = side.size_TD.mean(axis=0)

    def all(self) -> list[Evidence]:
        return [found for depth in self._candidates() if (found := self._evidence(depth))]

    def _candidates(self) -> list[int]:
        """The lines with most turns, and those with the longest steps."""
        depths: list[int] = []
        for flags_DS in (self.turn_DS, self.often_DS):
            counts_D = np.count_nonzero(flags_DS, axis=1)
            wide_D = counts_D + np.r_[0, counts_D[:-1]] + np.r_[counts_D[1:], 0]
            wide_D[0] = wide_D[int(REACH * self.depth) :] = 0
            for _ in range(3):
                best = int(wide_D.argmax())
                if wide_D[best] < 0.15 * self.samples:
                    break
                first = max(1, best - 4)
                exact = first + int((self.often_D * (1 + self.size_D))[first : best + 5].argmax())
                if all(abs(exact - d) > 3 for d in depths):
                    depths.append(exact)
                wide_D[max(0, best - 3) : best + 4] = 0
        steady_D = np.count_nonzero(self.mostly_DS, axis=1)
        steady_D[0] = steady_D[int(REACH * self.depth) :] = 0
        for at in map(int, np.argsort(-steady_D, kind="stable")[:2]):
            if steady_D[at] >= 0.5 * self.samples and all(abs(at - d) > 2 for d in depths):
                depths.append(at)
        return depths

    def _evidence(self, at: int) -> Evidence | None:
        lines, margin = self.depth, at - min(2, at // 3)
        outside_TD = self.share_TD[:, :margin]
        written = self._written(at)
        outside = float(outside_TD[:, self.bare_D[:margin]].mean()) if written else float(outside_TD.mean())
        active_S: np.ndarray = np.asarray(self.seen_DS[at : at + max(4, (lines - at) // 3)].any(axis=0))
        number = int(active_S.sum())
        if outside > 0.45 or number < 4:
            return None
        near = slice(max(1, at - 2), at + 3)
        turn, step = _along(self.turn_DS[near], active_S), _along(self.often_DS[near], active_S)
        if max(turn, step) < LEAST_LINE:
            return None
        band = slice(min(at + 1, lines - 1), min(lines, at + 2 + max(2, lines // 25)))
        inner_TS = self.luma_TDS[:, band.start].astype(np.int16)
        plain_T = (np.abs(inner_TS - np.median(inner_TS, axis=1, keepdims=True)) <= 6).mean(axis=1)
        inner_TDS = self.luma_TDS[:, band.start : band.start + 4]
        within = self.luma_TDS[:, at + 4 : max(lines // 2, at + 8) : 4, ::3]
        return Evidence(
            depth_px=at, colour=self.colour, even=self.even, active=number / self.samples, outside=outside,
            turn=turn, step=step, steady=_along(self.mostly_DS[near], active_S),
            busy=0.0 if written else float((np.median(outside_TD, axis=0) > 0.6).mean()),
            lettered=float(self.always_D[: max(1, at - BLEED)].mean()),
            inside=ranked(self.share_TD[:, band].mean(axis=1), 0.8),
            fill=float(self.share_TD[:, at : lines - max(2, lines // 10)].mean()),
            contrast=ranked(_apart(self.luma_TDS[:, at::6, ::3].reshape(-1, 1), self.colour[0]), 0.98),
            plain=float(np.median(plain_T)),
            moving=float((np.ptp(inner_TDS, axis=0) > 12).any(axis=0).mean()),
            against=self._against(at, active_S),
            stays=self._stays(at), varied=ranked(within, 0.98) - ranked(within, 0.02),
            recurs=float(self.clear_D[at + 3 : max(lines // 2, at + 8)].mean()),
        )  # fmt: skip

    def _written(self, at: int) -> bool:
        """Whether lines of text fill the outside: between them, and before the picture, are lines of the bare colour."""
        bare = np.flatnonzero(self.bare_D[:at])
        if not len(bare) or bare[0] > OUTERMOST or len(bare) < BARE * at:
            return False
        apart = np.diff([*bare, at])
        rows = np.flatnonzero(apart > 2)
        return len(rows) >= TEXT_ROWS and int(apart.max()) <= max(12, TEXT_HEIGHT * self.depth)

    def _stays(self, at: int) -> float:
        """How much of the line is live in the frames in which it is least so, as a share of what is live further in."""
        line_T = self.live_TDS[:, at : at + 4].any(axis=1).mean(axis=1)
        within_T = self.live_TDS[:, at + 8 : at + 20].any(axis=1).mean(axis=1) if at + 20 < self.depth else line_T
        least, usual = ranked(line_T, 0.2), ranked(within_T, 0.2)
        return least / usual if usual > 0.15 else 1.0

    def _against(self, at: int, active_S: np.ndarray) -> float:
        """Share of the frames with a picture across the line; one that shows it all along its length is enough for all."""
        if at <= 3:
            return 0.0
        step_TS = np.asarray(self.step_TDS[:, max(1, at - 1) : at + 2].any(axis=1))
        close_TS = self.live_TDS[:, max(0, at - 8) : at - 2].any(axis=1)
        through_T = (close_TS & ~step_TS).mean(axis=1)
        visible_T = step_TS[:, active_S].mean(axis=1)
        filled_T = self.share_TD[:, : at - 2].mean(axis=1) > 0.5
        against_T = ((through_T > THROUGH) & (visible_T < 0.6)) | filled_T
        return float(against_T.mean() + (((through_T > 0.5) & against_T) | filled_T).any())
