# SPDX-License-Identifier: Apache-2.0
"""One picture of a sequence as it is stored: EXR, DPX, TIFF, PNG or JPEG, and what its file says of itself."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from dubplate_backend.plates.colour import PICTURE, PlateColour
from dubplate_backend.plates.dpx import read_dpx, read_dpx_header
from dubplate_backend.plates.exr import read_attributes
from dubplate_backend.plates.rates import standard_rate
from dubplate_shared.errors import FootageError

PICTURE_SUFFIXES = (".exr", ".dpx", ".tif", ".tiff", ".png", ".jpg", ".jpeg")
_PILLOW_KNOWS = (".png", ".jpg", ".jpeg")
_BROKEN = "Check the sequence for holes and broken files."
HALF_BITS = 10  # half tells all codes of up to ten bits apart: its steps below 1 are 2^-11
FLOAT_TIFF = "lin_rec709_scene"  # floating point pictures hold light, not code values


@dataclass(frozen=True)
class PictureFacts:
    """What one file says.   colour_space: empty where it does not.   rate, timecode: None where it does not."""

    colour_space: str
    rate: Fraction | None = None
    timecode: str | None = None
    pixel_aspect: float = 1.0


def read_facts(path: Path) -> PictureFacts:
    """Raises InvalidInput (FootageError for DPX) where the file cannot be read."""
    suffix = path.suffix.lower()
    if suffix == ".dpx":
        header = read_dpx_header(path)
        return PictureFacts(header.colour_space, header.rate, header.timecode, header.pixel_aspect)
    if suffix != ".exr":
        return PictureFacts(FLOAT_TIFF if stored(path).dtype.kind == "f" else PICTURE)
    attributes = read_attributes(path)
    rate, code = attributes.get("framesPerSecond"), attributes.get("timeCode")
    timecode = None
    if code is not None:
        separator = ";" if code.dropFrame else ":"
        timecode = f"{code.hours:02d}:{code.minutes:02d}:{code.seconds:02d}{separator}{code.frame:02d}"
    return PictureFacts(
        PlateColour.of_exr(attributes).interop_id,
        None if rate is None else standard_rate(Fraction(rate)),
        timecode,
        float(attributes.get("pixelAspectRatio", 1.0)) or 1.0,
    )


def read_picture(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """A picture of integers or floats other than EXR: [H, W, 3] and its alpha [H, W] if it has one.

    Codes of up to ten bits become code / largest in half, from which each is recovered exactly; wider ones in float;
    floating point stays as it is. Raises FootageError where the file is missing or cannot be read.
    """
    if path.suffix.lower() == ".dpx" and path.exists():
        codes, bits = read_dpx(path)
    else:
        codes, bits = stored(path), 0
    channels = codes.reshape(*codes.shape[:2], -1)
    if channels.shape[2] < 3:
        channels = np.repeat(channels[..., :1], 3, axis=2)
    values = values_of(channels, bits or channels.dtype.itemsize * 8)
    return np.ascontiguousarray(values[..., :3]), values[..., 3] if values.shape[2] == 4 else None


def values_of(codes: np.ndarray, bits: int) -> np.ndarray:
    """uint8 or uint16 codes of `bits` -> 0..1 as half or float; floats unchanged."""
    if codes.dtype.kind == "f":
        return codes
    levels = np.arange(1 << bits, dtype=np.float32) / np.float32((1 << bits) - 1)
    return levels.astype(np.float16 if bits <= HALF_BITS else np.float32)[codes]


def stored(path: Path) -> np.ndarray:
    """The file's own numbers, uint8, uint16 or float32, [H, W] or [H, W, RGB or RGBA]."""
    if not path.exists():
        raise FootageError(f"{path} does not exist.", hint=_BROKEN)
    _check_header(path)
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.dtype not in (np.uint8, np.uint16, np.float32):
        raise FootageError(f"{path} cannot be read.", hint=_BROKEN)
    if picture.ndim == 3 and picture.shape[2] >= 3:
        picture = picture[..., [2, 1, 0, *range(3, picture.shape[2])]]  # OpenCV keeps blue first
    return picture


def _check_header(path: Path) -> None:
    """Before any memory is asked for: OpenCV checks no PNG's sums, and a few damaged bytes may promise a gigapixel."""
    try:
        with Image.open(path) as picture:
            if picture.format == "PNG":
                picture.verify()
    except Image.DecompressionBombError as error:
        raise FootageError(f"{path} cannot be read: {error}", hint="Copy the file again from its source.") from error
    except (OSError, ValueError, SyntaxError, struct.error) as error:
        if path.suffix.lower() in _PILLOW_KNOWS:  # of other kinds Pillow does not know all
            raise FootageError(f"{path} cannot be read.", hint=_BROKEN) from error
