# SPDX-License-Identifier: Apache-2.0
"""Jaw and lip curves put on a head: from degrees and shares to expression and jaw codes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from dubplate_backend.head.model import HeadModel
from dubplate_backend.head.skinning import axis_angle_to_matrix, pose_features, skin
from dubplate_shared.landmarks import INNER_LIP_PAIRS
from dubplate_shared.shot import Shot

_JAW = 2  # of the joints
_CORNER_PAIRS = 2  # pairs of lip points at either corner, which hardly part
_RESTING_SHARE = 0.08  # of a shot's frames: those whose lips are nearest to closed
_KEEP_UPPER = 1.0  # weight of keeping what the upper face did, per vertex, beside 1 for resting the lower face
_RIDGE_M2 = 1e-6  # (1 mm)^2 per unit of expression: components that move nothing stay as tracked
_LEAST_CLOSING_M = 1e-4  # a closing direction that moves the lips by less than this closes nothing
_CLOSING_LIMIT = 3.0  # how far past its full pose lips_close may go to meet over a wide-open jaw


class LipGauge:
    """Measures how far the inner lips of one person are apart, posing only the vertices that it takes."""

    def __init__(self, head: HeadModel, shape: np.ndarray) -> None:
        code = torch.as_tensor(np.array(shape), dtype=torch.float32)
        vertices, joints = head.shaped(code)
        pairs = torch.tensor(INNER_LIP_PAIRS[_CORNER_PAIRS:-_CORNER_PAIRS]).T.flatten()  # upper, then lower points
        self._points, corners = head.faces[head.landmark_faces[pairs]].unique(return_inverse=True)  # [N], [2P, 3]
        self._corners, self._barycentrics = corners, head.landmark_barycentrics[pairs, :, None]
        self._rest, self._joints = vertices[:, self._points], joints  # [1, N, 3], [1, 5, 3]
        self._expression_basis = head.expression_basis[self._points].flatten(0, 1).T  # [100, 3N]
        self._pose_basis = head.pose_basis[self._points].flatten(0, 1).T  # [36, 3N]
        self._weights = head.skin_weights[self._points]
        self._joint_expression = torch.from_numpy(head.rig(code).joint_expression)  # [5, 3, 100]
        self._direction, self._turn = (np.array(part, np.float32) for part in head.controls["lips_close"])

    def gap_m(self, expression: np.ndarray, jaw: np.ndarray) -> np.ndarray:
        """(T,) signed distance over the lips' middle [m]: negative where they overlap.

        expression: (T, 100).  jaw: (T, 3).
        """
        codes = torch.as_tensor(expression, dtype=torch.float32)
        pose = torch.zeros(len(jaw), 5, 3)
        pose[:, _JAW] = torch.as_tensor(jaw, dtype=torch.float32)
        rotations = axis_angle_to_matrix(pose)  # [T, 5, 3, 3]
        moved = (codes @ self._expression_basis + pose_features(rotations) @ self._pose_basis).unflatten(1, (-1, 3))
        joints = self._joints + torch.einsum("jkc,tc->tjk", self._joint_expression, codes)
        points = skin(self._rest + moved, joints, rotations, self._weights)  # [T, N, 3]
        heights = (points[:, self._corners] * self._barycentrics).sum(2)[..., 1]  # [T, 2P]
        upper, lower = heights.chunk(2, dim=1)
        return (upper - lower).mean(dim=1).double().numpy()

    def closing(self, expression: np.ndarray, jaw: np.ndarray) -> np.ndarray:
        """(T,) value of `lips_close` at which the lips of each frame just meet; negative where they overlap."""
        gap = self.gap_m(expression, jaw)
        moved = np.maximum(gap - self.gap_m(expression + self._direction, jaw + self._turn), _LEAST_CLOSING_M)
        return np.clip(gap / moved, -1.0, _CLOSING_LIMIT)


def mouth_on_head(
    head: HeadModel,
    shape: np.ndarray,
    base: np.ndarray,
    jaw_deg: np.ndarray,
    controls: Mapping[str, np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Codes of T frames.

    shape: (300,).  base: (T, 100) expression of the rest of the face.  jaw_deg: (T,) opening.
    controls: name -> (T,).  `lips_close` is the share of the gap that closes: at 1 the lips just meet, whatever the
    jaw does; the others are the controls' own units.  Returns expression (T, 100) and jaw (T, 3), float32.
    """
    expression = base.astype(np.float32).copy()  # [T, 100]
    jaw = np.zeros((len(base), 3), np.float32)  # [T, 3]
    jaw[:, 0] = np.radians(jaw_deg)
    for name, values in controls.items():
        if name != "lips_close":
            expression, jaw = _add(head, name, values, expression, jaw)
    if "lips_close" in controls:
        needed = LipGauge(head, shape).closing(expression, jaw)
        expression, jaw = _add(head, "lips_close", controls["lips_close"] * needed, expression, jaw)
    return expression, jaw


def lips_apart(
    head: HeadModel, shape: np.ndarray, expression: np.ndarray, jaw: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The codes (T, 100) and (T, 3) of `mouth_on_head` with lips that overlap brought to where they meet."""
    overlap = np.minimum(LipGauge(head, shape).closing(expression, jaw), 0)
    return _add(head, "lips_close", overlap, expression, jaw)


def resting_face(head: HeadModel, shot: Shot) -> np.ndarray:
    """(T, 100): what was filmed, with the mouth brought to rest and the upper face left as it was.

    The actor's own resting mouth is taken from the frames whose lips are nearest to closed; the lower face is drawn
    to it and the upper face held to the track, both as vertices, in one linear least-squares solve for all frames.
    """
    track = shot.track
    tracked = track.expression.astype(np.float64)  # [T, 100]
    rest = resting_expression(head, shot)  # [100]
    lower, upper = _normal_matrix(head, "redraw", True), _normal_matrix(head, "redraw", False)  # [100, 100]
    ridge = _RIDGE_M2 * np.eye(len(rest))
    upper = _KEEP_UPPER * upper + ridge
    face = np.linalg.solve(lower + upper, (lower @ rest)[:, None] + upper @ tracked.T).T  # [T, 100]
    still = np.zeros((len(face), 3), np.float32)
    return _add(head, "lips_close", LipGauge(head, track.shape).closing(face, still), face, still)[0]


def resting_expression(head: HeadModel, shot: Shot) -> np.ndarray:
    """[100]: the actor's face at rest, of the frames whose lips are nearest to closed."""
    return np.median(shot.track.expression[resting_frames(head, shot)], axis=0).astype(np.float64)


def resting_frames(head: HeadModel, shot: Shot) -> np.ndarray:
    """Indices of the frames whose lips are nearest to closed."""
    track = shot.track
    gap = LipGauge(head, track.shape).gap_m(track.expression, track.jaw) + 1e3 * (track.confidence <= 0)
    count = max(3, round(_RESTING_SHARE * len(gap)))
    return np.argsort(gap, kind="stable")[:count]


def mouth_alone(head: HeadModel, offsets: np.ndarray) -> np.ndarray:
    """(T, 100): of offsets of expression, what moves the lower face and leaves the upper face where it is."""
    lower, upper = _normal_matrix(head, "redraw", True), _normal_matrix(head, "redraw", False)  # [100, 100]
    ridge = _RIDGE_M2 * np.eye(offsets.shape[1])
    return np.linalg.solve(lower + _KEEP_UPPER * upper + ridge, lower @ offsets.T.astype(np.float64)).T


def _normal_matrix(head: HeadModel, mask: str, inside: bool) -> np.ndarray:
    """(100, 100): B^T B of the face's vertices inside or outside a mask, B the expression basis."""
    chosen = head.masks["face"] & (head.masks[mask] == inside)
    basis = head.expression_basis[chosen].reshape(-1, head.expression_basis.shape[-1]).double()  # [3N, 100]
    return (basis.T @ basis).numpy()


def _add(
    head: HeadModel, name: str, values: np.ndarray, expression: np.ndarray, jaw: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    direction, turn = (np.asarray(part, np.float32) for part in head.controls[name])  # [100], [3]
    column = np.asarray(values, np.float32)[:, None]  # [T, 1]
    return (expression + column * direction).astype(np.float32), (jaw + column * turn).astype(np.float32)
