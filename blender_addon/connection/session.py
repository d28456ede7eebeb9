# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's one conversation with a backend: no bpy, no threads; looked at from a timer, or waited for in batch.

Where the connection breaks, a backend of our own is started again, unless it keeps dying, and somebody else's is asked
again for a while. A job outlives the conversation: the backend goes on with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dubplate_shared.errors import BackendLost, BackendUnreachable, InvalidInput
from dubplate_shared.messages import HelloAck, JobInfo, JobState, Message
from dubplate_shared.take import Take

from .backend_process import BackendProcess, start_backend
from .client import Client, Event, over

_CLIENT_NAME = "dubplate blender"
_LOST_STOP_TIMEOUT_S = 0.2  # one that no longer answers is not waited for
_MOST_RESTARTS = 3  # of our backend within _CALM_AFTER_S: what kills it more often is no accident
_CALM_AFTER_S = 300.0
_ASK_AGAIN_FOR_S = 60.0  # a backend that is not ours
_ASK_TIMEOUT_S = 0.3  # at each look of a timer
_STOP_TIMEOUT_S = 5.0  # closing Blender waits no longer; plates are written whole or not at all


@dataclass(frozen=True)
class Environment:
    """How to start a backend.  python: of the environment that holds it.  head: a model file, "" for the stand-in.

    roots: folders of the shots and actors that it may read.  output_root: the folder that it may write beneath.
    """

    python: Path
    roots: tuple[Path, ...]
    output_root: Path
    head: str = ""


@dataclass(frozen=True)
class RenderRequest:
    """What to draw: `frames` (an expression such as 1001-1100) of a shot with an actor, as `take` performs.

    base_take: the shot's take that was edited; its voice is the take's.
    """

    shot: Path
    shot_name: str
    actor: Path
    frames: str
    output: Path
    version: int
    take: Take
    base_take: str = ""


@dataclass(frozen=True)
class PreviewRequest:
    """One frame to draw up to a stage.  take: the curves of `take_frames` alone.  filmed: with what was filmed."""

    shot: Path
    actor: Path
    frame: int
    upto: str
    take: Take
    take_frames: str
    base_take: str = ""
    filmed: bool = False


class Session:
    """At most one backend, and at most one job of ours on it.  job: its id, "" when none runs."""

    def __init__(self) -> None:
        self.job = ""
        self._client: Client | None = None
        self._backend: BackendProcess | None = None
        self._environment: Environment | None = None  # of our own backend
        self._restarted_s: list[float] = []  # when, of late
        self._connection_file: Path | None = None  # of a backend that is not ours
        self._key_file: Path | None = None
        self._given_up_s = 0.0  # when to stop asking for it
        self._warm: set[tuple[Path, Path]] = set()  # shots and actors that this connection has asked for

    @property
    def hello(self) -> HelloAck | None:
        """What the backend said of itself; None where none is connected."""
        return self._client.hello if self._client else None

    @property
    def responsive(self) -> bool:
        """False while the connection stands and the backend owes an answer: busy, or stuck."""
        return self._client is not None and self._client.responsive

    @property
    def stuck(self) -> bool:
        """True while our backend answers and its job gives no sign of life."""
        return self._client is not None and self._client.stuck

    @property
    def starting(self) -> bool:
        """A backend of ours was started and does not answer yet, or one that was lost is asked for again."""
        return self._client is None and (self._backend is not None or self._connection_file is not None)

    @property
    def own(self) -> bool:
        """Whether the backend was started here."""
        return self._backend is not None

    @property
    def restarts(self) -> int:
        """How often our backend had to be started again of late."""
        return len(self._restarted_s)

    def connect(self, connection_file: Path | str, key_file: Path | None = None) -> None:
        """Reach a running backend by its connection file. key_file: ours, where it is reached over a network.

        Raises BackendUnreachable, NotAdmitted, ProtocolMismatch, InvalidInput.
        """
        self.close()
        self._client = Client.connect(connection_file, name=_CLIENT_NAME, key_file=key_file)
        self._connection_file, self._key_file = Path(connection_file), key_file

    def start(self, environment: Environment) -> None:
        """Start a backend of our own. It answers seconds later: see try_connect and wait_until_connected.

        Raises InvalidInput where the Python is none, BackendUnreachable where it does not run.
        """
        self.close()
        if not environment.python.is_file():
            raise InvalidInput(
                f"{environment.python} is no Python.",
                hint="Set the Python of Dubplate's environment in the add-on's preferences, such as .venv/bin/python.",
            )
        self._environment, self._restarted_s = environment, []
        # What an earlier crash has left waits for the artist: `dubplate jobs resume`, or render again.
        self._start(environment, resume=False)

    def _start(self, environment: Environment, *, resume: bool) -> None:
        self._backend = start_backend(
            environment.python,
            roots=environment.roots,
            output_root=environment.output_root,
            head=environment.head or None,
            wait=0,
            resume=resume,
        )

    def try_connect(self) -> bool:
        """Connect to the backend that was started if it is ready, or to the one that was lost if it is back, without
        waiting. A job goes on being ours. Raises BackendUnreachable, InvalidInput where the job is not known there.
        """
        if self._client is None and self.starting:
            try:
                self._client = self._reached()
            except BackendUnreachable:
                if self._backend is None and time.monotonic() < self._given_up_s:
                    return False
                self.close()
                raise
            if self._client is not None and self.job:
                self._watch_again(self._client)
        return self._client is not None

    def _reached(self) -> Client | None:
        if self._backend is not None:
            if self._backend.ready():
                return Client.connect(self._backend.connection_file, name=_CLIENT_NAME)
        elif self._connection_file is not None:
            return Client.connect(self._connection_file, _ASK_TIMEOUT_S, name=_CLIENT_NAME, key_file=self._key_file)
        return None

    def _watch_again(self, client: Client) -> None:
        try:
            client.watch(self.job)
        except InvalidInput:
            self.job = ""
            raise

    def wait_until_connected(self) -> None:
        """Block until the backend that was started, or lost, answers. Raises BackendUnreachable."""
        if self._backend is not None and self._client is None:
            self._backend.wait()
        while self.starting and not self.try_connect():
            time.sleep(_ASK_TIMEOUT_S)

    def serves(self, shot: Path, actor: Path, output: Path | None = None) -> bool:
        """False where our own backend was started for other folders: start it anew. Others' are asked, and tell."""
        if self.hello is None or self._backend is None:
            return self.hello is not None
        roots, output_root = self.hello.roots, self.hello.output_root
        readable = (any(path.is_relative_to(root) for root in roots) for path in (shot, actor))
        return all(readable) and (output is None or output.is_relative_to(output_root))

    def submit(self, request: RenderRequest) -> str:
        """Queue the render and return its job id. Raises what the backend raises, BackendLost."""
        client = self._require()
        self.job = client.submit(
            shot=client.asset_id(request.shot),
            actor=client.asset_id(request.actor),
            frames=request.frames,
            output=client.output_id(request.output),
            version=request.version,
            take=request.take.name,
            base_take=request.base_take,
            expression=request.take.expression,
            jaw=request.take.jaw,
            eyes=request.take.eyes,
        )
        return self.job

    def preview(self, request: PreviewRequest) -> int:
        """Ask for one frame, instead of those asked for before; its generation. `poll` brings what comes of it.

        Raises InvalidInput, BackendLost.
        """
        client = self._require()
        self._warm.add((request.shot, request.actor))
        return client.preview(
            shot=client.asset_id(request.shot),
            actor=client.asset_id(request.actor),
            frame=request.frame,
            upto=request.upto,
            filmed=request.filmed,
            take=request.take.name,
            base_take=request.base_take,
            take_frames=request.take_frames,
            expression=request.take.expression,
            jaw=request.take.jaw,
            eyes=request.take.eyes,
        )

    def warm(self, shot: Path, actor: Path, frame: int) -> None:
        """Have previews of a shot made ready, from `frame` on, once for each shot and actor. Never waits.

        Raises InvalidInput, BackendLost.
        """
        if self._client is not None and (shot, actor) not in self._warm:
            self._warm.add((shot, actor))
            self._client.warm(shot=self._client.asset_id(shot), actor=self._client.asset_id(actor), frame=frame)

    def cancel_preview(self) -> None:
        """Stop the preview under way, which nobody waits for any more. Raises BackendLost."""
        self._require().cancel_preview()

    def poll(self) -> list[Event]:
        """News since the last call, without waiting.

        Raises BackendLost; `starting` says that it is looked for, else we are disconnected.
        """
        if self._client is None:
            return []
        try:
            events = self._client.poll()
        except BackendLost:
            self._recover()
            raise
        if any(ends(event, self.job) for event in events):
            self.job = ""
        return events

    def wait(self, on_event: Callable[[Message], None]) -> JobInfo:
        """Block until our job is over, also where its backend is lost meanwhile and comes back.

        Raises what the job failed with, Cancelled, BackendLost, BackendUnreachable.
        """
        try:
            while True:
                try:
                    return self._require().wait(self.job, on_event)
                except BackendLost:
                    if not self._recover():
                        raise
                    self.wait_until_connected()
        finally:
            self.job = ""

    def _recover(self) -> bool:
        """After the connection broke: start our backend again, or ask for the other for a while. False where ours has
        been started again too often; we are disconnected then.
        """
        now_s = time.monotonic()
        self._restarted_s = [then_s for then_s in self._restarted_s if now_s - then_s < _CALM_AFTER_S]
        if self._backend is not None and len(self._restarted_s) >= _MOST_RESTARTS:
            self.close()
            return False
        self._disconnect()
        if self._backend is not None and self._environment is not None:
            self._backend.stop(_LOST_STOP_TIMEOUT_S)
            self._restarted_s.append(now_s)
            self._start(self._environment, resume=True)
        self._given_up_s = time.monotonic() + _ASK_AGAIN_FOR_S
        return True

    def cancel(self) -> None:
        """Ask our job to stop; its event tells when it has."""
        if self._client is not None and self.job:
            self._client.cancel(self.job)

    def close(self) -> None:
        """Disconnect, and end the backend if it is ours."""
        self.job = ""
        self._disconnect()
        if self._backend is not None:
            self._backend.stop(_STOP_TIMEOUT_S)
            self._backend = None
        self._environment = self._connection_file = self._key_file = None

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
        self._warm.clear()

    def _require(self) -> Client:
        if self._client is None:
            raise BackendUnreachable("No backend is connected.", hint="Press Connect in the Dubplate panel.")
        return self._client


def ends(event: Message, job: str) -> bool:
    """Whether `event` tells that `job` is over."""
    if isinstance(event, JobInfo):
        return event.job == job and JobState(event.state).final
    return over(event) and getattr(event, "job", "") == job
