"""A model of the user's: a Python file with one class. Its source travels with each job, so workers need not see the file.

    class MyModel:
        def fit(self, train, val, seed): ...        # Pairs; returns nothing or self
        def encode_video(self, video): ...          # Inputs -> (B, D) tensor, one L2-normalised row an input row
        def encode_music(self, music): ...          # or, in place of both encoders:
        def score(self, video, music): ...          # Inputs, Inputs -> (B, B') tensor

It may say NEEDS (names of features; default all), STEPS = True (sequences too), TAGS = True (labels too), LEARNS = False and
SETTINGS (a dict of plain values that is shown with its results). docs/own-model.md has a worked example. What is wrong in it is
one line with the file and the line number of the user's code.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import linecache
import random
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.inputs import Inputs, Pairs
from benchmarks.memory import out_of_memory
from benchmarks.towers import Report
from svmbench.errors import BadInput, SvmbenchError, UnknownName

METHODS = {"fit": ("train", "val", "seed"), "encode_video": ("video",), "encode_music": ("music",), "score": ("video", "music")}
CHUNK = 1 << 22  # numbers at once when inputs are compared; ours


@dataclass(frozen=True)
class Own:
    """A model of the user's as plain data. file: as the user named it, for messages. source: of a Python file. vectors: of an
    embeddings file, the folder with what it holds in the order of the run's clips."""

    name: str
    file: str
    sha256: str
    source: str = ""
    vectors: str = ""


def load(text: str) -> Own:
    """'FILE.py:CLASS' as an Own, with everything checked that can be without data."""
    file, _, name = text.rpartition(":")
    path = Path(file)
    if not name or path.suffix != ".py":
        raise BadInput(f"--model: {text!r} is neither FILE.py:CLASS nor an embeddings file (.npz)")
    if not path.is_file():
        raise BadInput(f"--model: {file} does not exist")
    try:
        source = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"--model: {file} is no Python file in UTF-8 ({error.reason})") from error
    own = Own(name=name, file=file, sha256=hashlib.sha256(source.encode()).hexdigest(), source=source)
    module(own)
    return own


def module(own: Own) -> Any:
    """What stands for a baseline's module. `fit` makes a model whose answers are checked."""
    if own.vectors:
        return SimpleNamespace(NEEDS=(), VARIANTS={"default": {}}, SEEDED=False, LEARNS=False, CONTROL=True)
    cls = _class(own)
    return SimpleNamespace(
        NEEDS=_needs(own, cls), STEPS=bool(getattr(cls, "STEPS", False)), TAGS=bool(getattr(cls, "TAGS", False)),
        LEARNS=bool(getattr(cls, "LEARNS", True)), VARIANTS={"default": dict(getattr(cls, "SETTINGS", {}))},
        fit_seeds=partial(_fit_seeds, own),
    )  # fmt: skip


def _needs(own: Own, cls: type) -> tuple[str, ...]:
    """NEEDS; a name alone stands for the tuple with it."""
    needs = getattr(cls, "NEEDS", ())
    needs = (needs,) if isinstance(needs, str) else needs
    if not isinstance(needs, tuple | list) or not all(isinstance(name, str) for name in needs):
        raise BadInput(f"{own.file}: {own.name}.NEEDS must be names of features such as ('clip', 'clap'), not {needs!r}")
    return tuple(needs)


@lru_cache(maxsize=8)
def _class(own: Own) -> type:
    """The class, to be looked at; a fit has one that is made for it alone."""
    return _made(own)


def _made(own: Own) -> type:
    """The class, made anew from its source; BadInput where there is none, or it lacks what is used of it."""
    made = ModuleType(f"own_model_{own.sha256[:12]}")
    made.__file__ = own.file
    sys.modules[made.__name__] = made  # where dataclasses and pickle look for it
    linecache.cache[own.file] = (len(own.source), None, own.source.splitlines(True), own.file)  # for the lines of a traceback
    with _users_code(own, "the file"):
        exec(compile(own.source, own.file, "exec", dont_inherit=True), made.__dict__)
    classes = [n for n, v in vars(made).items() if isinstance(v, type) and v.__module__ == made.__name__]
    cls = vars(made).get(own.name)
    if not isinstance(cls, type):
        raise BadInput(f"{own.file}: {UnknownName('class', own.name, classes)}")
    wanted = ["fit", *(["score"] if hasattr(cls, "score") else ["encode_video", "encode_music"])]
    for name in wanted:
        method = getattr(cls, name, None)
        if not callable(method):
            raise BadInput(f"{own.file}: {own.name} has no method {name}(self, {', '.join(METHODS[name])})")
        try:
            inspect.signature(method).bind(None, *METHODS[name])
        except TypeError as error:
            raise BadInput(f"{own.file}: {own.name}.{name} must take (self, {', '.join(METHODS[name])}): {error}") from error
    try:
        json.dumps(dict(getattr(cls, "SETTINGS", {})))
    except (TypeError, ValueError) as error:
        raise BadInput(f"{own.file}: {own.name}.SETTINGS must be a dict of plain values: {error}") from error
    return cls


@contextmanager
def _users_code(own: Own, what: str) -> Iterator[None]:
    """Any error of the user's code becomes one line that says where in it. Too little memory is left to the worker.

    What it prints goes to stderr, and how it sets torch is as it was again afterwards: other fits of this process come after it.
    """
    try:
        with redirect_stdout(sys.stderr), _torch_as_it_was():
            yield
    except SyntaxError as error:
        raise BadInput(f"{own.file}:{error.lineno}: {error.msg}") from error
    except BaseException as error:
        if isinstance(error, SvmbenchError | KeyboardInterrupt | GeneratorExit) or out_of_memory(error):
            raise
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == own.file]
        where = f"{own.file}:{lines[-1]}" if lines else own.file
        message = " ".join(str(error).split())[:300]
        raise BadInput(f"{where}: {own.name}, {what}: {type(error).__name__}: {message}") from error


@contextmanager
def _torch_as_it_was() -> Iterator[None]:
    dtype, threads, grad = torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()
    matmul, strict, device = (
        torch.get_float32_matmul_precision(),
        torch.get_deterministic_debug_mode(),
        torch.get_default_device(),
    )
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)
        torch.set_grad_enabled(grad)
        torch.set_float32_matmul_precision(matmul)
        torch.set_deterministic_debug_mode(strict)
        if torch.get_default_device() != device:
            torch.set_default_device(None)


def _fit_seeds(own: Own, train: Pairs, val: Pairs, settings: Any, seeds: tuple[int, ...], report: Report) -> list[Any]:
    """One fit a seed, one after the other. The global random generators are set to the seed before each."""
    return [_fit(own, train, val, seed) for seed in seeds]


def _fit(own: Own, train: Pairs, val: Pairs, seed: int) -> OwnModel | PairScorer:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    cls = _made(own)  # what an earlier fit left in it, or in the file's own variables, is no part of this one
    with unchanged(own, "fit", train, val), _users_code(own, "fit"), torch.enable_grad():
        user = cls()
        answer = user.fit(train, val, seed)
    if answer is not None and answer is not user:
        raise BadInput(f"{own.file}: {own.name}.fit must return nothing or self, not {type(answer).__name__}")
    return PairScorer(own, user) if hasattr(user, "score") else OwnModel(own, user)


@contextmanager
def unchanged(own: Own, what: str, *parts: Pairs) -> Iterator[None]:
    """BadInput where the numbers that a model was handed are others afterwards."""
    before = _fingerprint(*parts)
    yield
    if before != _fingerprint(*parts):
        raise BadInput(f"{own.file}: {own.name}.{what} changes the inputs that it is handed, in place; work on a copy (.clone())")


def _fingerprint(*parts: Pairs) -> list[int]:
    """A number a tensor that other values, or the same at other places, would change: the sum of its bits, mixed with their
    places (by the finaliser of SplitMix64)."""
    found = []
    tensors = [part.song_B for part in parts]
    for side in [side for part in parts for side in (part.video, part.music)]:
        tensors += [side.vectors_BV, *([] if side.tags_B is None else [side.tags_B])]
        tensors += [t for s in side.steps.values() for t in (s.packed_PD, s.start_B, s.length_B, s.mean_D, s.scale_D)]
    for tensor in {id(tensor): tensor for tensor in tensors}.values():
        kind = {2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
        bits = tensor.detach().reshape(-1).view(kind)
        total = 0
        for low in range(0, len(bits), CHUNK):
            piece = bits[low : low + CHUNK].to(torch.int64)
            mixed = piece + torch.arange(low, low + len(piece), device=bits.device) * -7046029254386353131
            mixed = (mixed ^ (mixed >> 30)) * -4658895280553007687
            mixed = (mixed ^ (mixed >> 27)) * -7723592293110705685
            total += int(mixed.sum())
        found.append(total)
    return found


class OwnModel:
    """The user's model with its answers checked: tensors of the right shape on both sides."""

    def __init__(self, own: Own, user: Any) -> None:
        self.own, self.user = own, user
        self.width: int | None = None

    def encode_video(self, video: Inputs) -> torch.Tensor:
        return self._encode("encode_video", video)

    def encode_music(self, music: Inputs) -> torch.Tensor:
        return self._encode("encode_music", music)

    def _encode(self, method: str, inputs: Inputs) -> torch.Tensor:
        found = _called(self.own, self.user, method, inputs)
        wanted = f"({len(inputs)}, D) for {len(inputs)} inputs"
        if found.ndim != 2 or len(found) != len(inputs) or not found.shape[1]:
            raise _wrong(self.own, method, f"the shape {tuple(found.shape)}; it must be {wanted}")
        if self.width not in (None, found.shape[1]):
            raise _wrong(self.own, method, f"{found.shape[1]} values a row where there were {self.width} before; D is one number")
        self.width = found.shape[1]
        return found


class PairScorer:
    """The same for a model that scores pairs."""

    def __init__(self, own: Own, user: Any) -> None:
        self.own, self.user = own, user

    def score(self, video: Inputs, music: Inputs) -> torch.Tensor:
        found = _called(self.own, self.user, "score", video, music)
        if tuple(found.shape) != (len(video), len(music)):
            wanted = f"({len(video)}, {len(music)}) for {len(video)} videos and {len(music)} pieces of music"
            raise _wrong(self.own, "score", f"the shape {tuple(found.shape)}; it must be {wanted}")
        return found


def num_params(model: Any) -> int:
    """Numbers of a user's model: parameters of its modules and its tensors, where it keeps them as attributes."""
    user = model.user if model else None
    found: list[torch.Tensor] = list(user.parameters()) if isinstance(user, nn.Module) else []
    for value in [] if found else getattr(user, "__dict__", {}).values():
        found += list(value.parameters()) if isinstance(value, nn.Module) else [value] if isinstance(value, torch.Tensor) else []
    return sum(tensor.numel() for tensor in found)


def _called(own: Own, user: Any, method: str, *inputs: Inputs) -> torch.Tensor:
    with _users_code(own, method), torch.no_grad():
        found = getattr(user, method)(*inputs)
    if not isinstance(found, torch.Tensor) or not found.is_floating_point():
        kind = f"a tensor of {found.dtype}" if isinstance(found, torch.Tensor) else type(found).__name__
        raise _wrong(own, method, f"{kind}; it must be a tensor of floating-point numbers")
    return found.detach()


def _wrong(own: Own, method: str, text: str) -> BadInput:
    """With the line where the method begins, as it raised nothing itself."""
    code = getattr(getattr(_class(own), method), "__code__", None)
    place = f"{own.file}:{code.co_firstlineno}" if code else own.file
    return BadInput(f"{place}: {own.name}.{method} returns {text}")
