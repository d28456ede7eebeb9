# SPDX-License-Identifier: Apache-2.0
"""One way to make a face, watched over a shot: everything that is measured on finished plates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dubplate_backend.evaluation.face_points import FacePoints, colour_apart
from dubplate_backend.evaluation.frechet import frechet_distance
from dubplate_backend.evaluation.inception import InceptionFeatures
from dubplate_backend.evaluation.seam import Seam
from dubplate_backend.evaluation.steadiness import Steadiness
from dubplate_backend.evaluation.video_features import CLIP_FRAMES, CLIP_STEP, VideoFeatures
from dubplate_backend.raster.crop_warp import Box, Sampling, to_crop

WATCHED_PX = 256  # side of the crop in which flicker and features are taken
FEWEST_SAMPLES = 2  # of features, for a spread


@dataclass(frozen=True)
class Networks:
    """What the user gave."""

    inception: InceptionFeatures | None = None
    video: VideoFeatures | None = None


@dataclass(frozen=True)
class Filmed:
    """A frame as it was filmed.   net: [H, W, 3] values 0..1.   box: around the crop.   matrix: of the crop.

    place: (478, 2) points around which landmarks are measured, so that every way to make a face is looked at in the
    same square; None where no face is seen.   points: the landmarks (478, 3) there.
    skin: [h, w] bool, drawn face without lips and mouth.   matte: [h, w], the same for all ways to make a face.
    """

    index: int
    net: np.ndarray
    box: Box
    matrix: np.ndarray
    place: np.ndarray | None
    points: np.ndarray | None
    skin: np.ndarray
    matte: np.ndarray


class Pictures:
    """Crops and features of one sequence."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._clip: list[tuple[int, np.ndarray]] = []
        self._stills: list[np.ndarray] = []
        self._clips: list[np.ndarray] = []

    def add(self, index: int, crop: np.ndarray) -> None:
        """crop: [S, S, 3] 0..1."""
        if self._networks.inception is not None:
            self._stills.append(self._networks.inception.of(crop))
        if self._networks.video is None:
            return
        if self._clip and self._clip[-1][0] != index - 1:
            self._clip.clear()
        self._clip.append((index, crop))
        if len(self._clip) == CLIP_FRAMES:
            self._clips.append(self._networks.video.of([picture for _, picture in self._clip]))
            del self._clip[:CLIP_STEP]

    def distances(self, filmed: Pictures) -> tuple[float, float]:
        """FID and FVD from what was filmed; not a number where too little was seen."""
        pairs = ((self._stills, filmed._stills), (self._clips, filmed._clips))
        fid, fvd = (
            frechet_distance(np.stack(own), np.stack(other)) if min(len(own), len(other)) >= FEWEST_SAMPLES else np.nan
            for own, other in pairs
        )
        return float(fid), float(fvd)


class Watch:
    """Fed frame by frame, in order."""

    def __init__(self, networks: Networks) -> None:
        self.points, self.seam, self.steadiness = FacePoints(), Seam(), Steadiness()
        self.pictures = Pictures(networks)
        self._colours: list[float] = []

    def add(self, shown: np.ndarray, points: np.ndarray | None, filmed: Filmed, filmed_crop: np.ndarray) -> None:
        """shown: [H, W, 3] the finished frame, 0..1.   points: its landmarks.   filmed_crop: [256, 256, 3] 0..1."""
        inside = filmed.box.slices
        crop = watched_crop(shown, filmed)
        self.points.add(points, filmed.points)
        self.seam.add(shown[inside], filmed.net[inside], filmed.matte)
        whole = np.zeros(shown.shape[:2], np.float32)
        whole[inside] = filmed.matte
        matte = to_crop(whole, filmed.matrix, WATCHED_PX, sampling=Sampling.LINEAR)
        self.steadiness.add(filmed.index, crop, filmed_crop, matte)
        self.pictures.add(filmed.index, crop)
        self._colours.append(colour_apart(shown[inside], filmed.net[inside], filmed.skin))

    def figures(self, filmed: Pictures) -> Mapping[str, float]:
        """By the names of `Scores`."""
        flicker, border_flicker = self.steadiness.ratios()
        fid, fvd = self.pictures.distances(filmed)
        seen = [colour for colour in self._colours if np.isfinite(colour)]
        return {
            "lip_error_percent": self.points.lip_error_percent(),
            "gap_error_percent": self.points.gap_error_percent(),
            "gap_correlation": self.points.gap_correlation(),
            "shape_drift_percent": self.points.shape_drift_percent(),
            "colour_drift": float(np.mean(seen)) if seen else float("nan"),
            "flicker": flicker,
            "border_flicker": border_flicker,
            "seam": self.seam.energy(),
            "fid": fid,
            "fvd": fvd,
        }


def watched_crop(net: np.ndarray, filmed: Filmed) -> np.ndarray:
    """[256, 256, 3] 0..1."""
    return to_crop(net, filmed.matrix, WATCHED_PX)
