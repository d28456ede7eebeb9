# SPDX-License-Identifier: Apache-2.0
"""Skinning, beside the same sums written out densely and the machine's limit."""

import torch
from torch import Tensor

from dubplate_backend.bench.figure import Figure, least_seconds
from dubplate_backend.bench.limits import copied_bytes_per_second, matmul_flops_per_second
from dubplate_backend.bench.stage import Stage
from dubplate_backend.head.model import HeadModel
from dubplate_backend.head.skinning import axis_angle_to_matrix, joint_transforms, pose_features

BATCHES = (1, 50)


def skinning(stage: Stage) -> list[Figure]:
    """Milliseconds from codes to posed vertices, forward and with backward."""
    head = stage.head
    rate, copied = matmul_flops_per_second(), copied_bytes_per_second()
    figures = []
    for batch in BATCHES:
        codes = stage.codes(batch)
        forward = least_seconds(lambda c=codes: head.vertices(**c))
        dense = least_seconds(lambda c=codes: _dense(head, **c))
        limit = _least_seconds_possible(head, batch, rate, copied)
        moving = {name: code.clone().requires_grad_() for name, code in codes.items()}
        backward = least_seconds(lambda m=moving: head.vertices(**m).square().sum().backward())
        figures += [
            Figure(f"skinning.forward.{batch}", 1e3 * forward, "ms", dense / forward, "times the speed of dense sums"),
            Figure(f"skinning.forward.{batch}", 1e3 * forward, "ms", limit / forward, "of the copy and matmul limit"),
            Figure(f"skinning.backward.{batch}", 1e3 * backward, "ms", backward / forward, "times its forward"),
        ]
    return figures


def _dense(head: HeadModel, *, shape: Tensor, expression: Tensor, jaw: Tensor, neck: Tensor, eyes: Tensor) -> Tensor:
    """The model's equations as they are written, one einsum each, on 4 x 4 transforms.   Returns [B, V, 3]."""
    batch = len(expression)
    shape = shape.expand(batch, -1)
    rest = head.template + torch.einsum("bc,vkc->bvk", shape, head.shape_basis)
    joints = torch.einsum("jv,bvk->bjk", head.joint_regressor, rest)
    rest = rest + torch.einsum("bc,vkc->bvk", expression, head.expression_basis)
    pose = torch.stack([torch.zeros_like(neck), neck, jaw, eyes[:, :3], eyes[:, 3:]], 1)
    rotations = axis_angle_to_matrix(pose)
    rest = rest + torch.einsum("bc,vkc->bvk", pose_features(rotations), head.pose_basis)
    last_row = rest.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(batch, 5, 1, 4)
    transforms = torch.cat([joint_transforms(rotations, joints), last_row], -2)  # [B, 5, 4, 4]
    blended = torch.einsum("vj,bjkl->bvkl", head.skin_weights, transforms)
    homogeneous = torch.cat([rest, torch.ones_like(rest[..., :1])], -1)
    return torch.einsum("bvkl,bvl->bvk", blended, homogeneous)[..., :3]


def _least_seconds_possible(head: HeadModel, batch: int, flops_per_second: float, bytes_per_second: float) -> float:
    """The bases read once and the vertices written once, or the bases' products at matmul speed: the longer."""
    bases = (head.shape_basis, head.expression_basis, head.pose_basis)
    values = sum(basis.numel() for basis in bases)
    # One identity serves the whole batch; expression and pose are each frame's.
    products = head.shape_basis.numel() + batch * (head.expression_basis.numel() + head.pose_basis.numel())
    moved = 4.0 * (values + batch * head.template.numel())
    return max(2.0 * products / flops_per_second, moved / bytes_per_second)
