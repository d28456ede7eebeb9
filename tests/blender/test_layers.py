# SPDX-License-Identifier: Apache-2.0
"""Layers: what the machine makes and what the artist adds never destroy one another, and each step is undone whole."""

from __future__ import annotations

import numpy as np
import pytest
from blender_shot import make_rig, write_test_shot

from dubplate_shared.errors import InvalidInput
from dubplate_shared.take import Take

FRAMES = range(1001, 1041)


def random_take(name: str, seed: int) -> Take:
    rng = np.random.default_rng(seed)
    return Take(name, rng.normal(0, 1, (40, 100)), rng.normal(0, 0.1, (40, 3)))


@pytest.fixture
def shot(tmp_path):
    made = write_test_shot(tmp_path)
    for name, seed in (("french", 2), ("german", 3)):
        made.save_take(random_take(name, seed))
    return made


@pytest.fixture
def head(bpy, addon, shot):
    from blender_addon.scene.shot_link import find_head

    bpy.ops.dubplate.import_shot(filepath=str(shot.path))
    return find_head(bpy.context)


def channels_of(head):
    from blender_addon.curves import channels
    from blender_addon.rig.controls import ControlMatrix

    return (*channels.performance(ControlMatrix.of(head).names), *channels.FILMED)


def heard(head, frames=FRAMES) -> np.ndarray:
    """(T, N): all that is animated, all layers summed."""
    from blender_addon.curves.performance import read_channels

    return read_channels(head, channels_of(head), frames)


def stack_of(head) -> list[tuple[str, bool]]:
    return [(track.name, track.mute) for track in head.animation_data.nla_tracks]


def key_twenty(bpy, head) -> None:
    """Twenty keys as an artist sets them: pose what is seen, and insert."""
    rng = np.random.default_rng(1)
    for frame in range(1002, 1040, 10):
        bpy.context.scene.frame_set(frame)
        for path, index, target in (
            ('["expression_004"]', -1, None),
            ('["expression_050"]', -1, None),
            ("location", 1, head.pose.bones["smile.L"]),
            ("location", 1, head.pose.bones["jaw_open"]),
            ("rotation_euler", 0, head.pose.bones["jaw"]),
        ):
            if target is None:
                head[path[2:-2]] += rng.normal()
                head.keyframe_insert(path, frame=frame)
            else:
                getattr(target, path)[index] += rng.normal(0, 0.3)
                target.keyframe_insert(path, index=index, frame=frame)


def test_a_new_take_under_twenty_keys_keeps_what_each_of_them_does(bpy, head, shot):
    from blender_addon.curves import animation

    empty = heard(head)
    key_twenty(bpy, head)
    curves = animation.fcurves(head)
    assert sum(len(curve.keyframe_points) for curve in curves.values()) == 20
    effect = heard(head) - empty
    assert (np.abs(effect).max(axis=0) > 0.1).sum() == 5
    bpy.ops.dubplate.load_take(take="french")
    under = heard(head)
    head.animation_data.action_influence = 0.0  # muted: the take alone
    assert np.array_equal(heard(head)[:, :100], shot.take("french").expression)
    assert np.abs(under - heard(head) - effect).max() < 1e-6
    head.animation_data.action_influence = 1.0
    bpy.ops.dubplate.hear_take(take="tracked")
    assert np.array_equal(heard(head) - empty, effect)


def test_a_take_that_is_made_again_is_heard_in_place_of_the_old_one(bpy, head, shot):
    bpy.ops.dubplate.load_take(take="french")
    shot.save_take(random_take("french", 12))
    actions = len(bpy.data.actions)
    bpy.ops.dubplate.load_take(take="french")
    assert np.array_equal(heard(head)[:, :100], shot.take("french").expression)
    assert stack_of(head) == [("Take: tracked", True), ("Take: french", False)]
    assert len(bpy.data.actions) == actions


def test_takes_are_flipped_a_against_b(bpy, head, shot):
    bpy.ops.dubplate.load_take(take="french")
    french = heard(head)
    bpy.ops.dubplate.flip_takes()
    assert np.array_equal(heard(head)[:, :100], shot.tracked_take().expression)
    bpy.ops.dubplate.flip_takes()
    assert np.array_equal(heard(head), french)
    with pytest.raises(RuntimeError, match="no take 'german' among its layers"):
        bpy.ops.dubplate.hear_take(take="german")


def test_a_range_of_another_take_fades_in_and_out_and_is_taken_away_again(bpy, head, shot):
    key_twenty(bpy, head)
    before = heard(head)
    bpy.ops.dubplate.patch_range(take="french", first=1015, last=1020, fade=4)
    share = np.interp(FRAMES, [1011, 1015, 1020, 1024], [0, 1, 1, 0])[:, None]
    wanted = before[:, :100] + share * (shot.take("french").expression - shot.tracked_take().expression)
    assert np.abs(heard(head)[:, :100] - wanted).max() < 1e-6
    assert np.array_equal(heard(head)[share[:, 0] == 0], before[share[:, 0] == 0])
    bpy.ops.dubplate.remove_patch(patch="Patch: french 1015-1020")
    assert np.array_equal(heard(head), before)
    assert stack_of(head) == [("Take: tracked", False)]


def test_a_patch_at_the_first_frame_and_over_the_last_has_no_fade_there(bpy, head, shot):
    bpy.ops.dubplate.patch_range(take="french", first=1001, last=1040, fade=4)
    assert np.array_equal(heard(head)[:, :100], shot.take("french").expression)


def test_the_face_is_blended_to_what_was_filmed_and_the_offsets_with_it_where_asked(bpy, head, shot):
    bpy.ops.dubplate.load_take(take="french")
    key_twenty(bpy, head)
    before = heard(head)
    bpy.ops.dubplate.patch_range(take="tracked", first=1015, last=1020, fade=4, keep_offsets=False)
    after = heard(head)
    filmed = shot.tracked_take().expression
    assert np.abs(after[14:20, :100] - filmed[14:20]).max() < 1e-6
    assert np.abs(after[14:20, 109:-9]).max() < 1e-6  # controls too
    assert np.abs(after[:10] - before[:10]).max() < 1e-5
    assert np.abs(after[24:] - before[24:]).max() < 1e-5


def test_layers_are_baked_down_and_edits_of_the_bake_come_back_as_offsets(bpy, head):
    from blender_addon.curves import animation
    from blender_addon.curves.channels import JAW, expression

    bpy.ops.dubplate.load_take(take="french")
    bpy.ops.dubplate.patch_range(take="german", first=1030, last=1033, fade=2)
    key_twenty(bpy, head)
    before, stack, offsets = heard(head), stack_of(head), head.animation_data.action
    bpy.ops.dubplate.bake_down()
    assert np.array_equal(heard(head), before)
    assert all(muted for _, muted in stack_of(head))
    curves = animation.fcurves(head)
    for channel, frames in ((JAW[0], (1010, 1011)), (expression(7), (1031,))):
        for key in curves[channel[:2]].keyframe_points:
            key.co.y += 0.25 * (key.co.x in frames)
    edited = heard(head)
    assert (edited != before).sum() == 3
    bpy.ops.dubplate.back_to_layers()
    assert np.abs(heard(head) - edited).max() < 1e-6
    assert stack_of(head) == stack
    assert head.animation_data.action == offsets
    assert not [action.name for action in bpy.data.actions if "baked" in action.name]


def test_baked_layers_are_not_changed_unseen(bpy, head):
    bpy.ops.dubplate.bake_down()
    for operator, arguments in (("load_take", {"take": "french"}), ("bake_down", {}), ("flip_takes", {})):
        with pytest.raises(RuntimeError, match=r"baked down\. Go back to the layers first"):
            getattr(bpy.ops.dubplate, operator)(**arguments)


def test_a_strip_in_tweak_mode_is_left_alone(head, shot):
    from blender_addon.layers.takes import load_take

    track = head.animation_data.nla_tracks[0]
    track.lock = False
    track.select = track.strips[0].select = True
    head.animation_data.use_tweak_mode = True
    with pytest.raises(InvalidInput, match="is being tweaked"):
        load_take(head, shot, shot.take("french"))


def test_two_heads_of_one_scene_have_layers_of_their_own(bpy, head, shot):
    from blender_addon.curves.channels import expression
    from blender_addon.layers.offsets import add_offsets
    from blender_addon.scene.shot_link import find_head

    bpy.ops.dubplate.import_shot(filepath=str(shot.path))
    second = find_head(bpy.context)
    assert second != head
    first = heard(head)
    bpy.ops.dubplate.load_take(take="french")  # on the active one, the second
    add_offsets(second, range(1005, 1010), {expression(1): np.ones(5)})
    assert np.array_equal(heard(head), first)
    assert not np.array_equal(heard(second), first)
    bpy.context.view_layer.objects.active = head
    bpy.ops.dubplate.patch_range(take="german", first=1001, last=1005, fade=2)
    assert [name for name, _ in stack_of(second)] == ["Take: tracked", "Take: french"]


def test_curves_outside_an_edit_keep_their_shape(bpy, head):
    """Bezier keys of an artist about the edit: between the frames too."""
    from blender_addon.curves import animation, channels
    from blender_addon.layers.offsets import add_offsets, key_offset

    smile, handle = channels.control("smile_L"), head.pose.bones["smile.L"]
    rng = np.random.default_rng(0)
    for frame in (1003, 1009, 1016, 1024, 1035):
        bpy.context.scene.frame_set(frame)
        handle.location.y = rng.normal()
        handle.keyframe_insert("location", index=1, frame=frame)
    curve = animation.fcurves(head)[smile[:2]]
    assert {key.interpolation for key in curve.keyframe_points} == {"BEZIER"}
    times = np.arange(995.0, 1045.0, 0.25)
    before = animation.values_on(curve, times)
    key_offset(head, 1012, {smile: 0.3}, 6)
    keyed = animation.values_on(curve, times)
    assert (keyed - before)[times == 1012] == pytest.approx(0.3, abs=1e-6)
    assert np.abs(keyed - before)[(times <= 1009) | (times >= 1016)].max() < 1e-5  # keys of others are not passed
    add_offsets(head, range(1019, 1030), {smile: np.full(11, 0.5)})
    after = animation.values_on(curve, times)
    inside = (times >= 1019) & (times <= 1029) & (times % 1 == 0)
    assert np.abs(after - keyed - 0.5)[inside].max() < 1e-6
    assert np.abs(after - keyed)[(times <= 1018) | (times >= 1030)].max() < 1e-5


@pytest.mark.parametrize("influence", [1.0, 0.3, 0.0])
def test_what_is_read_from_the_curves_is_what_blender_evaluates_at_any_time(bpy, head, influence):
    from blender_addon.curves import nla

    bpy.ops.dubplate.load_take(take="french")
    bpy.ops.dubplate.patch_range(take="german", first=1020, last=1024, fade=3)
    key_twenty(bpy, head)
    head.animation_data.action_influence = influence
    wanted = channels_of(head)
    times = [990, 1001, 1010.5, 1017, 1018, 1018.25, 1019, 1020, 1024, 1026, 1027, 1028, 1040, 1050]
    read = nla.evaluate(head, [channel[:2] for channel in wanted], times)
    for row, frame in enumerate(times):
        bpy.context.scene.frame_set(int(frame), subframe=frame % 1)
        posed = head.evaluated_get(bpy.context.evaluated_depsgraph_get())
        values = [posed.path_resolve(channel.path) for channel in wanted]
        evaluated = [
            value if isinstance(value, float) else value[c.index] for value, c in zip(values, wanted, strict=True)
        ]
        found = read[row]
        assert np.array_equal(np.where(np.isnan(found), 0.0, found), np.array(evaluated, np.float32)), frame


def test_a_head_linked_from_another_file_gets_offsets_of_its_own(bpy, head, tmp_path):
    from blender_addon.curves.channels import expression
    from blender_addon.layers.offsets import add_offsets
    from blender_addon.scene.shot_link import find_head

    key_twenty(bpy, head)
    before = heard(head)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "actor.blend"))
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    with bpy.data.libraries.load(str(tmp_path / "actor.blend"), link=True) as (_, wanted):
        wanted.collections = ["scene7"]
    scene, linked = bpy.context.scene, wanted.collections[0]
    scene.collection.children.link(linked)
    linked.override_hierarchy_create(scene, bpy.context.view_layer)
    scene.collection.children.unlink(linked)
    over = find_head(bpy.context)
    assert over.library is None and np.array_equal(heard(over), before)
    add_offsets(over, range(1010, 1012), {expression(9): np.ones(2)})
    assert np.array_equal(np.flatnonzero((heard(over) != before).any(axis=1)), [9, 10])


STEPS = [
    ("load_take", {"take": "french"}),
    ("load_take", {"take": "german"}),
    ("hear_take", {"take": "tracked"}),
    ("flip_takes", {}),
    ("patch_range", {"take": "tracked", "first": 1010, "last": 1015, "fade": 3, "keep_offsets": False}),
    ("remove_patch", {"patch": "Patch: french 1030-1035"}),
    ("key_control", {"control": "smile_L"}),
    ("drag_lip", {"landmark": 17, "move": (0.0, -1.0, 0.0)}),
    ("bake_down", {}),
]


@pytest.fixture
def busy_head(bpy, head):
    """A head with two takes, a patch and keys: something to lose."""
    bpy.ops.dubplate.load_take(take="german")
    bpy.ops.dubplate.patch_range(take="french", first=1030, last=1035, fade=2)
    key_twenty(bpy, head)
    return head


def test_undo_of_every_step_restores_every_bit_and_redo_does_it_again(bpy, busy_head):
    from blender_addon.scene.shot_link import find_head

    def state():
        head = find_head(bpy.context)
        action = head.animation_data.action
        return (
            heard(head).tobytes(),
            stack_of(head),
            action.name,
            head["dubplate"],
            sorted(bpy.data.actions.keys()),
        )

    for operator, arguments in (*STEPS, ("back_to_layers", {})):
        if operator == "back_to_layers":
            bpy.ops.dubplate.bake_down()
        bpy.ops.ed.undo_push(message="before")
        before = state()
        assert getattr(bpy.ops.dubplate, operator)(**arguments) == {"FINISHED"}
        bpy.ops.ed.undo_push(message=operator)
        after = state()
        assert before != after, operator
        bpy.ops.ed.undo()
        assert state() == before, operator
        bpy.ops.ed.redo()
        assert state() == after, operator
        bpy.ops.ed.undo()


def test_a_head_whose_joints_move_follows_its_controls(bpy):
    """The joints' drivers know the controls: without them the jaw would turn about its old place."""
    from blender_shot import evaluated_vertices

    from blender_addon.rig.build import build_rig
    from blender_addon.rig.controls import handle_name

    rig = make_rig(moving_joints=True)
    armature = build_rig(rig, "HEAD", bpy.context.scene.collection)
    values = np.random.default_rng(6).normal(0, 0.5, len(rig.control_names))
    for name, value in zip(rig.control_names, values, strict=True):
        armature.pose.bones[handle_name(name)].location.y = value
    bpy.context.view_layer.update()
    wanted = rig.pose(values @ rig.control_expression, values @ rig.control_jaw)
    assert np.abs(evaluated_vertices(bpy, armature) - wanted).max() < 1e-4
    fixed = rig.pose(values @ rig.control_expression, values @ rig.control_jaw * 0)
    assert np.abs(fixed - wanted).max() > 1e-3
