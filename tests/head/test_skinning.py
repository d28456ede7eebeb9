# SPDX-License-Identifier: Apache-2.0
"""Skinning is exact, differentiable and what Blender's reference says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from dubplate_backend.head.model import HeadModel
from dubplate_backend.head.skinning import axis_angle_to_matrix, pose_features, skin

Codes = dict[str, Tensor]


def codes(batch: int, seed: int) -> Codes:
    """Random parameters of a lively performance, float64."""
    random = torch.Generator().manual_seed(seed)

    def draw(*shape: int, scale: float = 1.0) -> Tensor:
        return scale * torch.randn(*shape, generator=random, dtype=torch.float64)

    return {
        "shape": draw(batch, 300),
        "expression": draw(batch, 100),
        "jaw": draw(batch, 3, scale=0.2),
        "neck": draw(batch, 3, scale=0.3),
        "eyes": draw(batch, 6, scale=0.3),
        "eyelids": draw(batch, 2, scale=0.5),
    }


def test_rotations_agree_with_scipy_and_are_exact_at_rest():
    axis_angle = torch.randn(200, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    axis_angle[:50] *= 1e-5
    axis_angle[0] = 0
    expected = Rotation.from_rotvec(axis_angle.numpy()).as_matrix()
    np.testing.assert_allclose(axis_angle_to_matrix(axis_angle).numpy(), expected, atol=1e-12)
    assert torch.equal(axis_angle_to_matrix(axis_angle[:1])[0], torch.eye(3, dtype=torch.float64))


def test_the_gradient_of_a_rotation_is_finite_at_rest():
    at_rest = torch.zeros(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(axis_angle_to_matrix, at_rest)


def test_float32_stays_within_a_micrometre_of_float64(standin: HeadModel):
    exact = codes(8, seed=1)
    single = {name: code.float() for name, code in exact.items()}
    exact = {name: code.double() for name, code in single.items()}
    difference = standin.double().vertices(**exact) - standin.vertices(**single)
    assert difference.abs().max() < 1e-6  # metres


def test_posing_equals_the_numpy_reference_that_blender_is_held_to(standin: HeadModel):
    code = codes(3, seed=2)
    shape = code["shape"][0]
    head = standin.double()
    rig = standin.rig(shape.float())
    ours = head.vertices(shape, code["expression"], code["jaw"], code["neck"], code["eyes"])
    for frame in range(3):
        theirs = rig.pose(*(code[name][frame].numpy() for name in ("expression", "jaw", "neck", "eyes")))
        np.testing.assert_allclose(ours[frame].numpy(), theirs, atol=2e-6)


def test_gradients_of_every_parameter_agree_with_finite_differences(standin: HeadModel):
    head = standin.double()
    watched = torch.arange(0, head.vertex_count, 977)
    code = codes(2, seed=3)
    names = list(code)

    def some_vertices(*values: Tensor) -> Tensor:
        return head.vertices(**dict(zip(names, values, strict=True)))[:, watched]

    values = [value.requires_grad_() for value in code.values()]
    assert torch.autograd.gradcheck(some_vertices, values, eps=1e-6, atol=1e-6, fast_mode=True)


def test_a_frame_is_posed_alike_alone_and_in_company(standin: HeadModel):
    code = {name: value.float() for name, value in codes(5, seed=4).items()}
    together = standin.vertices(**code)
    alone = standin.vertices(**{name: value[3:4] for name, value in code.items()})
    torch.testing.assert_close(together[3:4], alone, atol=1e-7, rtol=0)


def test_the_rest_pose_is_the_template(standin: HeadModel):
    zero = torch.zeros(1, 3)
    rest = standin.vertices(torch.zeros(300), torch.zeros(1, 100), zero, zero, torch.zeros(1, 6), torch.zeros(1, 2))
    torch.testing.assert_close(rest[0], standin.template, atol=1e-7, rtol=0)


def test_a_wrong_number_of_joints_is_refused():
    with pytest.raises(ValueError, match="5 joints"):
        skin(torch.zeros(1, 4, 3), torch.zeros(1, 4, 3), torch.eye(3).expand(1, 4, 3, 3), torch.ones(4, 4) / 4)


def test_pose_features_are_the_entries_of_r_less_identity_without_the_root():
    rotations = torch.eye(3).repeat(1, 5, 1, 1)
    rotations[0, 0, 0, 1] = 7.0  # the root's: must not appear
    rotations[0, 2, 1, 2] = -0.5  # the jaw's sine
    features = pose_features(rotations)
    assert features.shape == (1, 36)
    assert features[0, 9 + 5] == -0.5
    assert features.count_nonzero() == 1
