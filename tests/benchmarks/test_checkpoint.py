"""Checkpoints: rebuilt models give equal embeddings, the bytes depend on the model alone, only safetensors are opened."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from benchmarks import checkpoint
from benchmarks.checkpoint import Header, load, restore, save
from benchmarks.inputs import Inputs, Pairs
from benchmarks.towers import embed
from svmbench import plugins
from svmbench.errors import BadInput, BadSettings, UnknownName

SMALL: dict[str, dict[str, Any]] = {
    "vm_net": {"music_hidden_1": 13, "music_hidden_2": 9, "video_hidden": 11, "dim": 7, "epochs": 2},
    "mvbind": {"hidden": 13, "dim": 7, "epochs": 2},
    "cca": {"components": 5},
}


def pairs(num: int, seed: int) -> Pairs:
    random = torch.Generator().manual_seed(seed)
    video, music = (torch.randn(num, width, generator=random) for width in (36, 10))
    return Pairs(Inputs(video), Inputs(music), torch.arange(num))


def fitted(name: str) -> tuple[Any, Header]:
    module = plugins.load("benchmarks.baselines", name)
    variant, main = next(iter(module.VARIANTS.items()))
    settings = dataclasses.replace(main, **SMALL.get(name, {}))
    parts = pairs(60, 0), pairs(20, 1)
    model = module.fit_seeds(*parts, settings, (3,))[0] if hasattr(module, "fit_seeds") else module.fit(*parts, settings, 3)
    standard = {"video": {"mean": [0.1] * 36, "scale": [1 / 3] * 36}}
    header = Header(
        baseline=name, variant=variant, settings=dataclasses.asdict(settings), seed=3, num_video=36, num_music=10,
        features={"video": ["look"], "music": ["sound"]}, standard=standard,
    )  # fmt: skip
    return model, header


@pytest.mark.parametrize("name", ["cca", "chance", "mean_embedding", "mvbind", "vm_net"])
def test_a_restored_model_gives_equal_embeddings(name: str, tmp_path: Path) -> None:
    (model, header), test = fitted(name), pairs(50, 2)
    sha256 = save(model, tmp_path / "fits" / "a.safetensors", header)
    assert sha256 == hashlib.sha256((tmp_path / "fits" / "a.safetensors").read_bytes()).hexdigest()
    assert [p.name for p in (tmp_path / "fits").iterdir()] == ["a.safetensors"], "written beside and renamed"
    found = restore(tmp_path / "fits" / "a.safetensors")
    for before, after in zip(embed(model, test), embed(found, test), strict=True):
        assert np.array_equal(before, after)
    assert not getattr(found, "training", False)


def test_the_header_says_what_the_model_is_and_takes(tmp_path: Path) -> None:
    model, header = fitted("chance")
    save(model, tmp_path / "a.safetensors", header)
    tensors, found = load(tmp_path / "a.safetensors")
    assert tensors == {}
    assert found == dataclasses.replace(header, model="Chance", fields={"dim": 64})
    assert found.standard["video"]["scale"][0] == 1 / 3, "numbers come back exactly"


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As in a worker: sums over two threads have other last bits than over one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_the_bytes_depend_on_the_model_alone(tmp_path: Path) -> None:
    code = (
        "import sys, torch; torch.set_num_threads(1);"
        "sys.path.insert(0, sys.argv[1]); from pathlib import Path; import test_checkpoint as t;"
        "model, header = t.fitted('mvbind'); print(t.save(model, Path(sys.argv[2]) / 'other.safetensors', header))"
    )
    model, header = fitted("mvbind")
    first, again = (save(model, tmp_path / f"{name}.safetensors", header) for name in ("a", "b"))
    there = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path)], check=True, capture_output=True, text=True
    )
    assert first == again == there.stdout.strip()
    assert save(model, tmp_path / "c.safetensors", dataclasses.replace(header, variant="other")) != first


class Trap:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (exec, ("raise SystemExit('code of the file was run')",))


def test_other_weights_are_refused_unopened(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(pickle.dumps(Trap()))
    torch.save({"weight": torch.zeros(2)}, tmp_path / "b.pt")
    for name in ("a.pt", "b.pt"):
        with pytest.raises(BadInput, match=r"[ab]\.pt is no safetensors file .* could run code"):
            restore(tmp_path / name)
    with pytest.raises(BadInput, match="is not there"):
        load(tmp_path / "none.safetensors")


def test_files_of_others_and_of_other_versions_are_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    safetensors.torch.save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(BadInput, match="no header of svmbench"):
        load(path)
    model, header = fitted("mvbind")
    save(model, path, dataclasses.replace(header, format=99))
    with pytest.raises(BadInput, match="has the format 99, and this version reads 1; fit the model again"):
        load(path)
    safetensors.torch.save_file({}, path, {checkpoint.KEY: json.dumps({"colour": "red"})})
    with pytest.raises(BadInput, match="header that this version cannot read"):
        load(path)


def test_weights_that_do_not_fit_are_refused_in_one_line(tmp_path: Path) -> None:
    path, (model, header) = tmp_path / "a.safetensors", fitted("mvbind")
    save(model, path, dataclasses.replace(header, num_video=35))
    with pytest.raises(BadInput, match=r"does not fit the baseline mvbind of this version: .*size mismatch") as caught:
        restore(path)
    assert "\n" not in str(caught.value)
    save(model, path, dataclasses.replace(header, baseline="mvbnd"))
    with pytest.raises(UnknownName, match="mvbind"):
        restore(path)
    save(model, path, dataclasses.replace(header, settings={"hidden": 13, "layers": 2}))
    with pytest.raises(BadSettings, match=r"mvbind\.layers: unknown key"):
        restore(path)
    closed, its = fitted("cca")
    save(closed, path, dataclasses.replace(its, baseline="mean_embedding"))
    with pytest.raises(BadInput, match="does not fit the baseline mean_embedding"):
        restore(path)


def test_a_field_that_no_checkpoint_can_hold_is_named(tmp_path: Path) -> None:
    class Own:
        def __init__(self) -> None:
            self.weight, self.words = torch.zeros(2), ["a"]

    with pytest.raises(BadInput, match="field 'words' is a list"):
        save(Own(), tmp_path / "a.safetensors", fitted("chance")[1])
    assert not (tmp_path / "a.safetensors").exists()
