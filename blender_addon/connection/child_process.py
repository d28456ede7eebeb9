# SPDX-License-Identifier: GPL-3.0-or-later
"""`dubplate` as a child process with another Python, its words in a file. No bpy."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from dubplate_shared.errors import BackendUnreachable


def start_dubplate(
    python: Path | str, arguments: Sequence[str], log_file: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Run `dubplate ARGUMENTS…` with `python`, one that has Dubplate's backend; what it says goes to `log_file`.

    environment: added to this process's.  Raises BackendUnreachable where the Python cannot be started.
    """
    try:
        with open(log_file, "wb") as log:
            return subprocess.Popen(
                [str(python), "-m", "dubplate_backend.cli.main", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
    except OSError as error:
        raise BackendUnreachable(
            f"{python} cannot be started: {error.strerror}.",
            hint="Set the Python of Dubplate's environment in the add-on's preferences, such as .venv/bin/python.",
        ) from error
