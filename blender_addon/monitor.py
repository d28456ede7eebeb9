# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at the backend while the artist works: a glance a tick of a timer, never a wait, and no threads.

A socket cannot live in a .blend, so this Blender's one session stands in this module, from its first use until
`close_session` at unregister. Timers never fire under -b: there, `wait` blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import bpy

from dubplate_shared.errors import BackendLost, DubplateError
from dubplate_shared.messages import (
    JobCancelled,
    JobFailed,
    JobFinished,
    JobFrame,
    JobInfo,
    JobPaused,
    JobProgress,
    JobState,
    Message,
)

from .connection.client import Event
from .connection.session import RenderRequest, Session
from .fixes import fix_of
from .request import AS_THE_SCENE_SAYS, Choice, build_request, reach_backend
from .warming import warm

BUSY_INTERVAL_S = 0.1
IDLE_INTERVAL_S = 1.0


class Listener(Protocol):
    """Who hears of the backend beside the panel."""

    def take(self, event: Event) -> None:
        """An event came."""

    def look(self) -> float:
        """Do what is due, within milliseconds; seconds until the next look."""

    def lost(self) -> None:
        """The backend is gone; it may come back."""


_listeners: list[Listener] = []
_session: Session | None = None
_waiting: RenderRequest | None = None  # goes out as soon as the backend that is being started answers


def session() -> Session:
    """The session of this Blender."""
    global _session
    if _session is None:
        _session = Session()
    return _session


def close_session() -> None:
    """End the timer, the connection, and the backend if it is ours."""
    global _session, _waiting
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    if _session is not None:
        _session.close()
    _session = _waiting = None


def connect(context: bpy.types.Context, choice: Choice = AS_THE_SCENE_SAYS) -> None:
    """Connect, or start a backend, which answers some seconds later. Raises InvalidInput, BackendUnreachable."""
    reach_backend(session(), context, choice)
    _watch()


def render(context: bpy.types.Context, choice: Choice = AS_THE_SCENE_SAYS) -> RenderRequest:
    """Send the render off, to a backend that is started for it if need be, and return what was asked.

    Raises what build_request and reach_backend raise, and what the backend refuses with.
    """
    global _waiting
    request = build_request(context, choice)
    current = session()
    named = choice.connection or choice.python
    if named or current.hello is None or not current.serves(request.shot, request.actor, request.output):
        reach_backend(current, context, choice)
    if current.starting:
        _waiting = request
        status().stage = "Starting the backend"
    else:
        current.submit(request)
    _watch()
    return request


def wait_until_connected() -> None:
    """Block until the backend answers. Raises BackendUnreachable."""
    session().wait_until_connected()


def wait(on_event: Callable[[Message], None] | None = None) -> JobInfo:
    """Block until the job that `render` sent off is over; its state then.

    Raises what the job failed with, Cancelled, BackendLost, BackendUnreachable.
    """
    wait_until_connected()
    _send_waiting()
    job = session().job

    def take_in(event: Message) -> None:
        _take_in(event, job)
        if on_event is not None:
            on_event(event)

    info = session().wait(take_in)
    _take_in(info, job)
    return info


def cancel() -> None:
    """Stop the job under way, or forget the one that waits for its backend."""
    global _waiting
    _waiting = None
    session().cancel()


def listen(listener: Listener) -> None:
    """Tell `listener` of all that comes, from now on, and let it look at every tick."""
    if listener not in _listeners:
        _listeners.append(listener)
    hurry()


def unlisten(listener: Listener) -> None:
    """Tell it no more."""
    if listener in _listeners:
        _listeners.remove(listener)


def hurry() -> None:
    """Look at once, and not when the last look said: something is on its way."""
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    _watch()


def is_rendering() -> bool:
    """Whether a job runs or waits to be sent."""
    return bool(session().job) or _waiting is not None


def status() -> bpy.types.PropertyGroup:
    """What the panel shows."""
    return bpy.context.window_manager.dubplate


def show_error(error: DubplateError) -> None:
    """Put an error with its fix where the panel shows it, and the button that does it."""
    now = status()
    now.error, now.hint, now.stage, now.code = error.message, error.hint, "", error.code
    now.fix = fix_of(error)


def clear_error() -> None:
    """Before a new attempt at something else than a render, whose result stays."""
    now = status()
    now.error = now.hint = now.code = now.fix = ""


def clear_status() -> None:
    """Before a new attempt: nothing of the last one stays."""
    now = status()
    clear_error()
    now.progress, now.drawn, now.kept = 0.0, 0, 0
    now.stage = now.result = ""


def _watch() -> None:
    if not bpy.app.background and not bpy.app.timers.is_registered(_tick):
        bpy.app.timers.register(_tick, first_interval=0.0, persistent=True)


def _tick() -> float | None:
    """One look. Returns seconds until the next, None to rest."""
    try:
        return _look()
    except DubplateError as error:
        show_error(error)
        if session().hello is None:
            for listener in _listeners:
                listener.lost()
        return IDLE_INTERVAL_S if session().hello is not None or session().starting else None
    finally:
        redraw_panels()


def _look() -> float | None:
    current = session()
    if current.starting:
        if not current.try_connect():
            return BUSY_INTERVAL_S
        if status().code == BackendLost.code:  # it is back, and what it was asked for goes on
            clear_status()
    _send_waiting()
    job = current.job
    for event in current.poll():
        _take_in(event, job)
        for listener in _listeners:
            listener.take(event)
    if not _listeners:  # else previews are on, and load what they need themselves
        warm(current, bpy.context)
    waits = [listener.look() for listener in _listeners]
    if current.hello is None:
        return min(waits, default=None)
    return min([BUSY_INTERVAL_S if current.job else IDLE_INTERVAL_S, *waits])


def _send_waiting() -> None:
    global _waiting
    if _waiting is not None:
        request, _waiting = _waiting, None
        session().submit(request)


def _take_in(event: Event, job: str) -> None:
    """Show what an event tells of `job`."""
    if getattr(event, "job", "") != job:
        return
    now = status()
    if isinstance(event, JobProgress | JobInfo) and event.total:
        now.progress, now.stage = event.done / event.total, event.stage.capitalize()
    if isinstance(event, JobFrame):
        now.result = event.path
        now.drawn, now.kept = now.drawn + (not event.kept), now.kept + event.kept
    elif isinstance(event, JobFinished) or (isinstance(event, JobInfo) and event.state == JobState.FINISHED):
        now.progress, now.stage = 1.0, "Finished"
    elif isinstance(event, JobCancelled) or (isinstance(event, JobInfo) and event.state == JobState.CANCELLED):
        now.stage = "Cancelled"
    elif isinstance(event, JobFailed | JobPaused | JobInfo) and event.error is not None:
        show_error(event.error.exception())


def redraw_panels() -> None:
    """The panel alone: the scene is none the newer."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions if area.type == "VIEW_3D" else ():
                if region.type == "UI":
                    region.tag_redraw()
