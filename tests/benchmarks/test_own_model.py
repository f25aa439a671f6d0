"""A model or embeddings of the user's: scored like a baseline, and what is wrong with them is one line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import own_embeddings, own_model
from benchmarks.data import make_pack, pairs, split_parts
from benchmarks.fitting import Failed
from benchmarks.inputs import Inputs, Pairs, Steps
from benchmarks.jobs import Wanted, code_of, groups, matrix
from benchmarks.ranking import retrieve
from benchmarks.run import run_baselines
from benchmarks.worker import Trainer
from svmbench.errors import BadInput, SvmbenchError
from svmbench.fleet import Fleet
from svmbench.progress import Progress
from svmbench.records import Score
from svmbench.store import RunFolder

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "my_model.py"
GOOD = """
import torch
from torch.nn import functional

class Mine:
    def fit(self, train, val, seed):
        self.video, self.music = (torch.randn(x.vectors_BV.shape[1], 8) for x in (train.video, train.music))
    def encode_video(self, video):
        return functional.normalize(video.vectors_BV @ self.video, dim=-1)
    def encode_music(self, music):
        return functional.normalize(music.vectors_BV @ self.music, dim=-1)
"""


@pytest.fixture(scope="module")
def local() -> Iterator[Fleet]:
    with Fleet(local=True) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory, toy_maker: Callable[..., RunFolder]) -> Trainer:
    """A worker on a toy run that is read only."""
    run = toy_maker(tmp_path_factory.mktemp("shared") / "toy")
    return Trainer(str(run.path), str(make_pack(run).folder), "cpu")


def failure(trainer: Trainer, own: own_model.Own) -> SvmbenchError:
    """What a worker says of a model that is wrong."""
    found, _ = matrix(trainer.pack, Wanted(own=own))
    ((_, made),) = trainer.run((found[0],))
    assert isinstance(made, Failed), "it was scored"
    assert made.error
    assert made.line == str(made.error)
    return made.error


def score(run: RunFolder, fleet: Fleet, own: own_model.Own, **more: Any) -> list[Score]:
    run_baselines(run, fleet, Progress(quiet=True), own=own, **more)
    return [row for row in run.read(Score, "scores") if row.baseline == own.name]


def write(folder: Path, text: str, name: str = "Mine") -> str:
    (folder / "m.py").write_text(text)
    return f"{folder / 'm.py'}:{name}"


def test_the_example_beats_chance_and_passes_the_checks(toy: RunFolder, local: Fleet) -> None:
    rows = score(toy, local, own_model.load(f"{EXAMPLE}:Ridge"))
    (recall,) = [r for r in rows if (r.metric, r.direction) == ("recall@5", "video_to_music")]
    assert recall.value is not None
    assert recall.value > 2 * 5 / 15
    assert recall.kind == "measured"
    assert {(r.variant, r.seed, r.num_params) for r in rows} == {("default", 0, 36 * 10)}
    assert recall.checks == ()
    jobs = toy.read_table("jobs")
    assert jobs is not None
    (job,) = [j for j in jobs.to_pylist() if j["baseline"] == "Ridge"]
    assert job["settings"] == '{"ridge": 30.0}'
    assert any(text.startswith("batch_invariance: passed") for text in job["findings"])
    assert {r.baseline for r in toy.read(Score, "scores")} == {"Ridge", "chance"}, "without names it stands beside chance alone"
    assert len(EXAMPLE.read_text().split('"""', 2)[2].strip().splitlines()) <= 20


def test_the_source_travels_with_the_job_and_is_in_its_key(tmp_path: Path, toy: RunFolder, local: Fleet) -> None:
    own = own_model.load(write(tmp_path, GOOD))
    (tmp_path / "m.py").unlink()
    first = score(toy, local, own, seeds=2)
    assert {r.seed for r in first} == {0, 1}
    by_seed = [[r.value for r in first if r.seed == seed] for seed in (0, 1)]
    assert by_seed[0] != by_seed[1], "the seed sets the generators that a user's code draws from"
    other = own_model.load(write(tmp_path, GOOD + "\n"))
    assert code_of("Mine", own) != code_of("Mine", other)
    assert code_of("Mine", own) == code_of("Mine", own_model.load(write(tmp_path, GOOD)))


PAIR = """
import torch
class Mine:
    def fit(self, train, val, seed):
        return self
    def score(self, video, music):
        return video.vectors_BV[:, :10] @ music.vectors_BV.T
"""


def test_a_model_that_scores_pairs(tmp_path: Path, toy: RunFolder, local: Fleet) -> None:
    rows = score(toy, local, own_model.load(write(tmp_path, PAIR)))
    assert {r.num_queries for r in rows} == {15, 30}
    ranks = toy.read_table("ranks")
    assert ranks is not None
    pack = make_pack(toy)
    test = pairs(pack, split_parts(pack))["test"]
    sim = (test.video.vectors_BV[:, :10] @ test.music.vectors_BV.T).numpy()
    songs = sorted({pack.song_ids[i] for i in pack.parts["test"]})
    owner = np.array([songs.index(pack.song_ids[i]) for i in pack.parts["test"]])
    by_song = np.stack([sim[:, owner == s].mean(axis=1) for s in range(len(songs))], axis=1)
    better = (by_song > by_song[np.arange(len(sim)), owner][:, None]).sum(axis=1)
    own = [r for r in ranks.to_pylist() if r["baseline"] == "Mine" and r["direction"] == "video_to_music"]
    assert [r["better"] for r in own] == better.tolist()


def line_of(text: str, words: str) -> int:
    return next(i for i, line in enumerate(text.splitlines(), start=1) if words in line)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("import torch\n", "import torch\nimport no_such_module\n", r":3: Mine, the file: ModuleNotFoundError: .*no_such_module"),
        ("class Mine:", "class Mine", r":5: expected ':'"),
        ("class Mine:", "class Mien:", r"unknown class 'Mine'. Did you mean 'Mien'\?"),
        ("def encode_music(self, music)", "def encode_musik(self, music)", r"Mine has no method encode_music\(self, music\)"),
        ("def fit(self, train, val, seed)", "def fit(self, train)", r"Mine.fit must take \(self, train, val, seed\)"),
        ("class Mine:", "class Mine:\n    SETTINGS = {'x': object()}", r"SETTINGS must be a dict of plain values"),
    ],
)
def test_what_is_wrong_with_the_file_is_said_before_anything_starts(tmp_path: Path, old: str, new: str, expected: str) -> None:
    with pytest.raises(BadInput, match=expected) as error:
        own_model.load(write(tmp_path, GOOD.replace(old, new)))
    assert str(tmp_path / "m.py") in str(error.value)


def test_a_wrong_word_for_the_model(tmp_path: Path) -> None:
    for text, expected in (("model.py", "neither FILE.py:CLASS nor"), ("nowhere.py:Mine", "nowhere.py does not exist")):
        with pytest.raises(BadInput, match=expected):
            own_model.load(text)
    (tmp_path / "m.py").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="no Python file in UTF-8"):
        own_model.load(f"{tmp_path / 'm.py'}:Mine")


NORMALISED = "return functional.normalize(video.vectors_BV @ self.video, dim=-1)"
FITTED = "self.video, self.music ="


@pytest.mark.parametrize(
    ("old", "new", "line", "expected"),
    [
        (NORMALISED, NORMALISED + "[:-1]", "def encode_video", r"encode_video returns the shape \(29, 8\); it must be \(30, D\)"),
        (NORMALISED, NORMALISED + ".sum(dim=1)", "def encode_video", r"encode_video returns the shape \(30,\)"),
        (NORMALISED, NORMALISED + "[:, :7]", "def encode_music", "encode_music returns 8 values a row where there were 7 before"),
        (NORMALISED, NORMALISED + ".numpy()", "def encode_video", "returns ndarray; it must be a tensor of floating-point"),
        (NORMALISED, NORMALISED + ".long()", "def encode_video", "returns a tensor of torch.int64"),
        (NORMALISED, "return None", "def encode_video", "returns NoneType"),
        (NORMALISED, "return 1 / 0", "1 / 0", "Mine, encode_video: ZeroDivisionError: division by zero"),
        (NORMALISED, "raise SystemExit(3)", "SystemExit", "Mine, encode_video: SystemExit: 3"),
        (FITTED, "raise ValueError('no\\nway')\n        self.video, self.music =", "ValueError", "Mine, fit: ValueError: no way"),
        (FITTED, "train.video.vectors_BV = None\n        " + FITTED, "vectors_BV = None", "fit: FrozenInstanceError"),
        (FITTED, "self.helper()\n        " + FITTED, "self.helper", "AttributeError: 'Mine' object has no attribute 'helper'"),
    ],
)
def test_what_goes_wrong_in_the_users_code_is_one_line_with_its_place(
    tmp_path: Path, trainer: Trainer, old: str, new: str, line: str, expected: str
) -> None:
    text = GOOD.replace(old, new)
    error = failure(trainer, own_model.load(write(tmp_path, text)))
    assert isinstance(error, BadInput)
    assert re.search(expected, str(error))
    assert str(error).startswith(f"{tmp_path / 'm.py'}:{line_of(text, line)}: ")
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        (FITTED, "train.video.vectors_BV.mul_(2)\n        " + FITTED, "fit"),
        (FITTED, "x = val.music.vectors_BV; x.copy_(x.flip(0))\n        " + FITTED, "fit"),
        (FITTED, "x = train.video.vectors_BV.numpy(); x[0], x[1] = x[1].copy(), x[0].copy()\n        " + FITTED, "fit"),
        (FITTED, "train.song_B[0] = 99\n        " + FITTED, "fit"),
        (NORMALISED, "video.vectors_BV[0] += 1\n        " + NORMALISED, "encode_video or encode_music"),
    ],
)
def test_a_model_that_moves_its_inputs_is_found_out(tmp_path: Path, trainer: Trainer, old: str, new: str, what: str) -> None:
    error = failure(trainer, own_model.load(write(tmp_path, GOOD.replace(old, new))))
    assert f"Mine.{what} changes the inputs that it is handed, in place" in str(error)
    assert trainer.parts == {}, "what was spoilt is not handed to the next"


def test_every_tensor_of_the_inputs_is_watched() -> None:
    def made() -> Pairs:
        steps = Steps(
            torch.arange(12.0).reshape(6, 2).half(), torch.tensor([0, 2]), torch.tensor([2, 4]), torch.zeros(2), torch.ones(2), 4
        )
        video = Inputs(torch.arange(6.0).reshape(2, 3), {"look": steps}, torch.tensor([3, -1]))
        return Pairs(video, Inputs(torch.ones(2, 2)), torch.tensor([0, 1]))

    first = own_model._fingerprint(made())
    assert first == own_model._fingerprint(made())

    def turned(steps: Steps) -> None:
        steps.packed_PD.copy_(steps.packed_PD.flip(0))

    changes: list[Callable[[Any], Any]] = [
        lambda p: p.video.vectors_BV[0].add_(1),
        lambda p: turned(p.video.steps["look"]),
        lambda p: p.video.steps["look"].length_B.sub_(1),
        lambda p: p.video.tags_B.zero_(),
        lambda p: p.song_B.add_(1),
        lambda p: p.music.vectors_BV[1].zero_(),
    ]
    for change in changes:
        part = made()
        change(part)
        assert own_model._fingerprint(part) != first


def test_a_model_that_is_no_unit_vector_or_not_finite(tmp_path: Path, toy: RunFolder, local: Fleet, trainer: Trainer) -> None:
    rows = score(toy, local, own_model.load(write(tmp_path, GOOD.replace(NORMALISED, "return video.vectors_BV @ self.video"))))
    assert all("finite" in row.checks for row in rows), "marked, and not silently normalised"
    diverged = own_model.load(write(tmp_path, GOOD.replace(NORMALISED, NORMALISED + " * float('nan')")))
    assert "30 of 30 video embeddings are not finite" in str(failure(trainer, diverged))


def test_one_fit_that_fails_leaves_the_others_and_its_log(tmp_path: Path, toy: RunFolder, local: Fleet) -> None:
    own = own_model.load(write(tmp_path, GOOD.replace(NORMALISED, "return 1 / 0")))
    progress = Progress(quiet=True)
    with pytest.raises(BadInput, match="ZeroDivisionError"):
        run_baselines(toy, local, progress, own=own)
    assert (progress.summaries[0].kept, dict(progress.summaries[0].failed)) == (1, {"BadInput": 1}), "chance is scored"
    (log,) = toy.path.glob("fits/*/error.txt")
    assert "return 1 / 0" in log.read_text(), "the traceback shows the user's line"


def test_fit_returns_nothing_or_self_and_a_name_is_the_users_own(tmp_path: Path, trainer: Trainer) -> None:
    wrong = GOOD.replace("    def encode_video", "        return 3\n    def encode_video")
    assert "fit must return nothing or self, not int" in str(failure(trainer, own_model.load(write(tmp_path, wrong))))
    with pytest.raises(BadInput, match="'cca' is the name of a baseline"):
        failure(trainer, own_model.load(write(tmp_path, GOOD.replace("class Mine", "class cca"), "cca")))
    with pytest.raises(BadInput, match="needs the feature 'clap'"):
        failure(trainer, own_model.load(write(tmp_path, GOOD.replace("class Mine:", "class Mine:\n    NEEDS = ('clap',)"))))


def test_sequences_and_labels_are_handed_to_a_model_that_asks(tmp_path: Path, toy: RunFolder, local: Fleet) -> None:
    text = GOOD.replace("class Mine:", "class Mine:\n    STEPS = TAGS = True").replace(
        FITTED,
        "assert train.video.steps['look'].padded()[0].shape[1] == 5 and len(train.video.tags_B) == len(train)\n        " + FITTED,
    )
    assert score(toy, local, own_model.load(write(tmp_path, text)))


# -- what a user's code does beside its work
def whole(run: RunFolder, *own: own_model.Own) -> dict[tuple[str, int], Any]:
    """(name, seed) -> the ranks of fits that one worker makes one after the other."""
    pack = make_pack(run)
    trainer, found = Trainer(str(run.path), str(pack.folder), "cpu"), {}
    for wanted in [*(Wanted(own=one, seeds=2) for one in own), Wanted(names=("mean_embedding",))]:
        for job in matrix(pack, wanted)[0]:
            ((_, made),) = trainer.run((job,))
            assert not isinstance(made, Failed), made.trace
            ranks = made["ranks"]
            found[job.baseline, job.seed] = ranks.drop_columns(["key"]).to_pylist()
    return found


def test_a_users_file_is_a_module_like_any_other(tmp_path: Path, trainer: Trainer, capsys: pytest.CaptureFixture[str]) -> None:
    head = "import dataclasses, pickle\nprint('hello')\n@dataclasses.dataclass\nclass Sizes:\n    dim: int = 8\n"
    kept = "assert pickle.loads(pickle.dumps(Sizes())) == Sizes() and Sizes.__annotations__['dim'] is int\n        "
    own = own_model.load(write(tmp_path, head + GOOD.replace(FITTED, kept + "print('fitting')\n        " + FITTED)))
    ((_, made),) = trainer.run((matrix(trainer.pack, Wanted(own=own))[0][0],))
    assert not isinstance(made, Failed), made.trace
    said = capsys.readouterr()
    assert said.out == "", "stdout is for the results"
    assert "hello" in said.err
    assert "fitting" in said.err


def test_a_fit_is_the_same_in_any_company(tmp_path: Path, toy: RunFolder) -> None:
    """What a user's code keeps outside of its object, draws when it embeds, or sets in torch is no part of the next fit."""
    kept = GOOD.replace(
        "class Mine:", "torch.set_default_dtype(torch.float64)\nSEEN = []\nclass Mine:\n    LEARNS = False"
    ).replace(FITTED, "SEEN.append(seed)\n        torch.set_num_threads(3)\n        self.scale = len(SEEN)\n        " + FITTED)
    kept = kept.replace(
        "return functional.normalize(video.vectors_BV", "return functional.normalize(video.vectors_BV ** self.scale"
    )
    own = own_model.load(write(tmp_path, kept))
    before = torch.get_default_dtype(), torch.get_num_threads()
    company = whole(toy, own)
    assert (torch.get_default_dtype(), torch.get_num_threads()) == before
    pack = make_pack(toy)
    for job in matrix(pack, Wanted(own=own, seeds=2))[0]:
        ((_, made),) = Trainer(str(toy.path), str(pack.folder), "cpu").run((job,))
        assert not isinstance(made, Failed), made.trace
        if job.own:
            assert made["ranks"].drop_columns(["key"]).to_pylist() == company[job.baseline, job.seed], job.title


def test_fits_of_a_users_model_are_made_one_by_one(tmp_path: Path, trainer: Trainer) -> None:
    own = own_model.load(write(tmp_path, GOOD))
    found, _ = matrix(trainer.pack, Wanted(own=own, seeds=3))
    assert [len(group) for group in groups(found, 1)] == [1, 1, 1, 1], (
        "random numbers that it draws when it embeds follow its own fit"
    )


def test_what_it_was_fitted_on_is_watched_while_it_embeds(tmp_path: Path, toy: RunFolder) -> None:
    trainer = Trainer(str(toy.path), str(make_pack(toy).folder), "cpu")
    late = GOOD.replace(FITTED, "self.train = train\n        " + FITTED)
    late = late.replace(NORMALISED, "self.train.music.vectors_BV.zero_()\n        " + NORMALISED)
    assert "changes the inputs that it is handed" in str(failure(trainer, own_model.load(write(tmp_path, late))))
    assert trainer.of_the_data == {}, "no check has looked at what was spoilt"


def test_sequences_hold_the_clips_of_the_part_alone(tmp_path: Path, toy: RunFolder, local: Fleet) -> None:
    pack = make_pack(toy)
    train = pairs(pack, split_parts(pack), steps=True)["train"]
    alone = train.alone()
    for side, name in (("video", "look"), ("music", "sound")):
        first, again = (getattr(part, side).steps[name] for part in (train, alone))
        assert again.packed_PD.shape[0] == int(again.length_B.sum()) < first.packed_PD.shape[0]
        for found, expected in zip(again.padded(), first.padded(), strict=True):
            assert torch.equal(found, expected)
    text = GOOD.replace("class Mine:", "class Mine:\n    STEPS = True").replace(
        FITTED, "assert len(train.video.steps['look'].packed_PD) == 5 * len(train)\n        " + FITTED
    )
    assert score(toy, local, own_model.load(write(tmp_path, text)))


@pytest.mark.parametrize("how", ["class Stop(BaseException): pass\n        raise Stop('enough')", "raise SystemExit('enough')"])
def test_no_exception_of_a_users_code_ends_the_worker(tmp_path: Path, trainer: Trainer, how: str) -> None:
    error = failure(trainer, own_model.load(write(tmp_path, GOOD.replace(FITTED, how + "\n        " + FITTED))))
    assert "enough" in str(error)


def test_needs_may_be_one_name_and_slots_are_fine(tmp_path: Path, trainer: Trainer) -> None:
    slots = "class Mine:\n    NEEDS = 'look'\n    __slots__ = ('video', 'music')"
    assert own_model.module(own_model.load(write(tmp_path, GOOD.replace("class Mine:", slots)))).NEEDS == ("look",)
    own = own_model.load(write(tmp_path, GOOD.replace("class Mine:", slots.replace("    NEEDS = 'look'\n", ""))))
    ((_, made),) = trainer.run((matrix(trainer.pack, Wanted(own=own))[0][0],))
    assert not isinstance(made, Failed), made.trace
    with pytest.raises(BadInput, match=r"Mine.NEEDS must be names of features such as \('clip', 'clap'\), not 5"):
        own_model.load(write(tmp_path, GOOD.replace("class Mine:", "class Mine:\n    NEEDS = 5")))


# -- embeddings
def saved(path: Path, run: RunFolder, **change: Any) -> str:
    """The run's own pooled features of the first ten values, as embeddings of all its clips in another order."""
    pack = make_pack(run)
    order = np.random.default_rng(0).permutation(len(pack.clip_ids))
    arrays: dict[str, Any] = {"ids": np.array(pack.clip_ids)[order]}
    arrays |= {side: pack.vectors(name)[order, :10] for side, name in (("video", "look"), ("music", "sound"))}
    np.savez(path, **{name: value for name, value in (arrays | change).items() if value is not None})
    return str(path)


def test_embeddings_are_matched_by_clip_and_scored_without_a_model(tmp_path: Path, toy: RunFolder, local: Fleet) -> None:
    own = own_embeddings.load(saved(tmp_path / "mine-v1.npz", toy), toy)
    rows = score(toy, local, own)
    assert own.name == "mine_v1"
    assert {r.num_queries for r in rows} == {15, 30}
    pack = make_pack(toy)
    index = pack.parts["test"]
    video, music = pack.vectors("look")[index, :10], pack.vectors("sound")[index]
    expected = retrieve(video, music, pack.song_codes()[index])["video_to_music"]
    ranks = toy.read_table("ranks")
    assert ranks is not None
    found = [r["better"] for r in ranks.to_pylist() if r["baseline"] == "mine_v1" and r["direction"] == "video_to_music"]
    assert found == expected.better.tolist()
    jobs = toy.read_table("jobs")
    assert jobs is not None
    (job,) = [j for j in jobs.to_pylist() if j["baseline"] == "mine_v1"]
    assert any("batch_invariance: not run" in text for text in job["findings"])
    assert any(text.startswith("ties: passed") for text in job["findings"])
    assert any(text.startswith("split_leak: passed") for text in job["findings"])
    again = own_embeddings.load(saved(tmp_path / "mine-v1.npz", toy), toy)
    assert code_of("mine_v1", again) == code_of("mine_v1", own)


def test_embeddings_that_do_not_fit_are_one_line(tmp_path: Path, toy: RunFolder, local: Fleet) -> None:
    path = tmp_path / "e.npz"
    pack = make_pack(toy)
    ids = np.array(pack.clip_ids)
    values = np.ones((len(ids), 4), np.float32)
    bad = values.copy()
    bad[3] = np.nan
    test = pack.clip_ids[int(pack.parts["test"][0])]
    more, most = np.ones((121, 4)), ids != test
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"music": None}, "has no array 'music'"),
        ({"ids": np.where(ids == ids[1], ids[0], ids)}, f"1 ids .* more than once, first '{ids[0]}'"),
        ({"ids": np.append(ids, "who"), "video": more, "music": more}, "1 of its 121 ids are no clips of .*'who'"),
        ({"ids": ids[most], "video": values[1:], "music": values[1:]}, f"1 of 30 clips to score .* first '{test}'"),
        ({"video": values[:-1]}, r"video has the shape \(119, 4\)"),
        ({"video": values}, "video has 4 dimensions and music 10"),
        ({"ids": np.arange(120)}, r"ids must be \(N,\) text"),
        ({"video": bad, "music": values}, "video is not finite in 1 rows, first in row 3"),
    ]
    for change, expected in wrong:
        with pytest.raises(BadInput, match=expected):
            own_embeddings.load(saved(path, toy, **change), toy)
    path.write_text("no zip")
    with pytest.raises(BadInput, match="cannot be read as an"):
        own_embeddings.load(str(path), toy)
    with pytest.raises(BadInput, match="does not exist"):
        own_embeddings.load(str(tmp_path / "nowhere.npz"), toy)
