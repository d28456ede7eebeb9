# SPDX-License-Identifier: Apache-2.0
"""How an actor is adapted: batch, rates, weights of the losses. Stored in actor.json."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AdaptSettings:
    """Defaults are measured for minutes from scratch on two CPU cores (docs/decisions/0041); the paper's, for days
    on a GPU, stand in the comments (DfE sections 3.4 and 4, appendix; systems 1.1.1).
    """

    batch: int = 2  # windows of T frames; paper 4
    network_rate: float = 2e-3  # paper 1e-4, from a prior
    texture_rate: float = 1e-2  # systems 1.1.6: ten times the network's
    discriminator_rate: float = 1e-3
    final_rate: float = 0.1  # of the rates above, reached by a cosine at the end
    betas: tuple[float, float] = (0.8, 0.99)
    ema: float = 0.99  # of the weights that are kept; the horizon grows to this from the start
    held_out: float = 0.1  # last share of each shot's frames

    pixel: float = 10.0  # paper: 10 L1
    mouth: float = 10.0  # region weights of the L1; paper 10, 8, 1
    lower_face: float = 8.0
    elsewhere: float = 1.0
    perceptual: float = 10.0  # paper: 10 VGG; also weighs what stands in for it
    texture: float = 5.0  # paper: 5 reg
    adversarial: float = 0.1  # paper: 1 LSGAN, at a twentieth of these rates; a judgement (decision 0041)
    adversarial_from: float = 0.3  # share of the run before which there is no discriminator
    adversarial_interval: int = 2  # the discriminator joins every so many steps: it costs half a step
    r1: float = 1.0  # gradient penalty of the discriminator (lazy, systems 1.1.4)
    r1_interval: int = 16  # steps

    sound_dropped: float = 0.5  # of training windows, replaced by the learned code
    sound_swapped: float = 0.15  # of training windows, from another moment
    reference_choices: int = 6  # training draws a frame's reference from this many best
