# SPDX-License-Identifier: Apache-2.0
"""DPX pictures (SMPTE ST 268-1): code values as stored, and what the header says of colour, rate and time code.

FFmpeg unpacks the pixels; it says nothing of the header's colour, so that is read here.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from dubplate_backend.plates.colour import CINEON, VIDEO
from dubplate_backend.plates.rates import standard_rate
from dubplate_shared.errors import FootageError

BIG_ENDIAN, LITTLE_ENDIAN = b"SDPX", b"XPDS"
# Byte offsets of ST 268-1, tables 1 to 5.
IMAGE_OFFSET, TRANSFER, BIT_DEPTH, PIXEL_ASPECT = 4, 801, 803, 1628
FILM_RATE, TIME_CODE, TELEVISION_RATE = 1724, 1920, 1940
GENERIC_HEADER_BYTES, WHOLE_HEADER_BYTES = 1664, 2048
UNDEFINED = 0xFFFFFFFF
# ST 268-1, table 5A, transfer characteristic. 0 is "user-defined" and 255 undefined: those have to be named.
TRANSFERS = {
    1: CINEON,  # printing density
    2: "lin_rec709_scene",
    3: CINEON,  # logarithmic
    4: VIDEO,  # unspecified video
    5: VIDEO,  # SMPTE 274M
    6: VIDEO,  # ITU-R BT.709
    7: VIDEO,  # BT.601 625 lines
    8: VIDEO,  # BT.601 525 lines
}
FASTEST_RATE = 1000.0  # a number beyond that is an uninitialised field
FORMATS = (
    "gbrp10le",
    "gbrp10be",
    "gbrp12le",
    "gbrp12be",
    "rgb24",
    "rgba",
    "rgb48le",
    "rgb48be",
    "rgba64le",
    "rgba64be",
)


@dataclass(frozen=True)
class DpxHeader:
    """colour_space: empty where the header leaves it open.   rate, timecode: None where it does not say."""

    bits: int
    colour_space: str
    rate: Fraction | None
    timecode: str | None
    pixel_aspect: float


def read_dpx_header(path: Path) -> DpxHeader:
    """Raises FootageError where the file is no DPX."""
    with open(path, "rb") as file:
        head = file.read(WHOLE_HEADER_BYTES)
    if head[:4] not in (BIG_ENDIAN, LITTLE_ENDIAN) or len(head) < GENERIC_HEADER_BYTES:
        raise unreadable(path)
    order = ">" if head[:4] == BIG_ENDIAN else "<"

    def number(kind: str, offset: int) -> float:
        return struct.unpack_from(order + kind, head, offset)[0]

    # Pixels may begin where the film and television headers would be.
    whole = len(head) == WHOLE_HEADER_BYTES and number("I", IMAGE_OFFSET) >= WHOLE_HEADER_BYTES
    across, down = number("I", PIXEL_ASPECT), number("I", PIXEL_ASPECT + 4)
    aspect = across / down if 0 < across < UNDEFINED and 0 < down < UNDEFINED else 1.0
    return DpxHeader(
        bits=head[BIT_DEPTH],
        colour_space=TRANSFERS.get(head[TRANSFER], ""),
        rate=_rate(number("f", TELEVISION_RATE), number("f", FILM_RATE)) if whole else None,
        timecode=_timecode(int(number("I", TIME_CODE))) if whole else None,
        pixel_aspect=aspect,
    )


def read_dpx(path: Path) -> tuple[np.ndarray, int]:
    """Code values as stored, uint8 or uint16 [H, W, 3 or 4], and how many bits they have.

    Raises FootageError where the file is missing, cut short, or packed in a way that is not known.
    """
    bits = read_dpx_header(path).bits
    decoder = av.CodecContext.create("dpx", "r")
    try:
        packet = av.Packet(path.read_bytes())
        frames = decoder.decode(packet) or decoder.decode(None)
    except av.error.FFmpegError as error:
        raise unreadable(path) from error
    if not frames or frames[0].format.name not in FORMATS:
        raise FootageError(
            f"{path} is a DPX of a kind that cannot be read.",
            hint="Write RGB DPX of 8, 10, 12 or 16 bits without run-length encoding, or EXR.",
        )
    codes = frames[0].to_ndarray()
    return codes.astype(codes.dtype.newbyteorder("="), copy=False), bits


def unreadable(path: Path) -> FootageError:
    """What a broken file is told as."""
    return FootageError(f"{path} is no readable DPX.", hint="It may be cut short: copy it again.")


def _rate(*stated: float) -> Fraction | None:
    for rate in stated:
        if math.isfinite(rate) and 1.0 <= rate <= FASTEST_RATE:
            return standard_rate(Fraction(rate))
    return None


def _timecode(packed: int) -> str | None:
    """Eight binary-coded decimals, HHMMSSFF."""
    text = f"{packed:08x}"
    if packed == UNDEFINED or not text.isdigit():
        return None
    hours, minutes, seconds, frame = (int(text[place : place + 2]) for place in (0, 2, 4, 6))
    if hours > 23 or minutes > 59 or seconds > 59:
        return None
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}:{frame:02d}"
