# SPDX-License-Identifier: Apache-2.0
"""`dubplate import track`: a shot package from another tool's tracked head."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dubplate_backend.interchange.picture_crop import PictureCrop


def command(
    files: Annotated[list[Path], typer.Argument(help="The tool's files, or the folder that holds them.")],
    video: Annotated[Path, typer.Option("--video", help="The plate that was tracked: a video or an image sequence.")],
    out: Annotated[Path, typer.Option("-o", "--output", help="Shot package to write, NAME.dubshot.")],
    head: Annotated[str | None, typer.Option(help="Your FLAME: generic_model.pkl, flame2023.pkl or a folder.")] = None,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="metrical, pixel3dmm, vhap, vhap-nerf, deca, emoca, spectre, smirk; auto: by what the files hold.",
        ),
    ] = "auto",
    edition: Annotated[
        str | None, typer.Option(help="flame2020 or flame2023: which FLAME was tracked, where the files do not say.")
    ] = None,
    crop: Annotated[
        tuple[float, float, float] | None,
        typer.Option(help="X Y SIZE in plate px: the square that the tool worked on, where that is not the whole."),
    ] = None,
    crop_file: Annotated[
        Path | None,
        typer.Option(help="The same, as the tool stored it: bbox.pt or crop_ymin_ymax_xmin_xmax.npy."),
    ] = None,
    tool_fps: Annotated[
        float | None, typer.Option(help="Pictures a second that the tool made of the footage, where not its usual.")
    ] = None,
    offset: Annotated[int, typer.Option(help="The tool's pictures before its number 0.")] = 0,
    focal: Annotated[float | None, typer.Option(help="Focal length in plate px, for tools without a lens.")] = None,
    camera: Annotated[str | None, typer.Option(help="Which camera of an export that has several.")] = None,
    face: Annotated[
        str | None,
        typer.Option(help="Which face, where the plate shows several: 0 is the leftmost; or X,Y or X,Y,W,H."),
    ] = None,
    audio: Annotated[Path | None, typer.Option(help="Sound from the first frame on, in place of the video's.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the shot; the package's unless told.")] = None,
    first_frame: Annotated[int | None, typer.Option("--first-frame", help="Number of the first frame.")] = None,
    fps: Annotated[str | None, typer.Option(help="Rate of an image sequence, such as 24 or 24000/1001.")] = None,
    colour_space: Annotated[str | None, typer.Option(help="What an image sequence's values mean.")] = None,
    check: Annotated[bool, typer.Option(help="Look for the face in the plate: does the head lie on it?")] = True,
    preview: Annotated[bool, typer.Option(help="Write preview.mp4 into the package.")] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a package that is there.")] = False,
) -> None:
    """Take over a head that another tool tracked: metrical-tracker, pixel3dmm, VHAP, DECA, EMOCA, SPECTRE, SMIRK.

    The package is as `dubplate track` writes it. Codes stay the tool's own, so --head has to be the FLAME they are of.

    Examples:

        dubplate import track output/man/checkpoint --video man.mp4 -o man.dubshot --head generic_model.pkl --crop-file input/man/bbox.pt

        dubplate import track tracked_flame_params_30.npz --video man.mp4 -o man.dubshot --head flame2023.pkl

        dubplate import track export/ --format vhap-nerf --video man.mp4 -o man.dubshot --head flame2023.pkl --tool-fps 30
    """  # noqa: E501 - a command line is one line
    from rich.console import Console

    from dubplate_backend.cli.terminal import progress_bar
    from dubplate_backend.head.load import load_head
    from dubplate_backend.interchange.import_track import ImportSettings, import_track
    from dubplate_backend.interchange.track_formats import TrackFormat
    from dubplate_backend.interchange.tracked_frames import Edition
    from dubplate_backend.plates.rates import parse_rate
    from dubplate_backend.tracking.face_choice import FaceChoice

    settings = ImportSettings(
        form=TrackFormat(_chosen("--format", form, list(TrackFormat))),
        edition=Edition(_chosen("--edition", edition, list(Edition))) if edition else None,
        tool_rate=tool_fps,
        offset=offset,
        crop=_crop(crop, crop_file),
        focal_px=focal,
        camera=camera,
        face=FaceChoice.parse(face) if face else None,
        rate=parse_rate(fps) if fps else None,
        colour_space=colour_space,
        check=check,
        preview=preview,
        overwrite=overwrite,
    )
    with progress_bar("Importing") as progress:
        shot = import_track(
            files,
            video,
            out,
            head=load_head(head),
            name=name,
            first_frame=first_frame,
            audio=audio,
            settings=settings,
            progress=progress,
        )
    tracking = shot.info.extra["tracking"]
    console = Console()
    console.print(
        f"{shot.path}: {shot.info.frame_count} frames of {tracking['tool']}, {tracking['edition']}.", markup=False
    )
    for warning in tracking["warnings"]:
        console.print(f"Warning: {warning}", style="yellow", markup=False, highlight=False)


def _chosen(option: str, value: str, choices: list[str]) -> str:
    if value not in choices:
        raise typer.BadParameter(f"{option} {value}: choose {', '.join(choices)}.")
    return value


def _crop(numbers: tuple[float, float, float] | None, file: Path | None) -> PictureCrop | None:
    from dubplate_backend.interchange.picture_crop import PictureCrop, read_crop

    if numbers is not None and file is not None:
        raise typer.BadParameter("--crop and --crop-file say the same thing: give one.")
    if file is not None:
        return read_crop(file)
    return PictureCrop(numbers[0], numbers[1], numbers[2], numbers[2]) if numbers is not None else None
