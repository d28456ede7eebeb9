# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of layers on a head, from the bottom: takes of which one is heard, patches, and the artist's offsets.

Takes and patches are locked NLA tracks of one REPLACE strip each, told by a mark on the strip's Action. The offsets
are the active Action, which adds: they are keyed like any animation, and Blender keeps what is seen on the frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

import bpy

from dubplate_shared.errors import InvalidInput

from .. import compat
from ..curves import animation, nla
from ..curves.animation import Curve
from ..scene.shot_link import ShotLink

_KEY = "dubplate_layer"
BAKED_KEY = "dubplate_baked"  # on the Action that was baked: what bake.py needs to go back
_ADDED = {"action_blend_type": "ADD", "action_extrapolation": "HOLD", "action_influence": 1.0}


class Role(StrEnum):
    TAKE = "take"  # a whole performance; one is heard, the others are muted
    PATCH = "patch"  # a performance over a range, faded in and out


@dataclass(frozen=True)
class Mark:
    """What a machine's Action remembers of where it came from.  take: its name.  sha256: of its source, if known."""

    role: Role
    take: str
    sha256: str = ""


def mark_of(track: bpy.types.NlaTrack) -> Mark | None:
    """None where the track is not one of ours."""
    action = track.strips[0].action if track.strips else None
    if action is None or _KEY not in action:
        return None
    stored = action[_KEY].to_dict()
    return Mark(Role(stored["role"]), stored["take"], stored["sha256"])


def tracks(armature: bpy.types.Object, role: Role) -> list[bpy.types.NlaTrack]:
    """The tracks of one role, from the bottom."""
    data = armature.animation_data
    found = [] if data is None else list(data.nla_tracks)
    return [track for track in found if (mark := mark_of(track)) is not None and mark.role == role]


def take_track(armature: bpy.types.Object, take: str) -> bpy.types.NlaTrack:
    """The track of a take. Raises InvalidInput."""
    found = {mark_of(track).take: track for track in tracks(armature, Role.TAKE)}
    if take not in found:
        raise InvalidInput(
            f"{armature.name} has no take {take!r} among its layers: it has {', '.join(found) or 'none'}.",
            hint="Load the take first.",
        )
    return found[take]


def heard_take(armature: bpy.types.Object) -> str:
    """Name of the take that is not muted; empty where all are."""
    heard = [mark_of(track).take for track in tracks(armature, Role.TAKE) if not track.mute]
    return heard[-1] if heard else ""


def is_baked(armature: bpy.types.Object) -> bool:
    """Whether the head plays all its layers baked down to one Action."""
    data = armature.animation_data
    return data is not None and data.action is not None and BAKED_KEY in data.action


def require_layers(armature: bpy.types.Object) -> bpy.types.AnimData:
    """The head's animation, ready for changes of its layers. Raises InvalidInput where they are baked or tweaked."""
    if is_baked(armature):
        raise InvalidInput(f"The layers of {armature.name} are baked down.", hint="Go back to the layers first.")
    return nla.require_stack(armature)


def make_action(
    armature: bpy.types.Object, name: str, frames: Sequence[int], curves: Sequence[Curve], mark: Mark | None
) -> bpy.types.Action:
    """An Action of our curves; what the armature plays stays what it was."""
    with nla.other_action(nla.require_stack(armature)):
        action = animation.write_action(armature, name, frames, curves)
    if mark is not None:
        action[_KEY] = asdict(mark)
    return action


def insert(
    armature: bpy.types.Object, name: str, action: bpy.types.Action, frames: range, role: Role
) -> bpy.types.NlaStrip:
    """Put a strip on a new track above all that belongs under it."""
    roles = list(Role)
    under = [track for each in roles[: roles.index(role) + 1] for track in tracks(armature, each)]
    data = require_layers(armature)
    above = [track for track in data.nla_tracks if track in under]
    return nla.add_strip(data, name, action, frames, above[-1] if above else None)


def swap(track: bpy.types.NlaTrack, action: bpy.types.Action, frames: range) -> None:
    """Let the track's strip play another Action on `frames`, which takes over the markers; the one that it played goes,
    if nothing else plays it."""
    strip = track.strips[0]
    before = strip.action
    for marker in before.pose_markers:
        action.pose_markers.new(marker.name).frame = marker.frame
    compat.play(strip, action)
    nla.set_span(strip, frames)
    drop(before)


def remove(armature: bpy.types.Object, track: bpy.types.NlaTrack) -> None:
    """Take a track of one strip away, and its Action, if nothing else plays it."""
    action = track.strips[0].action
    require_layers(armature).nla_tracks.remove(track)
    drop(action)


def drop(action: bpy.types.Action) -> None:
    """Remove an Action that the machine wrote and nothing plays."""
    action.use_fake_user = False
    if action.users == 0:
        bpy.data.actions.remove(action)


def ensure_offsets(armature: bpy.types.Object) -> None:
    """Give the armature an Action that adds and can be written, the artist's layer: a new one if it plays none, and a
    copy of its own if that lies in a linked file."""
    data = nla.require_stack(armature)
    if data.action is None:
        compat.play(data, bpy.data.actions.new(f"{ShotLink.of(armature).name}_offsets"))
        nla.play_by(data, _ADDED)
    elif data.action.library is not None:
        compat.play(data, data.action.copy())
