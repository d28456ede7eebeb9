# SPDX-License-Identifier: Apache-2.0
"""The windows of a prior's own training that travel with it: half of what an actor is adapted on.

Source: DfE section 3.5, "mixed training strategy", actor's data and the prior's 1:1.  A window keeps its pictures as
JPEG, its texels as sampled from its person's texture, inside the mask and in 8 bits, and its mel; neither the texture
nor the head's geometry need come along.  References are other frames of the same person in the bundle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dubplate_backend.renderers.neural_texture.inputs import fill_mask, to_signed
from dubplate_backend.renderers.presets import Preset
from dubplate_backend.speech.mel import BANDS, LIMIT, WINDOW_COLUMNS
from dubplate_backend.training.dataset import FACE, MASK, Frames
from dubplate_backend.training.sampler import BUNDLED, Batch, Window, WindowSampler, stack
from dubplate_shared.errors import InvalidInput
from dubplate_shared.files import load_npz, save_npz

Array = npt.NDArray[Any]

JPEG_QUALITY = 92
TEXEL_LEVELS = 255


@dataclass(frozen=True)
class Bundle:
    """W windows of T frames.

    rgb: [W, T, S, S, 3] uint8.  flags: [W, T, S, S] uint8.  mel: [W, 80, 16].  heard: [W] bool.  person: [W].
    texels: of each window [N, C] uint8, N the pixels of head and mask together in their order.
    low, high: [C] what 0 and 255 of a texel stand for.
    """

    rgb: Array
    flags: Array
    mel: Array
    heard: Array
    person: Array
    texels: tuple[Array, ...]
    low: Array
    high: Array

    def __len__(self) -> int:
        return len(self.person)

    @property
    def window(self) -> int:
        """T."""
        return int(self.rgb.shape[1])

    @property
    def size(self) -> int:
        """S, px."""
        return int(self.rgb.shape[2])

    @property
    def channels(self) -> int:
        """C of the texels."""
        return len(self.low)

    def draw(self, random: np.random.Generator) -> Window:
        """A window by chance, with references by chance from the same person's windows."""
        which = int(random.integers(len(self)))
        same = np.flatnonzero(self.person == self.person[which])
        others = same[same != which] if len(same) > 1 else same
        beside = self.rgb[random.choice(others, size=self.window), random.integers(self.window, size=self.window)]
        return self.at(which, _signed(beside))

    def at(self, which: int, reference: Tensor) -> Window:
        """Window `which`.  reference: [T, 3, S, S]."""
        rgb, flags = self.rgb[which], self.flags[which]
        filled = np.stack([fill_mask(picture, mask) for picture, mask in zip(rgb, (flags & MASK) > 0, strict=True)])
        return Window(
            frames=Frames(
                rgb=_signed(rgb),
                filled=_signed(filled),
                uv=torch.zeros(*flags.shape, 2),
                flags=torch.from_numpy(flags.copy()),
            ),
            reference=reference,
            mel=torch.from_numpy(self.mel[which].astype(np.float32)),
            heard=bool(self.heard[which]),
            identity=BUNDLED,
            texels=self._texels(which),
        )

    def _texels(self, which: int) -> Tensor:
        """[T, C, S, S], zero outside head and mask."""
        inside = _inside(self.flags[which])
        full = np.zeros((*inside.shape, self.channels), np.float32)
        full[inside] = self.low + self.texels[which] * ((self.high - self.low) / TEXEL_LEVELS)
        return torch.from_numpy(full).permute(0, 3, 1, 2)


class MixedSampler:
    """Batches of an actor's windows and the bundle's, as many of these for each of those as the settings say: of half a
    window a batch, one in every second by chance.
    """

    def __init__(self, sampler: WindowSampler, bundle: Bundle) -> None:
        self._sampler, self._bundle = sampler, bundle
        self._share = sampler.settings.mixed * sampler.settings.batch

    def draw(self) -> Batch:
        """The next batch, the bundle's windows last."""
        windows, everyone = self._sampler.windows()
        count = int(self._share + self._sampler.random.random())
        mixed = [self._bundle.draw(self._sampler.random) for _ in range(count)]
        return stack([*windows, *mixed], everyone)


def make_bundle(windows: Sequence[Window], sampled: Sequence[Tensor], persons: Sequence[int]) -> Bundle:
    """Keep `windows`.  sampled: of each [T, C, S, S] as its texture gave them.  persons: whose each is."""
    values = [texels.permute(0, 2, 3, 1).numpy()[_inside(window.frames.flags.numpy())]
              for window, texels in zip(windows, sampled, strict=True)]  # fmt: skip
    joined = np.concatenate(values)
    low, high = joined.min(axis=0), np.maximum(joined.max(axis=0), joined.min(axis=0) + 1e-6)
    return Bundle(
        rgb=np.stack([_bytes(window.frames.rgb) for window in windows]),
        flags=np.stack([window.frames.flags.numpy() for window in windows]),
        mel=np.stack([window.mel.numpy() for window in windows]).astype(np.float16),
        heard=np.array([window.heard for window in windows]),
        person=np.array(persons, np.int32),
        texels=tuple(np.rint((each - low) / (high - low) * TEXEL_LEVELS).astype(np.uint8) for each in values),
        low=low.astype(np.float32),
        high=high.astype(np.float32),
    )


def save_bundle(path: Path, bundle: Bundle) -> None:
    """Write NAME.npz: no pickle, pictures as JPEG bytes one after another."""
    packed = [_jpeg(picture) for window in bundle.rgb for picture in window]
    save_npz(
        path,
        {
            "jpeg": np.concatenate(packed),
            "jpeg_length": np.array([len(each) for each in packed], np.int64),
            "flags": bundle.flags,
            "mel": bundle.mel,
            "heard": bundle.heard,
            "person": bundle.person,
            "texels": np.concatenate(bundle.texels),
            "low": bundle.low,
            "high": bundle.high,
        },
    )


def load_bundle(path: Path, preset: Preset) -> Bundle:
    """Read and check a bundle. Raises InvalidInput where it is missing, broken, of another preset or does not fit
    together.
    """
    arrays = load_npz(path)
    try:
        bundle = _unpacked(arrays)
        if (bundle.window, bundle.size, bundle.channels) != (preset.window, preset.crop_size, preset.texture_channels):
            raise ValueError(f"it is not of preset {preset.name}")
        return bundle
    except (KeyError, ValueError, IndexError, TypeError, cv2.error) as error:
        raise InvalidInput(f"{path} is no bundle of windows: {error}.", hint="Restore a copy of the prior.") from error


def _unpacked(arrays: Mapping[str, Array]) -> Bundle:
    flags, low = arrays["flags"], arrays["low"]
    count, window, size, _ = flags.shape
    ends = np.cumsum(arrays["jpeg_length"])
    pictures = [_picture(part, size) for part in np.split(arrays["jpeg"], ends[:-1])]
    inside = np.array([int(_inside(each).sum()) for each in flags])
    texels = arrays["texels"]
    right = (
        len(pictures) == count * window
        and ends[-1] == len(arrays["jpeg"])
        and texels.shape == (inside.sum(), len(low))
        and texels.dtype == flags.dtype == np.uint8
        and arrays["mel"].shape == (count, BANDS, WINDOW_COLUMNS)
        and float(np.abs(arrays["mel"]).max(initial=0.0)) <= LIMIT
        and arrays["heard"].shape == arrays["person"].shape == (count,)
        and arrays["high"].shape == low.shape
        and bool(np.isfinite(low).all() and np.isfinite(arrays["high"]).all())
    )
    if not right:
        raise ValueError("its parts do not fit together")
    return Bundle(
        rgb=np.stack(pictures).reshape(count, window, size, size, 3),
        flags=flags,
        mel=arrays["mel"],
        heard=arrays["heard"].astype(bool),
        person=arrays["person"],
        texels=tuple(np.split(texels, np.cumsum(inside)[:-1])),
        low=low,
        high=arrays["high"],
    )


def _inside(flags: Array) -> npt.NDArray[np.bool_]:
    """[..., S, S]: pixels that show texels."""
    return (flags & (FACE | MASK)) == (FACE | MASK)


def _jpeg(picture: Array) -> npt.NDArray[np.uint8]:
    settings = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
                cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]  # fmt: skip
    _, packed = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), settings)
    return packed.ravel()


def _picture(packed: Array, size: int) -> npt.NDArray[np.uint8]:
    picture = cv2.imdecode(np.ascontiguousarray(packed, np.uint8), cv2.IMREAD_COLOR)
    if picture is None or picture.shape != (size, size, 3):
        raise ValueError("a picture is broken")
    return np.ascontiguousarray(picture[..., ::-1])


def _signed(pictures: Array) -> Tensor:
    """[N, S, S, 3] uint8 to [N, 3, S, S] -1..1."""
    return to_signed(torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2))


def _bytes(pictures: Tensor) -> Array:
    """[N, 3, S, S] -1..1 to [N, S, S, 3] uint8."""
    return ((pictures + 1.0) * 127.5).clamp(0, 255).round().byte().permute(0, 2, 3, 1).numpy()
