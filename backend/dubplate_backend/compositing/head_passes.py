# SPDX-License-Identifier: Apache-2.0
"""The head as the plate sees it: coverage, texture coordinates and region mattes, drawn at the plate's own pixels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from dubplate_backend.compositing.crop_warp import Box
from dubplate_backend.head.model import HeadModel
from dubplate_backend.raster.camera import project, to_camera, vertices_to_screen
from dubplate_backend.raster.rasterise import interpolate, rasterise
from dubplate_shared.landmarks import FACE_OVAL
from dubplate_shared.take import Take
from dubplate_shared.track import Track

MATTE_SAMPLES = 2  # per pixel and axis: mattes get soft edges
SUBPIXEL_BITS = 4  # cv2.fillPoly positions in 1/16 px
REGIONS = ("face", "mouth", "teeth")


@dataclass(frozen=True)
class HeadPasses:
    """What covers each pixel of a box."""

    covered: np.ndarray  # [h, w] bool: any of the head
    oval: np.ndarray  # [h, w] bool: inside FaceMesh's face oval of the posed head
    uv: np.ndarray  # [h, w, 2] float32: texture coordinates 0..1, v up; 0 where not covered
    mattes: dict[str, np.ndarray]  # name of REGIONS -> [h, w] float32 0..1


def draw_passes(head: HeadModel, track: Track, take: Take, index: int, box: Box, origin: tuple[int, int]) -> HeadPasses:
    """Draw frame `index` of a take, with pose and camera as filmed.

    box: pixels of the plate's array.  origin: (x, y) of the array's first pixel in the display window.
    """
    camera, intrinsics = _camera(head, track, take, index)
    screen = vertices_to_screen(camera, intrinsics, None, None)  # [1, V, 3] plate px
    shift = torch.tensor((origin[0] + box.left, origin[1] + box.top, 0.0))
    screen = screen - shift
    fragments = rasterise(screen, head.faces, box.height, box.width)
    covered = fragments.pix_to_face[0] >= 0  # [h, w]
    uv = interpolate(fragments, head.uv[head.faces_uv])[0]  # [h, w, 2]
    oval = project(head.landmarks(camera), intrinsics)[0, list(FACE_OVAL)] - shift[:2]  # [36, 2] px of the box
    return HeadPasses(
        covered.numpy(),
        polygon(oval.numpy(), box),
        torch.where(covered[..., None], uv, torch.zeros(())).float().numpy(),
        _mattes(head, screen, box),
    )


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


def _camera(head: HeadModel, track: Track, take: Take, index: int) -> tuple[Tensor, Tensor]:
    """Posed vertices in camera space [1, V, 3] metres, and the intrinsics [1, 4] px."""
    eyes = track.eyes if take.eyes is None else take.eyes
    vertices = head.vertices(
        _row(track.shape),
        _row(take.expression[index]),
        _row(take.jaw[index]),
        _row(track.neck[index]),
        _row(eyes[index]),
        _row(track.eyelids[index]),
    )  # [1, V, 3]
    camera = to_camera(vertices, _row(track.rotation[index]), _row(track.translation[index]))
    return camera, _row(track.intrinsics[index])


def _mattes(head: HeadModel, screen: Tensor, box: Box) -> dict[str, np.ndarray]:
    """Region mattes, each averaged over MATTE_SAMPLES x MATTE_SAMPLES samples a pixel."""
    finer = screen * torch.tensor((MATTE_SAMPLES, MATTE_SAMPLES, 1.0))
    height, width = box.height * MATTE_SAMPLES, box.width * MATTE_SAMPLES
    ids = rasterise(finer, head.faces, height, width).pix_to_face[0]  # [2h, 2w]
    seen = ids >= 0
    mattes = {}
    for name in REGIONS:
        of_face = head.masks[name][head.faces].all(dim=1)  # [F]
        samples = (of_face[ids.clamp(min=0)] & seen).float()
        blocks = samples.reshape(box.height, MATTE_SAMPLES, box.width, MATTE_SAMPLES)
        mattes[name] = blocks.mean(dim=(1, 3)).numpy()
    return mattes


def _row(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))[None]
