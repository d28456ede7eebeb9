# SPDX-License-Identifier: Apache-2.0
"""The drawn crop laid over the plate.

Where the matte is 0 the plate's pixels are copied bits.  Inside, the composite is computed from the element and alpha
as they are stored, so that a compositor who lays the element over the plate gets the same picture:
comp == elem + (1 - A) * plate, to within half a unit in the last place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dubplate_backend.compositing.background import Segmenter, foreground, hold_matte, person_in_box
from dubplate_backend.compositing.colour_match import Grade, match_colour
from dubplate_backend.compositing.grain import grain, held_up, measure_noise, missing_noise
from dubplate_backend.compositing.head_passes import HeadPasses, Outline, drawn_passes, filmed_outline
from dubplate_backend.compositing.matte import crop_side, soft_matte
from dubplate_backend.compositing.sharpness import measure_sharpness, sharpen
from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.exr import ExrPart
from dubplate_backend.plates.source import Plate
from dubplate_backend.raster.crop_warp import Box, crop_box, st_of_plate, to_plate
from dubplate_backend.renderers.base import RenderedFrame
from dubplate_shared.take import Take
from dubplate_shared.track import Track

COMPOSITE_VERSION = 3  # raised when the same drawn crop would give other plate bits
RING = (0.02, 0.6)  # matte values between which the two pictures are compared for colour
DRAWN = 0.5  # matte value above which a pixel counts as drawn where detail and noise are measured


@dataclass(frozen=True)
class CompositeSettings:
    """What may be switched off; all of it is part of a frame's hash.

    sharpness, grain: how far the drawn face is brought to the plate's, 0 (left as drawn) to 2, 1 to match.
    """

    background_test: bool = True
    colour_match: bool = True
    sharpness: float = 1.0
    grain: float = 1.0

    @classmethod
    def none(cls) -> CompositeSettings:
        """The drawn crop under its matte, and nothing done to it."""
        return cls(background_test=False, colour_match=False, sharpness=0.0, grain=0.0)


@dataclass(frozen=True)
class Composite:
    """One finished plate and its layers.  h, w: the box; H, W: the plate."""

    rgb: np.ndarray  # [H, W, 3] of the plate's type; outside the matte the plate's bits
    box: Box
    element: np.ndarray  # [h, w, 3] of the plate's type, premultiplied
    alpha: np.ndarray  # [h, w] of the plate's type
    hold: np.ndarray  # [h, w] float32: kept from the plate by the background test
    passes: HeadPasses | None
    st: np.ndarray  # [h, w, 2] float32: place in the crop, 0 outside it
    grade: Grade
    confidence: float


def pass_through(plate: Plate, matrix: np.ndarray) -> Composite:
    """The plate as it is, with empty layers: a frame in which there is no face."""
    height, width = plate.rgb.shape[:2]
    box = crop_box(in_array(matrix, plate), height, width)
    nothing = np.zeros((box.height, box.width), plate.rgb.dtype)
    return Composite(
        plate.rgb, box, np.repeat(nothing[..., None], 3, axis=2), nothing, nothing.astype(np.float32), None,
        np.zeros((box.height, box.width, 2), np.float32), Grade.identity(), 0.0,
    )  # fmt: skip


def compose(
    plate: Plate,
    rendered: RenderedFrame,
    matrix: np.ndarray,
    *,
    head: HeadModel,
    track: Track,
    take: Take,
    index: int,
    segmenter: Segmenter | None,
    settings: CompositeSettings,
    seed: str,
) -> Composite:
    """Lay a drawn crop over its plate.

    matrix: (2, 3) display-window px -> unit square.  index: position in track and take.  segmenter: None where the
    background test is off.  seed: names shot and frame, for the grain.
    """
    matrix = in_array(matrix, plate)
    height, width = plate.rgb.shape[:2]
    box, matte = soft_matte(rendered.alpha > 0, matrix, height, width)
    if box.empty:
        return pass_through(plate, matrix)
    _, drawn = to_plate(rendered.rgb, matrix, height, width)  # [h, w, 3] network values
    net = plate.colour.visible(plate.rgb)  # [H, W, 3]
    ring = (matte > RING[0]) & (matte < RING[1])
    grade = match_colour(drawn, net[box.slices], ring) if settings.colour_match else Grade.identity()
    drawn = grade.apply(drawn)

    origin = plate.windows.origin
    passes = drawn_passes(head, track, take, index, box, origin)
    was = filmed_outline(head, track, index, box, origin)
    skin = (was.oval if was.oval.any() else was.covered) & (matte == 0)  # the head's outline holds hair as well
    if settings.sharpness > 0:
        crop_px = crop_side(matrix) / rendered.alpha.shape[0]
        drawn = _as_sharp(drawn, net[box.slices], matte > DRAWN, skin, crop_px, settings.sharpness)
    drawn = np.clip(drawn, 0.0, 1.0)
    hold = np.zeros_like(matte)
    if segmenter is not None and settings.background_test:
        filmed_face = foreground(person_in_box(segmenter, net, matrix, box), was.covered, was.oval, matrix)
        shown = net.copy()
        shown[box.slices] += matte[..., None] * (drawn - net[box.slices])
        now = passes.outline
        drawn_face = foreground(person_in_box(segmenter, shown, matrix, box), now.covered, now.oval, matrix)
        hold = hold_matte(filmed_face, drawn_face, box, matrix, height, width)

    alpha = matte * (1.0 - hold) * plate.colour.drawable(plate.rgb[box.slices])
    if settings.grain > 0:
        added = _grain(drawn, net[box.slices], alpha, passes.outline, skin, seed)
        drawn = np.clip(drawn + np.float32(settings.grain) * added, 0.0, 1.0)
    rgb, element, alpha = over(plate.rgb, box, plate.colour.decode(drawn), alpha)
    st = st_of_plate(matrix, box)
    inside = ((st >= 0) & (st <= 1)).all(axis=-1, keepdims=True)
    return Composite(
        rgb, box, element, alpha, hold, passes, np.where(inside, st, np.float32(0)), grade,
        float(track.confidence[index]),
    )  # fmt: skip


def _as_sharp(
    drawn: np.ndarray, filmed: np.ndarray, inside: np.ndarray, skin: np.ndarray, crop_px: float, strength: float
) -> np.ndarray:
    """The drawn picture, as sharp as the filmed mouth that it replaces.  drawn, filmed: [h, w, 3] network values."""
    wanted = measure_sharpness(filmed, inside, skin, crop_px)
    shown = measure_sharpness(drawn, inside, inside, crop_px)
    if wanted is None or shown is None:
        return drawn
    return sharpen(drawn, wanted, shown, crop_px, strength)


def _grain(
    drawn: np.ndarray, filmed: np.ndarray, alpha: np.ndarray, outline: Outline, skin: np.ndarray, seed: str
) -> np.ndarray:
    """What grain the drawn picture lacks: [h, w, 3] network values, 0 where there is none to add."""
    wanted = measure_noise(filmed, skin)
    shown = measure_noise(drawn, outline.covered & (alpha > DRAWN))
    level = missing_noise(wanted, shown) if wanted is not None and shown is not None else None
    if level is None:
        return np.zeros_like(drawn)
    return held_up(grain(level, *drawn.shape[:2], seed), alpha)


def over(
    plate: np.ndarray, box: Box, drawn: np.ndarray, alpha: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The drawn picture over the plate, in the plate's type.

    plate: [H, W, 3] half or float.  drawn: [h, w, 3] unpremultiplied, plate's colour space.  alpha: [h, w].
    Returns the composite [H, W, 3], the premultiplied element [h, w, 3] and alpha [h, w] as they are to be stored.
    """
    kind = plate.dtype
    stored_alpha = alpha.astype(kind)
    covered = stored_alpha > 0
    element = (stored_alpha.astype(np.float64)[..., None] * drawn).astype(kind)
    element[~covered] = 0
    under = plate[box.slices]
    rgb = plate.copy()
    weight = 1.0 - stored_alpha[covered].astype(np.float64)[:, None]  # [N, 1]
    mixed = element[covered].astype(np.float64) + weight * under[covered].astype(np.float64)
    patch = under.copy()
    patch[covered] = mixed.astype(kind)
    rgb[box.slices] = patch
    return rgb, element, stored_alpha


def in_array(matrix: np.ndarray, plate: Plate) -> np.ndarray:
    """A crop matrix of display-window pixels as one of the plate's array, which may begin elsewhere: (2, 3) float64."""
    shifted = np.asarray(matrix, np.float64).copy()
    shifted[:, 2] += shifted[:, :2] @ np.array(plate.windows.origin, np.float64)
    return shifted


def layers(composite: Composite, plate: Plate) -> list[ExrPart]:
    """The EXR parts of a finished plate, all of the plate's size; `reference` names as a compositor pulls them."""
    height, width = plate.rgb.shape[:2]
    kind = plate.rgb.dtype
    opaque = np.ones((height, width), kind) if plate.alpha is None else plate.alpha

    def spread(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
        whole = np.zeros((height, width), dtype)
        whole[composite.box.slices] = values
        return whole

    nothing = np.zeros((composite.box.height, composite.box.width), np.float32)
    mattes = {} if composite.passes is None else composite.passes.mattes
    uv = np.repeat(nothing[..., None], 2, axis=2) if composite.passes is None else composite.passes.uv
    half, single = np.dtype(np.float16), np.dtype(np.float32)
    element = {f"dp_elem.{name}": spread(composite.element[..., i], kind) for i, name in enumerate("RGB")}
    matte = {f"dp_matte.{name}": spread(mattes.get(name, nothing), half) for name in ("face", "mouth", "teeth")}
    return [
        ExrPart("rgba", {**{name: composite.rgb[..., i] for i, name in enumerate("RGB")}, "A": opaque}),
        ExrPart("dp_elem", {**element, "dp_elem.A": spread(composite.alpha, kind)}),
        ExrPart("dp_matte", {**matte, "dp_matte.hold": spread(composite.hold, half)}),
        ExrPart("dp_uv", {f"dp_uv.{name}": spread(uv[..., i], single) for i, name in enumerate("uv")}),
        ExrPart("dp_st", {f"dp_st.{name}": spread(composite.st[..., i], single) for i, name in enumerate("uv")}),
        ExrPart("dp_conf", {"dp_conf.c": spread(np.where(composite.alpha > 0, composite.confidence, 0), half)}),
    ]
