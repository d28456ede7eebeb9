# SPDX-License-Identifier: Apache-2.0
"""The skin of the stand-in: the measured face refined, with skull and neck around it, lids and lips rolled inward."""

from dataclasses import dataclass

import numpy as np

from dubplate_backend.head.standin.skull import HeadSolid, skull_rings
from dubplate_backend.head.standin.surface import Indices, Points, band_triangles, least_bending, split_edges
from dubplate_backend.head.standin.topology import POINTS, boundary_loops, face_triangles, mean_face
from dubplate_shared.landmarks import CHIN, INNER_LIP_PAIRS

GLABELLA = 9
EYE_RADIUS_MM = 12.2
"""Radius of the eyeball: axial length 24 mm, transverse 24.2 mm to 24.8 mm.  Source: Bekerman et al. 2014."""
LID_CLEARANCE_MM = 0.7
SKULL_HOLD = 0.25
"""Weight of skull and neck's own form against bending, far from the face."""
MOUTH_ZONE = (np.array([0.0, -38.0]), np.array([33.0, 19.0]))
EYE_ZONE = (np.array([31.0, 34.5]), np.array([21.0, 11.0]))
NOSTRIL_ZONE = (np.array([8.0, -11.0]), np.array([12.0, 8.0]))


@dataclass(frozen=True)
class Skin:
    """points [V, 3] millimetres, the 468 landmarks first; triangles [F, 3]; loops are vertex indices.

    mouth: inner lips as (upper, lower), each from the subject's right corner to the left, corners shared.
    eyes: (left, right) lid margins.  eye_centres: (left, right) [3].  rim: the face's oval.
    face_count: vertices of the face, which come first.   outer_count: of face, skull and neck: what follows is inside.
    """

    points: Points
    triangles: Indices
    rim: list[int]
    mouth: tuple[list[int], list[int]]
    eyes: tuple[list[int], list[int]]
    eye_centres: tuple[Points, Points]
    face_count: int
    outer_count: int


def build_skin() -> Skin:
    """Face, skull and neck in one piece, open at lids, lips and the neck's lower end."""
    landmarks = closed_mouth(mean_face())
    left_eye = eye_centre(landmarks)
    centres = (left_eye, left_eye * [-1, 1, 1])
    landmarks = lids_on_eyes(landmarks, centres)
    triangles, points = refine(landmarks, face_triangles())
    face_count = len(points)
    loops = boundary_loops(triangles)
    rim = rim_loop(next(loop for loop in loops if 10 in loop))
    solid = HeadSolid(landmarks[GLABELLA], landmarks[CHIN])
    rings = skull_rings(points[rim], solid)  # [R, N, 3]
    rows = np.concatenate([[rim], face_count + np.arange(rings.shape[0] * len(rim)).reshape(-1, len(rim))])
    triangles = np.concatenate([triangles, band_triangles(rows, np.arange(len(rim)) < len(rim) // 2)])
    points = np.concatenate([points, rings.reshape(-1, 3)])
    hold = np.full(len(points), 0.0)
    hold[:POINTS] = np.inf
    hold[face_count:] = np.repeat(SKULL_HOLD * np.linspace(0.08, 1, len(rings)), len(rim))  # free by the rim: no crease
    hold[-len(rim) :] = np.inf
    points = least_bending(triangles, points, hold)
    mouth = next(loop for loop in loops if 13 in loop)
    eyes = tuple(next(loop for loop in loops if corner in loop) for corner in (263, 33))
    upper, lower = lip_lines(mouth)
    points[upper] = points[lower] = (points[upper] + points[lower]) / 2  # sealed all along, not at the landmarks alone
    return Skin(points, triangles, rim, (upper, lower), eyes, centres, face_count, len(points))


def closed_mouth(landmarks: Points) -> Points:
    """The face with upper and lower inner lip in contact, pair by pair."""
    closed = landmarks.copy()
    for upper, lower in INNER_LIP_PAIRS:
        closed[[upper, lower]] = (landmarks[upper] + landmarks[lower]) / 2
    return closed


def eye_centre(landmarks: Points) -> Points:
    """Centre of the left eyeball: amid the corners, as deep as lets the lids' middle rest on the ball."""
    outer, inner, upper, lower = landmarks[[263, 362, 386, 374]]
    across, up = (outer[0] + inner[0]) / 2, (outer[1] + inner[1]) / 2 + 0.5
    reach = EYE_RADIUS_MM + LID_CLEARANCE_MM
    depths = [lid[2] - np.sqrt(reach**2 - (lid[1] - up) ** 2) for lid in (upper, lower)]
    return np.array([across, up, np.mean(depths)])


def lids_on_eyes(landmarks: Points, centres: tuple[Points, Points]) -> Points:
    """Lid margins moved in depth onto the ball; toward the corners they leave it, as real lids do."""
    resting = landmarks.copy()
    reach = EYE_RADIUS_MM + LID_CLEARANCE_MM
    left = [466, 388, 387, 386, 385, 384, 398, 382, 381, 380, 374, 373, 390, 249]
    right = [246, 161, 160, 159, 158, 157, 173, 155, 154, 153, 145, 144, 163, 7]
    for margin, centre in zip((left, right), centres, strict=True):
        offset = landmarks[margin, :2] - centre[:2]
        off_axis = np.linalg.norm(offset, axis=1)
        on_ball = centre[2] + np.sqrt(np.maximum(reach**2 - off_axis**2, 0))
        trust = np.clip((12.0 - off_axis) / 4.0, 0, 1)  # all of it within 8 mm of the axis, none at the corners
        resting[margin, 2] = trust * on_ball + (1 - trust) * np.maximum(
            landmarks[margin, 2], on_ball * (off_axis < reach) - 99 * (off_axis >= reach)
        )
    return resting


def refine(landmarks: Points, triangles: Indices) -> tuple[Indices, Points]:
    """Every edge split once, and once more about the mouth, the eyes and the nostrils.  New vertices lie at middles."""
    points = landmarks
    triangles, ends = split_edges(triangles, len(points), np.ones(len(points), bool))
    points = np.concatenate([points, points[ends].mean(1)])
    fine = np.zeros(len(points), bool)
    for centre, radii in (MOUTH_ZONE, EYE_ZONE, NOSTRIL_ZONE):
        flat = np.stack([np.abs(points[:, 0]) if centre[0] else points[:, 0], points[:, 1]], 1)
        fine |= (((flat - centre) / radii) ** 2).sum(1) < 1
    triangles, ends = split_edges(triangles, len(points), fine)
    return triangles, np.concatenate([points, points[ends].mean(1)])


def rim_loop(loop: list[int]) -> list[int]:
    """The face's rim from the top of the forehead on, counter-clockwise seen from the front."""
    start = loop.index(10)
    return loop[start:] + loop[:start]


def lip_lines(loop: list[int]) -> tuple[list[int], list[int]]:
    """Upper and lower inner lip, each from the right corner (78) to the left (308), from the mouth's loop."""
    start = loop.index(78)
    loop = loop[start:] + loop[:start]
    middle = loop.index(308)
    one, other = loop[: middle + 1], [loop[0], *reversed(loop[middle:])]
    return (one, other) if 13 in one else (other, one)
