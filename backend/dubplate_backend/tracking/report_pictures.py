# SPDX-License-Identifier: Apache-2.0
"""Pictures of a track's report: frames with the head's lines, the learned albedo, and the light as a sphere."""

from __future__ import annotations

from base64 import b64encode

import cv2
import numpy as np
import torch

from dubplate_backend.head.model import HeadModel
from dubplate_backend.raster.camera import to_camera
from dubplate_backend.raster.shading import linear_to_srgb, over, shade
from dubplate_backend.tracking.light import shading
from dubplate_backend.tracking.preview import draw_track
from dubplate_shared.landmarks import LIPS
from dubplate_shared.track import Track

CLOSE_UP_PX = 220
AROUND_MOUTH = 1.9  # side of the mouth's close-up over the width of the lips
HEAD_PX, HEAD_FOCAL_PX, HEAD_AWAY_M = 300, 900.0, 0.85
SPHERE_PX = 72
GREY = 0.5  # linear albedo of the sphere
BACKGROUND = 0.11
JPEG_QUALITY = 84


def face_and_mouth(plate: np.ndarray, track: Track, crop: np.ndarray, index: int) -> np.ndarray:
    """The face as it is, the face and the mouth under the head's lines, uint8 [S, 3 S, 3].   plate: uint8 [H, W, 3].
    crop: (2, 3).   index: of the frame."""
    lips = track.projected_px[index, list(LIPS)].astype(np.float64)
    side = max(float(np.ptp(lips[:, 0])) * AROUND_MOUTH, 1.0)
    corner = (lips.min(0) + lips.max(0)) / 2 - side / 2
    mouth = np.array([[1, 0, -corner[0]], [0, 1, -corner[1]]]) / side
    face = crop.astype(np.float64)
    pictures = [close_up(plate, face * CLOSE_UP_PX)]
    for matrix in (face, mouth):
        picture = close_up(plate, matrix * CLOSE_UP_PX)
        draw_track(picture, track, matrix * CLOSE_UP_PX, index)
        pictures.append(picture)
    return np.concatenate(pictures, axis=1)


def close_up(plate: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """uint8 [S, S, 3].   matrix: (2, 3) plate px -> the picture's px, pixel centres at +0.5."""
    centred = matrix.copy()
    centred[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5  # OpenCV's centres are whole numbers
    shrinks = matrix[0, 0] < 1
    size = (CLOSE_UP_PX, CLOSE_UP_PX)
    return cv2.warpAffine(plate, centred, size, flags=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def albedo_picture(head: HeadModel, shape: np.ndarray, albedo: np.ndarray) -> np.ndarray:
    """The neutral head in its learned colours, from the front and half from the side, in even studio light.

    shape: (300,).   albedo: (V, 3) linear RGB.   Returns uint8 [S, 2 S, 3].
    """
    rest = torch.zeros(1, head.expression_basis.shape[-1])
    vertices = head.vertices(torch.from_numpy(shape), rest, torch.zeros(1, 3))  # [1, V, 3]
    middle = vertices[0, head.masks["face"]].mean(0)
    colours = torch.from_numpy(albedo).float()
    intrinsics = torch.tensor([[HEAD_FOCAL_PX, HEAD_FOCAL_PX, HEAD_PX / 2, HEAD_PX / 2]])
    pictures = []
    for yaw in (0.0, 0.7):
        turn = cv2.Rodrigues(np.array([0.0, yaw, 0.0]))[0]
        rotation = cv2.Rodrigues(np.diag([1.0, -1.0, -1.0]) @ turn)[0][:, 0]
        placed = to_camera(vertices - middle, torch.from_numpy(rotation).float()[None], torch.zeros(1, 3))
        placed = placed + torch.tensor([0.0, 0.0, HEAD_AWAY_M])
        with torch.no_grad():
            drawn = shade(placed, head.faces, intrinsics, HEAD_PX, HEAD_PX, colours=colours, supersample=2)
        pictures.append(over(drawn, torch.full((3,), BACKGROUND))[0].numpy())
    return to_bytes(np.concatenate(pictures, axis=1))


def light_spheres(lighting: np.ndarray) -> np.ndarray:
    """Grey spheres under the light of some frames, uint8 [S, N S, 3].   lighting: (N, 9, 3)."""
    place = (torch.arange(SPHERE_PX) + 0.5) / SPHERE_PX * 2.2 - 1.1
    y, x = torch.meshgrid(place, place, indexing="ij")
    inside = x.square() + y.square() < 1
    z = -(1 - x.square() - y.square()).clamp(min=0).sqrt()  # towards the camera
    normals = torch.stack((x, y, z), -1).reshape(1, -1, 3).expand(len(lighting), -1, -1)
    lit = linear_to_srgb(GREY * shading(normals, torch.from_numpy(lighting).float()))  # [N, S S, 3]
    spheres = lit.reshape(len(lighting), SPHERE_PX, SPHERE_PX, 3)
    spheres = torch.where(inside[..., None], spheres, torch.tensor(BACKGROUND))
    return to_bytes(torch.cat(list(spheres), dim=1).numpy())


def to_bytes(picture: np.ndarray) -> np.ndarray:
    return np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def embedded(picture: np.ndarray, what: str) -> str:
    """An <img> element that holds the picture itself.   picture: uint8 [H, W, 3] RGB.   what: plain text."""
    _, encoded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    data = b64encode(encoded.tobytes()).decode()
    height, width = picture.shape[:2]
    return f'<img src="data:image/jpeg;base64,{data}" width="{width}" height="{height}" alt="{what}">'
