# SPDX-License-Identifier: Apache-2.0
"""Weights of published networks, from files that the user gives; nothing that a file holds is ever run."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from dubplate_shared.errors import InvalidInput


def read_state(path: Path, hint: str) -> Mapping[str, Tensor]:
    """A state dict from .safetensors or a file of `torch.save`, without running what it holds. Raises InvalidInput."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InvalidInput(f"{path} does not exist.", hint=hint) from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, SafetensorError, OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be read as weights.", hint=hint) from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InvalidInput(f"{path} holds no state dict.", hint=hint)
    return {str(name).removeprefix("module."): value for name, value in state.items()}  # saved from DataParallel


def fill(network: nn.Module, state: Mapping[str, Tensor], path: Path, hint: str) -> None:
    """Put weights into a network; all that it needs must be there and fit. Raises InvalidInput naming the first."""
    wanted = {name: value for name, value in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    for name, value in wanted.items():
        if name not in state or state[name].shape != value.shape:
            found = tuple(state[name].shape) if name in state else "not there"
            raise InvalidInput(f"{path}: {name} is {found}, expected {tuple(value.shape)}.", hint=hint)
    network.load_state_dict({name: state[name].float() for name in wanted}, strict=False)
