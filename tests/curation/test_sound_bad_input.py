"""Files whose sound is odd or broken, made and decoded for real: each is dropped or measured, none ends the run."""

from __future__ import annotations

import subprocess
import wave as wavefile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from curation import clip_job
from curation.clip_job import ask
from curation.filters import ambience, audio_share, clipping, held_pitch, loudness, silence, speech
from curation.run import curate
from curation.spectra import finite_wave
from svmbench import media
from svmbench.fleet import Fleet
from svmbench.media import ClipMedia
from svmbench.progress import Progress
from svmbench.recipe import parse
from svmbench.records import Clip, ClipSound, Drop, Fingerprint, Post, to_table
from svmbench.store import RunFolder

FILTERS = (silence, speech, held_pitch, ambience, loudness, clipping, audio_share)
NEEDS = media.union(module.NEEDS for module in FILTERS)
HZ = 16_000


def film(path: Path, sound: Sequence[str] = (), *coding: str, picture_s: float = 4.0, fps: int = 5) -> Path:
    """A grey picture with the sound that ffmpeg reads or makes of `sound`, coded as it says; each as long as it is."""
    picture = ["-f", "lavfi", "-t", str(picture_s), "-i", f"color=c=gray:s=32x32:r={fps}"]
    subprocess.run(["ffmpeg", "-v", "error", *picture, *sound, "-c:v", "mpeg4", *coding, str(path)], check=True, timeout=120)
    return path


def tone(hz: int = 440, rate: int = 48_000, length_s: float = 4.0) -> tuple[str, ...]:
    return ("-f", "lavfi", "-i", f"sine=frequency={hz}:sample_rate={rate}:duration={length_s}")


def measures(clip: ClipMedia) -> dict[str, float | None]:
    found = {module.NAME_OF_MEASURE: module.measure(clip, module.Settings()) for module in FILTERS}
    assert all(value is None or np.isfinite(value) for value in found.values()), found
    speech.spans(clip)
    return found


def drops(found: dict[str, float | None]) -> list[str]:
    """The reasons of those that refuse, without those that ask a person."""
    chosen = {module: module.Settings() for module in FILTERS} | {audio_share: audio_share.Settings(min_share=0.9)}
    verdicts = [ask(module, chosen[module], found[module.NAME_OF_MEASURE], found) for module in FILTERS]
    return [v.reason for v in verdicts if not v.keep and not v.review]


def heard(path: Path, max_s: float = 60.0) -> tuple[ClipMedia, dict[str, float | None], list[str]]:
    clip = media.decode(path, NEEDS, max_s)
    found = measures(clip)
    return clip, found, drops(found)


def test_no_audio_stream(tmp_path: Path) -> None:
    clip, found, refused = heard(film(tmp_path / "a.mp4"))
    assert clip.wave(HZ).size == 0
    assert refused == ["no_audio", "short_audio"]
    assert found["audio_share"] == 0
    assert {value for name, value in found.items() if name != "audio_share"} == {None}


@pytest.mark.parametrize("codec", ["aac", "libmp3lame"])
def test_undecodable_audio(codec: str, tmp_path: Path) -> None:
    """Every byte of the sound's packets is made up; the picture's stay whole."""
    path = tmp_path / "a.mkv"
    film(path, tone(), "-c:a", codec, "-bsf:a", "noise=amount=1")
    _, found, refused = heard(path)
    assert found["audio_share"] is not None
    assert refused or found["loudness_lufs"] is not None


def test_audio_of_an_unknown_codec(tmp_path: Path) -> None:
    """The stream's codec is renamed to one that nobody has: no sound, and a picture that still decodes."""
    path = film(tmp_path / "a.mkv", tone(), "-c:a", "pcm_s16le")
    data = path.read_bytes()
    assert data.count(b"A_PCM/INT/LIT") == 1
    path.write_bytes(data.replace(b"A_PCM/INT/LIT", b"A_XYZ/INT/LIT"))
    _, found, refused = heard(path)
    assert refused == ["no_audio", "short_audio"]
    assert found["loudness_lufs"] is None


def test_8_bit_mono(tmp_path: Path) -> None:
    _, found, refused = heard(film(tmp_path / "a.avi", tone(), "-ac", "1", "-ar", "8000", "-c:a", "pcm_u8"))
    assert refused == []
    assert found["silent_share"] == 0
    assert found["tonal_share"] > 0.9
    assert found["clipped_runs_per_s"] == 0


def test_5_1(tmp_path: Path) -> None:
    clip, found, refused = heard(film(tmp_path / "a.mp4", tone(), "-ac", "6", "-c:a", "aac"))
    assert refused == []
    assert clip.wave(HZ).ndim == 1
    assert found["tonal_share"] > 0.9
    assert found["loudness_lufs"] > -50


def test_8_khz(tmp_path: Path) -> None:
    _, found, refused = heard(film(tmp_path / "a.mkv", tone(rate=8000), "-ar", "8000", "-c:a", "pcm_s16le"))
    assert refused == []
    assert found["audio_share"] == pytest.approx(1.0, abs=0.02)
    assert found["tonal_share"] > 0.9


def test_all_zero(tmp_path: Path) -> None:
    _, found, refused = heard(film(tmp_path / "a.mp4", tone(), "-af", "volume=0", "-c:a", "aac"))
    assert refused == ["silent", "too_quiet"]
    assert (found["silent_share"], found["loudness_lufs"], found["speech_share"], found["tonal_share"]) == (1.0, -70.0, 0.0, None)


def test_samples_that_are_no_number_in_the_file(tmp_path: Path) -> None:
    """Float PCM may hold anything: what is no number has no sound, also after it has been resampled."""
    wave = np.sin(2 * np.pi * 440 * np.arange(4 * 44_100) / 44_100).astype("<f4") * np.float32(0.3)
    wave[44_100 : 2 * 44_100] = np.nan
    wave[3 * 44_100] = np.inf
    raw = tmp_path / "a.raw"
    raw.write_bytes(wave.tobytes())
    path = film(tmp_path / "a.mkv", ("-f", "f32le", "-ar", "44100", "-ac", "1", "-i", str(raw)), "-c:a", "pcm_f32le")
    clip, found, _ = heard(path)
    assert np.isfinite(finite_wave(clip, HZ)).all()
    assert 0.2 < found["silent_share"] < 0.3
    assert found["tonal_share"] is not None


def test_audio_longer_than_the_picture(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", tone(length_s=9), "-c:a", "pcm_s16le", picture_s=3)
    clip, found, refused = heard(path)
    assert len(clip.wave(HZ)) == pytest.approx(3 * HZ, abs=HZ // 4)
    assert found["audio_share"] == 1.0
    assert refused == []


def test_audio_shorter_than_the_picture(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", tone(length_s=3), "-c:a", "pcm_s16le", picture_s=6)
    _, found, refused = heard(path)
    assert found["audio_share"] == pytest.approx(0.5, abs=0.05)
    assert refused == ["short_audio"]


def test_a_tenth_of_a_second(tmp_path: Path) -> None:
    _, found, _ = heard(film(tmp_path / "a.mkv", tone(length_s=0.1), "-c:a", "pcm_s16le", picture_s=0.2))
    assert found["loudness_lufs"] is None
    assert found["silent_share"] == 0
    assert found["speech_share"] is not None


def test_an_hour_is_cut_where_the_recipe_says(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", tone(rate=8000, length_s=3600), "-c:a", "pcm_u8", picture_s=3600, fps=1)
    clip, found, refused = heard(path, max_s=30.0)
    assert clip.end_s == 30.0
    assert len(clip.wave(HZ)) == pytest.approx(30 * HZ, abs=HZ)
    assert found["tonal_share"] > 0.9
    assert refused == []


@pytest.mark.slow
def test_ten_minutes_which_is_the_most_a_recipe_may_ask_for(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", tone(rate=8000, length_s=3600), "-c:a", "pcm_u8", picture_s=3600, fps=1)
    clip, found, refused = heard(path, max_s=600.0)
    assert len(clip.wave(HZ)) == pytest.approx(600 * HZ, abs=HZ)
    assert found["loudness_lufs"] == pytest.approx(-18.7, abs=0.3)  # a sine of an eighth of full scale
    assert refused == []


def write_wav(path: Path, wave_NC: np.ndarray, hz: int, width: int) -> Path:
    with wavefile.open(str(path), "wb") as out:
        out.setnchannels(wave_NC.shape[1])
        out.setsampwidth(width)
        out.setframerate(hz)
        data = np.round(wave_NC * 127 + 128).clip(0, 255).astype("u1") if width == 1 else np.round(wave_NC * 32767).astype("<i2")
        out.writeframes(data.tobytes())
    return path


@pytest.mark.parametrize(
    ("width", "codec"), [(1, "pcm_u8"), (2, "pcm_s16le"), (2, "pcm_f32le"), (2, "pcm_s16le_planar"), (2, "flac")]
)
def test_clipping_is_counted_in_each_channel_before_mixing(width: int, codec: str, tmp_path: Path) -> None:
    """A sine of 100 Hz driven to 1.5 of full scale has two flat tops a period; the other channel has none."""
    sine = np.sin(2 * np.pi * 100 * np.arange(4 * 44_100) / 44_100)
    both = np.stack([0.3 * sine, np.clip(1.5 * sine, -1, 1)], axis=1)
    sound = write_wav(tmp_path / "a.wav", both, 44_100, width)
    container = "avi" if codec == "pcm_u8" else "nut" if "planar" in codec else "mkv"
    path = film(tmp_path / f"a.{container}", ("-i", str(sound)), "-c:a", codec)
    clip = media.decode(path, NEEDS, 60)
    assert clipping.measure(clip, clipping.Settings()) == pytest.approx(200, rel=0.02)
    quiet = write_wav(tmp_path / "b.wav", 0.99 * both, 44_100, width)
    path = film(tmp_path / f"b.{container}", ("-i", str(quiet)), "-c:a", codec)
    assert clipping.measure(media.decode(path, NEEDS, 60), clipping.Settings()) == 0


def test_a_detector_that_fails_is_an_error_and_no_zero(
    monkeypatch: pytest.MonkeyPatch, sound_clip: Callable[..., ClipMedia]
) -> None:
    """The network gives no numbers: speech and what rests on it raise, and the clip job keeps why."""
    monkeypatch.setattr(speech._silero, "_run", lambda net, wave: np.full(-(-len(wave) // 512), np.nan, np.float32))
    clip = sound_clip(np.ones(HZ, np.float32), HZ)
    for module in (speech, held_pitch):
        with pytest.raises(RuntimeError, match="no number"):
            module.measure(clip, module.Settings())
    with pytest.raises(RuntimeError, match="no number"):
        speech.spans(clip)
    job = clip_job.ClipJob.__new__(clip_job.ClipJob)
    job.filters = [(m.__name__.rsplit(".", 1)[1], m, m.Settings()) for m in (silence, speech, held_pitch)]
    found, errors = job._measured(clip)
    assert (found["silent_share"], found["speech_share"], found["held_share"]) == (0.0, None, None)
    assert set(errors) == {"speech_share", "held_share"}


def odd_files(folder: Path) -> dict[str, Path]:
    """The bad inputs above, as files of a run."""
    wave = np.full(4 * 44_100, np.nan, "<f4")
    (folder / "nan.raw").write_bytes(wave.tobytes())
    wave[:] = 0.3 * np.sin(2 * np.pi * 440 * np.arange(len(wave)) / 44_100)
    wave[44_100:88_200], wave[100_000] = np.nan, np.inf
    (folder / "part.raw").write_bytes(wave.tobytes())
    floats = {n: ("-f", "f32le", "-ar", "44100", "-ac", "1", "-i", str(folder / f"{n}.raw")) for n in ("nan", "part")}
    pcm = ("-c:a", "pcm_s16le")
    return {
        "none": film(folder / "none.mkv"),
        "undecodable": film(folder / "undecodable.mkv", tone(), "-c:a", "aac", "-bsf:a", "noise=amount=1"),
        "u8": film(folder / "u8.avi", tone(), "-ac", "1", "-ar", "8000", "-c:a", "pcm_u8"),
        "surround": film(folder / "surround.mp4", tone(), "-ac", "6", "-c:a", "aac"),
        "zero": film(folder / "zero.mp4", tone(), "-af", "volume=0", "-c:a", "aac"),
        "nan": film(folder / "nan.mkv", floats["nan"], "-c:a", "pcm_f32le"),
        "part": film(folder / "part.mkv", floats["part"], "-c:a", "pcm_f32le"),
        "longer": film(folder / "longer.mkv", tone(length_s=9), *pcm, picture_s=3),
        "tenth": film(folder / "tenth.mkv", tone(length_s=0.1), *pcm, picture_s=0.4),
        "sample": film(folder / "sample.mkv", tone(length_s=0.0001), *pcm),
        "hour": film(folder / "hour.mkv", tone(rate=8000, length_s=3600), "-c:a", "pcm_u8", picture_s=3600, fps=1),
    }


def test_a_run_over_all_of_them_ends_with_a_clip_or_a_clear_drop_for_each(tmp_path: Path) -> None:
    """Through every filter and feature of the sound, the fingerprint and the rules."""
    run = RunFolder.create(tmp_path / "run")
    posts = [
        Post(
            platform="tiktok", post_id=name, url="", words=("a",), caption="", hashtags=(), likes=1, likes_exact=True,
            track_id=None, track_title=None, track_original=False, duration_s=None, posted_at=None, fetched_at=None,
            sha256=run.add_media(path), author_hash=None,
        )
        for name, path in odd_files(tmp_path).items()
    ]  # fmt: skip
    with run.writing("crawl") as writer:
        writer.commit([f"tiktok:{p.post_id}" for p in posts], {"posts": to_table(Post, posts)})
    recipe = parse({
        "name": "odd", "search": {"words": ["a"]}, "clip": {"min_s": 0, "max_s": 10}, "borders": {"method": "none"},
        "duplicates": {"keep": "none"}, "filters": {module.__name__.rsplit(".", 1)[1]: {} for module in FILTERS},
        "features": ["beats", "beats_per_segment", "fbank", "log_mel", "cmmixer_mel", "vm_net_audio", "vm_net_audio_fixed_sr"],
    }, "test")  # fmt: skip
    progress = Progress(quiet=True)
    with Fleet(local=True) as fleet:
        curate(recipe, run, fleet, progress)
    assert all(summary.balanced() for summary in progress.summaries)
    drops = {drop.id.removeprefix("tiktok:"): (drop.kind, drop.reason) for drop in run.read(Drop, "drops")}
    assert drops == {
        "none": ("rule", "no_audio"), "undecodable": ("rule", "no_audio"), "zero": ("rule", "silent"), "nan": ("rule", "silent"),
    }  # fmt: skip
    assert {clip.post_id for clip in run.read(Clip, "clips")} == {post.post_id for post in posts} - drops.keys()
    assert {sound.clip_id: sound.errors for sound in run.read(ClipSound, "sounds") if sound.errors} == {}
    known = {one.clip_id.split("-")[1] for one in run.read(Fingerprint, "fingerprints") if one.landmarks}
    assert known == {"u8", "surround", "part", "longer", "hour"}
