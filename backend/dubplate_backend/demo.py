# SPDX-License-Identifier: Apache-2.0
"""The demo: every station on real parts, from footage to plates, with a jaw that Blender edited on the way.

Where no footage is given it films the synthetic actor; the tracker then tracks that film like any other.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from dubplate_backend.head.load import load_head
from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.exr import read_exr
from dubplate_backend.plates.movie import write_movie
from dubplate_backend.plates.preview import as_seen, contact_sheet
from dubplate_backend.plates.source import ShotPlates
from dubplate_backend.renderers.presets import preset
from dubplate_backend.server.child import served
from dubplate_backend.speech.speak import speak
from dubplate_backend.synthetic.shot import make_synthetic_video, voice_line
from dubplate_backend.tracking.track_shot import track_shot
from dubplate_backend.training.adapt import adapt
from dubplate_shared.errors import DubplateError, ExitCode, InvalidInput
from dubplate_shared.plate_names import plate_path
from dubplate_shared.progress import Progress, ProgressCallback
from dubplate_shared.shot import Shot

DEFAULT_MINUTES = 2.5  # of adapting; scoring comes on top
SECONDS, SIZE, SEED = 7.0, 512, 1  # of the synthetic footage
NEW_VOICE_SEED = 23
TAKE = "new_line"
EDIT_DEG = 8.0  # how much further the artist opens the jaw
EDIT_FRAMES = 12
EASE_FRAMES = 4  # on either side of the edit
MOST_RENDERED = 200  # frames of a long clip that the demo draws
SHEET_ROWS = 6
PREVIEW_SIDE = 720  # px, height of the side-by-side movie at most

ProgressBar = Callable[[str], AbstractContextManager[ProgressCallback]]
Say = Callable[[str], None]


@dataclass(frozen=True)
class DemoSettings:
    """video, voice: the user's own, or None for generated ones.  minutes: of adapting.  head: as load_head's spec."""

    out: Path
    video: Path | None = None
    voice: Path | None = None
    minutes: float = DEFAULT_MINUTES
    head: str | None = None


@dataclass(frozen=True)
class DemoFiles:
    """Where everything lies."""

    out: Path

    @property
    def footage(self) -> Path:
        return self.out / "actor.mp4"

    @property
    def voice(self) -> Path:
        return self.out / "new_line.wav"

    @property
    def shot(self) -> Path:
        return self.out / "demo.dubshot"

    @property
    def actor(self) -> Path:
        return self.out / "demo.dubactor"

    @property
    def blend(self) -> Path:
        return self.out / "demo.blend"

    @property
    def plates(self) -> Path:
        return self.out / "plates"

    @property
    def preview(self) -> Path:
        return self.out / "preview.mp4"

    @property
    def sheet(self) -> Path:
        return self.out / "contact_sheet.png"


@dataclass
class DemoReport:
    """seconds: stage -> wall time.  frames, edited: (first, last) drawn and edited.  files: where to look."""

    files: DemoFiles
    seconds: dict[str, float] = field(default_factory=dict)
    frames: tuple[int, int] = (0, 0)
    edited: tuple[int, int] = (0, 0)

    @property
    def total_s(self) -> float:
        return sum(self.seconds.values())


def stages(settings: DemoSettings) -> tuple[tuple[str, str], ...]:
    """What the demo does: (name, what would be typed to do it alone)."""
    files = DemoFiles(settings.out)
    footage = settings.video or files.footage
    film = () if settings.video else (("film the synthetic actor", f"(made here) -> {files.footage}"),)
    return (
        *film,
        ("track", f"dubplate track {footage} -o {files.shot}"),
        ("speak", f"dubplate speak {settings.voice or files.voice} {files.shot} --take {TAKE}"),
        ("adapt", f"dubplate adapt {files.shot} -o {files.actor} --preset draft --minutes {settings.minutes:g}"),
        ("serve", f"dubplate serve --root {files.out} --output-root {files.plates}"),
        ("edit and render in Blender", f"blender --command dubplate render --blend {files.blend} --out {files.plates}"),
        ("pictures", f"(made here) -> {files.preview}, {files.sheet}"),
    )


def run_demo(settings: DemoSettings, *, bar: ProgressBar, say: Say) -> DemoReport:
    """Do it all.  bar: makes the progress bar of a stage.  say: prints a line.

    Raises InvalidInput (no Blender, bad footage), and whatever a station raises.
    """
    script = _blender_script()
    files, report = DemoFiles(settings.out), DemoReport(DemoFiles(settings.out))
    files.out.mkdir(parents=True, exist_ok=True)
    commands = dict(stages(settings))

    @contextmanager
    def stage(name: str) -> Iterator[ProgressCallback]:
        say(f"\n== {name}: {commands[name]}")
        started = time.monotonic()
        with bar(name.capitalize()) as progress:
            yield progress
        report.seconds[name] = time.monotonic() - started
        say(f"   {report.seconds[name]:.1f} s")

    head = load_head(settings.head)
    if settings.video is None:
        with stage("film the synthetic actor") as progress:
            make_synthetic_video(files.footage, seconds=SECONDS, size=SIZE, seed=SEED, head=head, progress=progress)
    with stage("track") as progress:
        footage = settings.video or files.footage
        shot = track_shot(footage, files.shot, head=head, progress=progress, overwrite=True)
        _say_tracking(shot, say)
    with stage("speak") as progress:
        voice = settings.voice or _generated_voice(shot, files)
        shot.save_take(speak(voice, shot, TAKE, head=head, progress=progress))
    with stage("adapt") as progress:
        _adapt(shot, files, head, settings.minutes, progress, say)
    report.frames = (shot.frames[0], shot.frames[min(len(shot.frames), MOST_RENDERED) - 1])
    report.edited = _edited_frames(*report.frames)
    with _served(files, settings, stage) as connection, stage("edit and render in Blender") as progress:
        _in_blender(script, files, connection, report, progress, say)
    with stage("pictures") as progress:
        _pictures(shot, files, report.frames, report.edited, voice, progress)
    return report


def summary(report: DemoReport) -> str:
    """What was made, how long it took, and what to open."""
    files = report.files
    times = "\n".join(f"  {name:28s} {seconds:6.1f} s" for name, seconds in report.seconds.items())
    first, last = report.edited
    return (
        f"\nDone in {report.total_s / 60:.1f} minutes.\n{times}\n\n"
        f"Open these:\n"
        f"  {files.preview}   filmed beside dubbed, with the new voice\n"
        f"  {files.sheet}   frames around the edit: plate, dubbed, matte, difference\n"
        f"  {files.shot / 'preview.mp4'}   the tracked head over the footage\n"
        f"  {files.blend}   the edited performance (the jaw opens {EDIT_DEG:g} degrees further in {first}-{last})\n"
        f"  {files.plates / 'v001'}   EXR plates {report.frames[0]}-{report.frames[1]} for the comp\n"
        f"  {files.actor}   the actor: pictures of the adaptation, and actor.json with its scores\n"
    )


def _blender_script() -> Path:
    """The part that runs inside Blender. Raises InvalidInput where Blender or the add-on is missing."""
    if find_spec("bpy") is None:
        raise InvalidInput(
            "The demo edits the performance in Blender, and this Python has no bpy.",
            hint="Run scripts/demo, which sets it up, or: pip install bpy==4.5.15 (Python 3.11).",
        )
    root = Path(__file__).resolve().parents[2]
    script = root / "scripts" / "demo_in_blender.py"
    if not script.is_file() or not (root / "blender_addon").is_dir():
        raise InvalidInput(
            "The demo needs the add-on, which lies in the project's checkout.",
            hint="Clone the project and run scripts/demo there.",
        )
    return script


def _say_tracking(shot: Shot, say: Say) -> None:
    tracking = shot.info.extra.get("tracking", {})
    for name, value in tracking.get("figures", {}).items():
        say(f"   {name}: {value:.2f}" if isinstance(value, float) else f"   {name}: {value}")
    for warning in tracking.get("warnings", ()):
        say(f"   Warning: {warning}")


def _generated_voice(shot: Shot, files: DemoFiles) -> Path:
    voice_line(files.voice, seconds=shot.info.frame_count / shot.info.rate.fps, seed=NEW_VOICE_SEED)
    return files.voice


def _adapt(shot: Shot, files: DemoFiles, head: HeadModel, minutes: float, progress: ProgressCallback, say: Say) -> None:
    adapt(
        [shot], files.actor, head=head, preset=preset("draft"), minutes=minutes, resume=False, overwrite=True,
        progress=progress, say=lambda text: say("   " + text.replace("\n", "\n   ")),
    )  # fmt: skip


def _edited_frames(first: int, last: int) -> tuple[int, int]:
    """The frames in the middle of the range whose jaw the artist opens."""
    middle, half = (first + last) // 2, min(EDIT_FRAMES, last - first) // 2
    return middle - half, middle + half


@contextmanager
def _served(
    files: DemoFiles, settings: DemoSettings, stage: Callable[[str], AbstractContextManager[ProgressCallback]]
) -> Iterator[Path]:
    """The real server as a child process; its connection file. Raises BackendUnreachable with its last words."""
    connection = files.out / "connection.json"
    with ExitStack() as until_done:
        with stage("serve") as progress:
            progress(Progress(0, 1, "starting"))
            until_done.enter_context(
                served(files.out, files.plates, connection=connection, log=files.out / "server.log", head=settings.head)
            )
            progress(Progress(1, 1, "serving"))
        yield connection


def _in_blender(
    script: Path, files: DemoFiles, connection: Path, report: DemoReport, progress: ProgressCallback, say: Say
) -> None:
    """Blender as a child process imports, edits and renders; its lines become our progress. Raises DubplateError."""
    work = {
        "shot": str(files.shot.resolve()), "take": TAKE, "actor": str(files.actor.resolve()),
        "out": str(files.plates.resolve()), "connection": str(connection.resolve()),
        "blend": str(files.blend.resolve()), "frames": f"{report.frames[0]}-{report.frames[1]}",
        "edit": {"first": report.edited[0], "last": report.edited[1], "ease": EASE_FRAMES, "degrees": EDIT_DEG},
    }  # fmt: skip
    last_lines: list[str] = []
    total = report.frames[1] - report.frames[0] + 1
    command = [sys.executable, str(script), json.dumps(work)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", bufsize=1
    ) as child:
        for line in child.stdout or ():
            text = line.strip()
            if text.startswith("openjd_progress:"):
                progress(Progress(round(float(text.split(":")[1]) / 100 * total), total, "rendering"))
            elif text.startswith("demo:"):
                say(f"   {text.removeprefix('demo:').strip()}")
            elif text and not text.startswith(("Saved:", "openjd_status:")):
                last_lines = [*last_lines[-7:], text]
    if child.returncode:
        error = DubplateError("Blender's part failed:\n" + "\n".join(last_lines), hint="The lines above say why.")
        if child.returncode in set(ExitCode):
            error.exit_code = ExitCode(child.returncode)
        raise error


def _pictures(
    shot: Shot,
    files: DemoFiles,
    frames: tuple[int, int],
    edited: tuple[int, int],
    voice: Path,
    progress: ProgressCallback,
) -> None:
    """preview.mp4, filmed beside dubbed, and contact_sheet.png around the edit."""
    numbers = range(frames[0], frames[1] + 1)
    around = np.linspace(max(frames[0], edited[0] - 8), min(frames[1], edited[1] + 8), SHEET_ROWS).round().astype(int)
    with ShotPlates(shot) as plates:

        def side_by_side() -> Iterator[np.ndarray]:
            for done, number in enumerate(numbers):
                progress(Progress(done, len(numbers), "preview"))
                plate = plates.plate(number)
                finished = read_exr(plate_path(files.plates, shot.info.name, 1, number)).parts[0].rgb()
                yield _fitted([as_seen(plate.rgb, plate.colour), as_seen(finished, plate.colour)])

        write_movie(files.preview, side_by_side(), shot.info.rate, voice)
        rows = [
            (plates.plate(int(number)), plate_path(files.plates, shot.info.name, 1, int(number))) for number in around
        ]
        contact_sheet(files.sheet, rows)
    progress(Progress(len(numbers), len(numbers), "preview"))


def _fitted(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """uint8 pictures (H, W, 3) beside each other, no higher than a screen."""
    both = np.hstack(pictures)
    scale = min(1.0, PREVIEW_SIDE / both.shape[0])
    if scale == 1.0:
        return both
    return cv2.resize(both, (round(both.shape[1] * scale), PREVIEW_SIDE), interpolation=cv2.INTER_AREA)
