# SPDX-License-Identifier: Apache-2.0
"""The neural texture renderer: bits that depend on a frame's window alone, curves over sound, pixels in the mask."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dubplate_backend.renderers.base import RenderedFrame
from dubplate_backend.renderers.load import load_renderer
from dubplate_backend.renderers.neural_texture import renderer as renderer_module
from dubplate_backend.renderers.neural_texture.renderer import NeuralTextureRenderer
from dubplate_backend.speech.sound import audio, write_wav
from dubplate_shared.actor import ActorInfo
from dubplate_shared.errors import Cancelled, HeadModelMismatch, InvalidInput
from dubplate_shared.progress import never
from dubplate_shared.shot import HeadIdentity, Rate
from dubplate_shared.take import Take
from small_shot import FRAMES, NO_FACE, TINY

FIRST = 1001
NO_FACE_FRAME = FIRST + NO_FACE


def drawn(renderer, shot, take, frames, plates) -> dict[int, RenderedFrame]:
    return {frame.frame: frame for frame in renderer.render(shot, take, frames, plates.net, never)}


def opened(shot, degrees, frames, name="edit") -> Take:
    """The filmed take with the jaw opened further on some frames."""
    filmed = shot.tracked_take()
    jaw = filmed.jaw.copy()
    jaw[shot.indices(frames), 0] += np.radians(degrees)
    return Take(name, filmed.expression, jaw, filmed.eyes, {})


def same(first: RenderedFrame, second: RenderedFrame) -> bool:
    return all(
        np.array_equal(getattr(first, name).view(np.uint8), getattr(second, name).view(np.uint8))
        for name in ("rgb", "alpha", "uv")
    )


def test_a_frame_has_the_same_bits_alone_in_another_order_and_in_another_range(renderer, small_shot, plates):
    take = opened(small_shot, 8, range(FIRST + 3, FIRST + 8))
    whole = drawn(renderer, small_shot, take, range(FIRST, FIRST + FRAMES), plates)
    assert sorted(whole) == [frame for frame in range(FIRST, FIRST + FRAMES) if frame != NO_FACE_FRAME]
    alone = drawn(renderer, small_shot, take, [FIRST + 5], plates)
    backwards = drawn(renderer, small_shot, take, [FIRST + 9, FIRST + 5, FIRST], plates)
    for frame, picture in (alone | backwards).items():
        assert same(picture, whole[frame]), frame


def test_at_fifty_frames_a_second_every_second_frame_is_seen_and_bits_hold_in_any_chunk(renderer, small_shot, plates):
    fast = replace(
        small_shot,
        info=replace(small_shot.info, rate=Rate(50)),
        track=replace(small_shot.track, time=small_shot.track.time / 2),
    )
    take, at = fast.tracked_take(), FIRST + 5
    assert renderer.window(fast, at) == tuple(range(at - 4, at + 5, 2)), "40 ms apart"
    whole = drawn(renderer, fast, take, range(FIRST, FIRST + 9), plates)
    alone = drawn(renderer, fast, take, [at], plates)
    assert same(alone[at], whole[at])
    silent = replace(take, name="silent", origin={})
    before, after = (
        drawn(renderer, fast, each, range(FIRST, FIRST + 9), plates)
        for each in (silent, replace(opened(fast, 10, [at]), origin={}))
    )
    reached = {frame for frame in before if at in renderer.window(fast, frame)}
    assert reached == {at - 4, at - 2, at, at + 2}
    assert {frame for frame in before if not same(before[frame], after[frame])} == reached


def test_the_callers_thread_count_changes_no_bit_and_is_left_alone(renderer, small_shot, plates):
    take = small_shot.tracked_take()
    before = torch.get_num_threads()
    try:
        pictures = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            pictures.append(drawn(renderer, small_shot, take, [FIRST + 2], plates)[FIRST + 2])
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert same(*pictures)


def test_an_edit_changes_only_the_frames_whose_window_it_touches(renderer, small_shot, plates):
    filmed = drawn(renderer, small_shot, small_shot.tracked_take(), range(FIRST, FIRST + FRAMES), plates)
    silent = replace(small_shot.tracked_take(), name="silent", origin={"audio": str(small_shot.audio_path())})
    edit = replace(opened(small_shot, 10, [FIRST + 5]), origin=silent.origin)
    edited = drawn(renderer, small_shot, edit, range(FIRST, FIRST + FRAMES), plates)
    changed = {frame for frame in filmed if not same(filmed[frame], edited[frame])}
    assert changed == set(range(FIRST + 3, FIRST + 8))


def test_frames_read_names_every_frame_that_the_pixels_depend_on(renderer, small_shot, plates):
    read = renderer.frames_read(small_shot, FIRST + 5)
    asked = set()

    def recording(frame: int) -> np.ndarray:
        asked.add(frame)
        return plates.net(frame)

    list(renderer.render(small_shot, small_shot.tracked_take(), [FIRST + 5], recording, never))
    assert asked == set(read)
    assert set(range(FIRST + 3, FIRST + 8)) <= asked
    assert NO_FACE_FRAME not in renderer.frames_read(small_shot, NO_FACE_FRAME - 1)


def test_frames_that_are_judged_are_no_references(renderer, small_shot, plates):
    frames = range(FIRST, FIRST + FRAMES)

    def references(of) -> set[int]:
        return {read for at in frames for read in set(of.frames_read(small_shot, at)) - set(of.window(small_shot, at))}

    judged = sorted(references(renderer))
    assert judged
    apart = renderer.without_references(judged)
    assert not references(apart) & set(judged)
    assert sorted(references(renderer)) == judged, "the first is as it was"
    assert apart.renderer_key() != renderer.renderer_key()
    nothing = renderer.without_references(frames)
    with pytest.raises(InvalidInput, match="no frame left"):
        list(nothing.render(small_shot, small_shot.tracked_take(), [FIRST], plates.net, never))


def test_outside_the_mask_the_crop_is_filmed_and_the_matte_is_exactly_zero(renderer, small_shot, plates):
    frame = drawn(renderer, small_shot, opened(small_shot, 10, [FIRST + 4]), [FIRST + 4], plates)[FIRST + 4]
    filmed = drawn(renderer, small_shot, small_shot.tracked_take(), [FIRST + 4], plates)[FIRST + 4]
    assert np.array_equal(frame.mask, filmed.mask), "the mask must not know the take's jaw"
    assert (frame.alpha[~frame.mask] == 0).all()
    assert frame.alpha.max() == 1.0
    assert ((frame.alpha > 0) & (frame.alpha < 1)).any(), "the matte must be soft"
    assert np.array_equal(frame.rgb[~frame.mask], filmed.rgb[~filmed.mask])
    assert not np.array_equal(frame.rgb[frame.mask], filmed.rgb[filmed.mask])
    assert (frame.alpha[0] == 0).all() and (frame.alpha[-1] == 0).all(), "no hard edge where the crop ends"


def test_an_opened_jaw_shows_more_mouth_and_a_closed_one_less(renderer, small_shot, plates):
    at = FIRST + 4
    shown = {}
    for degrees in (-15, 0, 20):
        shown[degrees] = drawn(
            renderer, small_shot, opened(small_shot, degrees, range(FIRST, FIRST + 9)), [at], plates
        )[at]
    mouths = {degrees: frame.regions["mouth"] for degrees, frame in shown.items()}
    assert mouths[-15].sum() <= mouths[0].sum() < mouths[20].sum()
    appeared, closed = mouths[20] & ~mouths[0], mouths[0] & ~mouths[-15]
    assert shown[20].rgb[appeared].mean() < shown[0].rgb[appeared].mean() - 0.01, "where lips were, the mouth is dark"
    assert shown[-15].rgb[closed].mean() > shown[0].rgb[closed].mean() + 0.01, "where the mouth was, lips are light"


def test_other_sound_moves_the_picture_far_less_than_the_curves_do(renderer, small_shot, plates, tmp_path):
    frames = range(FIRST + 2, FIRST + 9)
    noise = np.random.default_rng(5).standard_normal(16000).astype(np.float32) * 0.5
    write_wav(tmp_path / "other.wav", noise, 16000)
    filmed = small_shot.tracked_take()
    own = drawn(renderer, small_shot, filmed, frames, plates)
    other = replace(filmed, name="other", origin={"audio": str(tmp_path / "other.wav")})
    swapped = drawn(renderer, small_shot, other, frames, plates)
    edited = drawn(renderer, small_shot, opened(small_shot, 6, frames), frames, plates)

    def change(pictures) -> float:
        return float(np.mean([np.abs(pictures[f].rgb - own[f].rgb)[own[f].mask].mean() for f in frames]))

    assert change(swapped) < 0.15 * change(edited)


def test_a_voice_is_read_once_and_again_where_its_file_is_another(renderer, small_shot, plates, tmp_path, monkeypatch):
    """Every edit of a shot is drawn with the same voice: an hour of it takes seconds to read."""
    reads: list[Path] = []
    monkeypatch.setattr(renderer_module, "audio", lambda path: reads.append(path) or audio(path))
    voice = tmp_path / "voice.wav"
    take = replace(small_shot.tracked_take(), name="voiced", origin={"audio": str(voice)})

    def heard(seed: int) -> RenderedFrame:
        if seed:
            noise = np.random.default_rng(seed).uniform(-0.5, 0.5, 16000).astype(np.float32)
            write_wav(voice, noise, 16000)
        return drawn(renderer, small_shot, take, (1005,), plates)[1005]

    first, again, other = heard(1), heard(0), heard(2)
    assert len(reads) == 2 and same(first, again) and not same(first, other)


def test_a_take_without_sound_is_drawn_with_the_code_for_no_sound(renderer, small_shot, plates):
    filmed = small_shot.tracked_take()
    renamed = replace(filmed, name="silent", origin={})
    with_sound = drawn(renderer, small_shot, filmed, [FIRST + 4], plates)[FIRST + 4]
    without = drawn(renderer, small_shot, renamed, [FIRST + 4], plates)[FIRST + 4]
    assert not np.array_equal(with_sound.rgb, without.rgb)


def test_an_actor_loads_as_the_renderer_that_drew_it(actor, head, small_shot, plates):
    info = ActorInfo.load(actor)
    with pytest.raises(InvalidInput, match="expected"):  # the tiny network says it is draft, and is refused as such
        load_renderer(actor, head)
    with pytest.raises(HeadModelMismatch):
        NeuralTextureRenderer.load(actor, replace(info, head=HeadIdentity("flame2020", "0" * 64)), head)


def test_an_unknown_renderer_is_refused_by_name(actor, head, tmp_path):
    replace(ActorInfo.load(actor), renderer="oil_paint").save(tmp_path)
    with pytest.raises(InvalidInput, match="oil_paint"):
        load_renderer(tmp_path, head)


def test_broken_weights_are_refused(actor, head, tmp_path):
    ActorInfo.load(actor).save(tmp_path)
    (tmp_path / "texture.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00nonsense")
    with pytest.raises(InvalidInput, match="weights"):
        load_renderer(tmp_path, head)


def test_the_key_follows_the_weights_and_the_preset(renderer, head):
    changed = NeuralTextureRenderer(TINY, renderer._texels + 1e-3, renderer._generator, head)
    wider = NeuralTextureRenderer(replace(TINY, batch_windows=2), renderer._texels, renderer._generator, head)
    assert len({renderer.renderer_key(), changed.renderer_key(), wider.renderer_key()}) == 3


def test_frames_outside_the_shot_another_head_and_a_stop_end_the_render(renderer, small_shot, plates):
    take = small_shot.tracked_take()
    with pytest.raises(InvalidInput, match="outside"):
        drawn(renderer, small_shot, take, [FIRST + FRAMES], plates)
    stranger = replace(small_shot, info=replace(small_shot.info, head=HeadIdentity("flame2020", "0" * 64)))
    with pytest.raises(HeadModelMismatch):
        drawn(renderer, stranger, take, [FIRST], plates)
    with pytest.raises(Cancelled):
        list(renderer.render(small_shot, take, [FIRST], plates.net, lambda: True))
