# SPDX-License-Identifier: GPL-3.0-or-later
"""The element over the plate in Blender's compositor, as the backend composited them: a group to change things in.

Display-referred plates are laid over one another in their own values, as the backend does, and go to light after it.
"""

from __future__ import annotations

import bpy

from dubplate_shared.errors import InvalidInput

from .. import compat
from ..scene.plate import LIGHT, is_display, space_of
from .plates import Plates

ELEMENT = "dp_elem"
_COLUMN = 220  # px between nodes


def add_group(
    scene: bpy.types.Scene, plates: Plates, clip: bpy.types.MovieClip | None, colour_space: str
) -> bpy.types.NodeTree:
    """Make the group, or make it anew, and put it into the scene's compositor if that does nothing yet.

    Raises InvalidInput where the plate is missing, or a file has no element.
    """
    if clip is None:
        raise InvalidInput(
            "The shot's plate is not in the scene.", hint="Put its file back and import the shot again: its keys stay."
        )
    group = bpy.data.node_groups.get(plates.name) or bpy.data.node_groups.new(plates.name, "CompositorNodeTree")
    group.nodes.clear()
    if not any(item.item_type == "SOCKET" for item in group.interface.items_tree):
        group.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    _fill(group, _element_image(plates, colour_space), plates, clip, is_display(colour_space))
    _use(scene, group)
    return group


def _fill(
    group: bpy.types.NodeTree, image: bpy.types.Image, plates: Plates, clip: bpy.types.MovieClip, display: bool
) -> None:
    background = _node(group, "CompositorNodeMovieClip", 0, 200)
    background.clip = clip
    element = _node(group, "CompositorNodeImage", 0, -200)
    element.image = image  # while it is one file: a sequence shows its layers only on frames that it has
    if element.has_layers:  # Blender 4.2 shows one layer at a time
        element.layer = ELEMENT
    image.source = "SEQUENCE"
    first, last = min(plates.files), max(plates.files)
    element.frame_start, element.frame_duration, element.frame_offset = first, last - first + 1, first - 1
    element.use_auto_refresh = True
    socket = element.outputs.get(ELEMENT)
    if socket is None:
        raise InvalidInput(f"{image.filepath} has no layer {ELEMENT}.", hint="Render the range again.")
    over = _node(group, "CompositorNodeAlphaOver", 2, 0)
    under, above = [each for each in over.inputs if each.type == "RGBA"][:2]
    output = _node(group, "NodeGroupOutput", 4, 0)
    links = group.links
    links.new(_converted(group, background.outputs[0], LIGHT, "sRGB", 1) if display else background.outputs[0],
              under)  # fmt: skip
    links.new(socket, above)
    finished = over.outputs[0]
    links.new(_converted(group, finished, "sRGB", LIGHT, 3) if display else finished, output.inputs[0])


def _converted(group: bpy.types.NodeTree, socket: bpy.types.NodeSocket, source: str, target: str, column: int):
    node = _node(group, "CompositorNodeConvertColorSpace", column, 0)
    node.from_color_space, node.to_color_space = source, target
    group.links.new(socket, node.inputs[0])
    return node.outputs[0]


def _node(group: bpy.types.NodeTree, kind: str, column: int, y: float) -> bpy.types.Node:
    node = group.nodes.new(kind)
    node.location = (column * _COLUMN, y)
    return node


def _element_image(plates: Plates, colour_space: str) -> bpy.types.Image:
    first = next(iter(plates.files.values()))
    image = bpy.data.images.get(plates.name)
    if image is None:
        image = bpy.data.images.load(str(first))
        image.name = plates.name
    image.filepath = str(first)
    image.source = "FILE"
    image.colorspace_settings.name = "Non-Color" if is_display(colour_space) else space_of(colour_space)
    image.reload()
    return image


def _use(scene: bpy.types.Scene, group: bpy.types.NodeTree) -> None:
    tree, output = compat.compositor(scene)
    if any(getattr(node, "node_tree", None) == group for node in tree.nodes):
        return
    node = tree.nodes.new("CompositorNodeGroup")
    node.node_tree = group
    node.location = (output.location.x - _COLUMN, output.location.y)
    source = _source(output.inputs[0])
    if source is None or source.type == "R_LAYERS":  # an artist's own composite stays, and the group waits beside it
        tree.links.new(node.outputs[0], output.inputs[0])


def _source(socket: bpy.types.NodeSocket) -> bpy.types.Node | None:
    """The node that a socket gets its picture from, through any reroutes."""
    while socket.links:
        node = socket.links[0].from_node
        if node.type != "REROUTE":
            return node
        socket = node.inputs[0]
    return None
