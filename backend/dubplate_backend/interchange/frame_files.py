# SPDX-License-Identifier: Apache-2.0
"""`.frame` files, which metrical-tracker and pixel3dmm write alike: a torch.save of a frame's codes and camera."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dubplate_backend.interchange.array_files import array_of, frame_number, read_arrays, watched
from dubplate_backend.interchange.conventions import matrix_from_6d
from dubplate_shared.errors import InvalidInput
from dubplate_shared.progress import ProgressCallback, Stop, never, silent
from dubplate_shared.rotations import axis_angle_from_matrix


def read_frames(
    files: list[Path], tool: str, progress: ProgressCallback = silent, stop: Stop = never
) -> list[tuple[int, dict]]:
    """(number, flame, camera and img_size) of `.frame` files, in order.   Raises InvalidInput, UnsafePickle."""
    frames = []
    for path in watched(files, progress, stop):
        content = read_arrays(path)
        for part in ("flame", "camera"):
            if not isinstance(content.get(part), dict):
                raise InvalidInput(f"{path.name} holds no {part!r}: it is no frame of {tool}.", hint="Check --format.")
        kept = {name: content[name] for name in ("flame", "camera", "img_size") if name in content}
        frames.append((frame_number(path), {**kept, "name": path.name}))
    return sorted(frames, key=lambda frame: frame[0])


def stacked(frames: list[tuple[int, dict]], part: str, name: str, length: int | None, tool: str) -> np.ndarray:
    """One array of all frames, [N, C].   Raises InvalidInput where its length is another in any."""
    rows = []
    for _, content in frames:
        row = array_of(content[part], name, f"{content['name']}: {part}").ravel()
        if len(row) != (length or len(rows[0] if rows else row)):
            raise InvalidInput(
                f"{content['name']}: {part}.{name} holds {len(row)} numbers, which {tool} never writes.",
                hint="Is the file whole, and of one person?",
            )
        rows.append(row)
    return np.stack(rows)


def picture_size(frames: list[tuple[int, dict]], tool: str) -> tuple[int, int]:
    """Height and width of the pictures, px.   Raises InvalidInput where frames disagree."""
    sizes = {
        tuple(array_of(content, "img_size", content["name"]).ravel().astype(int).tolist()) for _, content in frames
    }
    size = sizes.pop()
    if sizes or len(size) != 2 or min(size) < 1:
        raise InvalidInput(
            f"{tool}: its pictures are of different sizes, or of none.", hint="Name the files of one run."
        )
    return size


def rotations(numbers: np.ndarray, tool: str) -> np.ndarray:
    """[..., 6] to [..., 3, 3].   Raises InvalidInput where they are no rotations."""
    try:
        return matrix_from_6d(numbers)
    except ValueError as error:
        raise InvalidInput(f"{tool}: {error}.", hint="Run the tracker again.") from error


def turns(numbers: np.ndarray, tool: str) -> np.ndarray:
    """Joints as axis-angle.   numbers: [N, 6 J].   Returns [N, 3 J]."""
    matrices = rotations(numbers.reshape(len(numbers), -1, 6), tool)
    return axis_angle_from_matrix(matrices).reshape(len(numbers), -1)
