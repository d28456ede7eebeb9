# SPDX-License-Identifier: Apache-2.0
"""Which frames of a shot an actor is judged on, and the pictures that it has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dubplate_backend.renderers.base import Plates
from dubplate_backend.renderers.neural_texture.crops import crop_picture
from dubplate_backend.training.dataset import LEAST_FRAMES
from dubplate_backend.training.metrics import nearest_lips
from dubplate_backend.training.settings import AdaptSettings
from dubplate_shared.actor import ActorInfo
from dubplate_shared.errors import InvalidInput
from dubplate_shared.frames import parse_frames
from dubplate_shared.progress import Progress, ProgressCallback, Stop, check
from dubplate_shared.shot import Shot

MEAN_SAMPLES = 64  # training frames that make the mean crop


@dataclass(frozen=True)
class HeldOutFrames:
    """Indices into the track.   scored: judged, in order.   train: what actors may have learned from.

    learned_by: names of the actors that learned from this shot.
    """

    scored: tuple[int, ...]
    train: tuple[int, ...]
    learned_by: tuple[str, ...]


def held_out_frames(shot: Shot, actors: Sequence[ActorInfo], frames: Sequence[int] | None) -> HeldOutFrames:
    """The last share of the frames with a face, as `adapt` keeps it from training; or the frames asked for.

    Where every actor that learned from the shot learned from a few frames of it, the baselines have no more than those.
    frames: numbers, None for the usual ones.  Raises InvalidInput where nothing is left to score or to learn from.
    """
    usable = np.flatnonzero(shot.track.confidence > 0)
    if len(usable) < LEAST_FRAMES:
        raise InvalidInput(
            f"Shot {shot.info.name} has {len(usable)} frames with a face; at least {LEAST_FRAMES} are needed.",
            hint="Evaluate on a longer shot.",
        )
    learned = [actor for actor in actors if any(each.get("name") == shot.info.name for each in actor.shots)]
    if frames is None:
        shares = [float(actor.settings.get("held_out", AdaptSettings().held_out)) for actor in actors]
        cut = len(usable) - max(1, round(min(shares) * len(usable)))
        scored, train = usable[cut:], usable[:cut]
    else:
        asked = np.array(shot.indices(frames), int)
        scored, train = np.intersect1d(usable, asked), np.setdiff1d(usable, asked)
    few = [parse_frames(str(only)) if (only := actor.settings.get("frames")) else () for actor in learned]
    if few and all(few):
        train = np.intersect1d(train, np.unique(np.concatenate(few)) - shot.info.first_frame)
    if not len(scored) or not len(train):
        raise InvalidInput(
            f"Of shot {shot.info.name}, {len(scored)} frames would be scored and {len(train)} left to compare with.",
            hint="Name fewer frames, or frames on which a face was tracked.",
        )
    return HeldOutFrames(tuple(scored.tolist()), tuple(train.tolist()), tuple(actor.name for actor in learned))


@dataclass(frozen=True)
class Baselines:
    """mean: uint8 [S, S, 3], of training crops.   nearest: scored index -> crop whose tracked lips are nearest."""

    mean: np.ndarray
    nearest: dict[int, np.ndarray]


def make_baselines(
    shot: Shot, frames: HeldOutFrames, plates: Plates, size: int, progress: ProgressCallback, stop: Stop
) -> Baselines:
    """Crops of the frames that may be learned from.  Raises FootageError, Cancelled."""
    train = np.array(frames.train)
    samples = train[np.unique(np.linspace(0, len(train) - 1, min(MEAN_SAMPLES, len(train))).astype(int))]
    lips = nearest_lips(shot.track, shot.track.confidence > 0, train)
    chosen = {index: int(lips[index]) for index in frames.scored}
    kept: dict[int, np.ndarray] = {}
    total = np.zeros((size, size, 3))
    wanted = sorted({*samples.tolist(), *chosen.values()})
    for done, index in enumerate(wanted):  # in order: seeking in a video costs more than reading on
        check(stop)
        crop = crop_picture(plates(shot.info.first_frame + index), shot.crop[index], size)
        if index in samples:
            total += crop
        if index in chosen.values():
            kept[index] = crop
        progress(Progress(done + 1, len(wanted), f"{shot.info.name}: baselines"))
    mean = np.rint(total / len(samples)).astype(np.uint8)
    return Baselines(mean, {index: kept[source] for index, source in chosen.items()})
