# SPDX-License-Identifier: Apache-2.0
"""Another tool's tracked head and the plate it was tracked on, to a shot package like our own tracker's."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dubplate_backend.head.load import STANDIN
from dubplate_backend.head.model import HeadModel
from dubplate_backend.interchange.lay_on_plate import assembled, lay_on_plate
from dubplate_backend.interchange.picture_crop import PictureCrop
from dubplate_backend.interchange.picture_times import are_plate_frames, on_plate
from dubplate_backend.interchange.plate_check import checked
from dubplate_backend.interchange.track_formats import TrackFormat, read_tracked
from dubplate_backend.interchange.tracked_frames import Edition, TrackedFrames
from dubplate_backend.plates.footage import Footage, first_frame_of, open_footage
from dubplate_backend.plates.sequence import Sequence
from dubplate_backend.tracking.crop import crop_matrices
from dubplate_backend.tracking.face_choice import FaceChoice, SeveralFaces
from dubplate_backend.tracking.figures import figures
from dubplate_backend.tracking.preview import write_preview
from dubplate_backend.tracking.track_shot import AUDIO_NAME, FIRST_FRAME, PREVIEW_NAME, shot_sound, tool_versions
from dubplate_shared.errors import HeadModelMismatch, InvalidInput
from dubplate_shared.frames import format_frames
from dubplate_shared.progress import ProgressCallback, Stop, check, never, silent
from dubplate_shared.shot import HeadIdentity, Rate, Shot, ShotInfo, write_shot
from dubplate_shared.track import Track


@dataclass(frozen=True)
class ImportSettings:
    """form: the tool.   edition: which FLAME it used, where its files do not say.   tool_rate: pictures a second that
    it made of the footage, None for its usual.   offset: its pictures before its number 0.   crop: the part of the
    plate that it worked on.   focal_px: of the plate, for tools without a lens.   camera: of several in a NeRF export.
    face: which is meant where the plate shows several.
    rate, colour_space: of a plate that is a sequence, where its files do not say.   check: look for the face in the
    plate, and say where the head lies beside it.
    """

    form: TrackFormat = TrackFormat.AUTO
    edition: Edition | None = None
    tool_rate: float | None = None
    offset: int = 0
    crop: PictureCrop | None = None
    focal_px: float | None = None
    camera: str | None = None
    face: FaceChoice | None = None
    rate: Rate | None = None
    colour_space: str | None = None
    check: bool = True
    preview: bool = True
    overwrite: bool = False


def import_track(
    files: list[Path],
    video: Path | str,
    out: Path | str,
    *,
    head: HeadModel,
    name: str | None = None,
    first_frame: int | None = None,
    audio: Path | str | None = None,
    settings: ImportSettings | None = None,
    progress: ProgressCallback = silent,
    stop: Stop = never,
) -> Shot:
    """Write the shot package `out` from another tool's `files` and the plate `video`: complete, or not at all.

    What is approximated is in `shot.info.extra["tracking"]["warnings"]`, the FLAME edition in its "edition". Raises
    HeadModelMismatch where `head` is not the FLAME that was tracked, InvalidInput where a file is broken or does not
    fit the plate, UnsafePickle, FootageError, OutputNotWritable, Cancelled.
    """
    settings, video, out = settings or ImportSettings(), Path(video), Path(out)
    if out.exists() and not settings.overwrite:
        raise InvalidInput(f"{out} exists already.", hint="Choose another name, or say --overwrite to replace it.")
    require_flame(head)
    tracked = read_tracked(files, head, settings.form, settings.edition, settings.camera, progress=progress, stop=stop)
    require_edition(head, tracked)
    with (
        open_footage(video, rate=settings.rate, colour_space=settings.colour_space) as footage,
        tempfile.TemporaryDirectory(prefix="dubplate-import-") as folder,
    ):
        warnings = list(tracked.notes)
        tool_rate = _tool_rate(tracked, footage, settings, warnings)
        placed = on_plate(tracked.number, tool_rate, footage.times, footage.start_s, settings.offset)
        first_frame = first_frame_of(footage, first_frame, FIRST_FRAME)
        try:
            laid = lay_on_plate(
                head,
                tracked,
                placed,
                footage,
                crop=settings.crop,
                focal_px=settings.focal_px,
                face=settings.face,
                progress=progress,
                stop=stop,
            )
        except SeveralFaces as error:
            raise error.shown_at(out.with_name(f"{out.name.removesuffix('.dubshot')}.faces.png")) from None
        warnings += laid.notes
        sound = shot_sound(footage, audio, Path(folder), warnings)
        track = assembled(head, tracked, placed, laid, first_frame)
        if settings.check:
            track, doubts = checked(track, footage, laid.faces, settings.face, progress, stop)
            warnings += doubts
        warnings += _missing(track)
        crop = crop_matrices(head, track)
        if settings.preview:
            movie = Path(folder) / PREVIEW_NAME
            write_preview(movie, footage, head, track, crop, sound.get(AUDIO_NAME), progress=progress, stop=stop)
            sound[PREVIEW_NAME] = movie
        check(stop)
        info = ShotInfo(
            name=name or out.name.removesuffix(".dubshot"),
            frame_count=footage.count,
            rate=footage.rate,
            width=footage.width,
            height=footage.height,
            plate=footage.plate,
            head=HeadIdentity(head.kind, head.sha256),
            first_frame=first_frame,
            timecode=footage.timecode,
            pixel_aspect=footage.pixel_aspect,
            audio=(AUDIO_NAME,) if AUDIO_NAME in sound else (),
            tool=tool_versions(),
            extra={"tracking": summary(tracked, track, warnings)},
        )
        rig = head.rig(torch.from_numpy(track.shape))
        return write_shot(out, info, track, crop, rig, files=sound, overwrite=settings.overwrite)


def summary(tracked: TrackedFrames, track: Track, warnings: list[str]) -> dict[str, object]:
    """What shot.json says of it; figures where the plate's own landmarks are there to measure by."""
    told: dict[str, object] = {"tool": tracked.tool, "edition": str(tracked.edition), "warnings": warnings}
    seen = (track.confidence > 0).any() and not np.array_equal(track.landmarks_px, track.projected_px)
    return {**told, "figures": figures(track).to_json()} if seen else told


def require_flame(head: HeadModel) -> None:
    """Codes of FLAME mean nothing on another head.   Raises HeadModelMismatch."""
    if head.kind == STANDIN:
        raise HeadModelMismatch(
            "Other trackers' codes are FLAME's, and the stand-in is another head.",
            hint="Name your FLAME with --head generic_model.pkl, or track the footage with: dubplate track",
        )


def require_edition(head: HeadModel, tracked: TrackedFrames) -> None:
    """Codes of FLAME 2020 and 2023 are not interchangeable.   Raises HeadModelMismatch."""
    if head.kind != tracked.edition:
        raise HeadModelMismatch(
            f"{tracked.tool}'s codes are of {tracked.edition}, and --head is {head.kind}: they do not fit one another.",
            hint=f"Name the model of {tracked.edition} with --head, or, if it was tracked with {head.kind}, say "
            f"--edition {head.kind}.",
        )


def _tool_rate(
    tracked: TrackedFrames, footage: Footage | Sequence, settings: ImportSettings, warnings: list[str]
) -> float | None:
    """Pictures a second that the tool made: as told, as its files say, or none where they are the plate's frames."""
    usual = tracked.rate
    if settings.tool_rate is not None or usual is None:
        return settings.tool_rate
    if are_plate_frames(tracked.number, usual, footage.times, footage.start_s):
        warnings.append(
            f"{tracked.tool} usually makes {usual:g} pictures a second; these are as many as the plate's frames and "
            "are taken for them. Say --tool-fps if they are not."
        )
        return None
    return usual


def _missing(track: Track) -> list[str]:
    """What an artist should know of frames without a tracked picture."""
    frames = [int(frame) for frame in track.frame[track.confidence == 0]]
    return [f"Frames {format_frames(frames)} were not tracked: they pass through untouched."] if frames else []
