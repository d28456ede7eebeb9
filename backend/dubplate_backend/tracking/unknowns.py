# SPDX-License-Identifier: Apache-2.0
"""What the fit looks for, and in which order: 114 unknowns a frame, and what the frames share.

The head's rotation is R = exp(turn) diag(1, -1, -1): `turn` is measured from a face that looks straight into the
camera, so that it stays far from the half turn at which axis-angle breaks.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dubplate_backend.head.skinning import axis_angle_to_matrix

TURN, SHIFT, JAW = slice(0, 3), slice(3, 6), slice(6, 9)
EXPRESSION, EYELIDS, NECK = slice(9, 109), slice(109, 111), slice(111, 114)
UNKNOWNS = 114
# Shared: shape [S], log focal, principal point's offset from where the lens is centred [2] px.
CAMERA_UNKNOWNS = 3

FACING = torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)  # columns of diag(1, -1, -1): head axes to camera axes


def head_rotation(turn: Tensor) -> Tensor:
    """[T, 3] -> [T, 3, 3]: head axes (Y up, Z out of the face) to camera axes (y down, z forward)."""
    return axis_angle_to_matrix(turn) * FACING.to(turn.dtype)


@dataclass(frozen=True)
class Shared:
    """A view of the vector [S + 3] of shared unknowns."""

    vector: Tensor

    @property
    def shape(self) -> Tensor:
        return self.vector[:-CAMERA_UNKNOWNS]

    @property
    def focal(self) -> Tensor:
        return self.vector[-CAMERA_UNKNOWNS].exp()

    @property
    def offset(self) -> Tensor:
        return self.vector[1 - CAMERA_UNKNOWNS :]

    @property
    def camera(self) -> Tensor:
        """[3]: what is left to share once the head is shaped."""
        return self.vector[-CAMERA_UNKNOWNS:]

    @classmethod
    def of(cls, shape: Tensor, focal: float) -> Shared:
        camera = torch.tensor([focal, 1.0, 1.0], dtype=torch.float64).log()
        return cls(torch.cat((shape, camera)))
