# SPDX-License-Identifier: Apache-2.0
"""The neural texture is read where the UV says, on the level that the picture's scale asks for, and nothing bleeds over
a chart's border on any level.
"""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from dubplate_backend.head.load import load_standin
from dubplate_backend.head.model import HeadModel
from dubplate_backend.raster.fragments import interpolate
from dubplate_backend.raster.rasterise import rasterise
from dubplate_backend.texture import numba_sampling
from dubplate_backend.texture.islands import island_mask, pad_islands
from dubplate_backend.texture.mipmaps import LEVELS, MipLayout, uv_charts
from dubplate_backend.texture.neural_texture import CHANNELS, SIZE, NeuralTexture
from dubplate_backend.texture.sampling import footprints, interpolate_uv, look_up, mip_levels, sample_texture

SQUARE = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
SQUARE_FACES = torch.tensor([[0, 1, 2], [0, 2, 3]])


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_standin()


@pytest.fixture(scope="module")
def head_layout(head: HeadModel) -> MipLayout:
    return MipLayout.of(head, 64)


def square(size: int) -> MipLayout:
    """One chart that fills the texture."""
    return MipLayout.of_uv(SQUARE, SQUARE_FACES, size)


def plane(height: int, width: int, scale: float = 1.0, start: float = 0.0) -> Tensor:
    """uv [1, height, width, 2] of a square seen face on, `scale` uv to the picture's height."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack([start + x * scale / height, 1.0 - start - y * scale / height], dim=-1)[None]


def everywhere(uv: Tensor) -> Tensor:
    return torch.ones(uv.shape[:3], dtype=torch.bool)


def views(head: HeadModel, size: int, fills: float) -> tuple[Tensor, Tensor]:
    """uv [3, size, size, 2] and covered of the stand-in turned left, frontal and right, `fills` of the picture high."""
    turned = []
    for angle in (-0.7, 0.0, 0.7):
        points = head.template - head.template.mean(dim=0)
        cos, sin = np.cos(angle), np.sin(angle)
        x, z = cos * points[:, 0] + sin * points[:, 2], cos * points[:, 2] - sin * points[:, 0]
        zoom = fills * size / float(np.ptp(points[:, 1].numpy()))
        turned.append(torch.stack([size / 2 + zoom * x, size / 2 - zoom * points[:, 1], 2.0 - z], dim=-1))
    fragments = rasterise(torch.stack(turned), head.faces, size, size)
    return interpolate_uv(fragments, head.uv.float(), head.faces_uv), fragments.covered


def test_magnified_the_finest_level_is_read_as_torch_reads_it():
    texels = torch.randn((5, 12, 12), generator=torch.Generator().manual_seed(0))
    uv = plane(40, 40, scale=0.8, start=0.1)
    expected = grid_sample(
        texels[None], uv * torch.tensor([2.0, -2.0]) + torch.tensor([-1.0, 1.0]), align_corners=False
    )
    torch.testing.assert_close(sample_texture(texels, uv, everywhere(uv), square(12)), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("level", range(1, LEVELS))
def test_shrunk_by_a_power_of_two_a_texture_is_averaged_by_that_much(level):
    size = 64
    texels = torch.randn((3, size, size), generator=torch.Generator().manual_seed(level))
    uv = plane(size >> level, size >> level)
    expected = torch.nn.functional.avg_pool2d(texels[None], 1 << level)
    torch.testing.assert_close(sample_texture(texels, uv, everywhere(uv), square(size)), expected, atol=1e-5, rtol=0)


def test_a_fine_pattern_does_not_flicker_when_the_head_is_far():
    """A shift by half a pixel changes an aliased picture of fine stripes much, a filtered one hardly."""
    stripes = torch.zeros(1, 64, 64)
    stripes[:, :, ::2] = 1.0
    layout = square(64)
    near, moved = plane(20, 20, 0.9, 0.05), plane(20, 20, 0.9, 0.05 + 0.5 * 0.9 / 20)
    pictures = [sample_texture(stripes, uv, everywhere(uv), layout) for uv in (near, moved)]
    flicker = (pictures[0] - pictures[1]).abs().mean()
    bilinear = [
        grid_sample(stripes[None], uv * torch.tensor([2.0, -2.0]) + torch.tensor([-1.0, 1.0]), align_corners=False)
        for uv in (near, moved)
    ]
    assert flicker < 0.25 * (bilinear[0] - bilinear[1]).abs().mean()


def test_the_kernels_read_what_the_reference_reads(head, head_layout):
    uv, covered = views(head, 48, 1.2)
    ours, reference = numba_sampling.footprints(uv, covered, head_layout), footprints(uv, covered, head_layout)
    torch.testing.assert_close(ours.weight, reference.weight, atol=1e-6, rtol=0)
    assert len(set(head_layout.labels.flatten())) == len(head_layout.blocks) > 30, "every tooth is a chart"
    texels = torch.randn((6, 64, 64), generator=torch.Generator().manual_seed(1))
    levels = mip_levels(texels, head_layout)
    expected = look_up(levels, reference)
    torch.testing.assert_close(numba_sampling.LookUp.apply(levels, ours), expected, atol=1e-5, rtol=0)
    both = (ours.weight > 1e-5).all(dim=2).all(dim=1)
    assert both.any(), "two levels at once"


def test_gradients_are_the_references(head, head_layout):
    uv, covered = views(head, 32, 1.0)
    weights = torch.randn((3, 4, 32, 32), generator=torch.Generator().manual_seed(2))
    texels = torch.randn((4, 64, 64), generator=torch.Generator().manual_seed(3)).requires_grad_()
    (sample_texture(texels, uv, covered, head_layout) * weights).sum().backward()
    ours, texels.grad = texels.grad, None
    matrix = torch.from_numpy(head_layout.matrix.toarray())
    levels = matrix @ texels.permute(1, 2, 0).reshape(-1, 4)
    values = look_up(levels, footprints(uv, covered, head_layout))
    (values.view(3, 32, 32, 4).permute(0, 3, 1, 2) * weights).sum().backward()
    torch.testing.assert_close(ours, texels.grad, atol=1e-4, rtol=1e-4)
    assert ours.abs().sum() > 0


def test_neither_values_nor_gradients_depend_on_threads(head, head_layout):
    uv, covered = views(head, 160, 1.0)
    texels = torch.randn((8, 64, 64), generator=torch.Generator().manual_seed(0))
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            leaf = texels.clone().requires_grad_()
            picture = sample_texture(leaf, uv, covered, head_layout)
            picture.backward(picture.detach())
            results.append((picture.detach(), leaf.grad))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def test_row_0_of_a_texture_is_v_1_and_texel_centres_lie_at_half():
    picture = sample_texture(torch.arange(16.0).view(1, 4, 4), plane(4, 4), everywhere(plane(4, 4)), square(4))
    torch.testing.assert_close(picture, torch.arange(16.0).view(1, 1, 4, 4))


def test_the_background_is_zero_and_takes_no_gradient():
    uv = plane(30, 40)
    covered = torch.rand((1, 30, 40), generator=torch.Generator().manual_seed(0)) < 0.7
    texels = torch.randn((5, 12, 12)).requires_grad_()
    picture = sample_texture(texels, uv, covered, square(12))
    assert not bool(picture.permute(0, 2, 3, 1)[~covered].any())
    picture.permute(0, 2, 3, 1)[~covered].sum().backward()
    assert not bool(texels.grad.any())


def test_uv_that_is_no_number_reads_the_border_and_not_foreign_memory():
    uv = torch.tensor([[[[float("nan"), 0.5], [float("inf"), -float("inf")], [1e30, -1e30], [0.5, float("nan")]]]])
    picture = sample_texture(torch.ones(2, 8, 8), uv, everywhere(uv), square(8))
    torch.testing.assert_close(picture, torch.ones(1, 2, 1, 4))


def test_a_neural_texture_starts_from_its_seed_and_keeps_texels_together_through_saving():
    texture = NeuralTexture(generator=torch.Generator().manual_seed(4))
    assert texture.texels.shape == (CHANNELS, SIZE, SIZE)
    assert texture.texels.stride()[0] == 1  # a texel's channels side by side
    assert torch.equal(texture.texels, NeuralTexture(generator=torch.Generator().manual_seed(4)).texels)
    other = NeuralTexture()
    other.load_state_dict({name: tensor.contiguous() for name, tensor in texture.state_dict().items()})
    assert torch.equal(other.texels, texture.texels)
    assert other.texels.stride() == texture.texels.stride()


def test_a_picture_is_learnt_through_the_texture():
    """A few steps of descent bring the rendered texture to the target: the gradient arrives where it was read."""
    texture = NeuralTexture(3, 32, torch.Generator().manual_seed(0))
    uv, layout = plane(48, 48), square(32)
    target = torch.stack([uv[..., 0], uv[..., 1], uv[..., 0] * uv[..., 1]], 1)
    optimiser = torch.optim.Adam(texture.parameters(), lr=0.05)
    for _ in range(150):
        optimiser.zero_grad()
        loss = (sample_texture(texture.texels, uv, everywhere(uv), layout) - target).square().mean()
        loss.backward()
        optimiser.step()
    assert loss < 1e-4


@pytest.mark.parametrize("fills", [2.4, 0.6, 0.3, 0.15])
def test_no_chart_shows_in_another_at_any_distance(head, head_layout, fills):
    """Every chart has a number for its colour, and what lies beside the charts shouts: each pixel shows its own."""
    charts = uv_charts(head.faces_uv.numpy(), len(head.uv))
    flat = torch.stack([head.uv[:, 0] * 64, (1 - head.uv[:, 1]) * 64, torch.ones(len(head.uv))], dim=-1)
    seen = rasterise(flat[None], head.faces_uv, 64, 64).pix_to_face[0]
    chart_of_face = torch.from_numpy(charts)[head.faces_uv[:, 0]].float()
    texels = torch.where(seen >= 0, chart_of_face[seen.clamp(min=0)], 1e6)[None]
    size = 96
    uv, covered = views(head, size, fills)
    cells = (uv * torch.tensor([1.0, -1.0]) + torch.tensor([0.0, 1.0])) * len(head_layout.labels)
    cells = cells.long().clamp(0, len(head_layout.labels) - 1)
    own = torch.from_numpy(head_layout.labels)[cells[..., 1], cells[..., 0]].float()
    drawn = sample_texture(texels, uv, covered, head_layout)[:, 0]
    torch.testing.assert_close(drawn[covered], own[covered], atol=1e-3, rtol=0)


def test_levels_average_only_texels_of_their_chart(head, head_layout):
    weights = head_layout.matrix.sum(axis=1)
    np.testing.assert_allclose(weights, 1.0, atol=1e-5)
    for chart, level in ((0, 1), (3, 2), (9, 3)):
        start, _, _, width, height = head_layout.blocks[chart, level]
        rows = head_layout.matrix[start : start + width * height]
        cells = np.unique(rows.indices)
        label = head_layout.labels[(cells // 64) * 4 + 2, (cells % 64) * 4 + 2]
        assert (label == chart).all()


@pytest.fixture
def two_islands() -> tuple[Tensor, Tensor]:
    """uv [6, 2] and faces_uv [2, 3]: two triangles four texels of 32 apart."""
    uv = torch.tensor([[0.1, 0.1], [0.45, 0.12], [0.2, 0.9], [0.6, 0.1], [0.9, 0.2], [0.6, 0.9]])
    return uv, torch.tensor([[0, 1, 2], [3, 4, 5]])


def test_padding_gives_what_lies_beside_an_island_its_nearest_value(two_islands):
    uv, faces_uv = two_islands
    mask = island_mask(uv, faces_uv, 32)
    first = island_mask(uv, faces_uv[:1], 32)
    texels = torch.where(first, 1.0, torch.where(mask, 3.0, 100.0))[None]
    padded = pad_islands(texels, mask)
    assert torch.equal(padded[:, mask], texels[:, mask])
    assert set(padded.unique().tolist()) == {1.0, 3.0}
    # Every point of each triangle, magnified eight times.
    layout = MipLayout.of_uv(uv, faces_uv, 32)
    for face, value in ((0, 1.0), (1, 3.0)):
        flat = torch.cat([uv * 256, torch.ones(6, 1)], -1)[None]
        fragments = rasterise(flat, faces_uv[face : face + 1], 256, 256)
        points = interpolate(fragments, uv[faces_uv[face : face + 1]])
        for ground in (padded, texels):  # the mip layout keeps the background out by itself
            inside = sample_texture(ground, points, fragments.covered, layout)[0, 0][fragments.covered[0]]
            assert inside.numel() > 1000
            torch.testing.assert_close(inside, torch.full_like(inside, value))


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
