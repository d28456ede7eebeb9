# SPDX-License-Identifier: Apache-2.0
"""How many pixels a mouth has: on the plate, and in the crop that the network draws.

A crop that is enlarged onto the plate more than twice is soft however well it was learnt, and no setting mends that but
a larger preset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dubplate_backend.head.model import HeadModel
from dubplate_backend.raster.camera import project, to_camera
from dubplate_backend.renderers.presets import PRESETS, Preset
from dubplate_shared.shot import Shot

MOUTH_CORNERS = (61, 291)  # MediaPipe's numbers of the outer lip's corners
MOST_ENLARGED = 2.0
FRAMES_MEASURED = 50  # spread over the shot


@dataclass(frozen=True)
class MouthResolution:
    """Medians over the shot.  plate_px, crop_px: from one corner of the lips to the other.

    enlargement: plate pixels to one of the crop.  mended_by: the smallest preset whose crop is enlarged at most twice,
    or the largest there is; empty where nothing needs mending.
    """

    preset: str
    plate_px: float
    crop_px: float
    enlargement: float
    mended_by: str

    @classmethod
    def of(cls, shot: Shot, head: HeadModel, preset: Preset) -> MouthResolution | None:
        """Of the tracked frames of a shot; None where no face was seen."""
        seen = np.flatnonzero(shot.track.confidence > 0)
        if not len(seen):
            return None
        seen = seen[np.unique(np.linspace(0, len(seen) - 1, FRAMES_MEASURED).round().astype(int))]
        plate_px = float(np.median(np.linalg.norm(_corners(shot, head, seen) @ [1.0, -1.0], axis=-1)))
        side_px = float(np.median(1.0 / np.linalg.norm(shot.crop[seen, 0, :2], axis=-1)))  # of the crop on the plate
        enlargement = side_px / preset.crop_size
        mended_by = ""
        if enlargement > MOST_ENLARGED:
            larger = [other for other in PRESETS if other.crop_size > preset.crop_size]
            enough = [other.name for other in larger if side_px / other.crop_size <= MOST_ENLARGED]
            mended_by = enough[0] if enough else (larger[-1].name if larger else "")
        return cls(preset.name, plate_px, plate_px / enlargement, enlargement, mended_by)

    @property
    def warning(self) -> str:
        """A sentence where the crop is enlarged more than twice, else empty."""
        if self.enlargement <= MOST_ENLARGED:
            return ""
        mend = (
            f"Adapt an actor of preset {self.mended_by}."
            if self.mended_by
            else "No preset is larger: frame the shot wider, or deliver it smaller."
        )
        return f"The mouth will be soft: its crop is enlarged {self.enlargement:.1f} times. {mend}"

    def __str__(self) -> str:
        return (
            f"{self.plate_px:.0f} px wide on the plate, {self.crop_px:.0f} px in the {self.preset} crop,"
            f" enlarged {self.enlargement:.1f} times"
        )

    def to_json(self) -> dict[str, Any]:
        """Rounded to what the measure is good for."""
        return {
            "preset": self.preset,
            "plate_px": round(self.plate_px, 1),
            "crop_px": round(self.crop_px, 1),
            "enlargement": round(self.enlargement, 2),
            "mended_by": self.mended_by,
        }


def _corners(shot: Shot, head: HeadModel, seen: np.ndarray) -> np.ndarray:
    """(N, 2, 2) px: x and y of both corners, as [N, xy, corner]."""
    track = shot.track
    shape = torch.from_numpy(track.shape)[None].expand(len(seen), -1)
    arrays = (track.expression, track.jaw, track.neck, track.eyes, track.eyelids)
    vertices = head.vertices(shape, *(torch.from_numpy(array[seen]) for array in arrays))
    points = head.landmarks(vertices)[:, list(MOUTH_CORNERS)]  # [N, 2, 3]
    camera = to_camera(points, torch.from_numpy(track.rotation[seen]), torch.from_numpy(track.translation[seen]))
    return project(camera, torch.from_numpy(track.intrinsics[seen])).transpose(1, 2).numpy()
