# SPDX-License-Identifier: Apache-2.0
"""The skin's albedo: a linear model on the head's vertices, and what one person shows beyond it.

The default is a Gaussian process over the surface (Lüthi et al. 2018), coloured as skins differ: mostly in lightness,
then from red to yellow. A user's FLAME texture takes its place where it is given.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dubplate_backend.head.appearance import vertex_colours
from dubplate_backend.head.model import HeadModel
from dubplate_backend.tracking.surface_points import skin

GAUSSIAN_PROCESS = "gaussian-process/1"
COMPONENTS = 120
SAMPLES = 900
# (reach in metres, deviation of the albedo): a person's tone, the face's large patches, lips and beard, small marks.
SCALES = ((0.200, 0.16), (0.040, 0.05), (0.012, 0.05), (0.006, 0.03))
# Lightness, then red against blue, then green against both; deviations in the order of an RGB camera's skin tones: the
# first explains nine tenths (Tsumura et al. 1999, melanin and haemoglobin).
COLOUR_AXES = (((0.66, 0.57, 0.49), 1.0), ((0.70, -0.15, -0.70), 0.28), ((-0.32, 0.81, -0.49), 0.14))
DETAIL_PER_VIEW = 1.0  # views at which a vertex's own colour counts as much as the model's
LEAST, MOST = 0.01, 1.0


@dataclass(frozen=True)
class AlbedoModel:
    """albedo = mean + basis code.   mean: [V, 3].  basis: [V, 3, K] at unit deviation.  Linear RGB, float32.
    kind: where it is from."""

    mean: Tensor
    basis: Tensor
    kind: str

    def of(self, code: Tensor) -> Tensor:
        """code: [K].  Returns [V, 3]."""
        return (self.mean + self.basis @ code).clamp(LEAST, MOST)


def gaussian_process_albedo(head: HeadModel) -> AlbedoModel:
    """Our own model, on any head. Deterministic."""
    points = head.template.double()
    mean = vertex_colours(head).double()
    chosen = torch.nonzero(skin(head))[:, 0]
    chosen = chosen[torch.linspace(0, len(chosen) - 1, min(SAMPLES, len(chosen))).long()]
    samples = points[chosen]

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        squared = torch.cdist(a, b).square()
        return sum((deviation**2 * torch.exp(-squared / (2 * reach**2)) for reach, deviation in SCALES), 0 * squared)

    variance, modes = torch.linalg.eigh(kernel(samples, samples))  # ascending
    candidates = [
        (float(value) * strength**2, index, axis, strength)
        for axis, strength in COLOUR_AXES
        for index, value in enumerate(variance)
    ]
    kept = sorted(candidates, key=lambda item: -item[0])[:COMPONENTS]
    carried = kernel(points, samples)  # [V, M]; Nyström
    basis = torch.zeros(len(points), 3, len(kept), dtype=torch.float64)
    for column, (_, index, axis, strength) in enumerate(kept):
        mode = carried @ modes[:, index] / variance[index].sqrt()  # [V]
        basis[..., column] = strength * mode[:, None] * torch.tensor(axis, dtype=torch.float64)
    # Colours are ratios: dark skin and lips vary less than light skin.
    basis = basis * (mean / mean[chosen].mean()).clamp(0.3, 1.5)[..., None]
    return AlbedoModel(mean.float(), basis.float(), GAUSSIAN_PROCESS)


@dataclass(frozen=True)
class Albedo:
    """One person's. code: [K] in the model.  vertices: [V, 3] linear RGB, with his own detail.  points: [N, 3], what
    the points that are compared show themselves; None where only vertices are known."""

    code: Tensor
    vertices: Tensor
    points: Tensor | None = None


def solve_albedo(model: AlbedoModel, colours: Tensor, shaded: Tensor, weight: Tensor, *, detail: bool = True) -> Albedo:
    """The albedo under which vertices lit by `shaded` [T, V, 3] look like `colours` [T, V, 3], both linear.

    weight: [T, V], 0 where a vertex is not seen.   Vertices that are seen often keep what they show, others what the
    model says of them.
    """
    weight = weight[..., None]
    heard = (weight * shaded.square()).sum(0)  # [V, 3]
    shown = (weight * shaded * colours).sum(0) / heard.clamp(min=1e-6)
    # Again without what disagrees: highlights, hands, hair.
    error = (colours - shown * shaded).square().mean(-1, keepdim=True)
    weight = weight / (1 + error / 0.03**2)
    heard = (weight * shaded.square()).sum(0)
    shown = ((weight * shaded * colours).sum(0) / heard.clamp(min=1e-6)).clamp(LEAST, MOST)

    strength = heard.mean(-1)  # [V]
    known = strength > 1e-3
    noise = 0.05
    basis = model.basis[known].double()  # [N, 3, K]
    trust = (strength[known].clamp(max=3.0) / noise**2).double()
    # Neighbouring vertices err together: as if one in ten were independent.
    trust = trust / 10
    off = (shown - model.mean)[known].double()
    curvature = torch.einsum("nck,n,ncl->kl", basis, trust, basis) + torch.eye(basis.shape[-1], dtype=torch.float64)
    right = torch.einsum("nck,n,nc->k", basis, trust, off)
    code = torch.linalg.solve(curvature, right).float()
    likely = model.of(code)
    share = (strength / (strength + DETAIL_PER_VIEW))[:, None]
    return Albedo(code, likely + share * (shown - likely))
