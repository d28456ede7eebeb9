# SPDX-License-Identifier: Apache-2.0
"""VGG perceptual loss on weights that the user gives: torchvision's vgg16 or vgg19 state dict, .pth or .safetensors.

Source: Johnson et al. 2016, "Perceptual Losses"; layers relu1_2 to relu5_2 with L1 (systems 1.1.6). The weights are
never bundled or downloaded.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from dubplate_shared.errors import InvalidInput
from dubplate_shared.files import sha256_file

POOL = 0
# Output channels of the convolutions, POOL between the blocks (Simonyan and Zisserman 2014, table 1, D and E).
PLANS = {
    "vgg16": (64, 64, POOL, 128, 128, POOL, 256, 256, 256, POOL, 512, 512, 512, POOL, 512, 512, 512),
    "vgg19": (64, 64, POOL, 128, 128, POOL, 256, 256, 256, 256, POOL, 512, 512, 512, 512, POOL, 512, 512, 512, 512),
}
SECOND = 2  # of each block: relu1_2 ... relu5_2
# torchvision's normalisation of 0..1 RGB (ImageNet's statistics).
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class VggWeights:
    """Checked weights of the convolutions, in order."""

    kind: str  # "vgg16" or "vgg19"
    sha256: str  # of the file
    tensors: Mapping[str, Tensor]


def load_vgg(path: Path | str) -> VggWeights:
    """Read a torchvision VGG state dict. Pickled code in it is never run (weights_only).

    Raises InvalidInput where the file is missing, is no state dict, or is not VGG16's or VGG19's.
    """
    path = Path(path)
    hint = "Give torchvision's vgg19 or vgg16 state dict, as .pth or .safetensors."
    try:
        if path.suffix == ".safetensors":
            tensors = load_file(path)
        else:
            tensors = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InvalidInput(f"{path} does not exist.", hint=hint) from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, SafetensorError, OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be read as weights.", hint=hint) from error
    for kind, plan in PLANS.items():
        wanted = _shapes(plan)
        if _last_convolution(tensors) == max(wanted):
            _check(path, kind, wanted, tensors, hint)
            kept = {name: tensors[name].float() for name in tensors if _is_conv(name)}
            return VggWeights(kind, sha256_file(path), kept)
    raise InvalidInput(f"{path} holds neither VGG16 nor VGG19.", hint=hint)


def _last_convolution(tensors: object) -> int:
    """The highest index among a state dict's convolutions, -1 where there is none."""
    names = tensors if isinstance(tensors, Mapping) else ()
    return max((int(name.split(".")[1]) for name in names if _is_conv(name)), default=-1)


def _is_conv(name: object) -> bool:
    parts = str(name).split(".")
    return len(parts) == 3 and parts[0] == "features" and parts[1].isdigit() and parts[2] in ("weight", "bias")


def _shapes(plan: tuple[int, ...]) -> dict[int, tuple[int, int]]:
    """torchvision's index of each convolution -> (output, input) channels."""
    shapes, index, inputs = {}, 0, 3
    for outputs in plan:
        if outputs == POOL:
            index += 1
        else:
            shapes[index] = (outputs, inputs)
            inputs, index = outputs, index + 2  # a convolution and its ReLU
    return shapes


def _check(path: Path, kind: str, wanted: dict[int, tuple[int, int]], tensors: Mapping[str, Tensor], hint: str) -> None:
    for index, (outputs, inputs) in wanted.items():
        weight, bias = tensors.get(f"features.{index}.weight"), tensors.get(f"features.{index}.bias")
        fits = isinstance(weight, Tensor) and weight.shape == (outputs, inputs, 3, 3)
        if not (fits and isinstance(bias, Tensor) and bias.shape == (outputs,)):
            raise InvalidInput(f"{path} is not {kind}: features.{index} does not fit.", hint=hint)


class VggLoss(nn.Module):
    """Mean L1 between features of two pictures, averaged over five layers."""

    def __init__(self, weights: VggWeights) -> None:
        super().__init__()
        self.plan = PLANS[weights.kind]
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(1, 3, 1, 1), persistent=False)
        for index in _shapes(self.plan):
            for part in ("weight", "bias"):
                tensor = weights.tensors[f"features.{index}.{part}"]
                self.register_buffer(f"{part}_{index}", tensor, persistent=False)

    def features(self, pictures: Tensor) -> list[Tensor]:
        """pictures: [N, 3, H, W] -1..1.  Returns relu1_2, relu2_2, relu3_2, relu4_2, relu5_2."""
        x = ((pictures + 1.0) / 2.0 - self.mean) / self.deviation
        found, index, in_block, blocks = [], 0, 0, 1 + self.plan.count(POOL)
        for outputs in self.plan:
            if outputs == POOL:
                x, index, in_block = F.max_pool2d(x, 2), index + 1, 0
                continue
            x = F.relu(F.conv2d(x, getattr(self, f"weight_{index}"), getattr(self, f"bias_{index}"), padding=1))
            index, in_block = index + 2, in_block + 1
            if in_block == SECOND:
                found.append(x)
            if len(found) == blocks:
                break
        return found

    def forward(self, drawn: Tensor, target: Tensor) -> Tensor:
        """drawn, target: [N, 3, H, W] -1..1.  Returns a scalar."""
        with torch.no_grad():
            wanted = self.features(target)
        pairs = zip(self.features(drawn), wanted, strict=True)
        return torch.stack([F.l1_loss(got, want) for got, want in pairs]).mean()
