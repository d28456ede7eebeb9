# SPDX-License-Identifier: Apache-2.0
"""The messages on the bulk socket: one frame drawn while the artist edits, and its pictures in tiles."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from dubplate_shared.error_info import ErrorInfo
from dubplate_shared.errors import InvalidInput
from dubplate_shared.message import Message
from dubplate_shared.performance import MAX_NAME_LENGTH, Array, check_length, check_performance
from dubplate_shared.take import TRACKED

MAX_CREDIT_BYTES = 64 * 1024 * 1024  # that a client may have on their way to it over the socket
MAX_RING_BYTES = 512 * 1024 * 1024  # and through shared memory


class Stage(StrEnum):
    """What a picture shows; a preview comes in this order."""

    CROP = "crop"  # the drawn face crop with its matte: float16 [S, S, 4]
    FILMED = "filmed"  # the plate around the face as it was filmed: float16 [h, w, 3]; only where it is asked for
    COMPOSITE = "composite"  # the finished plate around the face: float16 [h, w, 3]
    PLATE = "plate"  # the whole finished plate: float16 [H, W, 3]


LAST_STAGES = (Stage.CROP, Stage.COMPOSITE, Stage.PLATE)  # what a preview may be asked for


class Outcome(StrEnum):
    """How a preview ended."""

    DRAWN = "drawn"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"
    FAILED = "failed"


# --- requests ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BulkOpen(Message):
    """I take pictures. credit: bytes that may be on their way to me.

    ring: bytes of memory that I would share with a backend on the same machine, 0 for none.
    """

    TYPE: ClassVar[str] = "bulk.open"
    SOCKET: ClassVar[str] = "bulk"
    credit: int
    ring: int = 0

    def __post_init__(self) -> None:
        _check_bytes("credit", self.credit, MAX_CREDIT_BYTES)
        if self.ring:
            _check_bytes("ring", self.ring, MAX_RING_BYTES)


@dataclass(frozen=True)
class BulkCredit(Message):
    """I have taken so many bytes of credit in: send as many more."""

    TYPE: ClassVar[str] = "bulk.credit"
    SOCKET: ClassVar[str] = "bulk"
    credit: int

    def __post_init__(self) -> None:
        _check_bytes("credit", self.credit, MAX_RING_BYTES)


@dataclass(frozen=True)
class PreviewDraw(Message):
    """Draw one frame now, the crop first. generation: counts up; a newer one supersedes those before it.

    take to eyes: as performance.py says.  upto: the last stage that is wanted.  filmed: with what was filmed, to
    compare with.  settings: of the render, plain values.
    """

    TYPE: ClassVar[str] = "preview.draw"
    SOCKET: ClassVar[str] = "bulk"
    generation: int
    shot: str
    actor: str
    frame: int
    upto: str = Stage.CROP
    filmed: bool = False
    take: str = TRACKED
    base_take: str = ""
    take_frames: str = ""
    expression: Array | None = None
    jaw: Array | None = None
    eyes: Array | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.generation < 1:
            raise InvalidInput(f"Generation {self.generation} is not 1 or more.", hint="Count them up from 1.")
        if self.upto not in LAST_STAGES:
            raise InvalidInput(f"There is no stage {self.upto[:40]!r}.", hint=f"There are: {', '.join(LAST_STAGES)}.")
        for name in ("shot", "actor"):
            check_length(name, getattr(self, name), MAX_NAME_LENGTH)
        check_performance(self)


@dataclass(frozen=True)
class PreviewWarm(Message):
    """Previews of this shot with this actor may be asked for soon, of this frame first: load what they need."""

    TYPE: ClassVar[str] = "preview.warm"
    SOCKET: ClassVar[str] = "bulk"
    shot: str
    actor: str
    frame: int

    def __post_init__(self) -> None:
        for name in ("shot", "actor"):
            check_length(name, getattr(self, name), MAX_NAME_LENGTH)


@dataclass(frozen=True)
class PreviewCancel(Message):
    """Stop this preview and all before it, also in the middle of a stage."""

    TYPE: ClassVar[str] = "preview.cancel"
    SOCKET: ClassVar[str] = "bulk"
    generation: int


# --- replies -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BulkOpened(Message):
    """What stands open. ring: path of the shared memory, "" where tiles come over the socket.  ring_bytes: its size."""

    TYPE: ClassVar[str] = "bulk.opened"
    SOCKET: ClassVar[str] = "bulk"
    SENDER: ClassVar[str] = "backend"
    credit: int
    ring: str = ""
    ring_bytes: int = 0


# --- what comes by and by ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Picture(Message):
    """A picture begins; its bytes come in tiles. number: counts up with every picture to this client.

    matrix: the frame's crop matrix by rows, plate pixels -> unit square.  x, y: the plate pixel of the first pixel,
    where the stage is in the plate's pixels.  seconds: spent on this preview up to here.
    """

    TYPE: ClassVar[str] = "picture"
    SOCKET: ClassVar[str] = "bulk"
    SENDER: ClassVar[str] = "backend"
    number: int
    generation: int
    frame: int
    stage: str
    dtype: str
    shape: tuple[int, ...]
    matrix: tuple[float, ...] = ()
    x: int = 0
    y: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class PictureTile(Message):
    """The next bytes of a picture: `data`, or `size` bytes at `at` of the ring. cost: of the credit, to be returned."""

    TYPE: ClassVar[str] = "picture.tile"
    SOCKET: ClassVar[str] = "bulk"
    SENDER: ClassVar[str] = "backend"
    number: int
    offset: int
    size: int
    cost: int
    at: int = 0
    data: Array | None = None


@dataclass(frozen=True)
class PreviewOver(Message):
    """A preview ended: everything asked for was sent (`drawn`), or why not."""

    TYPE: ClassVar[str] = "preview.over"
    SOCKET: ClassVar[str] = "bulk"
    SENDER: ClassVar[str] = "backend"
    generation: int
    outcome: str
    error: ErrorInfo | None = None


def _check_bytes(name: str, value: int, most: int) -> None:
    if not 0 < value <= most:
        raise InvalidInput(f"{name} is {value}; it may be 1 to {most}.", hint="See PROTOCOL.md.")
