# SPDX-License-Identifier: Apache-2.0
"""What a window is driven with: the synthetic actor's shot and what was learnt of him, the extension, a backend."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
_WRAPPER = """#!/bin/sh
# Blender lives in another Debian; Dubplate's environment in this one, which `dubplate serve` steps out into.
exec chroot /proc/{pid}/root env PYTHONPATH={paths} {python} "$@"
"""


def made_demo(folder: Path) -> Path:
    """demo.dubshot and demo.dubactor of the synthetic actor, by `dubplate demo`. Ten minutes the first time."""
    if not (folder / "contact_sheet.png").exists():
        print(f"Making the synthetic actor in {folder} (dubplate demo)", flush=True)
        command = [sys.executable, "-m", "dubplate_backend.cli.main", "demo", "-o", str(folder)]
        subprocess.run(command, check=True, cwd=REPOSITORY)
    return folder


def built_extension(folder: Path) -> Path:
    """The zip of this machine's platform."""
    command = [sys.executable, str(REPOSITORY / "scripts/build_extension"), "--output", str(folder)]
    return Path(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1])


def write_python(path: Path) -> Path:
    """A program in Blender's root that is this Python in ours: the add-on starts its backend with it, as with any."""
    paths = os.pathsep.join(str(REPOSITORY / name) for name in ("shared", "backend"))
    path.write_text(_WRAPPER.format(pid=os.getpid(), paths=paths, python=sys.executable), encoding="utf-8")
    path.chmod(0o755)
    return path
