# SPDX-License-Identifier: GPL-3.0-or-later
"""The client of the backend: no bpy, no threads.  The contract is PROTOCOL.md.

Call `poll` from a timer, or let the blocking calls do it; every call also looks at the line itself, so that a dead
backend is noticed by whichever call comes next.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from dubplate_shared.connection import Connection
from dubplate_shared.errors import BackendLost, BackendUnreachable, Cancelled, DubplateError, InvalidInput
from dubplate_shared.keys import KeyPair
from dubplate_shared.messages import (
    ActorLoad,
    ActorLoaded,
    BulkOpen,
    BulkOpened,
    HelloAck,
    JobCancel,
    JobCancelled,
    JobFailed,
    JobFinished,
    JobInfo,
    JobInfos,
    JobList,
    JobPause,
    JobPaused,
    JobPrioritise,
    JobProgress,
    JobResume,
    JobRetry,
    JobShow,
    JobState,
    JobSubmit,
    Message,
    Ping,
    Pong,
    PreviewCancel,
    PreviewDraw,
    PreviewWarm,
    ShotLoad,
    ShotLoaded,
    Stage,
)
from dubplate_shared.preview_messages import MAX_CREDIT_BYTES
from dubplate_shared.tiles import Pixels
from dubplate_shared.versions import agree

from .backend_process import BackendProcess, start_backend
from .line import PREVIEW, SILENT_AFTER_S, STEP_MS, Line, Reply, answered, exchange, greet
from .pictures import RING_BYTES, open_pictures

__all__ = ["BackendProcess", "Client", "start_backend"]

CONNECT_TIMEOUT_S = 10.0
REQUEST_TIMEOUT_S = 60.0
STUCK_AFTER_S = 2.0  # with the pings' interval, said within 3 s
ENDINGS = (JobFinished, JobFailed, JobCancelled)

Event = Message | Pixels


class Client:
    """A conversation with one backend. Made by `Client.connect`; use as a context manager, or call `close`.

    hello: what the backend said of itself.  One thread at a time.
    """

    def __init__(self, line: Line, hello: HelloAck) -> None:
        self.hello = hello
        self._line = line
        self._watched: set[str] = set()  # jobs whose end is awaited here
        self._generation = 0
        self._opening = ""  # id of the request for pictures that is on its way

    @classmethod
    def connect(
        cls,
        connection_file: Path | str,
        timeout: float = CONNECT_TIMEOUT_S,
        *,
        name: str = "dubplate client",
        key_file: Path | str | None = None,
    ) -> Client:
        """Reach the backend that wrote `connection_file`. timeout: seconds.  name: for the backend's log.

        key_file: this client's NAME.key, for a backend on a network.
        Raises BackendUnreachable where none answers, NotAdmitted where it does not let this client in,
        ProtocolMismatch where it speaks another version, InvalidInput for a broken file.
        """
        connection = Connection.read(connection_file)
        agree(connection.versions, own_name="the client", their_name="the backend")
        line = Line(connection, KeyPair.read(key_file) if key_file else None)
        try:
            return cls(line, greet(line, name, timeout))
        except BackendLost as error:
            line.close()
            raise BackendUnreachable(
                f"No backend answers at {connection.endpoints['rpc']}: {error.message}",
                hint=f"It has ended: start it again. {connection_file} is left from its last run.",
            ) from error
        except BaseException:
            line.close()
            raise

    @property
    def beat(self) -> Pong | None:
        """The backend's last sign of life: what it works at, and for how long without progress."""
        return self._line.beat

    @property
    def responsive(self) -> bool:
        """False while it answers no ping though its process lives: busy inside native code, or stuck."""
        return self._line.responsive

    @property
    def stuck(self) -> bool:
        """True while it answers and its job gives no sign of life: no progress, and no use of the processor."""
        beat = self._line.beat
        return beat is not None and beat.still_s is not None and beat.still_s >= STUCK_AFTER_S

    # --- asking ------------------------------------------------------------------------------------------------

    def load_shot(self, shot: str) -> ShotLoaded:
        """Check a shot by id. Raises InvalidInput, HeadModelMismatch, BackendLost."""
        return self._expect(ShotLoad(shot), ShotLoaded)

    def load_actor(self, actor: str) -> ActorLoaded:
        """Check an actor by id. Raises InvalidInput, HeadModelMismatch, BackendLost."""
        return self._expect(ActorLoad(actor), ActorLoaded)

    def submit(
        self,
        *,
        shot: str,
        actor: str,
        frames: str,
        output: str,
        version: int = 1,
        take: str = "tracked",
        base_take: str = "",
        take_frames: str = "",
        expression: np.ndarray | None = None,
        jaw: np.ndarray | None = None,
        eyes: np.ndarray | None = None,
        settings: Mapping[str, Any] | None = None,
        priority: int = 0,
        key: str | None = None,
    ) -> str:
        """Queue a render and return its job id at once; fields as JobSubmit's. The arrays are copied: edit on.

        key: the same key with the same work gives the same job, so that asking again is safe.
        Raises InvalidInput, HeadModelMismatch, QueueFull, BackendLost.
        """
        curves = {"expression": expression, "jaw": jaw, "eyes": eyes}
        own = {name: None if array is None else np.array(array, np.float32) for name, array in curves.items()}
        request = JobSubmit(
            key=key or uuid.uuid4().hex,
            shot=shot,
            actor=actor,
            frames=frames,
            output=output,
            version=version,
            take=take,
            base_take=base_take,
            take_frames=take_frames,
            settings=dict(settings or {}),
            priority=priority,
            **own,
        )
        info = self._expect(request, JobInfo)
        if not _at_rest(info):  # a job known by its key may be over: no news of it will come
            self._watched.add(info.job)
        return info.job

    def watch(self, job: str) -> JobInfo:
        """Hear of a job that another connection submitted, from where it stands. Raises InvalidInput, BackendLost."""
        info = self.show(job)
        self._watched.add(job)
        self._line.missed = True  # `poll` tells what has happened since
        return info

    def show(self, job: str) -> JobInfo:
        """A job's state. Raises InvalidInput, BackendLost."""
        return self._expect(JobShow(job), JobInfo)

    def jobs(self) -> tuple[JobInfo, ...]:
        """The newest jobs' states, newest first. Raises BackendLost."""
        return self._expect(JobList(), JobInfos).jobs

    def cancel(self, job: str) -> JobInfo:
        """Ask a job to stop; its JobCancelled event tells when it has. Raises InvalidInput, NotAllowed, BackendLost."""
        return self._expect(JobCancel(job), JobInfo)

    def pause(self, job: str) -> JobInfo:
        """Ask a job to rest; its JobPaused event tells when it does. Raises as `cancel`."""
        return self._expect(JobPause(job), JobInfo)

    def resume(self, job: str) -> JobInfo:
        """Let a paused job go on. Raises as `cancel`."""
        return self._expect(JobResume(job), JobInfo)

    def retry(self, job: str) -> JobInfo:
        """Queue a job again that failed or was cancelled. Raises as `cancel`."""
        return self._expect(JobRetry(job), JobInfo)

    def prioritise(self, job: str, priority: int) -> JobInfo:
        """Let a job go before those of a lower priority. priority: -100 to 100.  Raises as `cancel`."""
        return self._expect(JobPrioritise(job, priority), JobInfo)

    def preview(
        self,
        *,
        shot: str,
        actor: str,
        frame: int,
        upto: str = Stage.CROP,
        filmed: bool = False,
        take: str = "tracked",
        base_take: str = "",
        take_frames: str = "",
        expression: np.ndarray | None = None,
        jaw: np.ndarray | None = None,
        eyes: np.ndarray | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> int:
        """Ask for one frame now, instead of those asked for before; fields as PreviewDraw's. Returns its generation.

        `poll` brings its pictures (Pixels), the face crop first, and PreviewOver when it has ended in any way.
        Raises InvalidInput, BackendLost.
        """
        self._open_pictures()
        curves = {"expression": expression, "jaw": jaw, "eyes": eyes}
        own = {name: None if array is None else np.array(array, np.float32) for name, array in curves.items()}
        request = PreviewDraw(
            generation=self._generation + 1,
            shot=shot,
            actor=actor,
            frame=frame,
            upto=upto,
            filmed=filmed,
            take=take,
            base_take=base_take,
            take_frames=take_frames,
            settings=dict(settings or {}),
            **own,
        )
        self._line.tell(request, f"{PREVIEW}{request.generation}")
        self._generation = request.generation
        return self._generation

    def cancel_preview(self) -> None:
        """Stop the preview under way, also in the middle of a stage. Raises BackendLost."""
        if self._generation:
            self._line.tell(PreviewCancel(self._generation))

    def warm(self, *, shot: str, actor: str, frame: int) -> None:
        """Have the backend load what previews will need, and pictures opened: the first one then comes sooner. Never
        waits; nothing comes of what cannot be loaded.

        Raises InvalidInput, BackendLost.
        """
        self._line.tell(PreviewWarm(shot, actor, frame))
        if self._line.pictures is None and not self._opening:
            self._opening = self._line.send(BulkOpen(MAX_CREDIT_BYTES, RING_BYTES))

    def ping(self, timeout: float = SILENT_AFTER_S) -> Pong:
        """The backend's beat, now. Raises BackendLost."""
        return self._expect(Ping(), Pong, timeout)

    def asset_id(self, path: Path | str) -> str:
        """The id of a shot or actor that lies beneath one of the backend's roots. Raises InvalidInput."""
        return _relative(path, self.hello.roots, "--root")

    def output_id(self, path: Path | str) -> str:
        """The id of an output folder beneath the backend's output root. Raises InvalidInput."""
        return _relative(path, (self.hello.output_root,), "--output-root")

    # --- listening ---------------------------------------------------------------------------------------------

    def poll(self, timeout_ms: int = 0) -> list[Event]:
        """News since the last call: JobProgress, JobFrame, JobFinished, JobFailed, JobCancelled, JobPaused, Log, and of
        previews Pixels and PreviewOver. Where news was missed, progress and endings are asked for instead. Waits for
        the first at most `timeout_ms`.

        Raises BackendLost within 3 s of the backend's end, if called that often.
        """
        line = self._line
        deadline_s = time.monotonic() + timeout_ms / 1000
        line.pump(0)
        while not (line.events or line.missed or line.lost) and (left_s := deadline_s - time.monotonic()) > 0:
            line.pump(min(STEP_MS, math.ceil(left_s * 1000)))
        if not line.events:
            line.check()  # what came before the end is told before the end
        if line.missed and not line.lost:
            self._catch_up()
        if self._opening:
            self._take_pictures()
        events = list(line.events)
        line.events.clear()
        self._watched -= {event.job for event in events if over(event)}
        return events

    def wait(self, job: str, on_event: Callable[[Event], None] | None = None, timeout: float | None = None) -> JobInfo:
        """Block until a job is over; its state then. on_event: sees every event, also other jobs'.

        A job that somebody pauses is waited for; one that a full disk pauses is over for now.
        Raises the error that it failed or rests with, Cancelled, BackendLost, TimeoutError after `timeout` seconds.
        """
        deadline_s = None if timeout is None else time.monotonic() + timeout
        told = job not in self._watched and _at_rest(self.show(job))
        self._watched.add(job)
        while not told:
            if deadline_s is not None and time.monotonic() > deadline_s:
                raise TimeoutError(f"Job {job} is not over after {timeout} s.")
            for event in self.poll(STEP_MS):
                if on_event is not None:
                    on_event(event)
                told = told or (over(event) and event.job == job)
        self._watched.discard(job)
        info = self.show(job)
        if info.error is not None:
            raise info.error.exception()
        if info.state == JobState.CANCELLED:
            raise Cancelled(f"Job {job} was cancelled.", hint="Plates already written are whole.")
        return info

    def request(self, message: Message) -> str:
        """Send without waiting for the answer; `reply` has it once `poll` has seen it. Raises BackendLost."""
        return self._line.send(message)

    def reply(self, id: str) -> Message | None:
        """The answer to `request`, once; None while it is on its way. Raises what the backend refused with."""
        return self._line.reply(id)

    # --- ending ------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the sockets; the backend and its jobs go on. May be called twice."""
        self._line.close()
        if self._line.pictures is not None:
            self._line.pictures.close()
            self._line.pictures = None

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # --- inside ------------------------------------------------------------------------------------------------

    def _expect(self, message: Message, kind: type[Reply], timeout: float = REQUEST_TIMEOUT_S) -> Reply:
        return exchange(self._line, message, kind, timeout)

    def _open_pictures(self) -> None:
        """Ask for pictures, through shared memory where both sides are on one machine."""
        for ring in (RING_BYTES, 0):
            if self._line.pictures is None:
                asked = BulkOpen(MAX_CREDIT_BYTES, ring)
                id, self._opening = self._opening or self._line.send(asked), ""
                self._line.pictures = open_pictures(answered(self._line, id, asked, BulkOpened, REQUEST_TIMEOUT_S))

    def _take_pictures(self) -> None:
        """Open pictures if the answer has come. What is refused the first preview asks for again, and says why."""
        with suppress(DubplateError):
            opened = self._line.reply(self._opening)
            if opened is None:
                return
            if isinstance(opened, BulkOpened):
                self._line.pictures = open_pictures(opened)
        self._opening = ""

    def _catch_up(self) -> None:
        """Ask for what missed events would have told: each watched job's progress, and its end if it is over."""
        self._line.missed = False
        for job in tuple(self._watched):
            info = self.show(job)
            self._line.events.append(JobProgress(job, info.done, info.total, info.stage))
            if _at_rest(info):
                self._line.events.append(_ending(info))


def over(event: object) -> bool:
    """Whether it tells that a job is over, or rests because something is in its way."""
    return isinstance(event, ENDINGS) or (isinstance(event, JobPaused) and event.error is not None)


def _at_rest(info: JobInfo) -> bool:
    return JobState(info.state).final or (info.state == JobState.PAUSED and info.error is not None)


def _ending(info: JobInfo) -> Event:
    if info.state == JobState.PAUSED:
        return JobPaused(info.job, info.error)
    if info.error is not None:
        return JobFailed(info.job, info.error)
    return JobFinished(info.job) if info.state == JobState.FINISHED else JobCancelled(info.job)


def _relative(path: Path | str, folders: tuple[str, ...], option: str) -> str:
    whole = Path(path).expanduser().resolve()
    for folder in folders:
        if whole.is_relative_to(folder):
            return whole.relative_to(folder).as_posix()
    raise InvalidInput(
        f"{path} is not beneath a folder that the backend serves ({', '.join(folders)}).",
        hint=f"Start the backend with {option} naming a folder above it.",
    )
