# SPDX-License-Identifier: Apache-2.0
"""The network's parts against what they stand for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from threadpoolctl import ThreadpoolController

from dubplate_backend.renderers.neural_texture.audio_encoder import AudioEncoder
from dubplate_backend.renderers.neural_texture.discriminator import Discriminator, minibatch_deviation
from dubplate_backend.renderers.neural_texture.generator import Generator
from dubplate_backend.renderers.neural_texture.geometry import matte
from dubplate_backend.renderers.neural_texture.inputs import (
    base_picture,
    blended_borders,
    fill_mask,
    frame_features,
    outline_ramp,
    window_indices,
)
from dubplate_backend.renderers.neural_texture.layers import Blur, ModulatedConv, blur_kernel, upsample
from dubplate_backend.renderers.neural_texture.threads import _one_blas_thread, fixed_threads
from dubplate_backend.renderers.presets import DRAFT, HERO, STANDARD, Preset, preset
from dubplate_shared.errors import InvalidInput
from small_shot import TINY


def test_modulation_of_inputs_and_outputs_equals_modulated_weights_for_each_sample():
    torch.manual_seed(0)
    layer = ModulatedConv(6, 4, 3, 8)
    x, w = torch.randn(3, 6, 9, 9), torch.randn(3, 8)
    style = layer.style(w)
    expected = []
    for sample in range(3):  # Karras et al. 2020, eq. 1-3, literally
        weight = layer.weight * layer.scale * style[sample][None, :, None, None]
        weight = weight * torch.rsqrt(weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8)
        expected.append(F.conv2d(x[sample : sample + 1], weight, padding=1))
    assert torch.allclose(layer(x, w), torch.cat(expected), atol=1e-5)


def test_upsampling_is_the_binomial_filter_over_inserted_zeros():
    x = torch.randn(1, 2, 6, 6)
    zeros = torch.zeros(1, 2, 12, 12)
    zeros[..., ::2, ::2] = x
    filtered = F.conv2d(F.pad(zeros, (2, 1, 2, 1)), blur_kernel(4.0)[None, None].expand(2, 1, 4, 4), groups=2)
    assert torch.allclose(upsample(x)[..., 2:-2, 2:-2], filtered[..., 2:-2, 2:-2], atol=1e-6)


def test_the_blur_keeps_a_flat_picture_flat():
    flat = torch.full((1, 3, 8, 8), 0.7)
    assert torch.allclose(Blur((2, 1))(flat)[..., 2:-2, 2:-2], flat[..., 2:-2, 2:-2])


def generator_inputs(windows: int = 2) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(1)
    size, window = TINY.crop_size, TINY.window
    frames = torch.randn(windows, window, TINY.frame_channels, size, size)
    base = torch.rand(windows, window, 3, size, size) * 2 - 1
    return frames, base, torch.randn(windows, 80, 16), torch.tensor([True, False] * windows)[:windows]


def test_an_untrained_generator_draws_the_textured_head_as_it_is():
    frames, base, mel, heard = generator_inputs()
    assert torch.equal(Generator(TINY)(frames, base, mel, heard), base)


def test_after_training_every_input_can_reach_the_picture():
    generator = Generator(TINY)
    for layer in [generator.decoder.first_rgb, *generator.decoder.rgb]:
        torch.nn.init.normal_(layer.conv.weight)
    inputs = [part.requires_grad_() if part.is_floating_point() else part for part in generator_inputs()]
    generator(*inputs).square().sum().backward()
    frames, base, mel, _ = inputs
    assert frames.grad.abs().sum(dim=(0, 1, 3, 4)).min() > 0
    assert base.grad.abs().min() > 0
    assert mel.grad[0].abs().sum() > 0 and mel.grad[1].abs().sum() == 0, "dropped sound must not be heard"


def test_sound_that_is_not_heard_gives_the_learned_code():
    encoder = AudioEncoder(TINY)
    torch.nn.init.normal_(encoder.no_sound)
    code = encoder(torch.randn(2, 80, 16), torch.tensor([True, False]))
    assert torch.equal(code[1], encoder.no_sound) and not torch.allclose(code[0], encoder.no_sound)


def test_the_encoder_takes_digital_silence():
    silence = torch.full((1, 80, 16), -4.0)
    assert torch.isfinite(AudioEncoder(TINY)(silence, torch.tensor([True]))).all()


def test_the_discriminator_sees_all_frames_of_a_window():
    judge = Discriminator(TINY)
    window = torch.randn(2, TINY.window, 3, TINY.crop_size, TINY.crop_size, requires_grad=True)
    score, features = judge(window)
    assert score.shape == (2,)
    assert [tuple(f.shape[-2:]) for f in features] == [(16, 16), (8, 8), (4, 4)]
    score.sum().backward()
    assert window.grad.abs().sum(dim=(0, 2, 3, 4)).min() > 0


def test_the_minibatch_deviation_tells_equal_samples_from_different_ones():
    same = torch.ones(4, 2, 3, 3)
    assert minibatch_deviation(same)[:, -1].max() < 1e-3
    assert minibatch_deviation(torch.randn(4, 2, 3, 3))[:, -1].min() > 0.1


def parameters_of(size: Preset) -> int:
    with torch.device("meta"):
        return sum(tensor.numel() for tensor in Generator(size).parameters())


def test_standard_is_of_the_papers_class_of_size():
    assert abs(parameters_of(STANDARD) / 74.1e6 - 1) < 0.1, "StyleSync's FullGenerator, counted"
    assert parameters_of(HERO) > parameters_of(STANDARD)


def test_draft_is_sized_for_two_cores():
    assert 5e6 < parameters_of(DRAFT) < 8e6
    assert DRAFT.window == 5 and DRAFT.crop_size == 128
    assert preset("draft") is DRAFT
    with pytest.raises(InvalidInput, match="sketch"):
        preset("sketch")


def test_texels_fill_the_mask_and_only_the_mask():
    size = 8
    mask = torch.zeros(1, size, size, dtype=torch.bool)
    mask[:, 4:] = True
    face = torch.zeros_like(mask)
    face[:, :, :4] = True
    rgb, filled = torch.full((1, 3, size, size), 0.1), torch.full((1, 3, size, size), 0.2)
    texels = torch.full((1, 16, size, size), 0.3)
    base = base_picture(rgb, filled, texels, face, mask)
    assert (base[0, :, :4] == 0.1).all() and (base[0, :, 4:, :4] == 0.3).all() and (base[0, :, 4:, 4:] == 0.2).all()
    features = frame_features(base, texels, mask, torch.full_like(rgb, 0.9))
    assert features.shape[1] == 16 + 1 + 3
    assert (features[0, 3:16, :4] == 0).all() and (features[0, 3:16, 4:] == 0.3).all()
    assert torch.equal(features[0, 16] > 0, mask[0]) and (features[0, 17:] == 0.9).all()


def test_the_head_fades_out_towards_its_outline_and_not_towards_the_crops_edge():
    size = 128
    face = torch.zeros(2, size, size, dtype=torch.bool)
    face[0, 40:, 30:90] = True  # runs out of the crop below
    ramp = outline_ramp(face)[:, 0]
    assert (ramp[1] == 0).all() and (ramp[0][~face[0]] == 0).all()
    across = ramp[0, -1, 30:60]
    assert (across.diff() >= 0).all() and float(across[0]) < 0.2 and (across[6:] == 1).all()
    assert len(across[(across > 0) & (across < 1)]) >= 3


def test_stairs_between_places_of_the_head_are_blended_and_nothing_else():
    size = 16
    face = torch.ones(1, size, size, dtype=torch.bool)
    face[:, :, 14:] = False
    across, down = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="xy")
    uv = torch.stack((across, down), dim=-1)[None] / 256.0  # a texel a pixel
    uv[:, 8:] += 0.5  # another place of the head from row 8 on
    texels = torch.zeros(1, 16, size, size)
    texels[:, :, 8:, :14] = 1.0
    drawn = blended_borders(texels, uv, face)
    assert torch.allclose(drawn[0, :, 7, :14], torch.tensor(0.25)) and torch.allclose(
        drawn[0, :, 8, :14], torch.tensor(0.75)
    )
    rest = torch.ones(size, dtype=torch.bool)
    rest[7:9] = False
    assert torch.equal(drawn[:, :, rest], texels[:, :, rest]) and (drawn[..., 14:] == 0).all()


def test_a_filled_mask_continues_its_surroundings_and_shows_nothing_of_what_it_hides():
    rng = np.random.default_rng(0)
    rgb = np.full((64, 64, 3), (200, 100, 50), np.uint8)
    mask = np.zeros((64, 64), bool)
    mask[20:50, 15:45] = True
    one, two = rgb.copy(), rgb.copy()
    one[mask] = rng.integers(0, 255, (mask.sum(), 3))
    two[mask] = 0
    assert np.array_equal(fill_mask(one, mask), fill_mask(two, mask))
    assert np.abs(fill_mask(two, mask).astype(int) - rgb).max() <= 2


def test_a_window_is_clamped_and_steps_over_frames_without_a_face():
    usable, times = np.array([1, 1, 1, 0, 1, 1], bool), np.arange(6) / 25
    assert window_indices(0, usable, times, 5) == (0, 0, 0, 1, 2)
    assert window_indices(2, usable, times, 5) == (0, 1, 2, 2, 4)
    assert window_indices(5, usable, times, 5) == (4, 4, 5, 5, 5)


@pytest.mark.parametrize(
    ("rate", "offsets"),
    [
        (24, (-2, -1, 0, 1, 2)),
        (24000 / 1001, (-2, -1, 0, 1, 2)),
        (30, (-2, -1, 0, 1, 2)),
        (50, (-4, -2, 0, 2, 4)),
        (60, (-5, -2, 0, 2, 5)),
        (120, (-10, -5, 0, 5, 10)),
    ],
)
def test_a_window_spans_the_same_time_at_any_rate(rate, offsets):
    times = np.arange(40) / rate
    members = window_indices(20, np.ones(40, bool), times, 5)
    assert tuple(member - 20 for member in members) == offsets
    rounded = np.round(times, 5)  # presentation times in ticks of 1/90000 and the like
    assert window_indices(20, np.ones(40, bool), rounded, 5) == members
    assert abs(times[members[-1]] - times[members[0]] - 0.16) <= 1 / rate


def test_the_matte_is_zero_outside_and_rises_inside():
    mask = np.zeros((40, 40), bool)
    mask[5:35, 5:40] = True
    alpha = matte(mask, np.ones_like(mask), 6.0)
    assert (alpha[~mask] == 0).all() and alpha[20, 20] == 1
    row = alpha[20, 5:15]
    assert (np.diff(row) >= 0).all() and 0 < row[1] < 1
    assert alpha[20, 39] < 0.1, "a region cut by the crop's edge fades there"


def test_a_pass_keeps_blas_to_one_thread():
    libraries = ThreadpoolController().select(internal_api="openblas").lib_controllers
    assert libraries, "numpy brings its own"
    _one_blas_thread.cache_clear()
    for library in libraries:
        library.set_num_threads(2)
    with fixed_threads(1):
        assert {library.get_num_threads() for library in libraries} == {1}
