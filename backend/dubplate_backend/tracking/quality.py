# SPDX-License-Identifier: Apache-2.0
"""What can be said of each frame of a track without knowing the truth: residuals, and how much it jitters."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch

from dubplate_backend.head.model import HeadModel
from dubplate_backend.tracking.confidence import LEAST_CONFIDENCE
from dubplate_backend.tracking.occlusion import ENDS
from dubplate_backend.tracking.surface_head import SurfaceHead
from dubplate_shared.errors import InvalidInput
from dubplate_shared.files import load_npz, save_npz
from dubplate_shared.landmarks import COUNT, LIPS, landmark_error, lip_gap
from dubplate_shared.rotations import matrix_from_axis_angle
from dubplate_shared.track import Track

# A share of the mouth that looks foreign from which something covers it. Bare faces have up to 0.01; with a bar across
# the lips, light and lips give way to it until 0.25 to 0.35 are left.
COVERED = 0.15


@dataclass(frozen=True)
class Seen:
    """What the tracker saw and a track does not hold, (T,) each.   confidence: of the landmarks, 0..1, 0 where there is
    no face.   colour_error: mean error of visible points, of the display's range.   hidden: share of the mouth that
    something else covers.  The last two are 0 where colours were not fitted."""

    confidence: np.ndarray
    colour_error: np.ndarray
    hidden: np.ndarray

    @classmethod
    def in_track(cls, track: Track) -> Seen:
        """As much of it as a track alone says."""
        nothing = np.zeros(len(track))
        return cls(track.confidence.astype(np.float64), nothing, nothing)

    def combined_confidence(self) -> np.ndarray:
        """(T,) what a track calls confidence: a hidden mouth is not to be believed, however well the eyes are seen. A
        face that is there keeps LEAST_CONFIDENCE."""
        open_share = np.clip(1 - (self.hidden - COVERED) / (ENDS - COVERED), 0, 1)
        trusted = np.maximum(self.confidence * open_share, LEAST_CONFIDENCE)
        return np.where(self.confidence > 0, trusted, 0.0)


@dataclass(frozen=True)
class Quality:
    """(T,) float64 each; 0 in frames without a face, and where a difference over time has no neighbours.

    face_error_percent, lips_error_percent: mean distance of projected from detected landmarks, of the inter-ocular
    distance.  seen_gap_percent, lip_gap_percent: the lips' opening as detected and as tracked, of the same.
    colour_error, hidden, confidence: see `Seen`.
    turn_change_deg, shift_change_mm: second difference of the head's rotation and place from frame to frame.
    lips_change_mm: root mean square over the lips' points of the second difference of their place in the skull.
    jaw_deg, jaw_speed_deg_s: its opening, and how fast it turns from the frame before.
    """

    face_error_percent: np.ndarray
    lips_error_percent: np.ndarray
    seen_gap_percent: np.ndarray
    lip_gap_percent: np.ndarray
    colour_error: np.ndarray
    hidden: np.ndarray
    confidence: np.ndarray
    turn_change_deg: np.ndarray
    shift_change_mm: np.ndarray
    lips_change_mm: np.ndarray
    jaw_deg: np.ndarray
    jaw_speed_deg_s: np.ndarray

    def __len__(self) -> int:
        return len(self.confidence)

    @property
    def seen(self) -> Seen:
        return Seen(self.confidence, self.colour_error, self.hidden)

    @property
    def has_face(self) -> np.ndarray:
        """(T,) bool."""
        return self.confidence > 0

    def figures(self) -> dict[str, float]:
        """Root mean squares over the frames with a face of what changes from frame to frame, and the mean of colours'
        errors, for shot.json."""
        face = self.has_face
        changes = {
            name: float(np.sqrt(np.mean(getattr(self, name)[face] ** 2)))
            for name in ("turn_change_deg", "shift_change_mm", "lips_change_mm")
        }
        found = {**changes, "colour_error_percent": 100 * float(self.colour_error[face].mean())}
        return {name: round(value, 4) for name, value in found.items()}

    def save(self, path: Path) -> None:
        """Write quality.npz."""
        save_npz(path, {field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Quality:
        """Raises InvalidInput."""
        arrays = load_npz(path)
        missing = [field.name for field in fields(cls) if field.name not in arrays]
        if missing:
            raise InvalidInput(f"{path} lacks {', '.join(missing)}.", hint="Track the shot again.")
        return cls(**{field.name: arrays[field.name] for field in fields(cls)})


def measure(head: HeadModel, track: Track, seen: Seen) -> Quality:
    """Hold a track against the landmarks that it was made from, and each frame against its neighbours."""
    order = np.argsort(track.landmark_index)[:COUNT]
    detected = track.landmarks_px[:, order].astype(np.float64)  # [T, 468, 2]
    projected = track.projected_px[:, order].astype(np.float64)
    face = seen.confidence > 0
    safe = np.where(face[:, None, None], detected, projected)  # frames without a face hold zeros
    lips = lips_in_skull(head, track)  # [T, L, 3]
    jaw = np.rad2deg(track.jaw[:, 0].astype(np.float64))
    whole = face & np.roll(face, 1) & np.roll(face, -1)  # with both neighbours
    joined = face & np.roll(face, 1)

    def shown(values: np.ndarray, where: np.ndarray = face) -> np.ndarray:
        return np.where(where, values, 0.0)

    return Quality(
        face_error_percent=shown(landmark_error(projected, safe) * 100),
        lips_error_percent=shown(landmark_error(projected, safe, LIPS) * 100),
        seen_gap_percent=shown(lip_gap(safe) * 100),
        lip_gap_percent=shown(lip_gap(projected) * 100),
        colour_error=shown(seen.colour_error),
        hidden=shown(seen.hidden),
        confidence=np.asarray(seen.confidence, np.float64),
        turn_change_deg=shown(np.rad2deg(turn_change(track.rotation.astype(np.float64))), whole),
        shift_change_mm=shown(1e3 * np.linalg.norm(second_difference(track.translation), axis=-1), whole),
        lips_change_mm=shown(1e3 * np.sqrt(np.square(second_difference(lips)).sum(-1).mean(-1)), whole),
        jaw_deg=jaw,
        jaw_speed_deg_s=shown(np.abs(speed(jaw, track.time)), joined),
    )


def lips_in_skull(head: HeadModel, track: Track) -> np.ndarray:
    """The lips' landmarks where a still skull has them, (T, L, 3) metres."""
    lips = list(LIPS)
    reduced = SurfaceHead.of(head, head.landmark_faces[lips], head.landmark_barycentrics[lips])
    motion = [
        torch.from_numpy(getattr(track, name)).double() for name in ("shape", "expression", "eyelids", "jaw", "neck")
    ]
    motion[-1] = torch.zeros_like(motion[-1])
    shape, rest = motion[0][: reduced.shape_components], motion[1:]
    return reduced.points(shape, *rest).numpy()


def second_difference(values: np.ndarray) -> np.ndarray:
    """(T, ...) along time, 0 at both ends."""
    change = np.zeros(values.shape)
    change[1:-1] = values[2:].astype(np.float64) - 2 * values[1:-1] + values[:-2]
    return change


def turn_change(axis_angle: np.ndarray) -> np.ndarray:
    """(T,) radians: how far the turn into a frame and the turn out of it differ, 0 at both ends."""
    matrix = matrix_from_axis_angle(axis_angle)  # [T, 3, 3]
    step = matrix[1:] @ matrix[:-1].transpose(0, 2, 1)
    between = step[1:] @ step[:-1].transpose(0, 2, 1)
    # By the sine of half the angle: exact for small ones, where a trace is not.
    half = np.linalg.norm(between - np.eye(3), axis=(1, 2)) / np.sqrt(8)
    change = np.zeros(len(axis_angle))
    change[1:-1] = 2 * np.arcsin(np.clip(half, 0, 1))
    return change


def speed(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(T,) a second, from the frame before; 0 in the first."""
    found = np.zeros(len(values))
    found[1:] = np.diff(values) / np.maximum(np.diff(times), 1e-6)
    return found
