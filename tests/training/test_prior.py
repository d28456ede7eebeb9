# SPDX-License-Identifier: Apache-2.0
"""A prior and the actors adapted from it: what they start from, what is mixed in, and what low rank leaves alone."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from dubplate_backend.renderers.neural_texture.prior import FOLDERS, load_prior, shipped_prior
from dubplate_backend.renderers.neural_texture.weights import load_weights
from dubplate_backend.renderers.presets import DRAFT
from dubplate_backend.texture.mipmaps import MipLayout
from dubplate_backend.training.adapt import adapt
from dubplate_backend.training.bundle import MixedSampler, load_bundle, make_bundle, save_bundle
from dubplate_backend.training.colours import first_colours
from dubplate_backend.training.identities import synthetic_crops
from dubplate_backend.training.low_rank import merged
from dubplate_backend.training.metrics import evaluate
from dubplate_backend.training.sampler import BUNDLED, WindowSampler, ordered_windows, stack
from dubplate_backend.training.settings import PriorSettings, settings_from_prior
from dubplate_backend.training.train import People, train
from dubplate_backend.training.trainer import Trainer, prepare
from dubplate_shared.actor import ActorInfo
from dubplate_shared.errors import Cancelled, InvalidInput
from dubplate_shared.files import load_npz, save_npz
from dubplate_shared.progress import never
from small_shot import TINY, write_small_shot

QUICK = replace(settings_from_prior(), held_out=0.2)
UNSEEN = 9002  # an invented person's seed


@pytest.fixture(scope="module")
def prior(head, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prior")
    shots = [write_small_shot(folder, head, name=name) for name in ("cy", "di")]
    settings = PriorSettings(held_out=0.2)
    return train(
        People(shots), folder / "small.dubprior", head=head, preset=TINY, settings=settings, iterations=3, say=str
    )


@pytest.fixture
def bundle(prior):
    return load_bundle(prior.bundle_path, TINY)


def adapted(shot, out, head, **options) -> tuple[ActorInfo, str]:
    said: list[str] = []
    options = {"preset": TINY, "settings": QUICK, "say": said.append, "iterations": 2} | options
    return adapt([shot], out, head=head, **options), "\n".join(said)


def test_adapting_starts_from_the_priors_weights_and_says_so(prior, small_shot, head, layout, tmp_path):
    colours = [torch.zeros(3, 64, 64)]
    trainer = Trainer(TINY, QUICK, seed=0, colours=colours, layout=layout, start=prior.weights(TINY))
    stored = load_file(prior.path / "generator.safetensors")
    assert all(torch.equal(value, stored[name].float()) for name, value in trainer.generator.state_dict().items())
    info, said = adapted(small_shot, tmp_path / "a.dubactor", head, prior=prior)
    assert info.prior == prior.sha256 and prior.sha256 in said
    scratch, said = adapted(small_shot, tmp_path / "b.dubactor", head)
    assert scratch.prior is None and "From scratch" in said


def test_mixed_one_to_one_half_of_each_batch_is_the_priors_own(crops, bundle):
    settings = replace(QUICK, mixed=1.0)
    sampler = WindowSampler([crops], settings, window=5, random=np.random.default_rng(0))
    batch = MixedSampler(sampler, bundle).draw()
    assert batch.identities == (0,) * QUICK.batch + (BUNDLED,) * QUICK.batch and batch.everyone == (0,)
    assert len(batch.texels) == QUICK.batch * TINY.window
    assert len(batch.frames.rgb) == 2 * QUICK.batch * TINY.window


def test_a_bundles_window_is_the_window_it_was_made_from(crops, layout, tmp_path):
    trainer = Trainer(TINY, QUICK, seed=0, colours=[torch.zeros(3, 64, 64)], layout=layout)
    windows = list(ordered_windows(crops, crops.train[:2], TINY.window))
    drawn = [prepare(stack([window]), trainer.average_texels, layout, TINY.window) for window in windows]
    save_bundle(tmp_path / "b.npz", make_bundle(windows, [each.texels for each in drawn], [7, 7]))
    kept = load_bundle(tmp_path / "b.npz", TINY)
    for number, (window, was) in enumerate(zip(windows, drawn, strict=True)):
        again = kept.at(number, window.reference)
        now = prepare(stack([again]), [], layout, TINY.window)
        assert (again.frames.rgb - window.frames.rgb).abs().mean() < 0.03, "JPEG's loss and no more"
        step = float((kept.high - kept.low).max()) / 255
        texels = slice(3, TINY.texture_channels)
        assert (now.features[:, :, texels] - was.features[:, :, texels]).abs().max() <= step
        assert (now.base - was.base).abs().mean() < 0.03
        assert torch.equal(again.mel, window.mel.half().float())


def test_the_bundles_windows_teach_the_network_and_no_texture(crops, bundle, layout):
    trainer = Trainer(TINY, QUICK, seed=0, colours=[torch.zeros(3, 64, 64)], layout=layout)
    windows, _ = WindowSampler([crops], QUICK, window=5, random=trainer.random).windows()

    def texture_loss(batch) -> float:
        return float(trainer._texture_loss(prepare(batch, trainer.average_texels, layout, TINY.window), batch))

    mixed = stack([*windows, bundle.draw(trainer.random)])
    assert texture_loss(mixed) == texture_loss(stack(windows)) > 0
    row = trainer.step(mixed, share=0.0)
    assert np.isfinite(list(row.values())).all()


def test_the_first_steps_from_a_prior_are_short(prior, crops, layout):
    """Adam's first step is as long as its rate whatever it meets: at full length it undoes what the prior knows."""

    def moved(settings) -> float:
        trainer = Trainer(
            TINY, settings, seed=0, colours=[torch.zeros(3, 64, 64)], layout=layout, start=prior.weights(TINY)
        )
        before = [parameter.detach().clone() for parameter in trainer.generator.parameters()]
        trainer.step(WindowSampler([crops], settings, window=5, random=trainer.random).draw(), share=0.0)
        return max(
            float((now.detach() - was).abs().max())
            for now, was in zip(trainer.generator.parameters(), before, strict=True)
        )

    assert QUICK.warm_up > 0 and moved(QUICK) < 0.1 * moved(replace(QUICK, warm_up=0))


@pytest.mark.parametrize(("share", "fewest", "most", "mean"), [(1.0, 2, 2, 2.0), (0.25, 0, 1, 0.5), (0.0, 0, 0, 0.0)])
def test_as_many_windows_of_the_bundle_are_mixed_in_as_the_settings_say(crops, bundle, share, fewest, most, mean):
    settings = replace(QUICK, batch=2, mixed=share)
    draw = MixedSampler(WindowSampler([crops], settings, window=5, random=np.random.default_rng(0)), bundle).draw
    batches = [draw().identities for _ in range(60)]
    counts = np.array([identities.count(BUNDLED) for identities in batches])
    assert all(identities.count(0) == 2 for identities in batches)
    assert (counts.min(), counts.max()) == (fewest, most) and counts.mean() == pytest.approx(mean, abs=0.2)


def test_low_rank_trains_its_factors_alone_and_makes_a_small_package(prior, small_shot, head, tmp_path, monkeypatch):
    out = tmp_path / "low.dubactor"
    info, _ = adapted(small_shot, out, head, prior=prior, settings=replace(QUICK, rank=2))
    stored = load_file(out / "generator.safetensors")
    assert {name.rsplit(".", 1)[1] for name in stored} == {"up", "down"}
    with pytest.raises(InvalidInput, match="prior"):
        load_weights(out, TINY)
    monkeypatch.setenv(FOLDERS, str(prior.path.parent))
    _, generator = load_weights(out, TINY)
    weights = prior.weights(TINY)
    for name, tensor in generator.state_dict().items():
        layer = name.removesuffix(".weight")
        if f"{layer}.up" not in stored:
            assert torch.equal(tensor, weights[name]), f"{name} is not the prior's"
    assert any(not torch.equal(tensor, weights[name]) for name, tensor in generator.state_dict().items())
    assert info.settings["rank"] == 2


def test_merged_factors_draw_the_same_bits_as_the_stored_ones(prior, crops, layout, tmp_path):
    settings = replace(QUICK, rank=2)
    colours = [torch.zeros(3, 64, 64)]
    trainer = Trainer(TINY, settings, seed=0, colours=colours, layout=layout, start=prior.weights(TINY))
    sampler = WindowSampler([crops], settings, window=5, random=trainer.random)
    before = {name: value.clone() for name, value in trainer.generator.named_parameters() if not value.requires_grad}
    for _ in range(3):
        trainer.step(sampler.draw(), share=0.0)
    after = dict(trainer.generator.named_parameters())
    assert all(torch.equal(after[name], value) for name, value in before.items())
    from dubplate_backend.renderers.neural_texture.prior import with_factors
    from dubplate_backend.training.low_rank import factors

    whole = with_factors(prior.weights(TINY), factors(trainer.average))
    assert all(torch.equal(whole[name], value) for name, value in merged(trainer.average).state_dict().items())


def test_an_adaptation_goes_on_to_the_same_weights(prior, small_shot, head, tmp_path):
    whole, broken = tmp_path / "whole.dubactor", tmp_path / "broken.dubactor"
    adapted(small_shot, whole, head, prior=prior, iterations=6, settings=replace(QUICK, rank=2))
    steps = iter(range(1000))

    def stop() -> bool:
        return (tmp_path / "broken.dubactor.work").exists() and next(steps) > 20 + 3

    with pytest.raises(Cancelled):
        adapted(small_shot, broken, head, prior=prior, iterations=6, settings=replace(QUICK, rank=2), stop=stop)
    _, said = adapted(small_shot, broken, head, prior=prior, iterations=6, settings=replace(QUICK, rank=2))
    assert "Going on" in said
    one, two = (load_file(path / "generator.safetensors") for path in (whole, broken))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_prior_that_is_broken_or_of_another_size_is_named_before_cropping(prior, small_shot, head, tmp_path):
    def copy(name: str):
        return shutil.copytree(prior.path, tmp_path / f"{name}.dubprior")

    with pytest.raises(InvalidInput, match="no prior"):
        load_prior(tmp_path / "nowhere.dubprior")
    with pytest.raises(InvalidInput, match="do not fit"):
        prior.weights(replace(DRAFT, name="draft"))
    with pytest.raises(InvalidInput, match="preset draft"):
        prior.weights(replace(TINY, name="standard"))
    cut = copy("cut")
    (cut / "generator.safetensors").write_bytes((cut / "generator.safetensors").read_bytes()[:500])
    with pytest.raises(InvalidInput, match="cannot be read"):
        adapted(small_shot, tmp_path / "a.dubactor", head, prior=load_prior(cut))
    wild = copy("wild")
    tensors = load_file(wild / "generator.safetensors")
    tensors["decoder.constant"][:] = float("nan")
    save_file(tensors, wild / "generator.safetensors")
    with pytest.raises(InvalidInput, match="NaN"):
        load_prior(wild).weights(TINY)
    bare = copy("bare")
    card = json.loads((bare / "prior.json").read_text())
    del card["head"]
    (bare / "prior.json").write_text(json.dumps(card))
    with pytest.raises(InvalidInput, match="incomplete"):
        load_prior(bare)
    mixed = copy("mixed")
    arrays = load_npz(mixed / "bundle.npz")
    save_npz(mixed / "bundle.npz", arrays | {"texels": arrays["texels"][:-5]})
    with pytest.raises(InvalidInput, match="do not fit together"):
        load_bundle(mixed / "bundle.npz", TINY)
    assert not list(tmp_path.glob("*.work"))


def test_low_rank_without_a_prior_is_refused(small_shot, head, tmp_path):
    with pytest.raises(InvalidInput, match="need a prior"):
        adapted(small_shot, tmp_path / "a.dubactor", head, settings=replace(QUICK, rank=2))


def test_the_prior_that_ships_is_small_and_no_persons():
    shipped = shipped_prior(DRAFT)
    assert shipped is not None
    assert sum(file.stat().st_size for file in shipped.path.iterdir()) < 15 << 20
    assert shipped.card["people"]["filmed"] == 0 and shipped.card["parameters"] <= 8_000_000
    assert shipped.card["consent"]["status"] == "not needed"
    assert len(load_bundle(shipped.bundle_path, DRAFT)) >= 8
    assert shipped.weights(DRAFT)


def test_the_prior_that_ships_draws_a_face_that_it_never_saw_better_than_the_textured_head_alone(head, tmp_path):
    shipped = shipped_prior(DRAFT)
    assert shipped is not None and shipped.card["synthetic_seeds"][1] < UNSEEN
    (crops,) = synthetic_crops(
        [UNSEEN], 24, tmp_path, head=head, preset=DRAFT, settings=replace(QUICK, held_out=0.3), stop=never
    )
    layout = MipLayout.of(head, DRAFT.texture_size)
    colours = [first_colours([crops], head, DRAFT.texture_size)]
    scores = [
        evaluate([crops], trainer.draw, window=DRAFT.window, batch=DRAFT.batch_windows).actor.psnr
        for trainer in (
            Trainer(DRAFT, QUICK, seed=0, colours=colours, layout=layout, start=start)
            for start in (shipped.weights(DRAFT), None)
        )
    ]
    assert scores[0] > scores[1] + 0.3, "before any step, from scratch nothing is drawn on the head"
