# SPDX-License-Identifier: GPL-3.0-or-later
"""The animated head and its camera as Alembic or USD, by Blender's own exporters, for programs that know no FLAME.

What is written is the evaluated surface, frame by frame: expression, bones and drivers are baked into its points.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bpy

from dubplate_shared.errors import InvalidInput, OutputNotWritable
from dubplate_shared.files import atomic_path

from ..rig.build import head_mesh_of
from .camera import camera_of
from .shot_link import ShotLink

ALEMBIC_SUFFIX = ".abc"
USD_SUFFIXES = (".usd", ".usdc", ".usda")
SUFFIXES = (ALEMBIC_SUFFIX, *USD_SUFFIXES)


@dataclass(frozen=True)
class Exported:
    """path: what was written.   frames: first and last.   camera: its name, None where there was none."""

    path: Path
    frames: tuple[int, int]
    camera: str | None


def export_head(
    context: bpy.types.Context, armature: bpy.types.Object, path: Path | str, frames: Sequence[int] = ()
) -> Exported:
    """Write the head of `armature` and the shot's camera to `path`: whole, or not at all.

    frames: numbers of which the first to the last are written; the shot's unless told.
    Raises InvalidInput where the file's kind is unknown or the head's mesh is gone, OutputNotWritable.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InvalidInput(
            f"{path.name} is no Alembic and no USD file.", hint=f"Let its name end in {', '.join(SUFFIXES)}."
        )
    mesh = head_mesh_of(armature)
    if mesh is None:
        raise InvalidInput(f"{armature.name} has lost its mesh.", hint="Import the shot again.")
    link = ShotLink.of(armature)
    numbers = sorted(frames) or link.frames
    camera = camera_of(context.scene, armature)
    chosen = [mesh] if camera is None else [mesh, camera]
    with atomic_path(path) as temporary, _alone(context, chosen, numbers[0], numbers[-1]):
        temporary.unlink()  # Blender's USD opens what is there
        _write(temporary, numbers[0], numbers[-1])
        if not temporary.is_file() or not temporary.stat().st_size:
            raise OutputNotWritable(
                f"Blender wrote nothing to {path}.", hint="Look at Blender's console for the reason."
            )
    return Exported(path, (numbers[0], numbers[-1]), camera.name if camera else None)


def _write(path: Path, first: int, last: int) -> None:
    usd = path.suffix.lower() in USD_SUFFIXES
    if not getattr(bpy.app.build_options, "usd" if usd else "alembic"):
        raise InvalidInput(
            f"This Blender was built without {'USD' if usd else 'Alembic'}.", hint="Use Blender from blender.org."
        )
    operator = bpy.ops.wm.usd_export if usd else bpy.ops.wm.alembic_export
    wanted = _usd_options() if usd else _alembic_options(first, last)
    known = operator.get_rna_type().properties.keys()  # they differ a little from Blender to Blender
    try:
        result = operator(filepath=str(path), **{name: value for name, value in wanted.items() if name in known})
    except RuntimeError as error:
        raise OutputNotWritable(
            f"Blender cannot write {path.name}: {str(error).strip()}", hint="Check the folder and the disk."
        ) from error
    if result != {"FINISHED"}:
        raise OutputNotWritable(f"Blender did not write {path.name}.", hint="Look at its console for the reason.")


def _alembic_options(first: int, last: int) -> dict[str, object]:
    return {
        "start": first,
        "end": last,
        "selected": True,
        "flatten": True,  # the armature's movement goes into the mesh's own transform
        "uvs": True,
        "normals": False,  # of a speaking face they would be wrong in every program that smooths its own
        "face_sets": True,
        "export_hair": False,
        "export_particles": False,
        "evaluation_mode": "VIEWPORT",
        "as_background_job": False,
    }


def _usd_options() -> dict[str, object]:
    return {
        "selected_objects_only": True,
        "export_animation": True,
        "export_armatures": False,  # points and not skeletons: readers disagree on skinning with correctives
        "export_shapekeys": False,
        "export_hair": False,
        "export_normals": False,
        "export_lights": False,
        "convert_world_material": False,
        "export_textures": False,
        "evaluation_mode": "VIEWPORT",
        "relative_paths": False,
    }


@contextmanager
def _alone(context: bpy.types.Context, chosen: list[bpy.types.Object], first: int, last: int) -> Iterator[None]:
    """Only `chosen` selected and the scene's range first to last, and all as it was afterwards."""
    scene, layer = context.scene, context.view_layer
    span, now = (scene.frame_start, scene.frame_end), (scene.frame_current, scene.frame_subframe)
    with _object_mode(layer), _seen(scene, layer, chosen):
        selected = [thing for thing in layer.objects if thing.select_get()]
        try:
            for thing in layer.objects:
                thing.select_set(thing in chosen)
            scene.frame_start, scene.frame_end = first, last
            scene.frame_set(first)  # Blender's Alembic writes a single frame as the scene stands
            yield
        finally:
            scene.frame_start, scene.frame_end = span
            scene.frame_set(now[0], subframe=now[1])
            for thing in layer.objects:
                thing.select_set(thing in selected)


@contextmanager
def _object_mode(layer: bpy.types.ViewLayer) -> Iterator[None]:
    """Exporters want it; the artist may be posing."""
    mode = layer.objects.active.mode if layer.objects.active is not None else "OBJECT"
    if mode == "OBJECT" or not bpy.ops.object.mode_set.poll():  # what is hidden cannot change its mode
        yield
        return
    bpy.ops.object.mode_set(mode="OBJECT")
    try:
        yield
    finally:
        bpy.ops.object.mode_set(mode=mode)


@contextmanager
def _seen(scene: bpy.types.Scene, layer: bpy.types.ViewLayer, things: list[bpy.types.Object]) -> Iterator[None]:
    """Things visible and selectable, wherever they were hidden: exporters leave out what is not, and say nothing."""
    top = scene.collection.objects
    added = [thing for thing in things if thing not in top.values()]
    before = [(thing, thing.hide_viewport, thing.hide_select, thing.hide_get()) for thing in things]
    try:
        for thing in added:
            top.link(thing)  # their own collection may be hidden or excluded
        for thing in things:
            thing.hide_viewport = thing.hide_select = False
        layer.update()
        for thing in things:
            thing.hide_set(False)
        yield
    finally:
        for thing, in_viewport, from_selection, by_eye in before:
            thing.hide_set(by_eye)
            thing.hide_viewport, thing.hide_select = in_viewport, from_selection
        for thing in added:
            top.unlink(thing)
