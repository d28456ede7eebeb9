# SPDX-License-Identifier: Apache-2.0
"""How an actor of a truth clip moves before a camera whose lens nobody tells the tracker."""

from dataclasses import dataclass, replace

import numpy as np

from dubplate_backend.synthetic.light import Lamp, Set
from dubplate_backend.synthetic.performance import Performance, perform
from dubplate_backend.synthetic.utterance import Utterance
from dubplate_shared.rotations import axis_angle_from_matrix, matrix_from_axis_angle

SHORTEST_MM, LONGEST_MM = 35.0, 85.0  # of the lens on a sensor as wide as full frame
FULL_FRAME_MM = 36.0
LARGEST_TURN_DEG = (12.0, 25.0, 8.0)  # pitch, yaw, roll
LARGEST_SHIFT_MM = (14.0, 9.0, 18.0)
FACE_SHARE = 0.46  # of the picture's height, from the brow's top to the chin
FACE_CENTRE = (0.5, 0.49)  # of the picture
WANDERING_HZ, WANDERING_S = (0.12, 0.45), 5.0
SETTLING_S = 0.4  # in which the head leaves the rest that a clip may begin with
LIGHT_SWINGS_DEG = 25.0


@dataclass(frozen=True)
class Filmed:
    """rotation, translation: (T, 3) head to camera.   intrinsics: (4,) px."""

    rotation: np.ndarray
    translation: np.ndarray
    intrinsics: np.ndarray


def moving(utterance: Utterance, times_s: np.ndarray, *, seed: int, from_rest: bool = False) -> Performance:
    """The face that says `utterance` on a head that turns as far as LARGEST_TURN_DEG.

    from_rest: it faces the camera at time 0 and leaves that within SETTLING_S.
    """
    random = np.random.default_rng((seed, 0x7247))
    performance = perform(utterance, times_s, seed=seed)
    leaving = np.clip(times_s / SETTLING_S, 0.0, 1.0)[:, None] if from_rest else 1.0
    turning = _wandering(times_s, random) * LARGEST_TURN_DEG
    shifting = _wandering(times_s, random) * LARGEST_SHIFT_MM
    return replace(
        performance,
        head_deg=turning * leaving,
        sway_mm=shifting * leaving,
        neck_deg=performance.neck_deg * leaving,
    )


def filmed(points: np.ndarray, performance: Performance, size: int, *, seed: int) -> Filmed:
    """A lens of SHORTEST_MM to LONGEST_MM, and the head in the picture's middle.   points: (N, 3) of the face at rest
    [m]."""
    random = np.random.default_rng((seed, 0x1E25))
    focal = size / FULL_FRAME_MM * float(np.exp(random.uniform(np.log(SHORTEST_MM), np.log(LONGEST_MM))))
    height = points[:, 1].max() - points[:, 1].min()
    distance = focal * height / (FACE_SHARE * size)
    centre = 0.5 * (points.max(axis=0) + points.min(axis=0))
    pitch, yaw, roll = np.radians(performance.head_deg).T
    zero = np.zeros_like(pitch)
    upright = matrix_from_axis_angle(np.array([np.pi, 0.0, 0.0]))  # a face to the camera
    rotation = (
        upright
        @ matrix_from_axis_angle(np.stack([zero, yaw, zero], -1))
        @ matrix_from_axis_angle(np.stack([pitch, zero, zero], -1))
        @ matrix_from_axis_angle(np.stack([zero, zero, roll], -1))
    )  # (T, 3, 3)
    aside = (np.array(FACE_CENTRE) - 0.5) * size * distance / focal
    target = np.array([*aside, distance]) + 1e-3 * performance.sway_mm
    translation = target - upright @ centre
    return Filmed(axis_angle_from_matrix(rotation), translation, np.array([focal, focal, size / 2, size / 2]))


def lit(times_s: np.ndarray, *, seed: int) -> list[Set]:
    """For each moment: a key that swings slowly, a fill, a rim and an ambient, of colours and strengths that the seed
    draws."""
    random = np.random.default_rng((seed, 0x11647))
    side = random.choice([-1.0, 1.0])
    key_at, height = np.radians(random.uniform(20, 60)), random.uniform(-0.7, -0.25)
    warm = random.uniform(0.85, 1.15)
    key = random.uniform(0.75, 1.1) * np.array([warm, 0.93, 2 - warm - 0.05])
    fill = random.uniform(0.12, 0.35) * np.array([2 - warm, 1.0, warm])
    sky = random.uniform(0.20, 0.34) * np.array([0.97, 1.0, 1.05])
    swing = np.radians(LIGHT_SWINGS_DEG) * np.sin(2 * np.pi * (0.11 * times_s + random.uniform()))
    breathing = 1 + 0.12 * np.sin(2 * np.pi * (0.17 * times_s + random.uniform()))
    return [
        Set(
            key=Lamp((side * np.sin(key_at + turn), height, -np.cos(key_at + turn)), tuple(strength * key)),
            lamps=(
                Lamp((-side * 0.85, -0.1, -0.5), tuple(fill)),
                Lamp((-side * 0.75, -0.45, 0.62), tuple(0.9 * fill)),
            ),
            sky=tuple(sky),
            ground=tuple(0.55 * sky),
        )
        for turn, strength in zip(swing, breathing, strict=True)
    ]


def _wandering(times_s: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(T, 3) smooth, each column reaching 1 somewhere within WANDERING_S."""
    frequencies = random.uniform(*WANDERING_HZ, (3, 3))
    phases = random.uniform(0, 2 * np.pi, (3, 3))

    def waves(times_s: np.ndarray) -> np.ndarray:
        return np.sin(2 * np.pi * frequencies * times_s[:, None, None] + phases).sum(axis=1)  # (T, 3)

    return waves(times_s) / np.abs(waves(np.arange(0, WANDERING_S, 0.02))).max(axis=0)
