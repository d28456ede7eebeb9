# SPDX-License-Identifier: GPL-3.0-or-later
"""A drag of the lips in the scene: what is seen while it lasts, and the keys that it leaves.

The head's numbers come from the shot package; the frame's from all layers.
"""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from dubplate_shared.errors import InvalidInput
from dubplate_shared.landmarks import LIPS

from ..curves import channels
from ..curves.channels import Channel
from ..curves.performance import read_channels
from ..layers.offsets import key_offset
from ..rig.armature import EXPRESSION_COUNT, skull_bone
from ..rig.controls import ControlMatrix
from ..scene.shot_rig import load_rig
from .grab import Grab, Solution

Array = npt.NDArray[Any]


class LipDrag:
    """The lips of one head on one frame, in hand."""

    def __init__(self, armature: bpy.types.Object, frame: int) -> None:
        """Raises InvalidInput where the shot package is gone or holds no head, HeadModelMismatch."""
        rig = load_rig(armature)
        names = ControlMatrix.of(armature).names
        if not names:
            raise InvalidInput(
                f"{armature.name} has no controls: it comes from an earlier Dubplate.", hint="Import the shot again."
            )
        (values,) = read_channels(armature, channels.performance(names), [frame]).astype(np.float64)
        expression, jaw = values[:EXPRESSION_COUNT], values[EXPRESSION_COUNT : EXPRESSION_COUNT + 3]
        controls = dict(zip(names, values[-len(names) :], strict=True))
        self._armature, self._frame = armature, frame
        self._grab = Grab(rig, expression, jaw, np.array([controls.get(name, 0.0) for name in rig.control_names]))
        self._posed: dict[Channel, float] = {}

    def world_positions(self) -> Array:
        """Where the points of LIPS are in the scene.  (40, 3)."""
        matrix = self._world_from_skull()
        return np.asarray(self._grab.positions @ matrix[:3, :3].T + matrix[:3, 3])

    def pull_in_world(self, landmark: int, target: Array, sight: Array) -> tuple[Solution, Array, Array]:
        """As Grab.pull, from places in the scene.  Returns the solution, the move (3,) in the skull's mm, and the sight
        (3,) in the skull's space.
        """
        back = np.linalg.inv(self._world_from_skull())
        sight = back[:3, :3] @ sight
        sight = sight / np.linalg.norm(sight)
        move_mm = 1e3 * (back[:3, :3] @ target + back[:3, 3] - self._grab.positions[LIPS.index(landmark)])
        return self.pull(landmark, move_mm, sight), move_mm, sight

    def pull(self, landmark: int, move_mm: Array, sight: Array | None) -> Solution:
        """What moves `landmark` by `move_mm` (3,), x to the subject's left, y up, z out of the face."""
        start = self._grab.positions[LIPS.index(landmark)]
        return self._grab.pull(landmark, start + 1e-3 * np.asarray(move_mm, np.float64), sight)

    def show(self, solution: Solution) -> None:
        """Pose the head as it would be; nothing is keyed."""
        for channel in {*solution.changes, *self._posed}:
            vector = self._armature.path_resolve(channel.path)
            self._posed.setdefault(channel, vector[channel.index])
            vector[channel.index] = self._posed[channel] + solution.changes.get(channel, 0.0)

    def put_back(self) -> None:
        """Undo show."""
        for channel, value in self._posed.items():
            self._armature.path_resolve(channel.path)[channel.index] = value

    def key(self, solution: Solution, spread: int) -> None:
        """Leave the solution as offsets on the frame."""
        self.put_back()
        key_offset(self._armature, self._frame, solution.changes, spread)

    def _world_from_skull(self) -> Array:
        posed = self._armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
        neck = posed.pose.bones[skull_bone(posed)]
        return np.array(posed.matrix_world @ neck.matrix @ neck.bone.matrix_local.inverted())
