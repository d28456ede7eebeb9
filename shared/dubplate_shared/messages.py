# SPDX-License-Identifier: Apache-2.0
"""The wire's messages, each a frozen dataclass whose fields are its body.  PROTOCOL.md lists the same, held by a test.

validation.py goes between these and the codec's envelopes (protocol.py), checking every field's type on the way in.
Those about jobs are in job_messages.py, those about previews and their pictures in preview_messages.py.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from dubplate_shared.error_info import ErrorInfo
from dubplate_shared.job_messages import (
    JobCancel,
    JobCancelled,
    JobFailed,
    JobFinished,
    JobFrame,
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
)
from dubplate_shared.message import Message
from dubplate_shared.preview_messages import (
    BulkCredit,
    BulkOpen,
    BulkOpened,
    Outcome,
    Picture,
    PictureTile,
    PreviewCancel,
    PreviewDraw,
    PreviewOver,
    PreviewWarm,
    Stage,
)

__all__ = [
    "BULK", "EVENTS", "MESSAGES", "REPLIES", "REQUESTS", "ActorLoad", "ActorLoaded", "BulkCredit", "BulkOpen",
    "BulkOpened", "Hello", "HelloAck", "JobCancel", "JobCancelled", "JobFailed", "JobFinished", "JobFrame", "JobInfo",
    "JobInfos", "JobList", "JobPause", "JobPaused", "JobPrioritise", "JobProgress", "JobResume", "JobRetry", "JobShow",
    "JobState", "JobSubmit", "Listen", "Log", "Message", "Outcome",
    "Picture", "PictureTile", "Ping", "Pong", "PreviewCancel", "PreviewDraw", "PreviewOver", "PreviewWarm", "Refusal",
    "ShotLoad", "ShotLoaded", "Stage", "Welcome",
]  # fmt: skip


# --- requests ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hello(Message):
    """First words of a client. client: names it and its version for the log.  oldest: protocol version it speaks."""

    TYPE: ClassVar[str] = "hello"
    client: str = ""
    oldest: str = ""


@dataclass(frozen=True)
class ShotLoad(Message):
    """Check a shot package and tell what is in it."""

    TYPE: ClassVar[str] = "shot.load"
    shot: str


@dataclass(frozen=True)
class ActorLoad(Message):
    """Check an actor and tell what it is."""

    TYPE: ClassVar[str] = "actor.load"
    actor: str


@dataclass(frozen=True)
class Ping(Message):
    """Are you there?"""

    TYPE: ClassVar[str] = "ping"
    SOCKET: ClassVar[str] = "control"


@dataclass(frozen=True)
class Listen(Message):
    """Send me events from now on."""

    TYPE: ClassVar[str] = "listen"
    SOCKET: ClassVar[str] = "events"


# --- replies -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HelloAck(Message):
    """Who answers. protocol: its newest version.  agreed: the one to speak from here on.

    roots, output_root: folders as the backend's machine names them, for a client on that machine.
    """

    TYPE: ClassVar[str] = "hello_ack"
    SENDER: ClassVar[str] = "backend"
    protocol: str
    version: str
    device: str
    head_kind: str
    head_sha256: str
    agreed: str = ""
    features: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()
    output_root: str = ""


@dataclass(frozen=True)
class ShotLoaded(Message):
    """What is in a shot package. The rate is frames per second as a fraction."""

    TYPE: ClassVar[str] = "shot.loaded"
    SENDER: ClassVar[str] = "backend"
    shot: str
    name: str
    first_frame: int
    frame_count: int
    rate_num: int
    rate_den: int
    width: int
    height: int
    head_kind: str
    head_sha256: str
    takes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ActorLoaded(Message):
    """What an actor is."""

    TYPE: ClassVar[str] = "actor.loaded"
    SENDER: ClassVar[str] = "backend"
    actor: str
    name: str
    preset: str
    head_kind: str
    head_sha256: str


@dataclass(frozen=True)
class Pong(Message):
    """I am here. job: what runs, or "".  progress_age_s: since its last step.  sequence: the last event's number.

    still_s: for how long it has neither gone forward nor used the processor.
    """

    TYPE: ClassVar[str] = "pong"
    SOCKET: ClassVar[str] = "control"
    SENDER: ClassVar[str] = "backend"
    job: str = ""
    progress_age_s: float | None = None
    queued: int = 0
    sequence: int = 0
    still_s: float | None = None


@dataclass(frozen=True)
class Refusal(Message):
    """The request failed. The fields of `error` never change meaning, so that any version can read a refusal."""

    TYPE: ClassVar[str] = "error"
    SOCKET: ClassVar[str] = "rpc, control, events, bulk"
    SENDER: ClassVar[str] = "backend"
    error: ErrorInfo


@dataclass(frozen=True)
class Welcome(Message):
    """You will get all events after number `sequence`."""

    TYPE: ClassVar[str] = "welcome"
    SOCKET: ClassVar[str] = "events"
    SENDER: ClassVar[str] = "backend"
    sequence: int


# --- events ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Log(Message):
    """What the backend warns of; level is "warning" or "error"."""

    TYPE: ClassVar[str] = "log"
    SOCKET: ClassVar[str] = "events"
    SENDER: ClassVar[str] = "backend"
    level: str
    text: str


REQUESTS: tuple[type[Message], ...] = (
    Hello, ShotLoad, ActorLoad, JobSubmit, JobShow, JobList, JobResume, JobRetry, JobPrioritise, Ping, JobCancel,
    JobPause, Listen, BulkOpen, BulkCredit,
    PreviewDraw, PreviewCancel, PreviewWarm,
)  # fmt: skip
REPLIES: tuple[type[Message], ...] = (
    HelloAck, ShotLoaded, ActorLoaded, JobInfo, JobInfos, Pong, Refusal, Welcome, BulkOpened,
)  # fmt: skip
EVENTS: tuple[type[Message], ...] = (
    Log, JobProgress, JobFrame, JobFinished, JobFailed, JobCancelled, JobPaused,
)  # fmt: skip
BULK: tuple[type[Message], ...] = (Picture, PictureTile, PreviewOver)
MESSAGES: Mapping[str, type[Message]] = types.MappingProxyType(
    {kind.TYPE: kind for kind in REQUESTS + REPLIES + EVENTS + BULK}
)
