# SPDX-License-Identifier: Apache-2.0
"""Proof that delivered plates are what the manifest says, and that they leave the source plates untouched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dubplate_backend.plates.exr import Exr, read_exr
from dubplate_backend.plates.manifest import NAME, FrameRecord, Manifest
from dubplate_backend.plates.source import ShotPlates
from dubplate_shared.errors import InvalidInput
from dubplate_shared.files import sha256_file
from dubplate_shared.frames import format_frames
from dubplate_shared.progress import Progress, ProgressCallback, silent
from dubplate_shared.shot import Shot


@dataclass(frozen=True)
class Verification:
    """frames: those that the manifest has.  wrong: frame -> what is wrong with it.

    unknown: plates in the folder that the manifest does not have; nothing is known of them.
    """

    folder: Path
    frames: tuple[int, ...]
    wrong: Mapping[int, str]
    unknown: tuple[str, ...]
    compared_with_source: bool

    @property
    def right(self) -> bool:
        """Whether the folder is the delivery that the manifest tells, and nothing else."""
        return not self.wrong and not self.unknown

    def to_json(self) -> dict[str, Any]:
        """For --json."""
        return {
            "folder": str(self.folder),
            "frames": format_frames(self.frames),
            "compared_with_source": self.compared_with_source,
            "wrong": {str(frame): what for frame, what in self.wrong.items()},
            "unknown": list(self.unknown),
        }


def versions(out: Path) -> tuple[Path, ...]:
    """The version folders of an output, or `out` itself where it is one.

    Raises InvalidInput where there is no manifest.
    """
    found = (out,) if (out / NAME).exists() else tuple(sorted(path.parent for path in out.glob(f"v*/{NAME}")))
    if not found:
        raise InvalidInput(
            f"{out} has no {NAME}.", hint="Name an output folder, or one of its versions, such as OUT/v001."
        )
    return found


def verify_plates(folder: Path, shot: Shot | None = None, progress: ProgressCallback = silent) -> Verification:
    """Check every frame of a version folder: file hash, pixel hash, element over plate, and the source's bits.

    shot: compare with its plates where it is given.  Raises InvalidInput where there is no manifest.
    """
    manifest = Manifest.load(folder)
    if not manifest.frames:
        raise InvalidInput(f"{folder} has no {NAME} with frames.", hint="Name the version folder, such as OUT/v001.")
    wrong: dict[int, str] = {}
    plates = None if shot is None else ShotPlates(shot)
    try:
        for done, (frame, record) in enumerate(manifest.frames.items()):
            progress(Progress(done, len(manifest.frames), "verifying"))
            fault = _fault(folder, frame, record, plates)
            if fault:
                wrong[frame] = fault
    finally:
        if plates is not None:
            plates.close()
    progress(Progress(len(manifest.frames), len(manifest.frames), "verifying"))
    known = {record.file for record in manifest.frames.values()}
    unknown = tuple(sorted(path.name for path in folder.glob("[!.]*.exr") if path.name not in known))
    return Verification(folder, tuple(manifest.frames), wrong, unknown, plates is not None)


def _fault(folder: Path, frame: int, record: FrameRecord, plates: ShotPlates | None) -> str:
    """What is wrong with one frame, or nothing."""
    path = folder / record.file
    if not path.exists():
        return "the file is missing"
    if sha256_file(path) != record.sha256:
        return "the file is not the one that was rendered"
    try:
        exr = read_exr(path)
        return "" if plates is None else _difference(exr, plates, frame)
    except InvalidInput as error:
        return error.message


def _difference(exr: Exr, plates: ShotPlates, frame: int) -> str:
    """How a finished plate differs from what source, element and alpha say it is, or nothing."""
    source = plates.plate(frame).rgb
    comp = exr.parts[0].rgb()
    if comp.shape != source.shape or comp.dtype != source.dtype:
        return f"it is {comp.shape} {comp.dtype}, its source {source.shape} {source.dtype}"
    layer = exr.part("dp_elem").channels
    alpha = layer["dp_elem.A"]
    outside = alpha == 0
    bits = np.uint16 if comp.dtype == np.float16 else np.uint32
    changed = (comp.view(bits) != source.view(bits)).any(axis=-1) & outside
    if changed.any():
        return f"{int(changed.sum())} pixels outside the matte are not the source's"
    inside = ~outside
    element = np.stack([layer[f"dp_elem.{name}"] for name in "RGB"], axis=-1)[inside].astype(np.float64)
    weight = 1.0 - alpha[inside].astype(np.float64)[:, None]
    exact = element + weight * source[inside].astype(np.float64)
    error = np.abs(comp[inside].astype(np.float64) - exact)
    half_unit = np.abs(np.spacing(comp[inside])).astype(np.float64) / 2
    return "" if (error <= half_unit * (1 + 1e-9)).all() else "element over source is not the composite"
