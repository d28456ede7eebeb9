# SPDX-License-Identifier: Apache-2.0
"""A prior, NAME.dubprior/: the generator that training on many people left, and what is known of it.

prior.json is the card, generator.safetensors its weights in half precision, bundle.npz windows of its own training
(`training/bundle.py`).  Nothing is a pickle.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from dubplate_backend.renderers.neural_texture.generator import Generator
from dubplate_backend.renderers.presets import Preset
from dubplate_shared.errors import InvalidInput
from dubplate_shared.files import read_json, sha256_file
from dubplate_shared.shot import HeadIdentity

SCHEMA = "dubplate.prior/1"
SUFFIX = ".dubprior"
CARD_FILE, WEIGHTS_FILE, BUNDLE_FILE = "prior.json", "generator.safetensors", "bundle.npz"
FOLDERS = "DUBPLATE_PRIORS"  # environment: folders of priors of one's own, separated as in PATH
_HINT = "Restore a copy of the prior, or adapt with --from-scratch."
_SHIPPED = Path(__file__).parents[2] / "priors"


@dataclass(frozen=True)
class Prior:
    """sha256: of the weights' file, by which actors name their prior.  card: what prior.json says."""

    path: Path
    name: str
    preset: str
    head: HeadIdentity
    sha256: str
    card: Mapping[str, Any]

    @property
    def bundle_path(self) -> Path:
        return self.path / BUNDLE_FILE

    def weights(self, preset: Preset) -> dict[str, Tensor]:
        """The generator's weights in float32. Raises InvalidInput where they are broken or of another preset."""
        if preset.name != self.preset:
            raise InvalidInput(
                f"{self.path.name} is a prior for preset {self.preset}, not {preset.name}.",
                hint=f"Adapt with --preset {self.preset}, or with --from-scratch.",
            )
        try:
            stored = {name: tensor.float() for name, tensor in load_file(self.path / WEIGHTS_FILE).items()}
        except (OSError, SafetensorError) as error:
            raise InvalidInput(f"{self.path.name}: its weights cannot be read: {error}.", hint=_HINT) from error
        with torch.device("meta"):
            wanted = {name: tensor.shape for name, tensor in Generator(preset).state_dict().items()}
        if wanted != {name: tensor.shape for name, tensor in stored.items()}:
            raise InvalidInput(f"{self.path.name}: its weights do not fit preset {preset.name}.", hint=_HINT)
        if not all(bool(tensor.isfinite().all()) for tensor in stored.values()):
            raise InvalidInput(f"{self.path.name}: its weights hold NaN or infinity.", hint=_HINT)
        return stored


def load_prior(path: Path | str) -> Prior:
    """Read a prior's card. Raises InvalidInput."""
    path = Path(path)
    if not path.is_dir():
        raise InvalidInput(f"{path} is no prior.", hint="Make one with: dubplate train --synthetic 64 -o NAME.dubprior")
    card = read_json(path / CARD_FILE, SCHEMA)
    if not (path / WEIGHTS_FILE).is_file():
        raise InvalidInput(f"{path.name}: {WEIGHTS_FILE} is missing.", hint=_HINT)
    try:
        head = HeadIdentity(str(card["head"]["kind"]), str(card["head"]["sha256"]))
        name, preset = str(card["name"]), str(card["preset"])
    except (KeyError, TypeError) as error:
        raise InvalidInput(f"{path / CARD_FILE} is incomplete: {error!r}.", hint=_HINT) from error
    return Prior(path, name, preset, head, sha256_file(path / WEIGHTS_FILE), card)


def shipped_prior(preset: Preset) -> Prior | None:
    """The prior that comes with Dubplate for this preset, None where there is none."""
    path = _SHIPPED / f"{preset.name}{SUFFIX}"
    return load_prior(path) if path.is_dir() else None


def find_prior(sha256: str) -> Prior:
    """The prior with these weights: shipped, or in a folder that $DUBPLATE_PRIORS names. Raises InvalidInput."""
    for path in _known():
        if sha256_file(path / WEIGHTS_FILE) == sha256:
            return load_prior(path)
    raise InvalidInput(
        f"The prior {sha256[:12]} that this actor was adapted from is not here.",
        hint=f"Name the folder that holds it in ${FOLDERS}.",
    )


def with_factors(weights: Mapping[str, Tensor], factors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """W + B A for each layer that has factors "LAYER.up" [outputs, r] and "LAYER.down" [r, the rest].

    Raises InvalidInput where a factor fits no weight.
    """
    whole = dict(weights)
    try:
        for name in (key.removesuffix(".up") for key in factors if key.endswith(".up")):
            weight = weights[f"{name}.weight"]
            product = factors[f"{name}.up"].float() @ factors[f"{name}.down"].float()
            whole[f"{name}.weight"] = weight + product.view_as(weight)
    except (KeyError, RuntimeError) as error:
        raise InvalidInput(f"Low-rank factors do not fit the prior: {error}.", hint="Adapt the actor again.") from error
    return whole


def _known() -> Iterator[Path]:
    folders = [Path(folder) for folder in os.environ.get(FOLDERS, "").split(os.pathsep) if folder]
    for folder in (_SHIPPED, *folders):
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            if (path / WEIGHTS_FILE).is_file():
                yield path
