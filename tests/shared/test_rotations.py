# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubplate_shared import rotations

_component = st.floats(-np.pi, np.pi, allow_nan=False)
_vector = st.tuples(_component, _component, _component).map(np.array)


@given(_vector)
def test_matrix_and_axis_angle_agree(vector: np.ndarray) -> None:
    matrix = rotations.matrix_from_axis_angle(vector)
    assert matrix @ matrix.T == pytest.approx(np.eye(3), abs=1e-12)
    again = rotations.matrix_from_axis_angle(rotations.axis_angle_from_matrix(matrix))
    assert again == pytest.approx(matrix, abs=1e-9)


def test_a_quarter_turn_about_x_takes_y_to_z() -> None:
    matrix = rotations.matrix_from_axis_angle(np.array([np.pi / 2, 0, 0]))
    assert matrix @ [0, 1, 0] == pytest.approx([0, 0, 1])


def test_a_half_turn_survives() -> None:
    vector = np.array([0.0, np.pi, 0.0])
    back = rotations.axis_angle_from_matrix(rotations.matrix_from_axis_angle(vector))
    assert np.abs(back) == pytest.approx(np.abs(vector), abs=1e-9)


@given(_vector)
def test_euler_round_trips_through_the_matrix(euler: np.ndarray) -> None:
    matrix = rotations.matrix_from_euler_xyz(euler)
    again = rotations.matrix_from_euler_xyz(rotations.euler_xyz_from_matrix(matrix))
    assert again == pytest.approx(matrix, abs=1e-6)


def test_small_jaw_angles_read_the_same_in_euler_as_in_axis_angle() -> None:
    jaw = np.array([0.2, 0.0, 0.0])
    euler = rotations.euler_xyz_from_matrix(rotations.matrix_from_axis_angle(jaw))
    assert euler == pytest.approx(jaw, abs=1e-12)


def test_batches_keep_their_shape() -> None:
    vectors = np.random.default_rng(0).normal(size=(4, 5, 3))
    assert rotations.matrix_from_axis_angle(vectors).shape == (4, 5, 3, 3)
    assert rotations.axis_angle_from_matrix(rotations.matrix_from_axis_angle(vectors)).shape == (4, 5, 3)
