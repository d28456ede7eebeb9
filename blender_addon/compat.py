# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Blender 4.2 to 5.2 differ. No other module asks which Blender this is.

Blender 4.2 and 4.3 keep F-curves in the Action; 4.4 put slots, layers and strips in between; 5.0 removed the old way.
"""

from __future__ import annotations

from typing import Any

import bpy

# Paths may begin with // (beside the .blend); from 4.5 on Blender wants that said of a property.
PATH_OPTIONS = {"PATH_SUPPORTS_BLEND_RELATIVE"} if bpy.app.version >= (4, 5) else set()
# Blender 4.2 to 4.4 balance a strip's colours otherwise, and 5.0 dies of being told to outside of a window.
SEQUENCER_BALANCES = (4, 5) <= bpy.app.version < (5, 0)

# What a draw handler draws goes to the screen through the sRGB curve before 5.0, and as it is from then on.
VIEW_ENCODES = bpy.app.version < (5, 0)


def ensure_fcurve(action: bpy.types.Action, datablock: bpy.types.ID, path: str, index: int, group: str) -> Any:
    """An F-curve in `action`, which `datablock` plays already: building slots by hand before that crashed 5.0.1.

    One that is there is given back.
    """
    if not hasattr(action, "slots"):
        return action.fcurves.find(path, index=index) or action.fcurves.new(path, index=index, action_group=group)
    fcurve = action.fcurve_ensure_for_datablock(datablock, path, index=index)
    if group and fcurve.group is None:
        groups = channels(datablock).groups
        fcurve.group = groups.get(group) or groups.new(group)
        data = datablock.animation_data
        data.action_slot = data.action_slot  # said anew, or the scene does not follow a curve that is
    return fcurve


def channels(datablock: bpy.types.ID) -> Any:
    """What holds the F-curves that `datablock` plays: an Action or a channel bag; None if it plays nothing."""
    animation = datablock.animation_data
    if animation is None or animation.action is None:
        return None
    return _channels_of(animation.action, getattr(animation, "action_slot", None))


def strip_channels(strip: bpy.types.NlaStrip) -> Any:
    """As channels, of a strip of the NLA."""
    return None if strip.action is None else _channels_of(strip.action, getattr(strip, "action_slot", None))


def _channels_of(action: bpy.types.Action, slot: Any) -> Any:
    if not hasattr(action, "slots"):
        return action
    for layer in action.layers if slot is not None else ():
        for strip in layer.strips:
            bag = strip.channelbag(slot)
            if bag is not None:
                return bag
    return None


def play(player: bpy.types.AnimData | bpy.types.NlaStrip, action: bpy.types.Action | None) -> None:
    """Let a datablock or a strip play `action`: the slot that Blender finds for it, or else the first that it may play.

    An artist's Action may have further slots, for what else was keyed with the head.
    """
    player.action = action
    if getattr(player, "action_slot", True) is None and action is not None and len(player.action_suitable_slots):
        player.action_slot = player.action_suitable_slots[0]


def compositor(scene: bpy.types.Scene) -> tuple[bpy.types.NodeTree, bpy.types.Node]:
    """The scene's compositor and the node that its picture goes to, made where there is none."""
    if not hasattr(scene, "compositing_node_group"):
        scene.use_nodes = True
        tree, output = scene.node_tree, "CompositorNodeComposite"
    else:
        if scene.compositing_node_group is None:
            scene.compositing_node_group = bpy.data.node_groups.new(scene.name, "CompositorNodeTree")
        tree, output = scene.compositing_node_group, "NodeGroupOutput"
        if not any(item.item_type == "SOCKET" and item.in_out == "OUTPUT" for item in tree.interface.items_tree):
            tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    found = next((node for node in tree.nodes if node.bl_idname == output), None)
    return tree, found or tree.nodes.new(output)


def sequence_strips(editor: bpy.types.SequenceEditor) -> Any:
    """The strips of the sequencer, which were called sequences until 4.3."""
    return editor.strips if hasattr(editor, "strips") else editor.sequences
