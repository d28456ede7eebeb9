# SPDX-License-Identifier: Apache-2.0
"""Frechet distance between two sets of features, as FID and FVD use it.

Source: Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule", eq. 6.
"""

from __future__ import annotations

import numpy as np


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """|m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2)) of two normal distributions fitted to features.

    first: [N, D].  second: [M, D].  N, M >= 2.  The trace of the root is the sum of the singular values of the two
    centred sets' product, exactly, so no D x D root is taken; with fewer samples than dimensions the distance is biased
    upwards, the more so the fewer there are.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    mean_apart = first.mean(axis=0) - second.mean(axis=0)
    a = (first - first.mean(axis=0)) / np.sqrt(len(first) - 1)
    b = (second - second.mean(axis=0)) / np.sqrt(len(second) - 1)
    root = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(max(mean_apart @ mean_apart + np.square(a).sum() + np.square(b).sum() - 2.0 * root, 0.0))
