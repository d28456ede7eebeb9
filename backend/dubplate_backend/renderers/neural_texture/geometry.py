# SPDX-License-Identifier: Apache-2.0
"""The head as one crop sees it: texture coordinates, regions, and the mask that may be redrawn."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dubplate_backend.head.model import HeadModel
from dubplate_backend.raster.camera import to_camera, vertices_to_screen
from dubplate_backend.raster.fragments import Fragments
from dubplate_backend.raster.rasterise import interpolate, rasterise
from dubplate_shared.track import Track

Bool = npt.NDArray[np.bool_]

JAW_OPEN = math.radians(35.0)  # DfE A.2 "fully open"; 35 to 40 degrees by systems 1.1.6
MASK_MARGIN = 0.02  # of the crop: the tracked silhouette is that far from the true one
REGIONS = ("redraw", "lips", "mouth", "teeth")


@dataclass(frozen=True)
class HeadView:
    """What covers each pixel of a crop of S x S."""

    uv: npt.NDArray[np.float32]  # [S, S, 2] 0..1, v up; 0 where nothing covers
    face: Bool  # [S, S] the head covers the pixel
    regions: dict[str, Bool]  # [S, S] each of REGIONS, as seen (hidden parts are not in it)


class HeadGeometry:
    """Rasterises a head model into crops. Each frame is drawn alone, so its bits do not depend on its company."""

    def __init__(self, head: HeadModel, size: int) -> None:
        self.head = head
        self.size = size
        self._face_uv = head.uv[head.faces_uv].float()  # [F, 3, 2]
        self._face_regions = {
            name: head.masks[name][head.faces].all(dim=1) for name in REGIONS if name in head.masks
        }  # [F] each
        self._person: tuple[npt.NDArray[np.float32], HeadModel] | None = None

    def view(
        self,
        track: Track,
        crop: npt.NDArray[np.float32],
        index: int,
        *,
        expression: npt.NDArray[np.float32],
        jaw: npt.NDArray[np.float32],
        eyes: npt.NDArray[np.float32] | None = None,
    ) -> HeadView:
        """The head at frame `index`, with pose and camera as filmed, and the expression and jaw that are given.

        crop: (T, 2, 3) of the shot.  expression: (100,).  jaw: (3,) axis-angle, radians.  eyes: (6,), None as filmed.
        """
        fragments = self._fragments(track, crop, index, expression, jaw, eyes)
        face = fragments.covered[0]  # [S, S]
        uv = interpolate(fragments, self._face_uv)[0]
        regions = {name: self._region(name, fragments) for name in self._face_regions}
        return HeadView(uv.numpy(), face.numpy(), regions)

    def _fragments(
        self,
        track: Track,
        crop: npt.NDArray[np.float32],
        index: int,
        expression: npt.NDArray[np.float32],
        jaw: npt.NDArray[np.float32],
        eyes: npt.NDArray[np.float32] | None = None,
    ) -> Fragments:
        head = self._shaped(track.shape)
        vertices = head.vertices(
            torch.zeros(1, 0),
            _row(expression),
            _row(jaw),
            _row(track.neck[index]),
            _row(track.eyes[index] if eyes is None else eyes),
            _row(track.eyelids[index]),
        )  # [1, V, 3]
        camera = to_camera(vertices, _row(track.rotation[index]), _row(track.translation[index]))
        screen = vertices_to_screen(camera, _row(track.intrinsics[index]), _row(crop[index]), self.size)
        return rasterise(screen, head.faces, self.size, self.size)

    def _region(self, name: str, fragments: Fragments) -> Bool:
        """[S, S]: where a face of the region is seen."""
        return (self._face_regions[name][fragments.pix_to_face[0].clamp(min=0)] & fragments.covered[0]).numpy()

    def _shaped(self, shape: npt.NDArray[np.float32]) -> HeadModel:
        """The head with one person's shape in its template and no shape basis: 300 components less for each frame."""
        if self._person is None or not np.array_equal(self._person[0], shape):
            vertices, _ = self.head.shaped(_row(shape))
            basis = self.head.shape_basis[..., :0]
            self._person = (shape.copy(), replace(self.head, template=vertices[0], shape_basis=basis))
        return self._person[1]

    def redraw_mask(
        self, track: Track, crop: npt.NDArray[np.float32], index: int, *, expression: npt.NDArray[np.float32]
    ) -> Bool:
        """[S, S]: where the redraw region lies with the jaw closed or fully open, on the filmed pose (DfE A.2).

        expression: (100,) `median_expression` of the track, so neither the filmed mouth nor the take's shows in the
        mask.
        """
        closed, opened = (
            self._fragments(track, crop, index, expression, np.array((angle, 0.0, 0.0), np.float32))
            for angle in (0.0, JAW_OPEN)
        )
        union = self._region("redraw", closed) | self._region("redraw", opened)
        return grow(union, round(MASK_MARGIN * self.size))


def median_expression(track: Track) -> npt.NDArray[np.float32]:
    """(100,): the expression in the middle of what was filmed."""
    seen = track.expression[track.confidence > 0]
    return np.median(seen if len(seen) else track.expression, axis=0).astype(np.float32)


def grow(mask: Bool, pixels: int) -> Bool:
    """`mask` closed over small gaps and dilated by `pixels`."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    padded = np.pad(mask.astype(np.uint8), 2 * pixels)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disc)
    grown = cv2.dilate(closed, disc)
    inner = slice(2 * pixels, -2 * pixels or None)
    return grown[inner, inner].astype(bool)


def matte(mask: Bool, drawn: Bool, feather_px: float) -> npt.NDArray[np.float32]:
    """Soft alpha [S, S]: 0 outside `mask` and `drawn`, rising to 1 over `feather_px` inside them.

    mask: where drawing is allowed.  drawn: where the filmed or the drawn mouth region lies; elsewhere inside the mask
    the filmed pixel already shows what is there.
    """
    # One empty border pixel: a region cut by the crop's edge fades out there too.
    inside = np.pad((mask & drawn).astype(np.uint8), 1)
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    ramp = np.clip((distance - 0.5) / feather_px, 0.0, 1.0)
    return (ramp * ramp * (3.0 - 2.0 * ramp)).astype(np.float32)


def _row(values: npt.NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))[None]
