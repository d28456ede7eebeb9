# SPDX-License-Identifier: Apache-2.0
"""The synthetic actor, and his picture: skin, eyes, mouth and pullover under the set's light.

Diffuse light by spherical harmonics with a shadowed key; normalised Blinn-Phong highlights; light that reaches into
the mouth falls off with the depth behind the lips.  Red scatters furthest in skin, so fine relief bends its normal
least (Ma et al. 2007, "Rapid acquisition of specular and diffuse normal maps").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

from dubplate_backend.head.model import HeadModel
from dubplate_backend.head.skinning import axis_angle_to_matrix
from dubplate_backend.raster.camera import to_camera, vertices_to_screen
from dubplate_backend.raster.rasterise import rasterise
from dubplate_backend.raster.shading import linear_to_srgb, vertex_normals
from dubplate_backend.synthetic.body import Body, dress, knit_relief
from dubplate_backend.synthetic.light import (
    WINDOW_LIGHT,
    Set,
    ambient_irradiance,
    harmonics,
    lamp_irradiance,
    lit,
    openness,
    sample,
)  # fmt: skip
from dubplate_backend.synthetic.skin import Skin, paint

SUPERSAMPLE = 2
_BODY_FOLLOWS = 0.25  # of the head's turn
_LIP_DEPTH_M = 0.016  # light into the mouth falls to 1/e over this much behind the lips
_RELIEF_SHARE = (0.45, 0.80, 0.95)  # how much of the relief each colour sees
_MOUTH_OCCLUSION_JAW_RAD = np.radians(12.0)
_FRESNEL = 0.03  # of skin and saliva, refractive index about 1.4
_EXPOSURE = 1.12
_GRAIN = 0.9 / 255  # standard deviation, display-referred
_LANDMARK_LIPS = (13, 14)


@dataclass(frozen=True)
class Pose:
    """One frame of a track.  expression [100], jaw, neck [3], eyes [6], eyelids [2], rotation, translation [3]."""

    expression: Tensor
    jaw: Tensor
    neck: Tensor
    eyes: Tensor
    eyelids: Tensor
    rotation: Tensor
    translation: Tensor


@dataclass(frozen=True)
class Actor:
    """A person on a head model, dressed and painted; made by `cast`."""

    head: HeadModel
    shape: Tensor  # [300]
    texture: Tensor  # [1, 8, H, W] of Skin.stacked
    body: Body
    light: Set
    faces: Tensor  # [F, 3] head, then body
    corner_attributes: Tensor  # [F, 3, 5]: u, v, openness, mouth, knit height
    head_faces: int


def cast(head: HeadModel, shape: Tensor, *, seed: int, light: Set = WINDOW_LIGHT, texture_size: int = 1024) -> Actor:
    """A synthetic person.   shape: [300].  A few seconds; deterministic in the seed."""
    skin: Skin = paint(head, shape, seed=seed, size=texture_size)
    body = dress(head, shape, seed=seed)
    faces = torch.cat([head.faces, body.faces + head.vertex_count])
    free = _ambient_openness(head, shape, body, faces)  # [V + N]
    mouth = torch.cat([head.masks["mouth"].float(), torch.zeros(len(body.vertices))])
    knit = np.concatenate([np.zeros(head.vertex_count), knit_relief(body.vertices.numpy(), float(body.pivot[1]))])
    vertex = torch.stack([free, mouth, torch.from_numpy(knit.astype(np.float32))], dim=-1)  # [V + N, 3]
    uv = torch.cat([head.uv[head.faces_uv], torch.zeros(len(body.faces), 3, 2)])  # [F, 3, 2]
    attributes = torch.cat([uv, vertex[faces]], dim=-1)
    return Actor(head, shape, skin.stacked(), body, light, faces, attributes, len(head.faces))


def picture(
    actor: Actor, pose: Pose, intrinsics: Tensor, background: Tensor, *, grain: np.random.Generator
) -> np.ndarray:
    """The actor before a background.   intrinsics: [4] px.   background: [S, S, 3] linear light.

    Returns uint8 [S, S, 3], sRGB.
    """
    size = background.shape[0]
    colour, coverage = _render(actor, pose, intrinsics * SUPERSAMPLE, size * SUPERSAMPLE)
    samples = torch.cat([colour, coverage[..., None]], dim=-1).permute(2, 0, 1)[None]
    linear = avg_pool2d(samples, SUPERSAMPLE)[0].permute(1, 2, 0)  # [S, S, 4]
    linear = linear[..., :3] + (1 - linear[..., 3:]) * background
    display = linear_to_srgb(_shoulder(linear * _EXPOSURE)).numpy()
    display = display + grain.normal(0.0, _GRAIN, (size, size, 1)) + grain.normal(0.0, 0.5 * _GRAIN, display.shape)
    return np.round(np.clip(display, 0, 1) * 255).astype(np.uint8)


def _render(actor: Actor, pose: Pose, intrinsics: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Premultiplied linear colour [S, S, 3] and coverage [S, S]."""
    posed, lips_z = _posed(actor, pose)
    camera = _to_camera(actor, posed, pose)  # [V + N, 3]
    normals = vertex_normals(camera[None], actor.faces)[0]
    screen = vertices_to_screen(camera[None], intrinsics[None], None, None)
    fragments = rasterise(screen, actor.faces, size, size)
    chosen = torch.nonzero(fragments.pix_to_face.flatten() >= 0).squeeze(-1)  # [N]
    face = fragments.pix_to_face.flatten()[chosen]
    barycentrics = fragments.bary_coords.reshape(-1, 3)[chosen]
    depth = torch.cat([lips_z - posed[:, 2], torch.zeros(len(actor.body.vertices))])  # [V + N]
    vertex = torch.cat([camera, normals, depth[:, None]], dim=-1)  # [V + N, 7]

    def at_pixels(corners: Tensor) -> Tensor:  # [N, 3, C] -> [N, C]
        return (barycentrics[..., None] * corners).sum(1)

    point, normal, behind = at_pixels(vertex[actor.faces[face]]).split((3, 3, 1), dim=-1)
    uv, free, mouth, knit = at_pixels(actor.corner_attributes[face]).split((2, 1, 1, 1), dim=-1)
    is_head = face < actor.head_faces
    surface = sample(actor.texture, uv)  # [N, 8]
    body_colour = torch.cat([torch.zeros(actor.head.vertex_count, 3), actor.body.colours])
    cloth = at_pixels(body_colour[actor.faces[face]]) * (1 + 0.35 * knit)
    albedo = torch.where(is_head[:, None], surface[:, :3], cloth)
    gloss, wet = (torch.where(is_head, surface[:, index], torch.zeros(len(face))) for index in (3, 4))
    turn = axis_angle_to_matrix(pose.rotation)  # [3, 3]
    relief = torch.where(is_head[:, None], surface[:, 5:], torch.zeros(len(face), 3)) @ turn.T
    inward = torch.exp(-behind.clamp(min=0) / _LIP_DEPTH_M)
    free = free * torch.lerp(torch.ones_like(inward), inward, mouth)
    sunlit = lit(point, camera, actor.faces, actor.light.key.direction)[:, None]
    sunlit = sunlit * torch.lerp(torch.ones_like(inward), inward, mouth)
    radiance = _radiance(actor.light, point, normal, relief, albedo, gloss, wet, free, sunlit)
    colour = torch.zeros(size * size, 3).index_copy(0, chosen, radiance).view(size, size, 3)
    return colour, fragments.covered[0].float()


def _radiance(
    light: Set, point: Tensor, normal: Tensor, relief: Tensor, albedo: Tensor,
    gloss: Tensor, wet: Tensor, free: Tensor, sunlit: Tensor,
) -> Tensor:  # fmt: skip
    """Linear radiance [N, 3].  point, normal, relief, albedo: [N, 3]; gloss, wet: [N]; free, sunlit: [N, 1]."""
    view = normalize(-point, dim=-1)
    smooth = normalize(normal, dim=-1)
    smooth = torch.where((smooth * view).sum(-1, keepdim=True) < 0, -smooth, smooth)
    bent = normalize(smooth - (relief - (relief * smooth).sum(-1, keepdim=True) * smooth), dim=-1)
    share = albedo.new_tensor(_RELIEF_SHARE)
    around = ambient_irradiance(light) + sum(lamp_irradiance(lamp) for lamp in light.lamps)
    both = torch.from_numpy(np.concatenate([around, lamp_irradiance(light.key)], axis=1)).float()  # [9, 6]
    coarse, fine = (harmonics(direction) @ both for direction in (smooth, bent))  # [N, 6]
    share6 = share.repeat(2)
    irradiance = (coarse * (1 - share6) + fine * share6).clamp(min=0)
    scattered = sunlit ** albedo.new_tensor((0.80, 1.0, 1.05))  # light bleeds into shadow, red furthest
    diffuse = albedo * (irradiance[:, :3] * free + irradiance[:, 3:] * scattered)

    exponent = 14 + 160 * wet[:, None] ** 2
    grazing = _FRESNEL + (0.35 - _FRESNEL) * (1 - (bent * view).sum(-1, keepdim=True).clamp(0, 1)) ** 5
    for lamp, reaches in ((light.key, sunlit), *((lamp, free) for lamp in light.lamps)):
        direction = normalize(albedo.new_tensor(lamp.direction), dim=0)
        half = normalize(view + direction, dim=-1)
        lobe = (exponent + 8) / 8 * (bent * half).sum(-1, keepdim=True).clamp(min=0) ** exponent
        facing = (bent @ direction)[:, None].clamp(min=0)
        diffuse = diffuse + gloss[:, None] * grazing * lobe * facing * reaches * albedo.new_tensor(lamp.colour)
    return diffuse


def _posed(actor: Actor, pose: Pose) -> tuple[Tensor, Tensor]:
    """Head vertices [V, 3] in head space, and the z of the lips' inner edge."""
    vertices = actor.head.vertices(
        actor.shape, pose.expression[None], pose.jaw[None], pose.neck[None], pose.eyes[None], pose.eyelids[None]
    )
    lips = actor.head.landmarks(vertices)[0, list(_LANDMARK_LIPS), 2].mean()
    return vertices[0], lips


def _to_camera(actor: Actor, posed: Tensor, pose: Pose) -> Tensor:
    """[V + N, 3] head and body; the body turns with a part of the head's turn about the neck's foot."""
    head = to_camera(posed[None], pose.rotation[None], pose.translation[None])[0]
    upright = torch.tensor([np.pi, 0.0, 0.0], dtype=torch.float32)
    turn = axis_angle_to_matrix(pose.rotation)
    still = axis_angle_to_matrix(upright)
    lean = turn @ still.T  # [3, 3]
    part = torch.from_numpy(_partial(lean.double().numpy(), _BODY_FOLLOWS)).float()
    pivot = turn @ actor.body.pivot + pose.translation
    body = (actor.body.vertices - actor.body.pivot) @ (part @ still).T + pivot
    return torch.cat([head, body])


def _partial(rotation: np.ndarray, share: float) -> np.ndarray:
    from dubplate_shared.rotations import axis_angle_from_matrix, matrix_from_axis_angle

    return matrix_from_axis_angle(share * axis_angle_from_matrix(rotation))


def _ambient_openness(head: HeadModel, shape: Tensor, body: Body, faces: Tensor) -> Tensor:
    """[V + N] at rest; inside the mouth with the jaw open, as the mouth is only seen then."""
    still = torch.zeros(1, 100)
    shut, opened = (
        torch.cat([head.vertices(shape, still, torch.tensor([[angle, 0.0, 0.0]]))[0], body.vertices])
        for angle in (0.0, float(_MOUTH_OCCLUSION_JAW_RAD))
    )
    closed_free, open_free = (openness(mesh, vertex_normals(mesh[None], faces)[0], faces) for mesh in (shut, opened))
    inside = torch.cat([head.masks["mouth"], torch.zeros(len(body.vertices), dtype=torch.bool)])
    return torch.where(inside, open_free, closed_free).clamp(0.05, 1.0) ** 0.8


def _shoulder(linear: Tensor) -> Tensor:
    """A film's soft highlights: straight up to 0.7, then towards 1."""
    over = (linear - 0.7).clamp(min=0)
    return linear.clamp(max=0.7) + 0.3 * (1 - torch.exp(-over / 0.3))
