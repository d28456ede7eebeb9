# SPDX-License-Identifier: Apache-2.0
"""Losses and scores against their definitions."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torchmetrics.functional.image import structural_similarity_index_measure

from dubplate_backend.training import losses
from dubplate_backend.training.dataset import LIPS, LOWER_FACE, MASK, Frames
from dubplate_backend.training.metrics import evaluate
from dubplate_backend.training.settings import AdaptSettings
from dubplate_backend.training.ssim import ssim_map
from dubplate_backend.training.vgg import PLANS, POOL, VggLoss, load_vgg
from dubplate_shared.errors import InvalidInput
from dubplate_shared.files import sha256_file


def frames_with(flags: torch.Tensor) -> Frames:
    blank = torch.zeros(1, 3, 16, 16)
    return Frames(blank, blank, torch.zeros(1, 16, 16, 2), flags)


def test_the_mouth_weighs_ten_the_lower_face_eight_the_rest_one():
    flags = torch.zeros(1, 16, 16, dtype=torch.uint8)
    flags[:, 8:] = LOWER_FACE | MASK
    flags[:, 12, 8] |= LIPS
    weights = losses.region_weights(frames_with(flags), AdaptSettings())
    assert weights[0, 0, 2, 2] == 1 and weights[0, 0, 9, 2] == 8 and weights[0, 0, 12, 8] == 10
    drawn, target = torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 16)

    def loss_of_an_error_at(row: int, column: int) -> float:
        wrong = drawn.clone()
        wrong[..., row, column] = 1.0
        return float(losses.weighted_l1(wrong, target, weights))

    mouth, lower, rest = (loss_of_an_error_at(*at) for at in ((12, 8), (9, 2), (2, 2)))
    assert mouth / rest == pytest.approx(10, rel=1e-4) and lower / rest == pytest.approx(8, rel=1e-4)


def test_ssim_is_the_published_measure():
    torch.manual_seed(0)
    first = torch.rand(2, 3, 48, 48)
    second = (first + 0.1 * torch.randn_like(first)).clamp(0, 1)
    ours = ssim_map(first, second, data_range=1.0)[:, 8:-8, 8:-8].mean()
    theirs = structural_similarity_index_measure(first[..., 3:-3, 3:-3], second[..., 3:-3, 3:-3], data_range=1.0)
    assert float(ours) == pytest.approx(float(theirs), abs=5e-3)
    assert ssim_map(first, first, data_range=1.0).min() > 0.9999


def test_the_stand_ins_for_vgg_are_zero_on_equal_pictures_and_grow_with_blur():
    torch.manual_seed(0)
    sharp = torch.rand(2, 3, 64, 64) * 2 - 1
    blurred = [nn.functional.avg_pool2d(sharp, k, stride=1, padding=k // 2) for k in (3, 5)]
    for measure in (losses.laplacian_l1, losses.multi_scale_dissimilarity):
        assert float(measure(sharp, sharp)) < 1e-5
        assert 0 < float(measure(blurred[0], sharp)) < float(measure(blurred[1], sharp))


def test_lsgan_pulls_real_to_one_drawn_to_zero_and_the_generator_to_one():
    assert float(losses.discriminator_lsgan(torch.ones(2), torch.zeros(2))) == 0
    assert float(losses.discriminator_lsgan(torch.zeros(2), torch.ones(2))) == 1
    assert float(losses.generator_lsgan(torch.ones(2))) == 0 and float(losses.generator_lsgan(torch.zeros(2))) == 1


def test_r1_is_half_the_squared_gradient():
    real = torch.randn(2, 5, 3, 4, 4, requires_grad=True)
    slope = torch.randn(5, 3, 4, 4)
    penalty = losses.r1_penalty((real * slope).flatten(1).sum(dim=1), real)
    assert penalty.item() == pytest.approx(0.5 * float(slope.square().sum()), rel=1e-5)


def test_scores_are_taken_inside_the_mask_alone_beside_both_baselines(crops):
    def truth_but_in_the_mask(offset: float):
        def draw(batch):
            mask = batch.frames.has(MASK)[:, None]
            return torch.where(mask, batch.frames.rgb + offset, torch.ones(())).unflatten(0, (-1, 5))

        return draw

    scores = evaluate([crops], truth_but_in_the_mask(0.2), window=5, batch=4)
    assert scores.frames == len(crops.held_out)
    assert scores.actor.psnr == pytest.approx(-20 * math.log10(0.1), abs=0.5), "what lies outside must not count"
    perfect = evaluate([crops], truth_but_in_the_mask(0.0), window=5, batch=4)
    assert perfect.actor.psnr > 60 and perfect.actor.ssim > 0.999 > scores.actor.ssim
    mean = crops.pictures(crops.train).mean(dim=0)
    inside = crops.frames(crops.held_out).has(MASK)
    target = crops.pictures(crops.held_out)
    error = ((mean - target) / 2).square().mean(dim=1)[inside].mean()
    assert scores.mean_crop.psnr == pytest.approx(-10 * math.log10(float(error)), abs=0.1)
    assert scores.nearest_lips.psnr > 5


def vgg_state(kind: str, width: int | None = None) -> dict[str, torch.Tensor]:
    """Random weights under torchvision's names and shapes, the classifier's first layer with them."""
    torch.manual_seed(0)
    state, index, inputs = {}, 0, 3
    for outputs in PLANS[kind]:
        if outputs == POOL:
            index += 1
            continue
        state[f"features.{index}.weight"] = torch.randn(outputs, inputs, 3, 3) * (2 / (9 * inputs)) ** 0.5
        state[f"features.{index}.bias"] = torch.zeros(outputs)
        inputs, index = outputs, index + 2
    return state | {"classifier.0.weight": torch.zeros(2, 2), "classifier.0.bias": torch.zeros(2)}


@pytest.mark.parametrize("kind", ["vgg16", "vgg19"])
def test_torchvision_vgg_weights_load_and_see_structure(kind, tmp_path):
    path = tmp_path / f"{kind}.pth"
    torch.save(vgg_state(kind), path)
    weights = load_vgg(path)
    assert weights.kind == kind and weights.sha256 == sha256_file(path)
    assert "classifier.0.weight" not in weights.tensors
    loss = VggLoss(weights)
    picture = torch.rand(1, 3, 32, 32) * 2 - 1
    drawn = picture.clone().requires_grad_()
    assert [tuple(f.shape[1:]) for f in loss.features(picture)] == [
        (64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4), (512, 2, 2)
    ]  # fmt: skip
    assert float(loss(picture, picture)) == 0
    value = loss(drawn * 0.5, picture)
    value.backward()
    assert value.item() > 0 and drawn.grad.abs().sum() > 0
    assert not list(loss.parameters()), "the weights are never trained"


def test_vgg19_is_the_published_layout():
    convolutions = [int(name.split(".")[1]) for name in vgg_state("vgg19") if "features" in name and "weight" in name]
    assert convolutions == [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]


class Hostile:
    def __reduce__(self):
        return (print, ("code in the weights ran",))


def test_weights_that_are_not_vgg_or_hold_code_are_refused(tmp_path, capsys):
    wrong = vgg_state("vgg16")
    wrong["features.0.weight"] = torch.zeros(64, 4, 3, 3)
    cases = {"shape": wrong, "empty": {}, "code": {"features.0.weight": Hostile()}, "list": [1, 2]}
    for name, state in cases.items():
        torch.save(state, tmp_path / f"{name}.pth")
        with pytest.raises(InvalidInput):
            load_vgg(tmp_path / f"{name}.pth")
    (tmp_path / "text.pth").write_text("no weights")
    for name in ("text.pth", "missing.pth"):
        with pytest.raises(InvalidInput):
            load_vgg(tmp_path / name)
    assert "ran" not in capsys.readouterr().out


def test_settings_follow_the_paper_where_it_speaks():
    settings = AdaptSettings()
    assert (settings.pixel, settings.perceptual, settings.texture) == (10, 10, 5)
    assert (settings.mouth, settings.lower_face, settings.elsewhere) == (10, 8, 1)
    assert settings.sound_dropped == 0.5 and settings.sound_swapped > 0
    assert replace(settings, mouth=3.0).mouth == 3 and np.isclose(settings.held_out, 0.1)
