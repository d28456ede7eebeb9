# SPDX-License-Identifier: Apache-2.0
"""A shot of a few plates without a face: enough to read plates, time code and colour by."""

from dataclasses import fields
from pathlib import Path

import numpy as np

from dubplate_shared.shot import HeadIdentity, PlateSource, Rate, Shot, ShotInfo, write_shot
from dubplate_shared.track import Track


def blank_track(count: int) -> Track:
    """A track in which nobody is seen."""
    sizes = {
        "shape": (300,), "distortion": (8,), "texture": (4,), "landmark_index": (2,), "expression": (count, 100),
        "jaw": (count, 3), "neck": (count, 3), "eyes": (count, 6), "eyelids": (count, 2), "rotation": (count, 3),
        "translation": (count, 3), "intrinsics": (count, 4), "lighting": (count, 9, 3), "confidence": (count,),
        "landmarks_px": (count, 2, 2), "projected_px": (count, 2, 2),
    }  # fmt: skip
    arrays = {name: np.zeros(size, np.float32) for name, size in sizes.items()}
    arrays["landmark_index"] = np.arange(2, dtype=np.int32)
    arrays["frame"] = np.arange(1001, 1001 + count, dtype=np.int32)
    arrays["time"] = np.arange(count) / 24.0
    return Track(**{item.name: arrays[item.name] for item in fields(Track)})


def blank_shot(
    folder: Path, plate: PlateSource, *, size: tuple[int, int], count: int = 3, timecode: str | None = None
) -> Shot:
    """A package for plates of (width, height) that the test has written."""
    info = ShotInfo(
        name="blank",
        frame_count=count,
        rate=Rate(24000, 1001),
        width=size[0],
        height=size[1],
        plate=plate,
        head=HeadIdentity("standin", "0" * 64),
        timecode=timecode,
    )
    crop = np.tile(np.array([[1 / size[0], 0, 0], [0, 1 / size[1], 0]], np.float32), (count, 1, 1))
    return write_shot(folder / "blank.dubshot", info, blank_track(count), crop, None)
