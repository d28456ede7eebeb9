# SPDX-License-Identifier: Apache-2.0
"""A track that is killed goes on where it was, with the same bits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.footage import Footage
from dubplate_backend.tracking.track import track
from dubplate_backend.tracking.track_shot import track_shot


def test_a_killed_track_goes_on_with_the_same_bits(moment: Path, head: HeadModel, tmp_path: Path) -> None:
    out = tmp_path / "a.dubshot"
    kept = tmp_path / "a.dubshot.resume" / "landmark_identity.npz"
    command = [sys.executable, "-m", "dubplate_backend.cli.main", "track", str(moment), "-o", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not kept.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert kept.exists() and not out.exists()

    stages: list[str] = []
    shot = track_shot(
        moment, out, head=head, preview=False, report=False, progress=lambda progress: stages.append(progress.stage)
    )
    assert "landmarks" not in stages and "landmark identity" not in stages and "colours" in stages
    assert not kept.parent.exists()
    unbroken = track(Footage.open(moment), head=head).track
    for name in ("shape", "expression", "jaw", "neck", "rotation", "translation", "lighting", "intrinsics"):
        assert np.array_equal(getattr(shot.track, name), getattr(unbroken, name)), name
