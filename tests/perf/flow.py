"""How close are the flow features to known motion, and what do they cost, beside what others use to tell how much moves?

    python tests/perf/flow.py [--seed N] [FOLDER]    # FOLDER: videos, held against DIS medium at a short side of 360

Known motion, two sets of pairs from the photographs of scikit-image:
  camera   the whole picture under one affine map: 0.2 to 40 pixels of 640 x 360, a turn and a zoom, noise of 2 grey levels,
           half of the pairs dark
  objects  up to three ellipses move by themselves over a picture that moves or stands; upright and across, three degrees of light
           and of noise
Printed for each method: the rank correlation with the truth (for the camera set of the worst of three draws too) and the median
relative error; CPU milliseconds a pair (scaling down to the size it is given apart, everything else in), and that beside OpenCV's
DIS ultrafast as it is, in the same process, because milliseconds depend on what else the machine does. The absolute difference
has a unit of its own, so no error. Ours is timed with its cut and still gates, percentiles and camera fit, and part by part; the
others give their one number.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from scipy.stats import spearmanr
from skimage import data

from curation import flow, motion
from svmbench import media
from svmbench.errors import BadMedia
from svmbench.media import FrameNeed, Frames, Needs

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket", "camera", "coins", "moon", "page")
MARGIN_PX = 80
NUM_PAIRS = 160  # of each draw
NUM_TIMED = 24
MAX_S = 6.0  # of each real video
PLAIN = "DIS ultrafast as it is @160"
REFERENCE = FrameNeed(fps=1, short_side_px=360, plane="y", pairs=True)


@dataclass(frozen=True)
class Pair:
    """Two luma pictures; what truly moves, in diagonals: mean and 90th percentile over the picture, and the camera's mean."""

    first: np.ndarray
    second: np.ndarray
    mean: float
    p90: float
    camera: float


def photo(index: int, size: tuple[int, int]) -> np.ndarray:
    image = getattr(data, PHOTOS[index % len(PHOTOS)])()
    return cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image, size, interpolation=cv2.INTER_AREA)


def affine(rng: np.random.Generator, centre: tuple[float, float], length_px: float, degrees: float, zoom: float) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    matrix = cv2.getRotationMatrix2D(centre, degrees, zoom)
    matrix[:, 2] += [length_px * np.cos(angle), length_px * np.sin(angle)]
    return matrix


def moved(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return cv2.warpAffine(image, matrix, image.shape[::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def field(matrix: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    return np.stack([matrix[i, 0] * x + matrix[i, 1] * y + matrix[i, 2] - (x, y)[i] for i in (0, 1)])


def seen(first: np.ndarray, second: np.ndarray, vectors: np.ndarray, camera: np.ndarray, light: float, noise: float, rng) -> Pair:
    """The pair without its margin, darkened and with noise."""
    inside = (slice(MARGIN_PX, -MARGIN_PX), slice(MARGIN_PX, -MARGIN_PX))
    shown = [image[inside] * light for image in (first, second)]
    shown = [np.clip(image + rng.normal(0, noise, image.shape), 0, 255).astype(np.uint8) for image in shown]
    length, of_camera = (np.hypot(*v[(slice(None), *inside)][:, ::4, ::4]) / np.hypot(*shown[0].shape) for v in (vectors, camera))
    return Pair(shown[0], shown[1], length.mean(), np.percentile(length, 90), of_camera.mean())


def under_the_camera(num: int, seed: int) -> Iterator[Pair]:
    rng = np.random.default_rng(seed)
    for i in range(num):
        image = np.pad(photo(i, (640, 360)), MARGIN_PX, mode="reflect")
        length = np.exp(rng.uniform(np.log(0.2), np.log(40)))
        slow = min(1, length / 10)
        centre = (image.shape[1] / 2, image.shape[0] / 2)
        matrix = affine(rng, centre, length, rng.normal(0, 0.3) * slow, 1 + rng.normal(0, 0.01) * slow)
        vectors = field(matrix, image.shape)
        yield seen(image, moved(image, matrix), vectors, vectors, rng.choice([1, 0.25]), 2, rng)


def with_objects(num: int, seed: int) -> Iterator[Pair]:
    rng = np.random.default_rng(seed)
    for i in range(num):
        size = (640 + 2 * MARGIN_PX, 360 + 2 * MARGIN_PX)[:: 1 if i % 2 else -1]
        first = photo(int(rng.integers(8)), size).astype(np.float32)
        moves = rng.random() > 0.3
        length = np.exp(rng.uniform(np.log(0.2), np.log(25))) * moves
        matrix = affine(rng, (size[0] / 2, size[1] / 2), length, rng.normal(0, 0.4) * moves, 1 + rng.normal(0, 0.012) * moves)
        second, vectors = moved(first, matrix), field(matrix, first.shape)
        camera = vectors
        y, x = np.mgrid[: size[1], : size[0]]
        for _ in range(rng.integers(4)):
            centre = tuple(MARGIN_PX + rng.uniform(0.1, 0.9) * (length - 2 * MARGIN_PX) for length in size)
            wide, high = rng.uniform(0.08, 0.3, 2) * 360
            mask = (((x - centre[0]) / wide) ** 2 + ((y - centre[1]) / high) ** 2 < 1).astype(np.float32)
            thing = photo(int(rng.integers(8)), size).astype(np.float32)
            its = affine(rng, centre, np.exp(rng.uniform(np.log(0.5), np.log(25))), rng.normal(0, 1.5), 1 + rng.normal(0, 0.02))
            there = cv2.warpAffine(mask, its, size)
            first, second = np.where(mask > 0, thing, first), moved(thing, its) * there + second * (1 - there)
            vectors = np.where(mask > 0, field(its, first.shape), vectors)
        yield seen(first, second, vectors, camera, rng.choice([1, 0.5, 0.25]), rng.choice([0, 1, 2]), rng)


Numbers = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Two stacks of pictures (P, H, W) -> (P, 1) mean or (P, 3) mean, 90th percentile, camera, in diagonals of the picture."""


def ours(follow: flow.Follow, *, small: bool = False) -> Numbers:
    def numbers(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        times = 4.0 * np.arange(len(first))
        pairs = Frames(times_s_T=times, images=first, next_times_s_T=times + 1, next_images=second)
        found = motion.pair_motions(pairs, follow, small=small)
        every = np.zeros((len(first), 3))  # a pair that is taken for a cut counts as not moving
        every[np.isin(times, found.times_s_P)] = found.values_PC[:, [0, 1, 3]]
        return every

    return numbers


def one_by_one(number: Callable[[np.ndarray, np.ndarray], float]) -> Numbers:
    return lambda first, second: np.array([[number(a, b)] for a, b in zip(first, second, strict=True)])


def from_field(follow: flow.Follow) -> Numbers:
    return one_by_one(lambda a, b: float(np.linalg.norm(follow(a, b), axis=2).mean() / np.hypot(*a.shape)))


def farneback(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """With the parameters of Data-Juicer's motion filter."""
    return cv2.calcOpticalFlowFarneback(first, second, None, 0.5, 3, 15, 3, 5, 1.2, 0)


def phase(first: np.ndarray, second: np.ndarray) -> float:
    shift, _ = cv2.phaseCorrelate(first.astype(np.float32), second.astype(np.float32))
    return float(np.hypot(*shift) / np.hypot(*first.shape))


METHODS: dict[str, tuple[int, Numbers]] = {
    "ours @160": (160, ours(flow.dis_ultrafast(), small=True)),
    "ours, accurate @256": (256, ours(flow.dis_fast())),
    PLAIN: (160, from_field(flow.dis(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST))),
    "Farneback @160": (160, from_field(farneback)),
    "Farneback @360": (360, from_field(farneback)),
    "phase correlation @160": (160, one_by_one(phase)),
    "absolute difference @160": (160, one_by_one(lambda a, b: cv2.norm(a, b, cv2.NORM_L1) / a.size)),
}


def scaled(image: np.ndarray, short_side_px: int) -> np.ndarray:
    scale = min(1.0, short_side_px / min(image.shape))
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


Stacks = list[tuple[np.ndarray, np.ndarray]]


def stacked(pairs: list[tuple[np.ndarray, np.ndarray]], side: int) -> Stacks:
    """The pairs scaled down, those of one shape in one stack, in order as long as the shape stays."""
    stacks: list[tuple[list[np.ndarray], list[np.ndarray]]] = []
    for first, second in ((scaled(a, side), scaled(b, side)) for a, b in pairs):
        if not stacks or stacks[-1][0][0].shape != first.shape:
            stacks.append(([], []))
        stacks[-1][0].append(first)
        stacks[-1][1].append(second)
    return [(np.stack(firsts), np.stack(seconds)) for firsts, seconds in stacks]


def least_ms(works: dict[str, tuple[int, Callable[[], object]]], rounds: int = 15) -> dict[str, float]:
    """CPU milliseconds a pair, each work being given with its number of pairs: the least of some rounds in which all take turns,
    because other work on the machine only adds."""
    least = dict.fromkeys(works, np.inf)
    for _ in range(rounds):
        for name, (num, work) in works.items():
            begin = time.process_time()
            work()
            least[name] = min(least[name], (time.process_time() - begin) / num * 1e3)
    return least


def _each(numbers: Numbers, stacks: Stacks) -> None:
    for stack in stacks:
        numbers(*stack)


def costs(pairs: list[Pair]) -> None:
    pictures = [(pair.first, pair.second) for pair in pairs[:NUM_TIMED]]
    works: dict[str, tuple[int, Callable[[], object]]] = {}
    for name, (side, numbers) in METHODS.items():
        few = pictures if side < 300 else pictures[:2]
        works[name] = len(few), partial(_each, numbers, stacked(few, side))
    (first, second), follow = stacked(pictures, 160)[0], flow.dis_ultrafast()
    both = list(zip(first, second, strict=True))
    small = [(flow.shrunk(a), flow.shrunk(b)) for a, b in both]
    size, least = first.shape[1:], small[0][0].shape
    fields = [follow(a, b) for a, b in small]
    moved = flow.in_diagonals(np.stack([flow.displacements(field, least) for field in fields]), least, size)
    doubt, place = flow.doubts(np.stack([flow.steepness(a) for a, _ in small]), least), flow.places(size, least)
    parts: dict[str, Callable[[], object]] = {
        "shrinking": lambda: [(flow.shrunk(a), flow.shrunk(b)) for a, b in both],
        "search": lambda: [follow(a, b) for a, b in small],
        "cut gate": lambda: [flow.is_cut(a, b) for a, b in small],
        "still gate": lambda: [flow.is_still(a, b) for a, b in both],
        "points and their steepness": lambda: [
            (flow.displacements(f, least), flow.steepness(a)) for f, (a, _) in zip(fields, small, strict=True)
        ],
        "camera": lambda: flow.camera_and_rest(moved, doubt, place),
    }
    works |= {f"  ours: {name}": (len(both), part) for name, part in parts.items()}
    found = least_ms(works)
    print(f"{'CPU cost':32s}{'ms/pair':>9}{'x plain DIS':>12}{'x ours':>9}")
    for name, ms in found.items():
        print(f"{name:32s}{ms:9.3f}{ms / found[PLAIN]:12.2f}{ms / found['ours @160']:9.2f}")


def compare(title: str, draws: list[list[Pair]]) -> None:
    print(
        f"\n{title}: {len(draws)} draws of {NUM_PAIRS} pairs; rank correlation: mean and worst draw, median relative error of all"
    )
    print(f"{'':30s} |          mean           |           p90           |         camera")
    draws = [sorted(pairs, key=lambda pair: pair.first.shape) for pairs in draws]
    for name, (side, numbers) in METHODS.items():
        found = [
            np.concatenate([numbers(*stack) for stack in stacked([(pair.first, pair.second) for pair in pairs], side)]).T
            for pairs in draws
        ]
        line = f"{name:30s}"
        for i, truth in list(enumerate(("mean", "p90", "camera")))[: len(found[0])]:
            true = [np.array([getattr(pair, truth) for pair in pairs]) for pairs in draws]
            ranks = [spearmanr(values[i], t).statistic for values, t in zip(found, true, strict=True)]
            values, t = np.concatenate([values[i] for values in found]), np.concatenate(true)
            error = np.median((np.abs(values - t) / np.maximum(t, 2e-4))[t > 2e-4])
            line += f" | {np.mean(ranks):7.4f} {np.min(ranks):7.4f} " + (f"{error:7.4f}" if error < 10 else f"{'-':>7s}")
        print(line, flush=True)


def real(folder: Path) -> None:
    """Adjacent frames of real videos, one pair a second; the reference is DIS medium at a short side of 360, not the truth."""
    reference = from_field(flow.dis(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM))
    pairs, videos = [], []
    for video, path in enumerate(sorted(p for p in folder.rglob("*") if p.suffix in (".mp4", ".webm", ".mkv"))):
        try:
            frames = media.decode(path, Needs(frames=(REFERENCE,)), MAX_S).frames(REFERENCE)
        except BadMedia as error:
            print(path.name, error)
            continue
        assert frames.next_images is not None
        for first, second in zip(frames.images, frames.next_images, strict=True):
            if min(first.shape) >= 100 and not flow.is_cut(scaled(first, 160), scaled(second, 160)):
                pairs.append((np.ascontiguousarray(first), np.ascontiguousarray(second)))
                videos.append(video)
    true = _means(reference, pairs, 360)
    of = np.unique(videos, return_inverse=True)[1]
    each = lambda values: np.bincount(of, values) / np.bincount(of)
    moving = true > 5e-4
    print(
        f"\nreal: {len(pairs)} pairs of {of.max() + 1} videos against DIS medium @360; difference: median over the moving pairs"
    )
    for name, (side, numbers) in METHODS.items():
        found = _means(numbers, pairs, side)
        away = np.median(np.abs(found - true)[moving] / true[moving])
        print(
            f"{name:30s} rho by video {spearmanr(each(found), each(true)).statistic:.4f}  "
            f"by pair {spearmanr(found, true).statistic:.4f}  difference {away:.3f}",
            flush=True,
        )


def _means(numbers: Numbers, pairs: list[tuple[np.ndarray, np.ndarray]], side: int) -> np.ndarray:
    return np.concatenate([numbers(*stack) for stack in stacked(pairs, side)])[:, 0]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    draws = [list(under_the_camera(NUM_PAIRS, seed=options.seed + i)) for i in range(3)]
    costs(draws[0])
    compare("camera", draws)
    compare("objects", [list(with_objects(NUM_PAIRS, seed=options.seed))])
    if options.folder:
        real(options.folder)
