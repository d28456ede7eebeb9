# SPDX-License-Identifier: Apache-2.0
"""Footage to a shot package: tracked, with its sound, preview and report, everything written at once."""

from __future__ import annotations

import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.footage import Footage, first_frame_of, open_footage
from dubplate_backend.plates.segment import Segment
from dubplate_backend.plates.sequence import Sequence
from dubplate_backend.speech.sound import extract_wav
from dubplate_backend.tracking.checkpoint import Checkpoint, fingerprint
from dubplate_backend.tracking.face_choice import SeveralFaces
from dubplate_backend.tracking.figures import named_figures
from dubplate_backend.tracking.preview import write_preview
from dubplate_backend.tracking.report import REPORT_NAME, write_report
from dubplate_backend.tracking.settings import TrackSettings
from dubplate_backend.tracking.track import Tracked, track
from dubplate_shared import __version__
from dubplate_shared.errors import FootageError, InvalidInput
from dubplate_shared.files import save_npz
from dubplate_shared.progress import ProgressCallback, Stop, check, never, silent
from dubplate_shared.shot import HeadIdentity, Rate, Shot, ShotInfo, write_shot

FIRST_FRAME = 1001
AUDIO_NAME, PREVIEW_NAME, ALBEDO_NAME, QUALITY_NAME = "audio.wav", "preview.mp4", "albedo.npz", "quality.npz"
TOOLS = ("mediapipe", "torch", "numpy", "av")


def track_shot(
    video: Path | str | Footage | Sequence | Segment,
    out: Path | str,
    *,
    head: HeadModel,
    name: str | None = None,
    first_frame: int | None = None,
    rate: Rate | None = None,
    colour_space: str | None = None,
    audio: Path | str | None = None,
    preview: bool = True,
    report: bool = True,
    overwrite: bool = False,
    settings: TrackSettings | None = None,
    progress: ProgressCallback = silent,
    stop: Stop = never,
) -> Shot:
    """Track one actor through one cut and write the shot package `out`: complete, or not at all.

    `video`: footage, or a path of it as `plates.footage.open_footage` takes it, with `rate` and `colour_space`.
    `name`: of the shot, the package's own unless told.   `first_frame`: its number; 1001 unless told or a sequence's.
    `audio`: sound that starts with the first frame, in place of the video's.   `preview`: whether to write preview.mp4.
    `report`: whether to write report.html.   `overwrite`: replace a package that is there.
    Warnings, figures and flags are in `shot.info.extra["tracking"]`, what they come from in quality.npz.
    A run that was killed goes on from `OUT.resume/` when it is asked for again.
    Raises FootageError where the video is broken or shows no face, SeveralFaces (with a picture beside `out`),
    InvalidInput where `out` exists, OutputNotWritable, Cancelled.
    """
    out = Path(out)
    if out.exists() and not overwrite:
        raise InvalidInput(f"{out} exists already.", hint="Choose another name, or say --overwrite to replace it.")
    if isinstance(video, Path | str):
        opened = open_footage(video, rate=rate, colour_space=colour_space)
    else:
        opened = video
    settings = settings or TrackSettings()
    with opened as footage, tempfile.TemporaryDirectory(prefix="dubplate-track-") as folder:
        first_frame = first_frame_of(footage, first_frame, FIRST_FRAME)
        warnings: list[str] = []
        files = shot_sound(footage, audio, Path(folder), warnings)
        source = footage.plate
        checkpoint = Checkpoint.beside(
            out, fingerprint(Path(source.path)), source, footage.count, head.sha256, settings.key(), tool_versions()
        )
        try:
            tracked = track(
                footage,
                head=head,
                settings=settings,
                first_frame=first_frame,
                checkpoint=checkpoint,
                progress=progress,
                stop=stop,
            )
        except SeveralFaces as error:
            checkpoint.clear()
            raise error.shown_at(out.with_name(f"{out.name.removesuffix('.dubshot')}.faces.png")) from None
        except FootageError:
            checkpoint.clear()
            raise
        if preview:
            movie = Path(folder) / PREVIEW_NAME
            sound = files.get(AUDIO_NAME)
            write_preview(movie, footage, head, tracked.track, tracked.crop, sound, progress=progress, stop=stop)
            files[PREVIEW_NAME] = movie
        if tracked.albedo is not None:
            files[ALBEDO_NAME] = Path(folder) / ALBEDO_NAME
            save_npz(files[ALBEDO_NAME], {"vertices": tracked.albedo})
        files[QUALITY_NAME] = Path(folder) / QUALITY_NAME
        tracked.quality.save(files[QUALITY_NAME])
        said = summary(tracked, warnings, settings)
        name = name or out.name.removesuffix(".dubshot")
        if report:
            files[REPORT_NAME] = Path(folder) / REPORT_NAME
            write_report(
                files[REPORT_NAME],
                name,
                tracked.track,
                tracked.crop,
                tracked.quality,
                tracked.flags,
                footage,
                head,
                albedo=tracked.albedo,
                figures=said["figures"],
                warnings=said["warnings"],
                progress=progress,
                stop=stop,
            )
        check(stop)
        info = ShotInfo(
            name=name,
            frame_count=footage.count,
            rate=footage.rate,
            width=footage.width,
            height=footage.height,
            plate=source,
            head=HeadIdentity(head.kind, head.sha256),
            first_frame=first_frame,
            timecode=footage.timecode,
            pixel_aspect=footage.pixel_aspect,
            audio=(AUDIO_NAME,) if AUDIO_NAME in files else (),
            tool=tool_versions(),
            extra={"tracking": said},
        )
        rig = head.rig(torch.from_numpy(tracked.track.shape))
        shot = write_shot(out, info, tracked.track, tracked.crop, rig, files=files, overwrite=overwrite)
        checkpoint.clear()
        return shot


def summary(tracked: Tracked, warnings: list[str], settings: TrackSettings) -> dict[str, Any]:
    """What shot.json says of the tracking."""
    return {
        "figures": named_figures(tracked.figures, tracked.quality, tracked.flags),
        "flags": [flag.to_json() for flag in tracked.flags],
        "warnings": [*warnings, *tracked.warnings],
        "photometric": settings.photometric,
        "albedo_model": tracked.albedo_model,
    }


def shot_sound(
    footage: Footage | Sequence | Segment, audio: Path | str | None, folder: Path, warnings: list[str]
) -> dict[str, Path]:
    """The shot's sound as a WAV whose first sample belongs to the first frame; nothing, and a warning, where the video
    has none that can be read. Sound that was asked for by name has to be there: else FootageError."""
    path = folder / AUDIO_NAME
    if audio is not None:
        extract_wav(audio, path, start_s=0.0)
        return {AUDIO_NAME: path}
    source = footage.plate
    if source.kind != "video":
        warnings.append("An image sequence has no sound: give a voice track with --audio.")
        return {}
    try:
        extract_wav(source.path, path, start_s=footage.start_s, seconds=footage.seconds)
    except FootageError as error:
        warnings.append(f"{error.message} The shot has no audio: give a voice track with --audio.")
        return {}
    return {AUDIO_NAME: path}


def tool_versions() -> dict[str, str]:
    """What made the package."""
    found = {"dubplate": __version__}
    for package in TOOLS:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
