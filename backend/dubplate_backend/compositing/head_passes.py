# SPDX-License-Identifier: Apache-2.0
"""The head as the plate sees it: coverage, texture coordinates and region mattes, drawn at the plate's own pixels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from dubplate_backend.head.model import HeadModel
from dubplate_backend.raster.camera import Z_NEAR, to_camera, vertices_to_screen
from dubplate_backend.raster.crop_warp import Box
from dubplate_backend.raster.numba_kernel import rasterise_numba
from dubplate_backend.raster.rasterise import MIN_DOUBLE_AREA_PX, interpolate, rasterise
from dubplate_shared.landmarks import FACE_OVAL
from dubplate_shared.take import Take
from dubplate_shared.track import Track

MATTE_SAMPLES = 2  # per pixel and axis: mattes get soft edges
SUBPIXEL_BITS = 4  # cv2.fillPoly positions in 1/16 px
REGIONS = ("face", "mouth", "teeth")


@dataclass(frozen=True)
class Outline:
    """Where the head is in a box."""

    covered: np.ndarray  # [h, w] bool: any of the head
    oval: np.ndarray  # [h, w] bool: inside FaceMesh's face oval


@dataclass(frozen=True)
class HeadPasses:
    """What covers each pixel of a box."""

    outline: Outline
    uv: np.ndarray  # [h, w, 2] float32: texture coordinates 0..1, v up; 0 where not covered
    mattes: dict[str, np.ndarray]  # name of REGIONS -> [h, w] float32 0..1


def drawn_passes(
    head: HeadModel, track: Track, take: Take, index: int, box: Box, origin: tuple[int, int]
) -> HeadPasses:
    """The head of a take at frame `index`, with pose and camera as filmed.

    box: pixels of the plate's array.  origin: (x, y) of the array's first pixel in the display window.
    """
    eyes = track.eyes if take.eyes is None else take.eyes
    camera = _in_camera(head, track, index, take.expression, take.jaw, eyes)
    screen = _in_box(camera, track, index, box, origin)
    fragments = rasterise(screen, head.faces, box.height, box.width)
    covered = fragments.pix_to_face[0] >= 0  # [h, w]
    uv = interpolate(fragments, head.uv[head.faces_uv])[0]  # [h, w, 2]
    oval = _in_box(head.landmarks(camera), track, index, box, origin)[0, list(FACE_OVAL), :2]  # [36, 2]
    return HeadPasses(
        Outline(covered.numpy(), polygon(oval.numpy(), box)),
        torch.where(covered[..., None], uv, torch.zeros(())).float().numpy(),
        _mattes(head, screen, box),
    )


def filmed_outline(head: HeadModel, track: Track, index: int, box: Box, origin: tuple[int, int]) -> Outline:
    """The head as it was filmed, and the face oval as it was detected on the plate."""
    camera = _in_camera(head, track, index, track.expression, track.jaw, track.eyes)
    ids = _seen_faces(_in_box(camera, track, index, box, origin), head, box.height, box.width)
    return Outline(ids >= 0, filmed_oval(track, index, box, origin))


def filmed_oval(track: Track, index: int, box: Box, origin: tuple[int, int]) -> np.ndarray:
    """FaceMesh's face oval as it was detected on the plate: [h, w] bool, empty where its points were not kept."""
    places = {int(point): place for place, point in enumerate(track.landmark_index)}
    if not all(point in places for point in FACE_OVAL):
        return np.zeros((box.height, box.width), bool)
    points = track.landmarks_px[index, [places[point] for point in FACE_OVAL]]  # [36, 2] px
    return polygon(points - np.array((origin[0] + box.left, origin[1] + box.top)), box)


def polygon(points: np.ndarray, box: Box) -> np.ndarray:
    """[h, w] bool: pixels inside a polygon whose corners are given in the box's pixels, centres at +0.5."""
    drawn = np.zeros((box.height, box.width), np.uint8)
    if np.isfinite(points).all():
        corners = np.round((np.asarray(points, np.float64) - 0.5) * (1 << SUBPIXEL_BITS)).astype(np.int32)
        cv2.fillPoly(drawn, [corners], 1, shift=SUBPIXEL_BITS)
    return drawn.astype(bool)


def _in_camera(
    head: HeadModel, track: Track, index: int, expression: np.ndarray, jaw: np.ndarray, eyes: np.ndarray
) -> Tensor:
    """Posed vertices in camera space, [1, V, 3] metres."""
    curves = (expression, jaw, track.neck, eyes, track.eyelids)
    vertices = head.vertices(_row(track.shape), *(_row(curve[index]) for curve in curves))  # [1, V, 3]
    return to_camera(vertices, _row(track.rotation[index]), _row(track.translation[index]))


def _in_box(camera: Tensor, track: Track, index: int, box: Box, origin: tuple[int, int]) -> Tensor:
    """Points in camera space as the pixels of a box: [1, N, 3] = x, y px, z metres."""
    screen = vertices_to_screen(camera, _row(track.intrinsics[index]), None, None)
    return screen - torch.tensor((origin[0] + box.left, origin[1] + box.top, 0.0))


def _seen_faces(screen: Tensor, head: HeadModel, height: int, width: int) -> np.ndarray:
    """The face seen in each pixel, [height, width], -1 for none: without the barycentrics that nobody asks for."""
    return rasterise_numba(screen, head.faces, height, width, Z_NEAR, MIN_DOUBLE_AREA_PX)[0].numpy()


def _mattes(head: HeadModel, screen: Tensor, box: Box) -> dict[str, np.ndarray]:
    """Region mattes, each averaged over MATTE_SAMPLES x MATTE_SAMPLES samples a pixel."""
    finer = screen * torch.tensor((MATTE_SAMPLES, MATTE_SAMPLES, 1.0))
    ids = _seen_faces(finer, head, box.height * MATTE_SAMPLES, box.width * MATTE_SAMPLES)  # [2h, 2w]
    mattes = {}
    for name in REGIONS:
        in_region = np.append(head.masks[name][head.faces].all(dim=1).numpy(), False)  # [F + 1], the last for id -1
        samples = in_region[ids].astype(np.float32)
        rows = sum(samples[offset::MATTE_SAMPLES] for offset in range(MATTE_SAMPLES))
        mattes[name] = sum(rows[:, offset::MATTE_SAMPLES] for offset in range(MATTE_SAMPLES)) / MATTE_SAMPLES**2
    return mattes


def _row(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))[None]
