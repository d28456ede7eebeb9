# SPDX-License-Identifier: Apache-2.0
"""Performances given as vertices, by models trained on VOCASET: FaceFormer, CodeTalker, Imitator.

`.npy` of (T, 5023, 3), (T, 15069) or (1, T, 15069): FLAME's mesh in metres, 30 a second; or a dictionary of such
arrays saved as an object (Imitator's `results_dict.npy`).  The same models trained on BIWI give 23370 vertices of
another head, 25 a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dubplate_backend.head.flame_files import VERTICES
from dubplate_backend.head.model import HeadModel
from dubplate_backend.head.unpickle import read_limited, read_pickled_arrays, read_pickled_npy
from dubplate_shared.errors import HeadModelMismatch, InvalidInput
from dubplate_shared.landmarks import INNER_LIP_PAIRS

WHAT = "a performance of vertices"
VOCASET_FPS = 30.0
BIWI_VERTICES = 23370
MAX_FILE_BYTES = 1 << 30
"""Nine minutes of FLAME's mesh in single precision."""
RESTING_SHARE = 0.08  # of a performance's frames: those whose lips just meet
LEAST_RESTING = 3
ALIKE_MM = 3.0
"""A face of FLAME is met by FLAME's shapes to a millimetre or less; other meshes of as many vertices miss by tens."""
FAR_MM = 15.0
"""People's faces differ by some 5 mm once laid on each other; shuffled vertices by 60."""
_ALIGNMENTS = 5
_MM = 1e-3


@dataclass(frozen=True)
class VertexPerformance:
    """vertices: (T, 5023, 3) metres, in the axes of the head they were laid on.   neutral: (5023, 3) the face at rest.

    fps: samples a second.   notes: for a person.
    """

    vertices: np.ndarray
    neutral: np.ndarray
    fps: float
    notes: tuple[str, ...] = ()


def read_vertices(
    path: Path,
    head: HeadModel,
    *,
    fps: float | None = None,
    sequence: str | None = None,
    neutral: Path | None = None,
) -> VertexPerformance:
    """A performance laid on a FLAME head by one similarity.

    sequence: which of a dictionary's.   neutral: a file with the resting face; None: the frames with closed lips.
    Raises InvalidInput where the file cannot be used, HeadModelMismatch where its mesh is not this head's,
    UnsafePickle.
    """
    if not head.kind.startswith("flame"):
        raise HeadModelMismatch(
            f"{path.name} holds vertices of a FLAME head, and this is {head.kind}.",
            hint="Track with FLAME (--head flame2023.pkl), or import shapes (.csv, .json), which any head takes.",
        )
    name, array = _chosen(path, _arrays(path), sequence)
    vertices = _as_vertices(path, array)
    gap = lip_gap(head, vertices)
    notes: tuple[str, ...] = ()
    if neutral is not None:
        rest = _neutral(neutral, f"{path.stem} {name}")
    else:
        count = min(max(LEAST_RESTING, round(RESTING_SHARE * len(vertices))), len(vertices))
        rest = np.median(vertices[np.argsort(np.abs(gap), kind="stable")[:count]], axis=0)
        notes = (
            "Its resting face is taken from the frames whose lips are nearest to closed; --neutral gives the true.",
        )
    scale, turn, shift = laid_on(head, rest, path.name)
    placed = vertices @ (scale * turn.T).astype(np.float32) + shift.astype(np.float32)
    return VertexPerformance(placed, scale * rest @ turn.T + shift, fps or VOCASET_FPS, notes)


def lip_gap(head: HeadModel, vertices: np.ndarray) -> np.ndarray:
    """(T,) how far the inner lips are apart over their middle, in the vertices' unit.   vertices: (T, V, 3)."""
    pairs = np.array(INNER_LIP_PAIRS[2:-2]).T  # [2, P]
    corners = head.faces[head.landmark_faces[pairs]].numpy()  # [2, P, 3]
    shares = head.landmark_barycentrics[pairs].double().numpy()
    heights = (vertices[:, corners, 1] * shares).sum(-1)  # [T, 2, P]
    return (heights[:, 0] - heights[:, 1]).mean(-1)


def laid_on(head: HeadModel, face: np.ndarray, name: str) -> tuple[float, np.ndarray, np.ndarray]:
    """The similarity that lays a resting face on a FLAME head: scale, rotation (3, 3), shift (3,).

    Whose face it is, the head's own identity components answer meanwhile.   face: (5023, 3) in any unit.
    Raises HeadModelMismatch where no face of this head is like it.
    """
    own = head.masks["face"][:VERTICES].numpy()
    target = face[own]  # [N, 3]
    template = head.template[:VERTICES][own].double().numpy()
    basis = head.shape_basis[:VERTICES][own].double().numpy().reshape(-1, head.shape_basis.shape[-1])  # [3N, 300]
    normal = basis.T @ basis + _MM**2 * np.eye(basis.shape[1])  # a millimetre is worth one standard deviation
    model = template
    for allowed_mm in (FAR_MM, *[ALIKE_MM] * _ALIGNMENTS):
        scale, turn, shift = similarity(target, model)
        placed = scale * target @ turn.T + shift
        error_mm = float(np.sqrt(((placed - model) ** 2).sum(1).mean())) / _MM
        if error_mm > allowed_mm:
            raise HeadModelMismatch(
                f"{name} has FLAME's number of vertices, but no face of FLAME is like its own ({error_mm:.0f} mm off).",
                hint="Its mesh is of another head model, or its vertices are in another order: make it again.",
            )
        identity = np.linalg.solve(normal, basis.T @ (placed - template).ravel())
        model = template + (basis @ identity).reshape(-1, 3)
    return scale, turn, shift


def similarity(source: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Scale, rotation and shift that lay points on points with least squares.   Source: Umeyama 1991."""
    middle, goal = source.mean(0), target.mean(0)
    u, size, vt = np.linalg.svd((target - goal).T @ (source - middle))
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    turn = (u * sign) @ vt
    spread = ((source - middle) ** 2).sum()
    scale = float((size * sign).sum() / spread) if spread > 0 else 1.0
    return scale, turn, goal - scale * turn @ middle


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """The file's arrays by name; a plain array has none."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            read_limited(path, WHAT, MAX_FILE_BYTES)
        with open(path, "rb") as file:
            return {"": np.lib.format.read_array(file, allow_pickle=False)}
    except (OSError, EOFError) as error:
        raise InvalidInput(f"{path.name} cannot be read: {error}.", hint="Make the file again.") from error
    except ValueError:  # an object, or broken: the reader that runs nothing tells which
        found = _flat(read_pickled_npy(path, WHAT, MAX_FILE_BYTES))
    if not found:
        raise InvalidInput(f"{path.name} holds no arrays.", hint="Give results_dict.npy, or one sequence as .npy.")
    return found


def _flat(content: dict[str, Any], above: str = "") -> dict[str, np.ndarray]:
    """Arrays of nested dictionaries, named with slashes."""
    found = {}
    for name, value in content.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{above}{name}/")
        elif isinstance(value, np.ndarray) and value.ndim >= 2:
            found[f"{above}{name}"] = value
    return found


def _chosen(path: Path, arrays: dict[str, np.ndarray], sequence: str | None) -> tuple[str, np.ndarray]:
    names = [name for name in arrays if name]
    if sequence is None and len(arrays) == 1:
        return next(iter(arrays.items()))
    if sequence in arrays and sequence:
        return sequence, arrays[sequence]
    listed = f"{', '.join(names[:8])}{' ...' if len(names) > 8 else ''}" if names else "one, without a name"
    missing = f"no sequence {sequence!r}" if sequence is not None else f"{len(arrays)} sequences"
    raise InvalidInput(f"{path.name} holds {missing}. It has: {listed}.", hint="Choose one with --sequence.")


def _as_vertices(path: Path, array: np.ndarray) -> np.ndarray:
    """(T, 5023, 3) float32."""
    if (array.ndim >= 3 and array.shape[0] == 1 and array.shape[-1] != 3) or array.ndim == 4:
        array = array[0]
    if array.ndim == 2 and array.shape[1] % 3 == 0:
        array = array.reshape(len(array), -1, 3)
    if array.ndim != 3 or array.shape[-1] != 3 or len(array) == 0 or array.dtype.kind != "f":
        raise InvalidInput(
            f"{path.name} is {array.shape}: no vertices over time.", hint="Give an array of (frames, 5023, 3), metres."
        )
    count = array.shape[1]
    if count == BIWI_VERTICES:
        raise HeadModelMismatch(
            f"{path.name} holds {count} vertices: BIWI's scanned head, which has nothing in common with FLAME's mesh.",
            hint="Run the model that was trained on VOCASET: it gives 5023 vertices.",
        )
    if count != VERTICES:
        raise HeadModelMismatch(
            f"{path.name} holds {count} vertices; FLAME has {VERTICES}.", hint="Give the output of a FLAME model."
        )
    bad = np.flatnonzero(~np.isfinite(array).all(axis=(1, 2)))
    if len(bad):
        raise InvalidInput(f"{path.name}: frame {bad[0]} holds what is no number.", hint="Make the performance again.")
    return array.astype(np.float32)


def _neutral(path: Path, told: str) -> np.ndarray:
    """(5023, 3) of an .npy, or of VOCASET's templates.pkl the one whose name occurs in what is `told`."""
    if path.suffix == ".pkl":
        faces = {name: value for name, value in read_pickled_arrays(path).items() if isinstance(value, np.ndarray)}
        fitting = [name for name in faces if name in told] or (list(faces) if len(faces) == 1 else [])
        if len(fitting) != 1:
            raise InvalidInput(
                f"{path.name} holds {len(faces)} faces, and none is named in the performance's name.",
                hint="Give the speaker's own face as .npy.",
            )
        array = faces[fitting[0]]
    else:
        array = next(iter(_arrays(path).values()))
    array = np.asarray(array).reshape(-1, 3) if np.size(array) == 3 * VERTICES else np.zeros((0, 3))
    if array.shape != (VERTICES, 3) or not np.isfinite(array).all():
        raise InvalidInput(f"{path.name} is no face of {VERTICES} vertices.", hint="Give an .npy of (5023, 3), metres.")
    return array.astype(np.float64)
