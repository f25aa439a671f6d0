"""Canary: a linear map between video and music, learnt in closed form, beats chance on clips of train that it was not fitted on.

Feature files that are out of step (each row the neighbour's) give every baseline figures near chance and look like a hard data
set. So canonical correlation is fitted on some songs of train and scored on the others, fold by fold; test is not touched. The
same is done with the music moved by up to SHIFTS clips. A better result there is the signature of a shifted file.

No signal at any shift fails where train has ENOUGH_SONGS songs or more: the features are misaligned in another way, or there is
nothing linear in them, and which of the two it cannot tell. With fewer songs it does not decide. Cannot see: a file of which
only a small part is out of step.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.baselines import cca
from benchmarks.checks import Evidence, Finding
from benchmarks.checks._chance import one_sided
from benchmarks.inputs import Inputs, Pairs
from benchmarks.ranking import retrieve
from benchmarks.towers import embed, generator
from svmbench.records import V2M

NEEDS = ("train",)
OF_THE_DATA = True

FOLDS = 3  # ours
LEVEL, LEVEL_SHIFT = 0.01, 0.001  # of a signal as the files stand; of a better one at any shift; ours
SHIFTS = (1, -1, 2, -2)  # clips; ours
MIN_SONGS, ENOUGH_SONGS = 12, 150  # to be run at all; to call no signal a failure; ours
MAX_CLIPS = 1500  # the first of train; ours
MAX_WIDTH = 192  # wider inputs are projected at random, which keeps what is linear; ours


def check(evidence: Evidence) -> Finding:
    """p value that the linear map, as the files stand, is above chance by luck."""
    few = evidence.train[:MAX_CLIPS]
    train = Pairs(_narrow(few.video, 0), _narrow(few.music, 1), few.song_B.cpu())
    num_songs = len(torch.unique(train.song_B))
    if num_songs < MIN_SONGS:
        return Finding("alignment", None, None, f"not run: {num_songs} songs are too few to learn a linear map from")
    gain_Q, songs_Q = _gains(train, 0)
    moved = {shift: _gains(train, shift)[0] for shift in SHIFTS}
    best = max(SHIFTS, key=lambda shift: float(moved[shift].mean()))
    p = one_sided(gain_Q, songs_Q)
    said = f"a linear map is {gain_Q.mean():+.1%} of the gallery above chance on held-out clips of train (p {p:.4f})"
    if one_sided(moved[best] - gain_Q, songs_Q) <= LEVEL_SHIFT / len(SHIFTS):
        detail = f"features misaligned? {said}, and {moved[best].mean():+.1%} with the music moved by {best:+d} clip"
        return Finding("alignment", False, p, detail)
    if p <= LEVEL:
        return Finding("alignment", True, p, said)
    detail = f"{said}: features misaligned, or nothing linear in them"
    if num_songs < ENOUGH_SONGS:
        return Finding("alignment", None, p, f"cannot tell: {detail}, or too few songs ({num_songs})")
    return Finding("alignment", False, p, detail)


def _narrow(inputs: Inputs, seed: int) -> Inputs:
    x_NV = inputs.vectors_BV.cpu()
    if x_NV.shape[1] > MAX_WIDTH:
        x_NV = x_NV @ torch.randn(x_NV.shape[1], MAX_WIDTH, generator=generator(seed)) / MAX_WIDTH**0.5
    return Inputs(x_NV)


def _gains(train: Pairs, shift: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Of each query of all folds, both directions: places gained on chance as a share of the gallery; and its song.

    The music of clip i is that of row i + shift; the clips keep their songs.
    """
    every = torch.arange(len(train))
    train = Pairs(train.video, train.music[every.roll(-shift)], train.song_B)
    songs = torch.unique(train.song_B)
    fold_S = torch.randperm(len(songs), generator=generator(0)) % FOLDS
    fold_N = fold_S[torch.searchsorted(songs, train.song_B)]
    gains, of_song = [], []
    for fold in range(FOLDS):
        seen, held_out = train[every[fold_N != fold]], train[every[fold_N == fold]]
        model = cca.fit(seen, held_out, cca.Settings(), 0)
        song_N = held_out.song_B.numpy()
        for direction, ranks in retrieve(*embed(model, held_out), song_N).items():
            gains.append((ranks.chance().expected() - ranks.expected()) / ranks.num_candidates)
            of_song.append(song_N if direction == V2M else np.unique(song_N))
    return np.concatenate(gains), np.concatenate(of_song)
