# SPDX-License-Identifier: Apache-2.0
"""The synthetic actor: a head model painted, dressed and lit, and his picture in a pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dubplate_backend.head.model import HeadModel
from dubplate_backend.raster.camera import Z_NEAR, to_camera, vertices_to_screen
from dubplate_backend.raster.numba_kernel import rasterise_numba
from dubplate_backend.raster.rasterise import MIN_DOUBLE_AREA_PX
from dubplate_backend.raster.shading import linear_to_srgb, vertex_normals
from dubplate_backend.synthetic.body import Body, dress
from dubplate_backend.synthetic.hair import Hair, grow, strand_corners
from dubplate_backend.synthetic.light import (
    WINDOW_LIGHT,
    Set,
    lamp_irradiance,
    openness,
    shadow_map,
    soft_irradiance,
)
from dubplate_backend.synthetic.photograph import CLOTH, HAIR, Lighting, Materials, expose
from dubplate_backend.synthetic.skin import DEMO_COMPLEXION, Complexion, paint
from dubplate_shared.rotations import axis_angle_from_matrix, matrix_from_axis_angle

SAMPLES = 2  # a pixel, each way: what `expose` averages
_BODY_FOLLOWS = 0.25  # of the head's turn
_MOUTH_OCCLUSION_JAW_RAD = float(np.radians(12.0))
_LEAST_OPENNESS, _LEAST_MOUTH_OPENNESS, _OPENNESS_GAMMA = (
    0.05,
    0.30,
    0.8,
)  # light that has bounced reaches where none comes straight
_EXPOSURE = 1.12
_GRAIN = 0.9 / 255  # standard deviation, display-referred
_KNEE = 0.7  # highlights bend from here on
_INNER_LIPS_MIDDLE = (13, 14)


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
    """A person on a head model; made by `cast`.  openness: (N,) of the head's, the body's and the hair's vertices."""

    head: HeadModel
    shape: Tensor  # [300]
    body: Body
    hair: Hair
    materials: Materials
    light: Set
    openness: np.ndarray


def cast(
    head: HeadModel,
    shape: Tensor,
    *,
    seed: int,
    light: Set = WINDOW_LIGHT,
    texture_size: int = 1024,
    complexion: Complexion = DEMO_COMPLEXION,
    cloth: tuple[float, float, float] = CLOTH,
    hair_colour: tuple[float, float, float] = HAIR,
) -> Actor:
    """A synthetic person.   shape: [300].  cloth, hair_colour: linear RGB.  Some seconds; deterministic in the seed."""
    body, hair = dress(head, shape), grow(head, shape, seed=seed)
    bald = np.concatenate([head.faces.numpy(), body.faces + head.vertex_count])
    faces = np.concatenate([bald, hair.faces + head.vertex_count + len(body.vertices)])
    uv = np.concatenate([head.uv[head.faces_uv].numpy(), body.uv, strand_corners(hair)]).astype(np.float32)
    texture = paint(head, shape, seed=seed, size=texture_size, complexion=complexion).stacked()
    strands = np.random.default_rng((seed, 0x4A12)).uniform(-1, 1, (256, 256)).astype(np.float32)
    materials = Materials(faces, len(head.faces), len(bald), uv, texture, strands, cloth, hair_colour)
    return Actor(head, shape, body, hair, materials, light, _ambient_openness(head, shape, body, hair, bald))


def picture(
    actor: Actor, pose: Pose, intrinsics: Tensor, background: np.ndarray, *, grain: np.random.Generator
) -> np.ndarray:
    """The actor before a background.   intrinsics: [4] px.   background: (S, S, 3) linear light.

    Returns uint8 (S, S, 3), sRGB.
    """
    size = len(background)
    pixels = _render(actor, pose, intrinsics * SAMPLES, size * SAMPLES)
    linear = pixels[..., :3] + (1 - pixels[..., 3:]) * background
    display = linear_to_srgb(torch.from_numpy(_highlights(linear * _EXPOSURE))).numpy()
    display = display + grain.normal(0.0, _GRAIN, (size, size, 1)) + grain.normal(0.0, 0.5 * _GRAIN, display.shape)
    return np.round(np.clip(display, 0, 1) * 255).astype(np.uint8)


def _render(actor: Actor, pose: Pose, intrinsics: Tensor, size: int) -> np.ndarray:
    """(size / 2, size / 2, 4) premultiplied linear colour and coverage.   intrinsics, size: of the samples."""
    posed = actor.head.vertices(
        actor.shape, pose.expression[None], pose.jaw[None], pose.neck[None], pose.eyes[None], pose.eyelids[None]
    )  # [1, V, 3]
    lips_z = actor.head.landmarks(posed)[0, list(_INNER_LIPS_MIDDLE), 2].mean()
    camera = _in_camera(actor, posed, pose)  # [1, V + N, 3]
    points, normals = _with_hair(actor, camera)
    faces = torch.from_numpy(actor.materials.faces)
    screen = vertices_to_screen(torch.from_numpy(points)[None], intrinsics[None], None, None)
    bald = actor.materials.bald_faces
    bald_ids, hair_ids = (
        rasterise_numba(screen, chosen, size, size, Z_NEAR, MIN_DOUBLE_AREA_PX)[0].numpy()
        for chosen in (faces[:bald], faces[bald:])
    )
    light, head_count = actor.light, actor.head.vertex_count
    turn = matrix_from_axis_angle(pose.rotation.double().numpy())
    vertices = np.zeros((len(points), 13), np.float32)
    vertices[:, :3], vertices[:, 3:6], vertices[:, 7] = points, normals, actor.openness
    vertices[:head_count, 6] = (lips_z - posed[0, :, 2]).numpy()
    vertices[:head_count, 8] = actor.head.masks["mouth"].numpy()
    vertices[len(points) - len(actor.hair.density) :, 9] = actor.hair.density
    vertices[len(points) - len(actor.hair.density) :, 10:] = actor.hair.flow @ turn.T
    lighting = Lighting(
        soft=soft_irradiance(light),
        key=lamp_irradiance(light.key),
        lamps=np.array([np.concatenate([lamp.unit, lamp.colour]) for lamp in (light.key, *light.lamps)]),
        shadow=shadow_map(points, actor.materials.faces, light.key.unit),
    )
    return expose(bald_ids, hair_ids, screen[0].numpy(), vertices, actor.materials, lighting, turn)


def _with_hair(actor: Actor, camera: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Points and normals of head, body and hair, (N, 3) each.   camera: [1, V + B, 3] of head and body."""
    bald = torch.from_numpy(actor.materials.faces[: actor.materials.bald_faces])
    normals = vertex_normals(camera, bald)[0].numpy()
    hair, hair_normals = actor.hair.posed(camera[0].numpy(), normals)
    points = np.concatenate([camera[0].numpy(), hair]).astype(np.float32)
    return points, np.concatenate([normals, hair_normals])


def _in_camera(actor: Actor, posed: Tensor, pose: Pose) -> Tensor:
    """[1, V + N, 3] head and body; the body turns with a part of the head's turn about the neck's foot."""
    head = to_camera(posed, pose.rotation[None], pose.translation[None])
    upright = matrix_from_axis_angle(np.array([np.pi, 0.0, 0.0]))
    turn = matrix_from_axis_angle(pose.rotation.double().numpy())
    lean = matrix_from_axis_angle(_BODY_FOLLOWS * axis_angle_from_matrix(turn @ upright.T))
    pivot = turn @ actor.body.pivot + pose.translation.double().numpy()
    body = (actor.body.vertices - actor.body.pivot) @ (lean @ upright).T + pivot
    return torch.cat([head, torch.from_numpy(body.astype(np.float32))[None]], dim=1)


def _ambient_openness(head: HeadModel, shape: Tensor, body: Body, hair: Hair, bald: np.ndarray) -> np.ndarray:
    """(N,) at rest; inside the mouth with the jaw open, as the mouth is only seen then."""
    free = []
    for angle in (0.0, _MOUTH_OCCLUSION_JAW_RAD):
        posed = head.vertices(shape, torch.zeros(1, 100), torch.tensor([[angle, 0.0, 0.0]]))[0].numpy()
        mesh = np.concatenate([posed, body.vertices])
        normals = vertex_normals(torch.from_numpy(mesh)[None], torch.from_numpy(bald))[0].numpy()
        free.append(openness(mesh, normals, bald))
    mouth = np.concatenate([head.masks["mouth"].numpy(), np.zeros(len(body.vertices), bool)])
    bare = np.where(mouth, np.maximum(free[1], _LEAST_MOUTH_OPENNESS), free[0])
    under_hair = (hair.weights * bare[hair.corners]).sum(axis=1)
    chosen = np.concatenate([bare, under_hair])
    return (np.clip(chosen, _LEAST_OPENNESS, 1.0) ** _OPENNESS_GAMMA).astype(np.float32)


def _highlights(linear: np.ndarray) -> np.ndarray:
    """A film's soft shoulder: straight up to the knee, then towards 1."""
    over = np.maximum(linear - _KNEE, 0.0)
    return (np.minimum(linear, _KNEE) + (1 - _KNEE) * (1 - np.exp(-over / (1 - _KNEE)))).astype(np.float32)
