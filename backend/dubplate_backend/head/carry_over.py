# SPDX-License-Identifier: Apache-2.0
"""What FLAME lacks, carried over from the stand-in by registered closest points.

The stand-in is laid over FLAME's skin; then every one of its surface points has a place there, and every vertex of
FLAME's a place on the stand-in: for landmarks, UV, masks and eyelids.  The mouth's interior is taken over whole.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy import ndarray

from dubplate_backend.head.flame_files import JAW_JOINT, LandmarkEmbedding
from dubplate_backend.head.model import HeadModel
from dubplate_backend.head.registration import (
    Similarity,
    Surface,
    SurfacePoints,
    align,
    components,
    deform,
    fit_similarity,
)

_ANCHOR_JOINTS = (2, 3, 4)
"""Jaw and eyes: where they are regressed depends least on how a head model ends below."""

_MAX_UV_STRETCH = 4.0
"""A face whose UV is this much longer than the stand-in's there lies across a seam."""

_TEETH_FOLLOW_M = 0.03
"""Reach of the skin's displacement about the lips that moves loose parts of the mouth."""


@dataclass(frozen=True)
class Registration:
    """The stand-in laid over a target head."""

    standin: HeadModel
    similarity: Similarity
    vertices: ndarray  # [Vs, 3] the stand-in's, in the target's space
    target: Surface  # all of it
    skin: ndarray  # [V] bool, the target's largest part
    eyes: tuple[ndarray, ndarray]  # [V] bool each, left and right; empty where the target has no eyeballs

    @property
    def source(self) -> Surface:
        """The stand-in as it lies on the target."""
        return standin_surface(self.standin, self.vertices)

    def on_target_skin(self, points: ndarray, jaw: ndarray, normals: ndarray | None = None) -> SurfacePoints:
        """Where points [N, 3] with the jaw's share [N] belong on the target's skin; `faces` index all its faces."""
        chosen = np.flatnonzero(self.skin[self.target.faces[:, 0]])
        found = self.target.part(chosen).closest(points, jaw, normals)
        return SurfacePoints(chosen[found.faces], found.barycentrics, found.distances)

    def on_standin(self) -> SurfacePoints:
        """For each vertex of the target, its place on the stand-in: skin on skin, eyeball on eyeball.  [V]"""
        faces = self.standin.faces.numpy()
        normals = self.target.vertex_normals()
        count = len(self.target.vertices)
        result = SurfacePoints(np.zeros(count, np.int64), np.zeros((count, 3)), np.zeros(count))
        mouth, eyes = self.standin.masks["mouth"].numpy(), _eyeballs(self.standin)
        outside = ~mouth & ~eyes[0] & ~eyes[1]
        for part, source in ((self.eyes[0], eyes[0]), (self.eyes[1], eyes[1]), (self._rest(), outside)):
            if not part.any():
                continue
            chosen = np.flatnonzero(source[faces].all(1))
            found = self.source.part(chosen).closest(self.target.vertices[part], self.target.jaw[part], normals[part])
            result.faces[part] = chosen[found.faces]
            result.barycentrics[part] = found.barycentrics
            result.distances[part] = found.distances
        return result

    def _rest(self) -> ndarray:
        return ~self.eyes[0] & ~self.eyes[1]


def standin_surface(standin: HeadModel, vertices: ndarray) -> Surface:
    """The stand-in's mesh with its vertices [Vs, 3] anywhere."""
    return Surface(vertices, standin.faces.numpy(), standin.skin_weights[:, JAW_JOINT].double().numpy())


def register(
    standin: HeadModel, target: Surface, joints: ndarray, known: LandmarkEmbedding | None = None
) -> Registration:
    """Lay the stand-in over `target`.   joints: [5, 3] metres, the target's.   known: landmarks given by the user."""
    faces = standin.faces.numpy()
    template = standin.template.double().numpy()
    own_joints = (standin.joint_regressor.double() @ standin.template.double()).numpy()
    part = components(target.faces, len(target.vertices))
    skin = part == 0
    target_skin = target.part(skin[target.faces[:, 0]])

    mouth, eyes = standin.masks["mouth"].numpy(), _eyeballs(standin)
    outside = ~mouth & ~eyes[0] & ~eyes[1]
    chosen = list(_ANCHOR_JOINTS)
    start = fit_similarity(own_joints[chosen], joints[chosen])
    source = standin_surface(standin, template).part(outside[faces].all(1))
    anchors = None
    if known is None:
        similarity = align(source, standin.masks["face"].numpy() & outside, target_skin, start)
    else:
        corners = target.vertices[target.faces[known.faces]]  # [N, 3, 3]
        places = np.einsum("nk,nkc->nc", known.barycentrics, corners)
        own = _landmarks(standin, template)[known.indices]
        similarity = fit_similarity(own, places)
        anchors = _landmark_vertices(standin)[known.indices], places
    aligned = similarity.apply(template)
    moved = deform(standin_surface(standin, aligned), outside, target_skin, anchors)
    moved = _with_loose_parts(standin, aligned, moved)
    target_eyes = _matching_eyes(target, part, joints)
    for own_eye, other in zip(eyes, target_eyes, strict=True):
        if other.any():
            moved[own_eye] = _same_ball(template[own_eye], target.vertices[other], similarity)
    return Registration(standin, similarity, moved, target, skin, target_eyes)


def carried_landmarks(registration: Registration, known: LandmarkEmbedding | None) -> tuple[ndarray, ndarray]:
    """MediaPipe's points on the target: faces [468] and barycentrics [468, 3]; the user's own where he gave them."""
    standin = registration.standin
    source, at = registration.source, _landmark_vertices(standin)
    points = _landmarks(standin, registration.vertices)
    found = registration.on_target_skin(points, source.jaw[at], source.vertex_normals()[at])
    faces, barycentrics = found.faces.copy(), found.barycentrics.copy()
    if known is not None:
        faces[known.indices], barycentrics[known.indices] = known.faces, known.barycentrics
    return faces, barycentrics


def carried_masks(registration: Registration, places: SurfacePoints) -> dict[str, ndarray]:
    """The stand-in's masks on the target's vertices: name -> [V] bool."""
    faces = registration.standin.faces.numpy()
    return {
        name: places.read(faces, mask.numpy().astype(np.float64)) > 0.5
        for name, mask in registration.standin.masks.items()
    }


def carried_eyelids(registration: Registration, places: SurfacePoints) -> ndarray:
    """The stand-in's lids on the target's vertices, turned and scaled with the head: [V, 3, 2] metres."""
    lids = places.read(registration.standin.faces.numpy(), registration.standin.eyelid_basis.double().numpy())
    return np.stack([registration.similarity.apply_directions(lids[..., side]) for side in range(2)], axis=-1)


def carried_uv(registration: Registration, places: SurfacePoints) -> tuple[ndarray, ndarray]:
    """The stand-in's UV on the target: uv [VT, 2] and faces_uv [F, 3].

    A face whose corners fell on both sides of a seam is laid out by the stand-in's triangle at its middle instead.
    """
    standin, target = registration.standin, registration.target
    corners_uv = standin.uv.double().numpy()[standin.faces_uv.numpy()]  # [Fs, 3, 2]
    uv = np.einsum("nk,nkc->nc", places.barycentrics, corners_uv[places.faces])  # [V, 2]
    faces_uv = target.faces.copy()

    scale = _texels_per_metre(registration.vertices[standin.faces.numpy()], corners_uv)  # [Fs]
    edges = np.roll(target.vertices[target.faces], -1, axis=1) - target.vertices[target.faces]
    longest = np.linalg.norm(edges, axis=-1).max(-1)  # [F] metres
    laid = np.roll(uv[target.faces], -1, axis=1) - uv[target.faces]
    stretch = np.linalg.norm(laid, axis=-1).max(-1) / (longest * scale[places.faces[target.faces]].max(1) + 1e-9)
    torn = np.flatnonzero(stretch > _MAX_UV_STRETCH)
    if len(torn):
        middle = places.faces[target.faces[torn, 0]]  # the stand-in's triangle at the first corner
        own = registration.vertices[standin.faces.numpy()[middle]]  # [N, 3, 3]
        weights = _plane_barycentrics(own, target.vertices[target.faces[torn]])  # [N, 3, 3]
        faces_uv[torn] = len(uv) + np.arange(3 * len(torn)).reshape(-1, 3)
        uv = np.concatenate([uv, (weights @ corners_uv[middle]).reshape(-1, 2)])
    return uv.clip(0.0, 1.0), faces_uv


def _eyeballs(standin: HeadModel) -> tuple[ndarray, ndarray]:
    """The stand-in's left and right eyeball: [Vs] bool each.  The subject's left is +x."""
    eyes, left = standin.masks["eyes"].numpy(), standin.template[:, 0].numpy() > 0
    return eyes & left, eyes & ~left


def _landmarks(standin: HeadModel, vertices: ndarray) -> ndarray:
    """[468, 3] on any posing of the stand-in's vertices [Vs, 3]."""
    return standin.landmarks(torch.from_numpy(vertices)[None].to(standin.template.dtype))[0].double().numpy()


def _landmark_vertices(standin: HeadModel) -> ndarray:
    """The vertex nearest to each landmark: [468]."""
    corner = standin.landmark_barycentrics.argmax(-1)
    return standin.faces[standin.landmark_faces, corner].numpy()


def _with_loose_parts(standin: HeadModel, aligned: ndarray, moved: ndarray) -> ndarray:
    """Teeth, gums and tongue moved as one with the skin about the lips, so that they keep their form."""
    part = components(standin.faces.numpy(), len(aligned))
    loose = standin.masks["mouth"].numpy() & (part != part[_landmark_vertices(standin)[0]])
    if not loose.any():
        return moved
    lips = standin.masks["lips"].numpy()
    centre = aligned[loose].mean(0)
    weight = np.exp(-0.5 * np.square(np.linalg.norm(aligned[lips] - centre, axis=1) / _TEETH_FOLLOW_M))
    shift = (weight[:, None] * (moved - aligned)[lips]).sum(0) / weight.sum()
    result = moved.copy()
    result[loose] = aligned[loose] + shift
    return result


def _matching_eyes(target: Surface, part: ndarray, joints: ndarray) -> tuple[ndarray, ndarray]:
    """The target's parts, other than its skin, that lie about each eye joint: [V] bool each, left and right."""
    reach = 0.5 * np.linalg.norm(joints[3] - joints[4])
    eyes = np.zeros((2, len(part)), dtype=bool)
    for index in range(1, part.max() + 1):
        inside = part == index
        distance = np.linalg.norm(target.vertices[inside].mean(0) - joints[3:5], axis=1)
        if distance.min() < reach:
            eyes[distance.argmin()] |= inside
    return eyes[0], eyes[1]


def _same_ball(source: ndarray, target: ndarray, similarity: Similarity) -> ndarray:
    """An eyeball's vertices moved and scaled into another's bounds, gaze kept."""
    turned = similarity.apply(source)
    size = np.median((target.max(0) - target.min(0)) / np.maximum(turned.max(0) - turned.min(0), 1e-9))
    middle = (turned.max(0) + turned.min(0)) / 2
    return (target.max(0) + target.min(0)) / 2 + size * (turned - middle)


def _texels_per_metre(corners: ndarray, corners_uv: ndarray) -> ndarray:
    """[F]: the longest UV edge over the longest edge of each triangle."""
    length = np.linalg.norm(np.roll(corners, -1, axis=1) - corners, axis=-1).max(-1)
    laid = np.linalg.norm(np.roll(corners_uv, -1, axis=1) - corners_uv, axis=-1).max(-1)
    return laid / np.maximum(length, 1e-9)


def _plane_barycentrics(triangles: ndarray, points: ndarray) -> ndarray:
    """Barycentrics of points [N, P, 3] in the planes of triangles [N, 3, 3], also outside them: [N, P, 3]."""
    origin, first, second = triangles[:, :1], triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    basis = np.stack([first, second], axis=-1)  # [N, 3, 2]
    shares = (points - origin) @ np.linalg.pinv(basis).transpose(0, 2, 1)  # [N, P, 2]
    return np.concatenate([1.0 - shares.sum(-1, keepdims=True), shares], axis=-1)
