# SPDX-License-Identifier: GPL-3.0-or-later
"""More or less of what a face does: all of its mouth, its jaw, or what one control says. No bpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dubplate_shared.errors import InvalidInput
from dubplate_shared.landmarks import LIPS
from dubplate_shared.rig import Rig

from .closure import close, touching
from .mouth import AROUND, UPPER_FACE, basis_of, mouth_share
from .mouths import Change, Mouths, control_rows

Array = npt.NDArray[Any]

MOUTH, JAW = "mouth", "jaw"  # beside the names of controls
_JAW_CONTROL = "jaw_open"
_LEAST_EFFORT_M = 1e-4  # of a control's full pose: one that explains a point's place by less is left at rest


def exaggerate(rig: Rig, mouths: Mouths, what: str, factor: float, share: Array) -> Change:
    """Let `what` (a control's name, MOUTH or JAW) do `factor` times as much, from rest; lips that were closed stay so.

    share: (T,) of it in each row.  Raises InvalidInput where the head has no such control.
    """
    if what not in (MOUTH, JAW, *rig.control_names):
        raise InvalidInput(f"The head has no control {what!r}.", hint=f"It has: {', '.join(rig.control_names)}.")
    change = Change.none(mouths)
    more = (factor - 1.0) * share
    if what in (MOUTH, JAW, _JAW_CONTROL):
        change = change.plus(Change(more[:, None] * mouths.jaw, change.expression, {}))
    if what == MOUTH:
        change.expression[:] = more[:, None] * (mouths.expression @ mouth_share(rig).T)
    elif what not in (JAW, _JAW_CONTROL):
        values = control_values(rig, mouths.expression)[:, rig.control_names.index(what)]
        change.controls[what] = more * values
    closed = touching(rig, mouths) & (share > 0)
    return change.plus(close(rig, change.on(mouths, rig), closed.astype(float)))


def control_values(rig: Rig, expression: Array) -> Array:
    """How far each control is what an expression shows, by least squares at the landmarks.  Returns (T, C)."""
    basis = basis_of(rig, (*LIPS, *AROUND, *UPPER_FACE))
    shows = basis @ control_rows(rig, rig.control_names).T  # [3 N, C] m
    effort = len(basis) * _LEAST_EFFORT_M**2 * np.eye(shows.shape[1])
    return np.asarray(np.linalg.solve(shows.T @ shows + effort, shows.T @ basis @ expression.T).T)
