# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of a training run: tensors as safetensors, the rest as JSON. Going on from one gives the same weights as
never having stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from dubplate_backend.training.trainer import Trainer
from dubplate_shared.errors import InvalidInput
from dubplate_shared.files import atomic_folder, read_json, write_json

SCHEMA = "dubplate.checkpoint/1"
TENSORS, STATE = "tensors.safetensors", "checkpoint.json"
AVERAGE_TEXELS = "average_texels"


def save_checkpoint(folder: Path, trainer: Trainer, facts: Mapping[str, Any]) -> None:
    """Replace `folder` by the trainer's state. `facts` is stored beside it and given back by `load_checkpoint`."""
    tensors = {f"{AVERAGE_TEXELS}/{number}": texels for number, texels in enumerate(trainer.average_texels)}
    for name, module in trainer.modules().items():
        tensors |= {f"{name}/{key}": value for key, value in module.state_dict().items()}
    for name, optimiser in trainer.optimisers().items():
        tensors |= {f"{name}/{key}": value for key, value in _optimiser_tensors(optimiser).items()}
    with atomic_folder(folder, overwrite=True) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary / TENSORS)
        state = {
            "schema": SCHEMA,
            "iteration": trainer.iteration,
            "ages": trainer.ages,
            "random": trainer.random.bit_generator.state,
            "facts": dict(facts),
        }
        write_json(temporary / STATE, state)


def load_checkpoint(folder: Path, trainer: Trainer) -> dict[str, Any]:
    """Bring `trainer` to the state in `folder`. Returns the facts stored with it. Raises InvalidInput."""
    state = read_json(folder / STATE, SCHEMA)
    try:
        tensors = load_file(folder / TENSORS)
        for name, module in trainer.modules().items():
            module.load_state_dict(_under(tensors, name), strict=True)
        for name, optimiser in trainer.optimisers().items():
            _restore_optimiser(optimiser, _under(tensors, name))
        for number, texels in enumerate(trainer.average_texels):
            texels.copy_(tensors[f"{AVERAGE_TEXELS}/{number}"])
    except (OSError, SafetensorError, RuntimeError, KeyError) as error:
        raise InvalidInput(
            f"The checkpoint {folder} cannot be read: {error}.", hint="Delete it, or start again with --no-resume."
        ) from error
    trainer.iteration = int(state["iteration"])
    trainer.ages = [int(age) for age in state["ages"]]
    trainer.random.bit_generator.state = state["random"]
    return dict(state["facts"])


def _under(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    start = f"{name}/"
    return {key.removeprefix(start): value for key, value in tensors.items() if key.startswith(start)}


def _optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """ "PARAMETER/QUANTITY" -> tensor."""
    state = optimiser.state_dict()["state"]
    return {f"{index}/{name}": value for index, entry in state.items() for name, value in entry.items()}


def _restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Moments take their parameter's memory layout again: the fused step walks both side by side."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split("/")
        parameter = parameters[int(index)]
        laid_out = torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value
        state.setdefault(int(index), {})[name] = laid_out.detach()
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
