# SPDX-License-Identifier: Apache-2.0
"""A footage file to a shot package: tracked, with its sound and preview, everything written at once."""

from __future__ import annotations

import os
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.colour import PlateColour
from dubplate_backend.plates.footage import Footage
from dubplate_backend.speech.sound import extract_wav
from dubplate_backend.tracking.preview import write_preview
from dubplate_backend.tracking.track import TrackSettings, track
from dubplate_shared import __version__
from dubplate_shared.errors import FootageError, InvalidInput
from dubplate_shared.progress import ProgressCallback, Stop, check, never, silent
from dubplate_shared.shot import HeadIdentity, PlateSource, Shot, ShotInfo, write_shot

AUDIO_NAME, PREVIEW_NAME = "audio.wav", "preview.mp4"
TOOLS = ("mediapipe", "torch", "numpy", "av")


def track_shot(
    video: Path | str,
    out: Path | str,
    *,
    head: HeadModel,
    name: str | None = None,
    first_frame: int = 1001,
    audio: Path | str | None = None,
    preview: bool = True,
    overwrite: bool = False,
    settings: TrackSettings | None = None,
    progress: ProgressCallback = silent,
    stop: Stop = never,
) -> Shot:
    """Track one actor through one cut and write the shot package `out`: complete, or not at all.

    `name`: of the shot, the package's own unless told.   `audio`: sound that starts with the first frame, in place of
    the video's.   `preview`: whether to write preview.mp4.   `overwrite`: replace a package that is there.
    Warnings and figures are in `shot.info.extra["tracking"]`.
    Raises FootageError where the video is broken or shows no face, InvalidInput where `out` exists, OutputNotWritable,
    Cancelled.
    """
    video, out = Path(video), Path(out)
    if out.exists() and not overwrite:
        raise InvalidInput(f"{out} exists already.", hint="Choose another name, or say --overwrite to replace it.")
    with Footage.open(video) as footage, tempfile.TemporaryDirectory(prefix="dubplate-track-") as folder:
        warnings: list[str] = []
        files = shot_sound(video, audio, footage.start_s, Path(folder), warnings)
        tracked = track(
            footage,
            head=head,
            settings=settings or TrackSettings(),
            first_frame=first_frame,
            progress=progress,
            stop=stop,
        )
        if preview:
            movie = Path(folder) / PREVIEW_NAME
            sound = files.get(AUDIO_NAME)
            write_preview(movie, footage, head, tracked.track, tracked.crop, sound, progress=progress, stop=stop)
            files[PREVIEW_NAME] = movie
        check(stop)
        info = ShotInfo(
            name=name or out.name.removesuffix(".dubshot"),
            frame_count=footage.count,
            rate=footage.rate,
            width=footage.width,
            height=footage.height,
            plate=PlateSource("video", os.path.abspath(video), PlateColour.named(footage.colour_space).interop_id),
            head=HeadIdentity(head.kind, head.sha256),
            first_frame=first_frame,
            timecode=footage.timecode,
            pixel_aspect=footage.pixel_aspect,
            audio=(AUDIO_NAME,) if AUDIO_NAME in files else (),
            tool=tool_versions(),
            extra={
                "tracking": {"figures": tracked.figures.to_json(), "warnings": [*warnings, *tracked.warnings]},
            },
        )
        rig = head.rig(torch.from_numpy(tracked.track.shape))
        return write_shot(out, info, tracked.track, tracked.crop, rig, files=files, overwrite=overwrite)


def shot_sound(
    video: Path, audio: Path | str | None, start_s: float, folder: Path, warnings: list[str]
) -> dict[str, Path]:
    """The shot's sound as a WAV whose first sample belongs to the first frame; nothing, and a warning, where the video
    has none that can be read. Sound that was asked for by name has to be there: else FootageError."""
    path = folder / AUDIO_NAME
    if audio is not None:
        extract_wav(audio, path, start_s=0.0)
        return {AUDIO_NAME: path}
    try:
        extract_wav(video, path, start_s=start_s)
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
