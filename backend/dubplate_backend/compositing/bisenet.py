# SPDX-License-Identifier: Apache-2.0
"""BiSeNet on weights that the user gives: face parsing into the 19 classes of CelebAMask-HQ.

The network is BiSeNet (Yu et al. 2018, "BiSeNet", its context path on ResNet-18) in the variant of face-parsing.PyTorch
(MIT): ResNet's features at an eighth stand in for the spatial path.  Names of the weights are that project's, so that
its `79999_iter.pth` loads as it is.  The weights were trained on pictures for research only; they are never bundled.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dubplate_backend.compositing.state_dict import fill, read_state
from dubplate_shared.files import sha256_file

CLASSES = (
    "background", "skin", "left_brow", "right_brow", "left_eye", "right_eye", "glasses", "left_ear", "right_ear",
    "earring", "nose", "mouth", "upper_lip", "lower_lip", "neck", "necklace", "cloth", "hair", "hat",
)  # fmt: skip
# What DfE 3.7 calls face and neck.  Hair and clothes are filmed and stay filmed.
FACE_AND_NECK = tuple(
    index
    for index, name in enumerate(CLASSES)
    if name not in ("background", "earring", "necklace", "cloth", "hair", "hat")
)
# ImageNet's statistics, of 0..1 RGB.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HINT = "Give face-parsing.PyTorch's 79999_iter.pth, or the same state dict as .safetensors."


class BiSeNetSegmenter:
    """Face and neck by BiSeNet.  Implements `background.Segmenter`."""

    size = 512  # px, that the weights were trained at
    context = 1.4  # crop sides: CelebA-HQ's pictures hold the whole head with its hair

    def __init__(self, network: BiSeNet, sha256: str) -> None:
        self._network, self._sha256 = network.eval(), sha256

    @classmethod
    def load(cls, path: Path | str) -> BiSeNetSegmenter:
        """Read a state dict. Pickled code in it is never run (weights_only). Raises InvalidInput."""
        path = Path(path)
        network = BiSeNet()
        fill(network, read_state(path, HINT), path, HINT)
        return cls(network, sha256_file(path))

    def person(self, rgb: np.ndarray) -> np.ndarray:
        """uint8 [512, 512, 3] -> float32 [512, 512], the share of face and neck in what the network believes."""
        picture = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None].float() / 255.0
        normal = (picture - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(DEVIATION).view(1, 3, 1, 1)
        with torch.inference_mode():
            shares = self._network(normal).softmax(dim=1)  # [1, 19, 512, 512]
        return np.asarray(shares[0, list(FACE_AND_NECK)].sum(dim=0).clamp(max=1.0).numpy())

    def key(self) -> str:
        return f"bisenet-{self._sha256}"

    def close(self) -> None:
        """There is nothing to let go of."""


class BiSeNet(nn.Module):
    """[N, 3, H, W] normalised RGB -> [N, 19, H, W] scores.  The auxiliary heads, of training alone, are not built."""

    def __init__(self, classes: int = len(CLASSES)) -> None:
        super().__init__()
        self.cp = ContextPath()
        self.ffm = FeatureFusion(256, 256)
        self.conv_out = Output(256, 256, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        eighth, context = self.cp(pictures)
        scores = self.conv_out(self.ffm(eighth, context))
        return F.interpolate(scores, pictures.shape[2:], mode="bilinear", align_corners=True)


class Convolution(nn.Module):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class Output(nn.Module):
    def __init__(self, inputs: int, middle: int, classes: int) -> None:
        super().__init__()
        self.conv = Convolution(inputs, middle)
        self.conv_out = nn.Conv2d(middle, classes, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_out(self.conv(x))


class AttentionRefinement(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = Convolution(inputs, outputs)
        self.conv_atten = nn.Conv2d(outputs, outputs, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x * self.bn_atten(self.conv_atten(x.mean(dim=(2, 3), keepdim=True))).sigmoid()


class FeatureFusion(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convblk = Convolution(inputs, outputs, kernel=1)
        self.conv1 = nn.Conv2d(outputs, outputs // 4, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs // 4, outputs, 1, bias=False)

    def forward(self, fine: Tensor, context: Tensor) -> Tensor:
        x = self.convblk(torch.cat((fine, context), dim=1))
        return x + x * self.conv2(F.relu(self.conv1(x.mean(dim=(2, 3), keepdim=True)))).sigmoid()


class ContextPath(nn.Module):
    """Returns ResNet's features at an eighth [N, 128, H/8, W/8] and the context at the same size."""

    def __init__(self) -> None:
        super().__init__()
        self.resnet = ResNet18()
        self.arm16 = AttentionRefinement(256, 128)
        self.arm32 = AttentionRefinement(512, 128)
        self.conv_head32 = Convolution(128, 128)
        self.conv_head16 = Convolution(128, 128)
        self.conv_avg = Convolution(512, 128, kernel=1)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        eighth, sixteenth, last = self.resnet(pictures)
        x = self.arm32(last) + self.conv_avg(last.mean(dim=(2, 3), keepdim=True))
        x = self.conv_head32(F.interpolate(x, sixteenth.shape[2:], mode="nearest"))
        x = self.arm16(sixteenth) + x
        return eighth, self.conv_head16(F.interpolate(x, eighth.shape[2:], mode="nearest"))


class ResNet18(nn.Module):
    """He et al. 2015, table 1, without its classifier.  Returns features at an eighth, a sixteenth, a 32nd."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(Residual(64, 64, 1), Residual(64, 64, 1))
        self.layer2 = nn.Sequential(Residual(64, 128, 2), Residual(128, 128, 1))
        self.layer3 = nn.Sequential(Residual(128, 256, 2), Residual(256, 256, 1))
        self.layer4 = nn.Sequential(Residual(256, 512, 2), Residual(512, 512, 1))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(pictures))), 3, stride=2, padding=1)
        eighth = self.layer2(self.layer1(x))
        sixteenth = self.layer3(eighth)
        return eighth, sixteenth, self.layer4(sixteenth)


class Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        changed = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(changed + (x if self.downsample is None else self.downsample(x)))
