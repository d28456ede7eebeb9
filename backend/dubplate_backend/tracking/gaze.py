# SPDX-License-Identifier: Apache-2.0
"""Where the eyes look: the iris centres that FaceMesh sees, carried back onto the eyeballs.

Both eyes get the same direction, the mean of the two: at a conversation's distance they differ by less than the
landmarks' noise, and what differs is mostly where the head model puts its eyeballs.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d

from dubplate_backend.head.model import HeadModel
from dubplate_backend.tracking.faces import Faces
from dubplate_backend.tracking.fit import Fit, in_between
from dubplate_backend.tracking.lens import Lens
from dubplate_backend.tracking.surface_head import SurfaceHead
from dubplate_shared.landmarks import (
    LEFT_EYE,
    LEFT_EYE_INNER,
    LEFT_EYE_OUTER,
    RIGHT_EYE,
    RIGHT_EYE_INNER,
    RIGHT_EYE_OUTER,
)
from dubplate_shared.rotations import matrix_from_axis_angle

NECK_JOINT, LEFT_EYE_JOINT, RIGHT_EYE_JOINT = 1, 3, 4
LEFT_IRIS_CENTRE, RIGHT_IRIS_CENTRE = 473, 468
LEFT_LIDS, RIGHT_LIDS = (386, 374), (159, 145)  # middle of the upper and of the lower lid
# The iris lies 3.6 mm behind the cornea, the centre of rotation 13.5 mm; the eyeball is 12 mm in radius: 9.9 over 12
# (schematic eye; Atchison & Smith 2000, Optics of the Human Eye).
IRIS_DEPTH = 0.82
# An eye whose lids are nearer than this share of its width is closed: its iris is guessed.
OPEN_SHARE = 0.12
LARGEST_ANGLE_RAD = np.deg2rad(35)  # an eye turns no further without the head
SMOOTHED_S = 0.03  # a saccade takes twice as long


def eye_rotations(head: HeadModel, fit: Fit, faces: Faces, times: np.ndarray, lens: Lens) -> np.ndarray:
    """Axis-angle of left and right eye, (T, 6) radians.

    Where both eyes are closed, and where there is no face, it is what lies between.
    """
    pixels = lens.ideal(faces.landmarks_px.astype(np.float64))
    gaze = np.zeros((len(pixels), 3))
    for joint, iris, lids, corners, ring in (
        (LEFT_EYE_JOINT, LEFT_IRIS_CENTRE, LEFT_LIDS, (LEFT_EYE_INNER, LEFT_EYE_OUTER), LEFT_EYE),
        (RIGHT_EYE_JOINT, RIGHT_IRIS_CENTRE, RIGHT_LIDS, (RIGHT_EYE_INNER, RIGHT_EYE_OUTER), RIGHT_EYE),
    ):
        eyeball, neck, radius = eyeball_of(head, fit.shape, joint)
        width = np.linalg.norm(pixels[:, corners[0]] - pixels[:, corners[1]], axis=-1)
        opening = np.linalg.norm(pixels[:, lids[0]] - pixels[:, lids[1]], axis=-1)
        is_open = faces.seen & (opening > OPEN_SHARE * np.maximum(width, 1e-6))
        # FaceMesh misplaces an iris as it does the lids around it: by as much the head's own lids are elsewhere.
        aside = own_lids(head, fit, ring) - pixels[:, ring].mean(axis=1)
        direction = towards(pixels[:, iris] + aside, fit, eyeball, neck, radius * IRIS_DEPTH)
        gaze += np.where(is_open[:, None], direction, 0.0)
    known = np.linalg.norm(gaze, axis=1) > 0
    if not known.any():
        return np.zeros((len(pixels), 6))
    angles = in_between(turn_to(gaze[known]), times[known], times)
    if len(times) > 1:
        angles = gaussian_filter1d(angles, SMOOTHED_S / np.median(np.diff(times)), axis=0, mode="nearest")
    return np.tile(angles, 2)


def own_lids(head: HeadModel, fit: Fit, ring: tuple[int, ...]) -> np.ndarray:
    """(T, 2) px of the ideal picture: the middle of the head's own landmarks around an eye."""
    around = list(ring)
    reduced = SurfaceHead.of(head, head.landmark_faces[around], head.landmark_barycentrics[around])
    shaped = reduced.shaped(torch.from_numpy(fit.shape).double())
    motion = (torch.from_numpy(np.asarray(of, np.float64)) for of in (fit.expression, fit.eyelids, fit.jaw, fit.neck))
    points = shaped.points(torch.zeros(0, dtype=torch.float64), *motion).numpy()
    camera = np.einsum("tij,tnj->tni", fit.rotation, points) + fit.translation[:, None]
    placed = camera[..., :2] / camera[..., 2:] * fit.intrinsics[:, None, :1] + fit.intrinsics[:, None, 2:]
    return placed.mean(axis=1)


def eyeball_of(head: HeadModel, shape: np.ndarray, joint: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Centre of an eyeball (3,) and the neck's joint (3,) in head space, and the eyeball's radius, metres."""
    vertices, joints = head.shaped(torch.from_numpy(shape).to(head.template.dtype))
    centre, neck = joints[0, joint].double().numpy(), joints[0, NECK_JOINT].double().numpy()
    ball = vertices[0, head.skin_weights[:, joint] > 0.5].double().numpy()
    return centre, neck, float(np.median(np.linalg.norm(ball - centre, axis=1)))


def towards(pixels: np.ndarray, fit: Fit, eyeball: np.ndarray, neck: np.ndarray, radius: float) -> np.ndarray:
    """Unit directions (T, 3), in the axes that the neck turns, from the eyeball to where the rays through `pixels`
    (T, 2) of the ideal picture meet it first; rays that miss it count where they pass nearest."""
    unit = (pixels - fit.intrinsics[:, 2:]) / fit.intrinsics[:, :1]
    ray = np.concatenate([unit, np.ones((len(pixels), 1))], axis=1)
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    by_neck = matrix_from_axis_angle(fit.neck)
    placed = (by_neck @ (eyeball - neck)) + neck  # (T, 3) head space
    centre = np.einsum("tij,tj->ti", fit.rotation, placed) + fit.translation  # camera space
    along = (centre * ray).sum(axis=1)
    inside = radius**2 - ((centre**2).sum(axis=1) - along**2)
    hit = (along - np.sqrt(np.maximum(inside, 0.0)))[:, None] * ray - centre
    hit = np.einsum("tij,ti->tj", fit.rotation @ by_neck, hit)
    return hit / np.linalg.norm(hit, axis=1, keepdims=True)


def turn_to(direction: np.ndarray) -> np.ndarray:
    """Axis-angle (T, 3) that turns straight ahead (Z) to `direction` (T, 3) without roll (Listing's law)."""
    x, y, z = direction.T / np.linalg.norm(direction, axis=1)
    sideways = np.hypot(x, y)
    angle = np.minimum(np.arctan2(sideways, z), LARGEST_ANGLE_RAD)
    per_side = angle / np.maximum(sideways, 1e-12)
    return np.stack([-y * per_side, x * per_side, np.zeros_like(x)], axis=1)
