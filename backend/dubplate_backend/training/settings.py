# SPDX-License-Identifier: Apache-2.0
"""How an actor is adapted and how a prior is trained: batch, rates, weights of the losses. Stored with the result."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AdaptSettings:
    """Defaults are measured for minutes from scratch on two CPU cores (docs/decisions/0041); the paper's, for days
    on a GPU, stand in the comments (DfE sections 3.4 and 4, appendix; systems 1.1.1).
    """

    batch: int = 2  # windows of T frames; paper 4
    network_rate: float = 2e-3  # paper 1e-4, from a prior and for an hour on a GPU
    texture_rate: float = 3e-2  # systems 1.1.6: ten times the network's; more of it is quicker (0138)
    colour_rate: float = 0.1  # of the textures' rate, for their first three channels (0149); paper: 1
    discriminator_rate: float = 1e-3
    warm_up: int = 0  # steps over which the rates rise: Adam's first steps are as long as its rate, whatever they meet
    final_rate: float = 0.01  # of the rates above, reached by a cosine at the end
    betas: tuple[float, float] = (0.8, 0.99)
    ema: float = 0.99  # of the weights that are kept; the horizon grows to this from the start
    held_out: float = 0.1  # last share of each shot's frames
    frames: str = ""  # of each shot that may be trained on, as 1001-1100; all but the held-out ones unless told

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

    mixed: float = 0.0  # windows of the prior's bundle for each window of the actor; paper 1, where there is a prior
    texture_life: int = 0  # steps of a texture until it begins anew; 0: never
    rank: int = 0  # of the factors that are trained in place of the prior's weights; 0: the weights themselves
    bf16: bool = True  # where the device is faster in it
    gradient_limit: float = 0.0  # norm to which the generator's gradient is clipped; 0: never
    augment_colour: float = 0.0  # deviation of a window's exposure, in the logarithm
    augment_shift: float = 0.0  # of the crop: how far a window's crop moves
    augment_track: float = 0.0  # times the tracker's measured jitter

    @property
    def augments(self) -> bool:
        return max(self.augment_colour, self.augment_shift, self.augment_track) > 0.0


LOW_RANK = 8  # of the factors where low rank is asked for: a tenth of draft's weights


def settings_from_prior() -> AdaptSettings:
    """What differs where there is a prior to adapt (docs/decisions/0138)."""
    return AdaptSettings(network_rate=4e-3, texture_rate=1e-1, warm_up=30)


@dataclass(frozen=True)
class PriorSettings(AdaptSettings):
    """What differs where a prior is trained for an hour or two on a CPU (docs/decisions/0135)."""

    batch: int = 4  # windows, as the paper
    network_rate: float = 2e-3  # paper 1e-4, for a week
    texture_rate: float = 2e-2
    colour_rate: float = 1.0
    final_rate: float = 0.05
    ema: float = 0.995
    held_out: float = 0.1
    adversarial_from: float = 0.5
    texture_life: int = 60
    gradient_limit: float = 5.0  # an ordinary step's norm is about 1
    augment_colour: float = 0.10
    augment_shift: float = 0.04
    augment_track: float = 1.0


def paper_settings() -> PriorSettings:
    """The paper's rates and weights throughout (DfE section 4), for days on a GPU."""
    return PriorSettings(
        network_rate=1e-4,
        texture_rate=1e-3,  # systems 1.1.6: ten times the network's
        discriminator_rate=1e-4,
        final_rate=1.0,
        ema=0.9999,
        texture_life=0,
        adversarial=1.0,
        adversarial_from=0.0,
        adversarial_interval=1,
    )
