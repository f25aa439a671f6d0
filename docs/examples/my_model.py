"""Ridge regression from music to video, in twenty lines: an example of a model of your own.

svmbench run-baselines runs/pairs --folds 10 --model docs/examples/my_model.py:Ridge
"""

from typing import ClassVar

import torch
from torch.nn import functional


class Ridge:
    SETTINGS: ClassVar = {"ridge": 30.0}  # shown with the results

    def fit(self, train, val, seed):
        """The map W that takes music to video: (M'M + ridge I)^-1 M'V. The inputs have mean 0 in the training part."""
        music_NV, video_NV = train.music.vectors_BV, train.video.vectors_BV
        ridge_VV = self.SETTINGS["ridge"] * torch.eye(music_NV.shape[1], device=music_NV.device)
        self.map_VV = torch.linalg.solve(music_NV.T @ music_NV + ridge_VV, music_NV.T @ video_NV)

    def encode_video(self, video):
        return functional.normalize(video.vectors_BV, dim=-1)

    def encode_music(self, music):
        return functional.normalize(music.vectors_BV @ self.map_VV, dim=-1)
