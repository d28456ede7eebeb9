# SPDX-License-Identifier: Apache-2.0
"""The input hash of a frame: all that its pixels depend on, and nothing else.

A frame whose hash is unchanged need not be drawn again, and an edit elsewhere in the take does not change it.  The
renderer's key has the actor's weights (and so what of the prior is in them), head, preset with batch shape and threads,
device and dtype, and the version of the renderer's code.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, fields

import cv2
import numpy as np
import torch

from dubplate_backend.compositing.composite import COMPOSITE_VERSION, CompositeSettings
from dubplate_backend.plates.file_hashes import FileHashes
from dubplate_backend.plates.source import ShotPlates
from dubplate_backend.renderers.base import Renderer
from dubplate_shared import __version__
from dubplate_shared.files import sha256_arrays
from dubplate_shared.shot import Shot
from dubplate_shared.take import Take


class FrameKeys:
    """Hashes of one shot's frames under one take, actor and settings."""

    def __init__(
        self,
        shot: Shot,
        take: Take,
        renderer: Renderer,
        plates: ShotPlates,
        settings: CompositeSettings,
        segmenter: str,
        hashes: FileHashes,
    ) -> None:
        """segmenter: the key of the background test's network, empty where the test is off.  hashes: of files."""
        self._shot, self._take, self._renderer, self._plates = shot, take, renderer, plates
        self._plate_sha256: dict[int, str] = {}  # a plate is read by several frames
        self._eyes = shot.track.eyes if take.eyes is None else take.eyes
        self.renderer_key = renderer.renderer_key()
        sound = shot.voice_path(take)
        # The whole track counts: masks and reference frames are chosen from all of it.
        track = {item.name: getattr(shot.track, item.name) for item in fields(shot.track)}
        info = shot.info
        self._common = {
            "dubplate": __version__,
            "compositing": COMPOSITE_VERSION,
            "numeric": numeric_mode(),
            "renderer": self.renderer_key,
            "settings": asdict(settings),
            "segmenter": segmenter if settings.background_test else "",
            "shot": sha256_arrays({**track, "crop": shot.crop}),
            "name": info.name,  # with the frame, the grain's seed
            "take": take.name,  # written into the plate, whose bytes are one for a key
            "plate": [info.plate.colour_space, info.width, info.height, info.pixel_aspect, info.timecode],
            "rate": [info.rate.num, info.rate.den],
            "sound": hashes.sha256(sound) if sound is not None else "",
        }

    def key(self, frame: int) -> str:
        """Hex SHA-256. Raises InvalidInput outside the shot."""
        has_face = bool(self._shot.track.confidence[self._shot.index(frame)] > 0)
        rows = self._shot.indices(self._renderer.window(self._shot, frame)) if has_face else []
        read = self._renderer.frames_read(self._shot, frame) if has_face else (frame,)
        curves = {
            "expression": self._take.expression[rows],
            "jaw": self._take.jaw[rows],
            "eyes": np.asarray(self._eyes[rows]),
        }
        facts = {
            **self._common,
            "frame": frame,
            "curves": sha256_arrays(curves) if has_face else "",
            "plates": [self._plate_hash(each) for each in read],
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def _plate_hash(self, frame: int) -> str:
        found = self._plate_sha256.get(frame)
        if found is None:
            found = self._plate_sha256[frame] = self._plates.sha256(frame)
        return found


def numeric_mode() -> dict[str, str]:
    """What of this machine fixes the bits of sums on its CPU: its vector instructions, and the libraries."""
    return {
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "cv2": cv2.__version__,
    }
