# SPDX-License-Identifier: Apache-2.0
"""Clip features for FVD, on the network that the user gives: the TorchScript I3D that StyleGAN-V's FVD is computed
with (`i3d_torchscript.pt`, Kinetics-400).

Source: Unterthiner et al. 2018, "Towards Accurate Generative Models of Video"; Skorokhodov et al. 2022, "StyleGAN-V".
The script is called as `network(clips, rescale=False, resize=False, return_features=True)`, clips [N, 3, T, 224, 224]
in -1..1.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from dubplate_shared.errors import InvalidInput
from dubplate_shared.files import sha256_file

CLIP_FRAMES = 16  # as FVD is published
CLIP_STEP = 8  # frames between clips' beginnings: a shot has few
SIZE = 224  # px
HINT = "Give the i3d_torchscript.pt that StyleGAN-V's FVD uses."


class VideoFeatures:
    """Clips of 16 pictures to a row of numbers each."""

    def __init__(self, path: Path | str) -> None:
        """Raises InvalidInput where the file is no TorchScript."""
        path = Path(path)
        if not path.is_file():
            raise InvalidInput(f"{path} does not exist.", hint=HINT)
        try:
            self._network = torch.jit.load(str(path), map_location="cpu").eval()
        except (RuntimeError, ValueError) as error:
            raise InvalidInput(f"{path} is no TorchScript.", hint=HINT) from error
        self.sha256 = sha256_file(path)

    def of(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """CLIP_FRAMES pictures, float [S, S, 3] 0..1 -> float32 [D]. Raises InvalidInput for another kind of script."""
        frames = torch.from_numpy(np.stack(pictures).astype(np.float32)).permute(0, 3, 1, 2)  # [T, 3, S, S]
        sized = F.interpolate(frames, (SIZE, SIZE), mode="bilinear", align_corners=False) * 2.0 - 1.0
        clip = sized.permute(1, 0, 2, 3)[None]  # [1, 3, T, 224, 224]
        try:
            with torch.inference_mode():
                found = self._network(clip, rescale=False, resize=False, return_features=True)
        except RuntimeError as error:
            raise InvalidInput("The script of --i3d cannot be called as an I3D is.", hint=HINT) from error
        return np.asarray(found[0].numpy(), np.float32).reshape(-1)
