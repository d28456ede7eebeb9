# SPDX-License-Identifier: Apache-2.0
"""Renders asked for over the wire: one at a time, in the order they came, each stoppable between frames."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import queue
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from dubplate_backend.server.render_work import RenderWork
from dubplate_shared.error_info import ErrorInfo, QueueFull
from dubplate_shared.errors import Cancelled, DubplateError, InvalidInput
from dubplate_shared.files import sha256_arrays
from dubplate_shared.frames import format_frames
from dubplate_shared.messages import (
    JobCancelled,
    JobFailed,
    JobFinished,
    JobFrame,
    JobInfo,
    JobProgress,
    JobState,
    JobSubmit,
    Message,
)
from dubplate_shared.progress import Progress, check
from dubplate_shared.protocol import MAX_HEADER_BYTES

MAX_WAITING = 256
MAX_REMEMBERED = 1000
LISTED_BYTES = MAX_HEADER_BYTES // 2  # of a list's states as text, so that it fits a header with room to spare
PROGRESS_INTERVAL_S = 0.05  # closer steps of one stage are not told, the last one always is

log = logging.getLogger("dubplate.server")


@dataclass
class _Job:
    """One job's record; guarded by Jobs' lock."""

    id: str
    request: JobSubmit
    work_hash: str
    work: RenderWork | None
    state: JobState = JobState.QUEUED
    progress: Progress = field(default_factory=lambda: Progress(0, 0))
    written: list[int] = field(default_factory=list)
    error: ErrorInfo | None = None
    stop: threading.Event = field(default_factory=threading.Event)

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
        )


class Jobs:
    """The queue and its worker thread. All methods may be called from any thread."""

    def __init__(self, prepare: Callable[[JobSubmit], RenderWork], publish: Callable[[Message], None]) -> None:
        """prepare: checks a request, raising what is wrong with it.  publish: tells listeners."""
        self._prepare = prepare
        self._publish = publish
        self._lock = threading.Lock()
        self._jobs: dict[str, _Job] = {}  # in order of submission
        self._by_key: dict[str, str] = {}
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._running: str = ""
        self._last_progress_s = time.monotonic()
        self._last_told_s = 0.0
        self._worker = threading.Thread(target=self._work, name="dubplate-worker", daemon=True)

    def start(self) -> None:
        self._worker.start()

    def stop(self, timeout_s: float) -> bool:
        """Cancel everything and end the worker. Returns whether it ended in time."""
        with self._lock:
            unfinished = [job.id for job in self._jobs.values() if not job.state.final]
        for id in unfinished:
            self.cancel(id)
        self._waiting.put(None)
        self._worker.join(timeout_s)
        return not self._worker.is_alive()

    def submit(self, request: JobSubmit) -> JobInfo:
        """Queue a job, checked. The same key with the same work is the job it was. Raises InvalidInput, QueueFull."""
        work_hash = _hash_work(request)
        with self._lock:
            known = self._known(request, work_hash)
            if known is not None:
                return known
        work = self._prepare(request)
        with self._lock:
            known = self._known(request, work_hash)  # it may have come twice at once
            if known is not None:
                return known
            if sum(job.state == JobState.QUEUED for job in self._jobs.values()) >= MAX_WAITING:
                raise QueueFull(f"{MAX_WAITING} jobs wait already.", hint="Wait for some to finish, or cancel some.")
            job = _Job(uuid.uuid4().hex[:12], request, work_hash, work, progress=Progress(0, len(work.frames)))
            self._jobs[job.id] = job
            self._by_key[request.key] = job.id
            self._forget_oldest()
            info = job.info()
        self._waiting.put(job.id)
        log.info("job %s queued: %s frames %s", job.id, request.shot, request.frames)
        return info

    def show(self, id: str) -> JobInfo:
        """Raises InvalidInput for a job that is not known."""
        with self._lock:
            return self._job(id).info()

    def list(self) -> tuple[JobInfo, ...]:
        """The newest jobs, newest first, as many as one message carries."""
        with self._lock:
            newest = [job.info() for job in reversed(self._jobs.values())]
        sizes = itertools.accumulate(len(repr(info).encode()) for info in newest)
        return tuple(info for info, size in zip(newest, sizes, strict=True) if size <= LISTED_BYTES)

    def cancel(self, id: str) -> JobInfo:
        """Stop a job; one that is over stays as it is. Raises InvalidInput for a job that is not known."""
        with self._lock:
            job = self._job(id)
            job.stop.set()
            at_once = job.state == JobState.QUEUED
            if at_once:
                job.state, job.work = JobState.CANCELLED, None
            info = job.info()
        if at_once:
            self._publish(JobCancelled(id))
        return info

    def beat(self) -> tuple[str, float | None, int]:
        """The running job or "", seconds since its last progress or None, and how many jobs wait."""
        with self._lock:
            queued = sum(job.state == JobState.QUEUED for job in self._jobs.values())
            age_s = time.monotonic() - self._last_progress_s if self._running else None
            return self._running, age_s, queued

    def _known(self, request: JobSubmit, work_hash: str) -> JobInfo | None:
        id = self._by_key.get(request.key)
        if id is None:
            return None
        job = self._jobs[id]
        if job.work_hash != work_hash:
            raise InvalidInput(
                f"The key {request.key!r} belongs to job {id}, which is other work.", hint="Use a fresh key a job."
            )
        return job.info()

    def _job(self, id: str) -> _Job:
        job = self._jobs.get(id)
        if job is None:
            raise InvalidInput(f"There is no job {id[:40]!r}.", hint="`job.list` names those there are.")
        return job

    def _forget_oldest(self) -> None:
        over = [job for job in self._jobs.values() if job.state.final]
        for job in over[: max(0, len(self._jobs) - MAX_REMEMBERED)]:
            del self._jobs[job.id]
            del self._by_key[job.request.key]

    def _work(self) -> None:
        while (id := self._waiting.get()) is not None:
            with self._lock:
                job = self._jobs.get(id)
                if job is None or job.state != JobState.QUEUED:
                    continue
                job.state = JobState.RUNNING
                self._running = id
                self._last_progress_s = time.monotonic()
            ending = self._run(job)
            with self._lock:
                self._running = ""
            self._publish(ending)

    def _run(self, job: _Job) -> Message:
        """Do the work, and tell how it ended."""
        assert job.work is not None
        log.info("job %s started", job.id)
        try:
            check(job.stop.is_set)
            manifest = job.work.run(
                progress=lambda progress: self._progress(job, progress),
                written=lambda frame, path, sha256: self._written(job, frame, path, sha256),
                stop=job.stop.is_set,
            )
        except Cancelled:
            return self._end(job, JobState.CANCELLED, JobCancelled(job.id))
        except DubplateError as error:
            log.info("job %s failed [%s]: %s", job.id, error.code, error.message)
            return self._end(job, JobState.FAILED, JobFailed(job.id, ErrorInfo.of(error)))
        except Exception as error:  # a defect in one job must not end the worker
            log.exception("job %s failed", job.id)
            return self._end(job, JobState.FAILED, JobFailed(job.id, ErrorInfo.of(error)))
        total = len(job.work.frames)
        self._progress(job, Progress(total, total, job.progress.stage))  # plates that stood already are no steps
        return self._end(job, JobState.FINISHED, JobFinished(job.id, manifest))

    def _end(self, job: _Job, state: JobState, message: Message) -> Message:
        with self._lock:
            job.state, job.work = state, None
            job.request = dataclasses.replace(job.request, expression=None, jaw=None, eyes=None)
            job.error = message.error if isinstance(message, JobFailed) else None
        log.info("job %s %s", job.id, state)
        return message

    def _progress(self, job: _Job, progress: Progress) -> None:
        now_s = time.monotonic()
        with self._lock:
            soon = now_s - self._last_told_s < PROGRESS_INTERVAL_S and progress.stage == job.progress.stage
            job.progress = progress
            self._last_progress_s = now_s
            if soon and progress.done < progress.total:
                return
            self._last_told_s = now_s
        self._publish(JobProgress(job.id, progress.done, progress.total, progress.stage))

    def _written(self, job: _Job, frame: int, path: str, sha256: str) -> None:
        with self._lock:
            job.written.append(frame)
            self._last_progress_s = time.monotonic()
        self._publish(JobFrame(job.id, frame, path, sha256))


def _hash_work(request: JobSubmit) -> str:
    arrays = {name: getattr(request, name) for name in ("expression", "jaw", "eyes")}
    words = dataclasses.replace(request, key="-", expression=None, jaw=None, eyes=None)
    return f"{words!r} {sha256_arrays({name: array for name, array in arrays.items() if array is not None})}"
