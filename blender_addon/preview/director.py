# SPDX-License-Identifier: GPL-3.0-or-later
"""From Blender's events to previews and back to the screen: this Blender's heads, each with its live preview.

Handlers and looks do a few milliseconds of work each and never wait; nothing here pushes undo.
"""

from __future__ import annotations

import time

import bpy
from bpy.app.handlers import persistent

from dubplate_shared.errors import DubplateError
from dubplate_shared.messages import Stage

from .. import monitor
from ..connection.client import Event
from ..curves.performance import is_sampling
from ..preferences import memory_limit
from ..request import actor_of, reach_backend
from ..scene.shot_link import ShotLink, find_head
from . import background, overlay, strip
from .cache import Cache
from .compare import Mode
from .live import Live, Source, Wishes
from .lives import head_of, lives, mode, placed
from .rows import Rows


def settings_changed(context: bpy.types.Context) -> None:
    """Start, stop or show otherwise, as the settings say now."""
    if mode(context) == Mode.OFF:
        stop(context)
        return
    start(context)
    background.show(context)
    redraw(context)


def start(context: bpy.types.Context) -> None:
    """Let the head at hand be previewed. Errors go to the panel: a property's update has nobody to raise to."""
    try:
        head = find_head(context)
        live = lives.get(head.session_uid) or _new_live(context, head)
        live.source = _source(context, head)
        session = monitor.session()
        if not session.starting and not session.serves(live.source.shot, live.source.actor):
            reach_backend(session, context)
        lives[head.session_uid] = live
        _listen()
        _look_at(context.scene, context.evaluated_depsgraph_get(), edited=True)
        overlay.hide_heads(context)
    except DubplateError as error:
        monitor.show_error(error)


def stop(context: bpy.types.Context) -> None:
    """Forget all previews and leave the screen as it was."""
    lives.clear()
    monitor.unlisten(_LISTENER)
    for handlers, handler in _HANDLERS:
        if handler in handlers:
            handlers.remove(handler)
    overlay.unregister()
    strip.unregister()
    overlay.show_heads(context)
    background.remove(context)
    redraw(context)


def redraw(context: bpy.types.Context) -> None:
    """Let viewports and timelines be drawn anew."""
    kinds = {"VIEW_3D", *strip.EDITORS}
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in kinds:
                area.tag_redraw()


def _listen() -> None:
    monitor.listen(_LISTENER)
    for handlers, handler in _HANDLERS:
        if handler not in handlers:
            handlers.append(handler)
    overlay.register()
    strip.register()


def _new_live(context: bpy.types.Context, head: bpy.types.Object) -> Live:
    shot = ShotLink.of(head).load_shot()
    return Live(_source(context, head), Rows(head, shot), Cache(memory_limit(context)))


def _source(context: bpy.types.Context, head: bpy.types.Object) -> Source:
    link = ShotLink.of(head)
    return Source(link.package().resolve(), actor_of(context, head), link.take)


def _look_at(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph, *, edited: bool) -> None:
    """Ask for the frame that the scene is at now."""
    if is_sampling() or depsgraph.mode == "RENDER":
        return
    now_s = time.monotonic()
    for uid, live in lives.items():
        head = head_of(scene.objects, uid)
        if head is None:
            continue
        try:
            posed = head.evaluated_get(depsgraph)
            live.changed(head, posed, scene.frame_current, monitor.session(), edited=edited, now_s=now_s)
        except DubplateError as error:  # the next look tells whether the backend is gone
            live.error = error
    monitor.hurry()


@persistent
def _on_frame(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    _look_at(scene, depsgraph, edited=False)
    background.show(bpy.context)


@persistent
def _on_update(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    touched = (update.id.original.session_uid for update in depsgraph.updates)
    if depsgraph.id_type_updated("ACTION") or any(uid in lives for uid in touched):
        _look_at(scene, depsgraph, edited=True)


@persistent
def _on_undo(_scene: bpy.types.Scene, _depsgraph: bpy.types.Depsgraph | None) -> None:
    """Undo and redo replace the scene's data, and say of none that it changed."""
    context = bpy.context
    _look_at(context.scene, context.evaluated_depsgraph_get(), edited=True)
    redraw(context)


@persistent
def _on_load(_file: str) -> None:
    """Another file: its heads are others."""
    stop(bpy.context)


_HANDLERS = (
    (bpy.app.handlers.frame_change_post, _on_frame),
    (bpy.app.handlers.depsgraph_update_post, _on_update),
    (bpy.app.handlers.undo_post, _on_undo),
    (bpy.app.handlers.redo_post, _on_undo),
    (bpy.app.handlers.load_post, _on_load),
)


class _Listener:
    """Of the backend, through the monitor. came: something to show, since the last look."""

    def __init__(self) -> None:
        self.came = False

    def take(self, event: Event) -> None:
        self.came |= any([live.take(event) for live in lives.values()])

    def look(self) -> float:
        context = bpy.context
        if self.came:
            self.came = False
            placed(context, context.scene.frame_current)  # arranged here, so that drawing it only takes it to the GPU
            background.show(context)
            redraw(context)
        wishes, waits, stopped = _wishes(context), [1.0], None
        for uid, live in sorted(lives.items(), key=lambda item: item[1].asked_last):  # in turns
            head = head_of(context.scene.objects, uid)
            if head is None:
                continue
            others_wait = any(other.outstanding for other in lives.values() if other is not live)
            try:
                waits.append(live.look(head, monitor.session(), wishes, time.monotonic(), others_wait=others_wait))
            except DubplateError as error:  # what stands in one's way is shown, and does not hold up the others
                live.error = stopped = error
        if stopped is not None:
            raise stopped
        return min(waits)

    def lost(self) -> None:
        for live in lives.values():
            live.lost()


_LISTENER = _Listener()


def _wishes(context: bpy.types.Context) -> Wishes:
    settings, scene = context.window_manager.dubplate_preview, context.scene
    first, last = scene.frame_start, scene.frame_end
    if scene.use_preview_range:
        first, last = scene.frame_preview_start, scene.frame_preview_end
    return Wishes(
        last=Stage.PLATE if settings.whole else Stage.COMPOSITE,
        ahead=range(first, last + 1) if settings.ahead else range(0),
    )
