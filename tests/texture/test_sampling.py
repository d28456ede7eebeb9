# SPDX-License-Identifier: Apache-2.0
"""The neural texture is read where the UV says, with gradients, and nothing bleeds in from beside an island."""

import pytest
import torch
from torch import Tensor

from dubplate_backend.raster.fragments import interpolate
from dubplate_backend.raster.rasterise import rasterise
from dubplate_backend.texture.islands import island_mask, pad_islands
from dubplate_backend.texture.neural_texture import CHANNELS, SIZE, NeuralTexture
from dubplate_backend.texture.sampling import interpolate_uv, sample_covered, sample_texture


def scattered(seed: int = 0, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    """Texels [5, 12, 12], uv [2, 30, 40, 2] within and a little beyond the texture, covered [2, 30, 40]."""
    generator = torch.Generator().manual_seed(seed)
    texels = torch.randn((5, 12, 12), generator=generator, dtype=dtype)
    uv = torch.rand((2, 30, 40, 2), generator=generator, dtype=dtype) * 1.2 - 0.1
    return texels, uv, torch.rand((2, 30, 40), generator=generator) < 0.7


def by_torch(texels: Tensor, uv: Tensor, covered: Tensor) -> Tensor:
    return sample_covered(texels, uv.reshape(-1, 2), covered.reshape(-1)).view(*uv.shape[:3], -1).permute(0, 3, 1, 2)


def test_sampling_is_torchs_own_with_its_gradients():
    texels, uv, covered = scattered(dtype=torch.float64)
    weights = torch.randn((2, 5, 30, 40), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    results = []
    for sample in (sample_texture, by_torch):
        leaves = texels.clone().requires_grad_(), uv.clone().requires_grad_()
        picture = sample(*leaves, covered)
        (picture * weights).sum().backward()
        results.append((picture, leaves[0].grad, leaves[1].grad))
    for ours, reference in zip(*results, strict=True):
        torch.testing.assert_close(ours, reference, atol=1e-10, rtol=1e-10)
    assert results[0][1].abs().sum() > 0
    assert results[0][2].abs().sum() > 0


def test_gradients_are_the_finite_differences():
    texels, uv, covered = scattered(3, torch.float64)
    # Away from texel centres, where a bilinear surface has its creases.
    fraction = (uv * 12 - 0.5) % 1
    uv, covered = uv[:1, :6, :7], (covered & (fraction > 0.01).all(-1) & (fraction < 0.99).all(-1))[:1, :6, :7]
    inputs = texels.requires_grad_(), uv.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda t, p: sample_texture(t, p, covered), inputs, eps=1e-7, atol=1e-5)


def test_neither_values_nor_gradients_depend_on_threads():
    texels = torch.randn((4, 128, 128), generator=torch.Generator().manual_seed(0))
    uv = torch.rand((3, 128, 128, 2), generator=torch.Generator().manual_seed(1))
    covered = torch.ones((3, 128, 128), dtype=torch.bool)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            leaf = texels.clone().requires_grad_()
            picture = sample_texture(leaf, uv, covered)
            picture.backward(picture.detach())
            results.append((picture.detach(), leaf.grad))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def test_row_0_of_a_texture_is_v_1_and_texel_centres_lie_at_half():
    texels = torch.arange(16.0).view(1, 4, 4)
    uv = torch.tensor([[[[0.125, 0.875], [0.875, 0.125], [0.25, 0.875], [0.5, 0.5]]]])
    picture = sample_texture(texels, uv, torch.ones(1, 1, 4, dtype=torch.bool))
    torch.testing.assert_close(picture.flatten(), torch.tensor([0.0, 15.0, 0.5, 7.5]))


def test_the_background_is_zero_and_takes_no_gradient():
    texels, uv, covered = scattered()
    texels.requires_grad_()
    picture = sample_texture(texels, uv, covered)
    assert not bool(picture.permute(0, 2, 3, 1)[~covered].any())
    picture.permute(0, 2, 3, 1)[~covered].sum().backward()
    assert not bool(texels.grad.any())


def test_uv_that_is_no_number_reads_the_border_and_not_foreign_memory():
    texels = torch.ones(2, 8, 8)
    uv = torch.tensor([[[[float("nan"), 0.5], [float("inf"), -float("inf")], [1e30, -1e30]]]])
    picture = sample_texture(texels, uv, torch.ones(1, 1, 3, dtype=torch.bool))
    torch.testing.assert_close(picture, torch.ones(1, 2, 1, 3))


def test_a_neural_texture_starts_from_its_seed_and_keeps_texels_together_through_saving():
    texture = NeuralTexture(generator=torch.Generator().manual_seed(4))
    assert texture.texels.shape == (CHANNELS, SIZE, SIZE)
    assert texture.texels.stride()[0] == 1  # a texel's channels side by side
    assert torch.equal(texture.texels, NeuralTexture(generator=torch.Generator().manual_seed(4)).texels)
    other = NeuralTexture()
    other.load_state_dict({name: tensor.contiguous() for name, tensor in texture.state_dict().items()})
    assert torch.equal(other.texels, texture.texels)
    assert other.texels.stride() == texture.texels.stride()
    texture.sample(torch.rand(1, 4, 4, 2), torch.ones(1, 4, 4, dtype=torch.bool)).sum().backward()
    assert texture.texels.grad.stride() == texture.texels.stride()


def test_a_picture_is_learnt_through_the_texture():
    """A few steps of descent bring the rendered texture to the target: the gradient arrives where it was read."""
    texture = NeuralTexture(3, 32, torch.Generator().manual_seed(0))
    uv = torch.rand((1, 48, 48, 2), generator=torch.Generator().manual_seed(1))
    covered = torch.ones(1, 48, 48, dtype=torch.bool)
    target = torch.stack([uv[..., 0], uv[..., 1], uv[..., 0] * uv[..., 1]], 1)
    optimiser = torch.optim.Adam(texture.parameters(), lr=0.05)
    for _ in range(150):
        optimiser.zero_grad()
        loss = (texture.sample(uv, covered) - target).square().mean()
        loss.backward()
        optimiser.step()
    assert loss < 1e-4


@pytest.fixture
def two_islands() -> tuple[Tensor, Tensor]:
    """uv [6, 2] and faces_uv [2, 3]: two triangles four texels of 32 apart."""
    uv = torch.tensor([[0.1, 0.1], [0.45, 0.12], [0.2, 0.9], [0.6, 0.1], [0.9, 0.2], [0.6, 0.9]])
    return uv, torch.tensor([[0, 1, 2], [3, 4, 5]])


def test_padding_keeps_neighbours_and_background_out_of_an_islands_rim(two_islands):
    uv, faces_uv = two_islands
    mask = island_mask(uv, faces_uv, 32)
    first = island_mask(uv, faces_uv[:1], 32)
    texels = torch.where(first, 1.0, torch.where(mask, 3.0, 100.0))[None]  # the background would show at once
    padded = pad_islands(texels, mask)
    assert torch.equal(padded[:, mask], texels[:, mask])
    # Every point of each triangle, magnified eight times.
    for face, value in ((0, 1.0), (1, 3.0)):
        flat = torch.cat([uv * 256, torch.ones(6, 1)], -1)[None]
        fragments = rasterise(flat, faces_uv[face : face + 1], 256, 256)
        points = interpolate(fragments, uv[faces_uv[face : face + 1]])
        inside = sample_texture(padded, points, fragments.covered)[0, 0][fragments.covered[0]]
        assert inside.numel() > 1000
        torch.testing.assert_close(inside, torch.full_like(inside, value))
        bled = sample_texture(texels, points, fragments.covered)[0, 0][fragments.covered[0]]
        assert (bled != value).any()


def test_an_empty_mask_has_nothing_to_pad_from():
    with pytest.raises(ValueError, match="nothing to pad"):
        pad_islands(torch.zeros(1, 4, 4), torch.zeros(4, 4, dtype=torch.bool))


def test_uv_is_interpolated_over_the_faces_that_were_drawn():
    screen = torch.tensor([[[0.0, 0.0, 1.0], [8.0, 0.0, 1.0], [0.0, 8.0, 1.0], [8.0, 8.0, 1.0]]])
    faces = torch.tensor([[0, 1, 2], [1, 3, 2]])
    uv = torch.tensor([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0], [1.0, 0.0]])
    fragments = rasterise(screen, faces, 8, 8)
    picture = interpolate_uv(fragments, uv, faces)[0]
    centres = (torch.arange(8) + 0.5) / 8
    torch.testing.assert_close(picture[..., 0], centres[None].expand(8, 8))
    torch.testing.assert_close(picture[..., 1], 1 - centres[:, None].expand(8, 8))
