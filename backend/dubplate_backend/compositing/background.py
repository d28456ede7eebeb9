# SPDX-License-Identifier: Apache-2.0
"""The background test: where the filmed and the drawn frame agree that a pixel is background, the filmed one stays.

Source: Dubbing for Everyone, section 3.7.  Pixels beside the face would otherwise move with the neural texture.
The paper's segmentation network (BiSeNet) has no weights that may be shipped, but a user's own are taken; by default
MediaPipe's selfie segmentation finds the person.  The rasterised head limits either to head and neck, and FaceMesh's
oval is certain.
"""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from dubplate_backend.compositing.matte import at_frame_edge, crop_side, inside_distance, ramp
from dubplate_backend.raster.crop_warp import Border, Box, Sampling, to_crop, to_plate

WEIGHTS_VARIABLE = "DUBPLATE_BISENET"
PERSON = 0.5
HEAD_MARGIN = 0.03  # of the crop's side: beard and ears stand out from the head model
HOLD_RAMP = 0.03  # of the crop's side


class Segmenter(Protocol):
    """Tells people from the rest, one picture at a time and with no memory of the last.

    size: px of the pictures that it takes.  context: side of what it wants to see, in crop sides.
    """

    size: int
    context: float

    def person(self, rgb: np.ndarray) -> np.ndarray:
        """uint8 [size, size, 3] -> float32 [size, size], 1 = person."""
        ...

    def key(self) -> str:
        """What fixes its answers, for a frame's hash."""
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...


class SelfieSegmenter:
    """MediaPipe's general selfie segmentation, whose weights come inside its wheel (Apache-2.0)."""

    size = 256  # of MediaPipe's general model
    context = 2.0  # it knows people by head and shoulders, not by a mouth

    def __init__(self) -> None:
        self._graph: Any = None  # made when the first picture comes: MediaPipe takes seconds to load

    def person(self, rgb: np.ndarray) -> np.ndarray:
        if self._graph is None:
            from mediapipe.python.solutions.selfie_segmentation import SelfieSegmentation

            self._graph = SelfieSegmentation(model_selection=0)
        return np.array(self._graph.process(np.ascontiguousarray(rgb)).segmentation_mask, np.float32)

    @staticmethod
    def key() -> str:
        return f"mediapipe-selfie-general-{version('mediapipe')}"

    def close(self) -> None:
        """Let go of the graph."""
        if self._graph is not None:
            self._graph.close()


def load_segmenter(weights: Path | str | None = None) -> Segmenter:
    """BiSeNet on the user's weights (`weights`, or where $DUBPLATE_BISENET points), else MediaPipe's selfie
    segmentation. Raises InvalidInput where the weights do not fit.
    """
    weights = weights or os.environ.get(WEIGHTS_VARIABLE)
    if not weights:
        return SelfieSegmenter()
    from dubplate_backend.compositing.bisenet import BiSeNetSegmenter

    return BiSeNetSegmenter.load(weights)


def person_in_box(segmenter: Segmenter, net_plate: np.ndarray, matrix: np.ndarray, box: Box) -> np.ndarray:
    """The person as seen around the crop: bool [box.height, box.width].

    net_plate: float32 [H, W, 3] in 0..1, the whole plate.  matrix: (2, 3) plate px -> the crop's unit square.
    """
    context = _widened(matrix, segmenter.context)
    picture = to_crop(net_plate, context, segmenter.size)
    mask = segmenter.person(np.round(np.clip(picture, 0.0, 1.0) * 255).astype(np.uint8))
    around, laid = to_plate(mask, context, *net_plate.shape[:2], sampling=Sampling.LINEAR, border=Border.REPLICATE)
    rows = slice(box.top - around.top, box.bottom - around.top)
    columns = slice(box.left - around.left, box.right - around.left)
    return laid[rows, columns] > PERSON


def foreground(person: np.ndarray, head: np.ndarray, oval: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Face and neck: person and head agree, or the face oval says so.  All bool [h, w]."""
    reach = max(1, round(HEAD_MARGIN * crop_side(matrix)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    near_head = cv2.dilate(head.astype(np.uint8), disc).astype(bool)
    return (person & near_head) | oval


def hold_matte(
    filmed: np.ndarray, drawn: np.ndarray, box: Box, matrix: np.ndarray, height: int, width: int
) -> np.ndarray:
    """How much of the plate is kept: float32 [h, w], 0 on anything that either frame calls face or neck.

    filmed, drawn: foreground of the two frames, bool [h, w].  The matte rises inside the background, where both
    pictures show the same things, so that no old chin shines through.
    """
    side = crop_side(matrix)
    distance = inside_distance(~filmed & ~drawn, at_frame_edge(box, height, width), side)
    return ramp(distance, HOLD_RAMP * side)


def _widened(matrix: np.ndarray, factor: float) -> np.ndarray:
    """The matrix of a square `factor` times as wide about the same centre."""
    wide = np.asarray(matrix, np.float64) / factor
    wide[:, 2] += 0.5 - 0.5 / factor
    return wide
