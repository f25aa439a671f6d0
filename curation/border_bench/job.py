"""What a worker does with one case: draw, encode, decode once, ask every method, and compare with the truth."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import cv2

from curation import border
from curation.border_bench import cropdetect, render, score, sources
from curation.border_bench.kinds import Case
from curation.border_bench.plan import Labelled
from curation.border_bench.score import Found, Scored
from svmbench import media
from svmbench.errors import BadMedia
from svmbench.media import ClipMedia, FrameNeed, Needs
from svmbench.records import Box

MAX_S = 60.0  # ours: how much of a labelled video is looked at
LOOK = FrameNeed(count=1, short_side_px=200, plane="rgb")  # the frame for the contact sheet


class CaseJob:
    """The worker. methods: names of curation/borders and of cropdetect.NAMES. videos: a folder of the user's as sources."""

    def __init__(self, methods: Sequence[str], videos: str | None) -> None:
        self.methods = tuple(methods)
        self.ours = {name: border.method(name) for name in self.methods if name not in cropdetect.NAMES}
        self.needs = media.union([*(plugin.NEEDS for plugin in self.ours.values()), Needs(frames=(LOOK,))])
        self.videos = Path(videos) if videos else None

    def run(self, item: Case | Labelled) -> Scored:
        if isinstance(item, Labelled):
            return self._labelled(item)
        kinds = sources.kinds(item.half)
        pictures = sources.of_folder(self.videos, item.half) if self.videos else sources.built_in(item.half)
        frames, truth = render.draw(item, kinds, pictures)
        with tempfile.TemporaryDirectory(prefix="svmbench-borders-") as folder:
            path = Path(folder) / ("case.webm" if item.codec == "libvpx-vp9" else "case.mp4")
            render.encode(frames, path, fps=item.fps, codec=item.codec, crf=item.crf)
            del frames
            clip = media.decode(path, self.needs, MAX_S)
            found = self._ask(path, clip, truth, kinds[item.kind].tolerance_px)
        return Scored(
            kind=item.kind, source=item.source, half=item.half, width_px=item.width_px, height_px=item.height_px, truth=truth,
            tolerance_px=kinds[item.kind].tolerance_px, case=asdict(item), found=found, jpeg=_frame(clip),
        )  # fmt: skip

    def _labelled(self, item: Labelled) -> Scored:
        clip = media.decode(item.path, self.needs, MAX_S)
        width, height = clip.probe.width_px, clip.probe.height_px
        left, top, right, bottom = item.bars
        if left + right >= width or top + bottom >= height:
            raise BadMedia("label", f"borders of {item.bars} leave nothing of {width}x{height}: {item.path}")
        truth = Box(left_px=left, top_px=top, width_px=width - left - right, height_px=height - top - bottom)
        return Scored(
            kind="bordered" if any(item.bars) else "whole", source=Path(item.path).name, half="labelled", width_px=width,
            height_px=height, truth=truth, tolerance_px=0, case={"file": item.path},
            found=self._ask(Path(item.path), clip, truth, 0), jpeg=_frame(clip),
        )  # fmt: skip

    def _ask(self, path: Path, clip: ClipMedia, truth: Box, tolerance_px: int) -> tuple[Found, ...]:
        """Every method's answer, in the order of the methods."""
        others = [name for name in self.methods if name not in self.ours]
        size = clip.probe.width_px, clip.probe.height_px
        boxes, other_ms = cropdetect.find(path, others, size, MAX_S) if others else ({}, 0.0)
        found = []
        for name in self.methods:
            if name in self.ours:
                began = time.thread_time()
                said = self.ours[name].find(clip)
                cpu_ms, box, sides = 1000 * (time.thread_time() - began), said.box, tuple(said.sides)
            else:
                left, top, right, bottom = boxes[name]
                cpu_ms, sides = other_ms, ()
                box = Box(left_px=left, top_px=top, width_px=right - left, height_px=bottom - top)
            found.append(
                Found(
                    method=name,
                    box=box,
                    error_px=score.errors(truth, box, tolerance_px),
                    iou=score.overlap(truth, box),
                    cpu_ms=cpu_ms,
                    kinds=tuple(side.kind for side in sides),
                    confidences=tuple(side.confidence for side in sides),
                )
            )
        return tuple(found)


def _frame(clip: ClipMedia) -> bytes:
    """A small JPEG of the frame in the middle."""
    image_HWC = clip.frames(LOOK).images[0]
    _, coded = cv2.imencode(".jpg", cv2.cvtColor(image_HWC, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return bytes(coded)
