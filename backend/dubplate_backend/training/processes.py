# SPDX-License-Identifier: Apache-2.0
"""Several processes that train one model, each on its share of every batch (data parallelism).

`torchrun` starts them and says by the environment who is who.  Gradients are averaged over all, so that every process
takes the step that one alone would take on the whole batch.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed
from torch import Tensor

from dubplate_shared.errors import InvalidInput

PATIENCE = datetime.timedelta(days=1)  # the others wait while the first one draws and crops


@dataclass(frozen=True)
class Processes:
    """This process's number among how many."""

    number: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this one writes files and speaks."""
        return self.number == 0

    @property
    def command(self) -> str:
        """What starts `dubplate` in as many."""
        several = f"torchrun --nproc-per-node {self.count} -m dubplate_backend.cli.main"
        return "dubplate" if self.count == 1 else several

    def mean(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over all processes."""
        if self.count == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        torch.distributed.all_reduce(flat)
        flat /= self.count
        for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def as_first(self, *values: float) -> tuple[float, ...]:
        """What the first process says, in all."""
        if self.count == 1:
            return values
        said = torch.tensor(values, dtype=torch.float64, device=_device_of_backend())
        torch.distributed.broadcast(said, 0)
        return tuple(said.tolist())

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            torch.distributed.barrier()


ALONE = Processes()


@contextmanager
def processes_of_torchrun(device: torch.device) -> Iterator[Processes]:
    """Join the processes that torchrun started; ALONE where it did not.

    NCCL on CUDA, Gloo on the CPU.  Raises InvalidInput where torchrun's environment is incomplete.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    try:
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    except (ValueError, RuntimeError) as error:
        raise InvalidInput(
            f"WORLD_SIZE is set, but the processes do not find each other: {error}.",
            hint="Start them with: torchrun --nproc-per-node N -m dubplate_backend.cli.main train ...",
        ) from error
    try:
        yield Processes(torch.distributed.get_rank(), torch.distributed.get_world_size())
    finally:
        torch.distributed.destroy_process_group()


def device_of_process(name: str) -> torch.device:
    """The device of that name; of several processes on "cuda" each takes the one of its number on this machine.

    Raises InvalidInput where it is not there.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InvalidInput(f"There is no device {name!r}.", hint="Choose cpu, cuda, or cuda:N.") from error
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InvalidInput(f"This machine has no {device}.", hint="Choose --device cpu, or install torch for CUDA.")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def _device_of_backend() -> str:
    return "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
