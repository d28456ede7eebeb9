# SPDX-License-Identifier: Apache-2.0
"""Who is who from frame to frame, by place, size and motion: nothing of what a face looks like is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from dubplate_backend.tracking.squares import LARGEST_JUMP, Square

# A face that is hidden goes on as it moved for this many frames, then waits where it is expected.
COASTING_FRAMES = 12
# Where it may be found again grows by this share of its side with each frame without it.
SEARCH_GROWTH = 0.1
# Someone whose face differs by this factor in size is someone else, while others are in the picture.
SIZE_FACTOR = 1.6
# Others are forgotten after this many frames without them: two seconds of film.
OTHERS_KEPT_FRAMES = 50
# Share of the newest step in the velocity. Judgement: half follows a walk and smooths the detector's noise.
VELOCITY_SHARE = 0.5
IMPOSSIBLE = 1e6
DOUBT = 0.05  # costs that differ by less than a twentieth of the side do not tell two faces apart


@dataclass(frozen=True)
class Person:
    """A face: where it was last, how it moves (px a frame), and for how many frames it has not been seen."""

    square: Square
    right: float = 0.0
    down: float = 0.0
    missing: int = 0

    @property
    def expected(self) -> Square:
        """Where the face should be in the next frame."""
        frames = min(self.missing + 1, COASTING_FRAMES)
        return replace(self.square, x=self.square.x + frames * self.right, y=self.square.y + frames * self.down)

    def seen(self, square: Square) -> Person:
        """After a frame in which it is there."""
        frames = self.missing + 1
        right, down = (square.x - self.square.x) / frames, (square.y - self.square.y) / frames
        share = VELOCITY_SHARE
        return Person(square, share * right + (1 - share) * self.right, share * down + (1 - share) * self.down)

    def unseen(self) -> Person:
        """After a frame in which it is not."""
        return replace(self, missing=self.missing + 1)

    def cost(self, square: Square) -> float:
        """How little `square` looks like this person's next place; IMPOSSIBLE where it cannot be."""
        # Whoever was hidden may have gone on or have turned round.
        apart = min(place.distance(square) for place in (self.expected, self.square)) / self.square.side
        growth = abs(float(np.log(square.side / self.square.side)))
        if apart > LARGEST_JUMP + SEARCH_GROWTH * self.missing or growth > np.log(SIZE_FACTOR):
            return IMPOSSIBLE
        return apart + growth

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Person:
        return cls(**{**content, "square": Square(**content["square"])})


@dataclass(frozen=True)
class Following:
    """All that the next frame's landmarks depend on beside its picture: a search can go on from here after a stop.

    frame: the next one's place, 0-based.   chosen: who is followed; None before the first sight.   others: the rest.
    most_faces: the most that were seen at once.
    """

    frame: int = 0
    chosen: Person | None = None
    others: tuple[Person, ...] = ()
    most_faces: int = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Following:
        chosen = content["chosen"]
        return cls(
            frame=int(content["frame"]),
            chosen=None if chosen is None else Person.from_json(chosen),
            others=tuple(Person.from_json(other) for other in content["others"]),
            most_faces=int(content["most_faces"]),
        )


def told_apart(
    chosen: Person, others: Sequence[Person], squares: Sequence[Square]
) -> tuple[int | None, list[int | None]]:
    """The place in `squares` of the chosen face, and of each of the others; None where hidden.

    Those who were seen last come before those who were hidden. Where one square is left for the chosen and another, and
    it could as well be the other's, it is: the one in front is seen, and a face that is not sure is better left out.
    """
    everyone = (chosen, *others)
    places: list[int | None] = [None] * len(everyone)
    for was_seen in (True, False):
        who = [index for index, person in enumerate(everyone) if (person.missing == 0) is was_seen]
        free = [place for place in range(len(squares)) if place not in places]
        found = assigned([everyone[index] for index in who], [squares[place] for place in free])
        for index, place in zip(who, found, strict=True):
            places[index] = None if place is None else free[place]
    own, rest = places[0], places[1:]
    for index, other in enumerate(others):
        if own is None or rest[index] is not None or other.missing > COASTING_FRAMES:
            continue
        if other.cost(squares[own]) < chosen.cost(squares[own]) + DOUBT:
            own, rest[index] = None, own
    return own, rest


def assigned(people: Sequence[Person], squares: Sequence[Square]) -> list[int | None]:
    """For each person the place in `squares` of the one that is theirs, by the least cost in all; None where hidden."""
    found: list[int | None] = [None] * len(people)
    if people and squares:
        costs = np.array([[person.cost(square) for square in squares] for person in people])  # [P, S]
        for person, square in zip(*linear_sum_assignment(costs), strict=True):
            if costs[person, square] < IMPOSSIBLE:
                found[int(person)] = int(square)
    return found
