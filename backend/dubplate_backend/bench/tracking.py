# SPDX-License-Identifier: Apache-2.0
"""The tracker on clips whose truth is known and on real footage, beside its bounds and beside landmarks alone."""

from collections.abc import Callable, Iterator

import numpy as np

from dubplate_backend.bench.figure import Figure
from dubplate_backend.bench.followed_points import followed_error_percent
from dubplate_backend.bench.ict_clip import IctClip, ict_clip
from dubplate_backend.bench.ict_head import MEDIAPIPE
from dubplate_backend.bench.lip_warp import sample_lips, warp_difference
from dubplate_backend.bench.material import clip, head_file, lip_contact_labels
from dubplate_backend.bench.stage import Stage
from dubplate_backend.bench.standin_clip import StandinClip, standin_clip
from dubplate_backend.bench.timed_track import Cut, TimedTrack, timed_track
from dubplate_backend.bench.tracking_scores import contact_scores, jitter_mm, lip_gap_mm, truth_scores
from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.footage import Footage
from dubplate_backend.tracking.track import Frames

MAN, MAN_CLIP = "kitchen_man", "kitchen_man_25fps.mp4"
SPEAKING = (StandinClip(seed=3, frames=125), StandinClip(seed=11, frames=125), StandinClip(seed=29, frames=125))
SPEAKING_QUICK = (StandinClip(seed=3, frames=40, size=512),)
STILL, STILL_QUICK = StandinClip(seed=5, frames=60, still=True), StandinClip(seed=5, frames=20, size=512, still=True)
ICT_HEAD = "ict_facekit/ict_face_model.npz"
ICT, ICT_QUICK = (IctClip(seed=3, frames=125), IctClip(seed=8, frames=125)), (IctClip(seed=3, frames=40, size=512),)
MAN_QUICK = (40, 130)  # frames: closed, open and half closed, with a turn

LIPS_MM, JAW_DEG, ROTATION_DEG, JITTER_MM, ICT_LIPS_PERCENT = 1.0, 1.5, 0.5, 0.1, 1.5
WARP_RATIO, RECALL, PRECISION, FRAMES_A_SECOND = 0.75, 0.95, 0.9, 2.0
"""Bounds that the tracker is held to."""


def tracking(stage: Stage) -> Iterator[Figure]:
    """Scores of each clip as it is done, with the seconds of each stage."""
    for name, part in PARTS.items():
        if stage.only in (None, name):
            yield from part(stage)


def standin(stage: Stage) -> Iterator[Figure]:
    """The stand-in speaking, against its own parameters."""
    for number, each in enumerate(SPEAKING_QUICK if stage.quick else SPEAKING):
        known = standin_clip(each, stage.head)
        ours, plain = both(Footage.open(known.video), stage.head)
        score, peer = (truth_scores(stage.head, run.track, known.track) for run in (ours, plain))
        name = f"tracking.standin{number}"
        yield at_most(f"{name}.lips", score.lips_mm, "mm", LIPS_MM, peer.lips_mm)
        yield at_most(f"{name}.lips_p95", score.lips_worst_mm, "mm", None, peer.lips_worst_mm)
        yield at_most(f"{name}.lips_in_head_space", score.lips_head_mm, "mm", None, peer.lips_head_mm)
        yield at_most(f"{name}.jaw", score.jaw_deg, "deg", JAW_DEG, peer.jaw_deg)
        yield at_most(f"{name}.jaw_opening", score.jaw_opening_deg, "deg", None, peer.jaw_opening_deg)
        yield at_most(f"{name}.rotation", score.rotation_deg, "deg", ROTATION_DEG, peer.rotation_deg)
        yield at_most(f"{name}.rotation_p95", score.rotation_worst_deg, "deg", None, peer.rotation_worst_deg)
        yield Figure(f"{name}.focal", score.focal_ratio, "of the true", peer.focal_ratio, "with landmarks alone")
        yield from speed(name, ours)


def ict(stage: Stage) -> Iterator[Figure]:
    """Another head model speaking: its lip points in the picture."""
    model = head_file(ICT_HEAD)
    if model is None:
        print(f"tracking.ict: {ICT_HEAD} is not here; set DUBPLATE_HEADS to the folder that holds it", flush=True)
        return
    for number, each in enumerate(ICT_QUICK if stage.quick else ICT):
        known = ict_clip(each, model)
        ours, plain = both(Footage.open(known.video), stage.head)
        followed, peer = (followed_error_percent(stage.head, run.track, known.lips) for run in (ours, plain))
        landmarks, landmarks_peer = (
            100 * (np.linalg.norm(run.track.projected_px[:, list(MEDIAPIPE)] - known.mediapipe_px, axis=-1).mean(axis=1)
                   / known.lips.inter_ocular_px).mean()
            for run in (ours, plain)
        )  # fmt: skip
        name = f"tracking.ict{number}"
        yield at_most(f"{name}.lips", followed.mean(), "% of IOD", ICT_LIPS_PERCENT, peer.mean())
        yield at_most(f"{name}.lips_p95", np.percentile(followed, 95), "% of IOD", None, np.percentile(peer, 95))
        yield at_most(f"{name}.lips_untied", landmarks, "% of IOD", None, landmarks_peer)
        yield from speed(name, ours)


def still(stage: Stage) -> Iterator[Figure]:
    """The stand-in keeping still: whatever moves is the tracker's."""
    known = standin_clip(STILL_QUICK if stage.quick else STILL, stage.head)
    ours, plain = both(Footage.open(known.video), stage.head)
    jitter, peer = (jitter_mm(stage.head, run.track) for run in (ours, plain))
    yield at_most("tracking.still.jitter", jitter, "mm", JITTER_MM, peer)
    yield from speed("tracking.still", ours)


def man(stage: Stage) -> Iterator[Figure]:
    """Real footage: how the lips are carried, when they touch, how long it takes."""
    path = clip(MAN_CLIP)
    if path is None:
        print(f"tracking.man: {MAN_CLIP} is not here; set DUBPLATE_CLIPS to the folder that holds it", flush=True)
        return
    start, stop = MAN_QUICK if stage.quick else (0, None)
    footage = Footage.open(path)
    part = Cut(footage, start, footage.count if stop is None else stop)
    ours, plain = both(part, stage.head)
    yield at_least("tracking.man.speed", part.count / ours.seconds, "frames/s", FRAMES_A_SECOND,
                   part.count / plain.seconds)  # fmt: skip
    yield from speed("tracking.man", ours)
    warp, peer = (warp_difference(stage.head, sample_lips(stage.head, run.track, part.iter())) for run in (ours, plain))
    yield at_most("tracking.man.warp_difference", warp, "of 255", WARP_RATIO * peer, peer)
    yield from _contact(stage.head, ours, plain, start)


def _contact(head: HeadModel, ours: TimedTrack, plain: TimedTrack, start: int) -> Iterator[Figure]:
    labels = lip_contact_labels(MAN)
    if labels is None:
        print("tracking.man: the labels of lip contact are not here", flush=True)
        return
    frames, touching = labels
    inside = (frames >= start) & (frames < start + len(ours.track))
    score, peer = (
        contact_scores(lip_gap_mm(head, run.track), frames[inside] - start, touching[inside]) for run in (ours, plain)
    )
    yield at_least("tracking.man.contact_recall", score.recall, "", RECALL, peer.recall)
    yield at_least("tracking.man.contact_precision", score.precision, "", PRECISION, peer.precision)
    for word, wrong in (("missed", score.missed), ("invented", score.invented)):
        if wrong:
            print(f"tracking.man: contact {word} on frames {', '.join(str(f + start) for f in wrong)}", flush=True)


def both(footage: Frames, head: HeadModel) -> tuple[TimedTrack, TimedTrack]:
    """The tracker as it ships, and with landmarks alone."""
    return timed_track(footage, head, photometric=True), timed_track(footage, head, photometric=False)


def speed(name: str, run: TimedTrack) -> list[Figure]:
    """Seconds of each stage with its share, and frames a second."""
    figures = [
        Figure(f"{name}.stage.{stage or 'unnamed'}", seconds, "s", seconds / run.seconds, "of the whole")
        for stage, seconds in run.stages.items()
    ]
    return [*figures, Figure(f"{name}.whole", len(run.track) / run.seconds, "frames/s")]


def at_most(name: str, value: float, unit: str, bound: float | None, peer: float) -> Figure:
    return _beside(name, value, unit, bound, peer, met=bound is None or value <= bound, word="at most")


def at_least(name: str, value: float, unit: str, bound: float | None, peer: float) -> Figure:
    return _beside(name, value, unit, bound, peer, met=bound is None or value >= bound, word="at least")


def _beside(name: str, value: float, unit: str, bound: float | None, peer: float, met: bool, word: str) -> Figure:
    ratio = value / peer if peer else float(np.nan)
    against = f"of landmarks alone, {peer:.3f}"
    if bound is not None:
        against += f"; {word} {bound:.3g}: {'kept' if met else 'MISSED'}"
    return Figure(name, float(value), unit, ratio, against)


PARTS: dict[str, Callable[[Stage], Iterator[Figure]]] = {"standin": standin, "ict": ict, "still": still, "man": man}
"""What `--only` names."""
