# SPDX-License-Identifier: GPL-3.0-or-later
"""The one repair under way in this Blender, looked at by a timer; under -b, where timers never fire, it is waited for.

A process cannot live in a .blend, so it stands in this module, from its start until it is over or the add-on leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import bpy

from dubplate_shared.errors import Cancelled, DubplateError, InvalidInput

from .. import monitor
from ..layers import stack
from ..preferences import preference
from ..request import backend_python
from ..scene.shot_link import ShotLink, find_head
from .process import RepairProcess, start_repair
from .read_again import read_again

_LOOK_INTERVAL_S = 0.1

_process: RepairProcess | None = None
_head = ""  # name of the armature whose shot it is


def running() -> RepairProcess | None:
    """The repair under way."""
    return _process


def start(context: bpy.types.Context, armature: bpy.types.Object, arguments: Sequence[str], python: str = "") -> None:
    """Run `dubplate repair` on the head's shot, and read the shot again when it is over.

    python: of the environment with the backend; as the preferences say unless told.
    Raises InvalidInput where one is under way, the layers are baked, or there is no Python.
    """
    global _process, _head
    if _process is not None:
        raise InvalidInput("A repair is under way.", hint="Wait for it, or cancel it.")
    stack.require_layers(armature)
    chosen, head = backend_python(context, python), preference(context, "head")
    options = ("--head", str(Path(bpy.path.abspath(head)).expanduser())) if head else ()
    log_file = Path(bpy.app.tempdir) / "dubplate_repair.log"
    package = ShotLink.of(armature).package()
    _process = start_repair(chosen, package, (*arguments, *options), log_file)
    _head = armature.name
    if not bpy.app.background:
        bpy.app.timers.register(_tick, first_interval=_LOOK_INTERVAL_S, persistent=True)


def wait() -> None:
    """Block until the repair is over and the shot is read again.  Raises what it fails with."""
    global _process
    try:
        _process.wait()
        read_again(find_head(bpy.context, _head))
    finally:
        _process = None


def close() -> None:
    """End the timer, and the repair under way: the package stays as it was."""
    global _process
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    if _process is not None:
        _process.close()
    _process = None


def _tick() -> float | None:
    """One look. Returns seconds until the next, None when it is over."""
    global _process
    try:
        if not _process.done():
            return _LOOK_INTERVAL_S
        _process = None
        _read_again_as_a_step(_head)
    except Cancelled as error:
        _process = None
        monitor.status().stage = error.message
    except DubplateError as error:
        _process = None
        monitor.show_error(error)
    finally:
        monitor.redraw_panels()
    return None


def _read_again_as_a_step(head: str) -> None:
    """By the operator, so that it can be undone; it tells what goes wrong, and Blender raises that again."""
    windows = bpy.context.window_manager.windows
    window = next((each for each in windows if head in each.scene.objects), windows[0])
    with bpy.context.temp_override(window=window):
        try:
            bpy.ops.dubplate.read_shot_again("EXEC_DEFAULT", True, head=head)
        except RuntimeError as error:
            told = monitor.status()
            told.error = told.error or str(error).strip()  # where it could not even begin: the head is gone
