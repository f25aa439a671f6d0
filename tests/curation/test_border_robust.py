"""The robust border finder on constructed media whose border is known; where coding matters, through a real H.264 round trip.

Axes: T time, H height, W width, C colour. LTRB: depths of the borders on the left, top, right and bottom, in pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

from curation.border import Border
from curation.borders import robust
from curation.borders._copy import Copy
from svmbench.media import decode

TIMES, HEIGHT, WIDTH = 20, 240, 320
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
Ltrb = tuple[int, int, int, int]


@pytest.fixture
def find(film: Callable[..., Path], tmp_path: Path) -> Callable[..., Border]:
    """find(frames_THWC): the border of these frames after coding."""

    def run(frames: np.ndarray) -> Border:
        path = film(tmp_path / "clip.mp4", frames)
        return robust.find(decode(path, robust.NEEDS, 60))

    return run


def moving(height: int = HEIGHT, width: int = WIDTH, name: str = "astronaut", times: int = TIMES) -> np.ndarray:
    """frames_THWC: a camera that moves over a photograph."""
    image = getattr(data, name)()[..., :3]
    scale = max(height / image.shape[0], width / image.shape[1]) * 1.3
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    room = image.shape[0] - height, image.shape[1] - width
    places = [(round(room[0] * t / times), round(room[1] * (1 - t / times))) for t in range(times)]
    return np.stack([image[y : y + height, x : x + width] for y, x in places])


def ground(colour: tuple[int, int, int] = BLACK, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return np.tile(np.array(colour, np.uint8), (TIMES, height, width, 1))


def framed(depths: Ltrb, behind: np.ndarray | None = None, name: str = "astronaut") -> np.ndarray:
    """The moving photograph with borders of these depths, black ones or what is behind."""
    left, top, right, bottom = depths
    frames = ground() if behind is None else behind.copy()
    height, width = frames.shape[1:3]
    frames[:, top : height - bottom, left : width - right] = moving(height - top - bottom, width - left - right, name)
    return frames


def written(frames: np.ndarray, text: str, place: tuple[int, int], size: float = 0.7, ink: tuple[int, ...] = WHITE) -> np.ndarray:
    for image in frames:
        cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, ink, 2, cv2.LINE_AA)
    return frames


def depths(border: Border) -> Ltrb:
    left, top, right, bottom = (side.depth_px for side in border.sides)
    return left, top, right, bottom


def near(border: Border, expected: Ltrb, within_px: int = 1) -> bool:
    box = border.box
    assert (box.left_px, box.top_px) == depths(border)[:2]
    assert box.width_px > 0
    assert box.height_px > 0
    return all(abs(a - b) <= within_px for a, b in zip(depths(border), expected, strict=True))


NONE: Ltrb = (0, 0, 0, 0)


@pytest.mark.parametrize("case", range(12))
def test_plain_bars_of_any_depth_colour_and_side(find: Callable[..., Border], case: int) -> None:
    rng = np.random.default_rng(case)
    across = rng.random() < 0.5
    one, two = (int(d) for d in rng.integers(8, 72, 2))
    expected: Ltrb = (one, 0, two, 0) if across else (0, one, 0, two)
    colour = [BLACK, WHITE, (40, 90, 200), (128, 128, 128), (24, 24, 24), (250, 210, 60)][case % 6]
    border = find(framed(expected, ground(colour), ("astronaut", "coffee", "chelsea")[case % 3]))
    assert near(border, expected)
    assert border.kind == ("pillarbox" if across else "letterbox")
    kinds = {side.kind for side in border.sides if side.depth_px}
    assert kinds == ({"black"} if max(colour) < 40 else {"colour"})


def test_bars_on_all_sides_and_of_two_colours(find: Callable[..., Border]) -> None:
    assert near(find(framed((31, 22, 40, 35))), (31, 22, 40, 35))
    behind = ground((200, 30, 60))
    behind[:, HEIGHT // 2 :] = (30, 60, 180)
    assert near(find(framed((0, 41, 0, 30), behind)), (0, 41, 0, 30))


def test_black_bar_on_one_side_only(find: Callable[..., Border]) -> None:
    border = find(framed((0, 0, 0, 57)))
    assert near(border, (0, 0, 0, 57))
    assert border.kind == "one_sided"
    assert border.sides[3].kind == "black"
    assert border.sides[3].confidence > 0.9
    assert border.confidence > 0.9


def test_thin_and_odd_bars(find: Callable[..., Border]) -> None:
    assert near(find(framed((0, 3, 0, 5))), (0, 3, 0, 5))


@pytest.mark.parametrize("noise", [2.0, 4.0])
def test_bars_with_grain(find: Callable[..., Border], noise: float) -> None:
    rng = np.random.default_rng(0)
    grain = rng.normal(0, noise, (TIMES, HEIGHT, WIDTH, 1))
    assert near(find(framed((0, 44, 0, 44), np.clip(ground((26, 26, 26)) + grain, 0, 255).astype(np.uint8))), (0, 44, 0, 44))


def test_bars_around_a_photograph_that_stands_still(find: Callable[..., Border]) -> None:
    assert near(find(np.repeat(framed((0, 48, 0, 48))[:1], TIMES, axis=0)), (0, 48, 0, 48))
    assert near(find(np.repeat(framed((60, 0, 60, 0), ground(WHITE))[:1], TIMES, axis=0)), (60, 0, 60, 0))


def test_photograph_that_stands_still_is_kept_whole(find: Callable[..., Border]) -> None:
    assert near(find(np.repeat(moving(name="coffee")[:1], TIMES, axis=0)), NONE, 0)


def test_captions_and_logos_in_bars(find: Callable[..., Border]) -> None:
    frames = written(framed((0, 60, 0, 60)), "WAIT FOR THE END OF IT", (4, 42), 0.8)
    assert near(find(frames), (0, 60, 0, 60))
    assert near(find(written(framed((0, 50, 0, 50)), "logo", (12, 26), 0.5)), (0, 50, 0, 50))
    caption = written(framed((0, 70, 0, 0), ground(WHITE)), "when it is monday again", (6, 44), 0.7, BLACK)
    assert near(find(caption), (0, 70, 0, 0))


def test_text_that_comes_and_goes_in_a_bar(find: Callable[..., Border]) -> None:
    frames = framed((0, 44, 0, 52))
    for start in range(0, TIMES, 8):
        written(frames[start : start + 4], f"line {start} of the song", (50, HEIGHT - 20))
    assert near(find(frames), (0, 44, 0, 52))


def test_things_that_move_in_bars(find: Callable[..., Border]) -> None:
    frames = framed((0, 60, 0, 60))
    for step, image in enumerate(frames):
        cv2.circle(image, (20 + 15 * step, 30 + round(14 * np.sin(step))), 16, (250, 200, 40), -1)
        image[HEIGHT - 12 : HEIGHT - 7, : round(WIDTH * (step + 1) / TIMES)] = (230, 30, 60)
    assert near(find(frames), (0, 60, 0, 60))


def test_sticker_over_the_line_between_bar_and_picture(find: Callable[..., Border]) -> None:
    frames = framed((0, 60, 0, 60))
    for image in frames:
        cv2.circle(image, (90, 60), 26, (250, 200, 40), -1)
    assert near(find(frames), (0, 60, 0, 60))


def test_blurred_copy_behind_the_picture(find: Callable[..., Border]) -> None:
    behind = np.stack([cv2.GaussianBlur(image, (0, 0), 9) for image in moving()])
    border = find(framed((80, 0, 80, 0), behind))
    assert near(border, (80, 0, 80, 0))
    assert border.sides[0].kind == border.sides[2].kind == "blurred"


def test_still_template_behind_the_moving_picture(find: Callable[..., Border]) -> None:
    behind = np.repeat(moving(name="coffee")[:1], TIMES, axis=0)
    border = find(framed((80, 0, 80, 0), behind))
    assert near(border, (80, 0, 80, 0))
    assert border.sides[0].kind == border.sides[2].kind == "template"


def test_bars_within_a_blurred_copy(find: Callable[..., Border]) -> None:
    behind = np.stack([cv2.GaussianBlur(image, (0, 0), 9) for image in moving()])
    behind[:, :, 80:240] = 0
    frames = framed((80, 40, 80, 40), behind)
    assert near(find(frames), (80, 40, 80, 40))


@pytest.mark.parametrize("first", [12, 17])
def test_border_that_other_frames_contradict_is_picture(find: Callable[..., Border], first: int) -> None:
    frames = framed((0, 50, 0, 50))
    frames[first:] = moving()[first:]
    assert near(find(frames), NONE, 0)


def test_bars_that_change_leave_the_shallower_ones(find: Callable[..., Border]) -> None:
    frames = framed((0, 70, 0, 70))
    frames[TIMES // 2 :] = framed((0, 30, 0, 30))[TIMES // 2 :]
    assert near(find(frames), (0, 30, 0, 30))


@pytest.mark.parametrize("colour", [BLACK, WHITE])
def test_fades_do_not_hide_bars(find: Callable[..., Border], colour: tuple[int, int, int]) -> None:
    gain = np.minimum(1, np.arange(TIMES) / 8)[:, None, None, None]
    border = find((framed((0, 45, 0, 45), ground(colour)) * gain).astype(np.uint8))
    assert near(border, (0, 45, 0, 45))
    assert {border.sides[1].kind, border.sides[3].kind} == {"black" if colour == BLACK else "colour"}


def test_fade_without_bars_is_kept_whole(find: Callable[..., Border]) -> None:
    gain = np.minimum(1, np.arange(TIMES) / 8)[:, None, None, None]
    assert near(find((moving() * gain).astype(np.uint8)), NONE, 0)


def test_flash_between_frames_does_not_hide_bars(find: Callable[..., Border]) -> None:
    frames = framed((0, 45, 0, 45))
    frames[6] = 255
    assert near(find(frames), (0, 45, 0, 45))


def test_dark_scenes(find: Callable[..., Border]) -> None:
    assert near(find((framed((0, 50, 0, 50)) * 0.2).astype(np.uint8)), (0, 50, 0, 50))
    assert near(find((moving() * 0.15).astype(np.uint8)), NONE, 0)


def test_black_sky_over_roofs_is_kept(find: Callable[..., Border]) -> None:
    frames = moving()
    roofs = 70 + 18 * np.sin(np.arange(WIDTH) / 23) + 9 * np.sin(np.arange(WIDTH) / 7)
    frames[:, np.arange(HEIGHT)[:, None] < roofs] = 0
    assert near(find(frames), NONE, 0)


def test_plain_wall_or_sky_over_a_straight_edge_is_kept(find: Callable[..., Border]) -> None:
    frames = np.repeat(moving()[:1], TIMES, axis=0)
    frames[:, :80] = (236, 234, 230)
    assert near(find(frames), NONE, 0)


def test_flat_cartoon_and_text_on_black_are_kept(find: Callable[..., Border]) -> None:
    cartoon = ground((120, 190, 250))
    cartoon[:, 150:] = (90, 180, 80)
    for step, image in enumerate(cartoon):
        cv2.circle(image, (20 + 14 * step, 120), 30, (250, 120, 60), -1)
    assert near(find(cartoon), NONE, 0)
    credits = ground()
    for row, words in enumerate(("directed by", "A. PERSON", "music", "B. OTHER AND FRIENDS", "thanks")):
        written(credits, words, (60, 50 + 38 * row))
    assert near(find(credits), NONE, 0)


def test_split_screen_and_recorded_screen_are_kept(find: Callable[..., Border]) -> None:
    halves = np.concatenate([moving(120), moving(120, name="coffee")], axis=1)
    assert near(find(halves), NONE, 0)
    screen = moving()
    screen[:, :14], screen[:, -20:] = 250, 250
    written(screen, "12:34", (14, 11), 0.35, BLACK)
    for image in screen:
        for x in range(30, WIDTH, 64):
            cv2.circle(image, (x, HEIGHT - 10), 5, (20, 20, 20), -1)
    assert near(find(screen), NONE, 0)


def test_picture_that_grows_to_full_size_is_kept(find: Callable[..., Border]) -> None:
    frames = moving()
    for step in range(8):
        small = cv2.resize(frames[step], (160 + 20 * step, 120 + 15 * step), interpolation=cv2.INTER_AREA)
        frames[step] = 0
        top, left = (HEIGHT - small.shape[0]) // 2, (WIDTH - small.shape[1]) // 2
        frames[step, top : top + small.shape[0], left : left + small.shape[1]] = small
    assert near(find(frames), NONE, 0)


def test_two_runs_agree_and_the_confidence_is_lower_where_less_speaks(find: Callable[..., Border]) -> None:
    plain, captioned = framed((0, 60, 0, 60)), written(framed((0, 60, 0, 60)), "WAIT FOR THE END", (4, 42), 0.9)
    first, second = find(plain), find(plain)
    assert first == second
    assert find(captioned).sides[1].confidence < first.sides[1].confidence <= 1


def planes(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Luma as in full-range video, and chroma without colour at half size."""
    luma = np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in frames])
    shape = len(luma), (luma.shape[1] + 1) // 2, (luma.shape[2] + 1) // 2, 2
    return luma, np.full(shape, 128, np.uint8)


def test_full_range_black_and_odd_sizes() -> None:
    luma, chroma = planes(framed((0, 41, 0, 37), ground(height=241, width=321)))
    assert luma.min() == 0
    assert near(robust.find_border(luma, chroma, (321, 241)), (0, 41, 0, 37))


def test_box_of_a_larger_video_keeps_no_border_line() -> None:
    """The frames looked at are half as large: what is cut reaches the border, and at most a line further."""
    luma, chroma = planes(framed((0, 40, 0, 40)))
    border = robust.find_border(luma, chroma, (2 * WIDTH, 2 * HEIGHT))
    assert (border.sides[1].depth_px, border.sides[3].depth_px) == (81, 81)
    assert border.box.height_px == 2 * HEIGHT - 162
    assert border.box.width_px == 2 * WIDTH


def test_one_frame_is_enough_for_plain_bars() -> None:
    luma, chroma = planes(framed((0, 40, 0, 40))[:1])
    assert near(robust.find_border(luma, chroma, (WIDTH, HEIGHT)), (0, 40, 0, 40))


@pytest.mark.parametrize(("height", "width"), [(6, 10), (1, 1), (2, 400), (16, 16), (400, 8)])
def test_tiny_frames_are_kept_whole(height: int, width: int) -> None:
    luma = np.random.default_rng(1).integers(0, 256, (4, height, width), np.uint8)
    chroma = np.full((4, max(1, height // 2), max(1, width // 2), 2), 128, np.uint8)
    assert near(robust.find_border(luma, chroma, (width, height)), NONE, 0)


def test_no_frames_and_empty_frames_are_kept_whole_without_confidence() -> None:
    none = np.zeros((0, 1, 1), np.uint8), np.zeros((0, 1, 1, 2), np.uint8)
    flat = np.full((5, 90, 160), 16, np.uint8), np.full((5, 45, 80, 2), 128, np.uint8)
    for (luma, chroma), size in ((none, (160, 90)), (flat, (160, 90))):
        border = robust.find_border(luma, chroma, size)
        assert depths(border) == NONE
        assert border.confidence == 0
        assert border.box.width_px == size[0]


def dancer(frames: np.ndarray, times: int = TIMES) -> np.ndarray:
    """Somebody moves in the middle; nothing else does."""
    height, width = frames.shape[1:3]
    for step in range(times):
        place = width // 2 + round(width * 0.08 * np.sin(step)), round(height * 0.6)
        cv2.ellipse(frames[step], place, (width // 14, height // 4), 0, 0, 360, (190, 90, 60), -1)
    return frames


def test_dark_parts_of_a_scene_are_kept(find: Callable[..., Border]) -> None:
    """One side that is dark, but not painted black: a floor, a night sky over a straight roof."""
    floor = moving()
    floor[:, 190:] = (34, 30, 36)
    assert near(find(floor), NONE, 0)
    night = moving()
    night[:, :90] = (9, 9, 12)
    assert near(find(night), NONE, 0)


def test_curtains_at_unequal_depths_are_kept(find: Callable[..., Border]) -> None:
    frames = moving()
    cloth = np.random.default_rng(3).normal(24, 6, (1, HEIGHT, WIDTH, 1)).clip(0, 255).astype(np.uint8)
    frames[:, :, :70], frames[:, :, -83:] = cloth[:, :, :70], cloth[:, :, -83:]
    assert near(find(frames), NONE, 0)


def test_passage_with_somebody_in_its_light_is_kept(find: Callable[..., Border]) -> None:
    frames = ground((22, 22, 22))
    frames[:, 40:, 90:230] = (200, 196, 190)
    assert near(find(dancer(frames)), NONE, 0)


def test_slats_and_flags_are_kept(find: Callable[..., Border]) -> None:
    slats = ground((205, 200, 190))
    for first in range(0, HEIGHT, 34):
        slats[:, first : first + 14] = (36, 40, 44)
    assert near(find(dancer(slats)), NONE, 0)
    flag = ground((200, 30, 40))
    flag[:, 80:160] = (250, 250, 250)
    assert near(find(flag), NONE, 0)


def test_screen_filmed_by_hand_is_kept(find: Callable[..., Border]) -> None:
    frames, screen = ground((10, 10, 10)), moving(110, 150)
    for step, image in enumerate(frames):
        left, top = 85 + round(5 * np.sin(step / 2)), 65 + round(5 * np.cos(step / 3))
        image[top : top + 110, left : left + 150] = screen[step]
    assert near(find(frames), NONE, 0)


def test_painted_bars_around_a_flat_wall_where_nothing_moves_near_the_line(find: Callable[..., Border]) -> None:
    """The same colour at the same depth, along the whole of both sides: no wall does that by chance."""
    frames = ground((90, 40, 120))
    frames[:, 51:189] = dancer(ground((160, 160, 150), 138))
    assert near(find(frames), (0, 51, 0, 51))


def test_bar_that_rows_of_text_fill(find: Callable[..., Border]) -> None:
    frames = framed((0, 80, 0, 80), ground((30, 60, 150)))
    for row in range(4):
        written(frames, "all of the words of this song are here", (2, 178 + 18 * row), 0.5)
    assert near(find(frames), (0, 80, 0, 80))


def test_very_dark_picture_in_black_bars(find: Callable[..., Border]) -> None:
    """Too dark for a step, but the bare black ends at once along both sides."""
    frames = framed((0, 50, 0, 50))
    frames[:, 50:190] = dancer(ground(BLACK, 140)) // 12 + 8
    assert near(find(frames), (0, 50, 0, 50))


def test_still_card_around_a_scene_whose_edges_stand_still(find: Callable[..., Border]) -> None:
    frames = np.repeat(moving(name="coffee")[:1], TIMES, axis=0)
    frames[:, :, 70:250] = dancer(ground((225, 225, 220), HEIGHT, 180))
    assert near(find(frames), (70, 0, 70, 0))


def test_road_with_cars_is_no_lettered_bar(find: Callable[..., Border]) -> None:
    frames = moving()
    frames[:, 180:] = (84, 80, 76)
    for step, image in enumerate(frames):
        for car in range(4):
            place = (90 * car + 17 * step) % (WIDTH + 40) - 20, 212
            cv2.ellipse(image, place, (24, 14), 0, 0, 360, (210, 60 * car, 40), -1)
    assert near(find(frames), NONE, 0)


def test_picture_boxed_for_a_while_whose_foot_is_black_is_kept(find: Callable[..., Border]) -> None:
    frames = framed((0, 50, 0, 50))
    frames[12:] = moving()[12:]
    frames[12:, 190:] = 0
    assert near(find(frames), NONE, 0)


def stripes() -> np.ndarray:
    """frames_THWC: slanting stripes of two shades that run."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([np.where((x + y + 3 * t) // 12 % 2, 70, 150).astype(np.uint8)[..., None].repeat(3, 2) for t in range(TIMES)])


def test_pattern_that_runs_behind_the_picture(find: Callable[..., Border]) -> None:
    frames = framed((80, 0, 80, 0), stripes())
    frames[:, :, 80:240] = dancer(ground((240, 238, 230), HEIGHT, 160))
    assert near(find(frames), (80, 0, 80, 0))


def test_three_moving_pictures_side_by_side_are_kept(find: Callable[..., Border]) -> None:
    panels = [moving(width=106), moving(width=108, name="coffee"), moving(width=106, name="chelsea")]
    assert near(find(np.concatenate(panels, axis=2)), NONE, 0)
    panels[1] = dancer(ground((240, 238, 230), HEIGHT, 108))
    assert near(find(np.concatenate(panels, axis=2)), NONE, 0)


def test_letters_down_to_the_line_of_one_bar(find: Callable[..., Border]) -> None:
    """The last row of text looks like the line; the step that faces that of the bare bar is the true one."""
    frames = ground((235, 235, 235))
    frames[:, 70:170] = dancer(ground((60, 70, 110), 100))
    for row in range(3):
        written(frames, "#words #of #this #song #here #and #more", (0, 182 + 18 * row), 0.5, (20, 20, 20))
    assert near(find(frames), (0, 70, 0, 70))


def test_painted_bars_where_a_part_of_the_picture_is_as_dark(find: Callable[..., Border]) -> None:
    frames = ground((34, 34, 34))
    wall = ground((150, 140, 120), 140)
    wall[:, 100:, 60:110] = (34, 34, 34)
    frames[:, 50:190] = dancer(wall)
    assert near(find(frames), (0, 50, 0, 50))


def test_bar_as_light_as_the_sky_in_the_picture(find: Callable[..., Border]) -> None:
    """Only the chroma tells the two apart above; below, the luma does."""
    frames = framed((0, 60, 0, 60), ground((200, 90, 90)))
    frames[:, 60:110] = (105, 126, 130)
    assert near(find(frames), (0, 60, 0, 60), 2)


def copied(one: int, two: int, blur: float = 9, gain: float = 0.6, name: str = "astronaut", still: bool = False) -> np.ndarray:
    """frames_THWC: the picture between rows, and behind it itself as apps do it: scaled until it covers, blurred, dimmed."""
    height = HEIGHT - one - two
    picture = moving(height, WIDTH, name)
    if still:
        picture = np.repeat(picture[:1], TIMES, axis=0)
    scale = HEIGHT / height
    behind = []
    for image in picture:
        large = cv2.resize(image, (round(WIDTH * scale), HEIGHT))
        left = (large.shape[1] - WIDTH) // 2
        behind.append((cv2.GaussianBlur(large[:, left : left + WIDTH], (0, 0), blur) * gain).astype(np.uint8))
    frames = np.stack(behind)
    frames[:, one : HEIGHT - two] = picture
    return frames


def test_blurred_copy_of_a_picture_that_stands_still(find: Callable[..., Border]) -> None:
    """Nothing moves, and the lines are weak: only that it is a copy tells the border from a soft part of the photograph."""
    frames = copied(60, 60, name="chelsea", gain=1.0, still=True)
    assert near(find(frames), (0, 60, 0, 60))
    turned = np.ascontiguousarray(frames[:, ::-1, ::-1])
    turned[:, 60:180] = frames[:, 60:180]
    assert near(find(turned), NONE, 0)


def test_blurred_copy_that_goes_when_the_picture_fills_the_frame(find: Callable[..., Border]) -> None:
    frames = copied(60, 60)
    frames[12:] = moving()[12:]
    assert near(find(frames), NONE, 0)


def test_copy_is_known_by_its_place_and_not_by_its_light() -> None:
    luma = planes(copied(60, 60, name="coffee"))[0]
    true = Copy(luma).alike(60, 60)
    assert true > 0.8
    assert Copy(luma // 2).alike(60, 60) == pytest.approx(true, abs=0.05)
    assert Copy(np.ascontiguousarray(luma[:, ::-1])).alike(60, 60) == pytest.approx(true, abs=0.01)
    other = luma.copy()
    other[:, 60:180] = planes(moving(120))[0]
    assert Copy(other).alike(60, 60) < 0.5
    assert Copy(luma).alike(1, 60) == 0.0  # nothing outside to compare
    assert Copy(luma).alike(118, 118) == 0.0
    assert Copy(np.full_like(luma, 90)).alike(60, 60) == 0.0


def test_what_moves_begins_along_two_lines_that_face_each_other() -> None:
    """Only a third of the line is seen, for there the picture begins in the card's own shades; but what moves begins there."""
    shades = np.linspace(60, 180, HEIGHT)[:, None]
    luma = np.repeat(np.broadcast_to(shades, (1, HEIGHT, WIDTH)), TIMES, axis=0).copy()
    pulse = 12 * np.cos(2 * np.pi * np.arange(TIMES) / TIMES)[:, None, None] ** 5
    within = np.clip((80 - np.abs(np.arange(WIDTH) - 159.5)) / 60, 0, 1)  # grows from the lines to the middle
    luma += within * (240 - 2 * shades)
    luma[:, :, 80:240] += pulse
    luma[:, :80, 80:240] += 60
    chroma = np.full((TIMES, HEIGHT // 2, WIDTH // 2, 2), 128, np.uint8)
    assert near(robust.find_border(luma.astype(np.uint8), chroma, (WIDTH, HEIGHT)), (80, 0, 80, 0))
    luma[:, :, :80] += pulse  # the same where the outside moves too
    assert near(robust.find_border(luma.astype(np.uint8), chroma, (WIDTH, HEIGHT)), NONE, 0)


def test_photograph_on_a_still_card_of_soft_colours(find: Callable[..., Border]) -> None:
    shades = np.linspace(40, 220, WIDTH)
    behind = ground((0, 0, 0))
    behind[..., 0], behind[..., 1], behind[..., 2] = shades, 210, 220 - shades / 2
    behind[:, HEIGHT // 2 :, :, 1] = 150
    photograph = np.repeat(framed((0, 60, 0, 60), behind, "coffee")[:1], TIMES, axis=0)
    assert near(find(photograph), (0, 60, 0, 60))


def test_two_bars_of_different_colours_around_a_sky(find: Callable[..., Border]) -> None:
    """Above nothing moves; below it does, and both lines run along the whole of their sides at one depth."""
    frames = ground((30, 50, 160))
    frames[:, 60:180] = moving(120)
    frames[:, 60:100] = (170, 180, 190)
    frames[:, 180:] = (240, 200, 40)
    assert near(find(frames), (0, 60, 0, 60))
    frames[:, 160:] = (240, 200, 40)
    assert near(find(frames), NONE, 0)


def test_floor_with_something_on_it_in_a_photograph_is_no_lettered_bar(find: Callable[..., Border]) -> None:
    frames = np.repeat(moving()[:1], TIMES, axis=0)
    frames[:, 190:] = (96, 48, 100)
    for image in frames:
        cv2.ellipse(image, (90, 214), (28, 10), 0, 0, 360, (150, 160, 170), -1)
        cv2.ellipse(image, (230, 216), (28, 10), 0, 0, 360, (60, 130, 200), -1)
    assert near(find(frames), NONE, 0)


def test_bar_as_light_as_the_picture_in_some_frames(find: Callable[..., Border]) -> None:
    """The line is told by luma in some frames, and by chroma in the others."""
    frames = framed((0, 60, 0, 60), ground((128, 128, 128)))
    frames[:11, 60:90] = (108, 134, 144)
    assert near(find(frames), (0, 60, 0, 60), 2)
