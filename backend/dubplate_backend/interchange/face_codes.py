# SPDX-License-Identifier: Apache-2.0
"""Codes of the regressors: DECA, EMOCA, SPECTRE and SMIRK, all of FLAME 2020 under a camera without perspective.

    tool            shape         expression          root and jaw                     camera   lids
    DECA, SPECTRE   shape 100     exp 50              pose 6 = root, jaw               cam 3
    EMOCA           shapecode     expcode 50          posecode 6; files exp.npy ...    cam 3†
    SMIRK           shape_params  expression_params   pose_params 3, jaw_params 3      cam 3    eyelid_params 2

Axis-angle; the root turns about its joint, neck and eyes stay.  A point lies at u = s (x + tx), v = -s (y + ty) over
-1 .. 1 of a crop of 224 px, with y up.  The crop is one of the plate's for each picture: `tform` [3,3] (plate px to
crop px) or `center` [2] and `size`, as DECA's data set gives them; where a file keeps neither, the head's place is
found otherwise. A missing component is nought.  SMIRK adds its lids in the turned head's axes, here in the head's own.
Sources: DECA decalib/deca.py (`encode`, `decode`), decalib/utils/util.py (`batch_orth_proj`),
decalib/datasets/datasets.py; EMOCA gdl_apps/EMOCA/utils/io.py (`save_codes`); SMIRK src/FLAME/FLAME.py, demo_video.py.
EMOCA's own files keep no camera.  † Not confirmed: its folders (000001_000: picture, detection) count pictures from 1
as FFmpeg does; SPECTRE's codes are DECA's, on which it is built.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from dubplate_backend.head.model import HeadModel
from dubplate_backend.interchange.array_files import array_of, frame_number, read_arrays, read_npy, watched
from dubplate_backend.interchange.conventions import about_origin, root_joints
from dubplate_backend.interchange.tracked_frames import Edition, TrackedFrames, WeakPose, padded
from dubplate_shared.errors import InvalidInput
from dubplate_shared.progress import ProgressCallback, Stop, never, silent
from dubplate_shared.rotations import matrix_from_axis_angle

CROP_PX = 224  # all four
_SHAPE = ("shape", "shapecode", "shape_params")
_EXPRESSION = ("exp", "expcode", "expression_params")
_POSE = ("pose", "posecode")
_LIDS = ("eyelid_params",)
_PARTS = ("shape", "exp", "pose", "cam", "tform", "center", "size")
"""Files of a folder that holds one frame."""


_KEPT = (*_SHAPE, *_EXPRESSION, *_POSE, "pose_params", "jaw_params", *_LIDS, *_PARTS)


def read_face_codes(
    files: list[Path],
    head: HeadModel,
    edition: Edition | None = None,
    tool: str = "DECA",
    *,
    progress: ProgressCallback = silent,
    stop: Stop = never,
) -> TrackedFrames:
    """A sequence: a file or a folder for each frame, or one file with a row for each.   Raises InvalidInput."""
    frames = _frames(files, tool, progress, stop)
    shapes = _rows(frames, _SHAPE, None, tool)
    expression = _rows(frames, _EXPRESSION, None, tool)
    turn, jaw = _turns(frames, tool)
    notes = [
        f"It has {shapes.shape[1]} components of shape and {expression.shape[1]} of expression: the others are nought.",
    ]
    shape = np.median(shapes, axis=0)  # one person: an outlier must not move it
    if np.ptp(shapes, axis=0).max() > 0:
        notes.append("It gives each picture a shape of its own: the median of them is the person's.")
    lids = _rows(frames, _LIDS, 2, tool) if _has(frames, _LIDS[0]) else np.zeros((len(frames), 2))
    shape, expression = padded(shape, 300, tool, "shape"), padded(expression, 100, tool, "expression")
    rotation = matrix_from_axis_angle(turn)
    pose = None
    if _has(frames, "cam"):
        pose = WeakPose(
            rotation,
            about_origin(rotation, np.zeros((len(frames), 3)), root_joints(head, shape, expression)),
            _rows(frames, ("cam",), 3, tool),
            _crops(frames, tool),
        )
        if (pose.camera[:, 0] <= 0).any():
            raise InvalidInput(f"{tool}: a camera has a scale that is not positive.", hint="Run the tool again.")
    return TrackedFrames(
        tool=tool,
        edition=edition or Edition.FLAME2020,
        number=np.array([number for number, _ in frames]),
        rate=None,
        picture=(CROP_PX, CROP_PX),
        shape=shape,
        expression=expression,
        jaw=jaw,
        neck=np.zeros((len(frames), 3)),
        eyes=np.zeros((len(frames), 6)),
        eyelids=lids,
        pose=pose,
        notes=tuple(notes),
    )


def _frames(files: list[Path], tool: str, progress: ProgressCallback, stop: Stop) -> list[tuple[int, dict[str, Any]]]:
    """(number, codes) in order: of folders with exp.npy, of a file each, or of one file with a row for each frame."""
    if len(files) == 1 and files[0].is_file():
        content = _checked(read_arrays(files[0]), files[0].name, tool)
        rows = np.asarray(content[_name(content, _EXPRESSION)])
        if rows.ndim == 2 and len(rows) > 1:
            return [(row, {**_row(content, row, len(rows)), "name": files[0].name}) for row in range(len(rows))]
    frames = []
    for path in watched(files, progress, stop):
        content = _folder(path) if path.is_dir() else read_arrays(path)
        number = _folder_number(path) if path.is_dir() else frame_number(path)
        frames.append((number, {**_checked(content, path.name, tool), "name": path.name}))
    frames.sort(key=lambda frame: frame[0])
    first = 1 if files[0].is_dir() and frames[0][0] > 0 else 0
    return [(number - first, content) for number, content in frames]


def _folder_number(path: Path) -> int:
    """EMOCA's folders are named by picture and detection, 000012_000."""
    found = re.findall(r"\d+", path.name)
    if not found:
        raise InvalidInput(f"{path.name} carries no frame number.", hint="Keep the tool's own folder names.")
    return int(found[0])


def _folder(path: Path) -> dict[str, Any]:
    return {part: read_npy(path / f"{part}.npy") for part in _PARTS if (path / f"{part}.npy").is_file()}


def _row(content: dict[str, Any], row: int, count: int) -> dict[str, Any]:
    """One frame's part of arrays with a row for each; what has another length belongs to all."""
    return {
        name: array[row] if isinstance(array, np.ndarray) and array.ndim and len(array) == count else array
        for name, array in content.items()
    }


def _checked(content: dict[str, Any], where: str, tool: str) -> dict[str, Any]:
    if not any(name in content for name in _EXPRESSION) and "verts" in content:
        raise InvalidInput(
            f"{where} holds {tool}'s mesh and not its codes.",
            hint="Save what its encoder returns (codedict) instead, for instance with numpy.savez.",
        )
    _name(content, _EXPRESSION, where)
    return {name: content[name] for name in _KEPT if name in content}  # DECA's dictionaries hold pictures besides


def _name(content: dict[str, Any], names: tuple[str, ...], where: str = "the file") -> str:
    found = next((name for name in names if name in content), None)
    if found is None:
        raise InvalidInput(
            f"{where} lacks {' or '.join(names)}.", hint="Is it the codes that the tool's encoder returns?"
        )
    return found


def _has(frames: list[tuple[int, dict[str, Any]]], name: str) -> bool:
    return all(name in content for _, content in frames)


def _rows(
    frames: list[tuple[int, dict[str, Any]]], names: tuple[str, ...], length: int | None, tool: str
) -> np.ndarray:
    """One code of all frames, [N, C].   Raises InvalidInput."""
    rows: list[np.ndarray] = []
    for _, content in frames:
        name = _name(content, names, content["name"])
        row = array_of(content, name, content["name"]).ravel()
        if len(row) != (length or len(rows[0] if rows else row)):
            raise InvalidInput(
                f"{content['name']}: {name} holds {len(row)} numbers, which {tool} never writes.", hint="Is it whole?"
            )
        rows.append(row)
    return np.stack(rows)


def _turns(frames: list[tuple[int, dict[str, Any]]], tool: str) -> tuple[np.ndarray, np.ndarray]:
    """Root and jaw, axis-angle, [N, 3] each."""
    if _has(frames, "jaw_params"):
        return _rows(frames, ("pose_params",), 3, tool), _rows(frames, ("jaw_params",), 3, tool)
    pose = _rows(frames, _POSE, 6, tool)
    return pose[:, :3], pose[:, 3:]


def _crops(frames: list[tuple[int, dict[str, Any]]], tool: str) -> np.ndarray | None:
    """Plate px to crop px, [N, 3, 3], where every frame says it."""
    if _has(frames, "tform"):
        crops = _rows(frames, ("tform",), 9, tool).reshape(-1, 3, 3)
        if not np.isfinite(crops).all() or (np.abs(np.linalg.det(crops)) < 1e-9).any():
            raise InvalidInput(f"{tool}: a tform is no similarity.", hint="Save the transform's params, plate to crop.")
        return crops
    if _has(frames, "center") and _has(frames, "size"):
        middle, size = _rows(frames, ("center",), 2, tool), _rows(frames, ("size",), 1, tool)[:, 0]
        if not (size > 0).all():
            raise InvalidInput(f"{tool}: a crop's size is not positive.", hint="Run the tool again.")
        scale = (CROP_PX - 1) / size  # DECA lays the square's corners on the first and last pixel
        crops = np.tile(np.eye(3), (len(frames), 1, 1))
        crops[:, 0, 0] = crops[:, 1, 1] = scale
        crops[:, :2, 2] = -(middle - size[:, None] / 2) * scale[:, None]
        return crops
    return None
