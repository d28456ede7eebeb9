# SPDX-License-Identifier: Apache-2.0
"""How good a track is, in numbers that another tracker can be held to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from dubplate_backend.tracking.flags import flagged_frames
from dubplate_backend.tracking.quality import Quality
from dubplate_shared.flags import Flag
from dubplate_shared.landmarks import COUNT, LIPS, landmark_error, lip_gap
from dubplate_shared.track import Track


@dataclass(frozen=True)
class Figures:
    """Errors are distances of the projected landmarks from the detected ones over the inter-ocular distance, mean over
    the frames with a face, in percent. Angles in degrees."""

    frames: int
    frames_with_face: int
    face_error_percent: float
    face_error_worst_frame_percent: float
    lips_error_percent: float
    lip_gap_error_percent: float
    lip_gap_error_p95_percent: float
    jaw_least_deg: float
    jaw_most_deg: float
    jaw_gap_correlation: float  # of the jaw's opening with the detected lip gap
    expression_deviation: float  # root mean square of the components; 1 is what the head model expects

    def to_json(self) -> dict[str, float]:
        return {name: round(value, 4) for name, value in asdict(self).items()}


def figures(track: Track) -> Figures:
    """Measure a track against the landmarks that it was made from."""
    seen = track.confidence > 0
    order = np.argsort(track.landmark_index)[:COUNT]
    detected = track.landmarks_px[seen][:, order].astype(np.float64)
    projected = track.projected_px[seen][:, order].astype(np.float64)
    face = landmark_error(projected, detected) * 100
    gap = lip_gap(detected)
    gap_error = np.abs(lip_gap(projected) - gap) * 100
    jaw = np.rad2deg(track.jaw[seen, 0].astype(np.float64))
    moves = len(jaw) > 2 and jaw.std() > 0 and gap.std() > 0
    return Figures(
        frames=len(track),
        frames_with_face=int(seen.sum()),
        face_error_percent=float(face.mean()),
        face_error_worst_frame_percent=float(face.max()),
        lips_error_percent=float(landmark_error(projected, detected, LIPS).mean() * 100),
        lip_gap_error_percent=float(gap_error.mean()),
        lip_gap_error_p95_percent=float(np.percentile(gap_error, 95)),
        jaw_least_deg=float(jaw.min()),
        jaw_most_deg=float(jaw.max()),
        jaw_gap_correlation=float(np.corrcoef(jaw, gap)[0, 1]) if moves else 0.0,
        expression_deviation=float(np.sqrt(np.mean(track.expression[seen].astype(np.float64) ** 2))),
    )


def named_figures(figures: Figures, quality: Quality, flags: Sequence[Flag]) -> dict[str, float]:
    """All that shot.json says of a track in numbers."""
    return {**figures.to_json(), **quality.figures(), "flagged_frames": len(flagged_frames(flags))}
