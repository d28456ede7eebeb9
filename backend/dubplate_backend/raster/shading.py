# SPDX-License-Identifier: Apache-2.0
"""Lit pictures of meshes, for previews and turntables.

Lambert with a wrap of light round the terminator, a Blinn-Phong highlight and a sky-and-ground ambient, computed in
linear light and encoded as sRGB.  Not a material model: a clay bust that shows form.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

from dubplate_backend.raster.camera import vertices_to_screen
from dubplate_backend.raster.fragments import interpolate
from dubplate_backend.raster.rasterise import Backend, rasterise

CLAY = (0.62, 0.47, 0.40)
"""Linear RGB of a mesh that brings no colours: a light skin tone."""


@dataclass(frozen=True)
class Light:
    """A lamp at infinity in camera axes: `direction` points from the scene to the lamp (x right, y down, z forward)."""

    direction: tuple[float, float, float]
    colour: tuple[float, float, float]  # linear RGB


@dataclass(frozen=True)
class Lighting:
    """Lamps, and an ambient that blends from the ground's colour to the sky's with the normal."""

    lamps: tuple[Light, ...]
    sky: tuple[float, float, float]
    ground: tuple[float, float, float]
    wrap: float = 0.25  # how far light reaches round the terminator, 0..1, as skin's scattering does
    gloss: float = 0.05  # strength of the highlight
    shininess: float = 18.0  # Blinn-Phong exponent


STUDIO = Lighting(
    lamps=(
        Light((-0.55, -0.55, -0.75), (0.95, 0.92, 0.88)),  # key: above, to the left of the picture
        Light((0.9, -0.1, -0.5), (0.22, 0.25, 0.30)),  # fill
        Light((0.3, -0.7, 0.8), (0.35, 0.36, 0.40)),  # rim, from behind
    ),
    sky=(0.20, 0.21, 0.23),
    ground=(0.10, 0.085, 0.075),
)


def shade(
    vertices_cam: Tensor,
    faces: Tensor,
    intrinsics: Tensor,
    height: int,
    width: int,
    *,
    colours: Tensor | None = None,
    crop: Tensor | None = None,
    lighting: Lighting = STUDIO,
    supersample: int = 3,
    backend: Backend | str = Backend.AUTO,
) -> Tensor:
    """A lit, antialiased picture of any mesh.

    vertices_cam: [B, V, 3] metres, camera space.   faces: [F, 3] int64.   intrinsics: [B, 4] plate px.
    colours: [V, 3] or [B, V, 3], linear RGB of each vertex; None: clay.   crop: [B, 2, 3] plate px -> unit square
    (then `height` = `width` = the crop's size), or None for the plate itself.
    supersample: samples along each side of a pixel.
    Returns [B, height, width, 4]: premultiplied RGB encoded as sRGB, 0..1, and coverage.  Lay it on a plate by `over`.
    """
    scale = supersample
    screen = vertices_to_screen(vertices_cam, intrinsics, crop, width)  # [B, V, 3]
    screen = screen * screen.new_tensor([scale, scale, 1.0])
    fragments = rasterise(screen, faces, height * scale, width * scale, backend)

    batch = vertices_cam.shape[0]
    if colours is None:
        colours = vertices_cam.new_tensor(CLAY).expand(vertices_cam.shape[1], 3)
    colours = colours.expand(batch, -1, -1)  # [B, V, 3]
    attributes = torch.cat([vertices_cam, vertex_normals(vertices_cam, faces), colours], dim=-1)  # [B, V, 9]
    position, normal, albedo = interpolate(fragments, attributes[:, faces]).split(3, dim=-1)  # [B, H, W, 3] each
    picture = linear_to_srgb(_light(position, normal, albedo, lighting))
    coverage = fragments.covered.to(picture.dtype)[..., None]
    samples = torch.cat([picture * coverage, coverage], dim=-1)  # [B, H, W, 4]
    # Averaged after encoding: silhouettes then look even on a display, where the picture is judged.
    return avg_pool2d(samples.permute(0, 3, 1, 2), scale).permute(0, 2, 3, 1)


def over(picture: Tensor, background: Tensor) -> Tensor:
    """Lay what `shade` returns on a background.

    picture: [B, H, W, 4] premultiplied.   background: [..., 3], display-referred 0..1, broadcast to the picture.
    Returns [B, H, W, 3].
    """
    return picture[..., :3] + (1.0 - picture[..., 3:]) * background


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Unit normals, area-weighted over a vertex's faces, along (b - a) x (c - a).

    vertices: [B, V, 3].   faces: [F, 3] int64.   Returns [B, V, 3]; zero where a vertex has no face of any area.
    """
    a, b, c = vertices[:, faces].unbind(2)  # [B, F, 3]
    weighted = torch.linalg.cross(b - a, c - a)  # [B, F, 3], length = twice the area
    sums = torch.zeros_like(vertices)
    for corner in range(3):
        sums = sums.index_add(1, faces[:, corner], weighted)
    return normalize(sums, dim=-1, eps=1e-20)


def linear_to_srgb(linear: Tensor) -> Tensor:
    """IEC 61966-2-1.  Clamped to 0..1."""
    linear = linear.clamp(0.0, 1.0)
    curve = 1.055 * linear.clamp(min=0.0031308).pow(1.0 / 2.4) - 0.055
    return torch.where(linear <= 0.0031308, 12.92 * linear, curve)


def srgb_to_linear(encoded: Tensor) -> Tensor:
    """The inverse of `linear_to_srgb`, of 0..1."""
    return torch.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055).pow(2.4))


def _light(position: Tensor, normal: Tensor, albedo: Tensor, lighting: Lighting) -> Tensor:
    """Linear radiance [B, H, W, 3] of points [m] with normals and albedo, all [B, H, W, 3], in camera axes."""
    view = normalize(-position, dim=-1)
    normal = normalize(normal, dim=-1)
    # Seen from inside, a surface is lit from inside: the back of an open mesh is not black.
    normal = torch.where((normal * view).sum(-1, keepdim=True) < 0, -normal, normal)
    upward = 0.5 - 0.5 * normal[..., 1:2]  # y points down
    ambient = torch.lerp(albedo.new_tensor(lighting.ground), albedo.new_tensor(lighting.sky), upward)
    radiance = albedo * ambient
    for lamp in lighting.lamps:
        direction = normalize(albedo.new_tensor(lamp.direction), dim=0)
        colour = albedo.new_tensor(lamp.colour)
        facing = (normal @ direction)[..., None]
        diffuse = ((facing + lighting.wrap) / (1.0 + lighting.wrap)).clamp(min=0.0)
        half = normalize(view + direction, dim=-1)
        highlight = (normal * half).sum(-1, keepdim=True).clamp(min=0.0) ** lighting.shininess
        radiance = radiance + colour * (albedo * diffuse + lighting.gloss * highlight * (facing > 0))
    return radiance
