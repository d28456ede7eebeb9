# SPDX-License-Identifier: Apache-2.0
"""The networks of FID and FVD on files of exactly their format, filled with chance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dubplate_backend.evaluation.inception import FEATURES, InceptionFeatures
from dubplate_backend.evaluation.video_features import CLIP_FRAMES, VideoFeatures
from dubplate_backend.evaluation.watch import Networks, Pictures
from dubplate_shared.errors import InvalidInput

STEM = "1a_3x3 32x3x3x3|2a_3x3 32x32x3x3|2b_3x3 64x32x3x3|3b_1x1 80x64x1x1|4a_3x3 192x80x3x3"
BLOCKS = {
    "5b": "1x1 64x192x1x1|5x5_1 48x192x1x1|5x5_2 64x48x5x5|3x3dbl_1 64x192x1x1|3x3dbl_2 96x64x3x3|3x3dbl_3 96x96x3x3|"
    "_pool 32x192x1x1",
    "5c": "1x1 64x256x1x1|5x5_1 48x256x1x1|5x5_2 64x48x5x5|3x3dbl_1 64x256x1x1|3x3dbl_2 96x64x3x3|3x3dbl_3 96x96x3x3|"
    "_pool 64x256x1x1",
    "5d": "1x1 64x288x1x1|5x5_1 48x288x1x1|5x5_2 64x48x5x5|3x3dbl_1 64x288x1x1|3x3dbl_2 96x64x3x3|3x3dbl_3 96x96x3x3|"
    "_pool 64x288x1x1",
    "6a": "3x3 384x288x3x3|3x3dbl_1 64x288x1x1|3x3dbl_2 96x64x3x3|3x3dbl_3 96x96x3x3",
    **{
        name: f"1x1 192x768x1x1|7x7_1 {c}x768x1x1|7x7_2 {c}x{c}x1x7|7x7_3 192x{c}x7x1|7x7dbl_1 {c}x768x1x1|"
        f"7x7dbl_2 {c}x{c}x7x1|7x7dbl_3 {c}x{c}x1x7|7x7dbl_4 {c}x{c}x7x1|7x7dbl_5 192x{c}x1x7|_pool 192x768x1x1"
        for name, c in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192))
    },
    "7a": "3x3_1 192x768x1x1|3x3_2 320x192x3x3|7x7x3_1 192x768x1x1|7x7x3_2 192x192x1x7|7x7x3_3 192x192x7x1|"
    "7x7x3_4 192x192x3x3",
    **{
        name: f"1x1 320x{c}x1x1|3x3_1 384x{c}x1x1|3x3_2a 384x384x1x3|3x3_2b 384x384x3x1|3x3dbl_1 448x{c}x1x1|"
        f"3x3dbl_2 384x448x3x3|3x3dbl_3a 384x384x1x3|3x3dbl_3b 384x384x3x1|_pool 192x{c}x1x1"
        for name, c in (("7b", 1280), ("7c", 2048))
    },
}


def published_inception() -> dict[str, Tensor]:
    """Names and shapes of pt_inception-2015-12-05-6726825d.pth, written down from torchvision's network."""
    generator = torch.Generator().manual_seed(0)
    convolutions = {f"Conv2d_{entry.split()[0]}": entry.split()[1] for entry in STEM.split("|")}
    for block, entries in BLOCKS.items():
        for entry in entries.split("|"):
            name, shape = entry.split()
            convolutions[f"Mixed_{block}.branch{name}"] = shape
    state = {}
    for name, text in convolutions.items():
        shape = tuple(int(size) for size in text.split("x"))
        fan_in = int(np.prod(shape[1:]))
        state[f"{name}.conv.weight"] = torch.randn(shape, generator=generator) * (2.0 / fan_in) ** 0.5
        state[f"{name}.bn.weight"] = torch.ones(shape[0])
        state[f"{name}.bn.bias"] = torch.zeros(shape[0])
        state[f"{name}.bn.running_mean"] = torch.zeros(shape[0])
        state[f"{name}.bn.running_var"] = torch.ones(shape[0])
    state["fc.weight"], state["fc.bias"] = torch.zeros(1008, FEATURES), torch.zeros(1008)
    return state


@pytest.fixture(scope="module")
def inception(tmp_path_factory: pytest.TempPathFactory) -> InceptionFeatures:
    path = tmp_path_factory.mktemp("weights") / "pt_inception.pth"
    torch.save(published_inception(), path)
    return InceptionFeatures(path)


class Script(nn.Module):
    """Called as StyleGAN-V's I3D: a mean colour and a mean change over the clip."""

    def forward(
        self, clips: Tensor, rescale: bool = True, resize: bool = True, return_features: bool = False
    ) -> Tensor:
        assert not rescale and not resize and return_features
        assert clips.shape[1:] == (3, 16, 224, 224)
        assert float(clips.min()) >= -1.0 and float(clips.max()) <= 1.0
        change = (clips[:, :, 1:] - clips[:, :, :-1]).abs().mean(dim=(2, 3, 4))
        return torch.cat((clips.mean(dim=(2, 3, 4)), change), dim=1)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> VideoFeatures:
    path = tmp_path_factory.mktemp("weights") / "i3d_torchscript.pt"
    torch.jit.script(Script()).save(str(path))
    return VideoFeatures(path)


def test_the_published_format_of_inception_gives_2048_features(inception):
    picture = np.random.default_rng(0).random((64, 64, 3))
    features = inception.of(picture)
    assert features.shape == (FEATURES,) and np.isfinite(features).all() and features.std() > 0
    assert not np.allclose(features, inception.of(picture[::-1]))
    assert not inception.published


def test_a_file_that_lacks_a_weight_is_refused_by_its_name(tmp_path):
    state = published_inception()
    del state["Mixed_6c.branch7x7dbl_4.conv.weight"]
    torch.save(state, tmp_path / "lacking.pth")
    with pytest.raises(InvalidInput, match=r"Mixed_6c\.branch7x7dbl_4\.conv\.weight is not there"):
        InceptionFeatures(tmp_path / "lacking.pth")


def test_clips_of_sixteen_frames_go_through_the_script(video):
    dark = [np.full((32, 32, 3), 0.25)] * CLIP_FRAMES
    features = video.of(dark)
    assert features == pytest.approx([-0.5] * 3 + [0.0] * 3, abs=1e-6)
    with pytest.raises(InvalidInput, match="no TorchScript"):
        VideoFeatures(Path(__file__))
    with pytest.raises(InvalidInput, match="does not exist"):
        VideoFeatures(Path("nothing.pt"))


def test_clips_do_not_reach_over_a_gap_and_distances_grow_with_the_difference(video):
    random = np.random.default_rng(0)
    frames = random.random((40, 16, 16, 3)) * 0.5

    def watched(pictures: np.ndarray, indices: range | list[int]) -> Pictures:
        seen = Pictures(Networks(video=video))
        for index in indices:
            seen.add(index, pictures[index])
        return seen

    filmed = watched(frames, range(40))
    assert np.isnan(filmed.distances(filmed)[0]) and filmed.distances(filmed)[1] == pytest.approx(0, abs=1e-6)
    near, far = (watched(frames + offset, range(40)).distances(filmed)[1] for offset in (0.1, 0.3))
    assert 0 < near < far
    broken = [*range(15), *range(16, 31)]  # never sixteen in a row
    assert np.isnan(watched(frames, broken).distances(filmed)[1])
