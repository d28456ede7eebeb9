# SPDX-License-Identifier: Apache-2.0
"""The messages about jobs: asking for one, its state, and the news of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from dubplate_shared.error_info import ErrorInfo
from dubplate_shared.errors import InvalidInput
from dubplate_shared.message import Message
from dubplate_shared.performance import MAX_NAME_LENGTH, MAX_RANGE_LENGTH, Array, check_length, check_performance
from dubplate_shared.take import TRACKED

MAX_KEY_LENGTH = 128
MAX_PRIORITY = 100


class JobState(StrEnum):
    """queued ↔ running → one of the last three, which are final; paused until somebody resumes it."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self in (JobState.FINISHED, JobState.FAILED, JobState.CANCELLED)


# --- requests ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class JobSubmit(Message):
    """Render `frames` of `shot` with `actor` and the take given.

    key: made by the client; the same key with the same work is the same job.  take to eyes: as performance.py says.
    output: id beneath the output root.  version: of the plates.  settings: of the render, plain values.
    priority: -100 to 100; who has more goes first.
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
    priority: int = 0

    def __post_init__(self) -> None:
        if not 1 <= len(self.key) <= MAX_KEY_LENGTH:
            raise InvalidInput(f"A job's key has 1 to {MAX_KEY_LENGTH} characters.", hint="Use a fresh UUID.")
        for name in ("shot", "actor", "output"):
            check_length(name, getattr(self, name), MAX_NAME_LENGTH)
        check_length("frames", self.frames, MAX_RANGE_LENGTH)
        if not 1 <= self.version <= 9999:
            raise InvalidInput(f"Version {self.version} is not in 1 to 9999.", hint="Choose a version from 1 on.")
        check_priority(self.priority)
        check_performance(self)


def check_priority(priority: int) -> None:
    """Raise InvalidInput where it is none."""
    if abs(priority) > MAX_PRIORITY:
        raise InvalidInput(
            f"Priority {priority} is not in -{MAX_PRIORITY} to {MAX_PRIORITY}.", hint="0 is what jobs have unless told."
        )


@dataclass(frozen=True)
class JobShow(Message):
    """Ask for a job's state: the truth, where events are only news."""

    TYPE: ClassVar[str] = "job.show"
    job: str


@dataclass(frozen=True)
class JobList(Message):
    """Ask for the newest jobs' states."""

    TYPE: ClassVar[str] = "job.list"


@dataclass(frozen=True)
class JobCancel(Message):
    """Stop a job: at once where it waits, before its next frame where it runs."""

    TYPE: ClassVar[str] = "job.cancel"
    SOCKET: ClassVar[str] = "control"
    job: str


@dataclass(frozen=True)
class JobPause(Message):
    """Let a job rest, before its next frame where it runs, until it is resumed."""

    TYPE: ClassVar[str] = "job.pause"
    SOCKET: ClassVar[str] = "control"
    job: str


@dataclass(frozen=True)
class JobResume(Message):
    """Let a paused job go on."""

    TYPE: ClassVar[str] = "job.resume"
    job: str


@dataclass(frozen=True)
class JobRetry(Message):
    """Queue a job again that failed or was cancelled; plates that stand are not drawn again."""

    TYPE: ClassVar[str] = "job.retry"
    job: str


@dataclass(frozen=True)
class JobPrioritise(Message):
    """Let a job go before those of a lower priority."""

    TYPE: ClassVar[str] = "job.prioritise"
    job: str
    priority: int

    def __post_init__(self) -> None:
        check_priority(self.priority)


# --- replies -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class JobInfo(Message):
    """A job's state. frames: those asked for.  written: those whose plates stand on disk.

    client: whose turn it takes.  submitted: Unix seconds.  manifest: as JobFinished's.  stages: seconds of the last run
    by stage, threads added up.
    """

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
    key: str = ""
    client: str = ""
    priority: int = 0
    submitted: float = 0.0
    manifest: str = ""
    stages: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class JobInfos(Message):
    """The newest jobs, newest first."""

    TYPE: ClassVar[str] = "job.infos"
    SENDER: ClassVar[str] = "backend"
    jobs: tuple[JobInfo, ...] = ()


# --- events ------------------------------------------------------------------------------------------------------


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
    """A plate stands on disk, whole, with this hash. path: beneath the output root, with forward slashes.

    kept: it was there already, or an earlier render had drawn the same.
    """

    TYPE: ClassVar[str] = "job.frame"
    SOCKET: ClassVar[str] = "events"
    SENDER: ClassVar[str] = "backend"
    job: str
    frame: int
    path: str
    sha256: str
    kept: bool = False


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


@dataclass(frozen=True)
class JobPaused(Message):
    """The job rests until it is resumed: as asked, or because of `error`, such as a full disk."""

    TYPE: ClassVar[str] = "job.paused"
    SOCKET: ClassVar[str] = "events"
    SENDER: ClassVar[str] = "backend"
    job: str
    error: ErrorInfo | None = None
