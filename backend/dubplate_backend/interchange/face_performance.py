# SPDX-License-Identifier: Apache-2.0
"""A performance as other tools record it: weights of named face shapes over time, on no particular head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dubplate_shared.errors import InvalidInput


@dataclass(frozen=True)
class FacePerformance:
    """N samples of a face.

    times_s: (N,) from the first sample, rising.   sample_s: what one sample lasts.
    weights: ARKit's name of a shape (`mouthSmileLeft`) -> (N,), 0 neutral, 1 its full pose.
    eyes: (N, 6) axis-angle of the left and right eye in the head, radians; None where the file says nothing of them.
    timecode_s: time of day of the first sample, seconds; None where the file has no time code.
    notes: what a person should know of what was read.
    Raises InvalidInput where a number is not finite or there is no sample.
    """

    times_s: np.ndarray
    sample_s: float
    weights: Mapping[str, np.ndarray]
    eyes: np.ndarray | None = None
    timecode_s: float | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.times_s) == 0 or not self.weights:
            raise InvalidInput("The performance is empty.", hint="Record or export it again.")
        for name, values in {**self.weights, "eyes": self.eyes, "time": self.times_s}.items():
            if values is not None and not np.isfinite(values).all():
                raise InvalidInput(
                    f"The performance holds what is no number in {name!r}.", hint="Mend the file or export it again."
                )

    @property
    def seconds(self) -> float:
        """From the first sample's start to the last one's end."""
        return float(self.times_s[-1]) + self.sample_s
