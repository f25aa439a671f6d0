"""Fits that checks make again: which of them there are, and with which other seeds."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks import fitting
from benchmarks.inputs import Inputs, Pairs


def part(device: str) -> Pairs:
    rows = torch.zeros(4, 2, device=device)
    return Pairs(Inputs(rows), Inputs(rows), torch.zeros(4, dtype=torch.long, device=device))


def job(made: list[tuple[int, ...]], **more: Any) -> Any:
    """Seed 3 of a training whose models are the names of their seeds."""

    def fit_seeds(train: Pairs, val: Pairs, settings: Any, seeds: tuple[int, ...], report: Any) -> list[str]:
        made.append(seeds)
        return [f"seed {seed}" for seed in seeds]

    module = SimpleNamespace(**({"fit_seeds": fit_seeds} | more.pop("module", {})))
    return SimpleNamespace(
        **({"first": True, "shuffled": False, "own": None, "seed": 3, "settings": None} | more), module=lambda: module
    )


@pytest.mark.parametrize(("device", "company"), [("cpu", (3,)), ("meta", (2, 3, 4))])
def test_on_another_device_than_a_cpu_a_seed_is_fitted_again_in_the_company_it_was_fitted_in(
    device: str, company: tuple[int, ...]
) -> None:
    made: list[tuple[int, ...]] = []
    again = fitting.fit_again(job(made), (2, 3, 4), (part(device), part(device)))
    assert again is not None
    assert again() == "seed 3"
    assert made == [company]


def test_a_users_model_is_fitted_again_alone() -> None:
    made: list[tuple[int, ...]] = []
    again = fitting.fit_again(job(made, own=SimpleNamespace(vectors="")), (2, 3), (part("meta"), part("meta")))
    assert again is not None
    again()
    assert made == [(3,)]


@pytest.mark.parametrize("more", [{"first": False}, {"shuffled": True}, {"module": {"LEARNS": False}}])
def test_only_the_first_fit_of_what_learns_from_true_pairs_is_made_again(more: dict[str, Any]) -> None:
    parts = part("cpu"), part("cpu")
    assert fitting.fit_again(job([], **more), (3,), parts) is None
    assert fitting.refit(job([], **more)) is None


def test_fits_for_checks_may_use_gradients() -> None:
    seen: list[bool] = []

    def fit(train: Pairs, val: Pairs, settings: Any, seed: int) -> str:
        seen.append(torch.is_grad_enabled())
        return f"seed {seed}"

    closed = SimpleNamespace(first=True, shuffled=False, own=None, seed=3, settings=None, module=lambda: SimpleNamespace(fit=fit))
    parts = part("meta"), part("meta")
    with torch.no_grad():
        again, refit = fitting.fit_again(closed, (2, 3), parts), fitting.refit(closed)
        assert again is not None
        assert refit is not None
        assert again() == refit(*parts) == "seed 3"
    assert seen == [True, True]
