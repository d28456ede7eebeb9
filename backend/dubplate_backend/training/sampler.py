# SPDX-License-Identifier: Apache-2.0
"""Batches of windows: at random for training, balanced by identity, and in order for scoring."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dubplate_backend.speech.mel import BANDS, WINDOW_COLUMNS
from dubplate_backend.training.augment import Augmentation, augmented, draw_augmentation
from dubplate_backend.training.dataset import Frames, ShotCrops
from dubplate_backend.training.settings import AdaptSettings

BUNDLED = -1  # in the place of an identity: the window brings its sampled texels along


@dataclass(frozen=True)
class Window:
    """T frames and what belongs to them."""

    frames: Frames
    reference: Tensor  # [T, 3, S, S] -1..1
    mel: Tensor  # [80, 16]
    heard: bool
    identity: int = 0  # whose texture: its place among the trainer's, or BUNDLED
    texels: Tensor | None = None  # [T, C, S, S] where BUNDLED


@dataclass(frozen=True)
class Batch:
    """B windows of T frames. Frames are stored as B * T."""

    frames: Frames
    reference: Tensor  # [B * T, 3, S, S] -1..1
    mel: Tensor  # [B, 80, 16]
    heard: Tensor  # [B] bool
    identities: tuple[int, ...]  # B of them, those that are BUNDLED last
    texels: Tensor | None  # [N * T, C, S, S] of the N windows that are BUNDLED
    everyone: tuple[int, ...]  # identities of the whole step, other processes' windows included

    def of(self, identity: int) -> Batch:
        """The same windows, all with that identity's texture."""
        return replace(self, identities=(identity,) * len(self.identities), everyone=(identity,))

    def to(self, device: torch.device | str) -> Batch:
        """The same on `device`."""
        names = ("rgb", "filled", "uv", "flags")
        return Batch(
            frames=Frames(**{name: getattr(self.frames, name).to(device) for name in names}),
            reference=self.reference.to(device),
            mel=self.mel.to(device),
            heard=self.heard.to(device),
            identities=self.identities,
            texels=None if self.texels is None else self.texels.to(device),
            everyone=self.everyone,
        )


@dataclass(frozen=True)
class _Pick:
    """All that is left to chance about one window."""

    shot: int  # its place among the crops
    index: int
    references: npt.NDArray[np.intp]  # [T] places among the members' choices
    moment: int | None  # whose sound is heard
    change: Augmentation | None


class WindowSampler:
    """Draws training batches; all its chance comes from one numpy generator, whose state is saved with a checkpoint.

    Each window's identity is drawn first, all alike, then one of its training frames: long footage of one person weighs
    no more than short footage of another.  Of several processes each draws every batch and loads its share of it.
    """

    def __init__(
        self,
        crops: Sequence[ShotCrops],
        settings: AdaptSettings,
        *,
        window: int,
        random: np.random.Generator,
        identities: Sequence[int] | None = None,
        process: tuple[int, int] = (0, 1),
    ) -> None:
        """identities: whose each of `crops` is, 0 upwards; one person's unless told.  process: this one's number, and
        how many there are.
        """
        self.crops, self.settings = list(crops), settings
        self.window, self.random, self.process = window, random, process
        self.identities = list(identities) if identities is not None else [0] * len(self.crops)
        self._centres: list[list[tuple[int, int]]] = [[] for _ in range(max(self.identities) + 1)]
        for number, (shot, identity) in enumerate(zip(self.crops, self.identities, strict=True)):
            self._centres[identity] += [(number, int(index)) for index in shot.train]

    def draw(self) -> Batch:
        """The next batch: windows anywhere in the training frames, sound dropped or swapped as told."""
        windows, everyone = self.windows()
        return stack(windows, everyone)

    def windows(self) -> tuple[list[Window], tuple[int, ...]]:
        """This process's windows of the next batch, and the identities of all of it."""
        picks = [self._pick() for _ in range(self.settings.batch)]
        number, count = self.process
        everyone = tuple(sorted({self.identities[pick.shot] for pick in picks}))
        return [self._load(pick) for pick in picks[number::count]], everyone

    def _pick(self) -> _Pick:
        centres = self._centres[int(self.random.integers(len(self._centres)))]
        number, index = centres[int(self.random.integers(len(centres)))]
        shot = self.crops[number]
        references = self.random.integers(shot.choices.shape[1], size=self.window)
        change = None
        if self.settings.augments:
            change = draw_augmentation(self.random, self.settings, self.window, shot.rgb.shape[1])
        return _Pick(number, index, references, self._moment(shot, index), change)

    def _moment(self, shot: ShotCrops, index: int) -> int | None:
        chance, elsewhere = self.random.random(), int(self.random.choice(shot.train))
        dropped = self.settings.sound_dropped
        if shot.mel is None or chance < dropped:
            return None
        return elsewhere if chance < dropped + self.settings.sound_swapped else index

    def _load(self, pick: _Pick) -> Window:
        shot = self.crops[pick.shot]
        members = shot.window(pick.index, self.window)
        frames, reference = shot.frames(members), shot.pictures(shot.choices[members, pick.references])
        if pick.change is not None:
            frames, reference = augmented(frames, reference, pick.change)
        heard = pick.moment is not None
        return Window(frames, reference, _mel(shot, pick.moment), heard, self.identities[pick.shot])


def ordered_windows(shot: ShotCrops, indices: npt.NDArray[np.intp], window: int, identity: int = 0) -> Iterator[Window]:
    """Windows centred on `indices` in order, as the renderer would see them."""
    for index in indices:
        members = shot.window(int(index), window)
        reference = shot.pictures(shot.assigned[members])
        yield Window(shot.frames(members), reference, _mel(shot, int(index)), shot.mel is not None, identity)


def ordered_batches(
    shot: ShotCrops, indices: npt.NDArray[np.intp], window: int, batch: int, identity: int = 0
) -> Iterator[Batch]:
    """The same in batches; the last one may be smaller."""
    for start in range(0, len(indices), batch):
        yield stack(list(ordered_windows(shot, indices[start : start + batch], window, identity)))


def stack(windows: Sequence[Window], everyone: Sequence[int] | None = None) -> Batch:
    """Windows as one batch, those that are BUNDLED last.  everyone: of the whole step; of `windows` unless told."""
    windows = sorted(windows, key=lambda each: each.identity == BUNDLED)
    names = ("rgb", "filled", "uv", "flags")
    given = [each.texels for each in windows if each.texels is not None]
    identities = tuple(each.identity for each in windows)
    return Batch(
        frames=Frames(**{name: torch.cat([getattr(each.frames, name) for each in windows]) for name in names}),
        reference=torch.cat([each.reference for each in windows]),
        mel=torch.stack([each.mel for each in windows]),
        heard=torch.tensor([each.heard for each in windows]),
        identities=identities,
        texels=torch.cat(given) if given else None,
        everyone=tuple(everyone) if everyone is not None else tuple(sorted(set(identities) - {BUNDLED})),
    )


def _mel(shot: ShotCrops, index: int | None) -> Tensor:
    """[80, 16], zeros where nothing is heard."""
    if shot.mel is None or index is None:
        return torch.zeros(BANDS, WINDOW_COLUMNS)
    return torch.from_numpy(shot.mel[index])
