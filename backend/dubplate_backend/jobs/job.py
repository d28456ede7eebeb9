# SPDX-License-Identifier: Apache-2.0
"""What is known of one job, and the work that it stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from dubplate_shared.error_info import ErrorInfo
from dubplate_shared.files import sha256_arrays
from dubplate_shared.frames import format_frames
from dubplate_shared.job_messages import JobInfo, JobState, JobSubmit
from dubplate_shared.progress import Progress, ProgressCallback, Stop


@dataclass(frozen=True)
class WrittenPlate:
    """A plate that stands on disk, whole.  path: beneath the output root.  input_hash: the frame's key.

    kept: this run found it drawn; that is news of the run, and no part of the plate.
    """

    frame: int
    path: str
    sha256: str
    input_hash: str
    status: str = "drawn"
    kept: bool = field(default=False, compare=False)


Written = Callable[[tuple[WrittenPlate, ...]], None]


@dataclass(frozen=True)
class Finished:
    """How work ended.  manifest: its path beneath the output root.  stages: seconds by stage."""

    manifest: str
    stages: Mapping[str, float]


class Work(Protocol):
    """What a job does once it is its turn."""

    frames: tuple[int, ...]

    def run(
        self, *, known: Mapping[int, WrittenPlate], progress: ProgressCallback, written: Written, stop: Stop, rest: Stop
    ) -> Finished:
        """Do it, telling of plates as they stand on disk.  known: those that an earlier run told of.

        stop: at once.  rest: where nothing that was begun is lost by it.
        Raises Cancelled where either says so, and whatever is wrong.
        """
        ...


@dataclass
class Job:
    """One job as the backend has it in memory; the journal has the same but for `progress`.

    number: order of submission.  request: without its curves, which the journal keeps.  user: who asked, and whose
    access counts.  client: by which connection, for taking turns.
    written: by frame.  stages: seconds by stage of the last run.
    """

    id: str
    number: int
    request: JobSubmit
    work_hash: str
    user: str
    client: str
    priority: int = 0
    state: JobState = JobState.QUEUED
    error: ErrorInfo | None = None
    manifest: str = ""
    submitted_s: float = 0.0
    progress: Progress = field(default_factory=lambda: Progress(0, 0))
    written: dict[int, WrittenPlate] = field(default_factory=dict)
    stages: Mapping[str, float] = field(default_factory=dict)

    def info(self) -> JobInfo:
        return JobInfo(
            job=self.id,
            state=self.state,
            shot=self.request.shot,
            actor=self.request.actor,
            frames=self.request.frames,
            output=self.request.output,
            version=self.request.version,
            done=self.progress.done,
            total=self.progress.total,
            stage=self.progress.stage,
            written=format_frames(sorted(self.written)),
            error=self.error,
            key=self.request.key,
            client=self.client,
            priority=self.priority,
            submitted=self.submitted_s,
            manifest=self.manifest,
            stages={name: round(seconds, 3) for name, seconds in self.stages.items()},
        )


def hash_work(request: JobSubmit) -> str:
    """What tells one work from another: all of a request but its key and priority."""
    arrays = {name: getattr(request, name) for name in ("expression", "jaw", "eyes")}
    words = replace(request, key="-", priority=0, expression=None, jaw=None, eyes=None)
    return f"{words!r} {sha256_arrays({name: array for name, array in arrays.items() if array is not None})}"
