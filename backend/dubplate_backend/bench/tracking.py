# SPDX-License-Identifier: Apache-2.0
"""The tracker on clips whose truth is known and on real footage, beside its bounds and beside landmarks alone."""

import resource
from collections.abc import Callable, Iterator

import numpy as np

from dubplate_backend.bench.figure import Figure
from dubplate_backend.bench.followed_points import followed_error_percent
from dubplate_backend.bench.ict_clip import IctClip, KnownPoints, ict_clip
from dubplate_backend.bench.ict_head import MEDIAPIPE
from dubplate_backend.bench.lip_warp import sample_lips, warp_difference
from dubplate_backend.bench.material import MAN_CLIP, head_file, lip_contact_labels, real
from dubplate_backend.bench.stage import Stage
from dubplate_backend.bench.standin_clip import StandinClip, standin_clip
from dubplate_backend.bench.timed_track import TimedTrack, timed_track
from dubplate_backend.bench.tracking_scores import contact_scores, jitter, lip_gap_mm, truth_scores
from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.footage import Footage
from dubplate_backend.plates.segment import Segment
from dubplate_backend.tracking.frames import Frames
from dubplate_shared.track import Track

MAN = "kitchen_man"
MAN_QUICK = (40, 130)  # frames: closed, open and half closed, with a turn
GRID_CLIPS, GRID_QUICK = ("grid_bbaf2n.mpg", "grid_lrwp9a.mpg", "grid_sbia1a.mpg"), 30
ICT_HEAD = "ict_facekit/ict_face_model.npz"
SPEAKING = (StandinClip(seed=3, frames=100, size=512), StandinClip(seed=11, frames=100, size=512))
SPEAKING_QUICK = (StandinClip(seed=3, frames=40, size=512),)
STILL, STILL_QUICK = StandinClip(seed=5, frames=60, still=True), StandinClip(seed=5, frames=20, size=512, still=True)
ICT = (IctClip(seed=3, frames=100, size=512), IctClip(seed=8, frames=100, size=512))
ICT_QUICK = (IctClip(seed=3, frames=40, size=512),)

LIPS_MM, JAW_DEG, ROTATION_DEG, JITTER_MM, ICT_LIPS_PERCENT = 1.0, 1.5, 0.5, 0.1, 1.5
WARP_RATIO, RECALL, PRECISION, FRAMES_A_SECOND = 0.75, 0.95, 0.9, 2.0
"""Bounds that the tracker is held to."""


def tracking(stage: Stage) -> Iterator[Figure]:
    """Scores of each clip as it is done, with the seconds of each stage.  Raises InvalidInput for an unknown part."""
    for _, part in stage.parts("tracking", PARTS):
        yield from part(stage)
    yield Figure("tracking.peak_memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MiB")


def standin(stage: Stage) -> Iterator[Figure]:
    """The stand-in speaking, against its own parameters."""
    for number, each in enumerate(SPEAKING_QUICK if stage.quick else SPEAKING):
        known = standin_clip(each, stage.head)
        runs = run(Footage.open(known.video), stage)
        scores = [truth_scores(stage.head, each.track, known.track) for each in runs]
        name = f"tracking.standin{number}"
        yield at_most(f"{name}.lips", "mm", LIPS_MM, [score.lips_mm for score in scores])
        yield at_most(f"{name}.lips_p95", "mm", None, [score.lips_worst_mm for score in scores])
        yield at_most(f"{name}.lips_in_skull_space", "mm", None, [score.lips_skull_mm for score in scores])
        yield at_most(f"{name}.jaw", "deg", JAW_DEG, [score.jaw_deg for score in scores])
        yield at_most(f"{name}.jaw_opening", "deg", None, [score.jaw_opening_deg for score in scores])
        yield at_most(f"{name}.rotation", "deg", ROTATION_DEG, [score.rotation_deg for score in scores])
        yield at_most(f"{name}.rotation_p95", "deg", None, [score.rotation_worst_deg for score in scores])
        yield Figure(f"{name}.focal", scores[0].focal_ratio, "of the true")
        yield from speed(name, runs[0])


def ict(stage: Stage) -> Iterator[Figure]:
    """Another head model speaking: its lip points in the picture."""
    model = head_file(ICT_HEAD)
    if model is None:
        print(f"tracking.ict: {ICT_HEAD} is not here; set DUBPLATE_HEADS to the folder that holds it", flush=True)
        return
    for number, each in enumerate(ICT_QUICK if stage.quick else ICT):
        known = ict_clip(each, model)
        runs = run(Footage.open(known.video), stage)
        followed = [followed_error_percent(stage.head, each.track, known.lips) for each in runs]
        name = f"tracking.ict{number}"
        yield at_most(f"{name}.lips", "% of IOD", ICT_LIPS_PERCENT, [error.mean() for error in followed])
        yield at_most(f"{name}.lips_p95", "% of IOD", None, [np.percentile(error, 95) for error in followed])
        yield at_most(f"{name}.lips_untied", "% of IOD", None, [untied_percent(each.track, known) for each in runs])
        yield from speed(name, runs[0])


def still(stage: Stage) -> Iterator[Figure]:
    """The stand-in keeping still: whatever moves is the tracker's."""
    known = standin_clip(STILL_QUICK if stage.quick else STILL, stage.head)
    runs = run(Footage.open(known.video), stage)
    shakes = [jitter(stage.head, each.track) for each in runs]
    yield at_most("tracking.still.jitter", "mm", JITTER_MM, [shake.skull_mm for shake in shakes])
    yield at_most("tracking.still.jitter_in_camera_space", "mm", None, [shake.camera_mm for shake in shakes])
    yield from speed("tracking.still", runs[0])


def man(stage: Stage) -> Iterator[Figure]:
    """A man speaking, 1080 x 1920: how the lips are carried, when they touch, how long it takes."""
    start, stop = MAN_QUICK if stage.quick else (0, None)
    for part in real(MAN_CLIP, start, stop):
        runs = run(part, stage)
        speeds = [part.count / each.seconds for each in runs]
        yield at_least("tracking.man.speed", "frames/s", FRAMES_A_SECOND, speeds)
        yield from speed("tracking.man", runs[0])
        yield from carried("tracking.man", part, runs, stage.head)
        yield from contact(stage.head, runs, start)


def grid(stage: Stage) -> Iterator[Figure]:
    """People of the GRID corpus speaking, 360 x 288: how the lips are carried."""
    for name in GRID_CLIPS[: 1 if stage.quick else None]:
        for part in real(name, 0, GRID_QUICK if stage.quick else None):
            runs = run(part, stage)
            yield from carried(f"tracking.{name.partition('.')[0]}", part, runs, stage.head)
            yield from speed(f"tracking.{name.partition('.')[0]}", runs[0])


def carried(name: str, part: Segment, runs: list[TimedTrack], head: HeadModel) -> Iterator[Figure]:
    """The warp difference, at most WARP_RATIO of that of landmarks alone; and that of the lips without the skin."""
    samples = [sample_lips(head, each.track, part.iter()) for each in runs]
    warps = [warp_difference(head, each) for each in samples]
    yield at_most(f"{name}.warp_difference", "of 255", WARP_RATIO * warps[1] if len(warps) > 1 else None, warps)
    alone = [warp_difference(head, each, lips_alone=True) for each in samples]
    yield at_most(f"{name}.warp_difference_lips", "of 255", None, alone)


def contact(head: HeadModel, runs: list[TimedTrack], start: int) -> Iterator[Figure]:
    """Precision and recall of lip contact on the frames that a person labelled."""
    labels = lip_contact_labels(MAN)
    if labels is None:
        print("tracking.man: the labels of lip contact are not here", flush=True)
        return
    inside = (labels[0] >= start) & (labels[0] < start + len(runs[0].track))
    frames, touching = labels[0][inside] - start, labels[1][inside]
    scores = [contact_scores(lip_gap_mm(head, each.track), frames, touching) for each in runs]
    yield at_least("tracking.man.contact_recall", "", RECALL, [score.recall for score in scores])
    yield at_least("tracking.man.contact_precision", "", PRECISION, [score.precision for score in scores])
    for word, wrong in (("missed", scores[0].missed), ("invented", scores[0].invented)):
        if wrong:
            print(f"tracking.man: contact {word} on frames {', '.join(str(f + start) for f in wrong)}", flush=True)


def run(footage: Frames, stage: Stage) -> list[TimedTrack]:
    """The tracker as it ships and, unless the stage wants it alone, with landmarks alone."""
    return [timed_track(footage, stage.head, photometric=each) for each in ((True,) if stage.alone else (True, False))]


def untied_percent(track: Track, known: KnownPoints) -> float:
    """Mean distance of the lip points that both models define, without a tie: the models' own differences included."""
    distance = np.linalg.norm(track.projected_px[:, list(MEDIAPIPE)] - known.mediapipe_px, axis=-1)  # (T, 8)
    return float(100 * (distance.mean(axis=1) / known.lips.inter_ocular_px).mean())


def speed(name: str, timed: TimedTrack) -> list[Figure]:
    """Seconds of each stage with its share, and frames a second."""
    figures = [
        Figure(f"{name}.stage.{stage or 'unnamed'}", seconds, "s", seconds / timed.seconds, "of the whole")
        for stage, seconds in timed.stages.items()
    ]
    return [*figures, Figure(f"{name}.whole", len(timed.track) / timed.seconds, "frames/s")]


def at_most(name: str, unit: str, bound: float | None, values: list[float]) -> Figure:
    return _beside(name, unit, values, bound, kept=bound is None or values[0] <= bound, word="at most")


def at_least(name: str, unit: str, bound: float, values: list[float]) -> Figure:
    return _beside(name, unit, values, bound, kept=values[0] >= bound, word="at least")


def _beside(name: str, unit: str, values: list[float], bound: float | None, *, kept: bool, word: str) -> Figure:
    """The tracker's value, whether it keeps a bound, and its ratio to that of landmarks alone, or else to the bound."""
    verdict = "" if bound is None else f"{word} {bound:.3g}: {'kept' if kept else 'MISSED'}"
    ours, *peers = (float(value) for value in values)
    if peers and peers[0]:
        against = f"of landmarks alone, {peers[0]:.3f}"
        return Figure(name, ours, unit, ours / peers[0], f"{against}; {verdict}" if verdict else against)
    return Figure(name, ours, unit, ours / bound if bound else None, f"of the bound; {verdict}" if bound else "")


PARTS: dict[str, Callable[[Stage], Iterator[Figure]]] = {
    "standin": standin,
    "ict": ict,
    "still": still,
    "man": man,
    "grid": grid,
}
"""What `--only` names."""
