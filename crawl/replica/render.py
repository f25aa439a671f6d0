"""From a plan to a file: paints the pictures, plays the sound and encodes both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
from scipy.signal import resample_poly

from crawl.replica import music, picture, sounds, voice
from crawl.replica.compose import Content, Plan

VOICE_DB = 5.0  # level of a voice over the music: RMS while it speaks against RMS of the excerpt


def render(plan: Plan, path: Path) -> None:
    """Writes the post as H.264 and AAC in MP4. The same plan gives the same bytes: one thread, no clock."""
    content = plan.content
    sound = _sound(plan, content)
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        pictures = container.add_stream("libx264", rate=content.fps, options={"preset": "ultrafast", "crf": str(plan.crf)})
        pictures.width, pictures.height, pictures.pix_fmt = plan.layout.width_px, plan.layout.height_px, "nv12"
        pictures.codec_context.thread_count = 1
        audio = None
        if sound is not None:
            layout = "mono" if plan.channels == 1 else "stereo"
            audio = container.add_stream("aac", rate=plan.hz, layout=layout, options={"aac_coder": "fast"})
            audio.bit_rate = 64_000 * plan.channels
        frame, luma, chroma = _canvas(plan.layout)
        painted = picture.paint(content.scenes, plan.layout, content.fps, list(content.beats_s), luma, chroma)
        for number in painted:
            if audio is not None and sound is not None and number % content.fps == 0:
                _encode_second(container, audio, sound, number // content.fps, plan.hz)
            frame.pts = number
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
        if audio is not None:
            container.mux(audio.encode(None))


def _canvas(layout: picture.Layout) -> tuple[av.VideoFrame, np.ndarray, np.ndarray]:
    """One NV12 frame for all pictures, for the encoder copies what it keeps, and its planes: luma (H, W), chroma (H / 2, W)."""
    frame = av.VideoFrame(layout.width_px, layout.height_px, "nv12")
    planes: Any = frame.planes
    luma, chroma = (np.frombuffer(p, np.uint8).reshape(-1, p.line_size)[:, : layout.width_px] for p in planes)
    return frame, luma, chroma


def _encode_second(container: Any, stream: Any, sound: np.ndarray, second: int, hz: int) -> None:
    """Sound is written a second ahead of the pictures, so that the file can be played while it arrives."""
    part = np.ascontiguousarray(sound[:, second * hz : (second + 1) * hz])
    if part.size:
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=stream.layout.name)
        frame.sample_rate, frame.pts = hz, second * hz
        container.mux(stream.encode(frame))


def _sound(plan: Plan, content: Content) -> np.ndarray | None:
    """The sound as float32 (channels, N), or None for a post without an audio stream."""
    if content.kind == "mute":
        return None
    rng = np.random.default_rng([plan.seed, 3, content.sound_seed])
    sound = np.zeros(round(content.duration_s * plan.hz), np.float32)
    if content.song is not None:
        sound += music.play(music.song(plan.seed, content.song), content.excerpt_start_s, content.duration_s, plan.hz)
    if content.ambience:
        sound += sounds.ambience(content.ambience, rng, content.duration_s, plan.hz)
    if content.syllables:
        spoken = voice.speak(content.syllables, content.duration_s, rng)
        speech = resample_poly(spoken, plan.hz // 100, voice.HZ // 100).astype(np.float32)
        over = sound.std() if sound.any() else 0.1
        speech *= over * 10 ** (VOICE_DB / 20) / 0.1 if sound.any() else 1.0
        n = min(len(sound), len(speech))
        sound[:n] += speech[:n]
    sound *= np.float32(min(1.0, 0.95 / max(float(np.abs(sound).max()), 1e-9)))
    return sound[None] if plan.channels == 1 else np.stack([0.95 * sound, 0.75 * sound])
