# SPDX-License-Identifier: Apache-2.0
"""Multi-part OpenEXR files that are whole or absent, and readers that never take a broken file for a black frame.

The OpenEXR library prints a warning and gives no channels, or zeros, where a file is cut short; its writer leaves a
truncated file on a full disk.  So what is written is read back, and carries a hash of its pixels.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR

from dubplate_backend.plates.abandoned import abandoned
from dubplate_shared.errors import InvalidInput, OutputNotWritable
from dubplate_shared.files import atomic_path

PIXEL_HASH = "dubplate:pixelHash"
MOST_PIXELS = 2**28  # of a part: 16384 x 16384. A damaged header asks for any amount of memory
TIME_CODE_FIELDS = 18  # hours, minutes, seconds, frame, six flags, eight binary groups (SMPTE 12M)

# What the library derives from the pixels and the part; never copied from another file.
STRUCTURE = frozenset(
    (
        *("channels", "chunkCount", "compression", "dataWindow", "displayWindow", "lineOrder", "maxSamplesPerPixel"),
        *("name", "tiles", "type", "version", "dwaCompressionLevel", "zipCompressionLevel"),
    )
)
# The attributes that the format wants equal in every part of a file.
SHARED_BY_PARTS = frozenset(("pixelAspectRatio", "timeCode", "chromaticities", "colorInteropID", "framesPerSecond"))


@dataclass(frozen=True)
class ExrPart:
    """One part: its name is its layer's; channels are [H, W] float16 or float32, all of one size."""

    name: str
    channels: Mapping[str, np.ndarray]

    def rgb(self) -> np.ndarray:
        """[H, W, 3] of the unprefixed R, G, B. Raises InvalidInput where one is missing or their types differ."""
        missing = [name for name in "RGB" if name not in self.channels]
        if missing:
            raise InvalidInput(
                f"The EXR part {self.name!r} has no channel {', '.join(missing)}.",
                hint="A plate needs R, G and B in its first part.",
            )
        kinds = {self.channels[name].dtype for name in "RGB"}
        if len(kinds) > 1 or not kinds <= {np.dtype(np.float16), np.dtype(np.float32)}:
            raise InvalidInput(
                f"The channels of EXR part {self.name!r} are {sorted(map(str, kinds))}.",
                hint="R, G and B must all be half or all be float.",
            )
        if len({self.channels[name].shape for name in "RGB"}) > 1:
            raise InvalidInput(
                f"The channels of EXR part {self.name!r} differ in size.", hint="Write the plate without subsampling."
            )
        return np.stack([self.channels[name] for name in "RGB"], axis=-1)


@dataclass(frozen=True)
class Windows:
    """Data and display window as EXR has them: (left, top, right, bottom), right and bottom inclusive."""

    data: tuple[int, int, int, int]
    display: tuple[int, int, int, int]

    @classmethod
    def of_size(cls, height: int, width: int) -> Windows:
        whole = (0, 0, width - 1, height - 1)
        return cls(whole, whole)

    @property
    def origin(self) -> tuple[int, int]:
        """Place of the first stored pixel, (x, y) from the display window's top left corner."""
        return self.data[0] - self.display[0], self.data[1] - self.display[1]


@dataclass(frozen=True)
class Exr:
    """A file as read: parts in file order, the first part's attributes, the windows."""

    parts: tuple[ExrPart, ...]
    windows: Windows
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def part(self, name: str) -> ExrPart:
        """The part of that name. Raises InvalidInput where there is none."""
        for part in self.parts:
            if part.name == name:
                return part
        raise InvalidInput(
            f"The EXR has no part {name!r}, only {', '.join(p.name for p in self.parts)}.",
            hint="Was it written by another tool, or by an older version?",
        )


def write_exr(path: Path | str, parts: Sequence[ExrPart], windows: Windows, attributes: Mapping[str, Any]) -> None:
    """Write scanline ZIPS parts atomically, after reading them back.

    `attributes` go to the first part, and those that the format shares to all.
    Raises OutputNotWritable where the disk is full, the folder cannot be written, or the file does not read back.
    """
    attributes = {**copied_attributes(attributes), PIXEL_HASH: pixel_hash(parts)}
    shared = {name: value for name, value in attributes.items() if name in SHARED_BY_PARTS}
    with atomic_path(path) as temporary:
        stored = [
            OpenEXR.Part(
                {**(attributes if index == 0 else shared), **_structure(windows)},
                {name: np.ascontiguousarray(pixels) for name, pixels in part.channels.items()},
                part.name,
            )
            for index, part in enumerate(parts)
        ]
        try:
            OpenEXR.File(stored).write(str(temporary))
        except RuntimeError as error:  # the library says why in words only
            raise _write_error(Path(path), error) from error
        _read_back(Path(path), temporary, parts)


def remove_abandoned(folder: Path) -> None:
    """Remove what killed writers have left in a folder: plates, and what stands beside them."""
    for path in abandoned(folder, ".*.part.*"):
        with suppress(OSError):  # another's clean-up or rename
            path.unlink()


def read_exr(path: Path | str) -> Exr:
    """All parts of a file.

    Raises InvalidInput where the file is missing, is no EXR, or is cut short, and where it carries our hash and its
    pixels do not match it.
    """
    exr, wanted = _read(Path(path))
    if wanted is not None and wanted != pixel_hash(exr.parts):
        raise InvalidInput(
            f"The pixels of {path} are damaged: their hash is not the one that was written.",
            hint="Render the frame again, or restore the file from a copy.",
        )
    return exr


def read_first_part(path: Path | str) -> np.ndarray:
    """[H, W, 3] of the first part's R, G and B alone, without its hash being checked: for looking, not for work.

    Raises InvalidInput where they cannot be read.
    """
    try:
        file = OpenEXR.InputFile(str(path))
        window = file.header()["dataWindow"]
        _check_size(Path(path), (window.min.x, window.min.y, window.max.x, window.max.y))
        shape = (window.max.y - window.min.y + 1, window.max.x - window.min.x + 1)
        kind = {2: np.float16, 4: np.float32}
        pixels = [np.frombuffer(data, kind[len(data) // (shape[0] * shape[1])]) for data in file.channels("RGB")]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise _read_error(Path(path)) from error
    return np.stack(pixels, axis=-1).reshape(*shape, 3)


def read_attributes(path: Path | str) -> dict[str, Any]:
    """The first part's attributes, without its pixels. Raises InvalidInput where the file cannot be opened."""
    try:
        with OpenEXR.File(str(path), header_only=True) as file:
            return copied_attributes(file.parts[0].header)
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        raise _read_error(Path(path)) from error


def pixel_hash(parts: Sequence[ExrPart]) -> str:
    """Hex BLAKE2b-256 over part names, channel names, types, sizes and pixel bits."""
    digest = hashlib.blake2b(digest_size=32)  # a plate is 80 MB of pixels, and SHA-256 takes several times as long
    for part in parts:
        for name in sorted(part.channels):
            pixels = np.ascontiguousarray(part.channels[name])
            digest.update(f"{part.name}|{name}|{pixels.dtype.str}|{pixels.shape}|".encode())
            digest.update(pixels.data)
    return digest.hexdigest()


def copied_attributes(header: Mapping[str, Any]) -> dict[str, Any]:
    """What of a header may travel to another file: all but the structure and another file's hash."""
    return {name: value for name, value in header.items() if name not in STRUCTURE and name != PIXEL_HASH}


def time_code(hours: int, minutes: int, seconds: int, frame: int, *, drop_frame: bool = False) -> OpenEXR.TimeCode:
    """A SMPTE time code attribute."""
    return OpenEXR.TimeCode(hours, minutes, seconds, frame, int(drop_frame), *(0,) * (TIME_CODE_FIELDS - 5))


def rate_attribute(num: int, den: int) -> Fraction:
    """framesPerSecond as the library takes it."""
    return Fraction(num, den)


def _structure(windows: Windows) -> dict[str, Any]:
    return {
        "type": OpenEXR.scanlineimage,
        "compression": OpenEXR.ZIPS_COMPRESSION,  # lossless, one line a block: what comp plates are stored as
        "dataWindow": _box(windows.data),
        "displayWindow": _box(windows.display),
    }


def _box(window: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(window[:2], np.int32), np.array(window[2:], np.int32)


def _window(box: tuple[np.ndarray, np.ndarray]) -> tuple[int, int, int, int]:
    return int(box[0][0]), int(box[0][1]), int(box[1][0]), int(box[1][1])


def _check_size(path: Path, window: tuple[int, int, int, int]) -> None:
    """Before any memory is asked for."""
    width, height = window[2] - window[0] + 1, window[3] - window[1] + 1
    if not 0 < width * height <= MOST_PIXELS or width < 1:
        raise InvalidInput(
            f"{path} says that it is {width} x {height} pixels; a part may have {MOST_PIXELS}.",
            hint="Copy the file again from its source.",
        )


def _read(path: Path) -> tuple[Exr, str | None]:
    """The file, and the pixel hash that it carries if it is one of ours."""
    try:
        with OpenEXR.File(str(path), header_only=True) as file:
            for part in file.parts:
                _check_size(path, _window(part.header["dataWindow"]))
        with OpenEXR.File(str(path), separate_channels=True) as file:
            headers = [dict(part.header) for part in file.parts]
            parts = tuple(
                ExrPart(part.name() or "rgba", {name: channel.pixels for name, channel in part.channels.items()})
                for part in file.parts
            )
    except (RuntimeError, KeyError, TypeError, ValueError) as error:  # the last: names and texts that are no UTF-8
        raise _read_error(path) from error
    if not parts:
        raise _read_error(path)
    for part, header in zip(parts, headers, strict=True):
        promised = {channel.name for channel in header["channels"]}
        if promised != set(part.channels) or any(pixels is None for pixels in part.channels.values()):
            raise InvalidInput(
                f"{path} is cut short: part {part.name!r} cannot be read.", hint="Copy the file again from its source."
            )
    windows = Windows(_window(headers[0]["dataWindow"]), _window(headers[0]["displayWindow"]))
    return Exr(parts, windows, copied_attributes(headers[0])), headers[0].get(PIXEL_HASH)


def _read_back(path: Path, temporary: Path, parts: Sequence[ExrPart]) -> None:
    """A writer that reports success may have left nothing: look before the file takes its name."""
    try:
        found, _ = _read(temporary)
    except InvalidInput as error:
        raise _not_written(path) from error
    if [part.name for part in found.parts] != [part.name for part in parts]:
        raise _not_written(path)
    for back, part in zip(found.parts, parts, strict=True):
        same = back.channels.keys() == part.channels.keys() and all(
            _bits_equal(back.channels[name], pixels) for name, pixels in part.channels.items()
        )
        if not same:
            raise _not_written(path)


def _bits_equal(one: np.ndarray, other: np.ndarray) -> bool:
    if one.dtype != other.dtype:
        return False
    bits = np.dtype(f"u{one.dtype.itemsize}")
    return np.array_equal(np.ascontiguousarray(one).view(bits), np.ascontiguousarray(other).view(bits))


def _not_written(path: Path) -> OutputNotWritable:
    return OutputNotWritable(
        f"{path} did not read back as it was written.",
        hint="Check the disk's free space and health; what was there is intact.",
    )


def _write_error(path: Path, error: RuntimeError) -> Exception:
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EIO):
        if os.strerror(number) in str(error):
            return OSError(number, os.strerror(number), str(path))  # atomic_path names it and its fix
    return OutputNotWritable(f"Cannot write {path}: {error}", hint="Check the output folder and its disk.")


def _read_error(path: Path) -> InvalidInput:
    if not path.exists():
        return InvalidInput(f"{path} does not exist.", hint="Check the path.")
    return InvalidInput(f"{path} is no readable OpenEXR file.", hint="It may be cut short: copy it again.")
