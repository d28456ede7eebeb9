# SPDX-License-Identifier: Apache-2.0
"""The pictures beside the plates: preview.mp4 and sheet.png, written when what they show has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubplate_backend.plates.exr import read_first_part
from dubplate_backend.plates.manifest import Manifest
from dubplate_backend.plates.preview import as_seen, contact_sheet, write_preview
from dubplate_backend.plates.source import ShotPlates
from dubplate_shared.plate_names import plate_path, version_folder
from dubplate_shared.progress import Progress, ProgressCallback, Stop, check
from dubplate_shared.shot import Shot
from dubplate_shared.take import Take

PREVIEW, SHEET = "preview.mp4", "sheet.png"
SHEET_ROWS = 6
MADE_OF = "pictures"  # of the manifest: by file name, the hash of the frames that it shows


@dataclass(frozen=True)
class Pictures:
    """Pictures of finished plates.  keys: frame -> input hash."""

    shot: Shot
    take: Take
    plates: ShotPlates
    keys: Mapping[int, str]
    out: Path
    version: int
    progress: ProgressCallback
    stop: Stop

    def preview(self, frames: Sequence[int]) -> Path:
        """preview.mp4 of these frames, with the take's voice where they are without a gap. Raises Cancelled."""

        def write(path: Path) -> None:
            whole = list(frames) == list(range(frames[0], frames[-1] + 1))
            sound = self.shot.voice_path(self.take) or self.shot.audio_path() if whole else None
            start_s = self.shot.index(frames[0]) / self.shot.info.rate.fps
            write_preview(path, self._seen(frames), self.shot.info.rate, sound, start_s)

        return self._made(PREVIEW, frames, write)

    def sheet(self, frames: Sequence[int]) -> Path:
        """sheet.png: source and result of some of these frames."""
        rows = frames[:: max(1, -(-len(frames) // SHEET_ROWS))]

        def write(path: Path) -> None:
            contact_sheet(path, [(self.plates.plate(frame), self._path(frame)) for frame in rows])

        return self._made(SHEET, rows, write)

    def _made(self, name: str, frames: Sequence[int], write: Callable[[Path], None]) -> Path:
        """The picture, written unless it stands and was made of the same frames."""
        folder = version_folder(self.out, self.version)
        keys = json.dumps([[frame, self.keys[frame]] for frame in frames])
        made_of = hashlib.sha256(keys.encode()).hexdigest()
        manifest = Manifest.load(folder)
        known = dict(manifest.facts.get(MADE_OF, {}))
        if not (folder / name).exists() or known.get(name) != made_of:
            write(folder / name)
            manifest.merged({MADE_OF: {**known, name: made_of}}, {}).save(folder)
        return folder / name

    def _seen(self, frames: Sequence[int]) -> Iterator[np.ndarray]:
        for done, frame in enumerate(frames):
            check(self.stop)
            self.progress(Progress(done, len(frames), "preview"))
            yield as_seen(read_first_part(self._path(frame)), self.plates.colour)
        self.progress(Progress(len(frames), len(frames), "preview"))

    def _path(self, frame: int) -> Path:
        return plate_path(self.out, self.shot.info.name, self.version, frame)
