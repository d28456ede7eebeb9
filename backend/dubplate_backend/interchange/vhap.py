# SPDX-License-Identifier: Apache-2.0
"""VHAP's `tracked_flame_params*.npz`, in and out.

rotation, translation, neck_pose, jaw_pose [T,3], eyes_pose [T,6] (left first), expr [T,100]: axis-angle, metres.
shape [300].  image_size (height, width).  focal_length [1] in longer sides of the picture, absent where the cameras
were given. timestep_id [T], the names of its pictures.  static_offset [1,V,3], dynamic_offset [T,V,3]: metres added to
the shaped head before it is posed; V is 5143 where VHAP's 120 vertices of teeth are on.  The head turns about FLAME's
root joint and is then moved.  The camera stands at (0, 0, 1) and looks along -z with y up (OpenGL); u = f X/d + w/2, v
= h/2 - f Y/d, pixel centres at +0.5.  Sources: vhap/model/tracker.py (`save_result`, `fill_cam_params_into_sample`,
`init_params`), vhap/model/flame.py (`forward`), vhap/util/render_nvdiffrast.py (`projection_from_intrinsics`).

Of a video, VHAP makes 25 pictures a second unless told, numbered from 0 (vhap/preprocess_video.py).  Its FLAME is
2023's with a jaw (vhap/model/flame.py, FLAME_MODEL_PATH); earlier versions used 2020's, which the file does not say.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dubplate_backend.head.flame_files import VERTICES
from dubplate_backend.head.model import HeadModel
from dubplate_backend.interchange.array_files import array_of, read_npz
from dubplate_backend.interchange.conventions import OPENCV_FROM_OPENGL, about_origin, root_joints
from dubplate_backend.interchange.tracked_frames import Edition, PerspectivePose, TrackedFrames, padded
from dubplate_shared.errors import InvalidInput
from dubplate_shared.rotations import matrix_from_axis_angle

TOOL = "VHAP"
PICTURES_PER_SECOND = 25.0
TEETH_VERTICES = 120
CAMERA_FROM_WORLD = np.array([0.0, 0.0, -1.0])  # metres, OpenGL axes
MAX_TRACK_BYTES = 1 << 30  # a texture of 2048 px is 48 MB, offsets of single frames 60 kB each
_LEAST_OFFSET = 1e-7  # metres: below it an offset is rounding


def read_vhap(files: list[Path], head: HeadModel, edition: Edition | None = None) -> TrackedFrames:
    """One `tracked_flame_params*.npz`.   Raises InvalidInput where it is broken, or keeps no focal length."""
    if len(files) != 1:
        raise InvalidInput(
            f"{len(files)} files of {TOOL} are named: each holds a whole track.",
            hint="Name the one with the highest number: it is the last epoch's.",
        )
    path = files[0]
    content = read_npz(path, MAX_TRACK_BYTES)
    if "focal_length" not in content:
        raise InvalidInput(
            f"{path.name} keeps no focal length: it was tracked with cameras that were given.",
            hint="Import its NeRF export (the folder with transforms.json), which keeps the cameras.",
        )
    height, width = (int(side) for side in array_of(content, "image_size", path.name).ravel()[:2])
    focal = float(array_of(content, "focal_length", path.name).ravel()[0]) * max(height, width)
    codes = flame_codes(content, path.name)
    rotation, translation, notes = head_motion(head, codes, content, path.name)
    stated = _stated_edition(content)
    count = len(rotation)
    return TrackedFrames(
        tool=TOOL,
        edition=edition or stated or Edition.FLAME2023,
        number=_numbers(content, count),
        rate=float(array_of(content, "fps", path.name)) if "fps" in content else PICTURES_PER_SECOND,
        picture=(width, height),
        pose=PerspectivePose(
            OPENCV_FROM_OPENGL @ rotation,
            (translation + CAMERA_FROM_WORLD) @ OPENCV_FROM_OPENGL,
            np.tile([focal, focal, width / 2, height / 2], (count, 1)),
        ),
        notes=notes + edition_note(edition or stated),
        **{name: codes[name] for name in ("shape", "expression", "jaw", "neck", "eyes", "eyelids")},
    )


def flame_codes(content: dict[str, np.ndarray], where: str) -> dict[str, np.ndarray]:
    """shape [300], expression [T,100], jaw, neck, rotation, translation [T,3], eyes [T,6], eyelids [T,2] of VHAP's
    names.

    Raises InvalidInput.
    """
    named = {
        "rotation": ("rotation", 3), "translation": ("translation", 3), "neck": ("neck_pose", 3),
        "jaw": ("jaw_pose", 3), "eyes": ("eyes_pose", 6), "expression": ("expr", None),
    }  # fmt: skip
    codes = {}
    count = None
    for ours, (theirs, length) in named.items():
        array = array_of(content, theirs, where)
        count = len(array) if count is None and array.ndim else count
        if array.ndim != 2 or len(array) != count or array.shape[1] != (length or array.shape[1]):
            raise InvalidInput(f"{where}: {theirs} is {array.shape}, which {TOOL} never writes.", hint="Is it whole?")
        codes[ours] = array
    codes["expression"] = padded(codes["expression"], 100, TOOL, "expr")
    codes["shape"] = padded(array_of(content, "shape", where).ravel(), 300, TOOL, "shape")
    codes["eyelids"] = np.zeros((count, 2))
    return codes


def head_motion(
    head: HeadModel, codes: dict[str, np.ndarray], content: dict[str, np.ndarray], where: str
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """X_world = R X_head + t about head space's origin, rotation [T,3,3], translation [T,3]; and what is left out."""
    offset, notes = _static_offset(content, where)
    rotation = matrix_from_axis_angle(codes["rotation"])
    pivot = root_joints(head, codes["shape"], codes["expression"], offset)
    return rotation, about_origin(rotation, codes["translation"], pivot), notes


def _static_offset(content: dict[str, np.ndarray], where: str) -> tuple[np.ndarray | None, tuple[str, ...]]:
    notes: tuple[str, ...] = ()
    if "dynamic_offset" in content:
        notes += ("Its offsets of single vertices in single frames (dynamic_offset) are left out.",)
    if "static_offset" not in content:
        return None, notes
    offset = array_of(content, "static_offset", where)
    offset = offset[0] if offset.ndim == 3 and len(offset) == 1 else offset
    if offset.shape not in ((VERTICES, 3), (VERTICES + TEETH_VERTICES, 3)):
        raise InvalidInput(
            f"{where}: static_offset is {offset.shape}, and FLAME has {VERTICES} vertices.",
            hint="Is it a FLAME head, with or without VHAP's teeth?",
        )
    distance = np.linalg.norm(offset[:VERTICES], axis=1)
    if distance.max() > _LEAST_OFFSET:
        notes += (
            f"Its offsets of single vertices (static_offset: {distance.mean() * 1e3:.1f} mm on average, "
            f"{distance.max() * 1e3:.1f} mm at most) are left out: the head is FLAME's own for its codes.",
        )
    return offset, notes


def edition_note(edition: Edition | None) -> tuple[str, ...]:
    """What is to be said where the user did not say which FLAME it was."""
    if edition is not None:
        return ()
    return (
        "Its file does not say which FLAME it is of: FLAME 2023 is taken. Say --edition flame2020 for older versions.",
    )


def _stated_edition(content: dict[str, np.ndarray]) -> Edition | None:
    """As our own export says it; VHAP does not."""
    named = str(content["flame"]) if "flame" in content and content["flame"].shape == () else ""
    return Edition(named) if named in list(Edition) else None


def _numbers(content: dict[str, np.ndarray], count: int) -> np.ndarray:
    """Numbers of its pictures by their names; by their order where names are no numbers."""
    names = content.get("timestep_id")
    if names is not None and names.shape == (count,) and all(str(name).isdigit() for name in names.tolist()):
        return np.array([int(name) for name in names.tolist()])
    return np.arange(count)
