# SPDX-License-Identifier: Apache-2.0
"""A user's FLAME files, found and read into checked arrays.

Formats: FLAME 2020 `generic_model.pkl`, FLAME 2023 `flame2023.pkl` and their npz exports; `head_template.obj`,
`mediapipe_landmark_embedding.npz`, `FLAME_masks.pkl`, `l_eyelid.npy`, `r_eyelid.npy` beside them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from dubplate_backend.head.unpickle import read_pickled_arrays
from dubplate_shared.errors import InvalidInput
from dubplate_shared.files import load_npz

VERTICES, FACES = 5023, 9976
SHAPE_AND_EXPRESSION = 400
JOINTS = 5
JAW_JOINT = 2
PARENTS = (-1, 0, 1, 1, 1)
_NO_PARENT = 0xFFFFFFFF
"""How the root's parent reads where the table is unsigned."""

_MODEL_NAMES = ("flame2023.pkl", "generic_model.pkl", "flame2023.npz", "generic_model.npz")
_TEMPLATE_NAMES = ("head_template.obj", "head_template_mesh.obj")
_LANDMARK_NAMES = ("mediapipe_landmark_embedding.npz",)
_MASK_NAMES = ("FLAME_masks.pkl",)
_EYELID_NAMES = ("l_eyelid.npy", "r_eyelid.npy")

_WHERE = "FLAME is a free download after registration at flame.is.tue.mpg.de."


@dataclass(frozen=True)
class FlameFiles:
    """Where a user's FLAME lies; None for what he has not given."""

    model: Path
    template: Path | None
    landmarks: Path | None
    masks: Path | None
    eyelids: tuple[Path, Path] | None

    def all(self) -> tuple[Path, ...]:
        """Every file that is there."""
        found = (self.model, self.template, self.landmarks, self.masks, *(self.eyelids or ()))
        return tuple(path for path in found if path is not None)

    @property
    def kind(self) -> str:
        """The edition, as its file is named: codes of 2020 and 2023 are not interchangeable."""
        return "flame2023" if "2023" in self.model.stem else "flame2020"


@dataclass(frozen=True)
class FlameArrays:
    """FLAME's own arrays, float64, checked.  V = 5023, F = 9976."""

    template: ndarray  # [V, 3] metres
    faces: ndarray  # [F, 3] int64
    shape_basis: ndarray  # [V, 3, 300]
    expression_basis: ndarray  # [V, 3, 100]
    pose_basis: ndarray  # [V, 3, 36]
    joint_regressor: ndarray  # [5, V]
    skin_weights: ndarray  # [V, 5]


@dataclass(frozen=True)
class LandmarkEmbedding:
    """Some of MediaPipe's points on FLAME's faces."""

    indices: ndarray  # [N] int64 into MediaPipe's 468
    faces: ndarray  # [N] int64
    barycentrics: ndarray  # [N, 3]


def find_files(path: Path) -> FlameFiles:
    """The files in a folder, or beside a model file.   Raises InvalidInput where there is no model."""
    if path.is_dir():
        model = _first(path, _MODEL_NAMES)
        if model is None:
            raise InvalidInput(
                f"{path} holds no FLAME model.",
                hint=f"Put one of {', '.join(_MODEL_NAMES)} there. {_WHERE}",
            )
    elif path.is_file():
        model = path
    else:
        raise InvalidInput(f"{path} does not exist.", hint=f"Name FLAME's model file or its folder. {_WHERE}")
    folder = model.parent
    left, right = (_first(folder, (name,)) for name in _EYELID_NAMES)
    if (left is None) != (right is None):
        raise InvalidInput(
            f"{folder} holds one of {' and '.join(_EYELID_NAMES)} only.", hint="Add the other, or take it away."
        )
    return FlameFiles(
        model=model,
        template=_first(folder, _TEMPLATE_NAMES),
        landmarks=_first(folder, _LANDMARK_NAMES),
        masks=_first(folder, _MASK_NAMES),
        eyelids=(left, right) if left is not None and right is not None else None,
    )


def read_model(path: Path) -> FlameArrays:
    """FLAME's arrays from a pickle or an npz.   Raises InvalidInput naming the file, the array and the fix."""
    content = _read_npz(path) if path.suffix == ".npz" else read_pickled_arrays(path)
    reader = _Arrays(path, content)
    components = reader.get("shapedirs", (VERTICES, 3, SHAPE_AND_EXPRESSION))
    parents = reader.get("kintree_table", (2, JOINTS))[0].astype(np.int64)
    if tuple(-1 if parent in (-1, _NO_PARENT) else parent for parent in parents) != PARENTS:
        raise reader.wrong("kintree_table", f"the joints' parents are {parents.tolist()} and not {list(PARENTS)}")
    return FlameArrays(
        template=reader.get("v_template", (VERTICES, 3)),
        faces=reader.indices("f", (FACES, 3), VERTICES),
        shape_basis=components[..., :300],
        expression_basis=components[..., 300:],
        pose_basis=reader.get("posedirs", (VERTICES, 3, 9 * (JOINTS - 1))),
        joint_regressor=reader.get("J_regressor", (JOINTS, VERTICES)),
        skin_weights=reader.weights("weights", (VERTICES, JOINTS)),
    )


def read_uv(path: Path, faces: ndarray) -> tuple[ndarray, ndarray]:
    """UV of `head_template.obj` for the model's faces: uv [VT, 2], faces_uv [F, 3] int64.

    Raises InvalidInput where the file is broken or is of another mesh.
    """
    uv, corners = _read_obj(path)
    by_face = {tuple(vertices): row for row, vertices in enumerate(corners[..., 0].tolist())}
    order = [by_face.get(tuple(face)) for face in faces.tolist()]
    if None in order:
        raise InvalidInput(
            f"{path.name} has other faces than the model beside it.", hint="Take the head_template.obj of that FLAME."
        )
    return uv, corners[np.array(order), :, 1]


def read_landmarks(path: Path) -> LandmarkEmbedding:
    """`mediapipe_landmark_embedding.npz`: 105 points in the published file.   Raises InvalidInput where broken."""
    reader = _Arrays(path, _read_npz(path))
    indices = reader.indices("landmark_indices", (None,), 468)
    count = len(indices)
    return LandmarkEmbedding(
        indices=indices,
        faces=reader.indices("lmk_face_idx", (count,), FACES),
        barycentrics=reader.weights("lmk_b_coords", (count, 3)),
    )


def read_masks(path: Path) -> dict[str, ndarray]:
    """`FLAME_masks.pkl`: name -> [V] bool.   Raises InvalidInput where broken, UnsafePickle where hostile."""
    reader = _Arrays(path, read_pickled_arrays(path))
    masks = {}
    for name in reader.content:
        masks[name] = np.zeros(VERTICES, dtype=bool)
        masks[name][reader.indices(name, (None,), VERTICES)] = True
    return masks


def read_eyelids(paths: tuple[Path, Path]) -> ndarray:
    """`l_eyelid.npy` and `r_eyelid.npy`: [V, 3, 2] metres at a fully closed lid.   Raises InvalidInput where broken."""
    lids = []
    for path in paths:
        try:
            lid = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise InvalidInput(f"{path.name} cannot be read: {error}.", hint="Fetch the file again.") from error
        lids.append(_Arrays(path, {"lid": lid}).get("lid", (VERTICES, 3)))
    return np.stack(lids, axis=-1)


class _Arrays:
    """The arrays of one file, each checked as it is asked for."""

    def __init__(self, path: Path, content: dict[str, Any]) -> None:
        self.path = path
        self.content = content

    def get(self, name: str, shape: tuple[int | None, ...]) -> ndarray:
        """Float64 of a shape, None for any length."""
        value = self.content.get(name)
        if not isinstance(value, ndarray) or value.dtype.kind not in "fiu":
            raise self.wrong(name, "it is missing, or no array of numbers")
        fits = len(value.shape) == len(shape) and all(
            want in (None, got) for got, want in zip(value.shape, shape, strict=True)
        )
        if not fits:
            raise self.wrong(name, f"its shape is {value.shape} where FLAME has {shape}")
        if not np.isfinite(value).all():
            raise self.wrong(name, "it holds numbers that are not finite")
        return value.astype(np.float64)

    def indices(self, name: str, shape: tuple[int | None, ...], limit: int) -> ndarray:
        """Int64 in 0 .. limit - 1."""
        value = self.get(name, shape)
        if ((value < 0) | (value >= limit) | (value != np.floor(value))).any():
            raise self.wrong(name, f"it points outside 0 to {limit - 1}")
        return value.astype(np.int64)

    def weights(self, name: str, shape: tuple[int | None, ...]) -> ndarray:
        """Rows that sum to 1."""
        value = self.get(name, shape)
        if np.abs(value.sum(-1) - 1.0).max() > 1e-3:
            raise self.wrong(name, "its rows do not sum to 1")
        return value / value.sum(-1, keepdims=True)

    def wrong(self, name: str, why: str) -> InvalidInput:
        return InvalidInput(
            f"{self.path.name} is no FLAME file as expected: {name!r}: {why}.",
            hint=f"Is it the right file, of an edition with 300 + 100 components? {_WHERE}",
        )


def _read_npz(path: Path) -> dict[str, ndarray]:
    try:
        return load_npz(path)
    except InvalidInput as error:
        hint = "Fetch it again, or export its arrays as plain numbers: pickled objects are not read from an npz."
        raise InvalidInput(error.message, hint=hint) from error


def _read_obj(path: Path) -> tuple[ndarray, ndarray]:
    """uv [VT, 2] and corners [F, 3, 2] = vertex and uv indices, from 0, of a Wavefront file of triangles."""
    uv, corners = [], []
    try:
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "vt":
                uv.append([float(number) for number in rest.split()[:2]])
            elif kind == "f":
                corners.append([[int(index) - 1 for index in corner.split("/")[:2]] for corner in rest.split()])
        texture, triangles = np.array(uv, dtype=np.float64), np.array(corners, dtype=np.int64)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path.name} cannot be read: {error}.", hint="Fetch the file again.") from error
    if texture.ndim != 2 or triangles.ndim != 3 or triangles.shape[1:] != (3, 2):
        raise InvalidInput(
            f"{path.name} holds no triangles with texture coordinates.", hint="Export it with UV, as triangles."
        )
    if triangles.min() < 0 or triangles[..., 1].max() >= len(texture):
        raise InvalidInput(f"{path.name} points outside its own lists.", hint="Fetch the file again.")
    return texture, triangles


def _first(folder: Path, names: Iterable[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)
