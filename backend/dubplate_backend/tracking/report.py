# SPDX-License-Identifier: Apache-2.0
"""report.html: one page that tells a person whether a track is good, and where it is not. It needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np

from dubplate_backend.head.model import HeadModel
from dubplate_backend.tracking.curves import Band, Curve, plot
from dubplate_backend.tracking.frames import Frames
from dubplate_backend.tracking.quality import Quality
from dubplate_backend.tracking.report_pictures import albedo_picture, embedded, face_and_mouth, light_spheres
from dubplate_shared.files import atomic_path
from dubplate_shared.flags import Flag
from dubplate_shared.frames import format_frames
from dubplate_shared.progress import Progress, ProgressCallback, Stop, check
from dubplate_shared.track import Track

REPORT_NAME = "report.html"
SAMPLES = 6  # frames all over the shot
MOST_FLAGS_SHOWN = 12  # with a picture; the rest are named
SPHERES = 12
BLUE, ORANGE, GREEN, GREY, RED = "#6cb6ff", "#ffb454", "#7ee787", "#9aa4b2", "#ff7b72"
STYLE = """
:root{color-scheme:dark}
body{background:#14171c;color:#d7dde5;font:14px/1.5 system-ui,sans-serif}
body{margin:32px auto;max-width:1160px;padding:0 16px}
h1{font-size:22px;margin:0}h2{font-size:16px;margin:36px 0 8px}p{color:#9aa4b2;margin:4px 0 12px;max-width:80ch}
dl{display:flex;flex-wrap:wrap;gap:10px;margin:18px 0}
dl div{background:#1c2128;border-radius:8px;padding:10px 14px;min-width:130px}
dt{color:#9aa4b2;font-size:12px}dd{margin:0;font-size:20px}dd small{font-size:12px;color:#9aa4b2}
table{border-collapse:collapse;width:100%}
td{border-top:1px solid #2a313b;padding:8px 10px 8px 0;vertical-align:top}td:first-child{white-space:nowrap}
img{border-radius:6px;display:block;max-width:100%;height:auto}figure{margin:0}figcaption{color:#9aa4b2;font-size:12px}
.row{display:flex;flex-wrap:wrap;gap:14px}.half{max-width:calc(50% - 7px)}
svg{width:100%;height:auto;margin:2px 0}svg text{font:12px system-ui,sans-serif;fill:#9aa4b2}
svg .title{fill:#d7dde5}svg .end{text-anchor:end}svg .middle{text-anchor:middle}
svg polyline{fill:none;stroke-width:1.4;stroke-linejoin:round}svg .grid{stroke:#262d37}svg .band{fill:#ff7b7233}
.warning{color:#ffb454}
"""


def write_report(
    path: Path,
    name: str,
    track: Track,
    crop: np.ndarray,
    quality: Quality,
    flags: Sequence[Flag],
    footage: Frames,
    head: HeadModel,
    *,
    albedo: np.ndarray | None,
    figures: Mapping[str, float],
    warnings: Sequence[str],
    progress: ProgressCallback,
    stop: Stop,
) -> None:
    """Write the page.   crop: (T, 2, 3).   albedo: (V, 3) linear RGB, None where colours were not fitted.   figures: as
    `Figures.to_json` and `Quality.figures` name them.  Raises FootageError, OutputNotWritable, Cancelled."""
    shown = with_pictures(flags)
    first = int(track.frame[0])
    samples = sample_frames(quality)
    wanted = np.unique([*samples, *(flag.worst - first for flag in shown)]).astype(int)
    drawn: dict[int, str] = {}
    for index in wanted.tolist():  # sought one by one: few of many
        check(stop)
        drawn[index] = embedded(
            face_and_mouth(footage.frame(index), track, crop[index], index), f"frame {first + index}"
        )
        progress(Progress(len(drawn), len(wanted), "report"))
    page = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(name)}: track</title>',
        f"<style>{STYLE}</style><h1>{escape(name)}</h1>",
        f"<p>{len(track)} frames, {track.frame[0]} to {track.frame[-1]}.</p>",
        "".join(f'<p class="warning">{escape(warning)}</p>' for warning in warnings),
        headlines(figures, colours=albedo is not None),
        "<h2>Look at these frames</h2>",
        flag_table(flags, shown, {first + index: picture for index, picture in drawn.items()}),
        "<h2>Over the shot</h2><p>Bands are flagged frames: rest the pointer on one for its reason.</p>",
        *plots(track, quality, flags, colours=albedo is not None),
        "<h2>Frames all over the shot</h2>",
        "<p>Green: lines of the head. Red: lips and eyes as detected. The lines belong on the lips.</p>",
        '<div class="row">',
        *(f'<figure class="half">{drawn[index]}<figcaption>{first + index}</figcaption></figure>' for index in samples),
        "</div>",
    ]
    if albedo is not None:
        lit = np.flatnonzero(quality.has_face)
        lit = lit[np.unique(np.linspace(0, len(lit) - 1, min(SPHERES, len(lit))).astype(int))]
        skin = embedded(albedo_picture(head, track.shape, albedo), "the head in its learned colours")
        spheres = embedded(light_spheres(track.lighting[lit]), "spheres under each frame's light")
        page += [
            "<h2>Skin and light</h2>",
            "<p>What was learned of the skin's colour, in even light: shadows and highlights of the plate do not belong"
            " there. Below, a grey ball under the light of some frames: it changes only where the light does.</p>",
            f"<figure>{skin}</figure><br><figure>{spheres}<figcaption>Frames {format_frames((lit + first).tolist())}"
            "</figcaption></figure>",
        ]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(page) + "\n</html>\n", encoding="utf-8")


def sample_frames(quality: Quality) -> list[int]:
    """Indices of frames with a face, all over the shot."""
    face = np.flatnonzero(quality.has_face)
    places = np.linspace(0, len(face) - 1, min(SAMPLES, len(face)))
    return [int(index) for index in face[np.unique(places.astype(int))]]


def with_pictures(flags: Sequence[Flag]) -> tuple[Flag, ...]:
    """The flags that get a picture: the longest of each reason first."""
    rank: dict[int, int] = {}
    counted: dict[str, int] = {}
    for flag in sorted(flags, key=lambda flag: -len(flag.frames)):
        rank[id(flag)] = counted.get(flag.reason, 0)
        counted[flag.reason] = rank[id(flag)] + 1
    return tuple(sorted(flags, key=lambda flag: rank[id(flag)])[:MOST_FLAGS_SHOWN])


def headlines(figures: Mapping[str, float], *, colours: bool) -> str:
    """The figures that count, as cards."""
    of_eyes = "% of eye distance"
    cards = [
        ("frames with a face", f"{figures['frames_with_face']:.0f}", f"of {figures['frames']:.0f}"),
        ("flagged frames", f"{figures['flagged_frames']:.0f}", ""),
        ("landmarks, face", f"{figures['face_error_percent']:.2f}", of_eyes),
        ("landmarks, lips", f"{figures['lips_error_percent']:.2f}", of_eyes),
        ("lip gap error", f"{figures['lip_gap_error_percent']:.2f}", of_eyes),
        ("change of turn", f"{figures['turn_change_deg']:.2f}", "degrees rms"),
        ("change of place", f"{figures['shift_change_mm']:.2f}", "mm rms"),
        ("change of lips", f"{figures['lips_change_mm']:.2f}", "mm rms"),
    ]
    if colours:
        cards.append(("colours", f"{figures['colour_error_percent']:.1f}", "% of range"))
    return "<dl>" + "".join(f"<div><dt>{a}</dt><dd>{b} <small>{c}</small></dd></div>" for a, b, c in cards) + "</dl>"


def flag_table(flags: Sequence[Flag], shown: Sequence[Flag], drawn: Mapping[int, str]) -> str:
    """All flags, with the worst frame of those that have a picture."""
    if not flags:
        return "<p>Nothing is flagged. Watch preview.mp4 all the same.</p>"
    rows = []
    for flag in flags:
        picture = drawn[flag.worst] if flag in shown else ""
        rows.append(
            f"<tr><td>{format_frames(flag.frames)}</td><td>{escape(flag.says)}</td>"
            f"<td>{picture}<figcaption>worst: {flag.worst}</figcaption></td></tr>"
        )
    return f"<table>{''.join(rows)}</table>"


def plots(track: Track, quality: Quality, flags: Sequence[Flag], *, colours: bool) -> list[str]:
    """The curves, one SVG each."""
    bands = [Band(flag.frames[0], flag.frames[-1], f"{format_frames(flag.frames)}: {flag.says}") for flag in flags]
    percent = "% of eye distance"
    drawn: list[tuple[str, list[Curve], float]] = [
        (
            "Confidence",
            [Curve("confidence", quality.confidence, GREEN), Curve("hidden mouth", quality.hidden, RED)],
            1.0,
        ),
        (
            f"Distance from the detected landmarks, {percent}",
            [Curve("face", quality.face_error_percent, GREY), Curve("lips", quality.lips_error_percent, BLUE)],
            2.0,
        ),
        (
            f"Gap between the lips, {percent}",
            [Curve("detected", quality.seen_gap_percent, RED), Curve("tracked", quality.lip_gap_percent, GREEN)],
            5.0,
        ),
        ("Jaw, degrees", [Curve("opening", quality.jaw_deg, BLUE)], 5.0),
        ("Change of the head's turn from frame to frame, degrees", [Curve("turn", quality.turn_change_deg, BLUE)], 1.0),
        (
            "Change of motion from frame to frame, mm",
            [Curve("head", quality.shift_change_mm, GREY), Curve("lips", quality.lips_change_mm, ORANGE)],
            2.0,
        ),
    ]
    if colours:
        error = 100 * quality.colour_error
        drawn.append(("Colours apart, % of the display's range", [Curve("mean", error, ORANGE)], 5.0))
    return [plot(title, curves, track.frame, bands, least_top=top) for title, curves, top in drawn]
