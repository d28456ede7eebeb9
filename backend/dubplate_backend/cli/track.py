# SPDX-License-Identifier: Apache-2.0
"""`dubplate track`: a shot package from real footage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def command(
    video: Annotated[
        Path,
        typer.Argument(
            help="Footage of one actor: a video, or a sequence by its folder, pattern or one of its frames."
        ),
    ],
    out: Annotated[Path, typer.Option("-o", "--output", help="Shot package to write, NAME.dubshot.")],
    audio: Annotated[Path | None, typer.Option(help="Sound from the first frame on, in place of the video's.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the shot; the package's unless told.")] = None,
    first_frame: Annotated[
        int | None, typer.Option("--first-frame", help="Number of a video's first frame; 1001 unless told.")
    ] = None,
    head: Annotated[str | None, typer.Option(help="Head model; $DUBPLATE_HEAD or the stand-in unless told.")] = None,
    face: Annotated[
        str | None,
        typer.Option(help="Which of several: 0 is the leftmost; or a point on it, X,Y; or X,Y,WIDTH,HEIGHT."),
    ] = None,
    split: Annotated[bool, typer.Option("--split", help="Track each shot of a clip with cuts: NAME_s01 …")] = False,
    one_shot: Annotated[bool, typer.Option("--one-shot", help="What looks like a cut is none.")] = False,
    fps: Annotated[str | None, typer.Option(help="Rate of a sequence: 25, 23.976 or 24000/1001.")] = None,
    colour_space: Annotated[
        str | None,
        typer.Option("--colour-space", help="What a sequence's values mean: cineon, rec709, srgb, linear, acescg …"),
    ] = None,
    shape: Annotated[
        Path | None, typer.Option(help="The face's shape where it is known, then held: MICA's identity.npy.")
    ] = None,
    albedo: Annotated[Path | None, typer.Option(help="FLAME_texture.npz, in place of our own model of skin.")] = None,
    camera: Annotated[Path | None, typer.Option(help="A matchmove's camera, then held: .chan, Alembic or USD.")] = None,
    filmback: Annotated[float | None, typer.Option(help="Its film back in mm, where the file lacks it.")] = None,
    focal: Annotated[float | None, typer.Option(help="Its focal length in mm, where the file lacks it.")] = None,
    photometric: Annotated[
        bool, typer.Option(help="Fit the picture's colours too; landmarks alone are quick, and less exact.")
    ] = True,
    preview: Annotated[bool, typer.Option(help="Write preview.mp4 into the package.")] = True,
    report: Annotated[bool, typer.Option(help="Write report.html into the package: what to look at, and why.")] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a package that is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Track an actor's face through a shot: head, jaw, expression, eyes, camera and crop for every frame.

    The package holds the track, the head for Blender, the sound, report.html and preview.mp4: look at these before
    going on. What is wrong can be mended by hand: dubplate repair.

    Examples:

        dubplate track man.mp4 -o man.dubshot

        dubplate track A001C003.mov -o sh010.dubshot --name sh010 --first-frame 1009 --audio sh010_production.wav

        dubplate track plates/sh020.####.exr -o sh020.dubshot --fps 24000/1001 --colour-space acescg

        dubplate track interview.mp4 -o interview.dubshot --split --face 1

        dubplate track sh030.mov -o sh030.dubshot --camera sh030_cam.chan --filmback 24.89
    """
    import json
    from dataclasses import replace

    import numpy as np

    from dubplate_backend.cli.terminal import progress_bar
    from dubplate_backend.head.load import load_head
    from dubplate_backend.interchange.camera_files import load_camera
    from dubplate_backend.plates.footage import first_frame_of, open_footage
    from dubplate_backend.plates.rates import parse_rate
    from dubplate_backend.tracking.face_choice import FaceChoice
    from dubplate_backend.tracking.flame_texture import flame_texture_albedo
    from dubplate_backend.tracking.settings import TrackSettings
    from dubplate_backend.tracking.shape_file import load_shape
    from dubplate_backend.tracking.split import track_split
    from dubplate_backend.tracking.track_shot import FIRST_FRAME, track_shot

    model = load_head(head)
    if split and camera is not None:
        raise typer.BadParameter("--camera is of one shot: split the clip first, or leave it out.")
    settings = TrackSettings(
        photometric=photometric,
        face=FaceChoice.parse(face) if face else None,
        one_shot=one_shot,
        shape=load_shape(shape) if shape else None,
        albedo=flame_texture_albedo(albedo, model) if albedo else None,
    )
    if camera is not None:
        with open_footage(video, rate=parse_rate(fps) if fps else None, colour_space=colour_space) as footage:
            first = first_frame_of(footage, first_frame, FIRST_FRAME)
            solved = load_camera(
                camera,
                width=footage.width,
                height=footage.height,
                frames=first + np.arange(footage.count),
                filmback_mm=filmback,
                focal_mm=focal,
                pixel_aspect=footage.pixel_aspect,
                fps=footage.rate.fps,
            )
        settings = replace(settings, camera=solved)
    options = {
        "rate": parse_rate(fps) if fps else None,
        "colour_space": colour_space,
        "head": model,
        "name": name,
        "first_frame": first_frame,
        "audio": audio,
        "preview": preview,
        "report": report,
        "overwrite": overwrite,
        "settings": settings,
    }
    if split and audio is not None:
        raise typer.BadParameter("--audio begins with the first shot: split the clip first, or leave it out.")
    with progress_bar("Tracking") as progress:
        if split:
            shots = track_split(video, out, progress=progress, **options)
        else:
            shots = (track_shot(video, out, progress=progress, **options),)
    peak = peak_memory_mib()
    summaries = [{"shot": str(shot.path), **shot.info.extra["tracking"], "peak_memory_mib": peak} for shot in shots]
    if as_json:
        print(json.dumps(summaries if split else summaries[0], indent=2))
        return
    for summary in summaries:
        show(summary, peak)


def show(summary: dict[str, Any], peak: float | None) -> None:
    """Print what `track` or `repair` made, a table and what to look at."""
    from rich.console import Console
    from rich.table import Table

    figures = summary["figures"]
    table = Table(title=summary["shot"], title_justify="left")
    table.add_column("")
    table.add_column("value", justify="right")
    table.add_column("unit")
    of_eyes = "% of the inter-ocular distance"
    for label, key, unit in (
        ("frames", "frames", ""),
        ("frames with a face", "frames_with_face", ""),
        ("landmark error, face", "face_error_percent", of_eyes),
        ("landmark error, lips", "lips_error_percent", of_eyes),
        ("lip gap error", "lip_gap_error_percent", of_eyes),
        ("change of the head's turn", "turn_change_deg", "degrees, rms"),
        ("change of the head's place", "shift_change_mm", "mm, rms"),
        ("change of the lips", "lips_change_mm", "mm, rms"),
        ("jaw, least open", "jaw_least_deg", "degrees"),
        ("jaw, most open", "jaw_most_deg", "degrees"),
        ("jaw follows lip gap", "jaw_gap_correlation", "correlation"),
    ):
        if key not in figures:
            continue
        value = figures[key]
        table.add_row(label, f"{value:.2f}" if isinstance(value, float) else str(value), unit)
    if peak is not None:
        table.add_row("peak memory", f"{peak:.0f}", "MiB")
    console = Console()
    console.print(table)
    for warning in summary["warnings"]:
        console.print(f"Warning: {warning}", style="yellow", markup=False, highlight=False)
    for flag in summary.get("flags", ()):
        console.print(f"{flag['frames']}: {flag['says']}", style="yellow", markup=False, highlight=False)


def peak_memory_mib() -> float | None:
    """The most memory that this process has held, or None where the system does not say."""
    import sys

    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
