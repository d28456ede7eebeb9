# SPDX-License-Identifier: Apache-2.0
"""VHAP's export for NeRFs: `transforms.json` and `flame_param/NNNNN.npz`, with a camera for each picture.

Each of `frames` holds timestep_index, timestep_id, camera_id, fl_x fl_y cx cy [px], w h, transform_matrix [4,4]
(camera to world, OpenGL axes) and flame_param_path; the file it names is VHAP's npz of one timestep.  The world was
moved so that the head lies around the origin.  `canonical_flame_param.npz` beside them is a neutral head with its jaw
open by 0.3 rad, no frame, and is not read.  cy counts from the picture's lower edge, as VHAP's renderer takes it and
its cameras are converted (`convert_camera_convention`, `projection_from_intrinsics`).  Source:
vhap/export_as_nerf_dataset.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from dubplate_backend.head.model import HeadModel
from dubplate_backend.interchange.array_files import read_npz, watched
from dubplate_backend.interchange.conventions import OPENCV_FROM_OPENGL
from dubplate_backend.interchange.tracked_frames import Edition, PerspectivePose, TrackedFrames
from dubplate_backend.interchange.vhap import PICTURES_PER_SECOND, edition_note, flame_codes, head_motion
from dubplate_shared.errors import InvalidInput
from dubplate_shared.progress import ProgressCallback, Stop, never, silent

TOOL = "VHAP (NeRF export)"
INDEX = "transforms.json"
_MAX_INDEX_BYTES = 256 << 20


def read_vhap_nerf(
    files: list[Path],
    head: HeadModel,
    edition: Edition | None = None,
    camera: str | None = None,
    *,
    progress: ProgressCallback = silent,
    stop: Stop = never,
) -> TrackedFrames:
    """The frames that one camera saw.   Raises InvalidInput where the export is broken or has several cameras."""
    if len(files) != 1:
        raise InvalidInput(f"{len(files)} files are named.", hint=f"Name {INDEX}, or the folder that holds it.")
    index = files[0] / INDEX if files[0].is_dir() else files[0]
    frames = _of_one_camera(_frames(index), camera, index)
    paths = [_beside(index, str(frame["flame_param_path"])) for frame in frames]
    contents = [read_npz(path) for path in watched(paths, progress, stop)]
    where = "flame_param"
    joined: dict[str, np.ndarray] = {
        name: np.concatenate([np.atleast_2d(content[name]) for content in contents])
        for name in ("rotation", "translation", "neck_pose", "jaw_pose", "eyes_pose", "expr")
        if all(name in content for content in contents)
    }
    joined |= {name: contents[0][name] for name in ("shape", "static_offset", "dynamic_offset") if name in contents[0]}
    codes = flame_codes(joined, where)
    rotation, translation, notes = head_motion(head, codes, joined, where)
    world = np.array([np.linalg.inv(_matrix(frame, index)) for frame in frames])  # [N, 4, 4] camera from world
    lens = np.array(
        [[_number(frame, name, index) for name in ("fl_x", "fl_y", "cx", "cy", "w", "h")] for frame in frames]
    )
    if len({(width, height) for *_, width, height in lens.tolist()}) != 1:
        raise InvalidInput(f"{index.name}: its pictures are of different sizes.", hint="Export one camera's pictures.")
    intrinsics = lens[:, :4].copy()
    intrinsics[:, 3] = lens[:, 5] - lens[:, 3]
    return TrackedFrames(
        tool=TOOL,
        edition=edition or Edition.FLAME2023,
        number=np.array([_timestep(frame, index) for frame in frames]),
        rate=PICTURES_PER_SECOND,
        picture=(int(lens[0, 4]), int(lens[0, 5])),
        pose=PerspectivePose(
            OPENCV_FROM_OPENGL @ world[:, :3, :3] @ rotation,
            (np.einsum("nij,nj->ni", world[:, :3, :3], translation) + world[:, :3, 3]) @ OPENCV_FROM_OPENGL,
            intrinsics,
        ),
        notes=notes + edition_note(edition),
        **{name: codes[name] for name in ("shape", "expression", "jaw", "neck", "eyes", "eyelids")},
    )


def _frames(index: Path) -> list[dict[str, Any]]:
    try:
        if index.stat().st_size > _MAX_INDEX_BYTES:
            raise InvalidInput(
                f"{index.name} is larger than {_MAX_INDEX_BYTES >> 20} MB.", hint="Is it the right file?"
            )
        frames = json.loads(index.read_text(encoding="utf-8"))["frames"]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError, KeyError, TypeError) as error:
        raise InvalidInput(f"{index} cannot be read: {error}.", hint="Export it from VHAP again.") from error
    if not isinstance(frames, list) or not frames or not all(isinstance(frame, dict) for frame in frames):
        raise InvalidInput(f"{index.name} lists no frames.", hint="Export it from VHAP again.")
    if not all("flame_param_path" in frame for frame in frames):
        raise InvalidInput(
            f"{index.name} names no FLAME parameters.", hint="Export with VHAP's mode param, which writes flame_param/."
        )
    return frames


def _of_one_camera(frames: list[dict[str, Any]], camera: str | None, index: Path) -> list[dict[str, Any]]:
    names = sorted({str(frame.get("camera_id", 0)) for frame in frames})
    if camera is None and len(names) > 1:
        raise InvalidInput(
            f"The export has {len(names)} cameras: {', '.join(names)}.", hint="Choose one with --camera."
        )
    chosen = camera or names[0]
    if chosen not in names:
        raise InvalidInput(
            f"The export has no camera {chosen}: it has {', '.join(names)}.", hint="Choose one of these."
        )
    seen = (frame for frame in frames if str(frame.get("camera_id", 0)) == chosen)
    return sorted(seen, key=lambda frame: _timestep(frame, index))


def _beside(index: Path, name: str) -> Path:
    """A file that the index names, which has to lie under its folder.   Raises InvalidInput."""
    folder = index.parent.resolve()
    path = (folder / name).resolve()
    if not path.is_relative_to(folder):
        raise InvalidInput(f"{index.name} names {name!r}, outside its folder.", hint="Export it from VHAP again.")
    return path


def _matrix(frame: dict[str, Any], index: Path) -> np.ndarray:
    try:
        matrix = np.array(frame["transform_matrix"], np.float64)
        rigid = matrix.shape == (4, 4) and np.allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-3)
    except (KeyError, TypeError, ValueError):
        rigid = False
    if not rigid:
        raise InvalidInput(f"{index.name}: a camera's transform_matrix is no rigid motion.", hint="Export it again.")
    return matrix


def _number(frame: dict[str, Any], name: str, index: Path) -> float:
    value = frame.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not np.isfinite(value):
        raise InvalidInput(f"{index.name}: a frame's {name} is no number.", hint="Export it from VHAP again.")
    return float(value)


def _timestep(frame: dict[str, Any], index: Path) -> int:
    """The number of its picture: the picture's own name where that is a number, else its place in the sequence."""
    name = str(frame.get("timestep_id", ""))
    return int(name) if name.isdigit() and len(name) < 10 else int(_number(frame, "timestep_index", index))
