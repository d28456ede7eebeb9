# SPDX-License-Identifier: Apache-2.0
"""What killed writers have left under temporary names."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

ABANDONED_AFTER_S = 600.0  # a plate of 8K takes seconds


def abandoned(folder: Path, pattern: str) -> list[Path]:
    """The files and folders of that pattern which nobody can be at work on any more; none where the folder is full.

    The time is the folder's own, by a file made there: this machine's clock may differ from a file server's.
    """
    left = list(folder.glob(pattern))
    if not left:
        return []
    try:
        with tempfile.TemporaryFile(dir=folder) as now:
            now_s = os.fstat(now.fileno()).st_mtime
        return [path for path in left if now_s - path.stat().st_mtime > ABANDONED_AFTER_S]
    except OSError:  # another's clean-up or rename, or a full disk: the next one looks again
        return []
