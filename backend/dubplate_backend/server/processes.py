# SPDX-License-Identifier: Apache-2.0
"""Whether another process, above all the parent, still runs."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

WINDOWS_SYNCHRONIZE = 0x00100000  # access right of OpenProcess, winnt.h
WINDOWS_WAIT_TIMEOUT = 0x00000102  # WaitForSingleObject: not signalled, that is, still running; winbase.h


@dataclass(frozen=True)
class Parent:
    """The process whose end is ours. direct: it started us itself, so that a new parent tells of its end at once."""

    pid: int
    direct: bool

    @classmethod
    def of(cls, pid: int) -> Parent:
        return cls(pid, sys.platform != "win32" and os.getppid() == pid)

    @property
    def ended(self) -> bool:
        return os.getppid() != self.pid if self.direct else not is_running(self.pid)


def is_running(pid: int) -> bool:
    """True while the process exists. A child of ours whose end was not collected yet counts as running on POSIX."""
    if sys.platform == "win32":
        return _is_running_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it exists, and is somebody else's
        return True
    return True


def _is_running_windows(pid: int) -> bool:
    import ctypes

    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined,unused-ignore]
    handle = kernel.OpenProcess(WINDOWS_SYNCHRONIZE, False, pid)
    if not handle:
        return False
    try:
        return bool(kernel.WaitForSingleObject(handle, 0) == WINDOWS_WAIT_TIMEOUT)
    finally:
        kernel.CloseHandle(handle)
