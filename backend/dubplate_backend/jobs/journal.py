# SPDX-License-Identifier: Apache-2.0
"""The journal: every job and every plate that was told of, on disk before anybody hears of it.

SQLite with a write-ahead log that is synced at each commit, so that what was acknowledged survives kill -9 and power
loss.  A backend holds its journal alone for as long as it runs.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

from dubplate_backend.jobs.job import Job, WrittenPlate
from dubplate_shared.error_info import ErrorInfo
from dubplate_shared.errors import DubplateError, InvalidInput, OutputNotWritable
from dubplate_shared.job_messages import JobState, JobSubmit
from dubplate_shared.protocol import pack, unpack
from dubplate_shared.validation import from_envelope, to_envelope

SCHEMA_VERSION = 1
MAX_JOURNALS = 8  # backends that may write beneath one output root at once
_CURVES = ("expression", "jaw", "eyes")
_TABLES = """
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL UNIQUE,
    work_hash TEXT NOT NULL,
    request BLOB NOT NULL,       -- the header of job.submit, without curves
    user TEXT NOT NULL,
    client TEXT NOT NULL,
    priority INTEGER NOT NULL,
    state TEXT NOT NULL,
    error TEXT,
    manifest TEXT NOT NULL DEFAULT '',
    submitted_s REAL NOT NULL    -- Unix seconds, for people
);
CREATE TABLE curves (
    job TEXT NOT NULL REFERENCES jobs(id) ON DELETE CASCADE,
    part INTEGER NOT NULL,       -- of the message job.submit as sent: 0 is its header
    data BLOB NOT NULL,
    PRIMARY KEY (job, part)
) WITHOUT ROWID;
CREATE TABLE plates (
    job TEXT NOT NULL REFERENCES jobs(id) ON DELETE CASCADE,
    frame INTEGER NOT NULL,
    path TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    input_hash TEXT NOT NULL,
    status TEXT NOT NULL,
    PRIMARY KEY (job, frame)
) WITHOUT ROWID;
"""


class JournalInUse(DubplateError):
    """Another backend holds this journal."""

    code = "journal_in_use"


class Journal:
    """One journal file, held by this process. Safe from any thread; each change is on disk when its call returns.

    All methods raise OutputNotWritable where the disk is full or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        """Open or make `path`. Raises JournalInUse, OutputNotWritable, InvalidInput for a file that is no journal."""
        self.path = path
        self._lock = threading.Lock()
        with _told_plainly(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=0.0, isolation_level=None, check_same_thread=False)
        try:
            with _told_plainly(path):
                self._prepare()
        except BaseException:
            self._database.close()
            raise

    def _prepare(self) -> None:
        # Exclusive: no second backend, and no shared memory file, so that it works on a network's disk, too.
        for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute("BEGIN EXCLUSIVE")  # takes the lock, which is then kept
        version = self._database.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            for statement in _TABLES.split(";\n"):
                self._database.execute(statement)
            self._database.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        self._database.execute("COMMIT")
        if version > SCHEMA_VERSION:
            raise InvalidInput(
                f"{self.path} was written by a newer Dubplate.", hint="Update Dubplate, or move that file away."
            )

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def add(
        self, request: JobSubmit, work_hash: str, *, user: str, client: str, clock: Callable[[], float] = time.time
    ) -> Job:
        """Note a new job. clock: Unix seconds."""
        bare = replace(request, **dict.fromkeys(_CURVES))
        whole = pack(to_envelope(request))
        id = uuid.uuid4().hex[:12]
        submitted_s = clock()
        with self._change() as database:
            number = database.execute(
                "INSERT INTO jobs (id, key, work_hash, request, user, client, priority, state, submitted_s)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    id, request.key, work_hash, bytes(pack(to_envelope(bare))[0]), user, client,
                    request.priority, str(JobState.QUEUED), submitted_s,
                ),
            ).lastrowid  # fmt: skip
            database.executemany(
                "INSERT INTO curves VALUES (?, ?, ?)", [(id, part, bytes(data)) for part, data in enumerate(whole)]
            )
        assert number is not None
        return Job(id, number, bare, work_hash, user, client, request.priority, submitted_s=submitted_s)

    def request(self, id: str) -> JobSubmit:
        """The request as it came, curves and all. Raises InvalidInput where it is kept no longer."""
        with self._lock, _told_plainly(self.path):
            rows = self._database.execute("SELECT data FROM curves WHERE job = ? ORDER BY part", (id,)).fetchall()
        if not rows:
            raise InvalidInput(f"The curves of job {id} are kept no longer.", hint="Submit the work again.")
        request = from_envelope(unpack([row[0] for row in rows]))
        assert isinstance(request, JobSubmit)
        return request

    def set_state(self, job: Job) -> None:
        """Note state, error and manifest as they are now; a finished job's curves are let go."""
        error = None if job.error is None else json.dumps(asdict(job.error))
        with self._change() as database:
            database.execute(
                "UPDATE jobs SET state = ?, error = ?, manifest = ? WHERE id = ?",
                (str(job.state), error, job.manifest, job.id),
            )
            if job.state == JobState.FINISHED:
                database.execute("DELETE FROM curves WHERE job = ?", (job.id,))

    def set_priority(self, id: str, priority: int) -> None:
        """Note who goes before whom; what state the job is in, running or over by now, is not touched."""
        with self._change() as database:
            database.execute("UPDATE jobs SET priority = ? WHERE id = ?", (priority, id))

    def add_plates(self, id: str, plates: Iterable[WrittenPlate]) -> None:
        """Note plates that stand on disk; only then may anybody be told of them."""
        rows = [(id, plate.frame, plate.path, plate.sha256, plate.input_hash, plate.status) for plate in plates]
        with self._change() as database:
            database.executemany("INSERT OR REPLACE INTO plates VALUES (?, ?, ?, ?, ?, ?)", rows)

    def jobs(self) -> list[Job]:
        """All jobs, oldest first, with the plates that they told of."""
        with self._lock, _told_plainly(self.path):
            rows = self._database.execute(
                "SELECT id, number, request, work_hash, user, client, priority, state, error, manifest, submitted_s"
                " FROM jobs ORDER BY number"
            ).fetchall()
            plates: dict[str, dict[int, WrittenPlate]] = {}
            for job, *fields in self._database.execute("SELECT * FROM plates"):
                plates.setdefault(job, {})[fields[0]] = WrittenPlate(*fields)
        return [_job(row, plates.get(row[0], {})) for row in rows]

    def forget(self, ids: Iterable[str]) -> None:
        """Remove jobs with all that was noted of them."""
        with self._change() as database:
            database.executemany("DELETE FROM jobs WHERE id = ?", [(id,) for id in ids])

    def shred(self) -> None:
        """Write the file anew, so that nothing of what was forgotten is left in its free pages."""
        with self._lock, _told_plainly(self.path):
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._database.execute("VACUUM")
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextlib.contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _told_plainly(self.path):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # SQLite has rolled back by itself where the disk was full
                    self._database.execute("ROLLBACK")
                raise


def journals(folder: Path) -> list[Path]:
    """The journals in a folder, in use or not."""
    return sorted(folder.glob("jobs*.sqlite"))


def open_journal(folder: Path) -> Journal:
    """The first journal in `folder` that no other backend holds: `jobs.sqlite`, `jobs-2.sqlite` and so on.

    Raises JournalInUse where all are held, OutputNotWritable, InvalidInput.
    """
    for number in range(1, MAX_JOURNALS + 1):
        try:
            return Journal(folder / ("jobs.sqlite" if number == 1 else f"jobs-{number}.sqlite"))
        except JournalInUse:
            continue
    raise JournalInUse(
        f"{MAX_JOURNALS} backends write beneath {folder.parent} already.",
        hint="Use one of them, or another output root.",
    )


def _job(row: tuple, plates: dict[int, WrittenPlate]) -> Job:
    id, number, request, work_hash, user, client, priority, state, error, manifest, submitted_s = row
    message = from_envelope(unpack([request]))
    assert isinstance(message, JobSubmit)
    return Job(
        id=id,
        number=number,
        request=message,
        work_hash=work_hash,
        user=user,
        client=client,
        priority=priority,
        state=JobState(state),
        error=None if error is None else ErrorInfo(**json.loads(error)),
        manifest=manifest,
        submitted_s=submitted_s,
        written=plates,
    )


@contextlib.contextmanager
def _told_plainly(path: Path) -> Iterator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise JournalInUse(f"Another backend holds {path}.", hint="Stop it, or use it.") from error
        raise OutputNotWritable(
            f"The journal {path} cannot be written: {error}.", hint="Free some space there, or mend its permissions."
        ) from error
    except sqlite3.DatabaseError as error:
        raise InvalidInput(
            f"{path} is no journal of jobs: {error}.", hint="Move it away; plates on disk are not touched by that."
        ) from error
    except OSError as error:
        raise OutputNotWritable(
            f"The journal {path} cannot be made: {error.strerror}.", hint="Choose another output root."
        ) from error
