# SPDX-License-Identifier: Apache-2.0
"""Inception features for FID, on weights that the user gives: pytorch-fid's `pt_inception-2015-12-05-6726825d.pth`.

The network is Inception v3 (Szegedy et al. 2015) as TensorFlow's 2015 graph has it: pools that leave padding out of
their means, and a largest instead of a mean pool in the last block (pytorch-fid, Apache-2.0, says so).  Names of the
weights are torchvision's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dubplate_backend.compositing.state_dict import fill, read_state
from dubplate_shared.files import sha256_file

PUBLISHED = "6726825d"  # how the published file's SHA-256 begins
SIZE = 299  # px
FEATURES = 2048
HINT = "Give pytorch-fid's pt_inception-2015-12-05-6726825d.pth."


class InceptionFeatures:
    """Pictures to 2048 numbers each."""

    def __init__(self, path: Path | str) -> None:
        """Raises InvalidInput where the file does not hold this network's weights."""
        path = Path(path)
        self._network = Inception()
        fill(self._network, read_state(path, HINT), path, HINT)
        self._network.eval()
        self.sha256 = sha256_file(path)

    @property
    def published(self) -> bool:
        """Whether these are the weights that published figures are computed with."""
        return self.sha256.startswith(PUBLISHED)

    def of(self, picture: np.ndarray) -> np.ndarray:
        """float [S, S, 3] 0..1 -> float32 [2048]."""
        with torch.inference_mode():
            x = torch.from_numpy(np.ascontiguousarray(picture, np.float32)).permute(2, 0, 1)[None]
            return np.asarray(self._network(x)[0].numpy())


class Inception(nn.Module):
    """[N, 3, H, W] 0..1 -> [N, 2048]."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = Convolution(32, 32, 3)
        self.Conv2d_2b_3x3 = Convolution(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = Convolution(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = BlockA(192, 32), BlockA(256, 64), BlockA(288, 64)
        self.Mixed_6a = BlockB(288)
        self.Mixed_6b, self.Mixed_6c = BlockC(128), BlockC(160)
        self.Mixed_6d, self.Mixed_6e = BlockC(160), BlockC(192)
        self.Mixed_7a = BlockD(768)
        self.Mixed_7b, self.Mixed_7c = BlockE(1280, largest=False), BlockE(2048, largest=True)

    def forward(self, pictures: Tensor) -> Tensor:
        x = F.interpolate(pictures, (SIZE, SIZE), mode="bilinear", align_corners=False) * 2.0 - 1.0
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = F.max_pool2d(x, 3, stride=2)
        x = F.max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)), 3, stride=2)
        for block in (self.Mixed_5b, self.Mixed_5c, self.Mixed_5d, self.Mixed_6a, self.Mixed_6b, self.Mixed_6c):
            x = block(x)
        for block in (self.Mixed_6d, self.Mixed_6e, self.Mixed_7a, self.Mixed_7b, self.Mixed_7c):
            x = block(x)
        return x.mean(dim=(2, 3))


class Convolution(nn.Module):
    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int],
        *,
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


def wide(inputs: int, outputs: int, size: int) -> Convolution:
    """One row of `size`."""
    return Convolution(inputs, outputs, (1, size), padding=(0, size // 2))


def tall(inputs: int, outputs: int, size: int) -> Convolution:
    """One column of `size`."""
    return Convolution(inputs, outputs, (size, 1), padding=(size // 2, 0))


def mean_around(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class BlockA(nn.Module):
    def __init__(self, inputs: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = Convolution(inputs, 64, 1)
        self.branch5x5_1 = Convolution(inputs, 48, 1)
        self.branch5x5_2 = Convolution(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = Convolution(inputs, 64, 1)
        self.branch3x3dbl_2 = Convolution(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Convolution(96, 96, 3, padding=1)
        self.branch_pool = Convolution(inputs, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        fives = self.branch5x5_2(self.branch5x5_1(x))
        threes = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat((self.branch1x1(x), fives, threes, self.branch_pool(mean_around(x))), dim=1)


class BlockB(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = Convolution(inputs, 384, 3, stride=2)
        self.branch3x3dbl_1 = Convolution(inputs, 64, 1)
        self.branch3x3dbl_2 = Convolution(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Convolution(96, 96, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        threes = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat((self.branch3x3(x), threes, F.max_pool2d(x, 3, stride=2)), dim=1)


class BlockC(nn.Module):
    def __init__(self, middle: int) -> None:
        super().__init__()
        self.branch1x1 = Convolution(768, 192, 1)
        self.branch7x7_1 = Convolution(768, middle, 1)
        self.branch7x7_2 = wide(middle, middle, 7)
        self.branch7x7_3 = tall(middle, 192, 7)
        self.branch7x7dbl_1 = Convolution(768, middle, 1)
        self.branch7x7dbl_2 = tall(middle, middle, 7)
        self.branch7x7dbl_3 = wide(middle, middle, 7)
        self.branch7x7dbl_4 = tall(middle, middle, 7)
        self.branch7x7dbl_5 = wide(middle, 192, 7)
        self.branch_pool = Convolution(768, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        sevens = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat((self.branch1x1(x), sevens, double, self.branch_pool(mean_around(x))), dim=1)


class BlockD(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3_1 = Convolution(inputs, 192, 1)
        self.branch3x3_2 = Convolution(192, 320, 3, stride=2)
        self.branch7x7x3_1 = Convolution(inputs, 192, 1)
        self.branch7x7x3_2 = wide(192, 192, 7)
        self.branch7x7x3_3 = tall(192, 192, 7)
        self.branch7x7x3_4 = Convolution(192, 192, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        threes = self.branch3x3_2(self.branch3x3_1(x))
        sevens = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat((threes, sevens, F.max_pool2d(x, 3, stride=2)), dim=1)


class BlockE(nn.Module):
    def __init__(self, inputs: int, *, largest: bool) -> None:
        super().__init__()
        self.largest = largest
        self.branch1x1 = Convolution(inputs, 320, 1)
        self.branch3x3_1 = Convolution(inputs, 384, 1)
        self.branch3x3_2a, self.branch3x3_2b = wide(384, 384, 3), tall(384, 384, 3)
        self.branch3x3dbl_1 = Convolution(inputs, 448, 1)
        self.branch3x3dbl_2 = Convolution(448, 384, 3, padding=1)
        self.branch3x3dbl_3a, self.branch3x3dbl_3b = wide(384, 384, 3), tall(384, 384, 3)
        self.branch_pool = Convolution(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        three, double = self.branch3x3_1(x), self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = F.max_pool2d(x, 3, stride=1, padding=1) if self.largest else mean_around(x)
        parts = (self.branch3x3_2a(three), self.branch3x3_2b(three))
        more = (self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double))
        return torch.cat((self.branch1x1(x), *parts, *more, self.branch_pool(pooled)), dim=1)
