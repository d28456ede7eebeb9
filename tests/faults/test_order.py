# SPDX-License-Identifier: Apache-2.0
"""Before anybody is told of a plate, its bytes, its name and its entry in the journal are on disk, in that order: what
survives a loss of power.  Seen from outside, by the system calls of a real backend.
"""

from __future__ import annotations

import re
from pathlib import Path

from blender_addon.connection.client import Client
from faults.tracing import traced

CALLS = "fsync,fdatasync,rename,sendto,write"
WORK = {
    "shot": "small.dubshot", "actor": "small.dubactor", "frames": "1001-1003", "output": "a",
    "settings": {"preview": False, "background_test": False},
}  # fmt: skip


def test_a_plate_is_synced_then_named_then_journalled_and_only_then_told_of(
    full: None, studio: Path, tmp_path: Path
) -> None:
    with (
        traced(tmp_path, studio, tmp_path / "plates", ["-e", f"trace={CALLS}"]) as connection,
        Client.connect(connection) as client,
    ):
        client.wait(client.submit(**WORK), timeout=120)
    lines = (tmp_path / "trace").read_text(errors="replace").splitlines()
    for frame in (1001, 1002, 1003):
        name = f"small_dub_v001.{frame}"
        steps = {
            "bytes": rf"fsync\(\d+<[^>]*\.{name}\.[^>]*\.part\.exr",
            "name": rf'rename\("[^"]*\.{name}\.[^"]*\.part\.exr", "[^"]*{name}\.exr"',
            "folder": r"fsync\(\d+<[^>]*/v001>",
            "journal": r"fd?a?t?a?sync\(\d+<[^>]*jobs\.sqlite-wal>",
            "told": rf"(sendto|write)\(.*job\.frame.*{name}\.exr",
        }
        at = -1
        for step, pattern in steps.items():
            found = [index for index, line in enumerate(lines) if index > at and re.search(pattern, line)]
            assert found, f"frame {frame}: {step} does not come after what it must follow"
            at = found[0]
        first_told = next(index for index, line in enumerate(lines) if re.search(steps["told"], line))
        assert first_told == at, f"frame {frame} was told of before it was on disk"
