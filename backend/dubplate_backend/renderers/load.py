# SPDX-License-Identifier: Apache-2.0
"""From an actor's folder to the renderer that draws it."""

from __future__ import annotations

from pathlib import Path

from dubplate_backend.head.model import HeadModel
from dubplate_backend.renderers.base import Renderer
from dubplate_backend.renderers.neural_texture import renderer as neural_texture
from dubplate_shared.actor import ActorInfo
from dubplate_shared.errors import InvalidInput


def load_renderer(actor_folder: Path | str, head: HeadModel) -> Renderer:
    """Read NAME.dubactor and make its renderer.

    Raises InvalidInput where the folder is no actor, or of a renderer that this version lacks; HeadModelMismatch.
    """
    folder = Path(actor_folder)
    info = ActorInfo.load(folder)
    renderers = {neural_texture.NAME: neural_texture.NeuralTextureRenderer}
    if info.renderer not in renderers:
        raise InvalidInput(
            f"Actor {info.name} is drawn by {info.renderer!r}, which this Dubplate does not have.",
            hint=f"It has: {', '.join(sorted(renderers))}. Update Dubplate, or adapt the actor again.",
        )
    return renderers[info.renderer].load(folder, info, head)
