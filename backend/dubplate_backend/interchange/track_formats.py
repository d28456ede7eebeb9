# SPDX-License-Identifier: Apache-2.0
"""Which tool wrote the files, and who reads them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from dubplate_backend.head.model import HeadModel
from dubplate_backend.interchange.array_files import frame_number, read_arrays
from dubplate_backend.interchange.face_codes import read_face_codes
from dubplate_backend.interchange.metrical_tracker import read_metrical_tracker
from dubplate_backend.interchange.pixel3dmm import read_pixel3dmm
from dubplate_backend.interchange.tracked_frames import Edition, TrackedFrames
from dubplate_backend.interchange.vhap import read_vhap
from dubplate_backend.interchange.vhap_nerf import INDEX, read_vhap_nerf
from dubplate_shared.errors import InvalidInput
from dubplate_shared.progress import ProgressCallback, Stop, never, silent


class TrackFormat(StrEnum):
    """By the tool that writes it."""

    AUTO = "auto"
    METRICAL = "metrical"
    PIXEL3DMM = "pixel3dmm"
    VHAP = "vhap"
    VHAP_NERF = "vhap-nerf"
    DECA = "deca"
    EMOCA = "emoca"
    SPECTRE = "spectre"
    SMIRK = "smirk"


FACE_CODES = {
    TrackFormat.DECA: "DECA", TrackFormat.EMOCA: "EMOCA", TrackFormat.SPECTRE: "SPECTRE", TrackFormat.SMIRK: "SMIRK",
}  # fmt: skip
_CODE_SUFFIXES = (".npz", ".npy", ".pt", ".pth", ".pkl", ".mat")


def read_tracked(
    paths: list[Path],
    head: HeadModel,
    form: TrackFormat,
    edition: Edition | None = None,
    camera: str | None = None,
    *,
    progress: ProgressCallback = silent,
    stop: Stop = never,
) -> TrackedFrames:
    """What a tool tracked.   paths: its files, or the folder that holds them.   camera: of several in an export.

    Raises InvalidInput naming the file that is wrong and the fix, UnsafePickle where one is hostile,
    Cancelled where asked to stop.
    """
    files = _files(paths)
    form = recognised(files) if form is TrackFormat.AUTO else form
    if form is TrackFormat.METRICAL:
        return read_metrical_tracker(files, edition, progress=progress, stop=stop)
    if form is TrackFormat.PIXEL3DMM:
        return read_pixel3dmm(files, edition, progress=progress, stop=stop)
    if form is TrackFormat.VHAP:
        return read_vhap(files, head, edition)
    if form is TrackFormat.VHAP_NERF:
        return read_vhap_nerf(files, head, edition, camera, progress=progress, stop=stop)
    return read_face_codes(files, head, edition, FACE_CODES[form], progress=progress, stop=stop)


def recognised(files: list[Path]) -> TrackFormat:
    """The tool, by what its files hold.   Raises InvalidInput where they are none that is known."""
    first = files[0]
    if first.name.startswith("transforms") and first.suffix == ".json":
        return TrackFormat.VHAP_NERF
    if first.is_dir():  # with an exp.npy in it: _files lists no other folder
        return TrackFormat.EMOCA
    names = read_arrays(first)
    if first.suffix == ".frame":
        moving = isinstance(names.get("flame"), dict) and "R" in names["flame"]
        return TrackFormat.PIXEL3DMM if moving else TrackFormat.METRICAL
    for name, form in (
        ("jaw_pose", TrackFormat.VHAP),
        ("expression_params", TrackFormat.SMIRK),
        ("expcode", TrackFormat.EMOCA),
        ("exp", TrackFormat.DECA),
        ("verts", TrackFormat.DECA),
    ):
        if name in names:
            return form
    raise InvalidInput(
        f"{first.name} is of no tool that is known: it holds {', '.join(sorted(names)[:8]) or 'nothing'}.",
        hint=f"Say --format: {', '.join(TrackFormat)}.",
    )


def _files(paths: list[Path]) -> list[Path]:
    """The files that are meant; of a folder its own, in order.   Raises InvalidInput where there are none."""
    if len(paths) == 1 and paths[0].is_dir():
        found = _in_folder(paths[0])
        if not found:
            raise InvalidInput(
                f"{paths[0]} holds no tracked head.",
                hint=f"Name a folder of .frame files, of codes or with {INDEX}, or a tracked_flame_params*.npz.",
            )
        return found
    missing = [path for path in paths if not path.exists()]
    if missing or not paths:
        raise InvalidInput(
            f"{missing[0] if missing else 'Nothing'} is not there.", hint="Check the paths of the files."
        )
    return list(paths)


def _in_folder(folder: Path) -> list[Path]:
    if (folder / INDEX).is_file():
        return [folder / INDEX]
    for place in (folder, folder / "checkpoint"):
        frames = sorted(place.glob("*.frame"))
        if frames:
            return frames
    tracks = sorted(folder.glob("tracked_flame_params*.npz"), key=_epoch)
    if tracks:
        return tracks[-1:]
    if (folder / "exp.npy").is_file():
        return [folder]
    return sorted(code.parent for code in folder.glob("*/exp.npy")) or sorted(
        path for path in folder.iterdir() if path.suffix.lower() in _CODE_SUFFIXES
    )


def _epoch(path: Path) -> int:
    digits = path.stem.removeprefix("tracked_flame_params").strip("_")
    return int(digits) if digits.isdigit() else frame_number(path) if any(map(str.isdigit, path.stem)) else -1
