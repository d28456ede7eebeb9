# SPDX-License-Identifier: Apache-2.0
"""The stand-in head, put together: outer skin, interiors, eyes, teeth; weights; shape and expression components."""

import hashlib
from functools import partial
from importlib.resources import files

import numpy as np

from dubplate_backend.head.goals import GOALS, JAW_OPEN_RAD
from dubplate_backend.head.standin import atlas, regions, skin_layout
from dubplate_backend.head.standin.ears import ear
from dubplate_backend.head.standin.expressions import DEVIATION, expression_basis
from dubplate_backend.head.standin.face import Skin, build_skin
from dubplate_backend.head.standin.interior import eyeball, lid_edges, mouth_lining
from dubplate_backend.head.standin.lids import closing as lids_closing
from dubplate_backend.head.standin.shapes import shape_basis
from dubplate_backend.head.standin.surface import Surface, join
from dubplate_backend.head.standin.teeth import build_teeth
from dubplate_backend.head.standin.topology import POINTS, face_triangles, mirror_pairs
from dubplate_backend.head.standin.weights import (
    jaw_share,
    joint_places,
    pose_correctives,
    regressor_row,
    skin_weights,
)
from dubplate_shared.controls import CONTROL_NAMES
from dubplate_shared.landmarks import CHIN

VERSION = "standin/1"
"""Raise it with every change of the recipe: codes of one version do not fit another."""
MM = 1e-3
LEFT_TRAGUS = 454


def recipe_sha256() -> str:
    """Identity of the stand-in: of what it is made from, not of float results, so that all machines agree."""
    digest = hashlib.sha256(VERSION.encode())
    for name in ("mean_face.csv", "face_triangles.csv"):
        digest.update(files(__package__).joinpath(name).read_text("ascii").replace("\r\n", "\n").encode())
    return digest.hexdigest()


def recipe_source_sha256() -> str:
    """Hash of the recipe's own text, which names the cache file: a changed recipe never reads an old cache."""
    digest = hashlib.sha256(recipe_sha256().encode())
    here = files(__package__)
    for source in sorted((f for f in here.iterdir() if f.name.endswith(".py")), key=lambda f: f.name):
        digest.update(source.read_bytes())
    digest.update(here.joinpath("..", "goals.py").read_bytes())
    return digest.hexdigest()


def build_arrays() -> dict[str, np.ndarray]:
    """All arrays of the stand-in, by the names of `HeadModel`'s fields; masks as mask_NAME.  Metres.  Takes seconds."""
    pairs = mirror_pairs(face_triangles())
    skin = build_skin()
    skin, origins = with_interiors(skin)
    surface = join([skin_surface(skin, origins), *solids(skin)])
    points = surface.points
    masks = regions.masks(surface, skin)

    jaw = np.zeros(len(points))
    jaw[: len(skin.points)] = interior_share(skin, origins, jaw_share(skin, pairs))
    jaw[surface.labels["lower_jaw"]] = 1
    eyes = eyeballs_of(masks, points)
    weights = skin_weights(points, jaw, eyes, points[CHIN])
    weights[surface.labels["upper_jaw"] | surface.labels["lower_jaw"], 0] = 0
    weights /= weights.sum(1, keepdims=True)

    joints = joint_places(skin, points[CHIN])
    among = regions.joint_surroundings(surface, skin, eyes)
    regressor = np.stack([regressor_row(points, chosen, joint) for chosen, joint in zip(among, joints, strict=True)])

    lids = np.zeros((len(points), 3, 2))
    lids[: len(skin.points)] = lids_closing(skin, pairs, origins)
    shape = shape_basis(surface, skin)
    expression = expression_basis(surface, skin, pairs, jaw, lids)
    landmark_faces, barycentrics = embedding(surface.triangles)
    arrays = {
        "template": points * MM,
        "shape_basis": shape * MM,
        "expression_basis": expression * MM,
        "pose_basis": pose_correctives(points, jaw, lids) * MM,
        "joint_regressor": regressor,
        "skin_weights": weights,
        "faces": surface.triangles,
        "uv": surface.uv,
        "faces_uv": surface.uv_triangles,
        "landmark_faces": landmark_faces,
        "landmark_barycentrics": barycentrics,
        "eyelid_basis": lids * MM,
    }
    arrays["control_expression"], arrays["control_jaw"] = controls()
    arrays |= {f"mask_{name}": mask for name, mask in masks.items()}
    return {name: a.astype(np.float32) if a.dtype == np.float64 else a for name, a in arrays.items()}


def controls() -> tuple[np.ndarray, np.ndarray]:
    """The named directions themselves are the stand-in's controls: [C, 100] and jaw [C, 3] in radians at value 1."""
    expression, jaw = np.zeros((len(CONTROL_NAMES), 100)), np.zeros((len(CONTROL_NAMES), 3))
    names = [goal.name for goal in GOALS]
    for k, control in enumerate(CONTROL_NAMES):
        if control == "jaw_open":
            jaw[k, 0] = JAW_OPEN_RAD
        else:
            expression[k, names.index(control)] = 1 / DEVIATION
    return expression, jaw


def with_interiors(skin: Skin) -> tuple[Skin, np.ndarray]:
    """The skin with the mouth's lining and the lids' edges, and the outer vertex that each vertex starts from. [V]."""
    points, triangles, origins = [skin.points], [skin.triangles], [np.arange(len(skin.points))]
    first = len(skin.points)
    for part in (mouth_lining, partial(lid_edges, eye=0), partial(lid_edges, eye=1)):
        new_points, new_triangles, new_origins = part(skin, first=first)
        points.append(new_points)
        triangles.append(new_triangles)
        origins.append(new_origins)
        first += len(new_points)
    whole = Skin(
        np.concatenate(points), np.concatenate(triangles), skin.rim, skin.mouth, skin.eyes, skin.eye_centres,
        skin.face_count, skin.outer_count,
    )  # fmt: skip
    return whole, np.concatenate(origins)


def skin_surface(skin: Skin, origins: np.ndarray) -> Surface:
    """The skin laid flat in one piece from the neck's end inward."""
    border = np.arange(skin.outer_count - len(skin.rim), skin.outer_count)
    hub = len(skin.points) + np.arange(2)  # a hub closes each lid's open end for the layout alone
    triangles = [skin.triangles]
    for eye, tip in enumerate(hub):
        end = regions.lid_end(skin, eye)
        triangles.append(np.stack([np.roll(end, -1), end, np.full(len(end), tip)], 1))
    wanted = skin_layout.wanted_layout(skin, origins, atlas.square_border(len(border)))
    hubs = [wanted[skin.eyes[eye]].mean(0) for eye in (0, 1)]
    flat = atlas.spring_layout(np.concatenate([wanted, hubs]), np.concatenate(triangles), border)
    surface = Surface(skin.points, skin.triangles, flat[: len(skin.points)], skin.triangles)
    return surface.in_box(*atlas.SKIN_BOX)


def solids(skin: Skin) -> list[Surface]:
    """Eyeballs, teeth, gums and tongue, each in its place of the atlas."""
    left, right = skin.eye_centres
    left_ear = ear(skin.points[LEFT_TRAGUS])
    return [
        eyeball(left).in_box(*atlas.LEFT_EYE_BOX),
        eyeball(right).in_box(*atlas.RIGHT_EYE_BOX),
        left_ear.in_box(*atlas.LEFT_EAR_BOX),
        left_ear.mirrored().in_box(*atlas.RIGHT_EAR_BOX),
        build_teeth(skin.points[13]),
    ]


def eyeballs_of(masks: dict[str, np.ndarray], points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of the left and the right eyeball.  [V] bool each."""
    return masks["eyes"] & (points[:, 0] > 0), masks["eyes"] & (points[:, 0] < 0)


def interior_share(skin: Skin, origins: np.ndarray, outer: np.ndarray) -> np.ndarray:
    """The jaw's share of all skin vertices: the lining starts as its lip and deeper parts into roof and floor.  [V]."""
    share = outer[origins]
    lining = regions.lining(skin)
    depth = np.clip((skin.points[13, 2] - 6 - skin.points[lining, 2]) / 12, 0, 1)
    upper = np.isin(origins[lining], skin.mouth[0])
    height = np.clip((skin.points[lining, 1] - skin.points[13, 1]) / 9, -1, 1)
    settled = (1 - height) / 2
    settled = np.where(upper, np.minimum(settled, 0.5), np.maximum(settled, 0.5))
    share[lining] = (1 - depth) * share[lining] + depth * settled
    return share


def embedding(triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks are vertices: any triangle at each, with all the weight on its corner.  [468], [468, 3]."""
    corners = triangles.ravel()
    faces = np.array([np.argmax(corners == point) for point in range(POINTS)]) // 3
    return faces, (triangles[faces] == np.arange(POINTS)[:, None]).astype(np.float64)
