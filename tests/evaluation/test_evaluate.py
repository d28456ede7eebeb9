# SPDX-License-Identifier: Apache-2.0
"""A whole evaluation of an actor on a small shot: real renderer, real compositing, weights from before training."""

from __future__ import annotations

import csv
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from dubplate_backend.cli.main import application
from dubplate_backend.evaluation.evaluate import Contender, evaluate_shots
from dubplate_backend.evaluation.held_out import held_out_frames
from dubplate_backend.head.load import load_head
from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.source import ShotPlates
from dubplate_backend.renderers.load import load_renderer
from dubplate_backend.renderers.neural_texture.crops import crop_picture
from dubplate_backend.renderers.neural_texture.weights import load_weights, save_weights
from dubplate_backend.renderers.presets import preset
from dubplate_shared.actor import ActorInfo
from dubplate_shared.errors import Cancelled, HeadModelMismatch, InvalidInput
from dubplate_shared.progress import never
from dubplate_shared.shot import HeadIdentity, Shot
from rendering.conftest import write_actor
from small_shot import FRAMES, NO_FACE, write_small_shot

SCORED = "1015-1017"


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_head()


@pytest.fixture(scope="module")
def shot(head: HeadModel, tmp_path_factory: pytest.TempPathFactory) -> Shot:
    return write_small_shot(tmp_path_factory.mktemp("shot"), head)


@pytest.fixture(scope="module")
def actor(head: HeadModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_actor(tmp_path_factory.mktemp("actor") / "small.dubactor", HeadIdentity(head.kind, head.sha256))


@pytest.fixture(scope="module")
def folder(shot: Shot, actor: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command leaves."""
    out = tmp_path_factory.mktemp("evaluation")
    arguments = ["evaluate", str(shot.path), "--actor", f"mine={actor}", "-o", str(out), "--frames", SCORED, "--study"]
    result = CliRunner().invoke(application(), arguments)
    assert result.exit_code == 0, result.output
    return out


def test_the_table_has_the_baselines_and_the_actor_without_and_with_post_processing(folder, shot, actor, head):
    with (folder / "scores.csv").open(encoding="utf-8") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["mean training crop", "nearest training lips", "mine, no post-processing", "mine"]
    assert all(row["shot"] == "small" and row["frames"] == "3" for row in rows.values())
    for row in rows.values():
        assert float(row["psnr"]) > 5 and 0 < float(row["ssim"]) < 1 and float(row["flicker"]) > 0
        assert float(row["seam"]) > 0 and row["fid"] == row["fvd"] == ""
    assert rows["mine"]["psnr"] == rows["mine, no post-processing"]["psnr"]  # before compositing
    assert rows["mine"]["seam"] != rows["mine, no post-processing"]["seam"]  # after it
    assert float(rows["mine"]["psnr"]) == pytest.approx(psnr_by_hand(shot, actor, head), abs=1e-3)
    told = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    assert [row["method"] for row in told["scores"]] == list(rows) and told["facts"]["i3d"] is None


def psnr_by_hand(shot: Shot, actor: Path, head: HeadModel, scored: tuple[int, ...] = (1015, 1016, 1017)) -> float:
    """Inside the redraw mask, all pixels of all frames together, in 8-bit steps."""
    renderer = load_renderer(actor, head).without_references(scored)
    errors = []
    with ShotPlates(shot) as plates:
        for drawn in renderer.render(shot, shot.take("tracked"), scored, plates.net, never):
            filmed = crop_picture(plates.net(drawn.frame), shot.crop[shot.index(drawn.frame)], len(drawn.mask))
            shown = np.rint(np.clip(drawn.rgb, 0, 1) * 255)
            errors.append(np.square((shown - filmed) / 255)[drawn.mask].mean(axis=-1))
    return -10 * math.log10(np.concatenate(errors).mean())


def test_an_actor_is_shown_no_frame_that_it_is_judged_on(shot, head, tmp_path):
    actor = write_actor(tmp_path / "copies.dubactor", HeadIdentity(head.kind, head.sha256))
    info = ActorInfo.load(actor)
    texels, generator = load_weights(actor, preset(info.preset))
    with torch.no_grad():  # what it draws depends on its references, as a taught actor's does
        for layer in generator.decoder.rgb:
            layer.conv.weight.normal_(generator=torch.Generator().manual_seed(1))
    save_weights(actor, texels, generator)
    renderer, tracked = load_renderer(actor, head), shot.take("tracked")
    judged = sorted(set(renderer.frames_read(shot, 1005)) - set(renderer.window(shot, 1005)) | {1005})
    assert len(judged) > 1, "it would look at one of the others"
    apart = renderer.without_references(judged)
    with ShotPlates(shot) as plates:
        looking, blind = (
            [drawn.rgb for drawn in each.render(shot, tracked, judged, plates.net, never)] for each in (renderer, apart)
        )
    assert not np.array_equal(looking, blind)
    (row,) = (row for row in evaluate_shots([shot], [Contender.of(actor)], head=head, frames=judged).rows
              if row.method == "copies")  # fmt: skip
    assert row.psnr == pytest.approx(psnr_by_hand(shot, actor, head, tuple(judged)), abs=1e-3)


def test_the_page_stands_alone_and_shows_every_way_side_by_side(folder):
    page = (folder / "evaluation.html").read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="(?!data:)', page) and "<script" not in page
    assert page.count("data:image/jpeg") == 3 * 5  # three frames: filmed, two baselines, the actor twice
    assert "No actor learned from shot small" in page
    assert "FID" not in re.sub(r"<p>.*?</p>", "", page)  # no column for what was not measured


def test_the_study_compares_the_actor_with_the_plate_and_names_neither(folder):
    key = json.loads((folder / "study_key.json").read_text(encoding="utf-8"))
    assert set(key["methods"].values()) == {"filmed", "mine"}
    page = (folder / "study.html").read_text(encoding="utf-8")
    assert page.count("data:video/mp4") == 3 and "mine" not in page  # two movies and the person as filmed


def test_the_frames_that_adapt_holds_out_are_scored(shot, actor):
    info = ActorInfo.load(actor)
    held = held_out_frames(shot, [info], None)
    usable = [index for index in range(FRAMES) if index != NO_FACE]
    assert list(held.scored) == usable[-2:] and list(held.train) == usable[:-2]  # a tenth of 19
    assert held.learned_by == ()
    learned = ActorInfo("a", "neural_texture", "draft", info.head, ({"name": "small"},), settings={"held_out": 0.2})
    held = held_out_frames(shot, [learned, info], None)
    assert list(held.scored) == usable[-2:] and held.learned_by == ("a",)  # what neither of them learned from
    with pytest.raises(InvalidInput, match="0 frames would be scored"):
        held_out_frames(shot, [info], [1001 + NO_FACE])
    with pytest.raises(InvalidInput, match="0 left to compare with"):
        held_out_frames(shot, [info], range(1001, 1001 + FRAMES))


def test_baselines_have_no_more_frames_than_actors_of_few(shot, actor):
    learned = replace(ActorInfo.load(actor), shots=({"name": shot.info.name},))
    few, fewer = (replace(learned, settings={"frames": frames}) for frames in ("1002-1005", "1004-1006"))
    assert held_out_frames(shot, [few, fewer], None).train == (1, 2, 3, 4, 5)
    everything = held_out_frames(shot, [learned], None).train
    assert held_out_frames(shot, [few, learned], None).train == everything and len(everything) > 5


def test_a_dry_run_says_what_would_be_scored_and_writes_nothing(shot, actor, tmp_path):
    arguments = ["evaluate", str(shot.path), "--actor", str(actor), "-o", str(tmp_path / "out"), "--dry-run"]
    result = CliRunner().invoke(application(), arguments)
    assert json.loads(result.output)["small"] == {"scored": "1019-1020", "left to learn from": 17, "learned by": []}
    assert not (tmp_path / "out").exists()


def test_a_stop_is_heeded_and_another_head_is_refused(shot, actor, head, tmp_path):
    contender = Contender.of(actor)
    with pytest.raises(Cancelled):
        evaluate_shots([shot], [contender], head=head, frames=[1014, 1015], study=tmp_path / "s", stop=lambda: True)
    assert not (tmp_path / "s").exists()
    foreign = write_actor(tmp_path / "foreign.dubactor", HeadIdentity("flame", "0" * 64))
    with pytest.raises(HeadModelMismatch):
        evaluate_shots([shot], [Contender.of(foreign)], head=head)
