# SPDX-License-Identifier: GPL-3.0-or-later
"""One head's preview: what to ask the backend for next, and what of it has come. Never waits.

While something moves only the face crop is asked for, and the newest wins: at most one is drawn and one waits. When all
is still the frame is finished, and after it frames around it are drawn ahead if that is wanted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import bpy

from dubplate_shared.errors import DubplateError
from dubplate_shared.messages import Outcome, PreviewOver, Stage
from dubplate_shared.shot import shot_state
from dubplate_shared.tiles import Pixels

from ..connection.session import PreviewRequest, Session
from .cache import Cache, FramePictures, FrameState
from .compare import Arranged
from .rows import Rows

IDLE_AFTER_S = 0.3  # without a change: then the whole frame is worth its time
_UNDER_WAY = 2  # of one client's at the backend
SOON_S, LATER_S, AT_REST_S = 0.005, 0.05, 0.5  # until the next look: a picture is on its way, something is due, nothing


@dataclass(frozen=True)
class Source:
    """What is drawn and by whom. base_take: the shot's, whose voice it has."""

    shot: Path
    actor: Path
    base_take: str


@dataclass(frozen=True)
class Wishes:
    """last: the stage to reach when all is still.  ahead: frames to draw beforehand."""

    last: Stage = Stage.COMPOSITE
    ahead: range = range(0)


@dataclass(frozen=True)
class _Asked:
    """A picture on its way. yields: nobody waits for it, so that whatever moves takes its place at once."""

    frame: int
    digest: bytes
    yields: bool


class Live:
    """source: may be changed, which forgets all pictures.  error: why nothing comes, None while all is well."""

    def __init__(self, source: Source, rows: Rows, cache: Cache) -> None:
        self.rows = rows
        self.cache = cache
        self.error: DubplateError | None = None
        self.arranged = Arranged()
        self.seconds = 0.0  # what the backend spent on the last picture
        self.asked_last = 0  # generation of the last picture that was asked for
        self._source = source
        self._frame = rows.frames[0]
        self._changed_s = float("-inf")
        self._asked: dict[int, _Asked] = {}  # by generation
        rows.drawn_with(shot_state(source.shot))

    @property
    def source(self) -> Source:
        return self._source

    @source.setter
    def source(self, source: Source) -> None:
        if source != self._source:
            self._source = source
            self.rows.drawn_with(shot_state(source.shot))
            self.cache.clear()
            self._asked.clear()

    @property
    def outstanding(self) -> int:
        """Pictures on their way: one that is drawn and one that waits, at most. What was asked for between them was
        superseded, and only owes its ending.
        """
        return min(len(self._asked), _UNDER_WAY)

    @property
    def frame(self) -> int:
        """The frame that was looked at last."""
        return self._frame

    def shown(self, frame: int) -> FramePictures | None:
        """The pictures of a frame: of its curves of now, or while those are on their way of those before."""
        if frame not in self.rows.frames:
            return None
        found = self.cache.get(frame, self.rows.digest(frame))
        return found if found is not None and found.stages else self.cache.newest(frame)

    def states(self) -> Iterable[tuple[int, FrameState]]:
        """How each frame of the shot stands."""
        kept = self.cache.frames  # of the others no digest is needed: those of a long shot take tens of milliseconds
        for frame in self.rows.frames:
            yield frame, self.cache.state(frame, self.rows.digest(frame)) if frame in kept else FrameState.UNDRAWN

    def changed(
        self, armature: bpy.types.Object, posed: bpy.types.Object, frame: int, session: Session, *,
        edited: bool, now_s: float,
    ) -> None:  # fmt: skip
        """The scene is at `frame` now, or the head has been edited there: ask for its crop if it is not there already.

        Raises BackendLost, InvalidInput.
        """
        if frame not in self.rows.frames:
            return
        if edited:
            self._look_at_package()
        new = self.rows.look_at(armature, posed, frame, edited=edited)
        if frame == self._frame and not new and edited:
            return
        self._frame, self._changed_s = frame, now_s
        if session.hello is not None:
            self._ask_for_crop(session)

    def look(
        self, armature: bpy.types.Object, session: Session, wishes: Wishes, now_s: float, *, others_wait: bool
    ) -> float:
        """Do what is due, a few milliseconds of it; seconds until the next look. Raises BackendLost, InvalidInput.

        others_wait: another head has pictures on their way. What is asked at rest waits for them: of one client's the
        backend draws the newest, so that two who both ask to be finished would both be dropped for ever.
        """
        if self.rows.pending:
            self.rows.read_some(armature)
        if not self._asked:
            self._look_at_package()
        if session.hello is None:
            return AT_REST_S
        if not self._asked:
            self._ask_for_crop(session)
        if not self._asked and not others_wait and now_s - self._changed_s >= IDLE_AFTER_S:
            self._ask_at_rest(session, wishes)
        if self._asked:
            return SOON_S
        return LATER_S if self.rows.pending or now_s - self._changed_s < IDLE_AFTER_S else AT_REST_S

    def take(self, event: object) -> bool:
        """What came over the wire; whether it is of this head and something to show."""
        if isinstance(event, Pixels):
            asked = self._asked.get(event.header.generation)
            if asked is not None:
                self.seconds, self.error = event.header.seconds, None
                self.cache.add(asked.digest, event)
            return asked is not None
        if isinstance(event, PreviewOver):
            asked = self._asked.pop(event.generation, None)
            if asked is not None and event.outcome == Outcome.FAILED and event.error is not None:
                self.error = event.error.exception()
                self.cache.fail(asked.frame, asked.digest, self.error.message)
            return asked is not None
        return False

    def lost(self) -> None:
        """The backend is gone, and what was asked of it."""
        self._asked.clear()

    def _look_at_package(self) -> None:
        """Whether the track is another on disk, as a repair leaves it: the backend draws from it as it is."""
        if self.rows.drawn_with(shot_state(self._source.shot)):
            self.cache.forget_filmed()

    def _ask_for_crop(self, session: Session) -> None:
        digest = self.rows.digest(self._frame)
        found = self.cache.get(self._frame, digest)
        on_its_way = any((asked.frame, asked.digest) == (self._frame, digest) for asked in self._asked.values())
        if found is None and not on_its_way:
            self._ask(session, self._frame, Stage.CROP)

    def _ask_at_rest(self, session: Session, wishes: Wishes) -> None:
        found = self.cache.get(self._frame, self.rows.digest(self._frame))
        if found is not None and not found.error:
            filmed = self.cache.filmed(self._frame) is None  # to compare with, at once
            if filmed or wishes.last not in found.stages:
                self._ask(session, self._frame, wishes.last, filmed=filmed, yields=True)
                return
        ahead = self._next_ahead(wishes.ahead)
        if ahead is not None:
            self._ask(session, ahead, Stage.CROP, yields=True)

    def _next_ahead(self, ahead: range) -> int | None:
        """The first frame from here on, and then from the beginning, that is not drawn as it is now."""
        undrawn = (FrameState.UNDRAWN, FrameState.STALE)
        frames = [frame for frame in ahead if frame in self.rows.frames]
        for frame in sorted(frames, key=lambda frame: (frame < self._frame, frame)):
            if self.cache.state(frame, self.rows.digest(frame)) in undrawn:
                return frame
        return None

    def _ask(
        self, session: Session, frame: int, upto: Stage, *, filmed: bool = False, yields: bool = False
    ) -> None:  # fmt: skip
        if any(asked.yields for asked in self._asked.values()):
            session.cancel_preview()
        take, take_frames = self.rows.window(frame)
        source = self._source
        request = PreviewRequest(source.shot, source.actor, frame, upto, take, take_frames, source.base_take, filmed)
        self.asked_last = session.preview(request)
        self._asked[self.asked_last] = _Asked(frame, self.rows.digest(frame), yields)
