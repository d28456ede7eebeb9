# SPDX-License-Identifier: Apache-2.0
"""Draws a head model on one sheet: `python -m dubplate_backend.raster.head_sheet OUT.png [--head SPEC]`

Turntable, the jaw from 0 to 35 degrees, and every control at 1.  Nothing imports this file: it looks at the room from
outside, with the rasteriser.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from dubplate_backend.head.appearance import vertex_colours
from dubplate_backend.head.load import load_head
from dubplate_backend.head.model import EXPRESSION_COMPONENTS, SHAPE_COMPONENTS, HeadModel
from dubplate_backend.raster.camera import to_camera
from dubplate_backend.raster.shading import over, shade
from dubplate_shared.files import atomic_path
from dubplate_shared.landmarks import CHIN, FOREHEAD, LOWER_OUTER_LIP
from dubplate_shared.rotations import axis_angle_from_matrix

COLUMNS = 8
CELL_PX = 240
DISTANCE_M = 1.4
WHOLE_HEAD_M, FACE_M, MOUTH_M = 0.33, 0.22, 0.10
"""Heights of what is seen."""
AXIS_BEHIND_M = 0.06
"""Of the axis that the head turns about on the sheet, behind the face's middle."""
BACKDROP = (0.24, 0.26, 0.29)
TURNTABLE_DEG = (0, 45, 90, 135, 180, 225, 270, 315)
JAW_DEG = (0, 5, 10, 15, 20, 25, 30, 35)
WITH_OPEN_JAW_DEG = {"lips_close": 10}
"""Controls that show only on an open jaw."""


def posed(head: HeadModel, control: str | None = None, jaw_deg: float = 0.0) -> Tensor:
    """Vertices of the mean person in head space with a control at 1 and the jaw open.  [1, V, 3] metres."""
    expression = head.template.new_zeros(1, EXPRESSION_COMPONENTS)
    jaw = head.template.new_tensor([[np.radians(jaw_deg), 0.0, 0.0]])
    if control is not None:
        direction, turn = head.controls[control]
        expression, jaw = expression + direction, jaw + turn
    return head.vertices(head.template.new_zeros(SHAPE_COMPONENTS), expression, jaw)


def portrait(
    head: HeadModel,
    vertices: Tensor,
    colours: Tensor,
    *,
    yaw_deg: float = 0.0,
    size: int = CELL_PX,
    field_m: float = WHOLE_HEAD_M,
    on_mouth: bool = False,
) -> np.ndarray:
    """A picture of a posed head, seen from the front at eye height and turned by `yaw_deg`.

    vertices: [1, V, 3].   colours: [V, 3] linear RGB.   field_m: height of what is seen.   on_mouth: look at the mouth,
    not at the middle of the face.
    Returns [size, size, 3] uint8.
    """
    landmarks = head.landmarks(head.template[None])[0]
    centre = landmarks[LOWER_OUTER_LIP] if on_mouth else (landmarks[FOREHEAD] + landmarks[CHIN]) / 2
    centre = centre + centre.new_tensor([0.0, 0.0, -AXIS_BEHIND_M])
    yaw = np.radians(yaw_deg)
    # Half a turn about x makes the head face the camera; then it turns about its own upright axis.
    rotation = _axis_angle(_about_x(np.pi) @ _about_y(yaw))
    translation = centre.new_tensor([[0.0, 0.0, DISTANCE_M]])
    focal = size * DISTANCE_M / field_m
    intrinsics = centre.new_tensor([[focal, focal, size / 2, size / 2]])
    cam = to_camera(vertices - centre, rotation.to(centre)[None], translation)
    picture = shade(cam, head.faces, intrinsics, size, size, colours=colours)
    flat = over(picture, picture.new_tensor(BACKDROP))[0].clamp(0, 1)
    return (flat * 255).round().to(torch.uint8).cpu().numpy()


def sheet(head: HeadModel) -> Image.Image:
    """All views with their names beneath."""
    colours = vertex_colours(head)
    cells: list[tuple[str, Callable[[], np.ndarray]]] = []

    def add(name: str, vertices: Tensor, yaw: float, field: float, on_mouth: bool = False) -> None:
        cells.append((name, lambda: portrait(head, vertices, colours, yaw_deg=yaw, field_m=field, on_mouth=on_mouth)))

    for yaw in TURNTABLE_DEG:
        add(f"turn {yaw} deg", posed(head), yaw, WHOLE_HEAD_M)
    for jaw in JAW_DEG:
        add(f"jaw {jaw} deg", posed(head, jaw_deg=jaw), 35, FACE_M)
    for jaw in JAW_DEG:
        add(f"jaw {jaw} deg", posed(head, jaw_deg=jaw), 0, MOUTH_M, on_mouth=True)
    for control in head.controls:
        jaw = WITH_OPEN_JAW_DEG.get(control, 0)
        name = f"{control}, jaw {jaw} deg" if jaw else control
        add(name, posed(head, control, jaw), 0, FACE_M)
    rows = -(-len(cells) // COLUMNS)
    page = Image.new("RGB", (COLUMNS * CELL_PX, rows * CELL_PX))
    draw = ImageDraw.Draw(page)
    for index, (name, view) in enumerate(cells):
        corner = (index % COLUMNS * CELL_PX, index // COLUMNS * CELL_PX)
        page.paste(Image.fromarray(view()), corner)
        draw.text((corner[0] + 8, corner[1] + CELL_PX - 18), name, fill=(225, 228, 232))
    return page


def _about_x(angle: float) -> np.ndarray:
    s, c = np.sin(angle), np.cos(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def _about_y(angle: float) -> np.ndarray:
    s, c = np.sin(angle), np.cos(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def _axis_angle(matrix: np.ndarray) -> Tensor:
    return torch.from_numpy(axis_angle_from_matrix(matrix).astype(np.float32))


def main() -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(description="Draw a head model on one sheet.")
    parser.add_argument("out", type=Path, help="the PNG to write")
    parser.add_argument("--head", default=None, help="head model, as for the command line; the stand-in by default")
    arguments = parser.parse_args()
    picture = sheet(load_head(arguments.head))
    with atomic_path(arguments.out) as path:
        picture.save(path, format="PNG", optimize=True)


if __name__ == "__main__":
    main()
