# SPDX-License-Identifier: Apache-2.0
"""From pictures and a fit so far to albedo, light and the photometric term of the next steps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from dubplate_backend.head.model import HeadModel
from dubplate_backend.raster.shading import linear_to_srgb, srgb_to_linear
from dubplate_backend.tracking.albedo import Albedo, AlbedoModel, solve_albedo
from dubplate_backend.tracking.face_crops import FaceCrops
from dubplate_backend.tracking.light import shading, solve_light
from dubplate_backend.tracking.local_shade import LocalShade
from dubplate_backend.tracking.photometric_term import PhotometricTerm
from dubplate_backend.tracking.projection import View
from dubplate_backend.tracking.sampling import sample
from dubplate_backend.tracking.surface_head import SurfaceHead
from dubplate_backend.tracking.surface_points import COUNT, SurfacePoints, skin, surface_points
from dubplate_backend.tracking.unknown_detail import UnknownDetail
from dubplate_backend.tracking.unknowns import Shared
from dubplate_backend.tracking.visibility import Surface, surface
from dubplate_backend.tracking.weights import Weights

FRAMES_AT_ONCE = 16  # whole heads in memory: 8,000 vertices each
ALBEDO_ROUNDS = 3  # light and albedo by turns
LIGHT_ROUNDS = 3
DETAIL_ROUNDS = 4  # a point's detail and how far each frame is believed by turns
# An error of this size, of the display's range, is more than a fit of the same skin leaves: something else is seen.
FOREIGN = 0.12
LEAST_FACING, FACING_FADES = 0.3, 0.15  # cosines
INNER_LIPS_SHARE = 0.1  # of belief in the line where lips meet: its shade comes and goes with the gap
MOUTH_IN_IDENTITY = 0.1  # likewise around the lips: four of ten of the face's points lie there, and it moves
NECK_SHARE = 0.1  # of belief in the neck, whose collar is no part of it
OWN_FOREIGN = 0.05  # as FOREIGN, for the colours of single points
OWN_PER_VIEW = 1e-3  # views at which a point's own colour counts as much as that of the vertices around it


@dataclass(frozen=True)
class Photometry:
    """What the photometric terms of one shot have in common."""

    head: HeadModel
    model: AlbedoModel
    points: SurfacePoints
    shade: LocalShade
    reduced: SurfaceHead
    skin: Tensor
    weights: Weights

    @classmethod
    def of(cls, head: HeadModel, model: AlbedoModel, weights: Weights, count: int = COUNT) -> Photometry:
        points = surface_points(head, count)
        reduced = SurfaceHead.of(head, points.faces, points.barycentrics).single()
        return cls(head, model, points, LocalShade.of(reduced.rest()), reduced, skin(head), weights)

    def shaped(self, shape: Tensor, free: int = 0) -> Photometry:
        return replace(self, reduced=self.reduced.shaped(shape.float(), free))

    def surfaces(self, crops: FaceCrops, view: View, x: Tensor, shared: Shared) -> Surface:
        parts = []
        for start in range(0, len(x), FRAMES_AT_ONCE):
            at = slice(start, start + FRAMES_AT_ONCE)
            parts.append(surface(self.head, view.at(at), x[at], shared, crops.corner[at], crops.side[at]))
        return Surface(
            torch.cat([part.projected for part in parts]),
            torch.cat([part.normals for part in parts]),
            torch.cat([part.facing for part in parts]),
        )

    def learn(self, crops: FaceCrops, level: int, seen: Surface) -> Albedo:
        """The albedo that some frames show, at one level of detail."""
        colours = srgb_to_linear(sample(crops.levels[level], in_crop(seen.projected, crops, level)))  # [T, V, 3]
        weight = seen.facing * self.skin
        albedo = self.model.mean
        for _ in range(ALBEDO_ROUNDS):
            light = solve_light(colours, albedo, seen.normals, trusted(weight, colours), None)
            shaded = shading(seen.normals, light)
            solved = solve_albedo(self.model, colours, shaded, trusted(weight, colours))
            albedo = solved.vertices
        return solved

    def learn_points(self, crops: FaceCrops, level: int, seen: Surface, albedo: Albedo) -> Albedo:
        """`albedo` with what some frames show of the points themselves, finer than vertices lie."""
        lit = self._lit(crops, level, seen, albedo)
        weight = agreeing(lit.belief, lit.error)
        colours, shaded = srgb_to_linear(lit.shown) * weight, shading(lit.normals, lit.light) * weight
        return replace(albedo, points=(colours.sum(0) + OWN_PER_VIEW * lit.albedo) / (shaded.sum(0) + OWN_PER_VIEW))

    def term(
        self, crops: FaceCrops, level: int, view: View, seen: Surface, albedo: Albedo
    ) -> tuple[PhotometricTerm, Tensor]:
        """The photometric term around what is `seen`, and the light that it was made with, [T, 9, 3]."""
        lit = self._lit(crops, level, seen, albedo)
        belief = torch.where(self.points.neck, lit.belief * NECK_SHARE, lit.belief)
        return self._term(crops, level, view, lit.expected, lit.error, belief), lit.light

    def detail_term(self, details: FaceCrops, level: int, view: View, seen: Surface) -> UnknownDetail:
        """The photometric term around what is `seen`, the skin being sought too.   details: as `detail` makes them.

        Without what would pull at the shape: the mouth and the shade between the lips; the neck and its collar."""
        belief = compared(self._facing(seen)) * ~self.points.neck
        belief = torch.where(self.points.mouth, belief * MOUTH_IN_IDENTITY, belief)
        belief = torch.where(self.points.inner_lips, belief * INNER_LIPS_SHARE, belief)
        shown = sample(
            details.levels[level], in_crop(self.points.of_vertices(self.head, seen.projected), details, level)
        )
        own, error = shown.new_zeros(shown.shape[1:]), shown.new_zeros(shown.shape[:2])
        for _ in range(DETAIL_ROUNDS):
            weight = agreeing(belief, error)
            own = (shown * weight).sum(0) / (weight.sum(0) + OWN_PER_VIEW)
            error = (shown - own).square().mean(-1).sqrt()
        term = self._term(details, level, view, own.expand(shown.shape), error, belief)
        return UnknownDetail(**vars(term))

    def _term(
        self, crops: FaceCrops, level: int, view: View, expected: Tensor, error: Tensor, belief: Tensor
    ) -> PhotometricTerm:
        """Colours are believed as far as most of them fit.   expected: [T, N, 3].   error: [T, N].   belief: [T, N]."""
        well_seen = error[belief > 0.5]
        usual = float(well_seen.median()) if len(well_seen) else 0.0
        misfit = max(usual**2 - self.weights.noise**2, 0.0) ** 0.5
        colour = max(self.weights.colour, self.weights.colour_per_misfit * misfit)
        return PhotometricTerm(
            self.reduced,
            view,
            crops.levels[level],
            crops.corner,
            crops.scale(level),
            expected,
            belief,
            replace(self.weights, colour=colour),
        )

    def _facing(self, seen: Surface) -> Tensor:
        """[T, N] the cosine at which points are seen, 0 where a corner is hidden."""
        facing = self.points.of_vertices(self.head, seen.facing[..., None])[..., 0]
        return facing * (self.points.of_vertices(self.head, (seen.facing > 0).float()[..., None])[..., 0] > 0.99)

    def _lit(self, crops: FaceCrops, level: int, seen: Surface, albedo: Albedo) -> LitPoints:
        """Silhouettes tell of the light, but are not compared."""
        normals = normalize(self.points.of_vertices(self.head, seen.normals), dim=-1)
        projected = self.points.of_vertices(self.head, seen.projected)
        shown = sample(crops.levels[level], in_crop(projected, crops, level))
        colours, own = srgb_to_linear(shown), albedo.points  # [T, N, 3], [N, 3]
        if own is None:
            own = self.points.of_vertices(self.head, albedo.vertices)
        facing = self._facing(seen)
        light = solve_light(colours, own, normals, trusted(facing, colours), None)
        for _ in range(LIGHT_ROUNDS):  # without what disagrees, each frame near to the mean of all
            error = (linear_to_srgb(own * shading(normals, light)) - shown).square().mean(-1)
            believed = trusted(facing / (1 + error / FOREIGN**2).square(), colours)
            light = solve_light(colours, own, normals, believed, light.median(0).values)
        belief, shaded = compared(facing), shading(normals, light)
        error = (shown - linear_to_srgb(own * shaded)).square().mean(-1).sqrt()
        shaded = shaded * self.shade.factor(colours, own * shaded, error, belief)
        expected = linear_to_srgb(own * shaded)
        error = (shown - expected).square().mean(-1).sqrt()
        return LitPoints(own, light, normals, shown, expected, error, belief)


@dataclass(frozen=True)
class LitPoints:
    """albedo: [N, 3] linear RGB.   light: [T, 9, 3].   normals: [T, N, 3].   shown and expected: [T, N, 3],
    display-referred, and error: [T, N], the root mean square between them.   belief: [T, N]."""

    albedo: Tensor
    light: Tensor
    normals: Tensor
    shown: Tensor
    expected: Tensor
    error: Tensor
    belief: Tensor


def compared(facing: Tensor) -> Tensor:
    """[T, N] how far points seen at cosines `facing` [T, N] are believed: not at all near silhouettes, where the blur
    mixes in what is behind."""
    return facing * ((facing - LEAST_FACING) / FACING_FADES).clamp(0, 1)


def agreeing(belief: Tensor, error: Tensor) -> Tensor:
    """[T, N, 1]: belief [T, N] without what errors [T, N] tell to be something else than the point itself."""
    return (belief / (1 + (error / OWN_FOREIGN).square()))[..., None]


def in_crop(projected: Tensor, crops: FaceCrops, level: int) -> Tensor:
    """px of the ideal picture [T, N, 2] -> px of a level's crops."""
    scale = crops.scale(level).to(projected.dtype)
    return (projected - crops.corner.to(projected.dtype)[:, None]) * scale[:, None, None]


def trusted(weight: Tensor, colours: Tensor) -> Tensor:
    """Weights for fits in linear light that count errors as they are seen: [T, N], of colours [T, N, 3].

    An error of linear light is seen as large as the display's curve is steep there, about 1 / sqrt(light); what is
    burnt out says nothing.
    """
    brightness = colours.mean(-1)
    return weight / (brightness + 0.02) * (colours.amax(-1) < 0.95)
