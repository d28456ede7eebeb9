# SPDX-License-Identifier: GPL-3.0-or-later
"""The preview over the camera view, on the pixels of the plate where it belongs.

Drawn after Blender's own colour management: pictures are display-referred and reach the screen as they are.
"""

from __future__ import annotations

import bpy
import numpy as np
from bpy_extras.view3d_utils import location_3d_to_region_2d

from ..compat import VIEW_ENCODES
from ..rig.build import head_mesh_of
from . import lives
from .compare import Mode, Placed
from .live import Live

_FONT = 0
_TEXT_SIZE = 12
_MARGIN_PX = 8

_handlers: list[object] = []
_textures: list[tuple[Placed, object]] = []  # of the pictures that were drawn last
_MOST_TEXTURES = 4
_hidden: list[int] = []  # heads whose mesh was visible before


def register() -> None:
    """Draw from now on; nothing to draw on in the background."""
    if not bpy.app.background and not _handlers:
        _handlers.append(bpy.types.SpaceView3D.draw_handler_add(_draw, (), "WINDOW", "POST_PIXEL"))


def unregister() -> None:
    """Draw no more."""
    _textures.clear()
    while _handlers:
        bpy.types.SpaceView3D.draw_handler_remove(_handlers.pop(), "WINDOW")


def hide_heads(context: bpy.types.Context) -> None:
    """Take the heads' meshes out of the view, where they would lie under the dub, if that is wanted."""
    if not context.window_manager.dubplate_preview.hides_head:
        show_heads(context)
        return
    for uid in lives.lives:
        mesh = _mesh(uid)
        if mesh is not None and uid not in _hidden and not mesh.hide_get():
            mesh.hide_set(True)
            _hidden.append(uid)


def show_heads(context: bpy.types.Context) -> None:
    """Bring back what hide_heads hid."""
    while _hidden:
        mesh = _mesh(_hidden.pop())
        if mesh is not None and mesh.name in context.view_layer.objects:
            mesh.hide_set(False)


def _mesh(uid: int) -> bpy.types.Object | None:
    armature = lives.head_of(bpy.data.objects, uid)
    return None if armature is None else head_mesh_of(armature)


def scene_to_region(context: bpy.types.Context) -> np.ndarray | None:
    """(2, 3): the scene's pixels, rows downward, to the region's, rows upward; None where it is no camera's view."""
    scene, region, view = context.scene, context.region, context.region_data
    camera = scene.camera
    if camera is None or view is None or view.view_perspective != "CAMERA":
        return None
    frame = camera.data.view_frame(scene=scene)  # top right, bottom right, bottom left, top left
    seen = [location_3d_to_region_2d(region, view, camera.matrix_world @ corner) for corner in frame]
    if any(point is None for point in seen):
        return None
    top_right, _, bottom_left, top_left = (np.array(point) for point in seen)
    across = (top_right - top_left) / scene.render.resolution_x
    down = (bottom_left - top_left) / scene.render.resolution_y
    return np.stack([across, down, top_left], axis=1)


def _draw() -> None:
    context = bpy.context
    settings = context.window_manager.dubplate_preview
    matrix = scene_to_region(context)
    if settings.mode == "OFF" or matrix is None:
        return
    frame = context.scene.frame_current
    if settings.place == "OVERLAY":
        for placed in lives.placed(context, frame):
            _draw_picture(placed, matrix)
    live = lives.live_of(context)
    if live is not None:
        _draw_words(_words(live, frame, lives.mode(context), settings.filmed), matrix, context)


def _draw_picture(placed: Placed, matrix: np.ndarray) -> None:
    import gpu
    from gpu_extras.batch import batch_for_shader

    corners = placed.corners @ matrix[:, :2].T + matrix[:, 2]
    shader = gpu.shader.from_builtin("IMAGE")
    batch = batch_for_shader(shader, "TRI_FAN", {"pos": corners.tolist(), "texCoord": ((0, 0), (1, 0), (1, 1), (0, 1))})
    gpu.state.blend_set("ALPHA")
    shader.uniform_sampler("image", _texture(placed))
    batch.draw(shader)
    gpu.state.blend_set("NONE")


def _texture(placed: Placed) -> object:
    """On the GPU, once: the same picture is drawn at every redraw."""
    import gpu

    for known, texture in _textures:
        if known is placed:
            return texture
    height, width = placed.rgba.shape[:2]
    data = gpu.types.Buffer("FLOAT", placed.rgba.size, np.ascontiguousarray(placed.rgba, np.float32).ravel())
    # Where the screen's curve is still to come, the texture takes it away before: that costs nothing.
    kind = "SRGB8_A8" if VIEW_ENCODES else "RGBA16F"
    texture = gpu.types.GPUTexture((width, height), format=kind, data=data)
    _textures[:] = [*_textures[-(_MOST_TEXTURES - 1) :], (placed, texture)]
    return texture


def _words(live: Live, frame: int, mode: Mode, filmed: bool) -> str:
    """What is seen, in a line."""
    if filmed:
        return "Filmed"
    if frame not in live.rows.frames:
        return "Outside the shot"
    now = live.cache.get(frame, live.rows.digest(frame))
    if now is not None and now.error:
        return f"Failed: {now.error}"
    if now is None:
        return "Drawing" if live.error is None else f"Not drawn: {live.error.message}"
    if mode in (Mode.SIDE, Mode.DIFFERENCE) and live.cache.filmed(frame) is None:
        return "Waiting for what was filmed"
    stage = "finished" if now.finished else "face"
    return f"{mode.value.capitalize()}, {stage}, {live.seconds * 1000:.0f} ms"


def _draw_words(words: str, matrix: np.ndarray, context: bpy.types.Context) -> None:
    import blf

    corner = matrix @ (0, context.scene.render.resolution_y, 1)
    scale = context.preferences.system.ui_scale
    blf.size(_FONT, _TEXT_SIZE * scale)
    blf.enable(_FONT, blf.SHADOW)
    blf.shadow(_FONT, 3, 0.0, 0.0, 0.0, 0.8)
    blf.color(_FONT, 1.0, 1.0, 1.0, 0.9)
    blf.position(_FONT, corner[0] + _MARGIN_PX * scale, corner[1] + _MARGIN_PX * scale, 0)
    blf.draw(_FONT, words)
    blf.disable(_FONT, blf.SHADOW)
