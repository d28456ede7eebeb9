# SPDX-License-Identifier: Apache-2.0
"""A shot as if it had been filmed on 1920 x 1080 plates: its picture enlarged, in the middle, with a camera's grain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from dubplate_backend.plates.movie import write_movie
from dubplate_backend.plates.source import ShotPlates
from dubplate_shared.shot import PlateSource, Shot, write_shot

WIDTH, HEIGHT = 1920, 1080
_GRAIN = 3.0  # deviation, of 255
_GREY = 90
_QUALITY = 12


def wide_shot(shot: Shot, path: Path) -> Shot:
    """Write NAME.dubshot without sound.  shot: square, of a video."""
    times = HEIGHT / shot.info.height
    left = round((WIDTH - HEIGHT) / 2)
    move = np.array([left, 0.0], np.float32)
    video = path.with_suffix(".mp4")
    write_movie(video, _pictures(shot, left), shot.info.rate, None, quality=_QUALITY)
    intrinsics = shot.track.intrinsics * np.float32(times)
    intrinsics[:, 2:] += move
    track = replace(
        shot.track,
        intrinsics=intrinsics,
        landmarks_px=shot.track.landmarks_px * np.float32(times) + move,
        projected_px=shot.track.projected_px * np.float32(times) + move,
    )
    crop = shot.crop.copy()
    crop[:, :, :2] /= times
    crop[:, :, 2] -= crop[:, :, :2] @ move
    info = replace(
        shot.info,
        name=path.stem,
        width=WIDTH,
        height=HEIGHT,
        plate=PlateSource("video", video.name, shot.info.plate.colour_space),
        audio=(),
    )
    return write_shot(path, info, track, crop, shot.rig, files={video.name: video})


def _pictures(shot: Shot, left: int) -> Iterator[np.ndarray]:
    with ShotPlates(shot) as plates:
        for frame in shot.frames:
            picture = np.full((HEIGHT, WIDTH, 3), _GREY, np.float32)
            enlarged = cv2.resize(plates.net(frame) * 255, (HEIGHT, HEIGHT), interpolation=cv2.INTER_CUBIC)
            picture[:, left : left + HEIGHT] = enlarged
            picture += np.random.default_rng(frame).normal(0.0, _GRAIN, picture.shape)
            yield np.clip(np.rint(picture), 0, 255).astype(np.uint8)
