# SPDX-License-Identifier: GPL-3.0-or-later
"""Pins as empties in the scene, each on one frame: a landmark dragged to its place on the plate, or the head's pose.

A landmark's pin counts by the pixel that it covers, seen through the shot's camera; its depth does not matter. Of a
pose the whole transform counts, and the head follows it on its frame, so that one sees what one does.
"""

from __future__ import annotations

from collections.abc import Iterable

import bpy
import numpy as np
from mathutils import Matrix

from dubplate_shared.errors import InvalidInput
from dubplate_shared.pins import LandmarkPin, Pins, PosePin
from dubplate_shared.shot import Shot

from ..curves.animation import Curve, write_action
from ..rig.axes import WORLD_FROM_CAMERA, axis_angle_from_euler, head_pose
from ..scene.shot_link import BELONGS_KEY, ShotLink
from ..scene.shot_rig import load_rig
from ..tools.stretch import posed_mouth

_KEY = "dubplate_pin"
_FOLLOW = "COPY_TRANSFORMS"
_PREFIX = "Pin "  # of the names of pins, and of the constraints that follow them
_POSE = -1  # in place of a landmark's number
_LANDMARK_SIZE, _POSE_SIZE = 0.002, 0.08  # metres


def pin_landmark(armature: bpy.types.Object, landmark: int, frame: int) -> bpy.types.Object:
    """An empty where the head's landmark is on `frame`, the scene's current one, to be moved to where it should be."""
    place = landmark_places(armature)[landmark]
    pin = _new_pin(armature, f"{_PREFIX}{frame} landmark {landmark}", frame, landmark)
    pin.empty_display_type, pin.empty_display_size = "SPHERE", _LANDMARK_SIZE
    pin.location = place
    return pin


def pin_pose(armature: bpy.types.Object, frame: int) -> bpy.types.Object:
    """An empty where the head is on `frame`, the scene's current one; there, the head follows it."""
    pin = _new_pin(armature, f"{_PREFIX}{frame} pose", frame, _POSE)
    pin.empty_display_type, pin.empty_display_size = "ARROWS", _POSE_SIZE
    pin.rotation_mode = "XYZ"
    pin.matrix_world = armature.matrix_world
    follow = armature.constraints.new(_FOLLOW)
    follow.name = pin.name
    follow.target = pin
    follow.driver_add("influence").driver.expression = f"frame == {frame}"
    return pin


def pin_objects(armature: bpy.types.Object, frames: Iterable[int] | None = None) -> list[bpy.types.Object]:
    """The head's pins in the order of frames; those on `frames`, or all."""
    wanted = None if frames is None else frozenset(frames)
    everything = (thing for scene in armature.users_scene for thing in scene.objects)
    found = (thing for thing in everything if _KEY in thing and thing.get(BELONGS_KEY) == armature)
    return sorted((pin for pin in dict.fromkeys(found) if wanted is None or frame_of(pin) in wanted), key=frame_of)


def frame_of(pin: bpy.types.Object) -> int:
    """The frame that a pin is on."""
    return int(pin[_KEY]["frame"])


def remove_pins(armature: bpy.types.Object, pins: Iterable[bpy.types.Object]) -> None:
    """Take pins out of the scene, and let the head go where it followed one."""
    pins = list(pins)
    follow = [each for each in armature.constraints if each.type == _FOLLOW and each.name.startswith(_PREFIX)]
    for constraint in follow:
        if constraint.target in (*pins, None):  # None: somebody deleted the pin by hand
            constraint.driver_remove("influence")
            armature.constraints.remove(constraint)
    for pin in pins:
        action = pin.animation_data.action if pin.animation_data else None
        bpy.data.objects.remove(pin)
        if action is not None:
            bpy.data.actions.remove(action)


def read_pins(shot: Shot, pins: Iterable[bpy.types.Object]) -> Pins:
    """What the empties say, as a repair takes it.  Raises InvalidInput where one lies behind the camera."""
    landmarks, poses = [], []
    for pin in pins:
        frame, landmark = frame_of(pin), int(pin[_KEY]["landmark"])
        if landmark == _POSE:
            poses.append(_pose(pin, frame))
        else:
            x, y = plate_px(np.array(pin.location), shot.track.intrinsics[shot.index(frame)])
            landmarks.append(LandmarkPin(frame, landmark, x, y))
    return Pins(tuple(landmarks), tuple(poses))


def plate_px(place: np.ndarray, intrinsics: np.ndarray) -> tuple[float, float]:
    """Where the shot's camera sees a point of the scene.  place: (3,) m.  intrinsics: (4,).  Raises InvalidInput."""
    x, y, z = place @ WORLD_FROM_CAMERA
    if z <= 0:
        raise InvalidInput("A pin lies behind the camera.", hint="Move it before the camera, or take it away.")
    fx, fy, cx, cy = map(float, intrinsics)
    return float(fx * x / z + cx), float(fy * y / z + cy)


def landmark_places(armature: bpy.types.Object) -> np.ndarray:
    """Where the head's landmarks are in the scene, as it is posed now: (468, 3) m."""
    rig, mouth = load_rig(armature), posed_mouth(armature)
    bones = armature.pose.bones
    jaw, neck, left, right = (
        axis_angle_from_euler(np.array(euler)[None])[0]
        for euler in (mouth.jaw[0], *(bones[name].rotation_euler for name in ("neck", "eye.L", "eye.R")))
    )
    places = rig.landmarks(rig.pose(mouth.expression[0], jaw, neck, np.concatenate([left, right])))
    matrix = np.array(armature.matrix_world)
    return places @ matrix[:3, :3].T + matrix[:3, 3]


def _new_pin(armature: bpy.types.Object, name: str, frame: int, landmark: int) -> bpy.types.Object:
    """An empty that is seen on its frame alone; one of the same frame and landmark makes room for it."""
    if frame not in ShotLink.of(armature).frames:
        raise InvalidInput(f"Frame {frame} is none of the shot's.", hint="Go to the frame that is to be repaired.")
    same = [pin for pin in pin_objects(armature, [frame]) if pin[_KEY]["landmark"] == landmark]
    remove_pins(armature, same)
    pin = bpy.data.objects.new(name, None)
    own = (collection for collection in armature.users_collection if collection.library is None)
    next(own, bpy.context.scene.collection).objects.link(pin)
    pin[BELONGS_KEY] = armature
    pin[_KEY] = {"frame": frame, "landmark": landmark}
    pin.show_in_front = True
    hidden = Curve("hide_viewport", 0, "", np.array([1.0, 0.0, 1.0]))
    write_action(pin, name, [frame - 1, frame, frame + 1], [hidden]).use_fake_user = False
    return pin


def _pose(pin: bpy.types.Object, frame: int) -> PosePin:
    place, turn, _ = Matrix(pin.matrix_basis).decompose()
    rotation, translation = head_pose(np.array(turn.to_euler("XYZ"))[None], np.array(place)[None])
    return PosePin(frame, tuple(map(float, rotation[0])), tuple(map(float, translation[0])))
