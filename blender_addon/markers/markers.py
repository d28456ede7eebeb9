# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said as markers: on the Action of the take that is heard, with which they travel, and on the timeline.

A marker lasts until the next one. A phoneme stands between slashes, as linguists write it: /p/. So closures are known
from the markers alone, an artist may set some by hand, and a word is no sound: the b of GRID's letters is not /b/.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import bpy

from dubplate_shared.errors import InvalidInput

from ..layers import stack
from ..scene.shot_link import ShotLink
from .labels import chosen_tier, closes_lips, holds_phonemes, is_silence, read_tiers
from .tier import Closure, Tier

SILENCE = "-"
_LONGEST_NAME = 63  # bytes, Blender's limit
_ON_TIMELINE = "dubplate_timeline_markers"  # property of the head: what an import has set, as JSON


@dataclass(frozen=True)
class Imported:
    """count: of the markers that were set.   tier: whose.   outside: labels that lie beyond the shot."""

    count: int
    tier: str
    outside: int


def import_markers(
    scene: bpy.types.Scene,
    armature: bpy.types.Object,
    path: Path | str,
    *,
    tier: str = "",
    offset_s: float = 0.0,
    on_take: bool = True,
    on_timeline: bool = True,
) -> Imported:
    """Set markers where the file has labels, in place of those that an earlier import has set.

    tier: its name; the one with phonemes unless told.  offset_s: where in the shot's sound that of the file begins.
    Raises InvalidInput as `read_tiers`, or where no label lies within the shot.
    """
    found = chosen_tier(read_tiers(path), tier)
    shot = ShotLink.of(armature).load_shot()
    fps = shot.info.rate.fps  # and not the scene's: keys lie on the shot's frames, and plates play at its rate
    start = shot.info.first_frame + (offset_s - float(shot.track.time[0])) * fps
    named = _named(found, start, fps)
    inside = [(frame, name) for frame, name in named if frame in range(shot.frames[0], shot.frames[-1] + 1)]
    if not inside:
        raise InvalidInput(
            f"All of {Path(path).name} lies outside the shot.",
            hint="Give the offset of its sound.",
        )
    before = {(marker.frame, marker.name) for marker in take_markers(armature)} | _set_before(armature)
    action = _take_action(armature)
    if on_take and action is not None:
        _replace(action.pose_markers, inside, None)
    if on_timeline:
        _replace(scene.timeline_markers, inside, before | set(inside))
        armature[_ON_TIMELINE] = json.dumps(inside)
    said = sum(name != SILENCE for _, name in inside)
    return Imported(said, found.name, sum(name != SILENCE for _, name in named) - said)


def _set_before(armature: bpy.types.Object) -> set[tuple[int, str]]:
    """What the last import for this head has set on the timeline."""
    try:
        return {(int(frame), str(name)) for frame, name in json.loads(armature.get(_ON_TIMELINE, "[]"))}
    except (ValueError, TypeError):  # somebody wrote there
        return set()


def closures(scene: bpy.types.Scene, armature: bpy.types.Object) -> list[Closure]:
    """Where markers ask for closed lips: those of the take that is heard, or else the timeline's."""
    markers = sorted(take_markers(armature) or scene.timeline_markers, key=lambda marker: marker.frame)
    frames = [marker.frame for marker in markers]
    end = ShotLink.of(armature).frames[-1] + 1
    found = []
    for marker in markers:
        if marker.name.startswith("/") and closes_lips(marker.name.strip("/")):
            following = bisect_right(frames, marker.frame)
            until = frames[following] if following < len(frames) else max(end, marker.frame + 1)
            found.append(Closure(range(marker.frame, until), marker.name))
    return found


def closure_on(scene: bpy.types.Scene, armature: bpy.types.Object, frame: int) -> Closure | None:
    """The closure that a frame belongs to."""
    return next((closure for closure in closures(scene, armature) if frame in closure.frames), None)


def take_markers(armature: bpy.types.Object) -> list[bpy.types.TimelineMarker]:
    """Those that travel with the take that is heard, alone or in what was baked of it."""
    action = _take_action(armature)
    return [] if action is None else list(action.pose_markers)


def _take_action(armature: bpy.types.Object) -> bpy.types.Action | None:
    take = ShotLink.of(armature).take
    for track in stack.tracks(armature, stack.Role.TAKE):
        if stack.mark_of(track).take == take:
            return track.strips[0].action
    return None


def _named(tier: Tier, start: float, fps: float) -> list[tuple[int, str]]:
    """Frame and name of each marker; where a silence is not labelled, one is put in."""
    phonemic, named, until = holds_phonemes(tier), [], None
    for label in tier.labels:
        frame = round(start + label.start_s * fps)
        if until is not None and frame > until:
            named.append((until, SILENCE))
        silent = is_silence(label.text)
        named.append((frame, SILENCE if silent else _shortened(f"/{label.text}/" if phonemic else label.text)))
        until = max(round(start + label.end_s * fps), frame + 1)
    if until is not None:
        named.append((until, SILENCE))
    return _without_repeats(named)


def _without_repeats(named: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
    """A silence after a silence says nothing, and one on the frame of a sound would end it."""
    sounding = {frame for frame, name in named if name != SILENCE}
    kept: list[tuple[int, str]] = [(0, SILENCE)]
    for frame, name in named:
        if name != SILENCE or (kept[-1][1] != SILENCE and frame not in sounding):
            kept.append((frame, name))
    return kept[1:]


def _shortened(name: str) -> str:
    return name.encode()[:_LONGEST_NAME].decode(errors="ignore")


def _replace(
    markers: bpy.types.ActionPoseMarkers | bpy.types.TimelineMarkers,
    named: Sequence[tuple[int, str]],
    replaced: set[tuple[int, str]] | None,
) -> None:
    """Set markers in place of all, or of the `replaced` ones."""
    for marker in list(markers):
        if replaced is None or (marker.frame, marker.name) in replaced:
            markers.remove(marker)
    for frame, name in named:
        markers.new(name).frame = frame
