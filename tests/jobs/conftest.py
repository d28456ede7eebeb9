# SPDX-License-Identifier: Apache-2.0
"""Jobs without sockets: a journal on disk, and work that writes real files slowly enough to be stopped."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dubplate_backend.jobs.job import Finished, WrittenPlate
from dubplate_backend.jobs.jobs import Jobs
from dubplate_backend.jobs.journal import Journal
from dubplate_shared.files import atomic_path
from dubplate_shared.job_messages import JobInfo, JobState, JobSubmit
from dubplate_shared.message import Message
from dubplate_shared.progress import Progress, ProgressCallback, Stop, check


@dataclass
class Writing:
    """Writes a file a frame."""

    folder: Path
    frames: tuple[int, ...]
    step_s: float
    drawn: list[int]

    def run(
        self,
        *,
        known: Mapping[int, WrittenPlate],
        progress: ProgressCallback,
        written: Callable,
        stop: Stop,
        rest: Stop,
    ) -> Finished:
        for done, frame in enumerate(self.frames, start=1):
            check(stop)
            check(rest)
            path = self.folder / f"{frame}.txt"
            if not path.exists():
                time.sleep(self.step_s)
                with atomic_path(path) as temporary:
                    temporary.write_text(str(frame))
                self.drawn.append(frame)
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            written((WrittenPlate(frame, path.name, sha256, "key"),))
            progress(Progress(done, len(self.frames), "writing"))
        return Finished("manifest.json", {"writing": 1.0})


@dataclass
class Desk:
    """Jobs with what they publish, on a journal that stays when they end."""

    folder: Path
    step_s: float = 0.01
    go_on: bool = True
    give_way: Callable[[], bool] = lambda: False
    heard: list[Message] = field(default_factory=list)
    drawn: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._news = threading.Condition()
        journal = Journal(self.folder / "jobs.sqlite")
        self.jobs = Jobs(self._prepare, self._publish, journal, go_on=self.go_on, give_way=self.give_way)

    def _prepare(self, request: JobSubmit, user: str) -> Writing:
        folder = self.folder / request.output
        folder.mkdir(exist_ok=True)
        first, _, last = request.frames.partition("-")
        return Writing(
            folder, tuple(range(int(first), int(last) + 1)), self.step_s, self.drawn.setdefault(request.output, [])
        )

    def _publish(self, message: Message) -> None:
        with self._news:
            self.heard.append(message)
            self._news.notify_all()

    def submit(self, output: str = "a", frames: str = "1-5", *, client: str = "me", user: str = "", **fields) -> str:
        request = JobSubmit(
            **{"key": output, "shot": "s.dubshot", "actor": "a.dubactor", "frames": frames, "output": output} | fields
        )
        return self.jobs.submit(request, user=user, client=client).job

    def until(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
        with self._news:
            assert self._news.wait_for(condition, timeout_s), "it never came to pass"

    def wait(self, id: str, *states: JobState) -> JobInfo:
        """Until the job has one of these states, or is over."""
        deadline_s = time.monotonic() + 10
        while True:
            info = self.jobs.show(id)
            if info.state in states or JobState(info.state).final:
                return info
            assert time.monotonic() < deadline_s, f"still {info.state}"
            time.sleep(0.005)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """Makes desks on the same folder, started; each ends the one before it."""
    made: list[Desk] = []

    def make(*, started: bool = True, **fields) -> Desk:
        while made:
            made.pop().jobs.stop(10)
        made.append(Desk(tmp_path, **fields))
        if started:
            made[-1].jobs.start()
        return made[-1]

    yield make
    while made:
        made.pop().jobs.stop(10)
