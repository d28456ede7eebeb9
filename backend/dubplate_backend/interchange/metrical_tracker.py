# SPDX-License-Identifier: Apache-2.0
"""metrical-tracker's `checkpoint/NNNNN.frame`: a head that stands still before a camera that moves.

Each file is a torch.save of `flame` {exp [1,100], shape [1,300], eyes [1,12], eyelids [1,2], jaw [1,6]}, `camera` {R
[1,6], t [1,3], fl [1,1], pp [1,2]}, `img_size` [2] (height, width), `frame_id`.  Rotations are six numbers; eyes in
FLAME's order of joints, left first; neck and root are not turned.  The camera is PyTorch3D's: X_view = X R + T on rows
(x left, y up, z forward), focal length and principal point in shares of half the shorter side.  The codes are FLAME
2020's. Sources: tracker.py (`save_checkpoint`, `load_checkpoint`), flame/FLAME.py; PyTorch3D,
`opencv_from_cameras_projection`.

The tracker makes 25 pictures a second of a video by FFmpeg's fps filter, numbered from 0, and by default one crop of
them all, found on the first.  PyTorch3D before 0.5 put the middle of a picture half a pixel higher and further left
than the versions since, which are followed here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dubplate_backend.interchange.conventions import OPENCV_FROM_PYTORCH3D
from dubplate_backend.interchange.frame_files import picture_size, read_frames, rotations, stacked, turns
from dubplate_backend.interchange.tracked_frames import Edition, PerspectivePose, TrackedFrames, padded
from dubplate_shared.progress import ProgressCallback, Stop, never, silent

TOOL = "metrical-tracker"
PICTURES_PER_SECOND = 25.0  # configs/config.py, fps


def read_metrical_tracker(
    files: list[Path],
    edition: Edition | None = None,
    *,
    progress: ProgressCallback = silent,
    stop: Stop = never,
) -> TrackedFrames:
    """The frames of one actor.   Raises InvalidInput naming the file that is wrong, UnsafePickle."""
    frames = read_frames(files, TOOL, progress, stop)
    r, t = stacked(frames, "camera", "R", 6, TOOL), stacked(frames, "camera", "t", 3, TOOL)
    focal, middle = stacked(frames, "camera", "fl", 1, TOOL), stacked(frames, "camera", "pp", 2, TOOL)
    height, width = picture_size(frames, TOOL)
    half = min(width, height) / 2
    intrinsics = np.concatenate(
        [np.repeat(focal, 2, axis=1) * half, np.array([width / 2, height / 2]) - middle * half], axis=1
    )
    view = rotations(r, TOOL).transpose(0, 2, 1)  # rows to columns
    return TrackedFrames(
        tool=TOOL,
        edition=edition or Edition.FLAME2020,
        number=np.array([number for number, _ in frames]),
        rate=PICTURES_PER_SECOND,
        picture=(width, height),
        shape=padded(stacked(frames, "flame", "shape", None, TOOL)[0], 300, TOOL, "shape"),
        expression=padded(stacked(frames, "flame", "exp", None, TOOL), 100, TOOL, "exp"),
        jaw=turns(stacked(frames, "flame", "jaw", 6, TOOL), TOOL),
        neck=np.zeros((len(frames), 3)),
        eyes=turns(stacked(frames, "flame", "eyes", 12, TOOL), TOOL),
        eyelids=stacked(frames, "flame", "eyelids", 2, TOOL),
        pose=PerspectivePose(OPENCV_FROM_PYTORCH3D @ view, t @ OPENCV_FROM_PYTORCH3D, intrinsics),
        notes=("Its texture and light are of its own conventions and are left out.",),
    )
