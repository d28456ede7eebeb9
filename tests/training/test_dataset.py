# SPDX-License-Identifier: Apache-2.0
"""Training data: what it holds, what it leaves out, and what chance may do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dubplate_backend.plates.source import ShotPlates
from dubplate_backend.renderers.neural_texture.generator import Generator
from dubplate_backend.renderers.neural_texture.geometry import HeadGeometry
from dubplate_backend.renderers.neural_texture.inputs import blended_borders, outline_ramp
from dubplate_backend.renderers.neural_texture.renderer import NeuralTextureRenderer
from dubplate_backend.texture.islands import island_mask
from dubplate_backend.texture.neural_texture import NeuralTexture
from dubplate_backend.texture.sampling import sample_texture
from dubplate_backend.training.dataset import (
    FACE,
    LIPS,
    LOWER_FACE,
    MASK,
    MOUTH,
    build_crops,
    crops_key,
)
from dubplate_backend.training.sampler import WindowSampler, ordered_batches
from dubplate_backend.training.trainer import prepare
from dubplate_backend.training.unproject import outline_trust, unproject
from dubplate_shared.errors import Cancelled, InvalidInput
from dubplate_shared.progress import never
from small_shot import FRAMES, NO_FACE, QUICK, TINY


def sampler(crops, *, dropped=0.5, swapped=0.2, batch=4, seed=0) -> WindowSampler:
    random = np.random.default_rng(seed)
    settings = replace(QUICK, batch=batch, sound_dropped=dropped, sound_swapped=swapped)
    return WindowSampler([crops], settings, window=5, random=random)


def test_the_last_frames_are_held_out_and_frames_without_a_face_are_left_out(crops):
    used = np.concatenate((crops.train, crops.held_out))
    assert NO_FACE not in used and len(used) == FRAMES - 1
    assert crops.held_out.min() > crops.train.max()
    assert len(crops.held_out) == round(QUICK.held_out * (FRAMES - 1))


def test_training_windows_and_references_never_show_a_held_out_frame(crops):
    for index in crops.train:
        assert set(crops.window(index, 5)) <= set(crops.train)
    assert set(crops.bank) <= set(crops.train)
    assert set(crops.choices.ravel()) <= set(crops.train) and set(crops.assigned) <= set(crops.train)


def test_crops_carry_the_head_in_its_place(crops):
    frames = crops.frames(np.array([4]))
    assert frames.rgb.shape == (1, 3, 32, 32) and frames.rgb.min() >= -1 and frames.rgb.max() <= 1
    for inner, outer in ((LIPS, FACE), (MOUTH, FACE), (LOWER_FACE, FACE), (LIPS, MASK)):
        assert frames.has(inner).any()
        assert not (frames.has(inner) & ~frames.has(outer)).any()
    lips = frames.rgb[0].permute(1, 2, 0)[frames.has(LIPS)[0]].mean(dim=0)
    skin = frames.rgb[0].permute(1, 2, 0)[(frames.has(FACE) & ~frames.has(MASK))[0]].mean(dim=0)
    assert lips[0] - lips[1] > skin[0] - skin[1] + 0.2, "the lips are the red ones"


def test_the_mask_is_larger_than_the_drawn_region_and_does_not_follow_the_jaw(crops):
    masks = crops.frames(crops.train).has(MASK)
    lower = crops.frames(crops.train).has(LOWER_FACE)
    assert not (lower & ~masks).any()
    jaw = crops.shot.track.jaw[crops.train, 0]
    areas = masks.flatten(1).sum(dim=1).numpy()
    assert np.ptp(areas) < 0.08 * areas.mean(), "the mask must not grow with the jaw"
    assert np.ptp(jaw) > 0.1


def test_a_second_build_reads_what_the_first_left(crops, small_shot, head, crops_folder):
    def no_plates(frame: int) -> np.ndarray:
        raise AssertionError("the crops are there already")

    again = build_crops(
        small_shot,
        crops_folder,
        geometry=HeadGeometry(head, TINY.crop_size),
        preset=TINY,
        plates=no_plates,
        sound=None,
        held_out=QUICK.held_out,
        reference_choices=2,
        stop=never,
    )
    assert np.array_equal(again.rgb, crops.rgb) and again.mel is None
    moved = replace(small_shot, crop=small_shot.crop + np.float32(0.01))
    assert crops_key(moved, TINY) != crops_key(small_shot, TINY)


def test_only_the_frames_asked_for_are_learned_from(crops, small_shot, head, crops_folder, tmp_path):
    def built(numbers):
        return build_crops(
            small_shot,
            crops_folder,
            geometry=HeadGeometry(head, TINY.crop_size),
            preset=TINY,
            plates=lambda frame: None,
            sound=None,
            held_out=QUICK.held_out,
            learn_from=numbers,
            reference_choices=2,
            stop=never,
        )

    first = small_shot.info.first_frame
    some = built(range(first, first + 12))
    assert list(some.train) == [index for index in range(12) if index != NO_FACE]
    assert list(some.held_out) == list(crops.held_out), "what is scored stays the same"
    assert set(some.bank) <= set(some.train) and set(some.choices.ravel()) <= set(some.train)
    for index in some.train:
        assert set(some.window(index, 5)) <= set(some.train)
    with pytest.raises(InvalidInput, match="can be learned from") as refused:
        built(range(first + 14, first + 400))
    assert f"{first}-" in refused.value.hint


def test_too_short_a_shot_and_a_stop_are_named(small_shot, head, tmp_path):
    track = small_shot.track
    few = replace(small_shot, track=replace(track, confidence=np.where(np.arange(FRAMES) < 5, 1.0, 0.0)))
    settings = dict(
        geometry=HeadGeometry(head, TINY.crop_size), preset=TINY, sound=None, held_out=0.1, reference_choices=2
    )
    with pytest.raises(InvalidInput, match="5 frames"):
        build_crops(few, tmp_path, plates=lambda frame: None, stop=never, **settings)
    with pytest.raises(Cancelled):
        build_crops(small_shot, tmp_path, plates=lambda frame: None, stop=lambda: True, **settings)


def test_sound_is_dropped_in_half_of_the_windows_and_swapped_in_some(crops):
    draws = [sampler(crops, batch=200).draw()]
    heard = torch.cat([draw.heard for draw in draws])
    assert 0.35 < 1 - heard.float().mean() < 0.65
    always = sampler(crops, dropped=0.0, swapped=0.0, batch=50).draw()
    own = {crops.mel[index].tobytes() for index in crops.train}
    assert always.heard.all() and all(mel.numpy().tobytes() in own for mel in always.mel)
    shown: dict[bytes, set[bytes]] = {}  # picture -> the sounds of the moments that look so
    for index in crops.train:
        shown.setdefault(crops.rgb[index].tobytes(), set()).add(crops.mel[index].tobytes())

    def matching(batch) -> float:
        pictures = batch.frames.rgb.unflatten(0, (-1, 5))[:, 2]
        found = []
        for picture, mel in zip(pictures, batch.mel, strict=True):
            raw = ((picture + 1) * 127.5).round().byte().permute(1, 2, 0).contiguous().numpy().tobytes()
            found.append(mel.numpy().tobytes() in shown[raw])
        return float(np.mean(found))

    assert matching(always) == 1.0
    assert matching(sampler(crops, dropped=0.0, swapped=1.0, batch=50).draw()) < 0.5


def test_the_same_seed_draws_the_same_batches(crops):
    one, two, other = (sampler(crops, seed=seed).draw() for seed in (3, 3, 4))
    assert torch.equal(one.frames.rgb, two.frames.rgb) and torch.equal(one.reference, two.reference)
    assert not torch.equal(one.frames.rgb, other.frames.rgb)


def test_a_silent_shot_is_never_heard(crops):
    silent = replace(crops, mel=None)
    assert not sampler(silent, batch=20).draw().heard.any()
    assert not next(ordered_batches(silent, silent.held_out, 5, 4)).heard.any()


def test_unprojected_colours_drawn_again_are_near_what_was_filmed(crops, head):
    from dubplate_backend.texture.mipmaps import MipLayout
    from dubplate_backend.texture.sampling import sample_texture

    frames = crops.frames(crops.train)
    face = frames.has(FACE)
    pictures = [(frames.rgb[i], frames.uv[i], face[i]) for i in range(len(crops.train))]
    texture, seen = unproject(pictures, head, 64)
    assert torch.isfinite(texture).all() and 0.1 < seen.float().mean() < 0.9
    drawn = sample_texture(texture, frames.uv, face, MipLayout.of(head, 64))
    error = (drawn - frames.rgb).abs().mean(dim=1)[face].mean()
    mean_colour = frames.rgb.permute(0, 2, 3, 1)[face].mean(dim=0)
    flat = (frames.rgb - mean_colour[None, :, None, None]).abs().mean(dim=1)[face].mean()
    assert error < 0.4 * flat


def test_what_shows_beside_the_head_hardly_colours_it(head):
    size = 64
    line = (torch.arange(size) + 0.5) / size
    uv = torch.stack(torch.meshgrid(line, 1 - line, indexing="xy"), dim=-1)
    narrow, whole = torch.zeros(size, size, dtype=torch.bool), torch.ones(size, size, dtype=torch.bool)
    narrow[:, :32] = True
    right = torch.full((3, size, size), 0.5)
    wrong = right.clone()
    wrong[:, :, 30:32] = -1.0  # the fitted head is two pixels too wide here and covers the wall
    texture, _ = unproject([(wrong, uv, narrow), (right, uv, whole)], head, size)
    covered = island_mask(head.uv, head.faces_uv, size)[:, 30:32]
    assert covered.any() and (texture[:, :, 30:32][:, covered] > 0.1).all(), "half wall and half skin would be -0.25"
    trust = outline_trust(narrow.numpy())
    assert trust[32, 31] < 0.5 and trust[32, 0] == 1 and trust[32, 20] == 1, "the crop's edge is no outline"


def test_rendering_draws_on_the_picture_that_training_drew_on(crops, small_shot, head, layout):
    """Whose borders are blended and whose outline is soft."""
    texture = NeuralTexture(TINY.texture_channels, TINY.texture_size, torch.Generator().manual_seed(1)).texels.detach()
    index = int(crops.train[3])
    learned_on = next(ordered_batches(crops, np.array([index]), TINY.window, 1))
    prepared = prepare(learned_on, [texture], layout, TINY.window)
    renderer = NeuralTextureRenderer(TINY, texture, Generator(TINY).eval(), head)
    asked = [small_shot.info.first_frame + index]
    (batch,) = renderer.batches(small_shot, small_shot.tracked_take(), asked, ShotPlates(small_shot).net, never)
    centre = TINY.window // 2
    off = (batch.frames[index].base - prepared.base[0, centre]).abs()
    assert off.mean() < 2e-3, "texture coordinates of training are kept in 16 bits"

    frames = learned_on.frames
    uv, face, mask = frames.uv, frames.has(FACE), frames.has(MASK)
    stepped = sample_texture(texture, uv, face, layout)
    blended = blended_borders(stepped, uv, face)
    assert (blended != stepped).any() and torch.equal(prepared.texels, blended)
    border = (blended != stepped).any(dim=1)[centre] & mask[centre]
    rendered, learned, raw = (
        texels[3:, border]
        for texels in (batch.frames[index].features[: TINY.texture_channels], blended[centre], stepped[centre])
    )
    assert border.any() and (rendered - learned).abs().mean() < 0.2 * (raw - learned).abs().mean()
    hard = torch.where((face & mask)[:, None], blended[:, :3], frames.filled)
    soft = prepared.base.flatten(0, 1)
    rim = (outline_ramp(face)[:, 0] < 0.5) & face & mask
    assert (
        rim.any()
        and (soft - frames.filled).abs().mean(1)[rim].mean() < (hard - frames.filled).abs().mean(1)[rim].mean()
    )
