"""One fit, whatever kind of baseline it is of: what it is handed, how it is made, and the account of one that failed."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from benchmarks import checkpoint, data, own_model
from benchmarks.inputs import Pairs
from benchmarks.jobs import Job, plain
from benchmarks.memory import out_of_memory, with_less
from benchmarks.towers import Model, Report, embed, quiet
from svmbench.errors import SvmbenchError

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Fit:
    """A fitted model (None where there are only its embeddings), what its training took, and the seeds it was fitted with."""

    model: Any
    train_s: float
    started: str
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Failed:
    """A fit that ended with an error. line: for people. error: the exception itself where it is an expected one."""

    kind: str
    line: str
    trace: str
    error: SvmbenchError | None = None

    @classmethod
    def of(cls, error: Exception) -> Failed:
        line = " ".join(str(error).split())[:300] or type(error).__name__
        trace = "".join(traceback.format_exception(error))
        if not isinstance(error, SvmbenchError):
            return cls("OutOfMemory" if out_of_memory(error) else type(error).__name__, line, trace)
        error.__cause__ = error.__context__ = None  # they hold the frames of the fit, and all that is in them
        return cls(type(error).__name__, line, trace, error.with_traceback(None))


def fit_seeds(job: Job, seeds: tuple[int, ...], parts: tuple[Pairs, Pairs], report: Report = quiet) -> list[Any]:
    """A model a seed, fitted on train and val. Of an embeddings file there is no model: None a seed."""
    module = job.module()
    if job.own and job.own.vectors:
        return [None for _ in seeds]
    if hasattr(module, "fit_seeds"):
        return list(module.fit_seeds(*parts, job.settings, seeds, report))
    return [module.fit(*parts, job.settings, seed) for seed in seeds]


def handed(job: Job, parts: Mapping[str, Pairs]) -> tuple[Pairs, Pairs]:
    """Train and val as this job is given them: shuffled, where it is the control."""
    train, val = parts["train"], parts["val"]
    return (train.shuffled(job.seed), val.shuffled(job.seed + 1)) if job.shuffled else (train, val)


def refit(job: Job) -> Callable[[Pairs, Pairs], Model] | None:
    """The same fit on other pairs, for the checks that need it: for the first fit of a variant that learns from its pairs."""
    if not job.first or job.shuffled or not getattr(job.module(), "LEARNS", True):
        return None

    @torch.enable_grad()
    def again(train: Pairs, val: Pairs) -> Model:
        (model,) = fit_seeds(job, (job.seed,), (train, val))
        return model  # type: Model

    return again


def fit_again(job: Job, seeds: tuple[int, ...], parts: tuple[Pairs, Pairs]) -> Callable[[], Model] | None:
    """The same fit once more, or None as from `refit`. seeds: those that were fitted together, this one among them.

    On a GPU they may have been one stacked model, and are one again: the company changes the last bits of a product there. On a
    CPU it changes nothing, and a user's model is always fitted alone.
    """
    if refit(job) is None:
        return None
    together = hasattr(job.module(), "fit_seeds") and not job.own and parts[0].song_B.device.type != "cpu"
    company = seeds if together else (job.seed,)

    @torch.enable_grad()
    def again() -> Model:
        model: Model = fit_seeds(job, company, parts)[company.index(job.seed)]
        return model

    return again


def embed_rows(model: Model, part: Pairs, rows: int) -> tuple[Floats, Floats]:
    """`embed` with so many clips on the device at once."""
    blocks = [embed(model, part[low : low + rows]) for low in range(0, len(part), rows)]
    video, music = zip(*blocks, strict=True)
    return np.concatenate(video), np.concatenate(music)


def pair_scores(model: Any, part: Pairs, tell: Callable[[str], None]) -> Callable[[Ints, Ints], Floats]:
    """What `retrieve_scores` asks of a model that scores pairs; a block that does not fit the device is scored by fewer rows."""
    device = part.song_B.device

    @torch.no_grad()
    def score(videos: Ints, clips: Ints) -> Floats:
        music = part.music[torch.from_numpy(clips).to(device)]

        def rows(size: int) -> Floats:
            pieces = [torch.from_numpy(videos[low : low + size]).to(device) for low in range(0, len(videos), size)]
            return np.concatenate([model.score(part.video[piece], music).float().cpu().numpy() for piece in pieces])

        return with_less(rows, len(videos), tell)

    return score


def save(job: Job, model: Any, parts: Mapping[str, Pairs], pack: data.Pack, train: Ints, path: Path) -> str | None:
    """Writes the model to a checkpoint and returns its sha256; None for a user's model that is no torch module."""
    saved = model.user if job.own and model is not None else model
    if job.own and not isinstance(saved, nn.Module):
        return None
    needs = job.module().NEEDS
    header = checkpoint.Header(
        baseline=job.baseline, variant=job.variant, settings=plain(job.settings), seed=job.seed,
        num_video=parts["train"].video.vectors_BV.shape[1], num_music=parts["train"].music.vectors_BV.shape[1],
        features={modality: pack.features_of(modality, needs) for modality in data.MODALITIES},
        standard=data.standard(pack, train, needs),
    )  # fmt: skip
    return checkpoint.save(saved, path, header)


def saved_vectors(job: Job, clips: Ints) -> tuple[Floats, Floats]:
    """Rows of an embeddings file for these clips."""
    folder = Path(job.own.vectors) if job.own else Path()
    video, music = (np.load(folder / f"{modality}.npy", mmap_mode="r")[clips] for modality in data.MODALITIES)
    return video, music


def watched(job: Job, parts: Mapping[str, Pairs]) -> AbstractContextManager[None]:
    """A user's model may not change what it embeds, nor what it was fitted on."""
    if job.own is None or job.own.vectors:
        return contextlib.nullcontext()
    return own_model.unchanged(job.own, "encode_video or encode_music", *parts.values())
