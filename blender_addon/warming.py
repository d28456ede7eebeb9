# SPDX-License-Identifier: GPL-3.0-or-later
"""What will be previewed, told to the backend as soon as it is known, so that the first preview finds all loaded."""

from __future__ import annotations

from contextlib import suppress

import bpy

from dubplate_shared.errors import InvalidInput

from .connection.session import Session
from .request import actor_of
from .scene.shot_link import ShotLink, find_head


def warm(session: Session, context: bpy.types.Context) -> None:
    """Have the head at hand made ready if it has a shot and an actor, once for each of them. Raises BackendLost."""
    if session.hello is None:
        return
    with suppress(InvalidInput):  # what is missing is said when it is asked for
        head = find_head(context)
        link = ShotLink.of(head)
        first, last = link.frames[0], link.frames[-1]
        frame = min(max(context.scene.frame_current, first), last)
        session.warm(link.package().resolve(), actor_of(context, head), frame)
