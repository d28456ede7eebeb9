# SPDX-License-Identifier: Apache-2.0
"""FLAME's own equations in numpy, root joint included: what every FLAME tracker poses its head with.

Li et al. 2017, eq. 1-4.  Written from the paper for the tests and independent of the head model that they test.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

PARENTS = (-1, 0, 1, 1, 1)
VERTICES = 5023


@dataclass(frozen=True)
class Motion:
    """N frames: shape [300], expression [N, 100], root, neck, jaw [N, 3], eyes [N, 6] axis-angle, eyelids [N, 2]."""

    shape: np.ndarray
    expression: np.ndarray
    root: np.ndarray
    neck: np.ndarray
    jaw: np.ndarray
    eyes: np.ndarray
    eyelids: np.ndarray

    def __len__(self) -> int:
        return len(self.expression)


def some_motion(count: int, seed: int = 4, *, neck: bool = True) -> Motion:
    """A person who speaks, nods and blinks."""
    random = np.random.default_rng(seed)
    shape = np.zeros(300)
    shape[:20] = random.normal(0, 0.7, 20)
    expression = np.zeros((count, 100))
    expression[:, :30] = random.normal(0, 0.5, (count, 30))
    jaw = random.normal(0, 0.02, (count, 3)) + np.array([0.15, 0, 0])
    return Motion(
        shape=shape,
        expression=expression,
        root=random.normal(0, 0.2, (count, 3)),
        neck=random.normal(0, 0.1, (count, 3)) * neck,
        jaw=jaw,
        eyes=random.normal(0, 0.1, (count, 6)),
        eyelids=random.uniform(0, 0.5, (count, 2)),
    )


def posed(
    arrays: dict[str, np.ndarray], motion: Motion, frame: int, *, root: bool = True, offset: np.ndarray | float = 0.0
) -> np.ndarray:
    """Vertices [5023, 3] of one frame, metres.   root: whether the root joint is turned.   offset: [5023, 3], added to
    the shaped head."""
    codes = np.concatenate([motion.shape, motion.expression[frame]])
    shaped = arrays["v_template"] + arrays["shapedirs"] @ codes + offset
    joints = arrays["J_regressor"] @ shaped
    turns = [motion.root[frame] if root else np.zeros(3), motion.neck[frame], motion.jaw[frame]]
    turns += [motion.eyes[frame][:3], motion.eyes[frame][3:]]
    matrices = Rotation.from_rotvec(np.array(turns)).as_matrix()
    rest = shaped + arrays["posedirs"] @ (matrices[1:] - np.eye(3)).ravel()
    world: list[np.ndarray] = []
    for joint, parent in enumerate(PARENTS):
        local = np.eye(4)
        local[:3, :3] = matrices[joint]
        local[:3, 3] = joints[joint] - (joints[parent] if parent >= 0 else 0)
        world.append(local if parent < 0 else world[parent] @ local)
    moved = []
    for joint, transform in enumerate(world):
        back = transform.copy()
        back[:3, 3] -= transform[:3, :3] @ joints[joint]
        moved.append(back)
    blended = np.einsum("vj,jkl->vkl", arrays["weights"], np.array(moved))
    return np.einsum("vkl,vl->vk", blended[:, :3, :3], rest) + blended[:, :3, 3]
