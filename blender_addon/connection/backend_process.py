# SPDX-License-Identifier: GPL-3.0-or-later
"""A backend of one's own: starts `dubplate serve` with another Python, and ends it. No bpy."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dubplate_shared.errors import BackendUnreachable, ExitCode

from .child_process import start_dubplate

START_TIMEOUT_S = 120.0  # torch and a head model from a cold disk
STOP_TIMEOUT_S = 15.0  # the backend gives a render 10 s to reach the end of its frame
LOOK_INTERVAL_S = 0.05
LOG_LINES_SHOWN = 8
STOPPED = (ExitCode.OK, ExitCode.TERMINATED)


@dataclass(frozen=True)
class BackendProcess:
    """A backend started here. It ends with this process, however that ends."""

    process: subprocess.Popen[bytes]
    connection_file: Path
    log_file: Path
    scratch: Path | None = None  # the folder of both where it was made for this backend; goes with it if all went well

    def ready(self) -> bool:
        """Whether it can be connected to. Raises BackendUnreachable where it has ended instead, with its last words."""
        if self.process.poll() is not None:
            raise BackendUnreachable(
                f"The backend ended with exit code {self.process.returncode}:\n{self._last_words()}",
                hint=f"The whole log is {self.log_file}.",
            )
        return self.connection_file.exists()

    def wait(self, timeout: float = START_TIMEOUT_S) -> Path:
        """Block until it is ready; its connection file. timeout: seconds. Raises BackendUnreachable."""
        deadline_s = time.monotonic() + timeout
        while not self.ready():
            if time.monotonic() > deadline_s:
                self.stop()
                raise BackendUnreachable(
                    f"The backend was not ready in {timeout:g} s.", hint=f"See what it did in {self.log_file}."
                )
            time.sleep(LOOK_INTERVAL_S)
        return self.connection_file

    def stop(self, timeout: float = STOP_TIMEOUT_S) -> int:
        """Ask it to end, insist after `timeout` seconds; its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
        code = self.process.wait()
        self.connection_file.unlink(missing_ok=True)
        if self.scratch is not None and code in STOPPED:
            shutil.rmtree(self.scratch, ignore_errors=True)
        return code

    def _last_words(self) -> str:
        lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-LOG_LINES_SHOWN:])


def start_backend(
    python: Path | str,
    *,
    roots: Sequence[Path | str],
    output_root: Path | str,
    connection_file: Path | str | None = None,
    head: str | None = None,
    idle_exit: float | None = None,
    resume: bool = True,
    wait: float = START_TIMEOUT_S,
    environment: Mapping[str, str] | None = None,
) -> BackendProcess:
    """Start `dubplate serve` with `python` (one that has Dubplate's backend) and wait until it is ready.

    resume: go on with the jobs that an earlier backend left there; else they are paused.
    connection_file: default in a fresh private folder; the log lies beside it.  idle_exit, wait: seconds; with wait=0
    it returns at once, and `ready` tells.  environment: added to this process's.
    Raises BackendUnreachable, naming the log.
    """
    scratch = None if connection_file else Path(tempfile.mkdtemp(prefix="dubplate-"))
    connection_file = scratch / "connection.json" if scratch else Path(str(connection_file))
    connection_file.parent.mkdir(parents=True, exist_ok=True)
    connection_file.unlink(missing_ok=True)  # an old one would be taken for the new backend's
    log_file = connection_file.with_suffix(".log")
    command = ["serve"]
    for root in roots:
        command += ["--root", str(root)]
    command += ["--output-root", str(output_root), "--connection", str(connection_file)]
    command += ["--parent-pid", str(os.getpid())]
    command += ["--head", head] if head else []
    command += [] if resume else ["--no-resume"]
    command += ["--idle-exit", str(idle_exit)] if idle_exit is not None else []
    process = start_dubplate(python, command, log_file, environment or {})
    backend = BackendProcess(process, connection_file, log_file, scratch)
    if wait > 0:
        backend.wait(wait)
    return backend
