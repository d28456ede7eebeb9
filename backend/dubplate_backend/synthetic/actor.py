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
from dubplate_backend.synthetic.light import (
    WINDOW_LIGHT,
    Set,
    lamp_irradiance,
    openness,
    shadow_map,
    soft_irradiance,
)
from dubplate_backend.synthetic.photograph import Lighting, Materials, expose
from dubplate_backend.synthetic.skin import paint
from dubplate_shared.rotations import axis_angle_from_matrix, matrix_from_axis_angle

SUPERSAMPLE = 2
_BODY_FOLLOWS = 0.25  # of the head's turn
_MOUTH_OCCLUSION_JAW_RAD = float(np.radians(12.0))
_LEAST_OPENNESS, _OPENNESS_GAMMA = 0.05, 0.8  # light that has bounced reaches where none comes straight
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
    """A person on a head model; made by `cast`.  openness, mouth: (V + N,) of the head's vertices, then the body's."""

    head: HeadModel
    shape: Tensor  # [300]
    body: Body
    materials: Materials
    light: Set
    openness: np.ndarray
    mouth: np.ndarray


def cast(head: HeadModel, shape: Tensor, *, seed: int, light: Set = WINDOW_LIGHT, texture_size: int = 1024) -> Actor:
    """A synthetic person.   shape: [300].  Some seconds; deterministic in the seed."""
    body = dress(head, shape)
    faces = np.concatenate([head.faces.numpy(), body.faces + head.vertex_count])
    uv = np.concatenate([head.uv[head.faces_uv].numpy(), body.uv]).astype(np.float32)
    texture = paint(head, shape, seed=seed, size=texture_size).stacked()
    mouth = np.concatenate([head.masks["mouth"].numpy(), np.zeros(len(body.vertices), bool)])
    return Actor(
        head, shape, body, Materials(faces, len(head.faces), uv, texture), light,
        _ambient_openness(head, shape, body, faces, mouth), mouth.astype(np.float32),
    )  # fmt: skip


def picture(
    actor: Actor, pose: Pose, intrinsics: Tensor, background: np.ndarray, *, grain: np.random.Generator
) -> np.ndarray:
    """The actor before a background.   intrinsics: [4] px.   background: (S, S, 3) linear light.

    Returns uint8 (S, S, 3), sRGB.
    """
    size = len(background)
    samples = _render(actor, pose, intrinsics * SUPERSAMPLE, size * SUPERSAMPLE)
    pixels = samples.reshape(size, SUPERSAMPLE, size, SUPERSAMPLE, 4).mean(axis=(1, 3))
    linear = pixels[..., :3] + (1 - pixels[..., 3:]) * background
    display = linear_to_srgb(torch.from_numpy(_highlights(linear * _EXPOSURE))).numpy()
    display = display + grain.normal(0.0, _GRAIN, (size, size, 1)) + grain.normal(0.0, 0.5 * _GRAIN, display.shape)
    return np.round(np.clip(display, 0, 1) * 255).astype(np.uint8)


def _render(actor: Actor, pose: Pose, intrinsics: Tensor, size: int) -> np.ndarray:
    """(size, size, 4) premultiplied linear colour and coverage."""
    posed = actor.head.vertices(
        actor.shape, pose.expression[None], pose.jaw[None], pose.neck[None], pose.eyes[None], pose.eyelids[None]
    )  # [1, V, 3]
    lips_z = actor.head.landmarks(posed)[0, list(_INNER_LIPS_MIDDLE), 2].mean()
    camera = _in_camera(actor, posed, pose)  # [1, V + N, 3]
    normals = vertex_normals(camera, torch.from_numpy(actor.materials.faces))[0].numpy()
    screen = vertices_to_screen(camera, intrinsics[None], None, None)
    ids = rasterise_numba(screen, torch.from_numpy(actor.materials.faces), size, size, Z_NEAR, MIN_DOUBLE_AREA_PX)[
        0
    ].numpy()
    behind = np.zeros(len(normals), np.float32)
    behind[: actor.head.vertex_count] = (lips_z - posed[0, :, 2]).numpy()
    points = camera[0].numpy()
    vertices = np.column_stack([points, normals, behind, actor.openness, actor.mouth]).astype(np.float32)  # (V + N, 9)
    light = actor.light
    lighting = Lighting(
        soft=soft_irradiance(light),
        key=lamp_irradiance(light.key),
        lamps=np.array([np.concatenate([lamp.unit, lamp.colour]) for lamp in (light.key, *light.lamps)]),
        shadow=shadow_map(points, actor.materials.faces, light.key.unit),
    )
    turn = matrix_from_axis_angle(pose.rotation.double().numpy())
    return expose(ids, screen[0].numpy(), vertices, actor.materials, lighting, turn)


def _in_camera(actor: Actor, posed: Tensor, pose: Pose) -> Tensor:
    """[1, V + N, 3] head and body; the body turns with a part of the head's turn about the neck's foot."""
    head = to_camera(posed, pose.rotation[None], pose.translation[None])
    upright = matrix_from_axis_angle(np.array([np.pi, 0.0, 0.0]))
    turn = matrix_from_axis_angle(pose.rotation.double().numpy())
    lean = matrix_from_axis_angle(_BODY_FOLLOWS * axis_angle_from_matrix(turn @ upright.T))
    pivot = turn @ actor.body.pivot + pose.translation.double().numpy()
    body = (actor.body.vertices - actor.body.pivot) @ (lean @ upright).T + pivot
    return torch.cat([head, torch.from_numpy(body.astype(np.float32))[None]], dim=1)


def _ambient_openness(head: HeadModel, shape: Tensor, body: Body, faces: np.ndarray, mouth: np.ndarray) -> np.ndarray:
    """(V + N,) at rest; inside the mouth with the jaw open, as the mouth is only seen then."""
    free = []
    for angle in (0.0, _MOUTH_OCCLUSION_JAW_RAD):
        posed = head.vertices(shape, torch.zeros(1, 100), torch.tensor([[angle, 0.0, 0.0]]))[0].numpy()
        mesh = np.concatenate([posed, body.vertices])
        normals = vertex_normals(torch.from_numpy(mesh)[None], torch.from_numpy(faces))[0].numpy()
        free.append(openness(mesh, normals, faces))
    chosen = np.where(mouth, free[1], free[0])
    return np.clip(chosen, _LEAST_OPENNESS, 1.0).astype(np.float32) ** _OPENNESS_GAMMA


def _highlights(linear: np.ndarray) -> np.ndarray:
    """A film's soft shoulder: straight up to the knee, then towards 1."""
    over = np.maximum(linear - _KNEE, 0.0)
    return (np.minimum(linear, _KNEE) + (1 - _KNEE) * (1 - np.exp(-over / (1 - _KNEE)))).astype(np.float32)
