# SPDX-License-Identifier: Apache-2.0
"""Solves the semantic controls on a head: each a direction in expression and jaw space that meets landmark goals."""

import numpy as np
import torch
from torch import Tensor

from dubplate_backend.head.goals import CLOSED_JAW_RAD, GOALS, JAW_OPEN_RAD, Goal, displacements, lips_closing
from dubplate_backend.head.model import EXPRESSION_COMPONENTS, SHAPE_COMPONENTS, HeadModel
from dubplate_backend.head.standin.topology import face_triangles, mirror_pairs
from dubplate_shared.controls import CONTROL_NAMES

JAW_JOINT = 2
EFFORT_MM = 0.35
"""Landmark error that is worth one standard deviation of a component: keeps solutions natural."""
MM = 1e-3
BLINK_MARGINS = {
    "blink_L": ((386, 374), (385, 380), (387, 373), (384, 381), (388, 390), (398, 382), (466, 249)),
    "blink_R": ((159, 145), (158, 153), (160, 144), (157, 154), (161, 163), (173, 155), (246, 7)),
}
"""Upper and lower lid points that meet in a blink."""


def solve_controls(head: HeadModel) -> dict[str, tuple[Tensor, Tensor]]:
    """All controls of dubplate_shared.controls on any head: name -> (expression [100], jaw [3]) at value 1.

    Ridge regression of each goal's landmark displacements on those of the expression components.
    """
    landmarks = head.landmarks(head.template[None])[0].double()  # [468, 3]
    directions = landmark_directions(head)  # [468, 3, 100]
    pairs = mirror_pairs(face_triangles())
    goals = {goal.name: goal for goal in GOALS}
    controls = {}
    for name in CONTROL_NAMES:
        expression, jaw = torch.zeros(EXPRESSION_COMPONENTS), torch.zeros(3)
        if name == "jaw_open":
            jaw[0] = JAW_OPEN_RAD
        else:
            if name in BLINK_MARGINS:
                index, moves = _blink(name, landmarks)
            elif name == "lips_close":
                index, moves = _lips_closing(head, landmarks, pairs)
            else:
                index, moves = _goal(goals[name], pairs)
            expression = least_effort(directions[index], moves).float()
        controls[name] = (expression, jaw)
    return controls


def landmark_directions(head: HeadModel) -> Tensor:
    """What each expression component does to the landmarks at rest: [468, 3, 100] metres, float64."""
    corners = head.expression_basis[head.faces[head.landmark_faces]].double()  # [468, 3, 3, 100]
    return (corners * head.landmark_barycentrics.double()[..., None, None]).sum(1)


def _goal(goal: Goal, pairs: np.ndarray) -> tuple[Tensor, Tensor]:
    index, moves = displacements(goal, pairs)
    return torch.from_numpy(index), torch.from_numpy(moves) * MM


def _lips_closing(head: HeadModel, landmarks: Tensor, pairs: np.ndarray) -> tuple[Tensor, Tensor]:
    jaw = torch.tensor([[CLOSED_JAW_RAD, 0, 0]], dtype=head.template.dtype)
    nothing = (head.template.new_zeros(SHAPE_COMPONENTS), head.template.new_zeros(EXPRESSION_COMPONENTS))
    opened = head.landmarks(head.vertices(*nothing, jaw))[0].double()
    share = head.skin_weights[head.faces[head.landmark_faces], JAW_JOINT]  # [468, 3]
    share = (share * head.landmark_barycentrics).sum(-1).double()
    index, moves = lips_closing(landmarks.numpy(), opened.numpy(), share.numpy(), pairs)
    return torch.from_numpy(index), torch.from_numpy(moves)


def _blink(name: str, landmarks: Tensor) -> tuple[Tensor, Tensor]:
    """The upper lid's points onto the lower's, all else of the eyes and brows still."""
    index = [point for pairs in BLINK_MARGINS.values() for pair in pairs for point in pair]
    moves = torch.zeros(len(landmarks), 3, dtype=torch.float64)
    for upper, lower in BLINK_MARGINS[name]:
        moves[upper, 1] = landmarks[lower, 1] - landmarks[upper, 1]
    return torch.tensor(index), moves[index]


def least_effort(directions: Tensor, moves: Tensor) -> Tensor:
    """The expression that moves landmarks as asked: least squares with an effort term.

    directions: [N, 3, C] float64, of landmark_directions.   moves: [N, 3] metres.   Returns [C].
    """
    matrix = directions.flatten(0, 1) / (EFFORT_MM * MM)  # [3N, C]
    target = moves.flatten() / (EFFORT_MM * MM)
    normal = matrix.T @ matrix + torch.eye(matrix.shape[1], dtype=matrix.dtype)
    return torch.linalg.solve(normal, matrix.T @ target)
