"""The measures of the picture against pictures that are known, and the rules that hold for all filters."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from skimage import data

from crawl.replica import compose
from crawl.replica.render import render
from curation.filters import (
    aspect,
    audio_offset,
    audio_share,
    border_share,
    brightness,
    camera_motion,
    cut_rate,
    dark_share,
    duration,
    frame_rate,
    motion,
    motion_peak,
    sharpness,
    size,
    still,
    still_photo,
    text_area,
    truncated,
)  # fmt: skip
from svmbench import media, plugins
from svmbench.media import ClipMedia
from svmbench.records import Box
from svmbench.settings import build

Film = Callable[..., Path]
FILTERS = {name: plugins.load("curation.filters", name) for name in plugins.names("curation.filters")}
OF_THE_SOUND = ("ambience", "clipping", "held_pitch", "loudness", "silence", "speech")
OF_THE_PICTURE = {name: module for name, module in FILTERS.items() if name not in OF_THE_SOUND}
NEEDS = media.union(module.NEEDS for module in FILTERS.values())


def measured(module: ModuleType, clip: ClipMedia, **settings: Any) -> float | None:
    value: float | None = module.measure(clip, build(module.Settings, settings, module.__name__))
    return value


def number(module: ModuleType, clip: ClipMedia) -> float:
    value = measured(module, clip)
    assert value is not None
    return value


def photo(name: str, width: int = 360, height: int = 360) -> np.ndarray:
    """A photograph of scikit-image, RGB, scaled and cut to this size."""
    image = getattr(data, name)()
    image = np.stack([image] * 3, axis=-1) if image.ndim == 2 else image[..., :3]
    scale = max(width / image.shape[1], height / image.shape[0])
    scaled = cv2.resize(image, None, fx=scale * 1.001, fy=scale * 1.001, interpolation=cv2.INTER_AREA)
    return scaled[:height, :width]


def tour(
    image: np.ndarray, num: int, *, zoom: float = 1.0, shift_px: float = 0.0, width: int = 240, height: int = 320
) -> list[np.ndarray]:
    """Frames of a camera that moves over a photograph: zoomed by `zoom` and shifted to the right in total."""
    frames = []
    for i in range(num):
        part = i / max(1, num - 1)
        scale = 1 / (1.0 + (zoom - 1) * part)
        middle = np.array([image.shape[1], image.shape[0]]) / 2 + (shift_px * (part - 0.5), 0)
        move = np.array([[scale, 0, middle[0] - scale * width / 2], [0, scale, middle[1] - scale * height / 2]])
        frames.append(cv2.warpAffine(image, move, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP))
    return frames


@pytest.fixture(scope="module")
def clip_of(film: Film, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., ClipMedia]:
    """clip_of(frames, box=None, **as film): the decoded clip with everything that a filter may ask for."""
    folder = tmp_path_factory.mktemp("clips")

    def make(frames: list[np.ndarray], *, box: Box | None = None, **options: Any) -> ClipMedia:
        clip = media.decode(film(folder / "clip.mp4", frames, **options), NEEDS, 60)
        return clip.with_box(box) if box else clip

    return make


Clips = Callable[..., ClipMedia]


def test_what_the_box_and_the_container_tell(clip_of: Clips) -> None:
    wave = (0.3 * np.sin(np.arange(32_000) * 0.2)).astype(np.float32)
    inside = Box(left_px=0, top_px=80, width_px=240, height_px=160)
    clip = clip_of(tour(photo("coffee"), 40), box=inside, fps=10, wave=wave, sound_at_s=0.5)
    assert number(size, clip) == 160
    assert number(aspect, clip) == 1.5
    assert number(border_share, clip) == 0.5
    assert number(frame_rate, clip) == pytest.approx(10)
    assert number(duration, clip) == pytest.approx(4)
    assert number(truncated, clip) == 0
    assert number(audio_offset, clip) == pytest.approx(0.5, abs=0.07)  # a packet of AAC is 64 ms here
    assert number(audio_share, clip) == pytest.approx(2.5 / 4, abs=0.04)
    mute = clip_of(tour(photo("coffee"), 10))
    assert measured(audio_offset, mute) is None
    assert number(audio_share, mute) == 0


def test_light_and_dark_are_measured_inside_the_box(clip_of: Clips) -> None:
    frame = np.zeros((200, 200, 3), np.uint8)
    frame[:, 100:] = 255
    clip = clip_of([frame] * 10)
    assert number(brightness, clip) == pytest.approx(0.5, abs=0.02)
    assert number(dark_share, clip) == pytest.approx(0.5, abs=0.02)
    right = clip.with_box(Box(left_px=104, top_px=0, width_px=96, height_px=200))
    assert number(brightness, right) == pytest.approx(1, abs=0.02)
    assert number(dark_share, right) == 0
    dim = clip_of([np.full((100, 100, 3), 51, np.uint8)] * 5 + [np.full((100, 100, 3), 12, np.uint8)] * 5)
    assert number(brightness, dim) == pytest.approx(31.5 / 255, abs=0.02)
    assert number(dark_share, dim) == pytest.approx(0.5)


def test_sharpness_falls_with_blur_and_not_with_contrast_noise_or_size() -> None:
    grey = cv2.cvtColor(photo("astronaut", 360, 480), cv2.COLOR_RGB2GRAY)
    of = lambda image: sharpness.sharpness_of(np.clip(image, 0, 255).astype(np.uint8)) or 0.0
    sharp = of(grey)
    blurred = [of(cv2.GaussianBlur(grey, (0, 0), sigma)) for sigma in (1, 2, 4)]
    assert sharp > 0.55
    assert [sharp, *blurred] == sorted([sharp, *blurred], reverse=True)
    assert blurred[1] < 0.75 * sharp
    assert blurred[2] < 0.5 * sharp
    assert of(0.6 * grey.astype(float) + 40) == pytest.approx(sharp, abs=0.08)
    noise = np.random.default_rng(0).normal(0, 6, grey.shape)
    assert of(grey + noise) == pytest.approx(sharp, abs=0.06)
    assert of(cv2.GaussianBlur(grey, (0, 0), 4) + noise) < 0.65 * sharp, "noise makes no edges"
    assert sharpness.sharpness_of(np.full((200, 200), 90, np.uint8)) is None


def test_sharpness_is_that_of_the_picture_and_not_of_the_number_of_pixels(clip_of: Clips) -> None:
    frame = photo("astronaut", 512, 512)
    large = number(sharpness, clip_of([cv2.resize(frame, (1024, 1024), interpolation=cv2.INTER_CUBIC)] * 3))
    small = number(sharpness, clip_of([cv2.resize(frame, (360, 360), interpolation=cv2.INTER_AREA)] * 3))
    assert large == pytest.approx(small, abs=0.06)
    assert number(sharpness, clip_of([cv2.GaussianBlur(frame, (0, 0), 6)] * 3)) < 0.6 * small


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
def test_a_photograph_is_one_also_when_it_is_zoomed_and_moved(name: str, clip_of: Clips) -> None:
    wide = photo(name, 480, 420)
    for frames in (tour(wide, 40), tour(wide, 40, zoom=1.3), tour(wide, 40, shift_px=80), tour(wide, 40, zoom=0.8, shift_px=-40)):
        assert measured(still_photo, clip_of(frames)) == 1


def test_what_moves_in_itself_is_no_photograph(clip_of: Clips, clips: Path) -> None:
    wide, patch = photo("astronaut", 480, 420), photo("coffee", 60, 60)
    frames = tour(wide, 40, zoom=1.2)
    for i, frame in enumerate(frames):
        frame[100:160, 40 + 2 * i : 100 + 2 * i] = patch
    assert measured(still_photo, clip_of(frames)) == 0
    assert measured(still_photo, clip_of(tour(wide, 20) + tour(photo("coffee", 480, 420), 20))) == 0, "two photographs"
    for name in ("avsync/0.mp4", "avsync/2.mp4", "vggsound/0.mp4"):
        real = media.decode(clips / "open-mmlab+FoleyCrafter/examples" / name, still_photo.NEEDS, 6)
        assert measured(still_photo, real) == 0, name


def test_motion_is_that_of_the_shift_and_none_where_nothing_can_be_compared(clip_of: Clips) -> None:
    pan = clip_of(tour(photo("astronaut", 700, 420), 40, shift_px=234, width=240, height=320), fps=10)  # 6 px a frame of 400
    assert number(motion, pan) == pytest.approx(0.15, rel=0.1)
    assert number(camera_motion, pan) == pytest.approx(0.15, rel=0.15)
    assert number(motion_peak, pan) == pytest.approx(0.15, rel=0.15)
    assert number(still, pan) == 0
    at_rest = clip_of(tour(photo("astronaut"), 20))
    assert number(still, at_rest) == 1
    assert number(motion, at_rest) < 0.001
    half = clip_of(tour(photo("astronaut", 700, 420), 20, shift_px=120) + [tour(photo("astronaut", 700, 420), 1)[0]] * 21)
    assert number(still, half) == pytest.approx(0.5, abs=0.1)


def test_cuts_are_found_where_they_are(clip_of: Clips) -> None:
    scenes = [tour(photo(name, 480, 420), 14, shift_px=60) for name in ("astronaut", "coffee", "chelsea", "rocket", "camera")]
    clip = clip_of([frame for scene in scenes for frame in scene], fps=10)
    found = cut_rate.cut_times(clip)
    assert len(found) == 4
    assert np.all((np.array(found) - [1.4, 2.8, 4.2, 5.6] >= 0) & (np.array(found) - [1.4, 2.8, 4.2, 5.6] <= 0.2))
    assert number(cut_rate, clip) == pytest.approx(4 / 7 * 60, rel=0.01)


def test_motion_flashes_and_fades_are_no_cuts(clip_of: Clips) -> None:
    pan = tour(photo("coffee", 900, 420), 60, shift_px=560)
    assert cut_rate.cut_times(clip_of(pan, fps=10)) == ()
    flash = [frame.copy() for frame in pan]
    flash[30][:], flash[45][:] = 255, 255
    assert cut_rate.cut_times(clip_of(flash, fps=10)) == ()
    lamp = [(frame * (0.4 if i < 30 else 1.0)).astype(np.uint8) for i, frame in enumerate(pan)]
    assert cut_rate.cut_times(clip_of(lamp, fps=10)) == (), "the greys change, and everything stays where it is"
    fade = [(frame * min(1.0, i / 40)).astype(np.uint8) for i, frame in enumerate(pan)]
    assert cut_rate.cut_times(clip_of(fade, fps=10)) == ()


def test_what_changes_too_little_is_no_cut(clip_of: Clips) -> None:
    scene = photo("coffee", 480, 420)
    thrown = [scene] * 15 + [np.roll(scene, 240, axis=1)] * 15
    assert cut_rate.cut_times(clip_of(thrown, fps=10)) == (), "everything is elsewhere, and the greys are the same"
    faint = [np.full((120, 160, 3), level, np.uint8) for level in [26] * 15 + [30] * 15]
    assert cut_rate.cut_times(clip_of(faint, fps=10)) == (), "a step of three grey levels in the dark"


def test_the_cuts_of_composed_posts(tmp_path: Path) -> None:
    """Fast moving scenes, most of them cut on the beat; seen inside their true border."""
    plans = [p for p in compose.plan(77, 40, ("a",), 1) if p.listing.media and p.truth["cuts_s"]][:5]
    hits = found = there = 0
    for plan in plans:
        render(plan, tmp_path / "post.mp4")
        clip = media.decode(tmp_path / "post.mp4", cut_rate.NEEDS, 60)
        clip = clip.with_box(Box(**plan.truth["box"]) if isinstance(plan.truth["box"], dict) else _box(plan.truth["box"]))
        times, truth = np.array(cut_rate.cut_times(clip)), np.array(plan.truth["cuts_s"])
        hits += sum(bool(len(times)) and bool(np.any((times >= t - 1e-3) & (times <= t + 0.13))) for t in truth)
        found, there = found + len(times), there + len(truth)
    assert there > 20
    assert hits / there >= 0.95
    assert hits / found >= 0.95


def _box(edges: Any) -> Box:
    left, top, width, height = edges
    return Box(left_px=left, top_px=top, width_px=width, height_px=height)


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "moon", "brick", "gravel"])
def test_captions_are_lettering_and_textures_are_not(name: str) -> None:
    plain = cv2.cvtColor(photo(name, 360, 480), cv2.COLOR_RGB2GRAY)
    assert text_area.text_area(plain) < 0.012
    lines = {(30, 60, 0.8): "wait for the end", (20, 240, 1.2): "POV: it is monday", (40, 430, 0.6): "@little.fox #dance"}
    covered, wanted = plain.copy(), np.zeros(plain.shape, bool)
    for (left, base, scale), text in lines.items():
        for colour, thick in ((0, round(6 * scale)), (255, round(2 * scale))):
            cv2.putText(covered, text, (left, base), cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thick, cv2.LINE_AA)
        (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 2)
        wanted[base - height : base, left : left + width] = True
    found = np.zeros(plain.shape, bool)
    for left, top, right, bottom in text_area.lines(covered):
        found[top:bottom, left:right] = True
    assert (found & wanted).sum() > 0.7 * wanted.sum()
    assert text_area.text_area(covered) == pytest.approx(wanted.mean(), rel=1.0, abs=0.02)


def test_lettering_is_the_mean_over_the_clip(clip_of: Clips) -> None:
    plain, titled = photo("coffee", 360, 480), photo("coffee", 360, 480).copy()
    for colour, thick in (((0, 0, 0), 7), ((255, 255, 255), 2)):
        cv2.putText(titled, "wait for it", (20, 240), cv2.FONT_HERSHEY_SIMPLEX, 1.5, colour, thick, cv2.LINE_AA)
    whole, half = (number(text_area, clip_of([titled] * 30 + [other] * 30, fps=5)) for other in (titled, plain))
    assert whole > 0.01
    assert half == pytest.approx(whole / 2, rel=0.2)


def other(field: dataclasses.Field[Any], now: Any) -> Any:
    """Another value that the field allows."""
    low, high = field.metadata["low"], field.metadata["high"]
    if isinstance(now, bool):
        return not now
    values = [v for v in (0.37, 3, 0, 1, -40.0) if v != now and (low is None or v >= low) and (high is None or v <= high)]
    return next(
        int(v) if isinstance(now, int) and not isinstance(now, bool) else v
        for v in values
        if not isinstance(now, int) or v == int(v)
    )


@pytest.fixture(scope="module")
def speaking(clip_of: Clips) -> ClipMedia:
    """A clip with motion, a cut, a voice with pauses, and tones."""
    from curation.filters._silero import _voice

    voice, times = _voice(), np.arange(16_000) / 16_000
    chord = 0.2 * sum(np.sin(2 * np.pi * hz * times) for hz in (220, 277, 330)) * np.exp(-3 * times)
    wave = np.concatenate([voice, 0.004 * np.sin(times * 3000), chord, np.zeros(8000)]).astype(np.float32)
    return clip_of(tour(photo("astronaut", 700, 420), 20, shift_px=90) + tour(photo("coffee"), 20), wave=wave, fps=10)


@pytest.mark.parametrize("name", FILTERS)
def test_a_threshold_does_not_change_the_measure_and_what_measures_is_declared(name: str, speaking: ClipMedia) -> None:
    module = FILTERS[name]
    fields = {field.name: field for field in dataclasses.fields(module.Settings)}
    assert set(module.MEASURED_WITH) <= set(fields)
    before = measured(module, speaking)
    assert before is not None
    for key, field in fields.items():
        changed = measured(module, speaking, **{key: other(field, field.default)})
        if key in module.MEASURED_WITH:
            assert changed != before, f"{key} changes nothing, so it needs no declaring"
        else:
            assert changed == before, f"{key} changes the measure and is not declared"


@pytest.mark.parametrize("name", FILTERS)
def test_odd_clips_raise_nothing(name: str, clip_of: Clips) -> None:
    module = FILTERS[name]
    one, tiny = clip_of([photo("coffee", 64, 64)]), clip_of([np.full((6, 4, 3), 9 * i, np.uint8) for i in range(12)])
    slit = clip_of(tour(photo("coffee"), 10), box=Box(left_px=100, top_px=0, width_px=1, height_px=320))
    for clip in (one, tiny, slit, tiny.with_box(Box(left_px=1, top_px=1, width_px=1, height_px=1))):
        value = measured(module, clip)
        assert value is None or np.isfinite(value)
    if name in ("cut_rate", "still", "motion", "motion_peak", "camera_motion", "still_photo"):
        assert measured(module, one) is None, "one frame says nothing about change"


@pytest.mark.parametrize("name", OF_THE_PICTURE)
def test_by_default_everything_passes(name: str) -> None:
    module = FILTERS[name]
    for value in (0.0, 0.5, 1.0):
        assert module.judge(value, module.Settings()).keep
    if name != "duration":
        verdict = module.judge(None, module.Settings())
        assert (verdict.keep, verdict.value) == (True, None)


REFUSALS = [
    ("size", {"min_px": 200, "max_px": 900}, (199, "too_small"), (901, "too_large"), 200),
    ("aspect", {"min_aspect": 0.5, "max_aspect": 0.6}, (0.49, "too_narrow"), (0.61, "too_wide"), 0.5625),
    ("frame_rate", {"min_fps": 15, "max_fps": 60}, (14.9, "few_frames"), (61, "many_frames"), 60),
    ("brightness", {"min_mean": 0.1, "max_mean": 0.9}, (0.09, "too_dark"), (0.91, "too_bright"), 0.1),
    ("cut_rate", {"min_per_min": 2, "max_per_min": 90}, (1.9, "few_cuts"), (91, "many_cuts"), 90),
    ("motion", {"min_mean": 0.01, "max_mean": 0.5}, (0.009, "little_motion"), (0.51, "much_motion"), 0.01),
    ("motion_peak", {"min_p90": 0.01, "max_p90": 0.5}, (0.009, "no_fast_part"), (0.51, "fast_part"), 0.01),
    ("camera_motion", {"min_mean": 0.01, "max_mean": 0.5}, (0.009, "steady_camera"), (0.51, "restless_camera"), 0.5),
    ("audio_offset", {"max_s": 0.2}, (-0.21, "early_audio"), (0.21, "late_audio"), -0.2),
    ("sharpness", {"min_sharpness": 0.3}, (0.29, "blurred"), None, 0.3),
    ("audio_share", {"min_share": 0.9}, (0.89, "short_audio"), None, 0.9),
    ("still", {"max_share": 0.5}, None, (0.51, "still"), 0.5),
    ("dark_share", {"max_share": 0.5}, None, (0.51, "mostly_dark"), 0.5),
    ("border_share", {"max_share": 0.5}, None, (0.51, "much_border"), 0.5),
    ("text_area", {"max_area": 0.1}, None, (0.11, "much_text"), 0.1),
    ("still_photo", {"drop": True}, None, (1.0, "still_photo"), 0.0),
    ("truncated", {"drop": True}, None, (1.0, "truncated"), 0.0),
    ("duration", {"min_s": 3, "max_s": 9}, (2.9, "too_short"), (9.1, "too_long"), 3.0),
]


@pytest.mark.parametrize(("name", "settings", "low", "high", "edge"), REFUSALS, ids=[r[0] for r in REFUSALS])
def test_each_limit_refuses_with_its_word_and_keeps_its_edge(
    name: str, settings: dict[str, Any], low: tuple[float, str] | None, high: tuple[float, str] | None, edge: float
) -> None:
    module = FILTERS[name]
    chosen = build(module.Settings, settings, name)
    for case in (low, high):
        if case:
            verdict = module.judge(case[0], chosen)
            assert (verdict.keep, verdict.reason, verdict.value) == (False, case[1], case[0])
    assert module.judge(edge, chosen).keep


def test_every_filter_of_the_picture_has_its_limits_tested() -> None:
    assert {row[0] for row in REFUSALS} == set(OF_THE_PICTURE)
