# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at the backend while the artist works: a glance a tick of a timer, never a wait, and no threads.

A socket cannot live in a .blend, so this Blender's one session stands in this module, from its first use until
`close_session` at unregister. Timers never fire under -b: there, `wait` blocks.
"""

from __future__ import annotations

from collections.abc import Callable

import bpy

from dubplate_shared.errors import DubplateError
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

from .connection.session import RenderRequest, Session
from .request import AS_THE_SCENE_SAYS, Choice, build_request, reach_backend

BUSY_INTERVAL_S = 0.1
IDLE_INTERVAL_S = 1.0

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
    if named or current.hello is None or not current.serves(request):
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


def is_rendering() -> bool:
    """Whether a job runs or waits to be sent."""
    return bool(session().job) or _waiting is not None


def status() -> bpy.types.PropertyGroup:
    """What the panel shows."""
    return bpy.context.window_manager.dubplate


def show_error(error: DubplateError) -> None:
    """Put an error with its fix where the panel shows it."""
    status().error, status().hint, status().stage = error.message, error.hint, ""


def clear_status() -> None:
    """Before a new attempt: nothing of the last one stays."""
    now = status()
    now.progress, now.stage, now.error, now.hint, now.result = 0.0, "", "", "", ""


def _watch() -> None:
    if not bpy.app.background and not bpy.app.timers.is_registered(_tick):
        bpy.app.timers.register(_tick, first_interval=0.0, persistent=True)


def _tick() -> float | None:
    """One look. Returns seconds until the next, None to rest."""
    try:
        return _look()
    except DubplateError as error:
        show_error(error)
        return IDLE_INTERVAL_S if session().hello is not None or session().starting else None
    finally:
        _redraw()


def _look() -> float | None:
    current = session()
    if current.starting and not current.try_connect():
        return BUSY_INTERVAL_S
    if current.hello is None:
        return None
    _send_waiting()
    job = current.job
    for event in current.poll():
        _take_in(event, job)
    return BUSY_INTERVAL_S if current.job else IDLE_INTERVAL_S


def _send_waiting() -> None:
    global _waiting
    if _waiting is not None:
        request, _waiting = _waiting, None
        session().submit(request)


def _take_in(event: Message, job: str) -> None:
    """Show what an event tells of `job`."""
    if getattr(event, "job", "") != job:
        return
    now = status()
    if isinstance(event, JobProgress | JobInfo) and event.total:
        now.progress, now.stage = event.done / event.total, event.stage.capitalize()
    if isinstance(event, JobFrame):
        now.result = event.path
    elif isinstance(event, JobFinished) or (isinstance(event, JobInfo) and event.state == JobState.FINISHED):
        now.progress, now.stage = 1.0, "Finished"
    elif isinstance(event, JobCancelled) or (isinstance(event, JobInfo) and event.state == JobState.CANCELLED):
        now.stage = "Cancelled"
    elif isinstance(event, JobFailed | JobPaused | JobInfo) and event.error is not None:
        show_error(event.error.exception())


def _redraw() -> None:
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()
