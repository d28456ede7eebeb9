# SPDX-License-Identifier: Apache-2.0
"""Alembic's cameras: AbcGeom's Camera and Xform schemas over time.

A camera looks along -z with y up; apertures and film offsets are centimetres, focal lengths millimetres.  Blender's
own importer holds a camera's first focal length, so zooms are read here.  Source: Alembic 1.8, AbcGeom (BSD).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubplate_backend.interchange.film_camera import LARGEST, FilmCamera
from dubplate_backend.interchange.ogawa import MAX_DEPTH, Archive, Broken, Node, Property
from dubplate_shared.errors import InvalidInput
from dubplate_shared.rotations import matrix_from_axis_angle

CAMERA, XFORM = "AbcGeom_Camera", "AbcGeom_Xform"
CM_TO_MM = 10.0
FRAME_TOLERANCE = 0.01
"""Of a frame, between a sample's time and the frame's."""
SAME_RATE = 0.005
"""24 and 23.976 differ by 0.1 %, 24 and 25 by 4 %."""
_SCALE, _MOVE, _TURN, _MATRIX, _TURN_X, _TURN_Y, _TURN_Z = range(7)
_NUMBERS = {_SCALE: 3, _MOVE: 3, _TURN: 4, _MATRIX: 16, _TURN_X: 1, _TURN_Y: 1, _TURN_Z: 1}
_FOCAL, _WIDTH, _OFFSET_X, _HEIGHT, _OFFSET_Y, _SQUEEZE = range(6)  # of `.core`
_CORE = 16


@dataclass(frozen=True)
class _Camera:
    """The object and those above it, outermost first."""

    node: Node
    above: tuple[Node, ...]


def read_alembic(path: Path, frames: np.ndarray, *, fps: float | None, camera: str | None) -> FilmCamera:
    """The camera at frame numbers.

    frames: (T,).   fps: the shot's rate; None: the file's.   camera: its path or the end of it, where the file has
    several.
    Raises InvalidInput where the file is none or broken, the choice is open, or a frame has no sample.
    """
    try:
        archive = Archive(path)
        found = list(_cameras(archive.root(), ()))
        chosen = _chosen(path, found, camera)
        fps = _rate(path, archive, fps)
        times = np.asarray(frames, np.float64) / fps
        matrix = np.tile(np.eye(4), (len(times), 1, 1))
        for node in chosen.above:
            if node.schema.startswith(XFORM):
                matrix = _placed(path, node, matrix, times, fps)
        geometry = _required(chosen.node.properties(), ".geom").children()
        core = _at(path, _required(geometry, ".core"), times, fps)
        if core.shape[1] != _CORE:
            raise Broken("its camera is incomplete")
    except (Broken, RecursionError) as error:
        raise InvalidInput(f"{path.name} cannot be read: {error}.", hint="Export the camera again.") from error
    width = CM_TO_MM * core[:, _WIDTH]
    if (width <= 0).any():
        raise InvalidInput(f"{path.name}: the camera's film back has no width.", hint="Export the camera again.")
    shift = CM_TO_MM * core[:, [_OFFSET_X, _OFFSET_Y]] / width[:, None]
    return FilmCamera(matrix, core[:, _FOCAL], width * core[:, _SQUEEZE], shift)


def _rate(path: Path, archive: Archive, fps: float | None) -> float:
    """Alembic counts in seconds, frame N at N / rate: the rate of the program that wrote it.

    A plate of 23.976 is matchmoved at 24 as often as not: numbers count, and a rate as near as that is the file's.
    """
    # The first time sampling is everybody's: one sample a second from 0.
    rates = {round(1.0 / sampling.cycle_s, 6) for sampling in archive.samplings[1:] if sampling.cycle_s is not None}
    near = [rate for rate in rates if fps is None or abs(rate / fps - 1.0) < SAME_RATE]
    if len(near) == 1:
        return near[0]
    if fps is None and rates:
        raise InvalidInput(f"{path.name} has samples at several rates.", hint="Say the shot's frame rate.")
    return fps or 1.0  # nothing moves


def _cameras(node: Node, above: tuple[Node, ...]) -> list[_Camera]:
    if len(above) > MAX_DEPTH:
        raise Broken("its objects are nested too deeply")
    found = [_Camera(node, above)] if node.schema.startswith(CAMERA) else []
    for child in node.children():
        found += _cameras(child, (*above, node))
    return found


def _chosen(path: Path, found: list[_Camera], name: str | None) -> _Camera:
    fitting = [camera for camera in found if name is None or f"{camera.node.path}/".endswith(f"/{name.strip('/')}/")]
    # A camera's transform has a name of its own, which people know.
    fitting = fitting or [camera for camera in found if name and camera.above[-1].path.endswith(f"/{name.strip('/')}")]
    if len(fitting) == 1:
        return fitting[0]
    names = ", ".join(camera.node.path for camera in found)
    if not found:
        raise InvalidInput(f"{path.name} holds no camera.", hint="Export the camera of the shot.")
    what = f"no camera {name}" if name is not None and not fitting else f"{len(fitting)} cameras"
    raise InvalidInput(f"{path.name} holds {what}. It has: {names}.", hint="Choose one by its path.")


def _placed(path: Path, node: Node, above: np.ndarray, times: np.ndarray, fps: float) -> np.ndarray:
    """[T, 4, 4] world from this object, `above` that of its parent."""
    xform = node.properties().get(".xform")
    properties = xform.children() if xform is not None else {}
    if ".inherits" in properties and not _at(path, properties[".inherits"], times, fps).all():
        above = np.tile(np.eye(4), (len(times), 1, 1))
    if ".ops" not in properties:
        return above
    values = _at(path, _required(properties, ".vals"), times, fps)  # [T, N]
    matrix, place = above, 0
    for code in _required(properties, ".ops").values()[0].tolist():
        kind = code >> 4
        count = _NUMBERS.get(kind, 0)
        if not count or place + count > values.shape[1]:
            raise Broken("a transform in it is incomplete")
        matrix = matrix @ _operation(kind, values[:, place : place + count])
        place += count
    return matrix


def _operation(kind: int, values: np.ndarray) -> np.ndarray:
    """[T, 4, 4] of one of an Xform's operations.   values: [T, N]."""
    if kind == _MATRIX:  # rows of a matrix that acts on rows
        return values.reshape(-1, 4, 4).transpose(0, 2, 1)
    matrix = np.tile(np.eye(4), (len(values), 1, 1))
    if kind == _SCALE:
        matrix[:, [0, 1, 2], [0, 1, 2]] = values
    elif kind == _MOVE:
        matrix[:, :3, 3] = values
    else:
        if kind == _TURN:
            length = np.linalg.norm(values[:, :3], axis=1, keepdims=True)
            axis, degrees = values[:, :3] / np.where(length > 0, length, 1.0), values[:, 3:]
        else:
            axis, degrees = np.eye(3)[kind - _TURN_X], values
        matrix[:, :3, :3] = matrix_from_axis_angle(axis * np.radians(degrees))
    return matrix


def _at(path: Path, prop: Property, times: np.ndarray, fps: float) -> np.ndarray:
    """[T, N] at the frames' times; what never changes holds for all."""
    values = prop.values().astype(np.float64)
    if not (np.abs(values) < LARGEST).all():  # NaN neither
        raise Broken(f"{prop.name} holds absurd numbers")
    if (values == values[0]).all():
        return np.repeat(values[:1], len(times), axis=0)
    taken = prop.times_s()
    nearest = _nearest(taken, times)
    missing = np.abs(taken[nearest] - times) > FRAME_TOLERANCE / fps
    if missing.any():
        frame = times[missing][0] * fps
        raise InvalidInput(
            f"{path.name} has no sample at frame {frame:.0f} of {fps:g} a second (it has "
            f"{taken[0] * fps:.2f}-{taken[-1] * fps:.2f}).",
            hint="Export it with a sample for each frame, over the shot's frame numbers and at its rate.",
        )
    return values[nearest]


def _nearest(taken: np.ndarray, times: np.ndarray) -> np.ndarray:
    right = np.clip(np.searchsorted(taken, times), 1, len(taken) - 1)
    return right - (times - taken[right - 1] < taken[right] - times)


def _required(properties: dict[str, Property], name: str) -> Property:
    if name not in properties:
        raise Broken(f"an object in it lacks {name}")
    return properties[name]
