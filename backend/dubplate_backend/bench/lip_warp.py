# SPDX-License-Identifier: Apache-2.0
"""How steadily a tracked head carries the lips of real footage: frames warped to one another through its surface.

Points lie fixed on the head's lips and the skin round them.  Each frame is sampled where the track puts those points;
were the track exact, a point would show the same skin in every frame.  Two frames are compared at the points that both
show, each by the area that it stands for, after a gain that varies linearly over the region is taken out, the same for
every tracker: light is not what is measured.  What is left: the track's slip over the skin, the footage's noise,
highlights.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import grid_sample

from dubplate_backend.head.model import HeadModel
from dubplate_backend.raster.camera import to_camera, vertices_to_screen
from dubplate_backend.raster.rasterise import rasterise
from dubplate_backend.raster.shading import vertex_normals
from dubplate_shared.errors import InvalidInput
from dubplate_shared.track import Track

LAGS = (1, 5, 25)  # frames apart
SKIN_ROUND_M = 0.008  # of the lips belongs to the region
WITHIN_FACE = ((2 / 3, 1 / 6, 1 / 6), (1 / 6, 2 / 3, 1 / 6), (1 / 6, 1 / 6, 2 / 3))  # points of each face, barycentric
LEAST_FACING = 0.25  # cosine to the ray below which a point is seen too flat to compare
BEHIND_M = 0.0015  # a point this much behind what is drawn is hidden
LEAST_SHARED = 60  # points below which two frames have too little in common


@dataclass(frozen=True)
class LipPoints:
    """corners: (N, 3) vertices.   barycentrics: (N, 3).   at_rest: (N, 2) x and y on the neutral head, about -1..1.
    area: (N,) share of the region that each point stands for.   on_lips: (N,) bool, else on the skin round them."""

    corners: np.ndarray
    barycentrics: np.ndarray
    at_rest: np.ndarray
    area: np.ndarray
    on_lips: np.ndarray

    @classmethod
    def of(cls, head: HeadModel) -> "LipPoints":
        """On the outside of the lips and SKIN_ROUND_M round them, three a face."""
        template, lips = head.template, head.masks["lips"]
        near = torch.cdist(template, template[lips]).min(dim=1).values < SKIN_ROUND_M
        wanted = near & head.masks["face"]
        faces = head.faces[wanted[head.faces].all(dim=1)]  # [F, 3]
        corners = np.repeat(faces.numpy(), len(WITHIN_FACE), axis=0)
        barycentrics = np.tile(np.array(WITHIN_FACE), (len(faces), 1))
        triangles = template.double().numpy()[corners]  # (N, 3, 3)
        rest = (triangles * barycentrics[..., None]).sum(axis=1)[:, :2]
        middle = 0.5 * (rest.max(axis=0) + rest.min(axis=0))
        edges = triangles[:, 1:] - triangles[:, :1]
        area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
        on_lips = np.repeat(lips[faces].all(dim=1).numpy(), len(WITHIN_FACE))
        return cls(corners, barycentrics, (rest - middle) / (0.5 * np.ptp(rest[:, 0])), area / area.sum(), on_lips)


@dataclass(frozen=True)
class LipSamples:
    """colours: (T, N, 3) display-referred, 0..255.   shown: (T, N) bool."""

    colours: np.ndarray
    shown: np.ndarray


def sample_lips(head: HeadModel, track: Track, frames: Iterable[np.ndarray]) -> LipSamples:
    """What each frame shows at the head's lip points.   frames: uint8 [H, W, 3], one for each of the track."""
    points = LipPoints.of(head)
    colours, shown = [], []
    for index, rgb in enumerate(frames):
        if track.confidence[index] <= 0:
            colours.append(np.zeros((len(points.corners), 3), np.float32))
            shown.append(np.zeros(len(points.corners), bool))
            continue
        seen = _sample(head, track, index, rgb, points)
        colours.append(seen[0])
        shown.append(seen[1])
    return LipSamples(np.stack(colours), np.stack(shown))


def warp_difference(
    head: HeadModel, samples: LipSamples, lags: tuple[int, ...] = LAGS, *, lips_alone: bool = False
) -> float:
    """Mean absolute difference, in 8-bit levels, of frames 1, 5 and 25 apart, over the region's area, frames and lags.

    lips_alone: of the points on the lips; the gain is that of the region.
    Raises InvalidInput where no two frames that far apart have enough in common.
    """
    points = LipPoints.of(head)
    plane = np.column_stack([np.ones(len(points.at_rest)), points.at_rest])  # (N, 3)
    counted = points.area * points.on_lips if lips_alone else points.area
    by_lag = []
    for lag in lags:
        found = [
            difference
            for early in range(len(samples.shown) - lag)
            if (difference := _difference(samples, early, early + lag, plane, points.area, counted)) is not None
        ]
        if found:
            by_lag.append(float(np.mean(found)))
    if not by_lag:
        raise InvalidInput("No two frames show the same part of the lips.", hint="Measure a longer cut of the footage.")
    return float(np.mean(by_lag))


def _difference(
    samples: LipSamples, a: int, b: int, plane: np.ndarray, area: np.ndarray, counted: np.ndarray
) -> float | None:
    common = samples.shown[a] & samples.shown[b]
    if common.sum() < LEAST_SHARED or not counted[common].any():
        return None
    basis, weight, counts = plane[common], area[common, None], counted[common] / counted[common].sum()
    differences = []
    for first, second in ((a, b), (b, a)):  # a gain is fitted either way: neither frame is the one that is right
        source, target = samples.colours[first, common], samples.colours[second, common]
        for channel in range(3):
            columns = basis * source[:, channel, None]  # (N, 3)
            normal = (columns * weight).T @ columns
            gain = np.linalg.lstsq(normal, (columns * weight).T @ target[:, channel], rcond=None)[0]
            differences.append(counts @ np.abs(columns @ gain - target[:, channel]))
    return float(np.mean(differences))


def _sample(
    head: HeadModel, track: Track, index: int, rgb: np.ndarray, points: LipPoints
) -> tuple[np.ndarray, np.ndarray]:
    """Colours (N, 3) and whether each point is seen (N,)."""
    codes = (track.expression, track.jaw, track.neck, track.eyes, track.eyelids)
    part = slice(index, index + 1)
    posed = head.vertices(torch.from_numpy(track.shape), *(torch.from_numpy(code[part]) for code in codes))
    camera = to_camera(posed, torch.from_numpy(track.rotation[part]), torch.from_numpy(track.translation[part]))
    screen = vertices_to_screen(camera, torch.from_numpy(track.intrinsics[part]), None, None)  # [1, V, 3]
    normals = vertex_normals(camera, head.faces)[0].double().numpy()

    def on_points(values: np.ndarray) -> np.ndarray:
        return (values[points.corners] * points.barycentrics[..., None]).sum(axis=1)  # (N, C)

    position = on_points(camera[0].double().numpy())
    pixels = position[:, :2] / position[:, 2:] * track.intrinsics[index, :2] + track.intrinsics[index, 2:]
    normal = on_points(normals)
    ray = position / np.linalg.norm(position, axis=1, keepdims=True)
    facing = -(normal * ray).sum(axis=1) / np.maximum(np.linalg.norm(normal, axis=1), 1e-9)

    low = np.floor(pixels.min(axis=0)).astype(int) - 1
    columns, rows = np.ceil(pixels.max(axis=0)).astype(int) + 1 - low
    moved = screen - screen.new_tensor([*low, 0.0])
    depth = rasterise(moved, head.faces, rows, columns).zbuf[0].numpy()  # [rows, columns]
    column, row = np.floor(pixels - low).astype(int).T
    drawn = depth[np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)]
    inside = ((pixels > 0.5) & (pixels < np.array(rgb.shape[1::-1]) - 0.5)).all(axis=1)
    shown = inside & (facing > LEAST_FACING) & (drawn > 0) & (position[:, 2] < drawn + BEHIND_M)

    picture = torch.from_numpy(rgb).permute(2, 0, 1)[None].float()
    grid = torch.from_numpy(pixels / np.array(rgb.shape[1::-1]) * 2 - 1)[None, None].float()  # centres at +0.5
    return grid_sample(picture, grid, align_corners=False)[0, :, 0].T.numpy(), shown
