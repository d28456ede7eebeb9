# SPDX-License-Identifier: GPL-3.0-or-later
"""`blender --command dubplate render …` and `export …`: the add-on without a window, for farms.

The command opens the .blend itself: Blender goes on with its default scene, and with exit code 0, where a file given
before --command is missing or too new.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import bpy

from dubplate_shared.errors import DubplateError, ExitCode, InvalidInput
from dubplate_shared.frames import parse_frames
from dubplate_shared.messages import JobFrame, JobInfo, JobProgress, Log, Message
from dubplate_shared.plate_names import plate_path

from . import monitor
from .connection.session import RenderRequest
from .request import Choice
from .scene.export_head import export_head
from .scene.shot_link import find_head

_UNFINISHED_PERCENT = 99.0


class Terminated(BaseException):
    """SIGTERM: a farm stops the task. No Exception, so that nothing on the way takes it for a failure of its own."""


def main(arguments: Sequence[str]) -> int:
    """Run `dubplate ARGUMENTS…` and return the exit code (dubplate_shared.errors.ExitCode)."""
    options = _parser().parse_args(arguments)
    try:
        with _terminated_by_sigterm():
            return _render(options) if options.command == "render" else _export(options)
    except DubplateError as error:
        print(f"openjd_fail: {error.message.splitlines()[0]}", flush=True)
        print(f"Error: {error.message}\n{error.hint}".rstrip(), file=sys.stderr, flush=True)
        return int(error.exit_code)
    finally:
        monitor.close_session()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="blender --command dubplate", description="Dubplate without a window.")
    commands = parser.add_subparsers(dest="command", required=True)
    render = commands.add_parser(
        "render",
        help="render a .blend's keys to plates",
        epilog="Example: blender --command dubplate render --blend shot.blend --frames 1001-1100 "
        "--actor anna.dubactor --out plates --python .venv/bin/python",
    )
    render.add_argument("--blend", default="", help="the file to open; default: the one opened before --command")
    render.add_argument("--frames", default="", help="such as 1001-1100 or 1001-1100x2,1200; default: the scene's")
    render.add_argument("--actor", default="", help="NAME.dubactor; default: the scene's")
    render.add_argument("--out", default="", help="folder for the plates; default: the scene's")
    render.add_argument("--version", type=int, default=0, help="version of the plates; default: the scene's")
    render.add_argument("--head", default="", help="armature or shot, where the scene has several")
    backend = render.add_mutually_exclusive_group()
    backend.add_argument("--connection", default="", help="connection file of a running backend")
    backend.add_argument("--python", default="", help="Python of Dubplate's environment, to start a backend with")
    export = commands.add_parser(
        "export",
        help="write a .blend's animated head and camera as Alembic or USD",
        epilog="Example: blender --command dubplate export --blend shot.blend --out shot.abc",
    )
    export.add_argument("--blend", default="", help="the file to open; default: the one opened before --command")
    export.add_argument("--out", required=True, help="NAME.abc, NAME.usd, NAME.usdc or NAME.usda")
    export.add_argument("--frames", default="", help="such as 1001-1100; default: the shot's")
    export.add_argument("--head", default="", help="armature or shot, where the scene has several")
    return parser


def _export(options: argparse.Namespace) -> int:
    open_blend(options.blend)
    frames = parse_frames(options.frames) if options.frames else ()
    head = find_head(bpy.context, options.head)
    print("openjd_status: Exporting", flush=True)
    exported = export_head(bpy.context, head, _absolute(options.out), frames)
    print("openjd_progress: 100.0", flush=True)
    print(f"Saved: '{exported.path}'", flush=True)
    return int(ExitCode.OK)


def _render(options: argparse.Namespace) -> int:
    open_blend(options.blend)
    choice = Choice(
        head=options.head,
        actor=_absolute(options.actor),
        output=_absolute(options.out),
        frames=options.frames,
        version=options.version,
        connection=_absolute(options.connection),
        python=_absolute(options.python),
    )
    monitor.clear_status()
    print("openjd_status: Starting", flush=True)
    report = _Report(monitor.render(bpy.context, choice))
    try:
        info = monitor.wait(report.take_in)
    except (KeyboardInterrupt, Terminated) as stop:
        monitor.cancel()
        print("openjd_fail: Stopped; plates already written are whole.", flush=True)
        return int(ExitCode.TERMINATED if isinstance(stop, Terminated) else ExitCode.INTERRUPTED)
    report.finish(info)
    return int(ExitCode.OK)


class _Report:
    """Lines that schedulers read: Open Job Description's, and the one that Flamenco finds plates by."""

    def __init__(self, request: RenderRequest) -> None:
        self._request = request
        self._saved: set[int] = set()
        self._percent = 0.0

    def take_in(self, event: Message) -> None:
        if isinstance(event, JobProgress) and event.total:
            # A job has stages that each count from nought; a scheduler's bar must not run backwards, nor end early.
            self._percent = max(self._percent, min(100.0 * event.done / event.total, _UNFINISHED_PERCENT))
            print(f"openjd_progress: {self._percent:.1f}", flush=True)
            print(f"openjd_status: {event.stage} {event.done}/{event.total}", flush=True)
        elif isinstance(event, JobFrame):
            self._say_saved(event.frame)
        elif isinstance(event, Log):
            print(f"{event.level}: {event.text}", file=sys.stderr, flush=True)

    def finish(self, info: JobInfo) -> None:
        """Say what the events, which may be missed, left unsaid."""
        for frame in parse_frames(info.written) if info.written else ():
            self._say_saved(frame)
        print("openjd_progress: 100.0", flush=True)

    def _say_saved(self, frame: int) -> None:
        if frame not in self._saved:
            self._saved.add(frame)
            request = self._request
            path = plate_path(request.output, request.shot_name, request.version, frame)
            print(f"Saved: '{path}'", flush=True)


def open_blend(blend: str) -> None:
    """Open the file, or insist that one is open. Raises InvalidInput where it is missing, broken or too new."""
    if not blend:
        if not bpy.data.filepath:
            raise InvalidInput("No .blend is open.", hint="Give --blend FILE; a file that cannot be opened is no file.")
        return
    path = Path(_absolute(blend))
    if not path.is_file():
        raise InvalidInput(f"{path} does not exist.", hint="Check --blend.")
    try:
        bpy.ops.wm.open_mainfile(filepath=str(path), load_ui=False)
    except RuntimeError as error:
        reason = str(error).strip().removeprefix("Error: ")
        raise InvalidInput(
            f"Blender {bpy.app.version_string} cannot open {path}: {reason}",
            hint="Is it of a newer Blender, or broken?",
        ) from error


def _absolute(path: str) -> str:
    """Paths of a command line are relative to where it was typed, not to the .blend."""
    return str(Path(path).expanduser().absolute()) if path else ""


@contextmanager
def _terminated_by_sigterm() -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
