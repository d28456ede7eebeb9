# SPDX-License-Identifier: Apache-2.0
"""Sequences that the tests write: DPX by its standard alone, with nothing of the project's reader."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

PACKED_BITS = {8: 0, 10: 1, 12: 1, 16: 0}  # ST 268-1, table 3: 1 is "filled to 32 bit words, method A"


def write_dpx(
    path: Path,
    codes: np.ndarray,
    bits: int = 10,
    *,
    transfer: int = 1,
    rate: float | None = 24.0,
    timecode: str | None = None,
    little_endian: bool = False,
) -> Path:
    """`codes` [H, W, 3] as an RGB DPX of 8, 10 or 16 bits (SMPTE ST 268-1)."""
    height, width = codes.shape[:2]
    order = "<" if little_endian else ">"
    header = bytearray(2048)
    header[:4] = b"XPDS" if little_endian else b"SDPX"
    for kind, offset, value in (
        ("I", 4, 2048), ("I", 16, 0), ("I", 24, 1664), ("I", 28, 384), ("H", 768, 0), ("H", 770, 1),
        ("I", 772, width), ("I", 776, height), ("I", 780, 0), ("B", 800, 50), ("B", 801, transfer),
        ("B", 803, bits), ("H", 804, PACKED_BITS[bits]), ("H", 806, 0), ("I", 808, 2048),
        ("I", 1628, 1), ("I", 1632, 1), ("I", 1920, 0xFFFFFFFF), ("I", 1940, 0xFFFFFFFF), ("I", 1724, 0xFFFFFFFF),
    ):  # fmt: skip
        struct.pack_into(order + kind, header, offset, value)
    header[8:12] = b"V2.0"
    if rate is not None:
        struct.pack_into(order + "f", header, 1940, rate)
    if timecode is not None:
        struct.pack_into(order + "I", header, 1920, int(timecode.replace(":", ""), 16))
    if bits == 10:
        red, green, blue = (codes[..., channel].astype(np.uint32) for channel in range(3))
        words = (red << 22 | green << 12 | blue << 2).astype(order + "u4")
    else:
        words = codes.astype(order + ("u1" if bits == 8 else "u2"))
    path.write_bytes(bytes(header) + words.tobytes())
    return path


def write_numbered(folder: Path, numbers: Iterable[int], name: str = "plate.{:04d}.png") -> Path:
    """Small grey pictures whose level is their number's last two digits. Returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        cv2.imwrite(str(folder / name.format(number)), np.full((16, 24, 3), number % 100, np.uint8))
    return folder
