# SPDX-License-Identifier: Apache-2.0
"""What another tool tracked, in our units and axes, before it is laid on a plate."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from dubplate_shared.errors import InvalidInput


class Edition(StrEnum):
    """Which FLAME codes belong to: those of 2020 and 2023 are not interchangeable."""

    FLAME2020 = "flame2020"
    FLAME2023 = "flame2023"


@dataclass(frozen=True)
class PerspectivePose:
    """X_cam = R X_head + t about the origin of head space, OpenCV axes, and the lens in px of the tool's pictures.

    rotation: (N, 3, 3).   translation: (N, 3) metres.   intrinsics: (N, 4) fx fy cx cy, pixel centres at +0.5.
    """

    rotation: np.ndarray
    translation: np.ndarray
    intrinsics: np.ndarray


@dataclass(frozen=True)
class WeakPose:
    """A head turned and then laid flat: u = s (x + tx), v = -s (y + ty) over the crop's -1 .. 1 (DECA's camera).

    rotation: (N, 3, 3) and translation: (N, 3), X_head to the turned head, Y up.   camera: (N, 3) s tx ty.
    crop_from_plate: (N, 3, 3) plate px to crop px where the tool says it, else None.
    """

    rotation: np.ndarray
    translation: np.ndarray
    camera: np.ndarray
    crop_from_plate: np.ndarray | None


@dataclass(frozen=True)
class TrackedFrames:
    """N pictures that `tool` tracked.

    edition: which FLAME.   number: (N,) pictures counted from 0, rising.   rate: pictures a second that the tool made
    of the footage; None where it took the footage's own frames.   picture: width and height of its pictures, px.
    shape: (300,).  expression: (N, 100).  jaw, neck: (N, 3) axis-angle.  eyes: (N, 6) left, right.  eyelids: (N, 2).
    pose: None where the tool keeps no camera.   notes: sentences on what is approximated or left out.
    Raises InvalidInput where shapes disagree or a number is not finite.
    """

    tool: str
    edition: Edition
    number: np.ndarray
    rate: float | None
    picture: tuple[int, int]
    shape: np.ndarray
    expression: np.ndarray
    jaw: np.ndarray
    neck: np.ndarray
    eyes: np.ndarray
    eyelids: np.ndarray
    pose: PerspectivePose | WeakPose | None
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        count = len(self.number)
        if count == 0:
            raise InvalidInput(f"{self.tool}: there are no frames.", hint="Name the files of its results.")
        wanted = {
            "shape": (300,), "expression": (count, 100), "jaw": (count, 3), "neck": (count, 3), "eyes": (count, 6),
            "eyelids": (count, 2),
        }  # fmt: skip
        arrays = {name: getattr(self, name) for name in wanted}
        if self.pose is not None:
            wanted |= {"rotation": (count, 3, 3), "translation": (count, 3)}
            arrays |= {name: array for name, array in vars(self.pose).items() if array is not None}
        for name, array in arrays.items():
            if name in wanted and array.shape != wanted[name]:
                raise InvalidInput(
                    f"{self.tool}: {name} is {array.shape}, expected {wanted[name]}.", hint="Is the file whole?"
                )
            if not np.isfinite(array).all():
                raise InvalidInput(
                    f"{self.tool}: {name} holds numbers that are not finite.",
                    hint="The tracker lost the face: run it again.",
                )
        if min(self.picture) < 1 or (isinstance(self.pose, PerspectivePose) and self.pose.intrinsics[:, :2].min() <= 0):
            raise InvalidInput(
                f"{self.tool}: its pictures' size or its focal length is not positive.", hint="Is the file whole?"
            )
        if (np.diff(self.number) <= 0).any():
            raise InvalidInput(f"{self.tool}: two files are of one frame.", hint="Name each frame's file once.")


def padded(code: np.ndarray, length: int, tool: str, what: str) -> np.ndarray:
    """A shorter code with noughts behind.   code: [..., C].   Returns [..., length].   Raises InvalidInput."""
    missing = length - code.shape[-1]
    if missing < 0:
        raise InvalidInput(
            f"{tool}: {what} has {code.shape[-1]} components, and FLAME has {length}.",
            hint="Is it a FLAME tracker's file?",
        )
    return np.concatenate([code, np.zeros((*code.shape[:-1], missing))], axis=-1).astype(np.float64)
