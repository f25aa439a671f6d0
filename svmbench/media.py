"""Probe a file, and decode it once: every consumer says beforehand what it needs, and one pass serves them all.

Axes: T time, H height, W width, C colour, N audio samples. Time 0 is the first picture; the sound is laid against it.
What can be told about a bad file is the reason of its BadMedia: 'unreadable' (no container that we know), 'no_video' (no moving
picture in it), 'no_decoder' (a codec that this PyAV does not have), 'too_large' (more pixels than 4096 x 2304), 'no_frames'
(nothing of the picture can be decoded).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from svmbench.errors import BadMedia, MissingExtra
from svmbench.records import Box

try:
    import av
    import cv2

    from svmbench.pictures import FrameNeed, Frames, Taker
    from svmbench.reader import Reader, line
    from svmbench.segments import Cutter, bounds
    from svmbench.sound import resampled
    from svmbench.vectors import Vectors, VectorTaker
except ImportError as error:
    raise MissingExtra("decoding needs PyAV, OpenCV and soxr; pip install 'svmbench[curate]'") from error

av.logging.restore_default_callback()  # PyAV's own callback takes the GIL inside decoders and can dead-lock
av.logging.set_libav_level(av.logging.PANIC)
cv2.setNumThreads(1)  # one process a core


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What one consumer wants from the decoder. vectors: the codec's motion vectors, for ClipMedia.vectors."""

    frames: tuple[FrameNeed, ...] = ()
    audio_hz: tuple[int, ...] = ()
    vectors: bool = False


def union(needs: Iterable[Needs]) -> Needs:
    """What several consumers want, each thing once, in the order in which it was first asked for."""
    needs = list(needs)
    return Needs(
        frames=tuple(dict.fromkeys(f for n in needs for f in n.frames)),
        audio_hz=tuple(dict.fromkeys(hz for n in needs for hz in n.audio_hz)),
        vectors=any(n.vectors for n in needs),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a file is, read from its container and checked while decoding.

    duration_s is the decoded length of the picture where it was decoded, and container_s what the container claims of it (None if
    it says nothing). width_px and height_px are as shown, after the rotation tag; rotation_deg is that tag, counter-clockwise,
    and mirrored whether the tag also mirrors. audio_s: decoded length of the sound. audio_offset_s: how much later than the first
    picture the first sample comes, negative if earlier; None without sound. clipped_runs_per_s: how often the channel that is
    clipped most stays at full scale (svmbench.clipped); None where no sound was decoded. truncated: clearly less was decoded
    than claimed, frames are missing in the middle, or something was corrupt.
    """

    width_px: int
    height_px: int
    fps: float | None
    duration_s: float
    container_s: float | None
    video_codec: str | None
    audio_codec: str | None
    audio_s: float
    rotation_deg: int
    truncated: bool
    mirrored: bool = False
    audio_offset_s: float | None = None
    clipped_runs_per_s: float | None = None


class ClipMedia:
    """One decoded clip as filters and features see it. Made by `decode`; holds only what was needed, small enough for memory.

    probe, start_s, end_s, box as attributes. frames(need) -> Frames cut to the box; wave(hz) -> float32 mono of shape (N,) whose
    first sample belongs to start_s, empty where the clip has no sound; it is not padded at the end. vectors() -> Vectors,
    None where the codec has none. Asking for something that was not declared in the needs is a programming error (KeyError).
    """

    def __init__(
        self,
        *,
        probe: Probe,
        start_s: float,
        end_s: float,
        box: Box,
        frames: Mapping[FrameNeed, Frames],
        waves: Mapping[int, np.ndarray],
        vectors: Vectors | None = None,
    ) -> None:
        self.probe, self.start_s, self.end_s, self.box = probe, start_s, end_s, box
        self._frames, self._waves, self._vectors = dict(frames), dict(waves), vectors

    def frames(self, need: FrameNeed) -> Frames:
        found = self._frames[need]
        cut = self._cut(found.images)
        return replace(found, images=found.images[cut], next_images=None if found.next_images is None else found.next_images[cut])

    def _cut(self, images: np.ndarray) -> tuple[slice, slice, slice]:
        """The box in the pixels of these pictures, at least one pixel each way."""
        slices = [slice(None)]
        for size, whole, low, length in (
            (images.shape[1], self.probe.height_px, self.box.top_px, self.box.height_px),
            (images.shape[2], self.probe.width_px, self.box.left_px, self.box.width_px),
        ):
            first = min(round(low * size / whole), size - 1)
            slices.append(slice(first, max(first + 1, round((low + length) * size / whole))))
        return slices[0], slices[1], slices[2]

    def wave(self, hz: int) -> np.ndarray:
        return self._waves[hz]

    def vectors(self) -> Vectors | None:
        return self._vectors

    def with_box(self, box: Box, *, without: Iterable[FrameNeed] = ()) -> ClipMedia:
        """The same clip seen inside another box; the pictures of `without` are let go."""
        gone = set(without)
        kept = {need: frames for need, frames in self._frames.items() if need not in gone}
        return ClipMedia(
            probe=self.probe,
            start_s=self.start_s,
            end_s=self.end_s,
            box=box,
            frames=kept,
            waves=self._waves,
            vectors=self._vectors,
        )

    @property
    def duration_s(self) -> float:
        return round(self.end_s - self.start_s, 6)


def probe(path: Path | str) -> Probe:
    """What the container says and the first frame shows; nothing more is decoded, so duration_s is a claim and may lie."""
    with _opened(path) as container:
        reader = Reader(container, max_s=0.0)
        reader.read((), want_sound=False)
        claim_s = reader.claim_s or 0.0
        audio = reader.audio
        audio_s = float(audio.duration * audio.time_base) if audio is not None and audio.duration and audio.time_base else claim_s
        return replace(_probe(reader), duration_s=claim_s, audio_s=audio_s if audio is not None else 0.0, truncated=False)


def decode(path: Path | str, needs: Needs, max_s: float, *, frames: Literal["all", "reference"] = "all") -> ClipMedia:
    """The beginning of a video, at most max_s of it, decoded in one pass for all needs; BadMedia where that cannot be done.

    The box is the whole picture. Corrupt packets are left out and mark the clip as truncated; sound that cannot be decoded is
    no sound. frames: reference leaves out frames that no other frame is made from, which is faster; the two frames of a pair are
    then further apart, as their times say.
    """
    with _opened(path) as container:
        reader = Reader(container, max_s, reference_only=frames == "reference")
        takers, vectors = [Taker(need, max_s, reader.likely_s) for need in needs.frames], VectorTaker() if needs.vectors else None
        reader.read(takers, want_sound=bool(needs.audio_hz), vectors=vectors)
        found = _probe(reader)
    end_s = min(found.duration_s, max_s)
    rate, wave = reader.sound.laid_out(reader.origin_s, end_s)
    return ClipMedia(
        probe=replace(found, audio_s=len(wave) / rate),
        start_s=0.0,
        end_s=end_s,
        box=Box(left_px=0, top_px=0, width_px=found.width_px, height_px=found.height_px),
        frames={taker.need: taker.frames() for taker in takers},
        waves={hz: resampled(wave, rate, hz) for hz in needs.audio_hz},
        vectors=vectors.vectors() if vectors else None,
    )


def decode_segments(
    path: Path | str,
    whole: Needs,
    needs: Needs,
    max_s: float,
    *,
    segment_s: float,
    min_s: float,
    frames: Literal["all", "reference"] = "all",
) -> tuple[ClipMedia, Iterator[tuple[int, ClipMedia]]]:
    """As decode, in stretches that follow each other: the beginning as one, for the needs of `whole`, and (number, clip) of each.

    One pass serves all of them. The beginning is cut at every segment_s; a rest of at least min_s is a stretch too, and a shorter
    one is none, unless it is all there is. A stretch in which no picture begins is left out. start_s and end_s of a clip are in
    the file, its times count from start_s. Its probe tells of the file what holds for all of it (size, codecs, container_s,
    truncated), and of the stretch what was decoded: fps, duration_s, audio_s, audio_offset_s, clipped_runs_per_s. The clips are
    made one by one, and each one's pictures are let go with it.
    """
    with _opened(path) as container:
        reader = Reader(container, max_s, reference_only=frames == "reference")
        takers, vectors = [Taker(need, max_s, reader.likely_s) for need in whole.frames], VectorTaker() if needs.vectors else None
        cutter = Cutter(needs.frames, segment_s, max_s, last_s=reader.likely_s, usual_s=reader.usual_s)
        reader.read([*takers, cutter], want_sound=bool(whole.audio_hz or needs.audio_hz), vectors=vectors)
        found = _probe(reader)
    end_s = min(found.duration_s, max_s)
    rate, wave = reader.sound.laid_out(reader.origin_s, end_s)
    box = Box(left_px=0, top_px=0, width_px=found.width_px, height_px=found.height_px)

    def stretch(start_s: float, end_s: float, wants: Needs, takers: Iterable[Taker], probe: Probe) -> ClipMedia:
        sound = wave[:0] if probe.audio_offset_s is None else wave[round(start_s * rate) : round(end_s * rate)]
        return ClipMedia(
            probe=replace(probe, audio_s=len(sound) / rate),
            start_s=start_s,
            end_s=end_s,
            box=box,
            frames={taker.need: taker.frames() for taker in takers},
            waves={hz: resampled(sound, rate, hz) for hz in wants.audio_hz},
            vectors=vectors.vectors(start_s, end_s) if vectors else None,
        )

    def stretches() -> Iterator[tuple[int, ClipMedia]]:
        for number, (start_s, until_s) in enumerate(bounds(end_s, segment_s, min_s)):
            if number in cutter.stretches:
                probe = _probe_between(found, reader, start_s, until_s)
                yield number, stretch(start_s, until_s, needs, cutter.stretches.pop(number), probe)

    return stretch(0.0, end_s, whole, takers, found), stretches()


def _opened(path: Path | str) -> Any:
    if not Path(path).is_file():
        raise BadMedia("unreadable", f"{path} is not a file")
    try:
        return av.open(str(path), metadata_errors="ignore")
    except (av.error.FFmpegError, OSError) as error:
        raise BadMedia("unreadable", line(error)) from error


def _probe(reader: Reader) -> Probe:
    return Probe(
        width_px=reader.size_px[0],
        height_px=reader.size_px[1],
        fps=reader.fps,
        duration_s=reader.length_s,
        container_s=reader.claim_s,
        video_codec=reader.video.codec_context.codec.canonical_name,
        audio_codec=reader.audio.codec_context.codec.canonical_name if reader.audio else None,
        audio_s=0.0,
        rotation_deg=reader.rotation_deg,
        mirrored=reader.turn.mirrored,
        audio_offset_s=reader.audio_offset_s,
        clipped_runs_per_s=reader.sound.clipped_runs_per_s,
        truncated=reader.truncated,
    )


def _probe_between(found: Probe, reader: Reader, start_s: float, end_s: float) -> Probe:
    """Of one stretch of what was read: rates and lengths are its own. Without the length of its sound."""
    num_frames, late_s = reader.num_between(start_s, end_s), found.audio_offset_s
    if late_s is not None and start_s:
        late_s = max(0.0, late_s - start_s) if reader.sound.end_s - reader.origin_s > start_s else None
    if late_s is not None and late_s >= end_s - start_s:
        late_s = None  # it begins later
    return replace(
        found,
        fps=num_frames / (end_s - start_s) if num_frames > 1 and not reader.reference_only else found.fps,
        duration_s=round(end_s - start_s, 6),
        audio_offset_s=late_s,
        clipped_runs_per_s=reader.sound.clipped_between(reader.origin_s + start_s, reader.origin_s + end_s),
    )
