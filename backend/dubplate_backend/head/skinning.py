# SPDX-License-Identifier: Apache-2.0
"""Linear blend skinning with pose correctives.  Source: Li et al. 2017, FLAME, eq. 1-4; Loper et al. 2015, SMPL."""

import torch
from torch import Tensor

PARENTS = (-1, 0, 1, 1, 1)
"""Parent of each joint, in the order root, neck, jaw, left eye, right eye."""

JOINT_COUNT = len(PARENTS)
POSE_FEATURES = 9 * (JOINT_COUNT - 1)
"""Entries of R - I of every joint but the root: what the pose correctives are linear in."""


def axis_angle_to_matrix(axis_angle: Tensor) -> Tensor:
    """Rotation matrices by Rodrigues' formula, smooth (also its gradient) at zero.

    axis_angle: [..., 3] radians.   Returns [..., 3, 3].
    """
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1).unflatten(-1, (3, 3))  # [..., 3, 3]
    squared = axis_angle.square().sum(-1)
    small = squared < 1e-8  # below this the two Taylor terms are exact in float64
    safe = torch.where(small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    sine = torch.where(small, 1 - squared / 6, angle.sin() / angle)[..., None, None]
    # 2 sin^2(a/2) rather than 1 - cos(a): the difference cancels in float32 at small angles.
    versine = torch.where(small, 0.5 - squared / 24, 2 * (angle / 2).sin().square() / safe)[..., None, None]
    eye = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return eye + sine * cross + versine * (cross @ cross)


def pose_features(rotations: Tensor) -> Tensor:
    """What the pose correctives multiply: R - I of neck, jaw, left eye and right eye, row by row.

    rotations: [B, 5, 3, 3].   Returns [B, 36].
    """
    eye = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
    return (rotations[:, 1:] - eye).flatten(1)


def joint_transforms(rotations: Tensor, joints: Tensor) -> Tensor:
    """World transforms of the joints along the kinematic chain, relative to the rest position.

    rotations: [B, 5, 3, 3].   joints: [B, 5, 3] metres, at rest.
    Returns [B, 5, 3, 4]: the affine map that takes a rest point to its posed place for each joint.
    """
    turned: list[Tensor] = []
    moved: list[Tensor] = []
    for joint, parent in enumerate(PARENTS):
        if parent < 0:
            turned.append(rotations[:, joint])
            moved.append(joints[:, joint])
            continue
        offset = joints[:, joint] - joints[:, parent]  # [B, 3]
        turned.append(turned[parent] @ rotations[:, joint])
        moved.append(moved[parent] + (turned[parent] @ offset[..., None])[..., 0])
    rotation = torch.stack(turned, 1)  # [B, 5, 3, 3]
    translation = torch.stack(moved, 1) - (rotation @ joints[..., None])[..., 0]  # [B, 5, 3]
    return torch.cat((rotation, translation[..., None]), -1)


def skin(vertices: Tensor, joints: Tensor, rotations: Tensor, skin_weights: Tensor) -> Tensor:
    """Pose `vertices` by blending the joints' transforms.

    vertices: [B, V, 3] metres, at rest.   joints: [B, 5, 3] metres.   rotations: [B, 5, 3, 3].
    skin_weights: [V, 5], rows sum to 1.   Returns [B, V, 3] metres.  Raises ValueError where shapes disagree.
    """
    if rotations.shape[1:] != (JOINT_COUNT, 3, 3) or joints.shape[1:] != (JOINT_COUNT, 3):
        raise ValueError(
            f"expected {JOINT_COUNT} joints, got rotations {tuple(rotations.shape)}, joints {tuple(joints.shape)}"
        )
    transforms = joint_transforms(rotations, joints)  # [B, 5, 3, 4]
    blended = (skin_weights @ transforms.flatten(2)).unflatten(-1, (3, 4))  # [B, V, 3, 4]
    # Column by column: six times as fast as a product of millions of 3 x 3 matrices.
    x, y, z = vertices[..., None].unbind(-2)  # [B, V, 1] each
    return blended[..., 0] * x + blended[..., 1] * y + blended[..., 2] * z + blended[..., 3]
