# SPDX-License-Identifier: Apache-2.0
"""A backend as a child of this process, for commands that need one while they run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dubplate_shared.errors import BackendUnreachable

START_TIMEOUT_S = 120.0
END_TIMEOUT_S = 15.0
_LOOK_S = 0.05
_LAST_LINES = 8


@contextmanager
def served(root: Path, output_root: Path, *, connection: Path, log: Path, head: str | None = None) -> Iterator[None]:
    """`dubplate serve` until the context is left.  connection: the file that it is reached by, gone afterwards.

    Raises BackendUnreachable with its last words where it does not start.
    """
    connection.unlink(missing_ok=True)
    output_root.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "dubplate_backend.cli.main", "serve", "--root", str(root),
        "--output-root", str(output_root), "--connection", str(connection), "--parent-pid", str(os.getpid()),
        *(["--head", head] if head else []),
    ]  # fmt: skip
    with open(log, "wb") as words:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=words, stderr=subprocess.STDOUT)
    try:
        _wait_until_serving(server, connection, log)
        yield
    finally:
        server.terminate()
        try:
            server.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        connection.unlink(missing_ok=True)


def _wait_until_serving(server: subprocess.Popen[bytes], connection: Path, log: Path) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while not connection.exists():
        if server.poll() is not None or time.monotonic() > deadline_s:
            raise BackendUnreachable(
                "The server did not start:\n" + "\n".join(log.read_text(errors="replace").splitlines()[-_LAST_LINES:]),
                hint=f"The whole log is {log}.",
            )
        time.sleep(_LOOK_S)
