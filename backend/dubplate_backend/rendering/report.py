# SPDX-License-Identifier: Apache-2.0
"""What a render did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dubplate_backend.rendering.mouth_resolution import MouthResolution
from dubplate_shared.frames import format_frames


@dataclass(frozen=True)
class RenderReport:
    """Frame numbers by what became of them, and where the results lie.

    reused: taken from the store of plates.  failed: frame -> why.  preview, sheet: None where they were not asked for.
    mouth: how many pixels it has, None where no face was seen.  stages: seconds by stage.
    """

    drawn: tuple[int, ...]
    skipped: tuple[int, ...]
    passed_through: tuple[int, ...]
    failed: Mapping[int, str]
    seconds: float
    folder: Path
    manifest: Path
    preview: Path | None
    sheet: Path | None
    mouth: MouthResolution | None
    reused: tuple[int, ...] = ()
    stages: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """For --json: paths as text, frames as ranges."""
        ranges = {name: format_frames(getattr(self, name)) for name in ("drawn", "reused", "skipped", "passed_through")}
        paths = {name: str(getattr(self, name) or "") for name in ("folder", "manifest", "preview", "sheet")}
        failed = {str(frame): why for frame, why in self.failed.items()}
        mouth = None if self.mouth is None else self.mouth.to_json()
        stages = {name: round(seconds, 3) for name, seconds in self.stages.items()}
        facts = {"failed": failed, "seconds": round(self.seconds, 3), "stages": stages, "mouth": mouth}
        return {**ranges, **facts, **paths}
