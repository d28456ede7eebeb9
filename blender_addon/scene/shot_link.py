# SPDX-License-Identifier: GPL-3.0-or-later
"""What an armature in the scene remembers of the shot that it came from: plain custom data, kept without the add-on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PureWindowsPath

import bpy

from dubplate_shared.errors import InvalidInput
from dubplate_shared.shot import HeadIdentity, Shot

_KEY = "dubplate"
BELONGS_KEY = "dubplate_head"  # on what is neither head nor mesh and belongs to one: the armature


@dataclass(frozen=True)
class ShotLink:
    """path: the shot package.  take: what the curves were made from.  frame_count frames from first_frame on."""

    path: str
    name: str
    head_kind: str
    head_sha256: str
    first_frame: int
    frame_count: int
    take: str

    @property
    def head(self) -> HeadIdentity:
        return HeadIdentity(self.head_kind, self.head_sha256)

    @property
    def frames(self) -> range:
        return range(self.first_frame, self.first_frame + self.frame_count)

    @classmethod
    def of_shot(cls, shot: Shot, take: str) -> ShotLink:
        info = shot.info
        path = str(shot.path.resolve())
        return cls(path, info.name, info.head.kind, info.head.sha256, info.first_frame, info.frame_count, take)

    @classmethod
    def of(cls, armature: bpy.types.Object) -> ShotLink:
        """Raises InvalidInput where the object is no imported head."""
        if not is_linked(armature):
            raise InvalidInput(
                f"{armature.name} is no Dubplate head.",
                hint="Select the armature that File > Import > Dubplate Shot made.",
            )
        stored = json.loads(armature[_KEY])
        link = cls(**{name: stored[name] for name in cls.__dataclass_fields__})
        beside = [Path(blend).parent / link.folder_name for blend in _library(armature)]
        moved = next((path for path in beside if path.is_dir()), None)
        return link if moved is None or Path(link.path).is_dir() else replace(link, path=str(moved))

    @property
    def folder_name(self) -> str:
        """NAME.dubshot, whichever system's path leads there."""
        return PureWindowsPath(self.path).name  # it knows both separators

    def store(self, armature: bpy.types.Object) -> None:
        """As text: of custom data, Blender keeps no other changes of a library's override."""
        armature[_KEY] = json.dumps(asdict(self))
        if armature.library is None and armature.override_library is None:
            armature.property_overridable_library_set(f'["{_KEY}"]', True)

    def package(self) -> Path:
        """Where the shot package is now. Raises InvalidInput where it is gone."""
        path = Path(self.path)
        beside = Path(bpy.data.filepath).parent / self.folder_name
        for candidate in (path, beside):
            if candidate.is_dir():
                return candidate
        raise InvalidInput(
            f"The shot package {path} is not there; the keys are kept.",
            hint=f"Put {self.folder_name} back, or beside the .blend.",
        )

    def load_shot(self) -> Shot:
        """The shot, if its head is the one that was imported. Raises InvalidInput, HeadModelMismatch."""
        shot = Shot.load(self.package())
        self.head.require(shot.info.head, f"Shot {self.path}")
        return shot


def _library(armature: bpy.types.Object) -> list[str]:
    """The file that a head is linked from, itself or by an override; none where it is the open file's own."""
    override = armature.override_library
    source = armature if override is None else override.reference
    return [bpy.path.abspath(source.library.filepath)] if source.library is not None else []


def is_linked(thing: bpy.types.Object | None) -> bool:
    """Whether `thing` is an armature that import_shot made."""
    return thing is not None and thing.type == "ARMATURE" and _KEY in thing


def heads(scene: bpy.types.Scene) -> list[bpy.types.Object]:
    """All imported heads of a scene, by name."""
    return sorted((thing for thing in scene.objects if is_linked(thing)), key=lambda thing: thing.name)


def find_head(context: bpy.types.Context, name: str = "") -> bpy.types.Object:
    """The named head, the active one, the one whose mesh, or what belongs to it, is active, or the only one.

    Raises InvalidInput.
    """
    found = heads(context.scene)
    if name:
        found = [head for head in found if name in (head.name, ShotLink.of(head).name)]
    active = getattr(context, "object", None)
    for thing in (active, active.parent, active.get(BELONGS_KEY)) if active else ():
        if thing in found:
            return thing
    if len(found) == 1:
        return found[0]
    if not found:
        what = f"no head named {name!r}" if name else "no Dubplate head"
        raise InvalidInput(f"The scene has {what}.", hint="Import a shot: File > Import > Dubplate Shot.")
    raise InvalidInput(
        f"The scene has several heads: {', '.join(head.name for head in found)}.",
        hint="Select one, or name it with --head.",
    )


def head_at_hand(context: bpy.types.Context) -> bpy.types.Object | None:
    """As find_head; None where none or several could be meant."""
    try:
        return find_head(context)
    except InvalidInput:
        return None
