"""One pass over an open container: the picture to those who collect frames, the sound into one wave, and how well it went."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import av
import numpy as np

from svmbench.errors import BadMedia
from svmbench.pictures import SOON_S, Picture, Scalers, Taker, Turn
from svmbench.segments import Cutter
from svmbench.sound import Sound
from svmbench.vectors import VectorTaker

MOST_PIXELS = 36_864 * 256  # the largest picture of H.264 at level 5.2 (4096 x 2304); HEVC at level 5.2 has less
TRUNCATED_BELOW, TRUNCATED_BY_S = 0.97, 0.3  # ours: the decoded picture is this short of what is claimed
HOLE_S, HOLE_FRAMES = 0.25, 4.0  # ours: a gap of at least this, and of so many usual ones, in a picture that is regular otherwise
REGULAR, REGULAR_SHARE = 0.2, 0.95  # ours: gaps this near to the median one, and how many of them are
USUAL_FPS = 25.0  # ours: where the file tells no rate
TAG = re.compile(r"(\d+):(\d+):(\d+\.\d+)")
LEAST_BYTES_PER_S = 300  # ours: a still picture without sound takes more
LONGEST_FRAME_S = 1.0  # ours: the last frame is shown no longer than this


class Reader:
    """Reads at most max_s of the container, counted from its first picture."""

    def __init__(self, container: Any, max_s: float, *, reference_only: bool = False) -> None:
        self.container, self.max_s, self.reference_only = container, max_s, reference_only
        self.video, self.audio = shown(container), heard(container)
        context = self.video.codec_context
        if context.width * context.height > MOST_PIXELS:
            raise BadMedia("too_large", f"the picture is {context.width} x {context.height}; at most {MOST_PIXELS} pixels")
        context.thread_type, context.thread_count = "NONE", 1
        context.options = {"max_pixels": str(MOST_PIXELS)}
        if reference_only:
            context.skip_frame = "NONREF"
        self.usual_s = 1 / float(self.video.guessed_rate or USUAL_FPS)
        self.sound, self.scalers, self.turn, self.rotation_deg = Sound(max_s), Scalers(), Turn(), 0
        self.origin_s = self.last_s = self.last_length_s = self.lasts_s = self.unheard_s = 0.0
        self.tick_s = float(self.video.time_base)
        self.times_s: list[float] = []
        self.gaps_s: list[float] = []  # long ones that the frame before them does not own up to
        self.num_frames, self.num_bad, self.detail = 0, 0, "no picture in the stream"
        self.size_px, self.done, self.heard = (0, 0), False, False

    def read(self, takers: Sequence[Taker | Cutter], *, want_sound: bool, vectors: VectorTaker | None = None) -> None:
        """Demuxes until both streams have passed max_s; a container that breaks off ends the pass."""
        self.takers, self.vectors = takers, vectors
        self.wanted_s = min((t.wanted_s for t in takers), default=float("inf"))
        if vectors:
            self.video.codec_context.flags2 |= av.codec.context.Flags2.export_mvs
        self.heard = sounding = self.audio is not None and want_sound
        try:
            for packet in self._packets():
                if packet.stream is self.video:
                    if not self.done:
                        self._picture(packet)
                elif sounding:
                    sounding = self._hear(packet)
                elif packet.pts is not None:
                    self.unheard_s = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                if self.done and not sounding:
                    break
        except (av.error.FFmpegError, OSError) as error:
            self._bad(error)
        if not self.num_frames:
            codec = self.video.codec_context.name
            raise BadMedia("no_frames", f"{self.num_bad} packets of {codec} cannot be decoded; {self.detail}")
        self.takers = ()  # they belong to whoever made them

    def _packets(self) -> Iterator[Any]:
        try:
            yield from self.container.demux([s for s in (self.video, self.audio) if s])
        except IndexError as error:  # PyAV's, at the end of a file in which damage made up another stream
            self._bad(error)

    def _bad(self, error: Exception) -> None:
        self.num_bad += 1
        self.detail = line(error)

    def _picture(self, packet: Any) -> None:
        try:
            frames = packet.decode()
        except av.error.MemoryError as error:
            raise MemoryError(line(error)) from error
        except av.error.FFmpegError as error:
            self._bad(error)
            return
        for frame in frames:
            at_s = self._time(frame)
            if self.num_frames and at_s >= self.max_s:
                self.done = True
                return
            self.num_frames += 1
            self.times_s.append(at_s)
            self.num_bad += frame.is_corrupt
            self.last_s, self.lasts_s = at_s, frame.duration * self.tick_s
            if at_s >= self.wanted_s:
                picture = Picture(frame, self.turn, self.scalers)
                for taker in self.takers:
                    taker.offer(at_s, picture)
                self.wanted_s = min(t.wanted_s for t in self.takers)
            if self.vectors:
                self.vectors.offer(at_s, frame)

    def _time(self, frame: Any) -> float:
        """Seconds since the first frame, always growing: a frame without a time, or an earlier one, follows at the usual rate."""
        time_s = frame.time
        if not self.num_frames:
            self.origin_s, self.last_length_s = time_s or 0.0, self.usual_s
            self.turn, self.rotation_deg = Turn.of(frame), int(round(frame.rotation / 90) * 90)
            self.size_px = (frame.height, frame.width) if self.turn.swapped else (frame.width, frame.height)
            return 0.0
        at_s = time_s - self.origin_s if time_s is not None else -1.0
        if at_s <= self.last_s:
            return self.last_s + self.usual_s
        self.last_length_s = at_s - self.last_s
        if self.last_length_s > max(HOLE_S, HOLE_FRAMES * self.lasts_s):
            self.gaps_s.append(self.last_length_s)
        return float(at_s)

    def _hear(self, packet: Any) -> bool:
        """Decodes a packet of sound; False when the sound has gone past what is wanted."""
        try:
            for frame in packet.decode():
                self.sound.add(frame)
        except av.error.MemoryError as error:
            raise MemoryError(line(error)) from error
        except av.error.FFmpegError as error:
            if self.sound.length:  # else there is no sound
                self._bad(error)
        return self.sound.end_s < (self.origin_s + self.max_s if self.num_frames else float("inf"))

    @property
    def length_s(self) -> float:
        """How long the decoded picture is."""
        return round(self.last_s + min(self.last_length_s, LONGEST_FRAME_S), 6)

    def num_between(self, start_s: float, end_s: float) -> int:
        """How many pictures begin within."""
        first, end = np.searchsorted(self.times_s, [start_s - SOON_S, end_s - SOON_S])
        return int(end - first)

    @property
    def claim_s(self) -> float | None:
        """How long the file says that its picture is; None if it says nothing."""
        if self.video.duration and self.video.time_base:
            return float(self.video.duration * self.video.time_base)
        if tag := TAG.fullmatch(self.video.metadata.get("DURATION", "")):  # Matroska's: when the picture ends
            return sum(float(part) * unit for part, unit in zip(tag.groups(), (3600, 60, 1), strict=True)) - self.origin_s
        if not self.container.duration:
            return None
        start_s = (self.container.start_time or 0) / av.time_base
        return float(self.container.duration) / av.time_base - max(0.0, self.origin_s - start_s)

    @property
    def likely_s(self) -> float | None:
        """When the last frame comes by the claim, where so long a video fits into the file; None where nothing is known."""
        claim_s = self.claim_s or 0.0
        fits = self.container.size >= LEAST_BYTES_PER_S * claim_s
        return claim_s - self.usual_s if fits and claim_s > self.usual_s else None

    @property
    def truncated(self) -> bool:
        wanted_s = min(self.claim_s or 0.0, self.max_s)
        of_file = not self.video.duration and "DURATION" not in self.video.metadata  # then the sound may be what lasts so long
        length_s = max(self.length_s, max(self.sound.end_s, self.unheard_s) - self.origin_s) if of_file else self.length_s
        return self.num_bad > 0 or self._has_hole() or length_s < min(TRUNCATED_BELOW * wanted_s, wanted_s - TRUNCATED_BY_S)

    def _has_hole(self) -> bool:
        """Whether frames are missing in the middle: a file that is damaged loses them without any other trace."""
        if not self.gaps_s:
            return False
        gaps_s = np.diff(self.times_s)
        usual_s = np.median(gaps_s)
        regular = (np.abs(gaps_s - usual_s) < REGULAR * usual_s).mean() >= REGULAR_SHARE
        return bool(regular and max(self.gaps_s) > HOLE_FRAMES * usual_s)

    @property
    def fps(self) -> float | None:
        """As decoded, or as claimed where only one frame or not every frame was."""
        rate = self.video.average_rate or self.video.guessed_rate
        if self.num_frames > 1 and not self.reference_only:
            return self.num_frames / self.length_s
        return float(rate) if rate else None

    @property
    def audio_offset_s(self) -> float | None:
        """From the first picture to the first sample; None where there is no sound. Claimed where the sound was not decoded."""
        if self.heard:
            return None if self.sound.start_s is None else self.sound.start_s - self.origin_s
        if self.audio is None or self.audio.start_time is None:
            return None
        return float(self.audio.start_time * self.audio.time_base) - self.origin_s


def shown(container: Any) -> Any:
    """The picture that a player would show: the default one, and of several the largest."""
    films = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not films:
        raise BadMedia("no_video", f"streams: {', '.join(s.type for s in container.streams) or 'none'}")
    films = [s for s in films if s.codec_context is not None]
    if not films:
        raise BadMedia("no_decoder", "no decoder for the picture")
    return max(films, key=lambda s: (_is_default(s), s.codec_context.width * s.codec_context.height))


def heard(container: Any) -> Any:
    """The sound that a player would play: the default one, or the first; None without."""
    return max((s for s in container.streams.audio if s.codec_context is not None), key=_is_default, default=None)


def _is_default(stream: Any) -> bool:
    return bool(stream.disposition & av.stream.Disposition.default)


def line(error: Exception) -> str:
    """What an error says, in one short line; of FFmpeg's the words without the number."""
    words = error.strerror if isinstance(error, av.error.FFmpegError) and error.strerror else error
    return " ".join(str(words).split())[:160]
