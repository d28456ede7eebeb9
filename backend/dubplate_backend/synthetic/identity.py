# SPDX-License-Identifier: Apache-2.0
"""Many synthetic people: who one is, how he is lit, filmed and speaks, drawn by chance from a seed.

Skin reflectances: six tones after the range of Xiao et al. 2017, "Characterising the variations in ethnic skin
colours", and of the Fitzpatrick scale, joined in log space.  No person stands behind any of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dubplate_backend.synthetic.light import Lamp, Set
from dubplate_backend.synthetic.skin import Complexion

Colour = tuple[float, float, float]

# Linear-light reflectances, pale to dark.
_TONES = np.array([
    (0.62, 0.40, 0.31),
    (0.53, 0.315, 0.22),
    (0.46, 0.255, 0.165),
    (0.33, 0.170, 0.100),
    (0.19, 0.092, 0.053),
    (0.085, 0.042, 0.026),
])  # fmt: skip
_HAIRS = np.array([
    (0.012, 0.010, 0.009),  # black
    (0.030, 0.019, 0.013),  # dark brown
    (0.085, 0.048, 0.026),  # brown
    (0.26, 0.17, 0.085),  # blond
    (0.17, 0.058, 0.022),  # red
    (0.27, 0.27, 0.27),  # grey
])  # fmt: skip
_DARK_TONE = 3.0  # from this tone on hair is black, dark brown or grey
_IRISES = np.array([(0.095, 0.125, 0.105), (0.05, 0.028, 0.016), (0.09, 0.15, 0.22), (0.10, 0.075, 0.035)])
_BEARDS = (0.0, 0.0, 0.0, 0.5, 1.0, 2.2)
_BLOOD_OVER_SKIN = np.array([0.87, 0.53, 0.64])  # as the demo's actor has it
_LIP_OVER_SKIN = np.array([0.78, 0.47, 0.62])
_SHAPE_COMPONENTS = 40


@dataclass(frozen=True)
class Lens:
    """How a camera renders: focal length and blur over the picture's width, grain of 255, JPEG quality."""

    focal: float
    blur: float
    grain: float
    quality: int


@dataclass(frozen=True)
class Manner:
    """How one moves.  turn_deg: pitch, yaw, roll that he is filmed from.  sway: his head's, 1 ordinary.
    jaw: how wide he opens, lips: how much they shape, 1 ordinary.  rest: (100,) expression that never leaves him.
    """

    turn_deg: Colour
    sway: float
    jaw: float
    lips: float
    rest: np.ndarray
    pitch_hz: float


@dataclass(frozen=True)
class Identity:
    """One synthetic person in one setting; shape: (300,)."""

    seed: int
    shape: np.ndarray
    complexion: Complexion
    hair: Colour
    cloth: Colour
    light: Set
    lens: Lens
    manner: Manner
    backdrop_tint: Colour
    backdrop_mirrored: bool


def invent(seed: int) -> Identity:
    """A person of this seed; every seed is another one."""
    random = np.random.default_rng((seed, 0x1DE47))
    tone = random.uniform(0.0, len(_TONES) - 1.0)
    hair = _hair(tone, random)
    return Identity(
        seed=seed,
        shape=_shape(random),
        complexion=_complexion(tone, hair, random),
        hair=_colour(hair),
        cloth=_colour(random.uniform(0.02, 0.45) * random.uniform(0.4, 1.0, 3)),
        light=_light(random),
        lens=Lens(
            focal=random.uniform(1.4, 3.6),
            blur=random.uniform(0.0, 0.006),
            grain=random.uniform(0.0, 2.5),
            quality=int(random.integers(70, 97)),
        ),
        manner=_manner(random),
        backdrop_tint=_colour(np.exp(random.normal(0.0, 0.5)) * np.exp(random.normal(0.0, 0.12, 3))),
        backdrop_mirrored=bool(random.random() < 0.5),
    )


def _shape(random: np.random.Generator) -> np.ndarray:
    shape = np.zeros(300, np.float32)
    shape[:_SHAPE_COMPONENTS] = random.normal(0.0, random.uniform(0.4, 0.9), _SHAPE_COMPONENTS)
    return shape


def _hair(tone: float, random: np.random.Generator) -> np.ndarray:
    """(3,) linear RGB."""
    choices = [0, 1, 5] if tone > _DARK_TONE else range(len(_HAIRS))
    return _HAIRS[random.choice(choices)] * np.exp(random.normal(0.0, 0.2))


def _complexion(tone: float, hair: np.ndarray, random: np.random.Generator) -> Complexion:
    low = min(int(tone), len(_TONES) - 2)
    skin = np.exp(np.log(_TONES[low]) + (tone - low) * np.log(_TONES[low + 1] / _TONES[low]))
    skin = skin * np.exp(random.normal(0.0, 0.04, 3))
    lip = skin * _LIP_OVER_SKIN * np.exp(random.normal(0.0, (0.15, 0.25, 0.20)))
    tooth = np.array([0.66, 0.58, 0.45]) * np.exp(random.normal(0.0, (0.10, 0.13, 0.20)))
    return Complexion(
        skin=_colour(skin),
        blood=_colour(skin * _BLOOD_OVER_SKIN * np.exp(random.normal(0.0, 0.08, 3))),
        lip=_colour(lip),
        hair=_colour(hair),
        tooth=_colour(np.minimum(tooth, 0.85)),
        tongue=_colour(np.array([0.40, 0.105, 0.10]) * np.exp(random.normal(0.0, 0.15, 3))),
        gum=_colour(np.array([0.33, 0.085, 0.080]) * np.exp(random.normal(0.0, 0.2, 3))),
        iris=_colour(_IRISES[random.integers(len(_IRISES))] * np.exp(random.normal(0.0, 0.2))),
        beard=float(random.choice(_BEARDS)) * random.uniform(0.7, 1.2),
        freckles=random.uniform(0.0, 3.0),
        blotches=random.uniform(0.5, 1.8),
        shine=random.uniform(0.4, 1.8),
    )


def _light(random: np.random.Generator) -> Set:
    """A key from anywhere in front, a fill, a rim, and an ambient; warm to cool."""

    def lamp(azimuth_deg: float, height_deg: float, level: float) -> Lamp:
        azimuth, height = np.radians((azimuth_deg, height_deg))
        direction = (np.sin(azimuth) * np.cos(height), -np.sin(height), -np.cos(azimuth) * np.cos(height))
        return Lamp(_colour(np.array(direction)), _colour(level * _white(random)))

    side = random.choice((-1.0, 1.0))
    soft = random.uniform(0.15, 0.75)  # share of the ambient
    sky, ground = random.uniform(0.5, 1.0) * soft * _white(random), random.uniform(0.25, 0.7) * soft * _white(random)
    return Set(
        key=lamp(side * random.uniform(5.0, 75.0), random.uniform(0.0, 55.0), random.uniform(0.45, 1.15)),
        lamps=(
            lamp(-side * random.uniform(30.0, 80.0), random.uniform(-10.0, 30.0), random.uniform(0.05, 0.35)),
            lamp(-side * random.uniform(110.0, 160.0), random.uniform(0.0, 50.0), random.uniform(0.0, 0.5)),
        ),
        sky=_colour(sky),
        ground=_colour(ground),
    )


def _white(random: np.random.Generator) -> np.ndarray:
    """(3,) a white between a lamp's and a blue sky's."""
    warmth = random.uniform(-1.0, 1.0)
    return np.array([1.0 + 0.16 * warmth, 1.0, 1.0 - 0.20 * warmth])


def _manner(random: np.random.Generator) -> Manner:
    rest = np.zeros(100, np.float32)
    rest[:10] = random.normal(0.0, 0.25, 10)
    return Manner(
        turn_deg=_colour(random.normal(0.0, (5.0, 13.0, 3.0))),
        sway=random.uniform(0.5, 1.8),
        jaw=random.uniform(0.6, 1.7),
        lips=random.uniform(0.6, 1.1),
        rest=rest,
        pitch_hz=random.uniform(85.0, 230.0),
    )


def _colour(values: np.ndarray) -> Colour:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
