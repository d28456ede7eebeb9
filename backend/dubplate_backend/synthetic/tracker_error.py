# SPDX-License-Identifier: Apache-2.0
"""A true track as our tracker would have found it.

What was measured of the tracker (docs/benchmarks.md): points 0.7 to 1.2 % of the eye corners' distance from FaceMesh's,
0.30 mm of jitter on a still head, jaw 2.3 degrees.  Its errors of pose, shape and lens are larger one by one, but make
up for each other in the picture, which is all that a renderer sees; so each part errs here by what moves the picture
about that much: a part that stays, a part that wanders over half a second, and a shake from frame to frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from dubplate_shared.track import Track

_WANDERS_S = 0.25  # deviation of the Gaussian over time
_ERRING_EXPRESSIONS = 20
_ERRING_SHAPES = 40
_SHAPE_STAYS = 0.12


@dataclass(frozen=True)
class _Error:
    """Standard deviations of what stays, what wanders and what shakes."""

    stays: float
    wanders: float
    shakes: float


_ROTATION_DEG = _Error(0.6, 0.4, 0.12)
_TRANSLATION_MM = _Error(0.4, 0.3, 0.12)  # across; along the view a face must move far to show it
_JAW_DEG = _Error(0.8, 0.7, 0.3)
_EXPRESSION = _Error(0.08, 0.06, 0.02)


def as_tracked(truth: Track, seed: int) -> Track:
    """`truth` with a tracker's errors.  Landmarks are left as they were: project them anew."""
    random = np.random.default_rng((seed, 0x7AC4))
    count = len(truth)
    step_s = float(np.median(np.diff(truth.time))) if count > 1 else 1.0

    def error(kind: _Error, columns: int) -> np.ndarray:
        wandering = gaussian_filter1d(random.normal(size=(count, columns)), _WANDERS_S / step_s, axis=0, mode="nearest")
        wandering /= max(float(wandering.std()), 1e-6)
        return (
            kind.stays * random.normal(size=columns)
            + kind.wanders * wandering
            + kind.shakes * random.normal(size=(count, columns))
        )

    shape, expression, jaw = truth.shape.copy(), truth.expression.copy(), truth.jaw.copy()
    shape[:_ERRING_SHAPES] += _SHAPE_STAYS * random.normal(size=_ERRING_SHAPES)
    expression[:, :_ERRING_EXPRESSIONS] += error(_EXPRESSION, _ERRING_EXPRESSIONS)
    jaw[:, :1] = np.maximum(jaw[:, :1] + np.radians(error(_JAW_DEG, 1)), 0.0)
    return replace(
        truth,
        shape=shape,
        expression=expression,
        jaw=jaw,
        rotation=truth.rotation + np.radians(error(_ROTATION_DEG, 3)),
        translation=truth.translation + 1e-3 * error(_TRANSLATION_MM, 3),
    )
