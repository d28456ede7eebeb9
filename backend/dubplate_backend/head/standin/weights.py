# SPDX-License-Identifier: Apache-2.0
"""Joints, skin weights and pose correctives of the stand-in."""

import numpy as np

from dubplate_backend.head.standin.face import Skin
from dubplate_backend.head.standin.surface import Points, least_bending
from dubplate_backend.head.standin.topology import POINTS

NECK, JAW, LEFT_EYE, RIGHT_EYE = 1, 2, 3, 4

# How far the jaw takes each landmark along, of the right half and the midline (the left half is its mirror).
# Lip line: the corner shares, and the share parts quickly to 0 above and 1 below, which rounds the opening.
JAW_SHARE: tuple[tuple[float, tuple[int, ...]], ...] = (
    (1.0, (14, 15, 16, 17, 18, 200, 199, 175, 152, 148, 176, 83, 201, 208, 171, 140)),
    (0.99, (87, 86, 85, 84, 182, 194, 32, 149, 150, 211, 170, 169)),
    (0.95, (178, 179, 180, 181, 204, 106, 136, 210, 135)),
    (0.85, (88, 89, 90, 91, 202, 172, 214, 138)),
    (0.68, (95, 96, 77, 146, 43, 212, 192, 58)),
    (0.45, (78, 62, 76, 61, 57, 213)),
    (0.42, (216, 132, 177, 147)),
    (0.28, (186, 207, 187, 215)),
    (0.20, (191, 183, 184, 185, 206, 205)),
    (0.13, (93, 137, 123)),
    (0.07, (80, 42, 74, 40, 92, 50)),
    (0.015, (81, 41, 73, 39, 165)),
    (0.0, (13, 12, 11, 0, 164, 82, 38, 72, 37, 167, 203, 98, 97, 2, 129, 36, 101, 118, 117, 116)),
    (0.0, (234, 127, 227, 34, 33, 133, 6, 1, 10, 8, 162, 21, 54, 103, 109, 119, 120, 126, 111, 143)),
)
JAW_JOINT_MM = np.array([0.0, 5.0, -64.0])
"""Middle of the axis through the two jaw joints: about 12 mm before and 4 mm below the tragion."""
NECK_JOINT_BEHIND_MM, NECK_JOINT_BELOW_MM = 78.0, 4.0
"""Of the neck's joint behind and below the chin: amid the cervical spine."""
NECK_BLEND_MM = (-20.0, -88.0)
"""Height relative to the chin where the neck's turn is whole, and where it has died away."""

CORNER_INWARD_MM = 7.0
"""Of the mouth's corners per sine of the jaw's turn."""
GAZE_LID_SHARE = 0.9
"""Of full closure per sine of the gaze's turn: the lid keeps its place on the iris."""


def joint_places(skin: Skin, chin: Points) -> Points:
    """Rest places of root, neck, jaw, left eye, right eye: [5, 3] millimetres."""
    rim = skin.points[skin.outer_count - len(skin.rim) : skin.outer_count]
    neck = np.array([0, chin[1] - NECK_JOINT_BELOW_MM, chin[2] - NECK_JOINT_BEHIND_MM - 22])
    return np.stack([rim.mean(0) * [0, 1, 1], neck, JAW_JOINT_MM, *skin.eye_centres])


def jaw_share(skin: Skin, pairs: np.ndarray) -> np.ndarray:
    """How far the jaw takes each vertex of the outer skin along, 0..1, smooth but for the lip line.  [V]."""
    share = np.full(POINTS, np.nan)
    for value, landmarks in JAW_SHARE:
        share[list(landmarks)] = value
    known = ~np.isnan(share)
    share[pairs[known]] = share[known]
    hold = np.zeros(skin.outer_count)
    values = np.zeros(skin.outer_count)
    known = np.flatnonzero(~np.isnan(share))
    values[known] = share[known]
    hold[known] = 0.6
    lips = [*skin.mouth[0], *skin.mouth[1]]
    hold[[i for i in lips if i < POINTS]] = np.inf
    hold[skin.face_count :] = 0.0005
    under = skin.points[skin.face_count : skin.outer_count]
    values[skin.face_count :] = _under_chin(under, skin.points[152])
    hold[skin.outer_count - 6 * len(skin.rim) : skin.outer_count] = np.inf
    outer = skin.triangles[(skin.triangles < skin.outer_count).all(1)]
    return np.clip(least_bending(outer, values[:, None], hold)[:, 0], 0, 1)


def _under_chin(points: Points, chin: Points) -> np.ndarray:
    """A first guess below the jaw: all at the chin, nothing at the throat."""
    back = np.clip((points[:, 2] - (chin[2] - 52)) / 45, 0, 1)
    below = np.clip((points[:, 1] - (chin[1] - 24)) / 22, 0, 1) * np.clip((chin[1] + 46 - points[:, 1]) / 30, 0, 1)
    return back * below


def skin_weights(points: Points, jaw: np.ndarray, eyes: tuple[np.ndarray, np.ndarray], chin: Points) -> np.ndarray:
    """Rows that sum to 1.   jaw [V] 0..1; eyes: [V] bool of each eyeball.   Returns [V, 5]."""
    whole, none = NECK_BLEND_MM
    # The line along which the neck's turn dies leans: it lies higher at the nape than at the throat.
    height = points[:, 1] - chin[1] - 0.35 * (chin[2] - 60 - points[:, 2])
    turn = np.clip((height - none) / (whole - none), 0, 1)
    turn = turn * turn * (3 - 2 * turn)
    weights = np.zeros((len(points), 5))
    weights[:, JAW] = jaw * turn
    weights[:, NECK] = turn * (1 - jaw)
    for joint, eye in zip((LEFT_EYE, RIGHT_EYE), eyes, strict=True):
        weights[eye] = 0
        weights[eye, joint] = 1
    weights[:, 0] = 1 - weights[:, 1:].sum(1)
    return weights


def regressor_row(points: Points, among: np.ndarray, joint: Points) -> np.ndarray:
    """Weights over some vertices that sum to 1 and give the joint exactly, of least norm.

    points: [V, 3].   among: [V] bool.   joint: [3].   Returns [V].
    """
    chosen = np.flatnonzero(among)
    centred = (points[chosen] - joint) / 100
    conditions = np.concatenate([np.ones((1, len(chosen))), centred.T])  # [4, N]
    row = np.zeros(len(points))
    row[chosen] = np.linalg.pinv(conditions) @ np.array([1.0, 0, 0, 0])
    return row


def mouth_open(points: Points, jaw: np.ndarray, angle: float) -> Points:
    """Points with the jaw turned open, by the jaw's share alone.   [V, 3], [V], radians -> [V, 3]."""
    s, c = np.sin(angle), np.cos(angle)
    turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    turned = (points - JAW_JOINT_MM) @ turn.T + JAW_JOINT_MM
    return points + jaw[:, None] * (turned - points)


def pose_correctives(points: Points, jaw: np.ndarray, lids: np.ndarray) -> np.ndarray:
    """What plain skinning gets wrong, linear in R - I of neck, jaw and eyes: [V, 3, 36] millimetres.

    An opening jaw draws the mouth's corners and cheeks inward; lids follow a gaze up or down.
    Both go with the sine of a turn about x, which stands in R at (2, 1) and, negative, at (1, 2).
    """
    basis = np.zeros((len(points), 3, 36))
    corner = np.array([26.0, -38.0, 0.0])
    offset = np.stack([np.abs(points[:, 0]), points[:, 1], points[:, 2]], 1) - corner
    near = np.exp(-((offset / [20, 26, 24]) ** 2).sum(1)) * (4 * jaw * (1 - jaw)) ** 0.5
    inward = np.stack([-np.sign(points[:, 0]) * CORNER_INWARD_MM * near, 0 * near, 0 * near], 1)
    _with_sine(basis, JAW, inward)
    for joint, lid in ((LEFT_EYE, 0), (RIGHT_EYE, 1)):
        _with_sine(basis, joint, GAZE_LID_SHARE * lids[..., lid])
    return basis


def _with_sine(basis: np.ndarray, joint: int, field: np.ndarray) -> None:
    start = 9 * (joint - 1)
    basis[..., start + 7] += field / 2
    basis[..., start + 5] -= field / 2
