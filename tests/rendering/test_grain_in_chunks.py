# SPDX-License-Identifier: Apache-2.0
"""Grain on rendered plates: the same bits in any chunk, other grain on the next frame, none where it is off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.exr import read_exr
from dubplate_backend.rendering import plan_shot, render_shot
from dubplate_shared.errors import InvalidInput
from dubplate_shared.shot import Shot, write_shot
from small_shot import FRAMES

TIMES = 4  # the small shot's plates and camera, enlarged: grain is measured on skin of some size
SIGMA = 6.0  # of 255


@pytest.fixture(scope="module")
def grainy(shot: Shot, tmp_path_factory: pytest.TempPathFactory) -> Shot:
    """The small shot through a larger, noisier camera."""
    folder = tmp_path_factory.mktemp("grainy")
    random = np.random.default_rng(0)
    for number in range(1001, 1001 + FRAMES):
        picture = cv2.imread(shot.info.plate.path.replace("####", f"{number:04d}"))
        large = cv2.resize(picture, None, fx=TIMES, fy=TIMES, interpolation=cv2.INTER_CUBIC).astype(np.float32)
        noisy = large + random.normal(0, SIGMA, large.shape)
        cv2.imwrite(str(folder / f"grainy.{number:04d}.png"), np.clip(np.rint(noisy), 0, 255).astype(np.uint8))
    track = replace(
        shot.track,
        intrinsics=shot.track.intrinsics * TIMES,
        landmarks_px=shot.track.landmarks_px * TIMES,
        projected_px=shot.track.projected_px * TIMES,
    )
    crop = shot.crop.copy()
    crop[:, :, :2] /= TIMES
    info = replace(
        shot.info,
        name="grainy",
        width=shot.info.width * TIMES,
        height=shot.info.height * TIMES,
        plate=replace(shot.info.plate, path=str(folder / "grainy.####.png")),
    )
    return write_shot(folder / "grainy.dubshot", info, track, crop, None)


def rendered(grainy: Shot, actor: Path, head: HeadModel, out: Path, frames: tuple[int, ...], **settings) -> dict:
    """Frame -> (rgb, alpha) of the plates, and their files' bytes."""
    report = render_shot(
        shot=grainy, take=grainy.take("tracked"), actor_path=actor, head=head, frames=frames, out=out,
        settings={"preview": False, "background_test": False, **settings},
    )  # fmt: skip
    files = {frame: report.folder / f"grainy_dub_v001.{frame}.exr" for frame in report.drawn}
    plates = {frame: read_exr(path) for frame, path in files.items()}
    return {
        frame: (exr.parts[0].rgb().astype(np.float32), exr.part("dp_elem").channels["dp_elem.A"])
        for frame, exr in plates.items()
    } | {"bytes": {frame: path.read_bytes() for frame, path in files.items()}}


def test_grain_has_the_same_bits_in_any_chunk_and_is_never_the_same_twice(grainy, actor, head, tmp_path):
    together = rendered(grainy, actor, head, tmp_path / "together", (1004, 1005, 1006))
    alone = rendered(grainy, actor, head, tmp_path / "alone", (1005,))
    assert together["bytes"][1005] == alone["bytes"][1005]
    bare = rendered(grainy, actor, head, tmp_path / "bare", (1004, 1005), grain=0.0)
    added = [together[frame][0] - bare[frame][0] for frame in (1004, 1005)]
    inside = (together[1004][1] == 1) & (together[1005][1] == 1)
    # The head moves by less than a pixel between the two: grain that is stuck to it would correlate.
    first, second = ((noise - cv2.GaussianBlur(noise, (0, 0), 4.0))[inside].ravel() for noise in added)
    assert 0.4 * SIGMA / 255 < first.std() < 1.3 * SIGMA / 255
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1
    outside = alone[1005][1] == 0
    assert np.array_equal(alone[1005][0][outside], bare[1005][0][outside])


def test_the_strengths_are_part_of_a_frames_key(grainy, actor, head, tmp_path):
    def keys(**settings) -> set[str]:
        plan = plan_shot(
            shot=grainy, take=grainy.take("tracked"), actor_path=actor, head=head, frames=(1005,), out=tmp_path,
            settings=settings,
        )  # fmt: skip
        return set(plan.keys.values())

    assert keys() == keys(grain=1.0, sharpness=1.0)
    assert len(keys() | keys(grain=0.5) | keys(sharpness=0.5) | keys(grain=0)) == 4
    for wrong in (True, -0.1, 2.5, float("nan"), "much"):
        with pytest.raises(InvalidInput, match="'grain' is"):
            keys(grain=wrong)
