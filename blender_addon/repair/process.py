# SPDX-License-Identifier: GPL-3.0-or-later
"""`dubplate repair` as a child process, looked at from a timer: what it has done, and what it said. No bpy.

Its words go to a file, which is read as far as it has grown: nothing waits, and no thread is needed.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dubplate_shared.errors import BackendUnreachable, Cancelled, DubplateError, ExitCode, all_errors

from ..connection.child_process import start_dubplate

_LOOK_INTERVAL_S = 0.05
_STOP_TIMEOUT_S = 10.0
_PROGRESS = re.compile(r"^openjd_progress: ([\d.]+)$", re.MULTILINE)
_STAGE = re.compile(r"^openjd_status: (.+)$", re.MULTILINE)
_ERROR = re.compile(r"^Error \[(\w+)\]: (.*)\n(?:  → (.*))?", re.MULTILINE)
_WIDE = "10000"  # columns: no word of an error is broken into lines


@dataclass(frozen=True)
class RepairProcess:
    """A repair under way.  shot: the package that it rewrites when it is done, whole or not at all."""

    process: subprocess.Popen[bytes]
    shot: Path
    log_file: Path
    stopped: list[bool]

    @property
    def progress(self) -> float:
        """0 to 1 of the stage that it is in."""
        found = _PROGRESS.findall(self._log())
        return float(found[-1]) / 100 if found else 0.0

    @property
    def stage(self) -> str:
        """What it does now."""
        found = _STAGE.findall(self._log())
        return found[-1] if found else "Starting"

    def done(self) -> bool:
        """Whether it has ended well.  Raises what it failed with; Cancelled."""
        code = self.process.poll()
        if code is None or code == ExitCode.OK:
            return code is not None
        if self.stopped or code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED):
            raise Cancelled("The repair was cancelled; the track is as it was.")
        raise self._error(code)

    def wait(self) -> None:
        """Block until it has ended.  Raises as `done`."""
        while not self.done():
            time.sleep(_LOOK_INTERVAL_S)

    def stop(self) -> None:
        """Ask it to end; `done` tells when it has."""
        self.stopped.append(True)
        if self.process.poll() is None:
            self.process.terminate()

    def close(self) -> None:
        """End it, and wait for that."""
        self.stop()
        try:
            self.process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _error(self, code: int) -> DubplateError:
        found = _ERROR.findall(self._log())
        if found:
            name, message, hint = found[-1]
            return all_errors().get(name, DubplateError)(message, hint=hint)
        last = "\n".join(self._log().splitlines()[-3:])
        return BackendUnreachable(
            f"The repair ended with exit code {code}: {last}", hint=f"The whole log is {self.log_file}."
        )

    def _log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")


def start_repair(python: Path, shot: Path, arguments: Sequence[str], log_file: Path) -> RepairProcess:
    """Start `dubplate repair` of a package with `python`, one that has Dubplate's backend.

    Raises BackendUnreachable where the Python cannot be started.
    """
    environment = {"COLUMNS": _WIDE, "PYTHONIOENCODING": "utf-8"}
    process = start_dubplate(python, ["repair", str(shot), *arguments], log_file, environment)
    return RepairProcess(process, shot, log_file, [])
