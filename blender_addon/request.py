# SPDX-License-Identifier: GPL-3.0-or-later
"""From the scene to a render request, checked before anything is sent; panel and command line build it here alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import bpy

from dubplate_shared.actor import ActorInfo
from dubplate_shared.errors import InvalidInput, OutputNotWritable
from dubplate_shared.frames import format_frames, parse_frames

from .connection.session import Environment, RenderRequest, Session
from .curves.performance import read_take
from .fixes import Unset
from .preferences import preference
from .scene.shot_link import ShotLink, find_head, heads


@dataclass(frozen=True)
class Choice:
    """What a caller wants otherwise than the scene and the preferences say; empty: as they say.

    head: the armature's name or the shot's.  connection: file of a running backend.  python: to start one with.
    """

    head: str = ""
    actor: str = ""
    output: str = ""
    frames: str = ""
    version: int = 0
    connection: str = ""
    python: str = ""


AS_THE_SCENE_SAYS = Choice()


def build_request(context: bpy.types.Context, choice: Choice = AS_THE_SCENE_SAYS) -> RenderRequest:
    """The render that scene and `choice` ask for, with the curves read as they are now.

    Raises InvalidInput for missing or wrong paths and frames, HeadModelMismatch, OutputNotWritable.
    """
    head = find_head(context, choice.head)
    link = ShotLink.of(head)
    shot = link.load_shot()
    actor = actor_of(context, head, choice)
    link.head.require(ActorInfo.load(actor).head, f"Actor {actor.name}")
    frames = parse_frames(choice.frames or context.scene.dubplate.frames or _scene_frames(context.scene))
    shot.indices(frames)
    output = output_of(context, choice)
    return RenderRequest(
        shot=shot.path.resolve(),
        shot_name=shot.info.name,
        actor=actor,
        frames=format_frames(frames),
        output=_made(output),
        version=choice.version or context.scene.dubplate.version,
        take=read_take(head),
        base_take=link.take,
    )


def actor_of(context: bpy.types.Context, head: bpy.types.Object, choice: Choice = AS_THE_SCENE_SAYS) -> Path:
    """The actor that draws a head: its own, or the scene's. Raises InvalidInput where there is none."""
    text = choice.actor or head.dubplate_actor or context.scene.dubplate.actor
    if not text:
        raise Unset(
            "No actor is chosen.",
            hint="Choose a NAME.dubactor in the Dubplate panel, or give --actor.",
            setting="actor",
        )
    return _path(text).resolve()


def output_of(context: bpy.types.Context, choice: Choice = AS_THE_SCENE_SAYS) -> Path:
    """The folder for plates. Raises InvalidInput where none is chosen."""
    output = _output(context, choice)
    if output is None:
        raise Unset(
            "No output folder is chosen.", hint="Choose one in the Dubplate panel, or give --out.", setting="output"
        )
    return output


def reach_backend(session: Session, context: bpy.types.Context, choice: Choice = AS_THE_SCENE_SAYS) -> None:
    """Connect to the backend that is named, or start one that reaches this scene's shots, actor and output.

    Raises InvalidInput, BackendUnreachable, ProtocolMismatch.
    """
    connection = choice.connection or ("" if choice.python else context.scene.dubplate.connection)
    if connection:
        key = preference(context, "key")
        session.connect(_path(connection), _path(key) if key else None)
    else:
        session.start(_environment(context, choice))


def backend_python(context: bpy.types.Context, chosen: str = "") -> Path:
    """The Python that has the backend: `chosen`, or as the preferences say. Raises InvalidInput where there is none."""
    python = chosen or preference(context, "python")
    if not python:
        raise Unset(
            "No Python for the backend is set.",
            hint="Set it in Preferences > Add-ons > Dubplate, or give --python or --connection.",
            setting="python",
        )
    return _path(python)


def _environment(context: bpy.types.Context, choice: Choice) -> Environment:
    python = backend_python(context, choice.python)
    folder, head = preference(context, "actor_folder"), preference(context, "head")
    scratch = Path(bpy.app.tempdir)
    roots = [package.parent for package in _packages(context)]
    roots += [actor.parent for actor in _actors(context, choice)]
    roots += [_path(folder).resolve()] if folder else []
    return Environment(
        python=python,
        roots=tuple(dict.fromkeys(root for root in roots if root.is_dir())) or (scratch,),
        output_root=_made(_output(context, choice) or scratch),
        head=str(_path(head)) if head else "",
    )


def _packages(context: bpy.types.Context) -> Iterator[Path]:
    """Where the scene's shots are; those that are gone are no reason to have no backend for the others."""
    for armature in heads(context.scene):
        with suppress(InvalidInput):
            yield ShotLink.of(armature).package().resolve()


def _actors(context: bpy.types.Context, choice: Choice) -> Iterator[Path]:
    texts = [choice.actor, context.scene.dubplate.actor, *(head.dubplate_actor for head in heads(context.scene))]
    return (_path(text).resolve() for text in texts if text)


def _output(context: bpy.types.Context, choice: Choice) -> Path | None:
    text = choice.output or context.scene.dubplate.output or preference(context, "output")
    if text.startswith("//") and not bpy.data.filepath:
        raise InvalidInput(f"{text} is relative to a file that was never saved.", hint="Save the .blend first.")
    return _path(text).resolve() if text else None


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputNotWritable(f"Cannot make {folder}: {error.strerror}.", hint="Choose another folder.") from error
    return folder


def _path(text: str) -> Path:
    return Path(bpy.path.abspath(text)).expanduser()


def _scene_frames(scene: bpy.types.Scene) -> str:
    if scene.use_preview_range:
        return f"{scene.frame_preview_start}-{scene.frame_preview_end}"
    return f"{scene.frame_start}-{scene.frame_end}"
