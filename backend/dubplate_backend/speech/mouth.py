# SPDX-License-Identifier: Apache-2.0
"""Jaw and lip curves put on a head: from degrees and shares to expression and jaw codes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from dubplate_backend.head.model import HeadModel
from dubplate_shared.landmarks import INNER_LIP_PAIRS
from dubplate_shared.shot import Shot

_BATCH = 64  # frames posed at once
_RESTING_SHARE = 0.08  # of a shot's frames: those whose lips are nearest to closed
_KEEP_UPPER = 1.0  # weight of keeping what the upper face did, per vertex, beside 1 for resting the lower face
_RIDGE_M2 = 1e-6  # (1 mm)^2 per unit of expression: components that move nothing stay as tracked
_LEAST_CLOSING_M = 1e-4  # a closing direction that moves the lips by less than this closes nothing
_CLOSING_LIMIT = 3.0  # how far past its full pose lips_close may go to meet over a wide-open jaw


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
        share = controls["lips_close"]
        expression, jaw = _add(head, "lips_close", share * closing(head, shape, expression, jaw), expression, jaw)
    return expression, jaw


def closing(head: HeadModel, shape: np.ndarray, expression: np.ndarray, jaw: np.ndarray) -> np.ndarray:
    """(T,) value of `lips_close` at which the lips of each frame just meet; negative where they overlap already."""
    gap = lip_gap_m(head, shape, expression, jaw)
    closed = lip_gap_m(head, shape, *_add(head, "lips_close", np.ones(len(jaw)), expression, jaw))
    moved = np.maximum(gap - closed, _LEAST_CLOSING_M)
    return np.clip(gap / moved, -1.0, _CLOSING_LIMIT)


def lip_gap_m(head: HeadModel, shape: np.ndarray, expression: np.ndarray, jaw: np.ndarray) -> np.ndarray:
    """(T,) signed distance of the inner lips over their middle [m]: negative where they overlap.

    expression: (T, 100).  jaw: (T, 3).
    """
    upper, lower = (list(side) for side in zip(*INNER_LIP_PAIRS[2:-2], strict=True))
    gaps = []
    for start in range(0, len(jaw), _BATCH):
        part = slice(start, start + _BATCH)
        count = len(jaw[part])
        vertices = head.vertices(
            torch.as_tensor(shape, dtype=torch.float32),
            torch.as_tensor(expression[part], dtype=torch.float32),
            torch.as_tensor(jaw[part], dtype=torch.float32),
            torch.zeros(count, 3),
            torch.zeros(count, 6),
            None,
        )  # [B, V, 3]
        points = head.landmarks(vertices)  # [B, 468, 3]
        gaps.append((points[:, upper, 1] - points[:, lower, 1]).mean(dim=1).numpy())
    return np.concatenate(gaps) if gaps else np.zeros(0)


def resting_face(head: HeadModel, shot: Shot) -> np.ndarray:
    """(T, 100): what was filmed, with the mouth brought to rest and the upper face left as it was.

    The actor's own resting mouth is taken from the frames whose lips are nearest to closed; the lower face is drawn
    to it and the upper face held to the track, both as vertices, in one linear least-squares solve for all frames.
    """
    track = shot.track
    tracked = track.expression.astype(np.float64)  # [T, 100]
    rest = _resting_expression(head, shot)  # [100]
    lower, upper = _normal_matrix(head, "redraw", True), _normal_matrix(head, "redraw", False)  # [100, 100]
    ridge = _RIDGE_M2 * np.eye(len(rest))
    upper = _KEEP_UPPER * upper + ridge
    face = np.linalg.solve(lower + upper, (lower @ rest)[:, None] + upper @ tracked.T).T  # [T, 100]
    still = np.zeros((len(face), 3), np.float32)
    return _add(head, "lips_close", closing(head, track.shape, face, still), face, still)[0]


def _resting_expression(head: HeadModel, shot: Shot) -> np.ndarray:
    track = shot.track
    gap = lip_gap_m(head, track.shape, track.expression, track.jaw) + 1e3 * (track.confidence <= 0)
    count = max(3, round(_RESTING_SHARE * len(gap)))
    return np.median(track.expression[np.argsort(gap, kind="stable")[:count]], axis=0).astype(np.float64)


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
