"""Colour, light, texture and change of the picture, for every second of the clip: small numbers that need no model.

Two frames a second at a short side of 128, inside the picture's box. All columns are scaled to about [0, 1] (a*, b*: [-1, 1]).
Row t is the mean over the frames in [t, t + 1) seconds.

    0-5    Lab: mean of L*, a*, b*; standard deviation of L*, a*, b*
    6-7    HSV saturation: mean, standard deviation
    8-15   hue: histogram of eight bins weighted by saturation, summing to 1 (all zero where there is no colour)
    16-17  light: 5th and 95th percentile of L*
    18     share of the picture on an edge (Sobel magnitude of L* above EDGE)
    19     colourfulness: spread of a*b* plus 0.3 of its distance from grey, after Hasler and Suesstrunk 2003, in Lab
    20     change: mean absolute difference of L* to the frame half a second before
    21     cut: 1 where that change is more than CUT, averaged: the share of half seconds with a cut
"""

from __future__ import annotations

import cv2
import numpy as np

from svmbench.media import ClipMedia, FrameNeed, Needs
from svmbench.records import Features

FRAMES = FrameNeed(fps=2, short_side_px=128, plane="rgb")
DIM = 22
MODALITY = "video"
NEEDS = Needs(frames=(FRAMES,))
HOP_S = 1.0  # ours
LAB = (100, 128, 128)  # L*, a* and b* are divided by these
HUES = 8
EDGE = 0.5  # ours: in units of L* / 100 over the Sobel kernel; a clear line
CUT = 0.12  # ours: mean change of L* / 100 within half a second


def picture_stats(rgb_HWC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(columns 0 to 19, L* / 100 as float32 of shape HW) of one picture."""
    scaled = np.multiply(rgb_HWC, np.float32(1 / 255))
    lab = cv2.cvtColor(scaled, cv2.COLOR_RGB2Lab)
    mean, deviation = (v.ravel() / LAB for v in cv2.meanStdDev(lab))
    light = cv2.extractChannel(lab, 0) / np.float32(LAB[0])
    hue, saturation, value = cv2.split(cv2.cvtColor(scaled, cv2.COLOR_RGB2HSV, dst=scaled))
    bins = np.minimum(hue * np.float32(HUES / 360), HUES - 1).astype(np.uint8)
    hues = np.bincount(bins.ravel(), cv2.multiply(saturation, value).ravel(), HUES)
    slope = cv2.magnitude(cv2.Sobel(light, cv2.CV_32F, 1, 0), cv2.Sobel(light, cv2.CV_32F, 0, 1))
    columns = [
        mean,
        deviation,
        np.ravel(cv2.meanStdDev(saturation)),
        hues / hues.sum() if hues.sum() > 1e-3 * hue.size else np.zeros(HUES),
        np.percentile(light[::2, ::2], (5, 95)),
        [np.count_nonzero(slope > EDGE) / slope.size],
        [np.hypot(*deviation[1:]) + 0.3 * np.hypot(*mean[1:])],
    ]
    return np.concatenate(columns), light


def extract(clip: ClipMedia) -> Features:
    """values_TD of shape (seconds, 22)."""
    frames = clip.frames(FRAMES)
    num_steps = max(1, int(np.ceil(clip.duration_s / HOP_S - 1e-6)))
    rows, before = [], None
    for image in frames.images:
        columns, light = picture_stats(image)
        change = 0.0 if before is None else cv2.norm(light, before, cv2.NORM_L1) / light.size
        rows.append(np.concatenate([columns, [change, float(change > CUT)]]))
        before = light
    table, seconds = np.stack(rows), np.minimum(frames.times_s_T / HOP_S, num_steps - 1).astype(int)
    there = np.unique(seconds)
    means = np.stack([table[seconds == second].mean(axis=0) for second in there])
    nearest = np.abs(np.arange(num_steps)[:, None] - there[None, :]).argmin(axis=1)
    return Features(values_TD=means[nearest].astype(np.float32), hop_s=HOP_S)
