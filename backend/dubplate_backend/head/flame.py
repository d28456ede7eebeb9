# SPDX-License-Identifier: Apache-2.0
"""FLAME, from the user's own files, as a `HeadModel`.  Source: Li et al. 2017, Learning a model of facial shape.

What the files do not hold is carried over from the stand-in; the result is cached, so that a pickle is read once.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy import ndarray

from dubplate_backend.head.borrowed_mouth import Mouth, borrow_mouth, uv_beside
from dubplate_backend.head.carry_over import (
    Registration,
    carried_eyelids,
    carried_landmarks,
    carried_masks,
    carried_uv,
    register,
)
from dubplate_backend.head.controls import solve_controls
from dubplate_backend.head.flame_files import (
    JAW_JOINT,
    FlameArrays,
    FlameFiles,
    LandmarkEmbedding,
    find_files,
    read_eyelids,
    read_landmarks,
    read_masks,
    read_model,
    read_uv,
)
from dubplate_backend.head.model import HeadModel
from dubplate_backend.head.registration import Surface, SurfacePoints
from dubplate_shared.errors import DubplateError, OutputNotWritable
from dubplate_shared.files import load_npz, save_npz, sha256_arrays, sha256_file

CONVERSION = "flame/1"
"""Raise it with every change of what is made from the same files: it is part of the head's identity."""

_OWN_MASKS = {
    "face": ("face",),
    "lips": ("lips",),
    "neck": ("neck",),
    "scalp": ("scalp",),
    "eyes": ("left_eyeball", "right_eyeball"),
}
"""Ours from those of `FLAME_masks.pkl`."""

_MASK_PREFIX = "mask_"


@dataclass(frozen=True)
class FlameSources:
    """Everything that a user's files say, read and checked; None for what he has not given."""

    kind: str
    model: FlameArrays
    uv: tuple[ndarray, ndarray] | None  # [VT, 2], [F, 3]
    landmarks: LandmarkEmbedding | None
    masks: dict[str, ndarray] | None  # name -> [V] bool
    eyelids: ndarray | None  # [V, 3, 2]

    @classmethod
    def read(cls, files: FlameFiles) -> "FlameSources":
        """Raises InvalidInput naming the file that is wrong and the fix, UnsafePickle where one is hostile."""
        model = read_model(files.model)
        return cls(
            kind=files.kind,
            model=model,
            uv=read_uv(files.template, model.faces) if files.template else None,
            landmarks=read_landmarks(files.landmarks) if files.landmarks else None,
            masks=read_masks(files.masks) if files.masks else None,
            eyelids=read_eyelids(files.eyelids) if files.eyelids else None,
        )

    def sha256(self, standin: HeadModel) -> str:
        """Of the numbers and not of the files, so that a pickle and its npz export are one head."""
        arrays = {name: value.astype(np.float32) for name, value in vars(self.model).items()}
        if self.uv is not None:
            arrays["uv"], arrays["faces_uv"] = self.uv[0].astype(np.float32), self.uv[1]
        if self.landmarks is not None:
            arrays |= {f"landmarks.{name}": value for name, value in vars(self.landmarks).items()}
        if self.eyelids is not None:
            arrays["eyelids"] = self.eyelids.astype(np.float32)
        arrays |= {f"masks.{name}": mask for name, mask in (self.masks or {}).items()}
        arrays["made by"] = np.frombuffer(f"{CONVERSION} {standin.kind} {standin.sha256}".encode(), dtype=np.uint8)
        return sha256_arrays(arrays)


def load_flame(path: Path, standin: HeadModel | None = None, cache: Path | None = None) -> HeadModel:
    """FLAME from a model file, or from a folder that holds one, with the auxiliary files beside it.

    standin: what the files lack is carried over from it; `load_standin()` where None.
    cache: folder of conversions; the user's where None.
    Raises InvalidInput naming the file that is wrong and the fix, UnsafePickle where one is hostile.
    """
    from dubplate_backend.head.load import cache_folder, load_standin

    standin = standin or load_standin()
    files = find_files(Path(path))
    cached = (cache or cache_folder()) / f"{files.kind}-{_files_sha256(files, standin)[:16]}.npz"
    try:
        return _head(files.kind, load_npz(cached))
    except (DubplateError, KeyError, TypeError, ValueError):
        arrays = convert_flame(FlameSources.read(files), standin)
        with suppress(OutputNotWritable):  # costs seconds at the next start, no more
            save_npz(cached, arrays)
        return _head(files.kind, arrays)


def convert_flame(sources: FlameSources, standin: HeadModel) -> dict[str, ndarray]:
    """Arrays of the head by the names of `HeadModel`'s fields, float32; masks as mask_NAME; `sha256` as bytes."""
    model = sources.model
    target = Surface(model.template, model.faces, model.skin_weights[:, JAW_JOINT])
    registration = register(standin, target, model.joint_regressor @ model.template, sources.landmarks)
    places = registration.on_standin()
    mouth = borrow_mouth(registration)
    uv, faces_uv = _uv(sources, registration, places, mouth)
    landmark_faces, barycentrics = carried_landmarks(registration, sources.landmarks)
    lids = carried_eyelids(registration, places) if sources.eyelids is None else sources.eyelids
    arrays = {
        **_with_mouth(model, mouth, standin),
        "uv": uv,
        "faces_uv": faces_uv,
        "landmark_faces": landmark_faces,
        "landmark_barycentrics": barycentrics,
        "eyelid_basis": np.concatenate([lids, np.zeros((len(mouth.vertices), 3, 2))]),
        **{_MASK_PREFIX + name: mask for name, mask in _masks(sources, registration, places, mouth).items()},
        "sha256": np.frombuffer(bytes.fromhex(sources.sha256(standin)), dtype=np.uint8),
    }
    return {name: array.astype(np.float32) if array.dtype == np.float64 else array for name, array in arrays.items()}


def _with_mouth(model: FlameArrays, mouth: Mouth, standin: HeadModel) -> dict[str, ndarray]:
    """FLAME's own arrays with the interior's rows appended."""
    own_weights = standin.skin_weights.double().numpy()[mouth.origin]
    rows = {
        "template": (model.template, mouth.vertices),
        "shape_basis": (model.shape_basis, mouth.shape_rows(model.faces, model.shape_basis)),
        "expression_basis": (model.expression_basis, mouth.skin_rows(model.faces, model.expression_basis)),
        "pose_basis": (model.pose_basis, mouth.skin_rows(model.faces, model.pose_basis)),
        "skin_weights": (model.skin_weights, mouth.weight_rows(model.faces, model.skin_weights, own_weights)),
        "faces": (model.faces, mouth.faces + len(model.template)),
    }
    unmoved = np.zeros((len(model.joint_regressor), len(mouth.vertices)))  # the interior places no joint
    regressor = np.concatenate([model.joint_regressor, unmoved], axis=1)
    return {"joint_regressor": regressor, **{name: np.concatenate(pair) for name, pair in rows.items()}}


def _uv(
    sources: FlameSources, registration: Registration, places: SurfacePoints, mouth: Mouth
) -> tuple[ndarray, ndarray]:
    """UV of head and interior: uv [VT, 2], faces_uv [F, 3]."""
    if sources.uv is None:
        uv, faces_uv = carried_uv(registration, places)
        mouth_uv = mouth.uv  # its place in the stand-in's layout
    else:
        uv, faces_uv = sources.uv
        mouth_uv = uv_beside(mouth.uv, uv, faces_uv)
    return np.concatenate([uv, mouth_uv]), np.concatenate([faces_uv, mouth.faces_uv + len(uv)])


def _masks(
    sources: FlameSources, registration: Registration, places: SurfacePoints, mouth: Mouth
) -> dict[str, ndarray]:
    """The stand-in's masks, and FLAME's own where the user gave them: name -> [V] bool."""
    carried = carried_masks(registration, places)
    for name, parts in _OWN_MASKS.items():
        if sources.masks is not None and all(part in sources.masks for part in parts):
            carried[name] = np.any([sources.masks[part] for part in parts], axis=0)
    standin_masks = registration.standin.masks
    return {name: np.concatenate([mask, standin_masks[name].numpy()[mouth.origin]]) for name, mask in carried.items()}


def _head(kind: str, arrays: dict[str, ndarray]) -> HeadModel:
    tensors = {
        name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items() if name != "sha256"
    }
    masks = {
        name.removeprefix(_MASK_PREFIX): tensors.pop(name) for name in list(tensors) if name.startswith(_MASK_PREFIX)
    }
    head = HeadModel(
        kind=kind,
        sha256=arrays["sha256"].tobytes().hex(),
        masks=masks,
        controls={},
        joints_follow_expression=True,
        **tensors,
    )
    return replace(head, controls=solve_controls(head))


def _files_sha256(files: FlameFiles, standin: HeadModel) -> str:
    """What the cache is named by: all that a conversion depends on."""
    names = " ".join([CONVERSION, standin.sha256, *(f"{path.name} {sha256_file(path)}" for path in files.all())])
    return sha256_arrays({"files": np.frombuffer(names.encode(), dtype=np.uint8)})
