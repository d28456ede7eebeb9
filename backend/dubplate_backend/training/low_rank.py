# SPDX-License-Identifier: Apache-2.0
"""Adapting by low-rank factors: W + B A in the place of each weight W of a prior, and only A and B are trained.

Source: Hu et al. 2021, "LoRA", eq. 3.  A convolution's weight counts as a matrix of outputs by everything else.  Merged
after training, a generator costs no more to run than any other.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

WEIGHT = "weight"


class LowRank(nn.Module):
    """W -> W + B A.  B starts at zero, so that training starts from the prior itself."""

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        outputs, inputs = weight.shape[0], weight[0].numel()
        rank = min(rank, outputs, inputs)
        # Weights of an equalised layer have unit variance; so has A, and one step of B moves them as it moves others.
        self.down = nn.Parameter(torch.randn(rank, inputs) * weight.std() / rank**0.5)  # A
        self.up = nn.Parameter(torch.zeros(outputs, rank))  # B

    def forward(self, weight: Tensor) -> Tensor:
        return weight + (self.up @ self.down).view_as(weight)


def factorise(network: nn.Module, rank: int) -> None:
    """Freeze `network` and put trainable factors beside the weight of every convolution and linear layer.

    Chance comes from torch's generator.
    """
    network.requires_grad_(False)
    for module in _weighted(network).values():
        parametrize.register_parametrization(module, WEIGHT, LowRank(getattr(module, WEIGHT), rank))


def factors(network: nn.Module) -> dict[str, Tensor]:
    """ "LAYER.up" and "LAYER.down" of a factorised network, in half precision."""
    found = {}
    for name, module in network.named_modules():
        if parametrize.is_parametrized(module, WEIGHT):
            part = module.parametrizations[WEIGHT][0]
            found |= {f"{name}.up": part.up.detach().half(), f"{name}.down": part.down.detach().half()}
    return found


def merged(network: nn.Module) -> nn.Module:
    """A copy of a factorised network with ordinary weights, the factors rounded as they are stored."""
    copied = copy.deepcopy(network)
    for module in copied.modules():
        if parametrize.is_parametrized(module, WEIGHT):
            part = module.parametrizations[WEIGHT][0]
            with torch.no_grad():
                part.up.copy_(part.up.half())
                part.down.copy_(part.down.half())
            parametrize.remove_parametrizations(module, WEIGHT, leave_parametrized=True)
    return copied.requires_grad_(False)


def _weighted(network: nn.Module) -> Mapping[str, nn.Module]:
    """Layers whose weight is a matrix or a convolution's kernels."""
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(getattr(module, WEIGHT, None), nn.Parameter) and getattr(module, WEIGHT).dim() >= 2
    }
