# SPDX-License-Identifier: Apache-2.0
"""The head of one shot, as Blender needs it: plain arrays with the shot's shape applied.

It travels in the shot package (head.npz), so that the add-on opens a shot without torch and without a backend.
Skinning: linear blend skinning with pose correctives; Li et al. 2017, FLAME, eq. 2-4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dubplate_shared.errors import InvalidInput
from dubplate_shared.files import load_npz, save_npz
from dubplate_shared.rotations import matrix_from_axis_angle

Array = npt.NDArray[Any]

JOINTS = ("root", "neck", "jaw", "eye.L", "eye.R")
PARENTS = (-1, 0, 1, 1, 1)

_ARRAYS = (
    "vertices", "expression_basis", "pose_basis", "joints", "joint_expression", "skin_weights",
    "faces", "uv", "faces_uv", "landmark_faces", "landmark_barycentrics", "control_expression", "control_jaw",
)  # fmt: skip
_TEXTS = ("kind", "sha256", "control_names")


@dataclass(frozen=True)
class Rig:
    """Arrays of one posed-able head.

    kind, sha256: the head model's.  vertices: (V, 3) metres at rest, the shot's shape applied.
    expression_basis: (V, 3, 100).  pose_basis: (V, 3, 36), by R - I of neck, jaw, eye.L, eye.R, row by row.
    joints: (5, 3).  joint_expression: (5, 3, 100).  skin_weights: (V, 5).  faces: (F, 3).
    uv: (VT, 2) 0..1, v up.  faces_uv: (F, 3).  masks: name -> (V,) bool.
    landmark_faces: (468,).  landmark_barycentrics: (468, 3).
    control_names: C names; control_expression: (C, 100); control_jaw: (C, 3).
    """

    kind: str
    sha256: str
    vertices: Array
    expression_basis: Array
    pose_basis: Array
    joints: Array
    joint_expression: Array
    skin_weights: Array
    faces: Array
    uv: Array
    faces_uv: Array
    masks: Mapping[str, Array]
    landmark_faces: Array
    landmark_barycentrics: Array
    control_names: tuple[str, ...]
    control_expression: Array
    control_jaw: Array

    def pose(self, expression: Array, jaw: Array, neck: Array | None = None, eyes: Array | None = None) -> Array:
        """Vertices [m] in head space for one frame, in float64: the reference that Blender's evaluation is held to.

        expression: (100,).  jaw, neck: (3,) axis-angle.  eyes: (6,).  Returns (V, 3).
        """
        zero = np.zeros(3)
        eyes = np.zeros(6) if eyes is None else np.asarray(eyes, np.float64)
        pose = np.stack([zero, zero if neck is None else neck, jaw, eyes[:3], eyes[3:]])  # [5, 3]
        rotations = matrix_from_axis_angle(pose)  # [5, 3, 3]
        expression = np.asarray(expression, np.float64)
        features = (rotations[1:] - np.eye(3)).reshape(36)
        vertices = self.vertices + self.expression_basis @ expression + self.pose_basis @ features  # [V, 3]
        joints = self.joints + self.joint_expression @ expression  # [5, 3]
        matrices: list[Array] = []
        offsets: list[Array] = []
        for index, parent in enumerate(PARENTS):
            rotation = rotations[index] if parent < 0 else matrices[parent] @ rotations[index]
            origin = joints[index] if parent < 0 else matrices[parent] @ joints[index] + offsets[parent]
            matrices.append(rotation)
            offsets.append(origin - rotation @ joints[index])
        blended = np.einsum("vj,jkl->vkl", self.skin_weights, np.stack(matrices))  # [V, 3, 3]
        return np.asarray(np.einsum("vkl,vl->vk", blended, vertices) + self.skin_weights @ np.stack(offsets))

    def landmarks(self, vertices: Array) -> Array:
        """MediaPipe's points on the surface.  vertices: (V, 3).  Returns (468, 3)."""
        corners = vertices[self.faces[self.landmark_faces]]  # [468, 3, 3]
        return np.asarray(np.einsum("nk,nkc->nc", self.landmark_barycentrics, corners))

    def save(self, path: Path) -> None:
        """Write head.npz."""
        arrays = {name: np.asarray(getattr(self, name)) for name in _ARRAYS}
        arrays |= {f"mask_{name}": np.asarray(mask, bool) for name, mask in self.masks.items()}
        arrays |= {name: np.array(getattr(self, name)) for name in _TEXTS}
        save_npz(path, arrays)

    @classmethod
    def load(cls, path: Path) -> Rig:
        """Read what save wrote. Raises InvalidInput."""
        arrays = load_npz(path)
        missing = [name for name in (*_ARRAYS, *_TEXTS) if name not in arrays]
        if missing:
            raise InvalidInput(f"{path} lacks {', '.join(missing)}.", hint="Track the shot again.")
        masks = {name.removeprefix("mask_"): array for name, array in arrays.items() if name.startswith("mask_")}
        names = tuple(str(name) for name in arrays["control_names"])
        return cls(
            str(arrays["kind"]),
            str(arrays["sha256"]),
            masks=masks,
            control_names=names,
            **{name: arrays[name] for name in _ARRAYS},
        )
