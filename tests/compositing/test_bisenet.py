# SPDX-License-Identifier: Apache-2.0
"""BiSeNet on a file of exactly the format that face-parsing.PyTorch's weights have, filled with chance."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from dubplate_backend.compositing.background import SelfieSegmenter, load_segmenter, person_in_box
from dubplate_backend.compositing.bisenet import CLASSES, FACE_AND_NECK, BiSeNetSegmenter
from dubplate_backend.raster.crop_warp import Box
from dubplate_shared.errors import InvalidInput


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of 79999_iter.pth, written down from the published network, auxiliary heads and all."""
    shapes: dict[str, tuple[int, ...]] = {}

    def convolution(name: str, outputs: int, inputs: int, kernel: int) -> None:
        shapes[f"{name}.weight"] = (outputs, inputs, kernel, kernel)

    def norm(name: str, channels: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{part}"] = (channels,)
        shapes[f"{name}.num_batches_tracked"] = ()

    def block(name: str, outputs: int, inputs: int, kernel: int) -> None:
        convolution(f"{name}.conv", outputs, inputs, kernel)
        norm(f"{name}.bn", outputs)

    convolution("cp.resnet.conv1", 64, 3, 7)
    norm("cp.resnet.bn1", 64)
    inputs = 64
    for layer, outputs in enumerate((64, 128, 256, 512), start=1):
        for place in range(2):
            name = f"cp.resnet.layer{layer}.{place}"
            convolution(f"{name}.conv1", outputs, inputs, 3)
            norm(f"{name}.bn1", outputs)
            convolution(f"{name}.conv2", outputs, outputs, 3)
            norm(f"{name}.bn2", outputs)
            if inputs != outputs:
                convolution(f"{name}.downsample.0", outputs, inputs, 1)
                norm(f"{name}.downsample.1", outputs)
            inputs = outputs
    for name, inputs in (("cp.arm16", 256), ("cp.arm32", 512)):
        block(f"{name}.conv", 128, inputs, 3)
        convolution(f"{name}.conv_atten", 128, 128, 1)
        norm(f"{name}.bn_atten", 128)
    block("cp.conv_head32", 128, 128, 3)
    block("cp.conv_head16", 128, 128, 3)
    block("cp.conv_avg", 128, 512, 1)
    block("ffm.convblk", 256, 256, 1)
    convolution("ffm.conv1", 64, 256, 1)
    convolution("ffm.conv2", 256, 64, 1)
    for name, inputs, middle in (("conv_out", 256, 256), ("conv_out16", 128, 64), ("conv_out32", 128, 64)):
        block(f"{name}.conv", middle, inputs, 3)
        convolution(f"{name}.conv_out", 19, middle, 1)
    return shapes


def chance_weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, shape in published_shapes().items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(80000)
        elif name.endswith("running_var"):
            state[name] = torch.ones(shape)
        else:
            fan_in = max(1, int(np.prod(shape[1:])))
            state[name] = torch.randn(shape, generator=generator) * (2.0 / fan_in) ** 0.5
    state["conv_out.conv_out.weight"] *= 1e-4  # so that no class wins everywhere
    return state


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "79999_iter.pth"
    torch.save(chance_weights(), path)
    return path


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """uint8 [128, 128, 3], for speed: something on one side, nothing on the other."""
    rgb = np.full((128, 128, 3), 90, np.uint8)
    rgb[:, :64] = np.random.default_rng(0).integers(0, 255, (128, 64, 3))
    return rgb


def test_the_published_format_loads_and_segments(weights, picture):
    segmenter = load_segmenter(weights)
    assert isinstance(segmenter, BiSeNetSegmenter) and segmenter.size == 512
    person = segmenter.person(picture)
    assert person.shape == (128, 128) and person.dtype == np.float32
    assert person.min() >= 0 and person.max() <= 1
    assert abs(person[25:100, 15:50].mean() - person[25:100, 80:112].mean()) > 1e-3  # it looks at the picture
    assert np.array_equal(person, segmenter.person(picture))


def test_face_and_neck_are_the_classes_that_count(weights, picture, tmp_path):
    assert {CLASSES[index] for index in FACE_AND_NECK} >= {"skin", "neck", "mouth", "nose", "left_ear"}
    for chosen in (14, 16):  # neck, cloth
        state = torch.load(weights, weights_only=True)
        # A head that sees only what is the same everywhere: one class wins by its weight alone.
        state["conv_out.conv.bn.weight"] = torch.zeros(256)
        state["conv_out.conv.bn.bias"] = torch.ones(256)
        state["conv_out.conv_out.weight"] = torch.zeros(19, 256, 1, 1)
        state["conv_out.conv_out.weight"][chosen] = 1.0
        torch.save(state, tmp_path / "one.pth")
        person = BiSeNetSegmenter.load(tmp_path / "one.pth").person(picture)
        assert np.allclose(person, 1.0 if chosen == 14 else 0.0, atol=1e-4)


def test_its_answer_is_laid_over_the_plate(weights):
    segmenter = load_segmenter(weights)
    plate = np.random.default_rng(1).random((120, 160, 3)).astype(np.float32)
    found = person_in_box(segmenter, plate, np.array([[1 / 60, 0, -0.5], [0, 1 / 60, -0.5]]), Box(30, 30, 90, 90))
    assert found.shape == (60, 60) and found.dtype == bool


def test_a_weight_that_is_missing_or_does_not_fit_is_named(weights, tmp_path):
    state = torch.load(weights, weights_only=True)
    del state["cp.arm32.conv_atten.weight"]
    torch.save(state, tmp_path / "lacking.pth")
    with pytest.raises(InvalidInput, match=r"cp\.arm32\.conv_atten\.weight is not there"):
        load_segmenter(tmp_path / "lacking.pth")
    state = torch.load(weights, weights_only=True)
    state["conv_out.conv_out.weight"] = torch.zeros(8, 256, 1, 1)
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(InvalidInput, match=r"\(8, 256, 1, 1\), expected \(19, 256, 1, 1\)"):
        load_segmenter(tmp_path / "other.pth")
    with pytest.raises(InvalidInput, match="does not exist"):
        load_segmenter(tmp_path / "nothing.pth")


class Evil:
    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_code_in_a_weights_file_is_not_run(tmp_path):
    evil = Evil()
    evil.path = tmp_path / "ran"
    torch.save({"cp.resnet.conv1.weight": evil}, tmp_path / "evil.pth")
    with pytest.raises(InvalidInput, match="cannot be read"):
        load_segmenter(tmp_path / "evil.pth")
    assert not evil.path.exists()


def test_the_environment_may_name_the_weights_and_nothing_means_mediapipe(weights, monkeypatch):
    assert isinstance(load_segmenter(), SelfieSegmenter)
    monkeypatch.setenv("DUBPLATE_BISENET", str(weights))
    chosen = load_segmenter()
    assert isinstance(chosen, BiSeNetSegmenter)
    assert chosen.key() != SelfieSegmenter().key()
