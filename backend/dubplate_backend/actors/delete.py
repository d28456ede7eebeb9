# SPDX-License-Identifier: Apache-2.0
"""Delete an actor: texture, adapted weights, checkpoints, caches, previews, jobs; and look whether a copy is left."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubplate_backend.actors.scan import find_copies, fingerprints
from dubplate_backend.actors.traces import Traces
from dubplate_backend.jobs.journal import Journal, JournalInUse
from dubplate_backend.plates.manifest import Manifest
from dubplate_shared.errors import OutputNotWritable
from dubplate_shared.files import fsync_folder
from dubplate_shared.progress import ProgressCallback, silent


@dataclass(frozen=True)
class Deletion:
    """deleted: files.  jobs: how many were forgotten.  copies: files that still hold a piece of the actor."""

    deleted: tuple[Path, ...]
    jobs: int
    copies: tuple[Path, ...]

    def to_json(self) -> dict[str, Any]:
        """For --json: paths as text."""
        return {
            "deleted": [str(path) for path in self.deleted],
            "jobs": self.jobs,
            "copies": [str(path) for path in self.copies],
        }


def delete_actor(
    traces: Traces,
    folders: Sequence[Path],
    *,
    plates: bool = False,
    dry_run: bool = False,
    progress: ProgressCallback = silent,
) -> Deletion:
    """Remove what `traces` lists, and scan `folders` for copies.  plates: deliveries, too.  dry_run: only look.

    Raises JournalInUse while a backend runs on these folders, since it could write him anew, OutputNotWritable where a
    file cannot be removed.
    """
    files = traces.files(plates=plates)
    prints = fingerprints(file for package in traces.packages for file in sorted(package.rglob("*")))
    jobs = sum(len(ids) for ids in traces.jobs.values())
    if not dry_run:
        if traces.busy:
            raise JournalInUse(
                f"A backend works beneath {traces.busy[0].parent.parent}.", hint="Stop it, and delete the actor then."
            )
        for path, ids in traces.jobs.items():
            with closing(Journal(path)) as journal:
                journal.forget(ids)
                journal.shred()
        _remove(traces, files, plates=plates)
    gone = set() if not dry_run else set(files)
    copies = tuple(path for path in find_copies(folders, prints, progress) if path not in gone)
    return Deletion(files, jobs, copies)


def _remove(traces: Traces, files: Sequence[Path], *, plates: bool) -> None:
    parents = {path.parent for path in (*traces.packages, *traces.work, *traces.caches, *files)}
    try:
        for folder in (*traces.packages, *traces.work, *traces.caches):
            shutil.rmtree(folder)
        for file in files:
            file.unlink(missing_ok=True)
        for parent in parents:
            if parent.is_dir():
                fsync_folder(parent)
    except OSError as error:
        raise OutputNotWritable(
            f"{error.filename} cannot be removed: {os.strerror(error.errno or 0)}.",
            hint="Mend its permissions and give the same command again: what is gone stays gone.",
        ) from error
    for version in {file.parent for file in traces.plates if plates}:
        manifest = Manifest.load(version)
        manifest.save(version)  # without the plates that are gone
