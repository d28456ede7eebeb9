# SPDX-License-Identifier: Apache-2.0
"""Performances as other tools write them, and a shot to put them on."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dubplate_backend.head.model import HeadModel
from dubplate_shared.shot import HeadIdentity, PlateSource, Rate, Shot, ShotInfo, write_shot
from dubplate_shared.track import Track

# The header of the app's own files: JawRight before JawLeft and MouthRight before MouthLeft, unlike Apple's order.
LIVE_LINK_HEADER = (
    "Timecode", "BlendShapeCount",
    "EyeBlinkLeft", "EyeLookDownLeft", "EyeLookInLeft", "EyeLookOutLeft", "EyeLookUpLeft", "EyeSquintLeft",
    "EyeWideLeft", "EyeBlinkRight", "EyeLookDownRight", "EyeLookInRight", "EyeLookOutRight", "EyeLookUpRight",
    "EyeSquintRight", "EyeWideRight", "JawForward", "JawRight", "JawLeft", "JawOpen", "MouthClose", "MouthFunnel",
    "MouthPucker", "MouthRight", "MouthLeft", "MouthSmileLeft", "MouthSmileRight", "MouthFrownLeft", "MouthFrownRight",
    "MouthDimpleLeft", "MouthDimpleRight", "MouthStretchLeft", "MouthStretchRight", "MouthRollLower", "MouthRollUpper",
    "MouthShrugLower", "MouthShrugUpper", "MouthPressLeft", "MouthPressRight", "MouthLowerDownLeft",
    "MouthLowerDownRight", "MouthUpperUpLeft", "MouthUpperUpRight", "BrowDownLeft", "BrowDownRight", "BrowInnerUp",
    "BrowOuterUpLeft", "BrowOuterUpRight", "CheekPuff", "CheekSquintLeft", "CheekSquintRight", "NoseSneerLeft",
    "NoseSneerRight", "TongueOut", "HeadYaw", "HeadPitch", "HeadRoll", "LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll",
    "RightEyeYaw", "RightEyePitch", "RightEyeRoll",
)  # fmt: skip
RATE = Rate(25)


def write_live_link(
    path: Path,
    curves: dict[str, np.ndarray],
    *,
    header: Sequence[str] = LIVE_LINK_HEADER,
    rate: int = 60,
    at: tuple[int, int, int, int] = (14, 3, 52, 28),
) -> Path:
    """curves: column's name -> (N,); the others are 0.   at: time code of the first row."""
    hours, minutes, seconds, frame = at
    first = ((hours * 60 + minutes) * 60 + seconds) * rate + frame
    count = len(next(iter(curves.values())))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for row in range(count):
            second, frame = divmod(first + row, rate)
            code = f"{second // 3600 % 24:02d}:{second // 60 % 60:02d}:{second % 60:02d}:{frame:02d}.207"
            values = [f"{curves[name][row]:.9f}" if name in curves else "0.0" for name in header[2:]]
            writer.writerow([code, "61", *values])
    return path


def write_audio2face(path: Path, curves: dict[str, np.ndarray], *, fps: float = 30, **more: object) -> Path:
    """curves: name of a shape -> (N,)."""
    matrix = np.stack(list(curves.values()), axis=1)
    content = {
        "exportFps": fps,
        "trackPath": "/somewhere/line.wav",
        "numPoses": matrix.shape[1],
        "numFrames": len(matrix),
        "facsNames": list(curves),
        "weightMat": matrix.tolist(),
        **more,
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def empty_shot(
    path: Path, head: HeadModel, *, frames: int = 30, rate: Rate = RATE, timecode: str | None = None
) -> Shot:
    """A still face without pictures."""
    zeros = {"expression": 100, "jaw": 3, "neck": 3, "eyes": 6, "eyelids": 2, "rotation": 3}
    arrays = {name: np.zeros((frames, width), np.float32) for name, width in zeros.items()}
    track = Track(
        frame=np.arange(1001, 1001 + frames),
        time=np.arange(frames) / rate.fps,
        shape=np.zeros(300, np.float32),
        translation=np.tile((0.0, 0.0, 0.6), (frames, 1)),
        intrinsics=np.tile((300.0, 300.0, 64.0, 64.0), (frames, 1)),
        distortion=np.zeros(8),
        lighting=np.zeros((frames, 9, 3)),
        texture=np.zeros(0),
        confidence=np.ones(frames),
        landmarks_px=np.zeros((frames, 468, 2)),
        projected_px=np.zeros((frames, 468, 2)),
        landmark_index=np.arange(468),
        **arrays,
    )
    info = ShotInfo(
        name=path.stem,
        frame_count=frames,
        rate=rate,
        width=128,
        height=128,
        plate=PlateSource("video", "plate.mp4", "g24_rec709_display"),
        head=HeadIdentity(head.kind, head.sha256),
        timecode=timecode,
    )
    crop = np.tile(np.eye(2, 3, dtype=np.float32) / 128, (frames, 1, 1))
    return write_shot(path, info, track, crop, None)
