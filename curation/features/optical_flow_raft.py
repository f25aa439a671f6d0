"""Motion as in `optical_flow`, with the same columns, by RAFT, which UT-CMVMR takes; slow without a GPU.

Optional: `pip install 'svmbench[raft]'` brings torchvision, whose build must fit the installed torch. The weights are not
downloaded: the environment variable SVMBENCH_RAFT_WEIGHTS names a file with the state dict of torchvision's raft_large (what
UT-CMVMR uses) or raft_small; which of them it is shows in the file.

RAFT sees the colours at a short side of 256, padded to multiples of 8 and at least 128 x 128, in the range [-1, 1], as
torchvision's own transform has it, with 12 rounds of its update. The pairs are adjacent frames here as in the other two, not
frames a second apart as in UT-CMVMR's code.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from curation import motion
from curation.flow import Follow
from svmbench.errors import MissingExtra
from svmbench.media import ClipMedia, Needs
from svmbench.records import Features

PAIRS = replace(motion.PAIRS, short_side_px=256, plane="rgb")
DIM = len(motion.COLUMNS)
MODALITY = "video"
NEEDS = Needs(frames=(PAIRS,))
HOP_S = motion.HOP_S

WEIGHTS = "SVMBENCH_RAFT_WEIGHTS"
UPDATES = 12  # torchvision's default
MULTIPLE_PX, LEAST_PX = 8, 128  # what torchvision's RAFT asks of its input


def extract(clip: ClipMedia) -> Features:
    """values_TD of shape (segments, 6)."""
    return motion.by_segment(motion.pair_motions(clip.frames(PAIRS), _follow(os.environ.get(WEIGHTS, ""))), clip.duration_s)


@lru_cache(maxsize=1)
def _follow(weights: str) -> Follow:
    return follow_by(network(weights))


def network(weights: str) -> Any:
    """RAFT with weights from a local file, ready to run; MissingExtra where torchvision or the weights are missing."""
    try:
        import torch
        from torchvision.models.optical_flow import raft_large, raft_small
    except (ImportError, RuntimeError, OSError) as error:  # a build for another torch fails with the latter two
        line = " ".join(str(error).split())[:120]
        raise MissingExtra(
            f"optical_flow_raft needs torchvision, built for the installed torch: pip install 'svmbench[raft]' ({line})"
        ) from error
    if not Path(weights).is_file():
        raise MissingExtra(
            f"optical_flow_raft needs weights: let {WEIGHTS} name a file with the state dict of torchvision's raft_large or "
            f"raft_small (now {weights or 'not set'!r}); nothing is downloaded"
        )
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
        large = any(name.startswith("mask_predictor.") for name in state)  # only the large one has it
        made = (raft_large if large else raft_small)(weights=None)
        made.load_state_dict(state)
    except Exception as error:  # whatever a file that is something else brings about
        line = " ".join(str(error).split())[:120]
        raise MissingExtra(f"{weights} has no state dict of torchvision's raft_large or raft_small: {line}") from error
    return made.eval().to("cuda" if torch.cuda.is_available() else "cpu")


def follow_by(made: Any) -> Follow:
    """Flow by a network that takes two batches (1, 3, H, W) in [-1, 1] and gives flows (1, 2, H, W), the last one the best."""
    import torch

    device = next((p.device for p in made.parameters()), torch.device("cpu"))

    def tensor(image_HW3: np.ndarray, pad: tuple[int, int, int, int]) -> torch.Tensor:
        image = torch.from_numpy(image_HW3).to(device).permute(2, 0, 1)[None].float() / 127.5 - 1
        return torch.nn.functional.pad(image, pad, mode="replicate")

    def follow(first_HW3: np.ndarray, second_HW3: np.ndarray) -> np.ndarray:
        height, width = first_HW3.shape[:2]
        more_y, more_x = (max(LEAST_PX, -(-length // MULTIPLE_PX) * MULTIPLE_PX) - length for length in (height, width))
        pad = (more_x // 2, more_x - more_x // 2, more_y // 2, more_y - more_y // 2)
        with torch.inference_mode():
            flow = made(tensor(first_HW3, pad), tensor(second_HW3, pad), num_flow_updates=UPDATES)[-1][0]
        inside = flow[:, pad[2] : pad[2] + height, pad[0] : pad[0] + width]
        return inside.permute(1, 2, 0).float().cpu().numpy()

    return follow
