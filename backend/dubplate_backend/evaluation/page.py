# SPDX-License-Identifier: Apache-2.0
"""evaluation.html: the table and the pictures, in one file that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from dubplate_backend.evaluation.evaluate import Evaluation, SideBySide
from dubplate_backend.evaluation.scores import Scores
from dubplate_backend.tracking.report import STYLE
from dubplate_backend.tracking.report_pictures import embedded
from dubplate_shared.files import atomic_path

NAME = "evaluation.html"
# Field, heading, digits, what is better: +1 more, -1 less, 0 near 1.
COLUMNS = (
    ("psnr", "PSNR dB", 2, 1),
    ("ssim", "SSIM", 3, 1),
    ("mouth_psnr", "mouth PSNR dB", 2, 1),
    ("lip_error_percent", "lip points %", 2, -1),
    ("gap_error_percent", "lip gap %", 2, -1),
    ("gap_correlation", "gap correlation", 3, 1),
    ("shape_drift_percent", "shape drift %", 2, -1),
    ("colour_drift", "colour drift", 2, -1),
    ("flicker", "flicker", 2, 0),
    ("border_flicker", "border flicker", 2, 0),
    ("seam", "seam", 3, 0),
    ("fid", "FID", 1, -1),
    ("fvd", "FVD", 0, -1),
)
NOTES = (
    "PSNR, SSIM and mouth PSNR: inside the redraw mask alone, before compositing; true pixels around it would flatter. "
    "Mouth: lips and interior.",
    "Everything else is measured on finished plates. Lip points and lip gap: distance of FaceMesh's landmarks on the "
    "drawn and on the filmed plate, percent of the distance of the eyes' outer corners.",
    "Shape drift: of jaw and nose, with the upper faces laid on one another; colour drift: of the mean skin colour, "
    "CIELAB. No network that recognises people is used: these two stand in for identity, and blur does not move them.",
    "Flicker: jumps between frames over those of the filmed plate; 1 is as steady as filmed, below 1 smoother. "
    "Border flicker: the same where the matte ramps. Seam: slopes across the matte's border over those beside it, each "
    "as a share of the filmed plate's; 1 is no seam.",
)
PAGE_STYLE = """
th{color:#9aa4b2;font-weight:400;font-size:12px;text-align:right;padding:4px 10px 4px 0;vertical-align:bottom}
td.n{text-align:right;font-variant-numeric:tabular-nums}td.best{color:#7ee787}th:first-child{text-align:left}
.row figure{width:256px}figcaption{min-height:2.6em}
"""


def write_page(path: Path, evaluation: Evaluation) -> None:
    """Write the page. Raises OutputNotWritable."""
    shots = list(dict.fromkeys(row.shot for row in evaluation.rows))
    page = [
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Evaluation</title>',
        f"<style>{STYLE}{PAGE_STYLE}</style><h1>Held-out frames, drawn from their own track</h1>",
        *(f"<p>{escape(note)}</p>" for note in NOTES),
        *warnings(evaluation),
    ]
    for shot in shots:
        rows = [row for row in evaluation.rows if row.shot == shot]
        held = evaluation.facts["frames"][shot]
        page += [
            f"<h2>{escape(shot)}</h2>",
            f"<p>{held['scored']} frames scored, {held['left to learn from']} left to learn from.</p>",
            table(rows),
            *(side_by_side(sample) for sample in evaluation.samples if sample.shot == shot),
        ]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(page) + "\n</html>\n", encoding="utf-8")


def warnings(evaluation: Evaluation) -> list[str]:
    """What a reader must not overlook."""
    found = [
        f"No actor learned from shot {shot}: it is unseen altogether."
        for shot, held in evaluation.facts["frames"].items()
        if not held["learned by"]
    ]
    if evaluation.facts["inception"] and not evaluation.facts["inception_is_the_published"]:
        found.append("The Inception weights are not the published ones: these FIDs compare with no others.")
    if evaluation.facts["inception"] or evaluation.facts["i3d"]:
        found.append(
            "FID and FVD of some dozens of frames of one shot are biased upwards: they compare methods of this page, "
            "and not with published figures."
        )
    return [f'<p class="warning">{escape(text)}</p>' for text in found]


def table(rows: Sequence[Scores]) -> str:
    """The figures of one shot; the best of each column is marked."""
    measured = [
        (name, heading, digits, better)
        for name, heading, digits, better in COLUMNS
        if any(math.isfinite(getattr(row, name)) for row in rows)
    ]
    heads = "".join(f"<th>{heading}</th>" for _, heading, _, _ in measured)
    lines = []
    for row in rows:
        cells = []
        for name, _, digits, better in measured:
            value = getattr(row, name)
            best = math.isfinite(value) and _merit(value, better) >= max(
                _merit(getattr(other, name), better) for other in rows
            )
            text = f"{value:.{digits}f}" if math.isfinite(value) else ""
            cells.append(f'<td class="n{" best" if best else ""}">{text}</td>')
        lines.append(f"<tr><td>{escape(row.method)}</td>{''.join(cells)}</tr>")
    return f"<table><tr><th>method</th>{heads}</tr>{''.join(lines)}</table>"


def _merit(value: float, better: int) -> float:
    if not math.isfinite(value):
        return -math.inf
    return -abs(math.log(value)) if better == 0 and value > 0 else better * value


def side_by_side(sample: SideBySide) -> str:
    """One frame, a picture a method."""
    figures = "".join(
        f"<figure>{embedded(picture, escape(method))}<figcaption>{escape(method)}</figcaption></figure>"
        for method, picture in sample.pictures.items()
    )
    return f"<p>frame {sample.frame}</p><div class='row'>{figures}</div>"
