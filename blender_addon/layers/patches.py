# SPDX-License-Identifier: GPL-3.0-or-later
"""A stretch of another take over the one that is heard: cross-faded in and out, and taken away again as easily.

With the take that was filmed it leads the face back to the plate's own performance.
"""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from dubplate_shared.errors import InvalidInput
from dubplate_shared.shot import Shot
from dubplate_shared.take import Take

from ..curves import nla
from ..curves.animation import Curve
from ..curves.performance import take_curves
from . import stack
from .stack import Mark, Role

Array = npt.NDArray[Any]


def add_patch(armature: bpy.types.Object, shot: Shot, take: Take, frames: range, fade: int) -> bpy.types.NlaTrack:
    """Let `take` be heard alone on `frames`, and more and more over `fade` frames before and less and less after.

    The take that is heard, other patches and the offsets stay as they are.
    Raises InvalidInput where the frames are not the shot's, or the layers are baked or tweaked.
    """
    stack.require_layers(armature)
    if not frames or fade < 0:
        raise InvalidInput("A patch needs frames.", hint="Let it begin before it ends.")
    first, last = shot.indices([frames[0], frames[-1]])
    rows = range(max(first - fade, 0), min(last + fade, len(shot.frames) - 1) + 1)
    covered = range(shot.frames[rows[0]], shot.frames[rows[-1]] + 1)
    name = f"{take.name} {frames[0]}-{frames[-1]}"
    action = _patch_action(armature, shot, take, covered, f"{shot.info.name}_{name}")
    strip = stack.insert(armature, f"Patch: {name}", action, covered, Role.PATCH)
    strip.extrapolation = "NOTHING"
    strip.blend_in, strip.blend_out = frames[0] - covered[0], covered[-1] - frames[-1]
    return stack.tracks(armature, Role.PATCH)[-1]


def read_patches(armature: bpy.types.Object, shot: Shot, take: Take) -> None:
    """Let all patches of this take be what it is now.  Raises InvalidInput as add_patch."""
    for track in stack.tracks(armature, Role.PATCH):
        if stack.mark_of(track).take == take.name:
            covered, _ = patch_share(track)
            stack.swap(track, _patch_action(armature, shot, take, covered, track.strips[0].action.name), covered)


def _patch_action(armature: bpy.types.Object, shot: Shot, take: Take, covered: range, name: str) -> bpy.types.Action:
    first, last = shot.indices([covered[0], covered[-1]])
    curves = [
        Curve(curve.path, curve.index, curve.group, curve.values[first : last + 1])
        for curve in take_curves(shot, take)
        if curve.group not in ("Head", "Neck")  # as filmed in every take
    ]
    mark = Mark(Role.PATCH, take.name, str(take.origin.get("sha256", "")))
    return stack.make_action(armature, name, covered, curves, mark)


def patch_share(track: bpy.types.NlaTrack) -> tuple[range, Array]:
    """The frames of a patch, and how much of it is heard on each, (T,) of 0 to 1."""
    strip = track.strips[0]
    frames = range(round(strip.frame_start), round(strip.frame_end) + 1)
    return frames, nla.strip_influence(strip, np.array(frames, np.float64))


def remove_patch(armature: bpy.types.Object, name: str) -> None:
    """Take a patch away; what lay beneath is heard again. Raises InvalidInput where there is none of this name."""
    for track in stack.tracks(armature, Role.PATCH):
        if track.name == name:
            stack.remove(armature, track)
            return
    raise InvalidInput(f"{armature.name} has no patch {name!r}.", hint="Look at the tracks in the NLA editor.")
