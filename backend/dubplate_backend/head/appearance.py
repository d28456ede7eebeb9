# SPDX-License-Identifier: Apache-2.0
"""Plausible colours of a head that brings none: for previews, turntables and the synthetic actor.  Linear RGB."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dubplate_backend.head.model import HeadModel
from dubplate_shared.landmarks import CHIN, LEFT_BROW, OUTER_LIPS, RIGHT_BROW

Colour = tuple[float, float, float]

MOUTH_SHADE_MM = 18.0
"""Depth over which the light in an open mouth falls to a third."""


@dataclass(frozen=True)
class Palette:
    """Linear RGB reflectances.  The skin's is a light to medium tone (about Fitzpatrick III)."""

    skin: Colour = (0.50, 0.30, 0.215)
    flush: Colour = (0.52, 0.235, 0.175)
    lips: Colour = (0.37, 0.135, 0.115)
    lining: Colour = (0.16, 0.035, 0.03)
    gums: Colour = (0.40, 0.13, 0.12)
    teeth: Colour = (0.68, 0.63, 0.52)
    tongue: Colour = (0.40, 0.13, 0.12)
    sclera: Colour = (0.66, 0.62, 0.58)
    iris: Colour = (0.13, 0.075, 0.04)
    pupil: Colour = (0.008, 0.008, 0.008)
    hair: Colour = (0.055, 0.035, 0.025)
    brows: Colour = (0.10, 0.06, 0.042)


def vertex_colours(head: HeadModel, palette: Palette | None = None) -> Tensor:
    """A colour for each vertex, soft at the borders of lips, brows and hair.  [V, 3] linear RGB, float32."""
    palette = palette or Palette()
    points = head.template.float() * 1000  # millimetres
    landmarks = head.landmarks(head.template[None])[0].float() * 1000
    colours = torch.tensor(palette.skin).repeat(len(points), 1)

    def lay(colour: Colour, cover: Tensor) -> None:
        colours.lerp_(torch.tensor(colour), cover.float()[:, None])

    front = points[:, 2] > landmarks[61, 2] - 12
    face = head.masks["face"] & front
    for centre, reach, strength in ((50, 22.0, 0.45), (280, 22.0, 0.45), (1, 13.0, 0.5), (152, 16.0, 0.3)):
        near = (-((points - landmarks[centre]) / reach).square().sum(1)).exp()
        lay(palette.flush, strength * near * face)
    lay(palette.flush, 0.35 * head.masks["ears"] if "ears" in head.masks else torch.zeros(len(points)))
    for brow in (RIGHT_BROW, LEFT_BROW):
        inside = _inside(points[:, :2], landmarks[list(brow), :2], softness=1.6)
        lay(palette.brows, 0.85 * inside * face)
    lips = _inside(points[:, :2], _rounded(landmarks[list(OUTER_LIPS), :2]), softness=0.7) * face
    lay(palette.lips, torch.maximum(lips, (head.masks["lips"] & ~head.masks["face"]).float()))
    lay(palette.hair, _hair(head, points, landmarks))
    for name, colour in (
        ("lid_edges", palette.flush), ("socket", palette.lining), ("gums", palette.gums), ("teeth", palette.teeth),
        ("tongue", palette.tongue), ("eyes", palette.sclera), ("iris", palette.iris), ("pupil", palette.pupil),
    ):  # fmt: skip
        if name in head.masks:
            lay(colour, head.masks[name])
    return colours * _mouth_shade(head, points, landmarks)[:, None]


def _mouth_shade(head: HeadModel, points: Tensor, landmarks: Tensor) -> Tensor:
    """Light that reaches into the mouth, as a factor: it dies away behind the lips.  [V]."""
    depth = (landmarks[13, 2] - 8 - points[:, 2]).clamp(min=0)
    return torch.where(head.masks["mouth"], (-depth / MOUTH_SHADE_MM).exp().clamp(min=0.06), torch.ones_like(depth))


def _hair(head: HeadModel, points: Tensor, landmarks: Tensor) -> Tensor:
    """Short hair over the scalp: above a line from the temples past the ears to the nape.  [V] 0..1."""
    chin, temple = landmarks[CHIN], landmarks[127]
    back = (temple[2] - points[:, 2]).clamp(min=0)
    line = temple[1] - 4 - 0.62 * (back - 22).clamp(min=0, max=105)
    above = torch.sigmoid((points[:, 1] - line) / 6)
    behind = torch.sigmoid((landmarks[10, 2] - 10 - points[:, 2] + 0.9 * (points[:, 1] - landmarks[10, 1])) / 3)
    return above * behind * head.masks["scalp"] * (points[:, 1] > chin[1])


def _inside(points: Tensor, polygon: Tensor, softness: float) -> Tensor:
    """How far inside a polygon points lie, 0..1 over `softness` each way.   [V, 2], [N, 2] -> [V]."""
    x, y = points[:, :1], points[:, 1:]
    a, b = polygon, polygon.roll(-1, 0)
    crosses = (a[:, 1] > y) != (b[:, 1] > y)
    rise = torch.where(b[:, 1] == a[:, 1], torch.ones_like(a[:, 1]), b[:, 1] - a[:, 1])
    inside = (crosses & (x < a[:, 0] + (y - a[:, 1]) / rise * (b[:, 0] - a[:, 0]))).sum(1) % 2 == 1
    along = b - a
    share = (((points[:, None] - a) * along).sum(-1) / along.square().sum(-1)).clamp(0, 1)
    distance = (points[:, None] - a - share[..., None] * along).norm(dim=-1).amin(1)
    signed = torch.where(inside, distance, -distance) / softness
    return (0.5 + 0.5 * signed).clamp(0, 1)


def _rounded(polygon: Tensor, steps: int = 4) -> Tensor:
    """A closed polygon with points added along its Catmull-Rom spline.   [N, 2] -> [N steps, 2]."""
    before, here, after, beyond = polygon.roll(1, 0), polygon, polygon.roll(-1, 0), polygon.roll(-2, 0)
    t = (torch.arange(steps) / steps)[:, None, None]
    spline = here + 0.5 * t * (
        (after - before)
        + t * ((2 * before - 5 * here + 4 * after - beyond) + t * (3 * (here - after) + beyond - before))
    )
    return spline.transpose(0, 1).reshape(-1, 2)
