# SPDX-License-Identifier: Apache-2.0
"""To a face tracker the shaded stand-in is a face, and its mouth opens."""

from __future__ import annotations

import numpy as np
import pytest

from dubplate_backend.head.appearance import vertex_colours
from dubplate_backend.head.model import HeadModel
from dubplate_backend.raster.head_sheet import portrait, posed
from dubplate_shared.landmarks import lip_gap

SIZE = 384


def test_facemesh_finds_the_face_and_sees_the_jaw_open(standin: HeadModel):
    face_mesh = pytest.importorskip("mediapipe.python.solutions.face_mesh")
    colours = vertex_colours(standin)
    gaps = []
    with face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True) as detector:
        for jaw_deg in (0, 10, 20):
            picture = portrait(standin, posed(standin, jaw_deg=jaw_deg), colours, size=SIZE)
            found = detector.process(picture).multi_face_landmarks
            assert found, f"no face at jaw {jaw_deg}"
            points = np.array([(p.x, p.y) for p in found[0].landmark]) * SIZE
            gaps.append(float(lip_gap(points)))
            if jaw_deg == 0:
                _landmarks_lie_where_the_head_has_them(standin, points)
    assert gaps[0] < 0.03
    assert gaps[1] > gaps[0] + 0.05
    assert gaps[2] > gaps[1] + 0.05


def _landmarks_lie_where_the_head_has_them(head: HeadModel, points: np.ndarray) -> None:
    """FaceMesh's points, laid over the head's own by position and size, differ by little: the embedding is right."""
    own = head.landmarks(head.template[None])[0].numpy()[:, :2] * [1, -1]
    seen = points[:468]
    own, seen = own - own.mean(0), seen - seen.mean(0)
    own *= np.sqrt((seen**2).sum() / (own**2).sum())
    scale = np.linalg.norm(own[33] - own[263])
    assert np.linalg.norm(own - seen, axis=1).mean() / scale < 0.05
