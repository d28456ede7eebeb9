# SPDX-License-Identifier: Apache-2.0
"""pixel3dmm's `checkpoint/NNNNN.frame`: a head that moves before a camera that stands still.

As metrical-tracker's files, with `flame` {neck [1,6], R [1,6], R_rotation_matrix, t [1,3]} besides and `camera`
{R_base_S, t_base_S, fl, pp} of each camera S; no texture or light.  The head is posed with its root unturned, then
moved by R and t about the origin, then seen by R_base, t_base with OpenGL's axes.  Its pictures are square; points are
placed at x = f X/d + size/2 - 1/2 + p, y = -f Y/d + size/2 + 1/2 + p, with f = fl size, p = pp (size + 1)/2, and pixel
centres at whole numbers.  Source: tracking/tracker.py (`save_checkpoint`, `get_intrinsics`,
`project_points_screen_space`).

It takes every frame of a video, numbered from 0.  Its FLAME is 2020's, or 2023's edition without a jaw
(flame2023_no_jaw.pkl) where its configuration says use_flame2023: the files do not say which.  Eyelids are added after
the neck has turned, here before: 1 mm at a lid for 6 degrees of neck.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dubplate_backend.interchange.conventions import OPENCV_FROM_OPENGL
from dubplate_backend.interchange.frame_files import picture_size, read_frames, rotations, stacked, turns
from dubplate_backend.interchange.tracked_frames import Edition, PerspectivePose, TrackedFrames, padded
from dubplate_shared.errors import InvalidInput
from dubplate_shared.progress import ProgressCallback, Stop, never, silent

TOOL = "pixel3dmm"
_BASE = "R_base_"
_RIGID = 1e-3  # what a rotation of float32 may differ by from one


def read_pixel3dmm(
    files: list[Path],
    edition: Edition | None = None,
    *,
    progress: ProgressCallback = silent,
    stop: Stop = never,
) -> TrackedFrames:
    """The frames of one actor.   Raises InvalidInput naming the file that is wrong, UnsafePickle."""
    frames = read_frames(files, TOOL, progress, stop)
    serial = _one_camera(frames)
    base = stacked(frames, "camera", f"{_BASE}{serial}", 9, TOOL).reshape(-1, 3, 3)
    if np.abs(base @ base.transpose(0, 2, 1) - np.eye(3)).max() > _RIGID:
        raise InvalidInput(f"{TOOL}: {_BASE}{serial} is no rotation.", hint="Is the file whole?")
    base_t = stacked(frames, "camera", f"t_base_{serial}", 3, TOOL)
    motion = rotations(stacked(frames, "flame", "R", 6, TOOL), TOOL)
    motion_t = stacked(frames, "flame", "t", 3, TOOL)
    translation = np.einsum("nij,nj->ni", base, motion_t) + base_t
    height, width = picture_size(frames, TOOL)
    if height != width:
        raise InvalidInput(f"{TOOL}: its pictures are {width}x{height} and not square.", hint="Check --format.")
    focal = stacked(frames, "camera", "fl", 1, TOOL) * width
    middle = width / 2 + stacked(frames, "camera", "pp", 2, TOOL) * (width + 1) / 2 + np.array([0.0, 1.0])
    jaw = turns(stacked(frames, "flame", "jaw", 6, TOOL), TOOL)
    notes: tuple[str, ...] = ()
    if edition is None:
        notes += ("Its files do not say which FLAME they are of: FLAME 2020 is taken. Say --edition if it was 2023.",)
    if edition is Edition.FLAME2023:
        jaw = np.zeros_like(jaw)
        notes += ("With FLAME 2023 it does not turn the jaw: --head has to be flame2023_no_jaw.pkl.",)
    return TrackedFrames(
        tool=TOOL,
        edition=edition or Edition.FLAME2020,
        number=np.array([number for number, _ in frames]),
        rate=None,
        picture=(width, height),
        shape=padded(stacked(frames, "flame", "shape", None, TOOL)[0], 300, TOOL, "shape"),
        expression=padded(stacked(frames, "flame", "exp", None, TOOL), 100, TOOL, "exp"),
        jaw=jaw,
        neck=turns(stacked(frames, "flame", "neck", 6, TOOL), TOOL),
        eyes=turns(stacked(frames, "flame", "eyes", 12, TOOL), TOOL),
        eyelids=stacked(frames, "flame", "eyelids", 2, TOOL),
        pose=PerspectivePose(
            OPENCV_FROM_OPENGL @ base @ motion,
            translation @ OPENCV_FROM_OPENGL,
            np.concatenate([focal, focal, middle], axis=1),
        ),
        notes=notes,
    )


def _one_camera(frames: list[tuple[int, dict]]) -> str:
    serials = {
        name.removeprefix(_BASE) for _, content in frames for name in content["camera"] if name.startswith(_BASE)
    }
    if len(serials) != 1:
        raise InvalidInput(
            f"{TOOL}: the frames are of {len(serials)} cameras ({', '.join(sorted(serials))}).",
            hint="A shot is one camera's: track it by itself.",
        )
    return serials.pop()
