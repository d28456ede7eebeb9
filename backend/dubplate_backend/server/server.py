# SPDX-License-Identifier: Apache-2.0
"""The backend: binds the sockets, writes the connection file, answers requests until it is told to end."""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType

import zmq

from dubplate_backend.jobs.jobs import Jobs
from dubplate_backend.jobs.journal import open_journal
from dubplate_backend.plates.store import DEFAULT_LIMIT_BYTES, PlateStore
from dubplate_backend.server.admission import Admission, Door, KeyRing
from dubplate_backend.server.answering import POLL_MS, Answering, Caller, answer_waiting
from dubplate_backend.server.assets import Assets
from dubplate_backend.server.bulk import Bulk, remove_abandoned_rings
from dubplate_backend.server.connection import LOOPBACK, listen
from dubplate_backend.server.control import Control
from dubplate_backend.server.events import EventLog, Events
from dubplate_backend.server.intake import Intake
from dubplate_backend.server.job_requests import on_control, on_rpc
from dubplate_backend.server.life import Life
from dubplate_backend.server.models import Models
from dubplate_backend.server.preview_work import PreviewWork
from dubplate_backend.server.previews import Previews
from dubplate_backend.server.render_work import prepare
from dubplate_shared import __version__
from dubplate_shared.connection import Connection
from dubplate_shared.errors import DubplateError, OutputNotWritable
from dubplate_shared.messages import (
    ActorLoad,
    ActorLoaded,
    Hello,
    HelloAck,
    Listen,
    Ping,
    Pong,
    ShotLoad,
    ShotLoaded,
    Welcome,
)
from dubplate_shared.versions import PROTOCOL_VERSION

FEATURES = ("render", "preview")
LOOK_INTERVAL_S = 1.0  # how soon an actor that was deleted leaves the memory
WORKER_END_S = 10.0  # a frame at draft size takes well under this on two cores

log = logging.getLogger("dubplate.server")


class Server:
    """Use as a context manager: entering writes `connection_file` and starts the threads, leaving ends everything.

    assets: what may be read and written.  models: what is kept in memory.  keys: who may come in from a network; with
    them `address` may be any, without them it is the loopback's.  first_port: of four in a row, else free ones.
    cache_bytes: of plates kept by key.  go_on: with the jobs that an earlier backend left; else they are paused.
    Raises InvalidInput, BackendUnreachable, OutputNotWritable where the connection file cannot be written.
    """

    def __init__(
        self,
        *,
        assets: Assets,
        models: Models,
        connection_file: Path,
        address: str = LOOPBACK,
        keys: KeyRing | None = None,
        first_port: int | None = None,
        cache_bytes: int = DEFAULT_LIMIT_BYTES,
        go_on: bool = True,
    ) -> None:
        self._assets = assets
        self._models = models
        self._connection_file = connection_file
        session, token = secrets.token_hex(16), secrets.token_hex(16)
        journal = open_journal(assets.state_folder)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        door = Door(token, keys)
        self._admission = Admission(self._context, door)
        try:
            self._sockets = listen(self._context, door, address, first_port=first_port)
        except DubplateError:
            self._admission.stop()
            self._context.term()
            journal.close()
            raise
        self._intake = Intake(self._sockets)
        self._events = Events(self._context, session=session)
        self._event_log = EventLog(self._events)
        self.previews = Previews(PreviewWork(assets, models))
        self._store = PlateStore(assets.state_folder / "plates", cache_bytes)
        self.jobs = Jobs(
            partial(prepare, assets=assets, models=models, store=self._store),
            self._events.publish,
            journal,
            go_on=go_on,
            give_way=lambda: self.previews.busy,
        )
        rpc = {
            Hello: self._hello,
            ShotLoad: self._load_shot,
            ActorLoad: self._load_actor,
            **on_rpc(self.jobs),
        }
        control = {Ping: self._ping, **on_control(self.jobs)}
        took = self._intake.took
        self._answering = Answering(session, rpc, took=took)
        listening = {Listen: lambda _request, _: Welcome(self._events.sequence)}
        self._control = Control(
            self._sockets,
            self._events,
            control=Answering(session, control, took=took),
            listening=Answering(session, listening, took=took),
        )
        self._bulk = Bulk(self._context, self._sockets.bulk, session=session, previews=self.previews, took=took)
        self.connection = Connection(
            endpoints=dict(self._sockets.endpoints),
            pid=os.getpid(),
            session=session,
            token="" if keys is not None else token,
            started=time.time(),
            server_key="" if keys is None else keys.pair.public,
        )
        self._life = Life()
        self._ending = threading.Event()
        self._requests = 0
        self._seen_requests = 0
        self.worker_ended = False
        self._last_life_s = time.monotonic()

    def __enter__(self) -> Server:
        try:
            self.connection.write(self._connection_file)
        except OSError as error:
            self.jobs.stop(0)
            self._close_sockets()
            raise OutputNotWritable(
                f"The connection file {self._connection_file} cannot be written: {error.strerror}.",
                hint="Name another with --connection.",
            ) from error
        log.addHandler(self._event_log)
        remove_abandoned_rings()
        self._store.remove_abandoned()
        self._admission.start()
        self._intake.start()
        self.jobs.start()
        self.previews.start()
        self._control.start()
        self._bulk.start()
        log.info("listening on %s", self.connection.endpoints["rpc"])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def idle_s(self) -> float:
        """Seconds since the last sign of life: a request (a living client pings) or a job at work."""
        job, _, queued = self.jobs.beat()
        requests = self._requests + self._control.requests + self._bulk.requests
        if job or queued or requests != self._seen_requests:
            self._seen_requests, self._last_life_s = requests, time.monotonic()
        return time.monotonic() - self._last_life_s

    def serve(self, keep_on: Callable[[], bool] = lambda: True) -> None:
        """Answer requests on this thread until `end` is called or `keep_on` says no."""
        looked_s = time.monotonic()
        while not self._ending.is_set() and keep_on():
            if time.monotonic() - looked_s > LOOK_INTERVAL_S:
                self._models.forget_deleted()
                looked_s = time.monotonic()
            if self._sockets.rpc.poll(POLL_MS):
                self._requests += sum(1 for _ in answer_waiting(self._sockets.rpc, self._answering))

    def end(self) -> None:
        """Make `serve` return soon; may be called from a signal handler or another thread."""
        self._ending.set()

    def close(self) -> None:
        """Stop the jobs, tell the listeners, remove the connection file. `worker_ended`: whether it stopped in time."""
        self._ending.set()
        self.worker_ended = self.jobs.stop(WORKER_END_S) & self.previews.stop(WORKER_END_S)
        log.removeHandler(self._event_log)
        self._control.stop()
        self.connection.remove(self._connection_file)
        self._close_sockets()

    def _close_sockets(self) -> None:
        self._bulk.stop()
        self._events.close()
        self._intake.stop()
        self._sockets.close()
        self._admission.stop()
        self._context.term()

    def _hello(self, request: Hello, caller: Caller) -> HelloAck:
        log.info("hello from %s (%s)", request.client[:80], caller.user)
        head = self._models.head_identity
        return HelloAck(
            protocol=PROTOCOL_VERSION,
            agreed=caller.version,
            version=__version__,
            device=self._models.device,
            head_kind=head.kind,
            head_sha256=head.sha256,
            features=FEATURES,
            roots=tuple(str(root.resolve()) for root in self._assets.roots),
            output_root=str(self._assets.output_root.resolve()),
        )

    def _load_shot(self, request: ShotLoad, _: Caller) -> ShotLoaded:
        shot = self._models.shot(self._assets.shot(request.shot))
        return ShotLoaded(
            shot=request.shot,
            name=shot.info.name,
            first_frame=shot.info.first_frame,
            frame_count=shot.info.frame_count,
            rate_num=shot.info.rate.num,
            rate_den=shot.info.rate.den,
            width=shot.info.width,
            height=shot.info.height,
            head_kind=shot.info.head.kind,
            head_sha256=shot.info.head.sha256,
            takes=tuple(shot.take_names()),
        )

    def _load_actor(self, request: ActorLoad, caller: Caller) -> ActorLoaded:
        actor = self._models.actor(self._assets.actor(request.actor, caller.user))
        return ActorLoaded(request.actor, actor.name, actor.preset, actor.head.kind, actor.head.sha256)

    def _ping(self, _request: Ping, _: Caller) -> Pong:
        job, progress_age_s, queued = self.jobs.beat()
        return Pong(job, progress_age_s, queued, self._events.sequence, self._life.still_s(progress_age_s))
