# SPDX-License-Identifier: Apache-2.0
"""A backend whose system calls are seen, or made to fail, from outside."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from dubplate_shared.connection import Connection

START_TIMEOUT_S = 120.0
END_TIMEOUT_S = 30.0


@contextmanager
def traced(folder: Path, root: Path, output_root: Path, options: Sequence[str]) -> Iterator[Path]:
    """`dubplate serve` under strace, with its trace in `folder`/trace; yields the connection file.

    Skips the test, saying so, where there is no strace or it may not trace.
    """
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("no strace here: system calls cannot be seen")
    connection = folder / "connection.json"
    command = [
        strace, "-f", "-y", "-s", "400", "-o", str(folder / "trace"), *options, "--seccomp-bpf",
        sys.executable, "-m", "dubplate_backend.cli.main", "serve", "--root", str(root),
        "--output-root", str(output_root), "--connection", str(connection), "--cache-limit", "0",
        "--parent-pid", str(os.getpid()),
    ]  # fmt: skip
    backend = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not connection.exists() and time.monotonic() < deadline_s:
            if backend.poll() is not None:
                pytest.skip("strace may not trace here")
            time.sleep(0.1)
        yield connection
    finally:
        if connection.exists():
            os.kill(Connection.read(connection).pid, signal.SIGTERM)
        elif backend.poll() is None:
            backend.kill()
        backend.wait(END_TIMEOUT_S)
