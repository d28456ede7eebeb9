# SPDX-License-Identifier: Apache-2.0
"""Sizes of the renderer. Everything here fixes a frame's bits, so it is part of the renderer's key."""

from __future__ import annotations

from dataclasses import dataclass

from dubplate_shared.errors import InvalidInput


@dataclass(frozen=True)
class Preset:
    """One size of the network, its crop and its fixed batch.

    `channels`: (resolution, channels) from 4 up to `crop_size`, the decoder's maps; the encoder's mirror them.
    """

    name: str
    crop_size: int
    channels: tuple[tuple[int, int], ...]
    style_dim: int
    mapping_layers: int
    audio_width: int  # channels of the audio encoder's first layer; Wav2Lip's is 32
    discriminator_channels: tuple[tuple[int, int], ...]
    window: int = 5  # T: one 16-step mel window is 5 frames at 25 fps (DfE section 3.3, Wav2Lip)
    texture_size: int = 256  # DfE section 3.2 and systems table: 256 x 256 x 16
    texture_channels: int = 16
    references: int = 24  # filmed frames of a shot that may serve as references
    batch_windows: int = 4  # windows in one forward pass, the last one padded
    threads: int = 2  # CPU threads of a forward pass; another count gives other bits
    dtype: str = "float32"

    @property
    def frame_channels(self) -> int:
        """Input channels of one frame: texels or RGB, the mask, the reference's RGB."""
        return self.texture_channels + 1 + 3

    def channels_at(self, resolution: int) -> int:
        return dict(self.channels)[resolution]


def _pyramid(*channels: int) -> tuple[tuple[int, int], ...]:
    """Channels from 4 x 4 upwards, each level twice the resolution."""
    return tuple((4 << level, count) for level, count in enumerate(channels))


# draft: two CPU cores, and a prior of at most 15 MiB in half precision; see docs/decisions/0130.
DRAFT = Preset(
    name="draft",
    crop_size=128,
    channels=_pyramid(160, 160, 160, 96, 32, 16),
    style_dim=256,
    mapping_layers=2,
    audio_width=16,
    discriminator_channels=_pyramid(128, 128, 96, 48, 24, 16),
)
# standard: StyleSync's FullGenerator at 256 px, channel multiplier 2, as the paper's (docs/decisions/0130).
STANDARD = Preset(
    name="standard",
    crop_size=256,
    channels=_pyramid(512, 512, 512, 512, 512, 256, 128),
    style_dim=512,
    mapping_layers=8,
    audio_width=32,
    discriminator_channels=_pyramid(512, 512, 512, 512, 512, 256, 128),
)
# hero: one level more, and the paper's one texel a pixel.
HERO = Preset(
    name="hero",
    crop_size=512,
    channels=_pyramid(512, 512, 512, 512, 512, 256, 128, 64),
    style_dim=512,
    mapping_layers=8,
    audio_width=32,
    texture_size=512,
    discriminator_channels=_pyramid(512, 512, 512, 512, 512, 256, 128, 64),
    batch_windows=2,
)


PRESETS = (DRAFT, STANDARD, HERO)


def preset(name: str) -> Preset:
    """The preset of that name. Raises InvalidInput naming the ones there are."""
    presets = {entry.name: entry for entry in PRESETS}
    if name not in presets:
        raise InvalidInput(f"There is no preset {name!r}.", hint=f"Choose one of: {', '.join(presets)}.")
    return presets[name]
