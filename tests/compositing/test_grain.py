# SPDX-License-Identifier: Apache-2.0
"""The drawn face gets the plate's grain and sharpness: on a plate whose grain is known, and on one that has none."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from dubplate_backend.compositing.composite import Composite, CompositeSettings, compose
from dubplate_backend.compositing.grain import white_noise
from dubplate_backend.head.load import load_head
from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.colour import PICTURE, PlateColour
from dubplate_backend.plates.exr import Windows
from dubplate_backend.plates.source import Plate
from dubplate_backend.raster.crop_warp import to_crop
from dubplate_backend.renderers.base import RenderedFrame
from dubplate_shared.shot import Shot
from small_shot import SIZE, write_small_shot

FRAME = 1006
TIMES = 5  # the shot's plates and camera, enlarged to 480 px
SIGMA = np.array((5.0, 3.0, 8.0)) / 255  # of R, G, B
CROP = 128


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_head()


@pytest.fixture(scope="module")
def shot(head: HeadModel, tmp_path_factory: pytest.TempPathFactory) -> Shot:
    """The small shot as a larger camera would have seen it."""
    small = write_small_shot(tmp_path_factory.mktemp("shot"), head)
    crop = small.crop.copy()
    crop[:, :, :2] /= TIMES
    track = replace(
        small.track,
        intrinsics=small.track.intrinsics * TIMES,
        landmarks_px=small.track.landmarks_px * TIMES,
        projected_px=small.track.projected_px * TIMES,
    )
    return replace(small, crop=crop, track=track)


@pytest.fixture(scope="module")
def clean(shot: Shot) -> np.ndarray:
    """[480, 480, 3]: the smooth picture below the grain, with edges where lips and eyes are."""
    picture = cv2.imread(shot.info.plate.path.replace("####", str(FRAME)))[..., ::-1].astype(np.float32) / 255
    return cv2.GaussianBlur(cv2.resize(picture, None, fx=TIMES, fy=TIMES, interpolation=cv2.INTER_CUBIC), (0, 0), 1.0)


def coloured(seed: int, blur: float = 0.7) -> np.ndarray:
    """Grain of one luminance and three channels, a little soft, as a sensor's is after its colour filter."""
    random = np.random.default_rng(seed)
    own = random.standard_normal((SIZE * TIMES, SIZE * TIMES, 3))
    shared = random.standard_normal((SIZE * TIMES, SIZE * TIMES, 1))
    noise = cv2.GaussianBlur(0.7 * own + 0.7 * shared, (0, 0), blur)
    return (noise / noise.std(axis=(0, 1)) * SIGMA).astype(np.float32)


def plate_of(rgb: np.ndarray) -> Plate:
    return Plate(
        FRAME, np.clip(rgb, 0, 1).astype(np.float32), PlateColour.named(PICTURE), Windows.of_size(*rgb.shape[:2])
    )


def composed(clean: np.ndarray, plate: np.ndarray, shot: Shot, head: HeadModel, *, seed="s 1", **settings) -> Composite:
    """The clean picture, through a crop of 128 px, drawn over a plate."""
    index = shot.index(FRAME)
    crop = to_crop(clean, shot.crop[index], CROP)
    y, x = np.mgrid[:CROP, :CROP] + 0.5
    mask = np.hypot(x - CROP / 2, y - 0.62 * CROP) < 0.33 * CROP
    drawn = RenderedFrame(FRAME, crop, mask.astype(np.float32), mask, np.zeros((CROP, CROP, 2), np.float32), mask, {})
    return compose(
        plate_of(plate), drawn, shot.crop[index], head=head, track=shot.track, take=shot.take("tracked"), index=index,
        segmenter=None, settings=replace(CompositeSettings.none(), **settings), seed=seed,
    )  # fmt: skip


def spectrum(noise: np.ndarray) -> np.ndarray:
    """[4, 3]: power of a square of noise in four rings of frequency, from 0.05 a pixel to 0.1, 0.2, 0.35 and 0.5."""
    power = np.abs(np.fft.fft2(noise - noise.mean(axis=(0, 1)), axes=(0, 1))) ** 2 / noise[..., 0].size
    turn = np.fft.fftfreq(len(noise))
    radius = np.hypot(turn[:, None], turn[None])
    rings = [(radius > low) & (radius <= high) for low, high in ((0.05, 0.1), (0.1, 0.2), (0.2, 0.35), (0.35, 0.5))]
    return np.stack([power[ring].mean(axis=0) for ring in rings])


def middle(composite: Composite, picture: np.ndarray, side: int = 96) -> np.ndarray:
    """A square of a plate-sized picture where nothing but the drawn face shows."""
    rows, columns = np.nonzero(composite.alpha == 1)
    y, x = int(rows.mean()) + composite.box.top, int(columns.mean()) + composite.box.left
    assert (
        composite.alpha[int(rows.mean()) - side // 2 :][:side, int(columns.mean()) - side // 2 :][:, :side] == 1
    ).all()
    return picture[y - side // 2 :][:side, x - side // 2 :][:, :side]


@pytest.fixture(scope="module")
def noisy(clean: np.ndarray) -> np.ndarray:
    return clean + coloured(0)


@pytest.fixture(scope="module")
def bare(clean, noisy, shot, head) -> Composite:
    """Over the noisy plate, without grain."""
    return composed(clean, noisy, shot, head)


@pytest.fixture(scope="module")
def grained(clean, noisy, shot, head) -> Composite:
    """Over the noisy plate, with its grain."""
    return composed(clean, noisy, shot, head, grain=1.0)


def test_grain_inside_has_the_spectrum_of_the_plates(bare, grained):
    true = np.mean([spectrum(coloured(seed)[:96, :96]) for seed in range(2, 10)], axis=0)
    before = spectrum(middle(bare, bare.rgb - cv2.GaussianBlur(bare.rgb, (0, 0), 4.0)))
    after = spectrum(middle(bare, grained.rgb - bare.rgb))
    ratio = np.sqrt(after / true)  # of deviations
    # Below 0.2 a pixel the picture itself shows.
    assert (np.sqrt(before / true)[2:] < 0.7).all()
    assert np.abs(ratio - 1).max() < 0.12, ratio


def test_the_channels_of_the_grain_go_together_as_the_plates_do(bare, grained):
    added = middle(bare, grained.rgb - bare.rgb).reshape(-1, 3)
    true = np.corrcoef(coloured(0).reshape(-1, 3).T)
    assert np.abs(np.corrcoef(added.T) - true).max() < 0.12


def test_no_dip_and_no_bump_of_grain_where_the_matte_ramps(clean, grained, shot, head):
    smooth = composed(clean, clean, shot, head)
    noise = (grained.rgb - smooth.rgb)[grained.box.slices] / SIGMA  # [h, w, 3]
    ramp = (grained.alpha > 0.2) & (grained.alpha < 0.8)
    outside, inside = grained.alpha == 0, grained.alpha == 1
    levels = [float(np.sqrt(np.square(noise[where]).mean())) for where in (outside, ramp, inside)]
    assert levels[0] == pytest.approx(1.0, abs=0.1)
    assert levels[1] == pytest.approx(1.0, abs=0.15) and levels[2] == pytest.approx(1.0, abs=0.15), levels


def test_a_plate_without_grain_gets_none(clean, shot, head):
    for plate in (clean, np.round(clean * 255) / 255):  # smooth, and in 8 bits
        without = composed(clean, plate, shot, head)
        assert np.array_equal(composed(clean, plate, shot, head, grain=1.0).rgb, without.rgb)


def test_grain_is_of_its_frame_and_shot_and_of_nothing_else(clean, noisy, bare, grained, shot, head):
    again, other = (composed(clean, noisy, shot, head, grain=1.0, seed=seed) for seed in ("s 1", "s 2"))
    assert np.array_equal(grained.rgb, again.rgb)
    frozen = [middle(bare, made.rgb - bare.rgb).ravel() for made in (grained, other)]
    assert abs(np.corrcoef(frozen)[0, 1]) < 0.05
    outside = np.ones(clean.shape[:2], bool)
    outside[bare.box.slices] = bare.alpha == 0
    assert np.array_equal(bare.rgb[outside], grained.rgb[outside])


def test_half_the_strength_is_half_the_grain(clean, noisy, bare, grained, shot, head):
    half = composed(clean, noisy, shot, head, grain=0.5).rgb
    changed = grained.rgb != bare.rgb
    ratio = np.std((half - bare.rgb)[changed]) / np.std((grained.rgb - bare.rgb)[changed])
    assert ratio == pytest.approx(0.5, abs=0.02)


def test_white_noise_is_fixed_by_its_seed_for_ever():
    noise = white_noise(64, 64, "man 1001")
    assert abs(noise.mean()) < 0.03 and noise.std() == pytest.approx(1.0, abs=0.02)
    assert noise[0, 0].tolist() == pytest.approx(FIRST_OF_MAN_1001, abs=1e-6)


FIRST_OF_MAN_1001 = (-0.9204955697, -0.7218552232, -0.5387551188)


def contrast(picture: np.ndarray, where: np.ndarray) -> float:
    """Root mean square of the finest octave of a picture's luminance."""
    luma = picture.astype(np.float32) @ np.float32((0.2126, 0.7152, 0.0722))
    return float(np.sqrt(np.square(luma - cv2.GaussianBlur(luma, (0, 0), 2.0))[where].mean()))


@pytest.mark.parametrize("blur", [3.0, 0.5])
def test_a_soft_or_too_sharp_drawing_comes_to_the_plates_sharpness(clean, shot, head, blur):
    detail = clean + 0.15 * cv2.GaussianBlur(white_noise(*clean.shape[:2], "texture"), (0, 0), 2.5)
    plate = cv2.GaussianBlur(detail, (0, 0), 2.0)
    drawn = cv2.GaussianBlur(detail, (0, 0), blur)
    left, made = (composed(drawn, plate, shot, head, sharpness=s) for s in (0.0, 1.0))
    inside = np.zeros(clean.shape[:2], bool)
    inside[left.box.slices] = left.alpha == 1
    wanted, before, after = (contrast(rgb, inside) for rgb in (plate, left.rgb, made.rgb))
    assert abs(np.log(before / wanted)) > 0.15
    assert abs(np.log(after / wanted)) < 0.7 * abs(np.log(before / wanted))
