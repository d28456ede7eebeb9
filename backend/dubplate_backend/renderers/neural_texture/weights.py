# SPDX-License-Identifier: Apache-2.0
"""An actor's weights on disk: texture.safetensors and generator.safetensors beside actor.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from dubplate_backend.renderers.neural_texture.generator import Generator
from dubplate_backend.renderers.neural_texture.prior import find_prior, with_factors
from dubplate_backend.renderers.presets import Preset
from dubplate_shared.errors import InvalidInput

TEXTURE_FILE, GENERATOR_FILE = "texture.safetensors", "generator.safetensors"
PRIOR_KEY = "prior_sha256"  # in the metadata of a generator that is low-rank factors of a prior


def save_weights(folder: Path, texels: Tensor, generator: Generator) -> None:
    """Write both files.  texels: [C, R, R]."""
    save_file({"texels": texels.detach().contiguous()}, folder / TEXTURE_FILE)
    save_file({name: tensor.contiguous() for name, tensor in generator.state_dict().items()}, folder / GENERATOR_FILE)


def save_factors(folder: Path, texels: Tensor, factors: Mapping[str, Tensor], prior_sha256: str) -> None:
    """Write both files of an actor that is its prior and low-rank factors.  factors: of `prior.with_factors`."""
    save_file({"texels": texels.detach().half().contiguous()}, folder / TEXTURE_FILE)
    contents = {name: tensor.contiguous() for name, tensor in factors.items()}
    save_file(contents, folder / GENERATOR_FILE, metadata={PRIOR_KEY: prior_sha256})


def load_weights(folder: Path, preset: Preset) -> tuple[Tensor, Generator]:
    """Read texels [C, R, R] and the generator, ready for inference.

    Raises InvalidInput where a file is missing, broken, or of another preset, or the prior of low-rank factors is not
    here.
    """
    hint = "Adapt the actor again, or restore a copy."
    try:
        texels = load_file(folder / TEXTURE_FILE)["texels"].float()
        state = load_file(folder / GENERATOR_FILE)
        with safe_open(folder / GENERATOR_FILE, "pt") as file:
            prior = (file.metadata() or {}).get(PRIOR_KEY)
    except (OSError, SafetensorError, KeyError) as error:
        raise InvalidInput(f"{folder.name}: the actor's weights cannot be read: {error}.", hint=hint) from error
    wanted = (preset.texture_channels, preset.texture_size, preset.texture_size)
    if texels.shape != wanted:
        raise InvalidInput(f"{folder.name}: its texture is {tuple(texels.shape)}, expected {wanted}.", hint=hint)
    if prior is not None:
        state = with_factors(find_prior(prior).weights(preset), state)
    with torch.random.fork_rng():
        generator = Generator(preset)
    try:
        generator.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise InvalidInput(f"{folder.name}: its weights do not fit preset {preset.name}.", hint=hint) from error
    return texels, generator.eval().requires_grad_(False)
