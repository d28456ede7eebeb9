# SPDX-License-Identifier: Apache-2.0
"""A performance on its way over the wire: the curves that a client sends, checked by their shapes and values."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dubplate_shared.errors import InvalidInput
from dubplate_shared.take import TRACKED

Array = npt.NDArray[Any]

EXPRESSION_COMPONENTS = 100
MAX_NAME_LENGTH = 512  # of an id or a name
MAX_RANGE_LENGTH = 4096  # of a frame range as text


class Performance(Protocol):
    """The take of a request, by name or by curves.

    take: a name; with curves the take is theirs, else the shot's own of that name.  expression [N, 100], jaw [N, 3]
    (axis-angle, radians), eyes [N, 6]: one row a frame of `take_frames` ("" = every frame of the shot), laid over the
    shot's take `base_take` ("" = the one named as `take`, else what was filmed), which also gives the voice, and the
    eyes where none are sent.
    """

    @property
    def take(self) -> str: ...
    @property
    def base_take(self) -> str: ...
    @property
    def take_frames(self) -> str: ...
    @property
    def expression(self) -> Array | None: ...
    @property
    def jaw(self) -> Array | None: ...
    @property
    def eyes(self) -> Array | None: ...


def check_performance(sent: Performance) -> None:
    """Raise InvalidInput where the curves are incomplete, misshapen or no numbers."""
    check_length("take", sent.take, MAX_NAME_LENGTH)
    check_length("base_take", sent.base_take, MAX_NAME_LENGTH)
    check_length("take_frames", sent.take_frames, MAX_RANGE_LENGTH)
    if (sent.expression is None) != (sent.jaw is None) or (sent.eyes is not None and sent.jaw is None):
        raise InvalidInput("A take needs expression and jaw together.", hint="Send both, or neither.")
    if sent.expression is not None and sent.take == TRACKED:
        raise InvalidInput(f"{TRACKED!r} is what was filmed.", hint="Give the curves that you send another name.")
    rows = {
        _check_curves("expression", sent.expression, EXPRESSION_COMPONENTS),
        _check_curves("jaw", sent.jaw, 3),
        _check_curves("eyes", sent.eyes, 6),
    } - {None}
    if len(rows) > 1:
        raise InvalidInput("A take's arrays differ in their number of frames.", hint="Send one row a frame in each.")


def check_length(name: str, text: str, most: int) -> None:
    """Raise InvalidInput where `text` has more than `most` characters."""
    if len(text) > most:
        raise InvalidInput(f"{name} has {len(text)} characters; it may have {most}.", hint="Make it shorter.")


def _check_curves(name: str, curves: Array | None, columns: int) -> int | None:
    if curves is None:
        return None
    if curves.ndim != 2 or curves.shape[1] != columns or curves.dtype.kind != "f":
        raise InvalidInput(
            f"{name} has shape {curves.shape} of {curves.dtype}.", hint=f"Send floats of [frames, {columns}]."
        )
    if not np.isfinite(curves).all():
        row = int(np.argwhere(~np.isfinite(curves))[0, 0])
        raise InvalidInput(f"{name} is not a number in row {row}.", hint="Look at the curves there.")
    return int(curves.shape[0])
