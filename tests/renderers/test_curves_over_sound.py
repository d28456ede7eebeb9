# SPDX-License-Identifier: Apache-2.0
"""Curves win over sound at the depth and resolution of every preset, the widths cut so that a test can train it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dubplate_backend.renderers.neural_texture.geometry import HeadGeometry
from dubplate_backend.renderers.neural_texture.renderer import NeuralTextureRenderer
from dubplate_backend.renderers.presets import PRESETS, Preset
from dubplate_backend.speech.sound import audio, write_wav
from dubplate_backend.texture.mipmaps import MipLayout
from dubplate_backend.training.dataset import FACE, build_crops
from dubplate_backend.training.sampler import WindowSampler
from dubplate_backend.training.trainer import Trainer
from dubplate_backend.training.unproject import unproject
from dubplate_shared.progress import never
from dubplate_shared.take import Take
from small_shot import QUICK

AT = 1003  # the mouth half open
OPENED_DEG = 8.0
STEPS = 2
MOST_MOVED = 0.15  # by another voice, of what the curves move


def narrow(size: Preset) -> Preset:
    """The preset's levels, crop, texture, mapping and window, with few channels, one window at a time."""
    return replace(
        size,
        channels=tuple((resolution, max(8, count // 32)) for resolution, count in size.channels),
        discriminator_channels=tuple((resolution, 8) for resolution, _ in size.channels),
        style_dim=32,
        audio_width=8,
        references=2,
        batch_windows=1,
        threads=1,
    )


@pytest.fixture(params=PRESETS, ids=lambda size: size.name)
def trained(request, small_shot, plates, head, tmp_path) -> NeuralTextureRenderer:
    """After a few steps with the settings that adapting has: sound dropped and swapped as there."""
    preset, settings = narrow(request.param), replace(QUICK, batch=1, adversarial_from=1.0)
    crops = build_crops(
        small_shot, tmp_path, geometry=HeadGeometry(head, preset.crop_size), preset=preset, plates=plates.net,
        sound=audio(small_shot.audio_path()), held_out=0.2, reference_choices=2, stop=never,
    )  # fmt: skip
    frames = crops.frames(crops.train[:4])
    pictures = zip(frames.rgb, frames.uv, frames.has(FACE), strict=True)
    colours = unproject(pictures, head, preset.texture_size)[0]
    layout = MipLayout.of(head, preset.texture_size)
    trainer = Trainer(preset, settings, seed=0, colours=[colours], layout=layout)
    sampler = WindowSampler([crops], settings, window=preset.window, random=trainer.random)
    for _ in range(STEPS):
        trainer.step(sampler.draw(), share=0.0)
    return NeuralTextureRenderer(preset, trainer.average_texels[0], trainer.average.eval(), head)


def test_with_the_take_fixed_another_voice_moves_next_to_nothing(trained, small_shot, plates, tmp_path):
    filmed = small_shot.tracked_take()
    write_wav(tmp_path / "other.wav", np.random.default_rng(5).standard_normal(16000).astype(np.float32) * 0.5, 16000)
    jaw = filmed.jaw.copy()
    jaw[:, 0] += np.radians(OPENED_DEG)
    voice = {"audio": str(small_shot.audio_path())}

    def drawn(take: Take) -> np.ndarray:
        (frame,) = trained.render(small_shot, take, [AT], plates.net, never)
        return frame.rgb[frame.mask]

    own = drawn(replace(filmed, name="own", origin=voice))
    by_voice = np.abs(drawn(replace(filmed, name="voice", origin={"audio": str(tmp_path / "other.wav")})) - own).mean()
    by_curves = np.abs(drawn(Take("curves", filmed.expression, jaw, filmed.eyes, voice)) - own).mean()
    print(trained.preset.name, by_voice, by_curves)
    assert by_voice > 0, "the voice is heard"
    assert by_voice < MOST_MOVED * by_curves
