# SPDX-License-Identifier: Apache-2.0
"""Adapting an actor: it learns, resumes to the same weights, says what it did, and leaves nothing half-written."""

from __future__ import annotations

import csv
import json
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from dubplate_backend.cli.terminal import stop_on_signals
from dubplate_backend.training.adapt import NO_CONSENT, NO_VGG, adapt
from dubplate_backend.training.loop import Budget, Run
from dubplate_backend.training.sampler import WindowSampler
from dubplate_backend.training.trainer import Trainer
from dubplate_backend.training.vgg import VggWeights
from dubplate_shared.actor import ActorInfo
from dubplate_shared.errors import Cancelled, HeadModelMismatch, InvalidInput
from dubplate_shared.progress import never, silent
from dubplate_shared.shot import HeadIdentity
from small_shot import QUICK, TINY, write_small_shot


def run(shot, out, head, **options):
    said: list[str] = []
    options = {"preset": TINY, "settings": QUICK, "say": said.append} | options
    info = adapt([shot], out, head=head, **options)
    return info, "\n".join(said)


def sampler_of(crops, trainer, **changes) -> WindowSampler:
    return WindowSampler([crops], replace(trainer.settings, **changes), window=5, random=trainer.random)


def weights(out) -> dict[str, torch.Tensor]:
    return load_file(out / "generator.safetensors") | load_file(out / "texture.safetensors")


def test_an_actor_is_whole_and_tells_how_it_was_made(small_shot, head, tmp_path):
    out = tmp_path / "small.dubactor"
    info, said = run(small_shot, out, head, iterations=40, consent={"status": "granted", "by": "the actor"})
    assert ActorInfo.load(out) == info
    assert info.head == HeadIdentity(head.kind, head.sha256) and info.shots[0]["name"] == "small"
    assert info.consent["status"] == "granted" and NO_CONSENT not in said
    assert NO_VGG in said and info.settings["perceptual_weights"] == "stand-ins"
    assert "mean training crop" in said and "nearest lips" in said
    for name in ("actor", "mean_crop", "nearest_lips"):
        assert info.metrics[name]["psnr"] > 0 and 0 < info.metrics[name]["ssim"] <= 1
    assert info.metrics["actor"]["psnr"] > info.metrics["mean_crop"]["psnr"]
    with open(out / "losses.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["iteration"]) for row in rows] == list(range(1, 41))
    for picture in ("losses.png", "held_out.png"):
        with Image.open(out / picture) as shown:
            assert shown.width > 200
    assert not (tmp_path / "small.dubactor.work").exists(), "crops and checkpoints of a person are not left behind"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.dubactor"]


def test_an_actor_learns_from_the_frames_asked_for_alone(small_shot, head, tmp_path):
    first = small_shot.info.first_frame
    settings = replace(QUICK, frames=f"{first}-{first + 9}")
    info, _ = run(small_shot, tmp_path / "a.dubactor", head, iterations=1, settings=settings)
    assert info.shots[0]["frames"] == 10 and info.settings["frames"] == settings.frames
    for frames in ("nonsense", f"{first + 2}-{first + 4}"):
        with pytest.raises(InvalidInput):
            run(small_shot, tmp_path / "b.dubactor", head, iterations=1, settings=replace(QUICK, frames=frames))
        assert not list(tmp_path.glob("b.*")), "nothing is begun"


def test_without_a_consent_record_the_actor_says_so(small_shot, head, tmp_path):
    info, said = run(small_shot, tmp_path / "a.dubactor", head, iterations=1)
    assert info.consent == {"status": "not recorded"} and "--consent" in said


def test_the_losses_fall(crops, layout):
    black = replace(QUICK, colour_rate=1.0)  # colours that start as no filmed ones have a way to go
    trainer = Trainer(TINY, black, seed=0, colours=[torch.zeros(3, 64, 64)], layout=layout)
    sampler = sampler_of(crops, trainer, batch=2, sound_dropped=0.5, sound_swapped=0.1)
    batch = sampler.draw()
    rows = [trainer.step(batch, share=0.0) for _ in range(30)]
    for name in ("pixel", "texture", "laplacian", "ssim"):
        assert rows[-1][name] < 0.8 * rows[0][name], name
    judged = [trainer.step(batch, share=0.7) for _ in range(30)]
    taken = [row["discriminator"] for row in judged if "discriminator" in row]
    assert len(taken) == 30 // QUICK.adversarial_interval, "the discriminator joins every so many steps"
    assert np.mean(taken[-5:]) < taken[0]
    assert all("features" in row and "adversarial" in row for row in judged if "discriminator" in row)


def test_vgg_takes_the_stand_ins_place(crops, layout):
    plan = {"features.0": (64, 3), "features.2": (64, 64)}
    from test_losses import vgg_state

    state = {name: tensor for name, tensor in vgg_state("vgg16").items() if name.startswith("features")}
    assert plan["features.0"] == state["features.0.weight"].shape[:2]
    trainer = Trainer(
        TINY, QUICK, seed=0, colours=[torch.zeros(3, 64, 64)], layout=layout, vgg=VggWeights("vgg16", "0" * 64, state)
    )
    batch = sampler_of(crops, trainer, batch=1, sound_dropped=0.5, sound_swapped=0.1).draw()
    row = trainer.step(batch, share=0.7)
    assert row["adversarial"] > 0
    assert row["vgg"] > 0 and not {"laplacian", "ssim", "features"} & row.keys()


def test_region_weights_steer_what_is_learnt(crops, layout):
    def mouth_error(mouth: float) -> float:
        settings = replace(QUICK, mouth=mouth, lower_face=1.0, perceptual=0.0, texture=0.0)
        trainer = Trainer(TINY, settings, seed=0, colours=[torch.zeros(3, 64, 64)], layout=layout)
        batch = sampler_of(crops, trainer, batch=2, sound_dropped=1.0, sound_swapped=0.0).draw()
        for _ in range(25):
            trainer.step(batch, share=0.0)
        from dubplate_backend.training.dataset import LIPS, MOUTH

        lips = batch.frames.has(LIPS) | batch.frames.has(MOUTH)
        error = (trainer.draw(batch).flatten(0, 1) - batch.frames.rgb).abs().mean(dim=1)
        return float(error[lips].mean())

    assert mouth_error(100.0) < 0.9 * mouth_error(0.01)


def test_a_stopped_run_goes_on_to_the_same_weights_as_an_unbroken_one(small_shot, head, tmp_path):
    whole, broken = tmp_path / "whole.dubactor", tmp_path / "broken.dubactor"
    run(small_shot, whole, head, iterations=8)
    steps = iter(range(1000))

    def stop_in_training() -> bool:
        return (tmp_path / "broken.dubactor.work").exists() and next(steps) > 20 + 5  # 20 crops, then 5 steps

    with pytest.raises(Cancelled):
        run(small_shot, broken, head, iterations=8, stop=stop_in_training)
    assert not broken.exists()
    checkpoints = list((tmp_path / "broken.dubactor.work").glob("checkpoint-*/checkpoint.json"))
    at = json.loads(checkpoints[0].read_text())["iteration"]
    assert 0 < at < 8
    _, said = run(small_shot, broken, head, iterations=8)
    assert f"Going on from iteration {at}" in said
    one, two = weights(whole), weights(broken)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_signal_waits_for_its_step_and_leaves_a_checkpoint(crops, layout, tmp_path):
    trainer = Trainer(TINY, QUICK, seed=0, colours=[torch.zeros(3, 64, 64)], layout=layout)
    sampler = sampler_of(crops, trainer)
    run_ = Run(trainer, tmp_path / "checkpoint", time.monotonic, time.monotonic())

    def draw():
        if trainer.iteration == 2:
            signal.raise_signal(signal.SIGTERM)  # in the middle of the third step
        return sampler.draw()

    with stop_on_signals(), pytest.raises(Cancelled):
        run_.train(draw, Budget(iterations=9), silent, never)
    again = Trainer(TINY, QUICK, seed=5, colours=[torch.zeros(3, 64, 64)], layout=layout)
    assert Run(again, tmp_path / "checkpoint", time.monotonic, 0.0).resume() and again.iteration == 3
    pairs = zip(trainer.generator.parameters(), again.generator.parameters(), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)
    assert [row["iteration"] for row in run_.losses] == [1, 2, 3]


def test_another_seed_or_setting_does_not_go_on_from_that_checkpoint(small_shot, head, tmp_path):
    out, steps = tmp_path / "a.dubactor", iter(range(1000))
    with pytest.raises(Cancelled):
        run(small_shot, out, head, iterations=8, stop=lambda: next(steps) > 22)
    _, said = run(small_shot, out, head, iterations=2, seed=5)
    assert "Going on" not in said


def test_a_broken_checkpoint_is_named(small_shot, head, tmp_path):
    out, steps = tmp_path / "a.dubactor", iter(range(1000))
    with pytest.raises(Cancelled):
        run(small_shot, out, head, iterations=8, stop=lambda: next(steps) > 22)
    (tensors,) = (tmp_path / "a.dubactor.work").glob("checkpoint-*/tensors.safetensors")
    tensors.write_bytes(tensors.read_bytes()[:1000])
    with pytest.raises(InvalidInput, match="checkpoint"):
        run(small_shot, out, head, iterations=8)


def test_minutes_end_the_run_by_the_clock(small_shot, head, tmp_path):
    now = [0.0]

    def clock() -> float:
        now[0] += 0.5
        return now[0]

    info, _ = run(small_shot, tmp_path / "a.dubactor", head, minutes=0.1, clock=clock)
    assert 2 <= info.metrics["iterations"] <= 6 and info.metrics["training_s"] >= 6


def test_bad_asks_are_refused_before_anything_is_written(small_shot, head, tmp_path):
    taken = tmp_path / "taken.dubactor"
    taken.mkdir()
    with pytest.raises(InvalidInput, match="exists"):
        run(small_shot, taken, head, iterations=1)
    stranger = replace(small_shot, info=replace(small_shot.info, head=HeadIdentity("flame2020", "0" * 64)))
    with pytest.raises(HeadModelMismatch):
        run(stranger, tmp_path / "a.dubactor", head, iterations=1)
    for given in ({}, {"minutes": 1, "iterations": 1}, {"minutes": -1}):
        with pytest.raises(InvalidInput, match="minutes or iterations"):
            Budget(**given)
    assert [path.name for path in tmp_path.iterdir()] == ["taken.dubactor"]


def test_a_silent_shot_is_learnt_without_sound(head, tmp_path):
    shot = write_small_shot(tmp_path, head, name="silent", audio=False)
    info, _ = run(shot, tmp_path / "silent.dubactor", head, iterations=2)
    assert info.metrics["iterations"] == 2


def test_the_command_takes_a_consent_file_and_refuses_what_is_none(small_shot, tmp_path):
    from dubplate_backend.cli.adapt import command

    consent = tmp_path / "consent.json"
    for text in ("no json", "[1]"):
        consent.write_text(text)
        with pytest.raises(InvalidInput, match="consent"):
            command(shots=[small_shot.path], out=tmp_path / "a.dubactor", consent=consent)
    with pytest.raises(InvalidInput, match="sketch"):
        command(shots=[small_shot.path], out=tmp_path / "a.dubactor", preset="sketch")
    assert [path.name for path in tmp_path.iterdir()] == ["consent.json"]
