# SPDX-License-Identifier: Apache-2.0
"""StyleGAN2's layers in plain PyTorch.  Source: Karras et al. 2020, "Analyzing and Improving the Image Quality of
StyleGAN" (equalised learning rate, weight demodulation eq. 1-3, [1, 3, 3, 1] resampling, ToRGB skips).

Modulation scales a convolution's input channels and demodulation its output channels, which equals scaling the
weights for each sample and lets one ordinary convolution serve the whole batch.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2  # LeakyReLU
GAIN = math.sqrt(2.0)  # keeps the variance through a LeakyReLU
DEMODULATION_EPSILON = 1e-8


def activate(x: Tensor) -> Tensor:
    """LeakyReLU in place. Its gain is taken from what goes in, where it costs nothing: GAIN * f(x) = f(GAIN * x)."""
    return F.leaky_relu_(x, SLOPE)


def blur_kernel(gain: float = 1.0) -> Tensor:
    """[4, 4]: the [1, 3, 3, 1] binomial, summing to `gain`."""
    line = torch.tensor([1.0, 3.0, 3.0, 1.0])
    kernel = torch.outer(line, line)
    return kernel * (gain / kernel.sum())


class Blur(nn.Module):
    """Depthwise [1, 3, 3, 1] low-pass.  pad: (before, after) on both axes."""

    def __init__(self, pad: tuple[int, int], gain: float = 1.0) -> None:
        super().__init__()
        self.pad = (*pad, *pad)
        self.register_buffer("kernel", blur_kernel(gain)[None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        return F.conv2d(F.pad(x, self.pad), self.kernel.expand(channels, 1, 4, 4), groups=channels)


def upsample(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, C, 2H, 2W]. Bilinear at half-pixel offsets is exactly the [1, 3, 3, 1] filter."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class EqualisedLinear(nn.Module):
    """Linear layer whose weights are stored at unit variance and scaled at run time."""

    def __init__(
        self, inputs: int, outputs: int, *, bias: float = 0.0, rate: float = 1.0, activation: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.scale = rate / math.sqrt(inputs)
        self.rate = rate
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        gain = GAIN if self.activation else 1.0
        y = F.linear(x, self.weight * (gain * self.scale), self.bias * (gain * self.rate))
        return activate(y) if self.activation else y


class EqualisedConv(nn.Module):
    """Convolution with run-time weight scaling; `down` blurs and strides by two (StyleGAN2's ConvLayer)."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, down: bool = False, bias: bool = True, activation: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale = 1.0 / math.sqrt(inputs * kernel * kernel)
        self.blur = Blur(((kernel + 2) // 2, (kernel + 1) // 2)) if down else None
        self.stride = 2 if down else 1
        self.padding = 0 if down else kernel // 2
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        if self.blur is not None:
            x = self.blur(x)
        gain = GAIN if self.activation else 1.0
        bias = None if self.bias is None else gain * self.bias
        y = F.conv2d(x, self.weight * (gain * self.scale), bias, stride=self.stride, padding=self.padding)
        return activate(y) if self.activation else y


class ModulatedConv(nn.Module):
    """Convolution whose input channels are scaled by a style, demodulated to a deviation of `gain` (eq. 1-3); `up`
    doubles the resolution by a transposed convolution and the [1, 3, 3, 1] filter.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        style_dim: int,
        *,
        up: bool = False,
        demodulate: bool = True,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.style = EqualisedLinear(style_dim, inputs, bias=1.0)
        self.scale = 1.0 / math.sqrt(inputs * kernel * kernel)
        self.blur = Blur((1, 1), gain=4.0) if up else None  # 4: the zeros inserted between samples
        self.padding = 0 if up else kernel // 2
        self.demodulate = demodulate
        self.gain = gain

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """x: [B, C, H, W].  w: [B, style_dim].  Returns [B, C', H', W']."""
        style = self.style(w)  # [B, C]
        weight = self.weight * self.scale
        x = x * style[:, :, None, None]
        if self.blur is not None:
            y = self.blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2))
        else:
            y = F.conv2d(x, weight, padding=self.padding)
        if self.demodulate:
            energy = style.square() @ weight.square().sum(dim=(2, 3)).T  # [B, C']
            y = y * (self.gain * torch.rsqrt(energy + DEMODULATION_EPSILON))[:, :, None, None]
        return y


class StyledConv(nn.Module):
    """Modulated convolution, then the encoder's map in the noise's place: concatenated, scaled by a learned scalar
    (StyleSync; systems 1.1.2).  Outputs twice `outputs` channels.

    StyleSync starts the scalar at 0 and trains for days; here it starts at 1, since minutes must do (decision 0040).
    """

    def __init__(self, inputs: int, outputs: int, style_dim: int, *, up: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, outputs, 3, style_dim, up=up, gain=GAIN)
        self.skip_gain = nn.Parameter(torch.ones(1))
        self.bias = nn.Parameter(torch.zeros(1, 2 * outputs, 1, 1))

    def forward(self, x: Tensor, w: Tensor, skip: Tensor) -> Tensor:
        y = torch.cat((self.conv(x, w), (GAIN * self.skip_gain) * skip), dim=1)  # [B, 2C, H, W]
        return activate(y.add_(GAIN * self.bias))


class ToRGB(nn.Module):
    """1x1 modulated convolution without demodulation, added to the upsampled picture of the level below.

    Its weights start at zero, so that an untrained network draws no residual at all.
    """

    def __init__(self, inputs: int, outputs: int, style_dim: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, outputs, 1, style_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, outputs, 1, 1))
        nn.init.zeros_(self.conv.weight)

    def forward(self, x: Tensor, w: Tensor, below: Tensor | None) -> Tensor:
        rgb = self.conv(x, w) + self.bias
        return rgb if below is None else rgb + upsample(below)
