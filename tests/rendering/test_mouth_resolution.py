# SPDX-License-Identifier: Apache-2.0
"""A render says how many pixels the mouth has, and which preset mends a crop that is enlarged too far."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dubplate_backend.head.model import HeadModel
from dubplate_backend.renderers.presets import DRAFT, HERO, STANDARD
from dubplate_backend.rendering import render_shot
from dubplate_backend.rendering.mouth_resolution import MouthResolution
from dubplate_shared.shot import Shot
from dubplate_shared.track import Track


def enlarged(shot: Shot, times: float) -> Shot:
    """The shot as if its plates had been filmed with so many times the pixels."""
    track: Track = replace(shot.track, intrinsics=shot.track.intrinsics * np.float32(times))
    crop = shot.crop.copy()
    crop[:, :, :2] /= times
    return replace(shot, track=track, crop=crop)


def test_the_width_is_the_one_between_the_corners_of_the_filmed_mouth(shot: Shot, head: HeadModel):
    mouth = MouthResolution.of(shot, head, DRAFT)
    corners = shot.track.projected_px[shot.track.confidence > 0][:, [61, 291]]
    assert mouth.plate_px == pytest.approx(np.median(np.linalg.norm(corners[:, 0] - corners[:, 1], axis=1)), rel=0.02)
    assert mouth.enlargement == pytest.approx(72 / 128, rel=0.01)  # the crop is 72 plate px wide
    assert mouth.crop_px == pytest.approx(mouth.plate_px * 128 / 72, rel=0.01)
    assert not mouth.warning and not mouth.mended_by


@pytest.mark.parametrize(
    ("times", "preset", "mended_by"),
    [(6, DRAFT, "standard"), (12, DRAFT, "hero"), (12, STANDARD, "hero"), (30, DRAFT, "hero"), (30, HERO, "")],
)
def test_a_crop_enlarged_more_than_twice_is_warned_of_with_the_preset_that_mends_it(
    shot: Shot, head: HeadModel, times: float, preset, mended_by: str
):
    mouth = MouthResolution.of(enlarged(shot, times), head, preset)
    assert mouth.enlargement == pytest.approx(72 * times / preset.crop_size, rel=0.01) and mouth.enlargement > 2
    assert mouth.mended_by == mended_by
    assert f"{mouth.enlargement:.1f} times" in mouth.warning and mended_by in mouth.warning


def test_the_report_holds_it(shot: Shot, actor: Path, head: HeadModel, tmp_path: Path):
    report = render_shot(shot=shot, take=shot.take("tracked"), actor_path=actor, head=head, frames=[1001], out=tmp_path,
                         settings={"preview": False})  # fmt: skip
    facts = report.to_json()["mouth"]
    assert facts["preset"] == "draft" and facts["plate_px"] > 5 and facts["enlargement"] > 0
    assert f"{facts['plate_px']:.0f} px wide on the plate" in str(report.mouth)


def test_a_shot_without_a_face_has_no_mouth(shot: Shot, head: HeadModel):
    nobody = replace(shot, track=replace(shot.track, confidence=np.zeros_like(shot.track.confidence)))
    assert MouthResolution.of(nobody, head, DRAFT) is None
