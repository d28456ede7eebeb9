# SPDX-License-Identifier: Apache-2.0
"""Debian's own Blenders, each in a root of its own, with a screen that nobody sees. Linux, as root.

Mounts live in a namespace of the process that needs them: however it ends, none stays behind.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MIRROR = "http://deb.debian.org/debian"
PACKAGES = (
    "blender", "python3-numpy", "python3-requests", "xvfb", "xauth", "libgl1-mesa-dri", "libegl1", "xdotool",
    "imagemagick",
)  # fmt: skip
SCREEN = "1600x900x24"
_READY = "etc/dubplate-window-ready"  # written last: a root that was interrupted is made again


@dataclass(frozen=True)
class Suite:
    """A Debian, and the Blender that it brings."""

    name: str
    blender: str
    extra: tuple[str, ...] = ()

    @property
    def packages(self) -> tuple[str, ...]:
        return (*PACKAGES, *self.extra)


SUITES = {
    "sid": Suite("sid", "Blender 5.2 LTS, Python 3.14", ("python3-cattr",)),
    "trixie": Suite("trixie", "Blender 4.3, Python 3.13"),
}


def what_is_missing() -> str:
    """Why this machine cannot do it, with the fix; "" where it can."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "A root of another Debian is made and entered by root only. Run this as root on Linux."
    missing = [name for name in ("debootstrap", "unshare", "chroot", "mount") if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} not found. Run: apt-get install -y debootstrap util-linux"
    return ""


def make_root(suite: Suite, root: Path) -> None:
    """Install the suite with its Blender beneath `root`, unless it is there. Some minutes and 1.5 GB."""
    ready = root / _READY
    if ready.exists():
        return
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    print(f"Installing Debian {suite.name} with {suite.blender} in {root}", flush=True)
    with open(root.with_suffix(".log"), "wb") as log:
        subprocess.run(["debootstrap", "--variant=minbase", suite.name, str(root), MIRROR], stdout=log, check=True)
        install = ["apt-get", "install", "-y", "--no-install-recommends", *suite.packages]
        subprocess.run(
            inside(root, install, environment={"DEBIAN_FRONTEND": "noninteractive"}), stdout=log, stderr=log, check=True
        )
    subprocess.run(inside(root, ["apt-get", "clean"]), check=True)
    ready.touch()


def inside(
    root: Path, command: Sequence[str], *, binds: Sequence[Path] = (), environment: Mapping[str, str] | None = None
) -> list[str]:
    """The command line that runs `command` beneath `root`.  binds: folders that are seen there where they are here."""
    lines = ["mount -t proc proc {root}/proc", "mount --rbind /dev {root}/dev"]
    for folder in binds:
        (root / folder.relative_to("/")).mkdir(parents=True, exist_ok=True)
        lines.append(f"mount --bind {shlex.quote(str(folder))} {{root}}{shlex.quote(str(folder))}")
    settings = [f"{name}={value}" for name, value in (environment or {}).items()]
    lines.append("exec chroot {root} " + shlex.join(["env", *settings, *command]))
    script = "\n".join(lines).replace("{root}", shlex.quote(str(root)))
    return ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script]


def on_a_screen(command: Sequence[str]) -> list[str]:
    """`command` before a screen of its own, drawn by the processor."""
    return ["xvfb-run", "-a", "-s", f"-screen 0 {SCREEN}", "env", "LIBGL_ALWAYS_SOFTWARE=1", *command]
