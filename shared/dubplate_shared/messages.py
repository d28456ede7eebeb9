# SPDX-License-Identifier: Apache-2.0
"""The wire's messages, each a frozen dataclass whose fields are its body.  PROTOCOL.md lists the same, held by a test.

validation.py goes between these and the codec's envelopes (protocol.py), checking every field's type on the way in.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from dubplate_shared.error_info import ErrorInfo
from dubplate_shared.errors import InvalidInput
from dubplate_shared.take import TRACKED

Array = npt.NDArray[Any]

EXPRESSION_COMPONENTS = 100
MAX_KEY_LENGTH = 128
MAX_NAME_LENGTH = 512  # of an id or a name
MAX_RANGE_LENGTH = 4096  # of a frame range as text


class JobState(StrEnum):
    """queued → running → one of the other three, which are final."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self not in (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True)
class Message:
    """Base of all messages. TYPE is the header's `type`, SOCKET where it travels, SENDER who says it."""

    TYPE: ClassVar[str] = ""
    SOCKET: ClassVar[str] = "rpc"
    SENDER: ClassVar[str] = "client"


# --- requests on rpc ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hello(Message):
    """First words of a client; `client` names it and its version for the log."""

    TYPE: ClassVar[str] = "hello"
    client: str = ""


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
class JobSubmit(Message):
    """Render `frames` of `shot` with `actor` and the take given.

    key: made by the client; the same key with the same work is the same job.  take: a name; with arrays the take is
    theirs, else the shot's take of that name.  expression [N, 100], jaw [N, 3] (axis-angle, radians), eyes [N, 6]: one
    row a frame of `take_frames` ("" = every frame of the shot), laid over the shot's take `base_take` ("" = the one
    named as `take`, else what was filmed), which also gives the voice, and the eyes where none are sent.
    output: id beneath the output root.  version: of the plates.  settings: of the render, plain values.
    """

    TYPE: ClassVar[str] = "job.submit"
    key: str
    shot: str
    actor: str
    frames: str
    output: str
    version: int = 1
    take: str = TRACKED
    base_take: str = ""
    take_frames: str = ""
    expression: Array | None = None
    jaw: Array | None = None
    eyes: Array | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= len(self.key) <= MAX_KEY_LENGTH:
            raise InvalidInput(f"A job's key has 1 to {MAX_KEY_LENGTH} characters.", hint="Use a fresh UUID.")
        for name in ("shot", "actor", "output", "take", "base_take"):
            _check_length(name, getattr(self, name), MAX_NAME_LENGTH)
        for name in ("frames", "take_frames"):
            _check_length(name, getattr(self, name), MAX_RANGE_LENGTH)
        if not 1 <= self.version <= 9999:
            raise InvalidInput(f"Version {self.version} is not in 1 to 9999.", hint="Choose a version from 1 on.")
        if (self.expression is None) != (self.jaw is None) or (self.eyes is not None and self.jaw is None):
            raise InvalidInput("A take needs expression and jaw together.", hint="Send both, or neither.")
        if self.expression is not None and self.take == TRACKED:
            raise InvalidInput(f"{TRACKED!r} is what was filmed.", hint="Give the curves that you send another name.")
        rows = {
            _check_curves("expression", self.expression, EXPRESSION_COMPONENTS),
            _check_curves("jaw", self.jaw, 3),
            _check_curves("eyes", self.eyes, 6),
        } - {None}
        if len(rows) > 1:
            raise InvalidInput(
                "A take's arrays differ in their number of frames.", hint="Send one row a frame in each."
            )


def _check_length(name: str, text: str, most: int) -> None:
    if len(text) > most:
        raise InvalidInput(f"{name} has {len(text)} characters; it may have {most}.", hint="Make it shorter.")


def _check_curves(name: str, curves: Array | None, columns: int) -> int | None:
    if curves is None:
        return None
    if curves.ndim != 2 or curves.shape[1] != columns or curves.dtype.kind != "f":
        raise InvalidInput(
            f"{name} has shape {curves.shape} of {curves.dtype}.", hint=f"Send floats of [frames, {columns}]."
        )
    if not np.isfinite(curves).all():
        row = int(np.argwhere(~np.isfinite(curves))[0, 0])
        raise InvalidInput(f"{name} is not a number in row {row}.", hint="Look at the curves there.")
    return int(curves.shape[0])


@dataclass(frozen=True)
class JobShow(Message):
    """Ask for a job's state: the truth, where events are only news."""

    TYPE: ClassVar[str] = "job.show"
    job: str


@dataclass(frozen=True)
class JobList(Message):
    """Ask for the newest jobs' states."""

    TYPE: ClassVar[str] = "job.list"


# --- requests on control -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ping(Message):
    """Are you there?"""

    TYPE: ClassVar[str] = "ping"
    SOCKET: ClassVar[str] = "control"


@dataclass(frozen=True)
class JobCancel(Message):
    """Stop a job: at once where it waits, before its next frame where it runs."""

    TYPE: ClassVar[str] = "job.cancel"
    SOCKET: ClassVar[str] = "control"
    job: str


# --- requests on events --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Listen(Message):
    """Send me events from now on."""

    TYPE: ClassVar[str] = "listen"
    SOCKET: ClassVar[str] = "events"


# --- replies -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HelloAck(Message):
    """Who answers. roots, output_root: folders as the backend's machine names them, for a client on that machine."""

    TYPE: ClassVar[str] = "hello_ack"
    SENDER: ClassVar[str] = "backend"
    protocol: str
    version: str
    device: str
    head_kind: str
    head_sha256: str
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
class JobInfo(Message):
    """A job's state. frames: those asked for.  written: those whose plates stand on disk."""

    TYPE: ClassVar[str] = "job.info"
    SENDER: ClassVar[str] = "backend"
    job: str
    state: str
    shot: str
    actor: str
    frames: str
    output: str
    version: int
    done: int = 0
    total: int = 0
    stage: str = ""
    written: str = ""
    error: ErrorInfo | None = None


@dataclass(frozen=True)
class JobInfos(Message):
    """The newest jobs, newest first."""

    TYPE: ClassVar[str] = "job.infos"
    SENDER: ClassVar[str] = "backend"
    jobs: tuple[JobInfo, ...] = ()


@dataclass(frozen=True)
class Pong(Message):
    """I am here. job: what runs, or "".  progress_age_s: since its last step.  sequence: the last event's number."""

    TYPE: ClassVar[str] = "pong"
    SOCKET: ClassVar[str] = "control"
    SENDER: ClassVar[str] = "backend"
    job: str = ""
    progress_age_s: float | None = None
    queued: int = 0
    sequence: int = 0


@dataclass(frozen=True)
class Refusal(Message):
    """The request failed. The fields of `error` never change meaning, so that any version can read a refusal."""

    TYPE: ClassVar[str] = "error"
    SOCKET: ClassVar[str] = "rpc, control, events"
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


@dataclass(frozen=True)
class JobProgress(Message):
    """`done` of `total` steps of `stage`."""

    TYPE: ClassVar[str] = "job.progress"
    SOCKET: ClassVar[str] = "events"
    SENDER: ClassVar[str] = "backend"
    job: str
    done: int
    total: int
    stage: str = ""


@dataclass(frozen=True)
class JobFrame(Message):
    """A plate stands on disk, whole, with this hash. path: beneath the output root, with forward slashes."""

    TYPE: ClassVar[str] = "job.frame"
    SOCKET: ClassVar[str] = "events"
    SENDER: ClassVar[str] = "backend"
    job: str
    frame: int
    path: str
    sha256: str


@dataclass(frozen=True)
class JobFinished(Message):
    """Every frame asked for is written. manifest: its path beneath the output root, "" where there is none."""

    TYPE: ClassVar[str] = "job.finished"
    SOCKET: ClassVar[str] = "events"
    SENDER: ClassVar[str] = "backend"
    job: str
    manifest: str = ""


@dataclass(frozen=True)
class JobFailed(Message):
    """The job ended early; plates already written are whole."""

    TYPE: ClassVar[str] = "job.failed"
    SOCKET: ClassVar[str] = "events"
    SENDER: ClassVar[str] = "backend"
    job: str
    error: ErrorInfo


@dataclass(frozen=True)
class JobCancelled(Message):
    """The job was stopped as asked; plates already written are whole."""

    TYPE: ClassVar[str] = "job.cancelled"
    SOCKET: ClassVar[str] = "events"
    SENDER: ClassVar[str] = "backend"
    job: str


REQUESTS: tuple[type[Message], ...] = (Hello, ShotLoad, ActorLoad, JobSubmit, JobShow, JobList, Ping, JobCancel, Listen)
REPLIES: tuple[type[Message], ...] = (HelloAck, ShotLoaded, ActorLoaded, JobInfo, JobInfos, Pong, Refusal, Welcome)
EVENTS: tuple[type[Message], ...] = (Log, JobProgress, JobFrame, JobFinished, JobFailed, JobCancelled)
MESSAGES: Mapping[str, type[Message]] = types.MappingProxyType(
    {kind.TYPE: kind for kind in REQUESTS + REPLIES + EVENTS}
)
