# SPDX-License-Identifier: Apache-2.0
"""The head model: arrays with FLAME's parameter layout, whoever made them, and what is computed from them.

Head space: metres, Y up, Z out of the face, X to the subject's left.  Source: Li et al. 2017, FLAME, eq. 1-4.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from dubplate_backend.head.skinning import axis_angle_to_matrix, pose_features, skin
from dubplate_shared.errors import HeadModelMismatch
from dubplate_shared.rig import Rig

SHAPE_COMPONENTS = 300
EXPRESSION_COMPONENTS = 100


@dataclass(frozen=True)
class HeadModel:
    """A morphable head. Components have unit standard deviation; joints: root, neck, jaw, left eye, right eye.

    kind: "standin", "flame2020", ...     sha256: identity; codes and vertices of another head model are refused by it.
    template [V, 3], shape_basis [V, 3, 300], expression_basis [V, 3, 100], pose_basis [V, 3, 36]: metres.
    joint_regressor [5, V].   joints_follow_expression: FLAME regresses joints from the expressive head, the stand-in
        from the neutral one.
    skin_weights [V, 5], rows sum to 1.  faces [F, 3] int64, counter-clockwise from outside.
    uv [VT, 2] in 0..1, v up.  faces_uv [F, 3] int64.
    landmark_faces [468] int64, landmark_barycentrics [468, 3]: MediaPipe's face points, in its order.
    masks: name -> [V] bool.   eyelid_basis [V, 3, 2]: metres, left and right lid closed at 1.
    controls: name -> (expression [100], jaw [3]) of the control at 1.
    """

    kind: str
    sha256: str
    template: Tensor
    shape_basis: Tensor
    expression_basis: Tensor
    pose_basis: Tensor
    joint_regressor: Tensor
    skin_weights: Tensor
    faces: Tensor
    uv: Tensor
    faces_uv: Tensor
    landmark_faces: Tensor
    landmark_barycentrics: Tensor
    masks: dict[str, Tensor]
    eyelid_basis: Tensor
    controls: dict[str, tuple[Tensor, Tensor]]
    joints_follow_expression: bool = False

    @property
    def vertex_count(self) -> int:
        """V."""
        return self.template.shape[0]

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "HeadModel":
        """The same head on another device or in another float type; indices and masks keep theirs."""

        def move(value: object) -> object:
            if isinstance(value, Tensor):
                return value.to(device, dtype) if value.is_floating_point() else value.to(device)
            if isinstance(value, dict):
                return {name: move(item) for name, item in value.items()}
            if isinstance(value, tuple):
                return tuple(move(item) for item in value)
            return value

        return replace(self, **{field.name: move(getattr(self, field.name)) for field in fields(self)})

    def double(self) -> "HeadModel":
        """The same head in float64: the reference."""
        return self.to(dtype=torch.float64)

    def shaped(
        self, shape: Tensor, expression: Tensor | None = None, eyelids: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The head at rest with identity, expression and lids applied.

        shape: [B, 300] or [300].  expression: [B, 100] or [100].  eyelids: [B, 2] or [2], 1 = closed.
        Returns vertices [B, V, 3] and joints [B, 5, 3], metres; B = 1 where all are unbatched.
        """
        identity = self.template + _linear(self.shape_basis, _batched(shape))  # [B, V, 3]
        joints = torch.einsum("jv,bvk->bjk", self.joint_regressor, identity)  # [B, 5, 3]
        vertices = identity
        if expression is not None:
            offset = _linear(self.expression_basis, _batched(expression))  # [B, V, 3]
            vertices = vertices + offset
            if self.joints_follow_expression:
                joints = joints + torch.einsum("jv,bvk->bjk", self.joint_regressor, offset)
        if eyelids is not None:
            vertices = vertices + _linear(self.eyelid_basis, _batched(eyelids))
        return vertices, joints.expand(vertices.shape[0], -1, -1)

    def vertices(
        self,
        shape: Tensor,
        expression: Tensor,
        jaw: Tensor,
        neck: Tensor | None = None,
        eyes: Tensor | None = None,
        eyelids: Tensor | None = None,
    ) -> Tensor:
        """The posed head in head space (its root not turned), differentiable in everything.

        shape: [B, 300] or [300].  expression: [B, 100].  jaw, neck: [B, 3] axis-angle, radians; jaw +x opens.
        eyes: [B, 6] left then right.  eyelids: [B, 2].  A batch of 1 is spread over the others.
        Returns [B, V, 3] metres.
        """
        rest, joints = self.shaped(shape, expression, eyelids)
        jaw = _batched(jaw)
        neck = torch.zeros_like(jaw) if neck is None else _batched(neck)
        eyes = torch.zeros_like(jaw).repeat(1, 2) if eyes is None else _batched(eyes)
        batch = max(rest.shape[0], jaw.shape[0], neck.shape[0], eyes.shape[0])
        turns = (torch.zeros_like(neck[:, :3]), neck, jaw, eyes[:, :3], eyes[:, 3:])
        pose = torch.stack([turn.expand(batch, 3) for turn in turns], 1)  # [B, 5, 3]
        rotations = axis_angle_to_matrix(pose)  # [B, 5, 3, 3]
        rest = rest + _linear(self.pose_basis, pose_features(rotations))  # [B, V, 3]
        return skin(rest, joints.expand(batch, -1, -1), rotations, self.skin_weights)

    def landmarks(self, vertices: Tensor) -> Tensor:
        """MediaPipe's 468 face points on a posed head.   vertices: [B, V, 3].   Returns [B, 468, 3]."""
        corners = vertices[:, self.faces[self.landmark_faces]]  # [B, 468, 3, 3]
        return (corners * self.landmark_barycentrics[..., None]).sum(-2)

    def require(self, sha256: str, what: str) -> None:
        """Refuse data of another head model.  Raises HeadModelMismatch."""
        if sha256 != self.sha256:
            raise HeadModelMismatch(
                f"{what} was made on another head model ({sha256[:12]}) than {self.kind} ({self.sha256[:12]}).",
                hint="Load the head that it was made on with --head or $DUBPLATE_HEAD, or make it again on this one.",
            )

    def rig(self, shape: Tensor) -> Rig:
        """What Blender needs of this head with one person's shape applied.   shape: [300]."""
        vertices, joints = self.shaped(shape)
        joint_expression = torch.einsum("jv,vkc->jkc", self.joint_regressor, self.expression_basis)  # [5, 3, 100]
        if not self.joints_follow_expression:
            joint_expression = torch.zeros_like(joint_expression)
        expressions = torch.stack([expression for expression, _ in self.controls.values()])  # [C, 100]
        jaws = torch.stack([jaw for _, jaw in self.controls.values()])  # [C, 3]
        return Rig(
            kind=self.kind,
            sha256=self.sha256,
            vertices=_float32(vertices[0]),
            expression_basis=_float32(self.expression_basis),
            pose_basis=_float32(self.pose_basis),
            joints=_float32(joints[0]),
            joint_expression=_float32(joint_expression),
            skin_weights=_float32(self.skin_weights),
            faces=_int32(self.faces),
            uv=_float32(self.uv),
            faces_uv=_int32(self.faces_uv),
            masks={name: mask.cpu().numpy() for name, mask in self.masks.items()},
            landmark_faces=_int32(self.landmark_faces),
            landmark_barycentrics=_float32(self.landmark_barycentrics),
            control_names=tuple(self.controls),
            control_expression=_float32(expressions),
            control_jaw=_float32(jaws),
        )


def _batched(code: Tensor) -> Tensor:
    """[C] or [B, C] as [B, C]."""
    return code if code.ndim == 2 else code[None]


def _linear(basis: Tensor, code: Tensor) -> Tensor:
    """Offsets of a linear basis.   basis: [V, 3, C].   code: [B, C].   Returns [B, V, 3]."""
    return (code @ basis.flatten(0, 1).T).unflatten(1, (-1, 3))


def _float32(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().astype(np.float32)


def _int32(tensor: Tensor) -> np.ndarray:
    return tensor.cpu().numpy().astype(np.int32)
