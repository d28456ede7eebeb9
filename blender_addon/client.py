# SPDX-License-Identifier: GPL-3.0-or-later
"""The client of the backend: no bpy, no threads.  The contract is PROTOCOL.md.

Call `poll` from a timer, or let the blocking calls do it; every call looks at all sockets and at the line itself, so
that a dead backend is noticed by whichever call comes next.
"""

from __future__ import annotations

import itertools
import time
import uuid
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
import zmq
from dubplate_shared.connection import Connection
from dubplate_shared.errors import BackendLost, BackendUnreachable, Cancelled, InvalidInput
from dubplate_shared.messages import (
    ActorLoad,
    ActorLoaded,
    Hello,
    HelloAck,
    JobCancel,
    JobCancelled,
    JobFailed,
    JobFinished,
    JobInfo,
    JobInfos,
    JobList,
    JobShow,
    JobState,
    JobSubmit,
    Message,
    Ping,
    Pong,
    Refusal,
    ShotLoad,
    ShotLoaded,
    Welcome,
)
from dubplate_shared.protocol import MAX_CONTROL_BYTES, SOCKET_OPTIONS, ProtocolError, check_version, pack, unpack
from dubplate_shared.validation import from_envelope, to_envelope
from zmq.utils.monitor import recv_monitor_message

PING_INTERVAL_S = 0.5
SILENT_AFTER_S = 2.5  # no pong for so long: said aloud within the 3 s that people wait
GIVEN_UP_AFTER_S = 30.0  # silent though the connection stands: busy inside native code, or stuck
CONNECT_TIMEOUT_S = 10.0
REQUEST_TIMEOUT_S = 60.0
STEP_MS = 50

Reply = TypeVar("Reply", bound=Message)
Event = Message


class Client:
    """A conversation with one backend. Made by `Client.connect`; use as a context manager, or call `close`.

    hello: what the backend said of itself.  beat: its last Pong.  responsive: False while it owes a pong for longer
    than SILENT_AFTER_S though the connection stands.  One thread at a time.
    """

    def __init__(self, connection: Connection, *, name: str = "dubplate client") -> None:
        self.hello: HelloAck | None = None
        self.beat: Pong | None = None
        self.responsive = True
        self._connection = connection
        self._name = name
        self._numbers = itertools.count(1)
        self._awaited: set[str] = set()
        self._replies: dict[str, Message] = {}
        self._events: deque[Event] = deque()
        self._sequence: int | None = None  # of the last event seen; None before the welcome
        self._watched: set[str] = set()  # jobs submitted here and not yet over
        self._missed = False
        self._ping_id = ""
        self._pinged_s = self._ponged_s = time.monotonic()
        self._lost: str = ""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._rpc = self._socket(zmq.DEALER)
        self._control = self._socket(zmq.DEALER)
        self._control.setsockopt(zmq.MAXMSGSIZE, MAX_CONTROL_BYTES)
        self._subscriber = self._socket(zmq.SUB)
        self._subscriber.setsockopt(zmq.SUBSCRIBE, connection.token.encode())
        ends = zmq.Event.DISCONNECTED | zmq.Event.CONNECT_RETRIED | zmq.Event.HANDSHAKE_FAILED_NO_DETAIL
        self._line = self._control.get_monitor_socket(ends | zmq.Event.HANDSHAKE_FAILED_PROTOCOL)
        sockets = (self._rpc, self._control, self._subscriber)
        self._poller = zmq.Poller()
        for socket in (*sockets, self._line):
            self._poller.register(socket, zmq.POLLIN)
        # Leaving the interpreter with sends in flight aborts the process, so the sockets are closed first in any case.
        self._finalizer = weakref.finalize(self, _shut, self._context, sockets)

    @classmethod
    def connect(
        cls, connection_file: Path | str, timeout: float = CONNECT_TIMEOUT_S, *, name: str = "dubplate client"
    ) -> Client:
        """Reach the backend that wrote `connection_file`. timeout: seconds.

        Raises BackendUnreachable where none answers, ProtocolMismatch where it speaks another version, InvalidInput
        for a broken file.
        """
        connection = Connection.read(connection_file)
        check_version(connection.protocol, own_name="this client", their_name="the backend")
        client = cls(connection, name=name)
        try:
            client._begin(timeout)
        except BackendLost as error:
            client.close()
            raise BackendUnreachable(
                f"No backend answers at {connection.endpoints['rpc']}: {error.message}",
                hint="It has ended: start it again, or remove its connection file.",
            ) from error
        except BaseException:
            client.close()
            raise
        return client

    def _begin(self, timeout: float) -> None:
        endpoints = self._connection.endpoints
        for socket, name in ((self._rpc, "rpc"), (self._control, "control"), (self._subscriber, "events")):
            socket.connect(endpoints[name])
        deadline_s = time.monotonic() + timeout
        self.hello = self._expect(Hello(client=self._name), HelloAck, timeout)
        check_version(self.hello.protocol, own_name="this client", their_name="the backend")
        while self._sequence is None:
            if time.monotonic() > deadline_s:
                raise BackendLost("its events do not arrive.", hint="Start it again.")
            self._pump(STEP_MS)

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
        base_take: str = "tracked",
        take_frames: str = "",
        expression: np.ndarray | None = None,
        jaw: np.ndarray | None = None,
        eyes: np.ndarray | None = None,
        settings: Mapping[str, Any] | None = None,
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
            **own,
        )
        job = self._expect(request, JobInfo).job
        self._watched.add(job)
        return job

    def show(self, job: str) -> JobInfo:
        """A job's state. Raises InvalidInput, BackendLost."""
        return self._expect(JobShow(job), JobInfo)

    def jobs(self) -> tuple[JobInfo, ...]:
        """The newest jobs' states, newest first. Raises BackendLost."""
        return self._expect(JobList(), JobInfos).jobs

    def cancel(self, job: str) -> JobInfo:
        """Ask a job to stop; its JobCancelled event tells when it has. Raises InvalidInput, BackendLost."""
        return self._expect(JobCancel(job), JobInfo)

    def ping(self, timeout: float = SILENT_AFTER_S) -> Pong:
        """The backend's beat, now. Raises BackendLost."""
        return self._expect(Ping(), Pong, timeout)

    def asset_id(self, path: Path | str) -> str:
        """The id of a shot or actor that lies beneath one of the backend's roots. Raises InvalidInput."""
        return _relative(path, self.hello.roots if self.hello else (), "--root")

    def output_id(self, path: Path | str) -> str:
        """The id of an output folder beneath the backend's output root. Raises InvalidInput."""
        return _relative(path, (self.hello.output_root,) if self.hello else (), "--output-root")

    # --- listening ---------------------------------------------------------------------------------------------

    def poll(self, timeout_ms: int = 0) -> list[Event]:
        """News since the last call: JobProgress, JobFrame, JobFinished, JobFailed, JobCancelled, Log, and JobInfo where
        news was missed and the job's state was asked for instead. Waits for the first at most `timeout_ms`.

        Raises BackendLost within 3 s of the backend's end, if called that often.
        """
        if not self._events:
            self._pump(timeout_ms)
        self._pump(0)
        if self._missed:
            self._catch_up()
        events = list(self._events)
        self._events.clear()
        return events

    def wait(self, job: str, on_event: Callable[[Event], None] | None = None, timeout: float | None = None) -> JobInfo:
        """Block until a job is over; its state then. on_event: sees every event, also other jobs'.

        Raises the error that the job failed with, Cancelled, BackendLost, TimeoutError after `timeout` seconds.
        """
        deadline_s = None if timeout is None else time.monotonic() + timeout
        self._watched.add(job)
        info = self.show(job)  # it may be over already, and its events gone by
        while not JobState(info.state).final:
            if deadline_s is not None and time.monotonic() > deadline_s:
                raise TimeoutError(f"Job {job} is not over after {timeout} s.")
            for event in self.poll(STEP_MS):
                if on_event is not None:
                    on_event(event)
                if _ends(event, job):
                    info = self.show(job)
        self._watched.discard(job)
        if info.error is not None:
            raise info.error.exception()
        if info.state == JobState.CANCELLED:
            raise Cancelled(f"Job {job} was cancelled.", hint="Plates already written are whole.")
        return info
