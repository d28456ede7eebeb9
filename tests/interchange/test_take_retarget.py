# SPDX-License-Identifier: Apache-2.0
"""A performance of one actor on the face of another: lips that open as his do, on their own scale, and meet as his."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from take_files import empty_shot
from typer.testing import CliRunner

from dubplate_backend.cli.main import application
from dubplate_backend.head.model import HeadModel
from dubplate_backend.interchange.import_take import ImportedTake, TakeSettings, UpperFace, import_take
from dubplate_backend.speech.mouth import LipGauge
from dubplate_shared.errors import HeadModelMismatch, InvalidInput
from dubplate_shared.landmarks import LEFT_BROW, RIGHT_BROW
from dubplate_shared.shot import HeadIdentity, Shot, write_shot

FRAMES, FPS = 75, 25


@pytest.fixture(scope="module")
def head(standin: HeadModel) -> HeadModel:
    return standin


def spoken(head: HeadModel, shot: Shot, *, seed: int, widest_deg: float, folder: Path, name: str) -> Shot:
    """A shot whose actor has a face of his own, a resting mouth of his own, and talks: lips meet four times."""
    random = np.random.default_rng(seed)
    count = len(shot.track)
    at = np.arange(count) / FPS
    shape = np.zeros(300, np.float32)
    shape[:8] = random.normal(0, 0.7, 8)
    rest = random.normal(0, 0.25, 100)
    opening = np.maximum(np.sin(2 * np.pi * at * 1.3 + seed), 0) * (0.6 + 0.4 * np.sin(2 * np.pi * at / 1.7))
    jaw = np.zeros((count, 3), np.float32)
    jaw[:, 0] = np.radians(widest_deg) * opening
    waves = np.stack([np.sin(2 * np.pi * at * speed + seed) for speed in (0.5, 0.9)])
    expression = np.tile(rest, (count, 1)) + waves.T @ random.normal(0, 0.1, (2, 100))
    expression += np.outer(0.5 * (1 + np.sin(2 * np.pi * at * 0.7)), head.controls["pucker"][0].numpy())
    gap = LipGauge(head, shape).closing(expression.astype(np.float32), jaw)
    close = np.where(opening < 0.05, gap, 0.0)  # closed mouths are closed
    expression += close[:, None] * head.controls["lips_close"][0].numpy()
    track = replace(shot.track, shape=shape, expression=expression.astype(np.float32), jaw=jaw)
    info = replace(shot.info, name=name)
    return write_shot(folder / f"{name}.dubshot", info, track, shot.crop, None)


@pytest.fixture(scope="module")
def performer(head, tmp_path_factory) -> Shot:
    folder = tmp_path_factory.mktemp("performer")
    return spoken(
        head,
        empty_shot(folder / "still.dubshot", head, frames=FRAMES),
        seed=1,
        widest_deg=14,
        folder=folder,
        name="performer",
    )


@pytest.fixture(scope="module")
def actor(head, tmp_path_factory) -> Shot:
    folder = tmp_path_factory.mktemp("actor")
    return spoken(
        head,
        empty_shot(folder / "still.dubshot", head, frames=FRAMES),
        seed=2,
        widest_deg=8,
        folder=folder,
        name="actor",
    )


@pytest.fixture(scope="module")
def made(head, performer, actor) -> ImportedTake:
    return import_take(performer.path, actor, "as_performer", head=head)


def gaps_mm(head: HeadModel, shot: Shot, expression: np.ndarray, jaw: np.ndarray) -> np.ndarray:
    return 1e3 * LipGauge(head, shot.track.shape).gap_m(expression, jaw)


def test_the_lips_open_when_the_performers_do_and_as_far_as_the_actors_can(head, performer, actor, made):
    his = gaps_mm(head, performer, performer.track.expression, performer.track.jaw)
    made_mm = gaps_mm(head, actor, made.take.expression, made.take.jaw)
    assert np.corrcoef(np.maximum(his, 0), np.maximum(made_mm, 0))[0, 1] > 0.98
    own = gaps_mm(head, actor, actor.track.expression, actor.track.jaw)
    assert np.percentile(made_mm, 95) == pytest.approx(np.percentile(np.maximum(own, 0), 95), rel=0.15)
    filmed = np.corrcoef(np.maximum(his, 0), np.maximum(own, 0))[0, 1]
    assert filmed < 0.7  # the actor's own lips did something else


def test_the_lips_meet_where_the_performers_do_and_nowhere_else(head, performer, actor, made):
    his = gaps_mm(head, performer, performer.track.expression, performer.track.jaw)
    made_mm = gaps_mm(head, actor, made.take.expression, made.take.jaw)
    assert (his < 0.2).sum() > 15
    assert made_mm[his < 0.2].max() < 0.35
    assert made_mm[his > 2.0].min() > 0.5


def test_nobody_takes_over_the_others_resting_face(head, performer, actor):
    still = replace(performer.track, expression=np.tile(performer.track.expression[:1], (FRAMES, 1)) * 0 + 0.4)
    still = replace(still, jaw=np.zeros((FRAMES, 3), np.float32))
    quiet = write_shot(performer.path.parent / "quiet.dubshot", performer.info, still, performer.crop, None)
    take = import_take(quiet.path, actor, "quiet", head=head, settings=TakeSettings(scale=1.0)).take
    assert gaps_mm(head, actor, take.expression, take.jaw).max() < 0.35
    assert np.abs(take.expression - 0.4).mean() > 0.1  # his 0.4 stays with him
    assert np.ptp(take.jaw[:, 0]) < np.radians(1.0)


def test_brows_stay_as_the_actor_filmed_them(head, performer, actor, made):
    def brows(expression: np.ndarray) -> np.ndarray:
        rig = head.rig(torch.from_numpy(np.array(actor.track.shape)))
        poses = [rig.landmarks(rig.pose(row, np.zeros(3))) for row in expression[::10]]
        return np.stack(poses)[:, list(RIGHT_BROW + LEFT_BROW)]

    moved = 1e3 * np.linalg.norm(brows(made.take.expression) - brows(actor.track.expression), axis=-1)
    apart = 1e3 * np.linalg.norm(brows(performer.track.expression) - brows(actor.track.expression), axis=-1)
    assert moved.mean() < 0.5 * apart.mean()
    with pytest.raises(InvalidInput, match="only the mouth"):
        import_take(performer.path, actor, "x", head=head, settings=TakeSettings(upper_face=UpperFace.IMPORTED))


def test_another_rate_and_start_are_kept_by_seconds(head, performer, actor, made):
    late = import_take(performer.path, actor, "late", head=head, settings=TakeSettings(start=0.4))
    assert np.allclose(late.take.jaw[20:60], made.take.jaw[10:50], atol=np.radians(0.3))
    assert late.warnings and "longer than the shot" in late.warnings[0]
    assert made.take.origin["kind"] == "retarget" and made.take.origin["shot"] == "performer"


def test_a_shot_without_speech_or_of_another_head_is_refused(head, performer, actor, tmp_path):
    mute = replace(performer.track, jaw=np.zeros_like(performer.track.jaw), expression=np.zeros((FRAMES, 100)))
    silent = write_shot(tmp_path / "mute.dubshot", performer.info, mute, performer.crop, None)
    with pytest.raises(InvalidInput, match="no speech to scale by"):
        import_take(silent.path, actor, "x", head=head)
    info = replace(performer.info, head=HeadIdentity("flame", "0" * 64))
    other = write_shot(tmp_path / "other.dubshot", info, performer.track, performer.crop, None)
    with pytest.raises(HeadModelMismatch):
        import_take(other.path, actor, "x", head=head)


def test_a_performer_who_hardly_opens_the_lips_is_scaled_within_bounds_and_it_is_said(head, performer, actor, tmp_path):
    timid = replace(performer.track, jaw=performer.track.jaw * 0.3, expression=performer.track.expression * 0.3)
    quiet = write_shot(tmp_path / "timid.dubshot", replace(performer.info, name="timid"), timid, performer.crop, None)
    made = import_take(quiet.path, actor, "x", head=head)
    assert made.figures["scale"] == 2 and "scaled by 2" in made.warnings[0]
    told = import_take(quiet.path, actor, "x", head=head, settings=TakeSettings(scale=2.5))
    assert told.figures["scale"] == 2.5 and not told.warnings


def test_the_command_stores_the_take(performer, actor):
    result = CliRunner().invoke(
        application(), ["import", "take", str(performer.path), str(actor.path), "--take", "dub", "--json"]
    )
    assert result.exit_code == 0, result.output
    assert len(Shot.load(actor.path).take("dub")) == FRAMES
