"""A copy of a video without its border, written beside the video and never over a file."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from svmbench import media
from svmbench.errors import BadInput, BadMedia
from svmbench.media import Probe
from svmbench.pictures import Turn
from svmbench.reader import heard, shown
from svmbench.records import Box

CRF = "18"  # ours: a copy that can hardly be told from the original


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What write_cropped wrote. box: what was kept, on even pixels. num_bad: packets of the picture that could not be decoded.

    audio: 'copied' (packet by packet), 'encoded' (to AAC, where the container cannot hold the original) or 'none'.
    """

    box: Box
    num_frames: int
    num_bad: int
    audio: str


def check_free(path: Path | str, out: Path | str) -> None:
    """BadInput where `out` is there already, above all where it is the video at `path`, or has no folder to be in."""
    path, out = Path(path), Path(out)
    if out.exists() and path.exists() and os.path.samefile(path, out):
        raise BadInput(f"{out} is the video itself, which is never written over; name another file")
    if out.exists():
        raise BadInput(f"{out} is there already; name another file or remove it first")
    if not out.parent.is_dir():
        raise BadInput(f"{out} cannot be written: there is no folder {out.parent}")


@contextmanager
def written(path: Path | str, out: Path) -> Iterator[Path]:
    """A file beside `out` to write to, which becomes `out` when all of it is there; nothing is left when that fails."""
    check_free(path, out)
    part = out.with_name(f".{out.stem}.{os.getpid()}.part{out.suffix}")
    try:
        yield part
        part.replace(out)
    except (av.error.FFmpegError, OSError) as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(error.errno, "no space left", str(out)) from error
        raise BadInput(f"{out} cannot be written: {' '.join(str(error).split())[:160]}") from error
    finally:
        part.unlink(missing_ok=True)


def write_cropped(path: Path | str, out: Path | str, box: Box, progress: Callable[[float], None] | None = None) -> Copied:
    """A copy of the video that shows only the box: H.264, turned as shown, every frame at its own time, the sound untouched.

    H.264 needs even sizes, so each side goes up to a pixel further in: no line of the border stays. progress(share) is called as
    the work goes on, with the share that is done, in [0, 1].
    """
    path, out = Path(path), Path(out)
    try:
        probe = media.probe(path)
    except BadMedia as error:
        raise BadInput(f"{path} cannot be read as a video ({error})") from error
    kept = even(box)
    whole = box.left_px + box.width_px <= probe.width_px and box.top_px + box.height_px <= probe.height_px
    if min(kept.width_px, kept.height_px) < 2 or min(box.left_px, box.top_px) < 0 or not whole:
        raise BadInput(f"the box leaves no picture of the {probe.width_px} x {probe.height_px} pixels of {path}: {box}")
    with written(path, out) as part, av.open(str(path), metadata_errors="ignore") as source, av.open(str(part), "w") as target:
        job = _Copy(source, target, kept, probe)
        for packet in job.packets(source):
            job.take(packet)
            if progress and job.video_s and probe.duration_s:
                progress(min(1.0, job.video_s / probe.duration_s))
        return job.finish()


def even(box: Box) -> Box:
    """The largest box inside this one whose edges all lie on even pixels, where chroma samples begin."""
    left, top = box.left_px + box.left_px % 2, box.top_px + box.top_px % 2
    right, bottom = (box.left_px + box.width_px) // 2 * 2, (box.top_px + box.height_px) // 2 * 2
    return Box(left_px=left, top_px=top, width_px=right - left, height_px=bottom - top)


class _Copy:
    """One copying: packets in, packets out."""

    def __init__(self, source: Any, target: Any, box: Box, probe: Probe) -> None:
        self.video, self.audio = shown(source), heard(source)
        self.video.codec_context.thread_type = "NONE"
        self.target, self.box, self.swapped = target, box, probe.rotation_deg % 180 == 90
        self.picture = self._picture_stream()
        self.copied = self.audio is not None and self.audio.codec_context.codec.canonical_name in target.supported_codecs
        self.sound = self._sound_stream()
        self.streams = [self.video] if self.audio is None else [self.video, self.audio]
        self.graph: Any = None
        self.first: tuple[int, int, str] = (0, 0, "")
        self.num_frames, self.num_bad, self.video_s = 0, 0, 0.0
        self.last_pts = self.last_dts = -(2**62)

    def _picture_stream(self) -> Any:
        """The H.264 stream, with the time base, the pixels' shape and the colours of the original."""
        given, rate = self.video.codec_context, self.video.guessed_rate or Fraction(25)
        stream = self.target.add_stream("libx264", rate=min(rate, Fraction(240)), options={"crf": CRF})
        stream.width, stream.height, stream.pix_fmt = self.box.width_px, self.box.height_px, "yuv420p"
        made = stream.codec_context
        made.time_base = self.video.time_base
        shape = self.video.sample_aspect_ratio
        if shape:
            made.sample_aspect_ratio = 1 / shape if self.swapped else shape
        for name in ("color_range", "color_primaries", "color_trc", "colorspace"):
            setattr(made, name, getattr(given, name))
        return stream

    def _sound_stream(self) -> Any:
        if self.audio is None:
            return None
        if self.copied:
            return self.target.add_stream_from_template(self.audio)
        rate = min(self.audio.codec_context.sample_rate or 48_000, 48_000)
        return self.target.add_stream("aac", rate=rate, layout="mono" if self.audio.codec_context.channels == 1 else "stereo")

    def packets(self, source: Any) -> Iterator[Any]:
        """What the file holds, up to where it breaks off."""
        try:
            yield from source.demux(self.streams)
        except (av.error.FFmpegError, IndexError):  # IndexError: PyAV's, where a new stream begins within the file
            self.num_bad += 1

    def take(self, packet: Any) -> None:
        if packet.stream is self.video:
            self._see(packet)
        elif self.copied:
            self._carry(packet)
        else:
            self._hear(packet)

    def _carry(self, packet: Any) -> None:
        """Sound as it is. Packets shorter than the container's tick share a time, which MP4 does not take: a tick later then."""
        if packet.dts is None:
            return  # the mark at the end, which holds nothing
        late = max(0, self.last_dts + 1 - packet.dts)
        packet.dts += late
        packet.pts = packet.dts if packet.pts is None else packet.pts + late
        self.last_dts = packet.dts
        packet.stream = self.sound
        self.target.mux(packet)

    def _see(self, packet: Any) -> None:
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            self.num_bad += 1
            return
        for frame in frames:
            self.num_frames += 1
            self.num_bad += bool(frame.is_corrupt)
            self.video_s = float(frame.time or 0.0)
            made = self._cut(frame)
            made.pts = self._pts(made)
            made.pict_type = 0
            self.target.mux(self.picture.encode(made))

    def _cut(self, frame: Any) -> Any:
        """One frame turned, cut and in the encoder's format; a frame of another size is first scaled to that of the first."""
        if self.graph is None:
            self.first = frame.width, frame.height, frame.format.name
            self.graph = _graph(self.first, self.video.time_base, Turn.of(frame), self.box)
        if (frame.width, frame.height, frame.format.name) != self.first:
            pts, base = frame.pts, frame.time_base
            frame = frame.reformat(*self.first)
            frame.pts, frame.time_base = pts, base
        self.graph.vpush(frame)
        return self.graph.vpull()

    def _pts(self, frame: Any) -> int:
        """The frame's time, always growing: a frame without one, or with an earlier one, follows at the usual rate."""
        usual = max(1, round(1 / ((self.video.guessed_rate or 25) * self.video.time_base)))
        pts = frame.pts if frame.pts is not None and frame.pts > self.last_pts else max(0, self.last_pts + usual)
        self.last_pts = pts
        return int(pts)

    def _hear(self, packet: Any) -> None:
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            return  # a hole in the sound
        for frame in frames:
            self.target.mux(self.sound.encode(frame))

    def finish(self) -> Copied:
        if not self.num_frames:
            raise BadInput("nothing of the picture could be decoded for the copy")
        self.target.mux(self.picture.encode())
        if self.sound is not None and not self.copied:
            self.target.mux(self.sound.encode())
        audio = "none" if self.sound is None else "copied" if self.copied else "encoded"
        return Copied(box=self.box, num_frames=self.num_frames, num_bad=self.num_bad, audio=audio)


def _graph(first: tuple[int, int, str], time_base: Fraction, turn: Turn, box: Box) -> Any:
    """Turns and mirrors as shown, makes the pixels yuv420p, cuts the box."""
    graph = av.filter.Graph()
    chain = [graph.add_buffer(width=first[0], height=first[1], format=av.VideoFormat(first[2]), time_base=time_base)]
    wanted = ((turn.swapped, ("transpose", "cclock_flip")), (turn.left_right, ("hflip", "")), (turn.up_down, ("vflip", "")))
    turns = [step for so, step in wanted if so]  # cclock_flip: rows become columns, and nothing else
    cut = ("crop", f"{box.width_px}:{box.height_px}:{box.left_px}:{box.top_px}")
    for name, settings in [*turns, ("format", "yuv420p"), cut]:
        chain.append(graph.add(name, settings) if settings else graph.add(name))
    chain.append(graph.add("buffersink"))
    graph.link_nodes(*chain).configure()
    return graph
