# SPDX-License-Identifier: Apache-2.0
"""The shot package NAME.dubshot: one cut of one actor, its track, its crop, its head and its takes.

A folder: shot.json, track.npz, crop.npz, head.npz, takes/NAME.npz + .json, and the audio if it came with the video.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
import numpy.typing as npt

from dubplate_shared.errors import HeadModelMismatch, InvalidInput
from dubplate_shared.files import FileStates, atomic_folder, load_npz, read_json, save_npz, states, write_json
from dubplate_shared.frames import format_frames
from dubplate_shared.plate_names import checked_name
from dubplate_shared.rig import Rig
from dubplate_shared.take import TRACKED, Take
from dubplate_shared.track import Track

Array = npt.NDArray[Any]

SCHEMA = "dubplate.shot/1"
_FILES = ("shot.json", "track.npz", "crop.npz", "head.npz")
_KNOWN = {
    "schema", "name", "first_frame", "frame_count", "fps", "timecode", "resolution",
    "pixel_aspect", "plate", "audio", "head", "actor", "tool",
}  # fmt: skip


@dataclass(frozen=True)
class Rate:
    """Frames a second, exact: 24000/1001 stays what it is."""

    num: int
    den: int = 1

    def __post_init__(self) -> None:
        if self.num < 1 or self.den < 1:
            raise InvalidInput(
                f"Frame rate {self.num}/{self.den} is not positive.", hint="Give the true rate of the footage."
            )

    @property
    def fps(self) -> float:
        return self.num / self.den

    @property
    def fraction(self) -> Fraction:
        return Fraction(self.num, self.den)


@dataclass(frozen=True)
class HeadIdentity:
    """Which head model the codes belong to."""

    kind: str
    sha256: str

    def require(self, other: HeadIdentity, what: str) -> None:
        """Raise HeadModelMismatch unless `other` is the same model."""
        if self.sha256 != other.sha256:
            raise HeadModelMismatch(
                f"{what} belongs to head model {other.kind} ({other.sha256[:12]}); this is {self.kind} "
                f"({self.sha256[:12]}).",
                hint=(
                    "Codes of one head model mean nothing on another: use the same --head as when it was made, "
                    "or make it again."
                ),
            )


@dataclass(frozen=True)
class PlateSource:
    """kind: "video" (path of a file) or "sequence" (NAME.####.exr).  colour_space: as the source says, such as
    "srgb_rec709_display".  start: place in a video of the shot's first frame, where other shots come before it; a
    sequence's files are found by their numbers.
    """

    kind: str
    path: str
    colour_space: str
    start: int = 0

    def to_json(self) -> dict[str, Any]:
        named = {"kind": self.kind, "path": self.path, "colour_space": self.colour_space}
        return {**named, "start": self.start} if self.start else named


@dataclass(frozen=True)
class ShotInfo:
    """What shot.json says.  width, height: pixels as displayed.  audio: paths, relative to the package or absolute."""

    name: str
    frame_count: int
    rate: Rate
    width: int
    height: int
    plate: PlateSource
    head: HeadIdentity
    first_frame: int = 1001
    timecode: str | None = None
    pixel_aspect: float = 1.0
    audio: tuple[str, ...] = ()
    actor: str | None = None
    tool: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)  # unknown keys of the file, kept through a round trip

    def to_json(self) -> dict[str, Any]:
        known = {
            "schema": SCHEMA,
            "name": self.name,
            "first_frame": self.first_frame,
            "frame_count": self.frame_count,
            "fps": {"num": self.rate.num, "den": self.rate.den},
            "timecode": self.timecode,
            "resolution": [self.width, self.height],
            "pixel_aspect": self.pixel_aspect,
            "plate": self.plate.to_json(),
            "audio": list(self.audio),
            "head": {"kind": self.head.kind, "sha256": self.head.sha256},
            "actor": self.actor,
            "tool": dict(self.tool),
        }
        return {**self.extra, **known}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], where: Path) -> ShotInfo:
        try:
            plate, head = content["plate"], content["head"]
            return cls(
                name=str(content["name"]),
                frame_count=int(content["frame_count"]),
                rate=Rate(int(content["fps"]["num"]), int(content["fps"]["den"])),
                width=int(content["resolution"][0]),
                height=int(content["resolution"][1]),
                plate=PlateSource(
                    str(plate["kind"]), str(plate["path"]), str(plate["colour_space"]), int(plate.get("start", 0))
                ),
                head=HeadIdentity(str(head["kind"]), str(head["sha256"])),
                first_frame=int(content["first_frame"]),
                timecode=content.get("timecode"),
                pixel_aspect=float(content.get("pixel_aspect", 1.0)),
                audio=tuple(str(path) for path in content.get("audio", [])),
                actor=content.get("actor"),
                tool=dict(content.get("tool", {})),
                extra={key: value for key, value in content.items() if key not in _KNOWN},
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InvalidInput(
                f"{where} is incomplete: {error!r}.", hint="Track the shot again, or restore the file."
            ) from error


@dataclass(frozen=True)
class Shot:
    """A shot in memory.  crop: (T, 2, 3) plate px -> unit square, pixel centres at +0.5.  rig: the head for
    Blender, where stored.
    """

    path: Path
    info: ShotInfo
    track: Track
    crop: Array
    rig: Rig | None = None

    @classmethod
    def load(cls, path: Path | str) -> Shot:
        """Read a package. Raises InvalidInput."""
        path = Path(path)
        if not path.is_dir():
            raise InvalidInput(
                f"{path} is no shot package.", hint="Make one with: dubplate track VIDEO -o NAME.dubshot"
            )
        info = ShotInfo.from_json(read_json(path / "shot.json", SCHEMA), path / "shot.json")
        track = Track.load(path / "track.npz")
        crop = np.asarray(load_npz(path / "crop.npz").get("matrix", ()), np.float32)
        if len(track) != info.frame_count or crop.shape != (len(track), 2, 3):
            raise InvalidInput(
                f"{path}: shot.json, track.npz and crop.npz disagree on the frames.", hint="Track the shot again."
            )
        rig = Rig.load(path / "head.npz") if (path / "head.npz").exists() else None
        return cls(path, info, track, crop, rig)

    @property
    def frames(self) -> tuple[int, ...]:
        return tuple(range(self.info.first_frame, self.info.first_frame + self.info.frame_count))

    def indices(self, frames: Iterable[int]) -> list[int]:
        """Positions of frame numbers in the track's arrays. Raises InvalidInput naming those outside the shot."""
        wanted = list(frames)
        outside = [frame for frame in wanted if not 0 <= frame - self.info.first_frame < self.info.frame_count]
        if outside:
            last = self.info.first_frame + self.info.frame_count - 1
            raise InvalidInput(
                f"Frames {format_frames(outside)} lie outside {self.info.name} ({self.info.first_frame}-{last}).",
                hint=f"Ask for frames within {self.info.first_frame}-{last}.",
            )
        return [frame - self.info.first_frame for frame in wanted]

    def index(self, frame: int) -> int:
        """Position of one frame number. Raises InvalidInput outside the shot."""
        return self.indices([frame])[0]

    def resolve(self, stored: str) -> Path:
        """A stored path as it is here: absolute, or relative to the package.

        What was moved with the package is found beside it or beside its folder, in the folders that it lay in,
        whichever system's path was stored; a pattern NAME.####.exr, where any of its files is.
        Raises InvalidInput where it is nowhere; a pattern without files is returned as stored.
        """
        exact = self.path / stored  # the stored one where that is absolute
        parts = PureWindowsPath(stored).parts  # it knows both separators
        inner = [Path(*parts[start:]) for start in range(1 if PureWindowsPath(stored).anchor else 0, len(parts))]
        moved = (folder / path for folder in self.path.absolute().parents[:2] for path in inner)
        found = next((path for path in (exact, *moved) if _stands(path)), None)
        if found is not None or "#" in exact.name:
            return found or exact
        raise InvalidInput(
            f"{stored} of shot {self.info.name} is not there.", hint=f"Put it back, or beside {self.path}."
        )

    def plate_path(self) -> Path:
        """The footage: a video file, or a pattern with #### for a sequence."""
        return self.resolve(self.info.plate.path)

    def audio_path(self) -> Path | None:
        """The shot's first audio file, or None where it has none."""
        return self.resolve(self.info.audio[0]) if self.info.audio else None

    def voice_path(self, take: Take) -> Path | None:
        """The voice that belongs to a take: its own, or the shot's for what was filmed, else None.

        Raises InvalidInput where it is named and not there.
        """
        named = take.origin.get("audio")
        if named:
            return self.resolve(str(named))
        return self.audio_path() if take.name == TRACKED else None

    def tracked_take(self) -> Take:
        """What was filmed, as a take."""
        return Take(TRACKED, self.track.expression, self.track.jaw, self.track.eyes, {"kind": "track"})

    def take_names(self) -> list[str]:
        """ "tracked" and all stored takes."""
        return [TRACKED, *sorted(file.stem for file in (self.path / "takes").glob("*.json"))]

    def take(self, name: str) -> Take:
        """A stored take, or what was filmed for "tracked". Raises InvalidInput naming the takes there are."""
        if name == TRACKED:
            return self.tracked_take()
        checked_name(name, "Take")
        if not (self.path / "takes" / f"{name}.json").exists():
            raise InvalidInput(
                f"Shot {self.info.name} has no take {name!r}.", hint=f"It has: {', '.join(self.take_names())}."
            )
        return self.checked(Take.load(self.path / "takes", name))

    def checked(self, take: Take) -> Take:
        """`take` if it covers this shot's frames. Raises InvalidInput."""
        if len(take) != len(self.track):
            raise InvalidInput(
                f"Take {take.name!r} has {len(take)} frames, shot {self.info.name} has {len(self.track)}.",
                hint="Make the take on this shot.",
            )
        return take

    def save_take(self, take: Take) -> None:
        """Store a take in the package. Raises InvalidInput for the reserved name or a wrong length."""
        if take.name == TRACKED:
            raise InvalidInput(
                f"{TRACKED!r} is what was filmed and cannot be replaced.", hint="Choose another take name."
            )
        checked_name(take.name, "Take")
        self.checked(take).save(self.path / "takes")


def shot_state(path: Path) -> FileStates:
    """What tells that a package is another, as by a repair; takes are read when they are asked for."""
    return states(path / name for name in _FILES)


def _stands(path: Path) -> bool:
    """Whether a file is there, or any of a pattern's files."""
    if "#" not in path.name:
        return path.exists()
    return any(path.parent.glob(re.sub("#+", "[0-9]*", glob.escape(path.name))))


def write_shot(
    path: Path | str,
    info: ShotInfo,
    track: Track,
    crop: Array,
    rig: Rig | None,
    *,
    files: Mapping[str, Path] | None = None,
    overwrite: bool = False,
) -> Shot:
    """Write a whole package at once: it is there complete, or not at all.

    crop: (T, 2, 3).  files: name in the package -> file to be moved into it (the audio).  Raises InvalidInput,
    OutputNotWritable.
    """
    checked_name(info.name, "Shot name")
    path = Path(path)
    with atomic_folder(path, overwrite=overwrite) as folder:
        write_json(folder / "shot.json", info.to_json())
        track.save(folder / "track.npz")
        save_npz(folder / "crop.npz", {"matrix": np.asarray(crop, np.float32)})
        if rig is not None:
            rig.save(folder / "head.npz")
        (folder / "takes").mkdir()
        for name, source in (files or {}).items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(Path(source).read_bytes())
    return Shot.load(path)
