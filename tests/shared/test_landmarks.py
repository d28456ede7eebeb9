# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from dubplate_shared import landmarks


def test_lip_gap_is_measured_against_the_outer_eye_corners() -> None:
    points = np.zeros((2, 478, 2))
    points[:, landmarks.LEFT_EYE_OUTER, 0] = 200.0
    points[1, landmarks.LOWER_INNER_LIP, 1] = 30.0
    assert landmarks.lip_gap(points) == pytest.approx([0.0, 0.15])


def test_index_sets_agree_with_mediapipe() -> None:
    connections = pytest.importorskip("mediapipe").solutions.face_mesh_connections
    assert set(landmarks.LIPS) == {index for edge in connections.FACEMESH_LIPS for index in edge}
    assert set(landmarks.FACE_OVAL) == {index for edge in connections.FACEMESH_FACE_OVAL for index in edge}
    assert set(landmarks.LEFT_EYE) == {index for edge in connections.FACEMESH_LEFT_EYE for index in edge}
    assert set(landmarks.RIGHT_EYE) == {index for edge in connections.FACEMESH_RIGHT_EYE for index in edge}
    assert set(landmarks.LEFT_BROW) == {index for edge in connections.FACEMESH_LEFT_EYEBROW for index in edge}
