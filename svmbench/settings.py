"""Settings of filters, features and baselines: frozen dataclasses whose fields know their range, unit and source."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import typing
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from svmbench.errors import BadSettings

T = TypeVar("T")


def setting(
    default: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[Any, ...] = (),
    unit: str = "",
    source: str = "",
) -> Any:
    """A dataclass field with its allowed range or choices, its unit, and its source (paper and table, or 'ours')."""
    return dataclasses.field(
        default=default, metadata={"low": low, "high": high, "choices": choices, "unit": unit, "source": source}
    )


def build(cls: type[T], values: Mapping[str, Any] | None, where: str) -> T:
    """cls(**values), checked: BadSettings names the key (below `where`), the value and what is allowed."""
    values = dict(values or {})
    fields = {f.name: f for f in dataclasses.fields(typing.cast(Any, cls))}
    for key in values:
        if key not in fields:
            near = get_close_matches(key, fields, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise BadSettings(f"{where}.{key}: unknown key{hint} Allowed: {', '.join(fields) or 'none'}")
    hints = typing.get_type_hints(cls)
    return cls(**{key: _checked(f"{where}.{key}", value, hints[key], fields[key].metadata) for key, value in values.items()})


def _checked(where: str, value: Any, hint: Any, meta: Mapping[str, Any]) -> Any:
    kinds = typing.get_args(hint) or (hint,)
    if value is None and type(None) in kinds:
        return None
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    scalar = tuple(k for k in kinds if k in (int, float, str, bool))
    if scalar and (not isinstance(value, scalar) or (isinstance(value, bool) and bool not in scalar)):
        raise BadSettings(f"{where}: {value!r} is not {' or '.join(k.__name__ for k in scalar)}{_allowed(meta)}")
    if meta.get("choices") and value not in meta["choices"]:
        raise BadSettings(f"{where}: {value!r} is not allowed{_allowed(meta)}")
    low, high = meta.get("low"), meta.get("high")
    if isinstance(value, int | float) and not ((low is None or value >= low) and (high is None or value <= high)):
        raise BadSettings(f"{where}: {value!r} is out of range{_allowed(meta)}")
    return value


def _allowed(meta: Mapping[str, Any]) -> str:
    if meta.get("choices"):
        return f"; allowed: {', '.join(map(str, meta['choices']))}"
    low, high, unit = meta.get("low"), meta.get("high"), meta.get("unit") or ""
    if low is None and high is None:
        return ""
    return f"; allowed: {'any' if low is None else low} to {'any' if high is None else high} {unit}".rstrip()


def settings_hash(settings: Any) -> str:
    """First 12 hex digits of the sha256 over the canonical JSON of a settings dataclass or mapping."""
    values = (
        dataclasses.asdict(settings) if dataclasses.is_dataclass(settings) and not isinstance(settings, type) else dict(settings)
    )
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:12]
