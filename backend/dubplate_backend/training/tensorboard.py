# SPDX-License-Identifier: Apache-2.0
"""Losses for TensorBoard, where the user has it installed; Dubplate itself does not need it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dubplate_backend.training.plots import LossRow
from dubplate_shared.errors import InvalidInput

Record = Callable[[LossRow], None]


def unrecorded(_: LossRow) -> None:
    """For runs that nobody watches."""


def tensorboard(folder: Path) -> Record:
    """A function that writes each row of losses to `folder`. Raises InvalidInput where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InvalidInput("TensorBoard is not installed.", hint="Install it with: pip install tensorboard") from error
    writer = SummaryWriter(str(folder))

    def record(row: LossRow) -> None:
        for name, value in row.items():
            if name not in ("iteration", "seconds"):
                writer.add_scalar(name, value, int(row["iteration"]))

    return record
