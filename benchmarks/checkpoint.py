"""A fitted model as a file: safetensors, so that opening somebody else's weights runs no code of theirs.

The file holds the model's tensors and, as one metadata entry, a JSON header that says what the model is and what it takes. With
the baseline's own code that is enough to rebuild it: `restore` needs no run folder. The bytes depend on the model alone.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from benchmarks.towers import Model
from svmbench import plugins, settings
from svmbench.errors import BadInput
from svmbench.store import write_atomically

KEY, FORMAT = "svmbench", 1  # one entry: safetensors writes several in random order, and the bytes would not be the same twice


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a checkpoint says of itself, all of it plain JSON.

    num_video, num_music: inputs of the two sides. features: by modality the names of the features that stand side by side.
    standard: by modality 'mean' and 'scale', one number a column; the model takes (x - mean) * scale. model, fields: class of a
    closed form, and its fields that are no tensors; filled by save.
    """

    baseline: str
    variant: str
    settings: Mapping[str, Any]
    seed: int
    num_video: int
    num_music: int
    features: Mapping[str, list[str]] = field(default_factory=dict)
    standard: Mapping[str, Mapping[str, list[float]]] = field(default_factory=dict)
    model: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    format: int = FORMAT


def save(model: Any, path: Path, header: Header) -> str:
    """Writes the file, whole or not at all, and gives its sha256.

    model: a module, or an object whose fields are tensors and plain values. BadInput names a field that is neither.
    """
    if isinstance(model, nn.Module):
        tensors, fields = dict(model.state_dict()), {}
    else:
        found = {f.name: getattr(model, f.name) for f in dataclasses.fields(model)} if _is_data(model) else dict(vars(model))
        tensors = {name: value for name, value in found.items() if isinstance(value, torch.Tensor)}
        fields = {name: value for name, value in found.items() if name not in tensors}
        odd = [name for name, value in fields.items() if not isinstance(value, int | float | str | None)]
        if odd:
            raise BadInput(f"{header.baseline}: the model's field {odd[0]!r} is a {type(fields[odd[0]]).__name__}; a checkpoint "
                           "holds tensors and plain values")  # fmt: skip
    header = dataclasses.replace(header, model=type(model).__name__, fields=fields)
    own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    text = json.dumps(dataclasses.asdict(header), sort_keys=True)
    content = safetensors.torch.save(own, {KEY: text})
    write_atomically(path, lambda temporary: temporary.write_bytes(content))
    return hashlib.sha256(content).hexdigest()


def load(path: Path) -> tuple[dict[str, torch.Tensor], Header]:
    """The tensors, on the CPU, and the header. BadInput: no such file, no safetensors, or not written by `save`.

    They are copies: those that lie in the file are not aligned in memory, and products with them differ in the last bits.
    """
    if not path.is_file():
        raise BadInput(f"{path} is not there")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(KEY)
            names = file.keys()
            tensors = {name: file.get_tensor(name).clone() for name in names}
    except safetensors.SafetensorError as error:
        raise BadInput(
            f"{path} is no safetensors file ({error}); other weights, such as pickled ones, are not opened: that could run code"
        ) from None
    if text is None:
        raise BadInput(f"{path} has no header of svmbench; only checkpoints that svmbench wrote can be used")
    try:
        header = Header(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise BadInput(f"{path} has a header that this version cannot read: {error}") from None
    if header.format != FORMAT:
        raise BadInput(f"{path} has the format {header.format!r}, and this version reads {FORMAT}; fit the model again")
    return tensors, header


def restore(path: Path, device: str = "cpu") -> Model:
    """The fitted model of a baseline, in eval mode. UnknownName: no such baseline here. BadInput: the weights do not fit it."""
    tensors, header = load(path)
    module = plugins.load("benchmarks.baselines", header.baseline)
    try:
        if hasattr(module, "build"):
            return _module(module, tensors, header, device)
        return _closed_form(module, tensors, header, device)
    except (RuntimeError, TypeError, AttributeError) as error:
        line = " ".join(str(error).split())[:200]
        raise BadInput(f"{path} does not fit the baseline {header.baseline} of this version: {line}") from None


def _module(module: ModuleType, tensors: Mapping[str, torch.Tensor], header: Header, device: str) -> Any:
    """The weights are copied into tensors that torch made."""
    chosen = settings.build(module.Settings, header.settings, header.baseline)
    model: nn.Module = module.build(header.num_video, header.num_music, chosen, header.seed, device)
    model.load_state_dict(tensors)
    return model.eval()


def _closed_form(module: ModuleType, tensors: Mapping[str, torch.Tensor], header: Header, device: str) -> Any:
    kind = getattr(module, header.model)
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind.__module__ == module.__name__):
        raise TypeError(f"{header.model!r} is no model of it")
    return kind(**header.fields, **{name: tensor.to(device) for name, tensor in tensors.items()})


def _is_data(model: Any) -> bool:
    return dataclasses.is_dataclass(model) and not isinstance(model, type)
