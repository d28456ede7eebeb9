# SPDX-License-Identifier: Apache-2.0
"""Curves and layers that artists bend to their own ways: edits add what they say, and all else runs as it ran."""

from __future__ import annotations

import numpy as np
import pytest

from dubplate_shared.errors import InvalidInput
from dubplate_shared.take import Take

TIMES = np.arange(990, 1060)
FRAMES = range(1001, 1041)
KEYS = ((1009.0, 0.4), (1016.0, -0.2), (1030.0, 0.7))


@pytest.fixture
def head(bpy, addon, shot):
    from blender_addon.scene.import_shot import import_shot

    rng = np.random.default_rng(2)
    shot.save_take(Take("french", rng.normal(0, 1, (40, 100)), rng.normal(0, 0.1, (40, 3))))
    return import_shot(shot.path)


def smile():
    from blender_addon.curves.channels import control

    return control("smile_L")


def keyed(head, keys=KEYS):
    """The offset curve of the left smile, with these keys."""
    from blender_addon.curves import animation

    handle = head.pose.bones["smile.L"]
    for frame, value in keys:
        handle.location.y = value
        handle.keyframe_insert("location", index=1, frame=frame)
    return animation.fcurves(head)[smile()[:2]]


def edited(head, curve, frames: range) -> np.ndarray:
    """What an edit by 0.5 on `frames` changes at TIMES."""
    from blender_addon.curves import animation
    from blender_addon.layers.offsets import add_offsets

    before = animation.values_on(curve, TIMES)
    add_offsets(head, frames, {smile(): np.full(len(frames), 0.5)})
    return animation.values_on(curve, TIMES) - before


def assert_on_its_frames_alone(change: np.ndarray, frames: range, least: float = 1e-5) -> None:
    inside = np.isin(TIMES, frames)
    assert np.abs(change[inside] - 0.5).max() < 1e-5
    assert np.abs(change[~inside]).max() < least


@pytest.mark.parametrize("kind", ["NOISE", "CYCLES"])
def test_a_modifier_is_not_baked_into_the_keys_of_an_edit(head, kind):
    curve = keyed(head, ((990, 0.4), *KEYS, (1059, 0.3)))  # so that nothing repeats within TIMES
    curve.modifiers.new(kind)
    assert_on_its_frames_alone(edited(head, curve, range(1019, 1025)), range(1019, 1025))
    assert not curve.modifiers[0].mute


@pytest.mark.parametrize("interpolation", ["CONSTANT", "LINEAR", "SINE", "BACK", "BOUNCE", "ELASTIC"])
def test_an_ease_that_an_edit_cuts_runs_on_outside_of_it(head, interpolation):
    curve = keyed(head)
    for key in curve.keyframe_points:
        key.interpolation = interpolation
    assert_on_its_frames_alone(edited(head, curve, range(1019, 1025)), range(1019, 1025))


@pytest.mark.parametrize("interpolation", ["BEZIER", "LINEAR"])
@pytest.mark.parametrize("keys", [KEYS[:1], KEYS], ids=["one key", "three keys"])
@pytest.mark.parametrize(
    "frames", [range(1001, 1003), range(1008, 1011), range(1019, 1025), range(1037, 1041)], ids=str
)
def test_a_curve_that_runs_on_beyond_its_keys_does_so_after_an_edit(head, interpolation, keys, frames):
    curve = keyed(head, keys)
    curve.extrapolation = "LINEAR"
    for key in curve.keyframe_points:
        key.interpolation = interpolation
    curve.update()
    assert_on_its_frames_alone(edited(head, curve, frames), frames)


@pytest.mark.parametrize("beside", [0.004, -0.004, 0.02])
def test_a_key_that_was_scaled_to_beside_a_frame_counts_as_on_it(head, beside):
    curve = keyed(head, ((1009.0, 0.4), (1018 + beside, -0.2), (1025 + beside, 0.5), (1030.0, 0.7)))
    change = edited(head, curve, range(1019, 1025))
    assert_on_its_frames_alone(change, range(1019, 1025), least=0.5 * 0.02)  # Blender keeps no two keys that near


@pytest.mark.parametrize("influence", [0.25, 0.5])
def test_an_edit_is_heard_whole_however_far_the_offsets_are_turned_down(head, influence):
    from blender_addon.curves.performance import read_channels
    from blender_addon.layers.offsets import add_offsets, fade_offsets, key_offset

    keyed(head)
    head.animation_data.action_influence = influence
    before = read_channels(head, [smile()], FRAMES)[:, 0]
    add_offsets(head, range(1011, 1013), {smile(): np.full(2, 0.5)})
    key_offset(head, 1021, {smile(): -0.5}, 2)
    change = read_channels(head, [smile()], FRAMES)[:, 0] - before
    assert np.allclose(change[[10, 11, 20]], [0.5, 0.5, -0.5], atol=1e-6)
    assert np.abs(change[[9, 12, 18, 22]]).max() < 1e-6
    fade_offsets(head, range(1010, 1020), np.ones(10))
    assert np.abs(read_channels(head, [smile()], range(1010, 1020))).max() < 1e-6


def test_offsets_that_are_turned_down_to_nothing_are_not_edited_unseen(bpy, head):
    curve = keyed(head)
    head.animation_data.action_influence = 0.0
    with pytest.raises(InvalidInput, match="turned down to nothing"):
        edited(head, curve, FRAMES)
    assert len(curve.keyframe_points) == len(KEYS)


def test_an_edit_of_a_muted_curve_is_told_and_nothing_is_written(head):
    from blender_addon.curves.channels import JAW
    from blender_addon.layers.offsets import add_offsets, offsets

    curve = keyed(head)
    curve.mute = True
    with pytest.raises(InvalidInput, match=r"smile\.L.* is muted"):
        add_offsets(head, FRAMES, {JAW[0]: np.ones(40), smile(): np.ones(40)})
    assert len(curve.keyframe_points) == len(KEYS)
    assert not any(len(each.keyframe_points) for each in offsets(head).values())


def test_what_is_posed_and_not_keyed_is_there_after_a_read_that_moves_the_clock(bpy, head):
    from blender_addon.curves.performance import read_take

    curve, jaw = keyed(head), head.pose.bones["jaw"]
    jaw.constraints.new("LIMIT_ROTATION")  # which only Blender's evaluation knows
    bpy.context.scene.frame_set(1010)
    head["expression_005"], jaw.rotation_euler.x, head.pose.bones["smile.L"].location.y = 2.5, 0.25, -0.5
    assert read_take(head).expression[9, 5] != 2.5
    found = head["expression_005"], jaw.rotation_euler.x, head.pose.bones["smile.L"].location.y
    assert found == (2.5, 0.25, -0.5) and len(curve.keyframe_points) == len(KEYS)


def test_a_bake_and_back_leaves_the_offsets_turned_down_as_they_were(bpy, head):
    from blender_addon.curves.performance import read_channels

    curve = keyed(head)
    head.animation_data.action_influence = 0.5
    before = read_channels(head, [smile()], FRAMES)
    bpy.ops.dubplate.bake_down()
    assert np.array_equal(read_channels(head, [smile()], FRAMES), before)
    bpy.ops.dubplate.back_to_layers()
    assert head.animation_data.action_influence == 0.5 and len(curve.keyframe_points) == len(KEYS)
    assert np.array_equal(read_channels(head, [smile()], FRAMES), before)


def test_offsets_in_an_action_that_animates_more_than_the_head_are_found_again(bpy, head):
    """From Blender 4.4 on, an Action has slots; the armature's data may have the first one."""
    action = head.animation_data.action
    head.animation_data.action = None
    bpy.data.actions.remove(action)
    shared = bpy.data.actions.new("shared")
    if not hasattr(shared, "slots"):
        pytest.skip("this Blender's Actions have no slots")
    head.data.animation_data_create().action = shared
    head.data.keyframe_insert("show_axes", frame=1)
    head.animation_data.action = shared
    keyed(head)
    slot = head.animation_data.action_slot.identifier
    assert shared.slots[0].identifier != slot
    bpy.ops.dubplate.bake_down()
    bpy.ops.dubplate.back_to_layers()
    assert head.animation_data.action == shared and head.animation_data.action_slot.identifier == slot


def expressions(head, frames=FRAMES) -> np.ndarray:
    from blender_addon.curves.channels import EXPRESSION
    from blender_addon.curves.performance import read_channels

    return read_channels(head, EXPRESSION, frames)


def test_a_patch_of_one_frame_is_heard_on_that_frame_alone(bpy, head):
    before = expressions(head)
    bpy.ops.dubplate.patch_range(take="french", first=1015, last=1015, fade=0)
    assert np.flatnonzero((expressions(head) != before).any(axis=1)).tolist() == [14]


def test_two_patches_of_one_take_and_range_are_told_apart(bpy, head):
    for _ in range(2):
        bpy.ops.dubplate.patch_range(take="french", first=1015, last=1020, fade=0)
    _, lower, upper = head.animation_data.nla_tracks
    assert [lower.name, upper.name] == ["Patch: french 1015-1020", "Patch: french 1015-1020.001"]
    lower.mute = True
    bpy.ops.dubplate.bake_down()
    bpy.ops.dubplate.back_to_layers()
    assert (lower.mute, upper.mute) == (True, False)
    bpy.ops.dubplate.remove_patch(patch=upper.name)
    assert [track.name for track in head.animation_data.nla_tracks][1:] == ["Patch: french 1015-1020"]


def test_a_take_that_became_longer_is_heard_to_its_end(bpy, head, tmp_path):
    from blender_shot import write_test_shot

    from blender_addon.layers.takes import load_take

    (tmp_path / "longer").mkdir()
    longer = write_test_shot(tmp_path / "longer", count=60)
    load_take(head, longer, longer.tracked_take())
    assert np.array_equal(expressions(head, longer.frames), longer.tracked_take().expression)


def test_where_no_take_is_heard_flipping_hears_the_lowest(bpy, addon, shot):
    from blender_addon.scene.import_shot import import_shot

    shot.save_take(Take("german", np.zeros((40, 100)), np.zeros((40, 3))))
    head = import_shot(shot.path, take="german")
    (track,) = head.animation_data.nla_tracks
    track.mute = True
    assert bpy.ops.dubplate.flip_takes() == {"FINISHED"}
    assert not track.mute


# An artist's own track: start and end of each strip, how it blends, goes on and fades, and whether it is muted.
TRACKS = {
    "holds a slope": [(1004, 1025, "ADD", "HOLD", 3.0, False)],
    "pushed down": [(1010, 1020, "ADD", "HOLD_FORWARD", 0.0, False)],
    "one after the other": [(1005, 1012, "ADD", "HOLD", 0.0, False), (1020, 1030, "REPLACE", "HOLD", 2.0, False)],
    "end to end": [(1005, 1012, "ADD", "NOTHING", 0.0, False), (1012, 1030, "REPLACE", "NOTHING", 2.0, False)],
    "the first is muted": [(1005, 1012, "ADD", "HOLD", 0.0, True), (1020, 1030, "COMBINE", "NOTHING", 0.0, False)],
    "muted": [(1010, 1020, "ADD", "HOLD", 0.0, True)],
}


@pytest.mark.parametrize("take_is_heard", [True, False])
@pytest.mark.parametrize("strips", TRACKS.values(), ids=TRACKS)
def test_tracks_of_the_artists_own_are_read_as_blender_plays_them(bpy, head, strips, take_is_heard):
    from blender_addon import compat
    from blender_addon.curves import nla
    from blender_addon.layers import stack

    data, rng = head.animation_data, np.random.default_rng(5)
    keyed(head)
    data.action_influence = 0.4
    data.nla_tracks[0].mute = not take_is_heard
    track = data.nla_tracks.new()
    for start, end, blending, extrapolation, blend_in, mute in strips:
        frames = range(start + 2, end - 1)  # a strip may be longer than its keys
        curve = nla_curve(frames, rng)
        action = stack.make_action(head, f"own {start}", frames, [curve], None)
        strip = track.strips.new(action.name, start, action)
        compat.play(strip, action)
        for fcurve in compat.strip_channels(strip).fcurves:
            fcurve.extrapolation = "LINEAR"
        strip.use_auto_blend = strip.use_sync_length = False
        nla.set_span(strip, range(start, end + 1))
        strip.blend_type, strip.extrapolation, strip.blend_in, strip.mute = blending, extrapolation, blend_in, mute
    read = nla.evaluate(head, [smile()[:2]], TIMES.tolist())
    assert read is not None
    for frame, value in zip(TIMES.tolist(), read[:, 0], strict=True):
        bpy.context.scene.frame_set(frame)
        posed = head.evaluated_get(bpy.context.evaluated_depsgraph_get())
        assert np.float32(posed.pose.bones["smile.L"].location[1]) == np.nan_to_num(value), frame


def nla_curve(frames: range, rng):
    from blender_addon.curves.animation import Curve

    return Curve(*smile(), rng.normal(0, 1, len(frames)))
