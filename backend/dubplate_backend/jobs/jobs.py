# SPDX-License-Identifier: Apache-2.0
"""The jobs of a backend: asked for, journalled, taken in turns by one worker, stoppable between frames.

One worker, because one device draws: jobs of several clients share its time in slices, and what a slice has not
finished goes on from the plates that stand.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import threading
import time
from collections.abc import Callable
from enum import Enum, auto

from dubplate_backend.jobs.courtesy import Courtesy
from dubplate_backend.jobs.job import Job, Work, WrittenPlate, hash_work
from dubplate_backend.jobs.journal import Journal
from dubplate_backend.jobs.turns import Turns
from dubplate_shared.error_info import ErrorInfo, QueueFull
from dubplate_shared.errors import Cancelled, DubplateError, InvalidInput, NotAllowed, OutputNotWritable
from dubplate_shared.job_messages import (
    JobCancelled,
    JobFailed,
    JobFinished,
    JobFrame,
    JobInfo,
    JobPaused,
    JobProgress,
    JobState,
    JobSubmit,
)
from dubplate_shared.message import Message
from dubplate_shared.progress import Progress
from dubplate_shared.protocol import MAX_HEADER_BYTES

MAX_WAITING = 1024
MAX_WAITING_EACH = 256  # of one client, so that one who floods the queue leaves room for others
MAX_REMEMBERED = 2000
LISTED_BYTES = MAX_HEADER_BYTES // 2  # of a list's states as text, so that it fits a header with room to spare
PROGRESS_INTERVAL_S = 0.05  # closer steps of one stage are not told, the last one always is
SLICE_S = 4.0  # a client waits no longer for its turn than this and a batch; a new slice costs about 0.1 s of checks

log = logging.getLogger("dubplate.server")

Prepare = Callable[[JobSubmit, str], Work]  # the request, and the user who asks


class _Wish(Enum):
    """Why the running job should stop."""

    CANCEL = auto()
    PAUSE = auto()


class Jobs:
    """The queue and its worker thread. All methods may be called from any thread.

    What is told to clients is in the journal first: a job before `submit` returns, a plate before its event.
    """

    def __init__(
        self,
        prepare: Prepare,
        publish: Callable[[Message], None],
        journal: Journal,
        *,
        go_on: bool = True,
        give_way: Callable[[], bool] = lambda: False,
    ) -> None:
        """prepare: checks a request, raising what is wrong with it.  publish: tells listeners.

        give_way: whether somebody waits for the device in front of a screen.

        journal: this object's from now on.  go_on: with what it holds unfinished; else that is paused, for somebody to
        resume.
        """
        self._prepare = prepare
        self._publish = publish
        self._journal = journal
        self._lock = threading.Lock()  # never held during input or output
        self._submitting = threading.Lock()
        self._steering = threading.Lock()  # a job's state and its journal change together
        self._changed = threading.Condition(self._lock)
        self._jobs = {job.id: job for job in journal.jobs()}  # in order of submission
        self._by_key = {job.request.key: job.id for job in self._jobs.values()}
        self._wishes: dict[str, _Wish] = {}
        self._turns = Turns()
        self._courtesy = Courtesy(give_way)
        self._ending = False
        self._running: Job | None = None
        self._slice_started_s = self._last_beat_s = self._last_told_s = time.monotonic()
        self._worker = threading.Thread(target=self._work, name="dubplate-worker", daemon=True)
        if not go_on:
            for job in self._jobs.values():
                if job.state == JobState.QUEUED:
                    job.state = JobState.PAUSED
                    journal.set_state(job)

    def start(self) -> None:
        self._worker.start()

    def stop(self, timeout_s: float) -> bool:
        """End the worker; what is unfinished goes on with the next backend. Returns whether it ended in time."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        if self._worker.ident is not None:
            self._worker.join(timeout_s)
        ended = not self._worker.is_alive()
        if ended:
            self._journal.close()
        return ended

    # --- asked for -----------------------------------------------------------------------------------------------

    def submit(self, request: JobSubmit, *, user: str = "", client: str = "") -> JobInfo:
        """Note and queue a job, checked. The same key with the same work is the job it was.

        user: whose access counts.  client: who takes turns with others.
        Raises InvalidInput, NotAllowed, QueueFull, OutputNotWritable, and what else is wrong with it.
        """
        work_hash = hash_work(request)
        with self._submitting:
            known = self._known(request, work_hash, user)
            if known is not None:
                return known
            work = self._prepare(request, user)
            self._check_room(client)
            job = self._journal.add(request, work_hash, user=user, client=client)
            job.progress = Progress(0, len(work.frames))
            with self._changed:
                self._jobs[job.id] = job
                self._by_key[request.key] = job.id
                forgotten = self._forget_oldest()
                info = job.info()
                self._changed.notify_all()
        if forgotten:
            self._journal.forget(forgotten)
        log.info("queued", extra={"job": job.id, "frames": len(work.frames)})
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

    def cancel(self, id: str, *, user: str = "") -> JobInfo:
        """Stop a job; one that is over stays as it is. Raises InvalidInput, NotAllowed, OutputNotWritable."""
        return self._stop(id, user, _Wish.CANCEL, JobState.CANCELLED, JobCancelled(id))

    def pause(self, id: str, *, user: str = "") -> JobInfo:
        """Let a job rest, with its plates, until it is resumed. Raises as `cancel`."""
        return self._stop(id, user, _Wish.PAUSE, JobState.PAUSED, JobPaused(id))

    def resume(self, id: str, *, user: str = "") -> JobInfo:
        """Let a paused job go on; any other stays as it is. Raises as `cancel`."""
        return self._queue_again(id, user, (JobState.PAUSED,))

    def retry(self, id: str, *, user: str = "") -> JobInfo:
        """Queue a job again that failed or was cancelled; plates that stand are not drawn again. Raises as `cancel`."""
        return self._queue_again(id, user, (JobState.FAILED, JobState.CANCELLED, JobState.PAUSED))

    def prioritise(self, id: str, priority: int, *, user: str = "") -> JobInfo:
        """Let a job go before those of a lower priority, also before one that runs. Raises as `cancel`."""
        with self._changed:
            job = self._own(id, user)
            job.priority = priority
            info = job.info()
            self._changed.notify_all()
        self._journal.set_priority(id, priority)
        return info

    def beat(self) -> tuple[str, float | None, int]:
        """The running job or "", seconds since its worker last showed life or None, and how many jobs wait."""
        with self._lock:
            queued = sum(job.state == JobState.QUEUED for job in self._jobs.values())
            if self._running is None:
                return "", None, queued
            return self._running.id, time.monotonic() - self._last_beat_s, queued

    def _stop(self, id: str, user: str, wish: _Wish, state: JobState, news: Message) -> JobInfo:
        with self._steering:
            with self._lock:
                job = self._own(id, user)
                if job is self._running and self._wishes.get(id) is not _Wish.CANCEL:
                    self._wishes[id] = wish
                at_once = job.state in (JobState.QUEUED, JobState.PAUSED) and job.state != state
                if at_once:
                    job.state, job.error = state, None
                noted = dataclasses.replace(job)
            if at_once:
                self._journal.set_state(noted)
                self._publish(news)
        return noted.info()

    def _queue_again(self, id: str, user: str, states: tuple[JobState, ...]) -> JobInfo:
        with self._steering:
            with self._lock:
                job = self._own(id, user)
                if self._wishes.get(id) is _Wish.PAUSE:  # not at rest yet
                    del self._wishes[id]
                if job.state not in states:
                    return job.info()
                noted = dataclasses.replace(job, state=JobState.QUEUED, error=None)
            self._journal.set_state(noted)
            with self._changed:
                job.state, job.error = noted.state, None
                self._changed.notify_all()
        return noted.info()

    def _known(self, request: JobSubmit, work_hash: str, user: str) -> JobInfo | None:
        with self._lock:
            id = self._by_key.get(request.key)
            if id is None:
                return None
            job = self._own(id, user)
            if job.work_hash != work_hash:
                raise InvalidInput(
                    f"The key {request.key!r} belongs to job {id}, which is other work.", hint="Use a fresh key a job."
                )
            return job.info()

    def _check_room(self, client: str) -> None:
        with self._lock:
            waiting = self._waiting()
        own = sum(job.client == client for job in waiting)
        if len(waiting) >= MAX_WAITING or own >= MAX_WAITING_EACH:
            raise QueueFull(
                f"{len(waiting)} jobs wait already, {own} of them yours.",
                hint="Wait for some to finish, or cancel some.",
            )

    def _job(self, id: str) -> Job:
        job = self._jobs.get(id)
        if job is None:
            raise InvalidInput(f"There is no job {id[:40]!r}.", hint="`job.list` names those there are.")
        return job

    def _own(self, id: str, user: str) -> Job:
        job = self._job(id)
        if job.user != user:
            raise NotAllowed(f"Job {id} is not yours.", hint="Ask whoever submitted it.")
        return job

    def _forget_oldest(self) -> list[str]:
        over = [job for job in self._jobs.values() if job.state.final]
        gone = over[: max(0, len(self._jobs) - MAX_REMEMBERED)]
        for job in gone:
            del self._jobs[job.id]
            del self._by_key[job.request.key]
        return [job.id for job in gone]

    # --- done ----------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (job := self._next()) is not None:
            started_s = time.monotonic()
            ending = self._run(job)
            with self._lock:
                self._running = None
                self._wishes.pop(job.id, None)
                self._turns.spend(job.client, time.monotonic() - started_s)
            if ending is not None:
                self._publish(ending)

    def _next(self) -> Job | None:
        """Wait for the next job whose turn it is; None when the backend ends."""
        with self._changed:
            while True:
                if self._ending:
                    return None
                job = self._turns.next(self._waiting())
                if job is not None:
                    break
                self._changed.wait()
            job.state = JobState.RUNNING
            self._running = job
            self._slice_started_s = self._last_beat_s = time.monotonic()
            return job

    def _waiting(self) -> list[Job]:
        return [job for job in self._jobs.values() if job.state == JobState.QUEUED]

    def _should_stop(self, job: Job) -> bool:
        """Asked by the work between its steps: cancelled, paused, or the backend's end."""
        self._courtesy.give_way(lambda: self._is_to_stop(job))
        with self._lock:
            self._last_beat_s = time.monotonic()
            return self._is_to_stop(job)

    def _is_to_stop(self, job: Job) -> bool:
        return self._ending or job.id in self._wishes

    def _should_rest(self, job: Job) -> bool:
        """Asked by the work where it may leave off: is it another's turn?"""
        with self._lock:
            now_s = self._last_beat_s = time.monotonic()
            waiting = self._waiting()
            if any(other.priority > job.priority for other in waiting):
                return True
            rivals = any(other.priority == job.priority and other.client != job.client for other in waiting)
            return rivals and now_s - self._slice_started_s > SLICE_S

    def _run(self, job: Job) -> Message | None:
        """Work at a job, and how that ended; None where it only waits for its next turn."""
        log.info("started", extra={"job": job.id})
        try:
            work = self._prepare(self._journal.request(job.id), job.user)  # anew: curves would fill the memory
            finished = work.run(
                known=dict(job.written),
                progress=lambda progress: self._progress(job, progress),
                written=lambda plates: self._written(job, plates),
                stop=lambda: self._should_stop(job),
                rest=lambda: self._should_rest(job),
            )
        except Cancelled:
            return self._interrupted(job)
        except OutputNotWritable as error:  # a full disk: somebody makes room, and it goes on
            return self._end(job, JobState.PAUSED, JobPaused(job.id, ErrorInfo.of(error)))
        except DubplateError as error:
            return self._end(job, JobState.FAILED, JobFailed(job.id, ErrorInfo.of(error)))
        except Exception as error:  # a defect in one job must not end the worker
            log.exception("failed", extra={"job": job.id})
            return self._end(job, JobState.FAILED, JobFailed(job.id, ErrorInfo.of(error)))
        with self._lock:
            job.manifest, job.stages = finished.manifest, finished.stages
        total = len(work.frames)
        self._progress(job, Progress(total, total, job.progress.stage))  # plates that stood already are no steps
        return self._end(job, JobState.FINISHED, JobFinished(job.id, finished.manifest))

    def _interrupted(self, job: Job) -> Message | None:
        with self._lock:
            wish = self._wishes.get(job.id)
            if wish is None:
                job.state = JobState.QUEUED
        if wish is None:
            log.info("waits for its next turn", extra={"job": job.id})
            return None
        if wish is _Wish.PAUSE:
            return self._end(job, JobState.PAUSED, JobPaused(job.id))
        return self._end(job, JobState.CANCELLED, JobCancelled(job.id))

    def _end(self, job: Job, state: JobState, message: Message) -> Message:
        error = getattr(message, "error", None)
        try:
            self._journal.set_state(dataclasses.replace(job, state=state, error=error))
        except OutputNotWritable as full:  # not told before it is noted; with room again it is resumed, and ends
            error = ErrorInfo.of(full)
            state, message = JobState.PAUSED, JobPaused(job.id, error)
        with self._lock:
            job.state, job.error = state, error
        log.info("%s", state, extra={"job": job.id, **_facts(job, error)})
        return message

    def _progress(self, job: Job, progress: Progress) -> None:
        now_s = time.monotonic()
        with self._lock:
            soon = now_s - self._last_told_s < PROGRESS_INTERVAL_S and progress.stage == job.progress.stage
            job.progress = progress
            self._last_beat_s = now_s
            if soon and progress.done < progress.total:
                return
            self._last_told_s = now_s
        self._publish(JobProgress(job.id, progress.done, progress.total, progress.stage))

    def _written(self, job: Job, plates: tuple[WrittenPlate, ...]) -> None:
        news = tuple(plate for plate in plates if job.written.get(plate.frame) != plate)
        if news:
            self._journal.add_plates(job.id, news)
        with self._lock:
            job.written.update({plate.frame: plate for plate in plates})
            self._last_beat_s = time.monotonic()
        for plate in plates:
            log.debug("plate stands", extra={"job": job.id, "frame": plate.frame})
            self._publish(JobFrame(job.id, plate.frame, plate.path, plate.sha256, plate.kept))


def _facts(job: Job, error: ErrorInfo | None) -> dict[str, object]:
    """For the log: no words of an error, which may name people."""
    if error is not None:
        return {"code": error.code}
    return {f"{name}_s": round(seconds, 3) for name, seconds in job.stages.items()}
