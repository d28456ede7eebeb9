# SPDX-License-Identifier: Apache-2.0
"""A drawn crop on plates of every kind: video, scene-linear, with overscan, with values that no network can draw."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dubplate_backend.compositing.composite import Composite, CompositeSettings, compose, layers, pass_through
from dubplate_backend.head.load import load_head
from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.colour import PlateColour
from dubplate_backend.plates.exr import Windows
from dubplate_backend.plates.source import Plate, ShotPlates
from dubplate_backend.raster.crop_warp import to_crop
from dubplate_backend.renderers.base import RenderedFrame
from dubplate_shared.shot import Shot
from small_shot import SIZE, write_small_shot

FRAME = 1006
CROP = 64


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_head()


@pytest.fixture(scope="module")
def shot(head: HeadModel, tmp_path_factory: pytest.TempPathFactory) -> Shot:
    return write_small_shot(tmp_path_factory.mktemp("shot"), head)


@pytest.fixture(scope="module")
def plate(shot: Shot) -> Plate:
    with ShotPlates(shot) as plates:
        return plates.plate(FRAME)


def drawn(colour: tuple[float, float, float] = (0.2, 0.6, 0.3)) -> RenderedFrame:
    """A crop painted in one colour within a disc over the mouth."""
    y, x = np.mgrid[:CROP, :CROP] + 0.5
    mask = np.hypot(x - CROP / 2, y - 0.62 * CROP) < 0.22 * CROP
    picture = np.broadcast_to(np.float32(colour), (CROP, CROP, 3)).copy()
    nothing = np.zeros((CROP, CROP, 2), np.float32)
    return RenderedFrame(FRAME, picture, mask.astype(np.float32), mask, nothing, mask, {})


def composed(plate: Plate, shot: Shot, head: HeadModel, *, match: bool = False, rendered=None) -> Composite:
    index = shot.index(FRAME)
    return compose(
        plate,
        rendered or drawn(),
        shot.crop[index],
        head=head,
        track=shot.track,
        take=shot.take("tracked"),
        index=index,
        segmenter=None,
        settings=replace(CompositeSettings.none(), colour_match=match),
        seed="small 1006",
    )


def linear(plate: Plate, windows: Windows | None = None) -> Plate:
    """The same picture as scene-linear values, in float."""
    rgb = (plate.rgb.astype(np.float32) ** 2.4) * 4.0
    return Plate(FRAME, rgb, PlateColour.named("lin_ap1_scene"), windows or plate.windows)


def test_the_drawn_colour_arrives_in_the_middle_of_the_matte(plate, shot, head):
    result = composed(plate, shot, head)
    inside = result.alpha == 1
    assert inside.sum() > 100
    patch = result.rgb[result.box.slices][inside].astype(np.float32)
    assert np.abs(patch - (0.2, 0.6, 0.3)).max() < 2e-3


def test_a_scene_linear_plate_gets_the_drawn_value_through_the_inverse_shaper(plate, shot, head):
    result = composed(linear(plate), shot, head)
    wanted = PlateColour.named("lin_ap1_scene").decode(np.float32((0.2, 0.6, 0.3)))
    patch = result.rgb[result.box.slices][result.alpha == 1]
    assert result.rgb.dtype == np.float32
    assert np.allclose(patch, wanted, rtol=2e-3)


def test_what_no_network_can_draw_stays_plate_in_the_middle_of_the_matte(plate, shot, head):
    source = linear(plate)
    clear = composed(source, shot, head)
    rows, columns = np.nonzero(clear.alpha == 1)
    place = rows[len(rows) // 2] + clear.box.top, columns[len(rows) // 2] + clear.box.left
    for value in (np.nan, np.inf, 1e4, -3.0):
        rgb = source.rgb.copy()
        rgb[place] = value
        result = composed(Plate(FRAME, rgb, source.colour, source.windows), shot, head)
        assert np.array_equal(result.rgb[place], rgb[place], equal_nan=True)
        assert result.alpha[place[0] - result.box.top, place[1] - result.box.left] == 0
        assert np.isfinite(np.delete(result.rgb.reshape(-1, 3), place[0] * SIZE + place[1], axis=0)).all()


def test_overscan_moves_nothing(plate, shot, head):
    inner = composed(linear(plate), shot, head)
    rgb = np.pad(linear(plate).rgb, ((5, 3), (8, 2), (0, 0)), mode="edge")
    windows = Windows(data=(-8, -5, SIZE + 1, SIZE + 2), display=(0, 0, SIZE - 1, SIZE - 1))
    outer = composed(Plate(FRAME, rgb, linear(plate).colour, windows), shot, head)
    assert np.allclose(outer.rgb[5:-3, 8:-2], inner.rgb, atol=1e-5)
    assert (outer.box.left, outer.box.top) == (inner.box.left + 8, inner.box.top + 5)
    assert np.allclose(outer.passes.uv, inner.passes.uv, atol=1e-4) and np.allclose(outer.st, inner.st, atol=1e-5)


def test_a_colour_cast_of_the_whole_crop_leaves_no_edge(plate, shot, head):
    index = shot.index(FRAME)
    crop = to_crop(plate.net(), shot.crop[index], CROP)
    cast = drawn()
    cast = RenderedFrame(FRAME, crop - np.float32((0.06, 0.02, -0.04)), cast.alpha, cast.mask, cast.uv, cast.face, {})
    source = plate.rgb.astype(np.float32)
    without, matched = (composed(plate, shot, head, match=match, rendered=cast) for match in (False, True))
    covered = without.alpha > 0.3

    def off(result: Composite) -> np.ndarray:
        return np.abs((result.rgb - source)[result.box.slices][covered].mean(axis=0))

    assert off(without).max() > 0.03 and off(matched).max() < 0.008


def test_a_frame_without_a_face_is_the_plate_with_empty_layers(plate, shot):
    result = pass_through(plate, shot.crop[shot.index(FRAME)])
    parts = layers(result, plate)
    assert result.rgb is plate.rgb
    for part in parts[1:]:
        assert not any(pixels.any() for pixels in part.channels.values()), part.name


def test_alpha_of_the_source_is_copied_and_else_the_plate_is_opaque(plate, shot):
    result = pass_through(plate, shot.crop[shot.index(FRAME)])
    assert (layers(result, plate)[0].channels["A"] == 1).all()
    alpha = np.linspace(0, 1, SIZE * SIZE, dtype=np.float16).reshape(SIZE, SIZE)
    with_alpha = Plate(FRAME, plate.rgb, plate.colour, plate.windows, alpha)
    assert np.array_equal(layers(result, with_alpha)[0].channels["A"], alpha)


def test_a_crop_beside_the_frame_passes_the_plate_through(plate, shot, head):
    away = shot.crop.copy()
    away[:, :, 2] -= 10
    result = composed(plate, replace(shot, crop=away), head)
    assert result.rgb is plate.rgb and result.alpha.size == 0
    assert len(layers(result, plate)) == 6
