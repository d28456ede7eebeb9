# SPDX-License-Identifier: Apache-2.0
"""A small true shot of the stand-in head, painted by region and filmed at 96 px; nothing is tracked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from dubplate_backend.head.model import HeadModel
from dubplate_backend.raster.camera import project, to_camera, vertices_to_screen
from dubplate_backend.raster.rasterise import interpolate, rasterise
from dubplate_backend.renderers.presets import DRAFT, Preset
from dubplate_backend.speech.sound import write_wav
from dubplate_backend.training.settings import AdaptSettings
from dubplate_shared.shot import HeadIdentity, PlateSource, Rate, Shot, ShotInfo, write_shot
from dubplate_shared.track import Track

SIZE = 96
FRAMES = 20
NO_FACE = 11  # the index whose confidence is 0
TINY: Preset = replace(
    DRAFT,
    name="draft",
    crop_size=32,
    channels=((4, 16), (8, 16), (16, 12), (32, 8)),
    discriminator_channels=((4, 12), (8, 12), (16, 8), (32, 8)),
    style_dim=16,
    audio_width=4,
    texture_size=64,
    references=4,
    batch_windows=3,
    threads=1,
)
QUICK = AdaptSettings(held_out=0.2, adversarial_from=0.3)
PAINT = {"lips": (170, 70, 75), "mouth": (60, 20, 25), "teeth": (235, 230, 215), "eyes": (240, 240, 240)}
SKIN = (205, 160, 135)


def write_small_shot(folder: Path, head: HeadModel, *, name: str = "small", audio: bool = True) -> Shot:
    """NAME.dubshot with a PNG sequence and a voice beside it; the jaw opens and shuts, the head turns a little."""
    track = _track(head)
    for index in range(FRAMES):
        picture = _picture(head, track, index)
        cv2.imwrite(str(folder / f"{name}.{1001 + index:04d}.png"), picture[..., ::-1])
    if audio:
        loud = np.repeat(np.maximum(track.jaw[:, 0], 0), 640) / 0.2
        noise = np.random.default_rng(1).standard_normal(len(loud))
        write_wav(folder / f"{name}.wav", (0.2 * loud * noise).astype(np.float32), 16000)
    info = ShotInfo(
        name=name,
        frame_count=FRAMES,
        rate=Rate(25),
        width=SIZE,
        height=SIZE,
        plate=PlateSource("sequence", str(folder / f"{name}.####.png"), "srgb_rec709_display"),
        head=HeadIdentity(head.kind, head.sha256),
        audio=(str(folder / f"{name}.wav"),) if audio else (),
    )
    crop = np.zeros((FRAMES, 2, 3), np.float32)
    crop[:, 0, 0] = crop[:, 1, 1] = 1 / 72
    crop[:, 0, 2], crop[:, 1, 2] = -12 / 72, -18 / 72
    return write_shot(folder / f"{name}.dubshot", info, track, crop, None)


def _track(head: HeadModel) -> Track:
    time = np.arange(FRAMES) / 25
    jaw = np.zeros((FRAMES, 3), np.float32)
    jaw[:, 0] = 0.12 * (1 - np.cos(2 * np.pi * time / 0.32))
    rotation = np.tile(np.array((np.pi, 0, 0), np.float32), (FRAMES, 1))
    rotation[:, 1] = 0.05 * np.sin(2 * np.pi * time / 0.8)
    translation = np.tile(np.array((0.0, 0.0, 0.6), np.float32), (FRAMES, 1))
    middle = head.landmarks(head.template[None])[0].mean(dim=0).numpy()
    translation[:, :2] = -middle[0], middle[1]
    confidence = np.ones(FRAMES, np.float32)
    confidence[NO_FACE] = 0.0
    intrinsics = np.tile(np.array((220, 220, SIZE / 2, SIZE / 2), np.float32), (FRAMES, 1))
    zeros = {"neck": (FRAMES, 3), "eyes": (FRAMES, 6), "eyelids": (FRAMES, 2), "expression": (FRAMES, 100)}
    vertices = head.vertices(torch.zeros(1, 300), torch.zeros(FRAMES, 100), torch.from_numpy(jaw))
    camera = to_camera(head.landmarks(vertices), torch.from_numpy(rotation), torch.from_numpy(translation))
    points = project(camera, torch.from_numpy(intrinsics)).numpy()
    return Track(
        frame=np.arange(1001, 1001 + FRAMES),
        time=time,
        shape=np.zeros(300, np.float32),
        jaw=jaw,
        rotation=rotation,
        translation=translation,
        intrinsics=intrinsics,
        distortion=np.zeros(8, np.float32),
        lighting=np.zeros((FRAMES, 9, 3), np.float32),
        texture=np.zeros(0, np.float32),
        confidence=confidence,
        landmarks_px=points,
        projected_px=points,
        landmark_index=np.arange(468),
        **{key: np.zeros(shape, np.float32) for key, shape in zeros.items()},
    )


def _picture(head: HeadModel, track: Track, index: int) -> np.ndarray:
    """uint8 [96, 96, 3]: flat paint with a little light from the side, before a background of two colours."""
    colours = torch.tensor(SKIN, dtype=torch.float32).repeat(head.vertex_count, 1)
    for region, colour in PAINT.items():
        colours[head.masks[region]] = torch.tensor(colour, dtype=torch.float32)
    rows = slice(index, index + 1)
    vertices = head.vertices(torch.zeros(1, 300), torch.zeros(1, 100), torch.from_numpy(track.jaw[rows]))
    camera = to_camera(vertices, torch.from_numpy(track.rotation[rows]), torch.from_numpy(track.translation[rows]))
    screen = vertices_to_screen(camera, torch.from_numpy(track.intrinsics[rows]), None, None)
    fragments = rasterise(screen, head.faces, SIZE, SIZE)
    shaded = colours * (1.0 + 2.0 * head.template[:, :1])
    drawn = interpolate(fragments, shaded[head.faces])[0].numpy()
    background = np.full((SIZE, SIZE, 3), (70, 90, 110), np.float32)
    background[:, SIZE // 2 :] = (110, 100, 80)
    covered = (fragments.pix_to_face[0] >= 0).numpy()[..., None]
    return np.clip(np.rint(np.where(covered, drawn, background)), 0, 255).astype(np.uint8)
