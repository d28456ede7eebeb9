# SPDX-License-Identifier: Apache-2.0
"""Previews: of each client the latest one counts, and clients take turns.

What a client asked for before its latest is dropped before it begins.  One that has begun still shows its crop, so
that something moves while a slider is dragged; the stages after it are dropped.  Where others wait, it is dropped at
once, but not twice in a row for the same client.

While nobody waits, what previews will need is loaded, if a client has said so; it gives way to any preview.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy.typing as npt

from dubplate_backend.server.answering import Caller
from dubplate_backend.server.preview_work import PreviewWork
from dubplate_shared.error_info import ErrorInfo
from dubplate_shared.errors import Cancelled, DubplateError
from dubplate_shared.messages import Outcome, Picture, PreviewDraw, PreviewOver, PreviewWarm

MOST_REMEMBERED = 1024  # clients whose last generation is known

Array = npt.NDArray[Any]
Deliver = Callable[[bytes, Picture | PreviewOver, Array | None], None]

log = logging.getLogger("dubplate.server")


@dataclass
class _Current:
    """The preview that is being drawn."""

    route: bytes
    generation: int
    cancelled: bool = False
    yielded: bool = False  # dropped for others; this client's next one is not


class Previews:
    """The slots and their worker thread. All methods may be called from any thread.

    deliver: where pictures and endings go, by client, without waiting; to be set before the first draw.
    """

    def __init__(self, work: PreviewWork) -> None:
        self.deliver: Deliver = lambda route, item, array: None
        self._work = work
        self._changed = threading.Condition()
        self._waiting: OrderedDict[bytes, tuple[Caller, PreviewDraw]] = OrderedDict()  # in order of turn
        self._warming: OrderedDict[bytes, tuple[Caller, PreviewWarm]] = OrderedDict()  # what is to be loaded for whom
        self._latest: OrderedDict[bytes, int] = OrderedDict()
        self._owed: set[bytes] = set()  # who was dropped for others, and is not to be again
        self._current: _Current | None = None
        self._ending = False
        self._worker = threading.Thread(target=self._run, name="dubplate-preview", daemon=True)

    def start(self) -> None:
        self._worker.start()

    def stop(self, timeout_s: float) -> bool:
        """Drop everything and end the worker. Returns whether it ended in time."""
        with self._changed:
            self._ending = True
            self._waiting.clear()
            self._warming.clear()
            if self._current is not None:
                self._current.cancelled = True
            self._changed.notify_all()
        if self._worker.ident is not None:
            self._worker.join(timeout_s)
        return not self._worker.is_alive()

    @property
    def busy(self) -> bool:
        """Whether one is being drawn or waits: work that nobody looks at may give way."""
        with self._changed:
            return self._current is not None or bool(self._waiting)

    def draw(self, caller: Caller, request: PreviewDraw) -> None:
        """Draw this instead of whatever of this client's waits; one older than what was asked is over at once."""
        route, stale = caller.route, request
        with self._changed:
            if request.generation > self._latest.get(route, 0):
                self._latest[route] = request.generation
                self._latest.move_to_end(route)
                while len(self._latest) > MOST_REMEMBERED:
                    self._latest.popitem(last=False)
                replaced = self._waiting.get(route)
                self._waiting[route] = (caller, request)  # keeps its turn
                self._changed.notify_all()
                if replaced is None:
                    return
                stale = replaced[1]
        self.deliver(route, PreviewOver(stale.generation, Outcome.SUPERSEDED), None)

    def warm(self, caller: Caller, request: PreviewWarm) -> None:
        """Load what previews of this need, once there is none to draw, instead of what this client named before."""
        with self._changed:
            self._warming[caller.route] = (caller, request)
            self._changed.notify_all()

    def cancel(self, route: bytes, generation: int) -> None:
        """Stop this client's previews up to `generation`: they are over at once and nothing of them follows, though the
        one that is being drawn is let go of only where its drawing next looks.
        """
        with self._changed:
            current, waiting = self._current, self._waiting.get(route)
            if current is not None and current.route == route and current.generation <= generation:
                self._end(current, PreviewOver(current.generation, Outcome.CANCELLED))
                current.cancelled = True
            if waiting is not None and waiting[1].generation <= generation:
                del self._waiting[route]
                self.deliver(route, PreviewOver(waiting[1].generation, Outcome.CANCELLED), None)

    def forget(self, route: bytes) -> None:
        """This client is gone."""
        with self._changed:
            self._waiting.pop(route, None)
            self._warming.pop(route, None)
            self._latest.pop(route, None)
            self._owed.discard(route)
            if self._current is not None and self._current.route == route:
                self._current.cancelled = True

    def _end(self, current: _Current, over: PreviewOver) -> None:
        """Tell how it ended, once. To be called with the lock held."""
        if not current.cancelled:
            self.deliver(current.route, over, None)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ending or self._waiting or self._warming)
                if self._ending:
                    break
                if self._waiting:
                    route, (caller, request) = self._waiting.popitem(last=False)
                    self._current = _Current(route, request.generation)
                    turn = partial(self._take_turn, caller, request, self._current)
                else:
                    turn = partial(self._warm, *self._warming.popitem(last=False)[1])
            turn()
        self._work.close()

    def _take_turn(self, caller: Caller, request: PreviewDraw, current: _Current) -> None:
        over, route = self._draw(caller, request, current), current.route
        with self._changed:
            self._current = None
            (self._owed.add if current.yielded else self._owed.discard)(route)
            if route in self._waiting:
                self._waiting.move_to_end(route)  # its turn was this one
            self._end(current, over)

    def _warm(self, caller: Caller, request: PreviewWarm) -> None:
        """Nobody waits for it, so what goes wrong is told to the log alone: the preview itself will say it."""
        about = {"shot": request.shot, "actor": request.actor}
        try:
            done = self._work.warm(request, caller, self._gives_way)
            log.info("ready for previews" if done else "no memory is free for previews", extra=about)
        except Cancelled:
            pass
        except DubplateError as error:
            log.info("cannot make previews ready: %s", error.message, extra=about | {"code": error.code})
        except Exception:  # a defect must not end the worker
            log.exception("cannot make previews ready", extra=about)

    def _gives_way(self) -> bool:
        with self._changed:
            return self._ending or bool(self._waiting)

    def _draw(self, caller: Caller, request: PreviewDraw, current: _Current) -> PreviewOver:
        """Draw stage by stage, telling each; how it ended."""
        about = {"generation": request.generation, "frame": request.frame}
        try:
            for header, array in self._work.stages(request, caller, lambda: self._stops(current)):
                if not self._show(current, header, array):
                    return PreviewOver(request.generation, Outcome.SUPERSEDED)
        except Cancelled:
            return PreviewOver(request.generation, Outcome.SUPERSEDED)
        except DubplateError as error:
            log.info("a preview failed", extra=about | {"code": error.code})
            return PreviewOver(request.generation, Outcome.FAILED, ErrorInfo.of(error))
        except Exception as error:  # a defect in one preview must not end the worker
            log.exception("a preview failed", extra=about)
            return PreviewOver(request.generation, Outcome.FAILED, ErrorInfo.of(error))
        return PreviewOver(request.generation, Outcome.DRAWN)

    def _show(self, current: _Current, header: Picture, array: Array) -> bool:
        """Deliver a picture. False where nothing more of this preview is wanted."""
        with self._changed:
            if current.cancelled:
                return False
            self.deliver(current.route, header, array)
            return current.route not in self._waiting

    def _stops(self, current: _Current) -> bool:
        """Whether to stop in the middle of a stage: asked to, or newer of the same client while others wait."""
        with self._changed:
            if current.cancelled:
                return True
            others = len(self._waiting) > 1
            current.yielded = others and current.route in self._waiting and current.route not in self._owed
            return current.yielded
