# SPDX-License-Identifier: Apache-2.0
"""The tools in Blender, on the stand-in head: they do what they say on the frames that they name, and undo it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from blender_shot import FIRST_FRAME, write_test_shot

from blender_addon.tools.closure import TOUCHING_MM
from blender_addon.tools.face_points import FacePoints, LipPairs
from blender_addon.tools.mouths import Mouths
from dubplate_shared.landmarks import LEFT_BROW
from dubplate_shared.rig import Rig
from dubplate_shared.shot import Rate, Shot
from dubplate_shared.take import Take

COUNT = 40
LAST_FRAME = FIRST_FRAME + COUNT - 1
TEXTGRID = '"ooTextFile" "TextGrid" 0 1.6 <exists> 1 "IntervalTier" "phones" 0 1.6 4 {}'
PHONES = '0 0.4 "AA" 0.4 0.56 "M" 0.56 1.2 "AA" 1.2 1.28 "P"'


@pytest.fixture(scope="module")
def standin_shot(standin_rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Shot:
    """With a take that speaks: an open mouth that moves smoothly, and a little noise as trackers have it."""
    shot = write_test_shot(tmp_path_factory.mktemp("tools"), rig=standin_rig, count=COUNT)
    rng, phase = np.random.default_rng(6), np.linspace(0, 4 * np.pi, COUNT)[:, None]
    waves = np.sin(phase * rng.uniform(0.5, 1.5, 100) + rng.uniform(0, 6, 100)) * 0.4 * np.exp(-np.arange(100) / 15)
    jaw = np.array((0.3, 0.0, 0.0)) + np.sin(phase + np.arange(3)) * (0.06, 0.01, 0.01)
    shot.save_take(Take("speech", waves + rng.normal(0, 0.03, waves.shape), jaw))
    return shot


@pytest.fixture(scope="module")
def imported(standin_shot: Shot) -> Path:
    """A .blend with the head, its mouth open throughout."""
    import bpy

    from blender_addon.scene.import_shot import import_shot

    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    import_shot(standin_shot.path, take="speech")
    path = standin_shot.path.with_suffix(".blend")
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    return path


@pytest.fixture
def head(bpy, addon, imported: Path):
    from blender_addon.scene.shot_link import find_head

    bpy.ops.wm.open_mainfile(filepath=str(imported))
    return find_head(bpy.context)


@pytest.fixture
def textgrid(tmp_path: Path) -> Path:
    path = tmp_path / "said.TextGrid"
    path.write_text(TEXTGRID.format(PHONES))
    return path


def mouths(head) -> Mouths:
    """What the face does on all frames."""
    from blender_addon.tools.stretch import read_mouths

    return read_mouths(head, range(FIRST_FRAME, LAST_FRAME + 1))


def gap_mm(rig: Rig, found: Mouths) -> np.ndarray:
    return LipPairs(rig).gap_mm(found.expression, found.jaw)


def changed_frames(before: Mouths, after: Mouths) -> list[int]:
    """Frames on which any number differs by a bit."""
    return (np.flatnonzero((before.columns() != after.columns()).any(axis=1)) + FIRST_FRAME).tolist()


def key_some(head) -> None:
    """Offsets as an artist keys them: few, and soft."""
    from blender_addon.curves import channels
    from blender_addon.layers.offsets import key_offset

    for frame, value in ((1003, 0.5), (1020, -0.4), (1036, 0.3)):
        key_offset(head, frame, {channels.control("wide"): value, channels.JAW[0]: 0.1 * value}, spread=0)


def test_a_held_closure_shuts_the_lips_and_leaves_every_other_frame_bit_for_bit(bpy, head, standin_rig) -> None:
    before = mouths(head)
    assert gap_mm(standin_rig, before).min() > 1.0
    assert bpy.ops.dubplate.hold_closure(first=1012, last=1016, blend_in=2, blend_out=4) == {"FINISHED"}
    after = mouths(head)
    assert gap_mm(standin_rig, after)[11:16].max() < TOUCHING_MM
    assert changed_frames(before, after) == list(range(1010, 1021))


def test_a_closure_among_soft_keys_leaves_their_curves_as_they_ran(bpy, head) -> None:
    key_some(head)
    before = mouths(head)
    bpy.ops.dubplate.hold_closure(first=1012, last=1016, blend_in=2, blend_out=4)
    apart = np.abs(mouths(head).columns() - before.columns()).max(axis=1)
    assert apart[[*range(9), *range(20, COUNT)]].max() < 1e-6 < apart[9:20].min()


def test_the_panel_tells_the_gap_of_what_is_posed(bpy, head, standin_rig) -> None:
    from blender_addon.tools.panel import lip_gap_mm

    bpy.context.scene.frame_set(1014)
    expected = gap_mm(standin_rig, mouths(head))[13]
    assert lip_gap_mm(head) == pytest.approx(expected, abs=1e-3)
    head.pose.bones["jaw"].rotation_euler.x += 0.2  # posed and not keyed yet
    assert lip_gap_mm(head) > expected + 5


def test_markers_travel_with_the_take_and_say_where_lips_shall_touch(bpy, head, textgrid, standin_shot) -> None:
    from blender_addon.layers.bake import bake_down
    from blender_addon.layers.takes import load_take
    from blender_addon.markers.markers import closures, take_markers

    scene = bpy.context.scene
    assert bpy.ops.dubplate.import_markers(filepath=str(textgrid)) == {"FINISHED"}
    wanted = [(1001, "/AA/"), (1011, "/M/"), (1015, "/AA/"), (1031, "/P/"), (1033, "-")]
    assert [(marker.frame, marker.name) for marker in take_markers(head)] == wanted
    assert sorted((marker.frame, marker.name) for marker in scene.timeline_markers) == wanted
    assert [each.frames for each in closures(scene, head)] == [range(1011, 1015), range(1031, 1033)]
    # A second import takes the place of the first and leaves a person's own markers.
    scene.timeline_markers.new("cut here", frame=1011)
    assert bpy.ops.dubplate.import_markers(filepath=str(textgrid), offset=0.4) == {"FINISHED"}
    assert closures(scene, head)[0].frames == range(1021, 1025)
    assert len(scene.timeline_markers) == len(take_markers(head)) + 1
    # Another take has its own.
    load_take(head, standin_shot, Take("other", np.zeros((COUNT, 100)), np.zeros((COUNT, 3))))
    assert not take_markers(head)
    load_take(head, standin_shot, standin_shot.take("speech"))  # read anew, it keeps them
    bake_down(head)
    assert closures(scene, head)[0].frames == range(1021, 1025)


def test_markers_come_at_the_shots_true_rate_whatever_the_scene_runs_at(bpy, addon, textgrid, tmp_path) -> None:
    from blender_addon.markers.markers import closures
    from blender_addon.scene.import_shot import import_shot

    head = import_shot(write_test_shot(tmp_path, rate=Rate(24000, 1001)).path)
    bpy.context.scene.render.fps, bpy.context.scene.render.fps_base = 30, 1.0
    bpy.ops.dubplate.import_markers(filepath=str(textgrid), places={"TAKE"})
    assert closures(bpy.context.scene, head)[1].frames[0] == round(1001 + 1.2 * 24000 / 1001)
    assert not bpy.context.scene.timeline_markers


def test_markers_of_the_timeline_alone_are_replaced_too_and_a_persons_own_stay(bpy, head, textgrid) -> None:
    scene = bpy.context.scene
    scene.timeline_markers.new("cut here", frame=1011)
    for offset in (0.0, 0.4):
        bpy.ops.dubplate.import_markers(filepath=str(textgrid), places={"TIMELINE"}, offset=offset)
    found = sorted((marker.frame, marker.name) for marker in scene.timeline_markers)
    assert found == [(1011, "/AA/"), (1011, "cut here"), (1021, "/M/"), (1025, "/AA/")]


def test_a_file_beyond_the_shot_is_told_and_nothing_is_lost(bpy, head, textgrid) -> None:
    from blender_addon.markers.markers import take_markers

    bpy.ops.dubplate.import_markers(filepath=str(textgrid))
    with pytest.raises(RuntimeError, match="lies outside the shot"):
        bpy.ops.dubplate.import_markers(filepath=str(textgrid), offset=1000)
    assert len(take_markers(head)) == 5


def test_flags_are_visited_in_turn_and_all_marked_closures_are_shut_at_once(bpy, head, textgrid, standin_rig) -> None:
    scene = bpy.context.scene
    bpy.ops.dubplate.import_markers(filepath=str(textgrid))
    visited = []
    for step in ("NEXT", "NEXT", "NEXT", "PREVIOUS"):
        bpy.ops.dubplate.next_flag(step=step)
        visited.append(scene.frame_current)
    assert visited[0] in range(1011, 1015) and visited[1] in (1031, 1032)
    assert visited[2] == visited[0] and visited[3] == visited[1]  # around, and back
    assert bpy.ops.dubplate.close_marked(blend=2) == {"FINISHED"}
    gaps = gap_mm(standin_rig, mouths(head))
    assert max(gaps[10:14].max(), gaps[30:32].max()) < TOUCHING_MM < gaps[20:26].min()
    scene.frame_set(1001)
    bpy.ops.dubplate.next_flag()
    assert scene.frame_current == 1001


def test_a_jaw_that_outruns_its_muscles_and_the_trackers_flags_are_found(bpy, head, standin_shot) -> None:
    import json

    from blender_addon.curves import channels
    from blender_addon.layers.offsets import key_offset
    from blender_addon.tools.operators import _flags

    key_offset(head, 1020, {channels.JAW[0]: 0.4}, spread=1)
    path = standin_shot.path / "shot.json"
    kept = path.read_text()
    said = {"reason": "lips_loose", "frames": "1030-1033", "worst": 1032, "value": 5.0, "says": "the lips are loose"}
    path.write_text(json.dumps(json.loads(kept) | {"tracking": {"flags": [said, {"reason": "broken"}]}}))
    try:
        flags = {flag.reason: flag.worst for flag in _flags(bpy.context.scene, head)}
    finally:
        path.write_text(kept)
    assert flags["lips_loose"] == 1032
    assert flags["jaw_too_fast"] in (1020, 1021)


def test_a_smoothed_range_is_smooth_and_its_closures_stay(bpy, head) -> None:
    bpy.ops.dubplate.hold_closure(first=1024, last=1026, blend_in=2, blend_out=2)
    before = mouths(head)
    assert bpy.ops.dubplate.smooth(first=1006, last=1030, reach=3) == {"FINISHED"}
    after = mouths(head)
    changed = changed_frames(before, after)
    assert changed == [*range(1006, 1024), *range(1027, 1031)]
    rough = [np.square(np.diff(each.expression[5:20], n=3, axis=0)).sum() for each in (before, after)]
    assert rough[1] < 0.4 * rough[0]


def test_the_mouth_is_copied_and_the_brows_are_not(bpy, head, standin_rig) -> None:
    before = mouths(head)
    bpy.context.scene.frame_set(1005)
    assert bpy.ops.dubplate.copy_mouth() == {"FINISHED"}
    assert bpy.ops.dubplate.paste_mouth(first=1020, last=1022, blend_in=2, blend_out=2) == {"FINISHED"}
    after = mouths(head)
    assert changed_frames(before, after) == list(range(1018, 1025))
    for row in (19, 20, 21):
        assert (
            lips_apart_mm(standin_rig, before, 4, after, row) < 0.5 < lips_apart_mm(standin_rig, before, 4, before, row)
        )
    brows = FacePoints.of_landmarks(standin_rig, LEFT_BROW)
    places = [brows.positions(each.expression, each.jaw)[17:24] for each in (before, after)]
    assert 1e3 * np.abs(places[0] - places[1]).max() < 0.1


def lips_apart_mm(rig: Rig, one: Mouths, row: int, other: Mouths, other_row: int) -> float:
    """Mean distance of the lip vertices of two frames."""
    points = FacePoints.of_vertices(rig, np.flatnonzero(rig.masks["lips"]))
    places = [points.positions(each.expression[[at]], each.jaw[[at]]) for each, at in ((one, row), (other, other_row))]
    return float(1e3 * np.linalg.norm(places[0] - places[1], axis=-1).mean())


def test_a_moment_comes_later_and_the_rest_stays_in_time(bpy, head, standin_rig) -> None:
    before = mouths(head)
    bpy.context.scene.frame_set(1018)
    assert bpy.ops.dubplate.retime(by=3, whole_face=True) == {"FINISHED"}
    after = mouths(head)
    assert np.allclose(after.columns()[20], before.columns()[17], atol=1e-5)
    changed = changed_frames(before, after)
    assert changed[0] > 1018 - 11 and changed[-1] < 1018 + 11


@pytest.mark.parametrize(("what", "factor"), [("mouth", 1.5), ("jaw", 0.5), ("wide", 2.0)])
def test_more_or_less_of_a_face_keeps_its_closures(bpy, head, standin_rig, what: str, factor: float) -> None:
    bpy.ops.dubplate.hold_closure(first=1020, last=1022, blend_in=2, blend_out=2)
    before = mouths(head)
    assert bpy.ops.dubplate.exaggerate(first=1015, last=1030, what=what, factor=factor, blend=3) == {"FINISHED"}
    after = mouths(head)
    assert changed_frames(before, after)[0] == 1012 and changed_frames(before, after)[-1] == 1033
    assert gap_mm(standin_rig, after)[19:22].max() < TOUCHING_MM
    if what == "jaw":
        assert np.allclose(after.jaw[24:29], factor * before.jaw[24:29], atol=1e-5)
    if what == "wide":
        from blender_addon.tools.exaggerate import control_values

        at = standin_rig.control_names.index("wide")
        values = [control_values(standin_rig, each.expression)[24:29, at] for each in (before, after)]
        assert np.allclose(values[1], factor * values[0], rtol=0.05, atol=1e-3)


def test_simplified_offsets_have_fewer_keys_and_move_no_lip_further_than_told(bpy, head, standin_rig) -> None:
    from blender_addon.layers.offsets import offsets

    bpy.ops.dubplate.paste_mouth(source=1005, first=1004, last=1036)
    before = mouths(head)
    dense = sum(len(curve.keyframe_points) for curve in offsets(head).values())
    assert bpy.ops.dubplate.simplify(first=1003, last=1038, most=2.0) == {"FINISHED"}
    after = mouths(head)
    assert sum(len(curve.keyframe_points) for curve in offsets(head).values()) < 0.8 * dense
    points = FacePoints.of_vertices(standin_rig, np.flatnonzero(standin_rig.masks["lips"]))
    places = [points.positions(each.expression, each.jaw) for each in (before, after)]
    assert 0.2 < 1e3 * np.linalg.norm(places[0] - places[1], axis=-1).max() < 2.01
    assert set(changed_frames(before, after)) <= set(range(1003, 1039))


def test_what_is_baked_is_thinned_out_as_a_whole(bpy, head, standin_rig) -> None:
    from blender_addon.curves import animation
    from blender_addon.layers.bake import bake_down

    key_some(head)
    bake_down(head)
    before = mouths(head)
    assert bpy.ops.dubplate.simplify(most=1.0) == {"FINISHED"}
    after = mouths(head)
    points = FacePoints.of_vertices(standin_rig, np.flatnonzero(standin_rig.masks["lips"]))
    places = [points.positions(each.expression, each.jaw) for each in (before, after)]
    assert 0.2 < 1e3 * np.linalg.norm(places[0] - places[1], axis=-1).max() < 1.01
    keyed = {len(curve.keyframe_points) for (path, _), curve in animation.fcurves(head).items() if "expression" in path}
    assert max(keyed) < 0.8 * COUNT


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("smooth", {}),
        ("exaggerate", {}),
        ("retime", {"moment": 1020}),
        ("paste_mouth", {"source": 1003, "first": 1020, "last": 1024}),
        ("hold_closure", {"first": 1020, "last": 1024}),
        ("simplify", {"most": 3.0}),
    ],
)
def test_every_tool_is_undone_and_redone_bit_for_bit(bpy, head, standin_rig, name: str, arguments: dict) -> None:
    from blender_addon.scene.shot_link import find_head

    key_some(head)
    bpy.ops.ed.undo_push(message="before")
    before = mouths(head)
    getattr(bpy.ops.dubplate, name)(**arguments)
    bpy.ops.ed.undo_push(message=name)
    after = mouths(find_head(bpy.context))
    assert changed_frames(before, after)
    bpy.ops.ed.undo()
    assert not changed_frames(before, mouths(find_head(bpy.context)))
    bpy.ops.ed.redo()
    assert not changed_frames(after, mouths(find_head(bpy.context)))


def test_what_cannot_be_done_is_told_with_its_fix(bpy, head) -> None:
    with pytest.raises(RuntimeError, match="none of the shot's"):
        bpy.ops.dubplate.smooth(first=2000, last=2010)
    with pytest.raises(RuntimeError, match="Frame 5 is none of the shot's"):
        bpy.ops.dubplate.paste_mouth(source=5)
    with pytest.raises(RuntimeError, match="nothing to simplify"):
        bpy.ops.dubplate.simplify()
