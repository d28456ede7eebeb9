# SPDX-License-Identifier: Apache-2.0
"""The voice can be heard more, less and more steadily, and a window keeps its bits wherever it stands in a batch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dubplate_backend.renderers.hearing import Hearing
from dubplate_backend.renderers.neural_texture.drawing import WindowDrawer, example, same_in_every_slot
from dubplate_backend.renderers.neural_texture.generator import Generator
from dubplate_backend.speech.sound import write_wav
from dubplate_backend.training.adapt import adapt
from dubplate_shared.actor import ActorInfo
from dubplate_shared.errors import InvalidInput
from dubplate_shared.progress import never
from small_shot import QUICK, TINY

CPU = torch.device("cpu")
AT = 1005


def pictures(renderer, shot, take, plates, frames=(AT,)) -> list[np.ndarray]:
    return [frame.rgb for frame in renderer.render(shot, take, frames, plates.net, never)]


@pytest.fixture(scope="module")
def takes(small_shot, tmp_path_factory):
    """The filmed curves with a loud voice, with another one, and with none."""
    folder = tmp_path_factory.mktemp("voices")
    filmed = small_shot.tracked_take()
    made = {"none": replace(filmed, name="none", origin={})}
    for seed, name in enumerate(("first", "second")):
        noise = np.random.default_rng(seed).standard_normal(16000) * np.repeat([0.02, 0.4] * 5, 1600)
        write_wav(folder / f"{name}.wav", noise.astype(np.float32), 16000)
        made[name] = replace(filmed, name=name, origin={"audio": str(folder / f"{name}.wav")})
    return made


def test_the_gain_reaches_the_picture_and_at_nothing_there_is_no_voice(renderer, small_shot, plates, takes):
    without = pictures(renderer, small_shot, takes["none"], plates)[0]
    drawn, moved = {}, {}
    for gain in (0.0, 0.2, 1.0, 1.25):
        drawn[gain] = pictures(renderer.with_hearing(Hearing(gain=gain)), small_shot, takes["first"], plates)[0]
        moved[gain] = float(np.abs(drawn[gain] - without).mean())
    assert moved[0.0] < 1e-6 < min(moved[0.2], moved[1.0])
    assert not np.array_equal(drawn[1.0], drawn[0.2]) and not np.array_equal(drawn[1.0], drawn[1.25])


def test_smoothing_brings_a_frame_nearer_to_its_neighbours_without_a_lag(renderer, small_shot, plates, takes):
    def codes(smoothing: float) -> torch.Tensor:
        hearing = Hearing(smoothing=smoothing)
        steps = torch.zeros(1, 9)
        steps[0, 4] = 1.0  # a voice that speaks for one moment only
        reach = len(hearing.moments) // 2
        around = torch.stack([steps[0, at - reach : at + reach + 1] for at in range(2, 7)])  # [5, moments]
        return hearing.heard(around[..., None], torch.zeros(1))[:, 0]

    voice, silence = torch.full((1, 1, 3), 2.0), torch.full((3,), 1.0)
    assert Hearing(gain=1.25).heard(voice, silence).tolist() == [[2.25] * 3]
    assert codes(0.0).tolist() == [0, 0, 1, 0, 0]
    smooth = codes(0.3)
    assert torch.equal(smooth, smooth.flip(0)) and 0 < smooth[1] < smooth[2] < 1
    assert smooth.sum() == pytest.approx(1.0), "a steady voice is heard as loud as before"

    frames = range(1003, 1009)
    jumps = {}
    for smoothing in (0.0, 0.9):
        steady = renderer.with_hearing(Hearing(smoothing=smoothing))
        drawn = [np.array(pictures(steady, small_shot, takes[voice], plates, frames)) for voice in ("first", "none")]
        jumps[smoothing] = np.abs(np.diff(drawn[0] - drawn[1], axis=0)).mean()
    assert jumps[0.9] < 0.9 * jumps[0.0]


def test_what_the_renderer_hears_is_part_of_its_key_and_leaves_the_first_one_alone(renderer):
    louder, steadier = renderer.with_hearing(Hearing(1.25)), renderer.with_hearing(Hearing(1.0, 0.3))
    assert len({each.renderer_key() for each in (renderer, louder, steadier)}) == 3
    assert renderer.hearing == Hearing() and renderer.with_hearing(Hearing()) is renderer


@pytest.mark.parametrize("given", [{"gain": -0.1}, {"gain": 3}, {"gain": True}, {"smoothing": 1.0}, {"smoothing": "a"}])
def test_a_hearing_out_of_range_is_refused_with_the_range(given):
    with pytest.raises(InvalidInput) as refused:
        Hearing(**given)
    assert "from 0 to" in refused.value.hint


def test_an_actor_says_how_its_renders_hear(small_shot, head, tmp_path):
    adapt([small_shot], tmp_path / "a.dubactor", head=head, preset=TINY, iterations=1, settings=QUICK,
          hearing=Hearing(1.25, 0.3), say=lambda text: None)  # fmt: skip
    assert Hearing.of_actor(ActorInfo.load(tmp_path / "a.dubactor").settings) == Hearing(1.25, 0.3)
    assert Hearing.of_actor({}) == Hearing(), "actors of before"


@pytest.mark.parametrize("hearing", [Hearing(), Hearing(1.25, 0.3)])
def test_a_window_has_the_same_bits_in_any_slot_and_company(hearing):
    torch.manual_seed(0)
    generator = Generator(TINY).eval()
    for layer in generator.decoder.rgb:
        torch.nn.init.normal_(layer.conv.weight)
    drawer = WindowDrawer(generator, TINY, hearing, CPU)
    inputs = example(TINY, hearing, CPU)
    assert same_in_every_slot(drawer, inputs)

    def by_batch(*parts: torch.Tensor) -> torch.Tensor:
        drawn = drawer(*parts)
        return drawn - 1e-3 * drawn.mean()  # what a network that normalises over its batch would do

    def by_slot(*parts: torch.Tensor) -> torch.Tensor:
        drawn = drawer(*parts)
        return drawn + 1e-6 * torch.arange(len(drawn))[:, None, None, None]

    assert not same_in_every_slot(by_batch, inputs) and not same_in_every_slot(by_slot, inputs)
