# SPDX-License-Identifier: Apache-2.0
"""An actor's weights on disk: texture.safetensors and generator.safetensors beside actor.json."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from dubplate_backend.renderers.neural_texture.generator import Generator
from dubplate_backend.renderers.presets import Preset
from dubplate_shared.errors import InvalidInput

TEXTURE_FILE, GENERATOR_FILE = "texture.safetensors", "generator.safetensors"


def save_weights(folder: Path, texels: Tensor, generator: Generator) -> None:
    """Write both files.  texels: [C, R, R]."""
    save_file({"texels": texels.detach().contiguous()}, folder / TEXTURE_FILE)
    save_file({name: tensor.contiguous() for name, tensor in generator.state_dict().items()}, folder / GENERATOR_FILE)


def load_weights(folder: Path, preset: Preset) -> tuple[Tensor, Generator]:
    """Read texels [C, R, R] and the generator, ready for inference.

    Raises InvalidInput where a file is missing, broken, or of another preset.
    """
    hint = "Adapt the actor again, or restore a copy."
    try:
        texels = load_file(folder / TEXTURE_FILE)["texels"]
        state = load_file(folder / GENERATOR_FILE)
    except (OSError, SafetensorError, KeyError) as error:
        raise InvalidInput(f"{folder.name}: the actor's weights cannot be read: {error}.", hint=hint) from error
    wanted = (preset.texture_channels, preset.texture_size, preset.texture_size)
    if texels.shape != wanted:
        raise InvalidInput(f"{folder.name}: its texture is {tuple(texels.shape)}, expected {wanted}.", hint=hint)
    with torch.random.fork_rng():
        generator = Generator(preset)
    try:
        generator.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise InvalidInput(f"{folder.name}: its weights do not fit preset {preset.name}.", hint=hint) from error
    return texels, generator.eval().requires_grad_(False)
