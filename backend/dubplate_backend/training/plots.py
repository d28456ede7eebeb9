# SPDX-License-Identifier: Apache-2.0
"""What a run leaves to look at: the losses as a table and a plot, and held-out frames beside the truth."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from dubplate_shared.files import atomic_path

SMOOTHED = 50  # a plotted line is the mean over a fiftieth of the run
CAPTION_PX = 14
ENLARGED = 2  # a draft crop of 128 px is small to look at

LossRow = dict[str, float]


def write_losses(path: Path, rows: Sequence[LossRow]) -> None:
    """One row an iteration; a loss that was not taken in a step is empty."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, names)
        table.writeheader()
        table.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in rows)


def read_losses(path: Path) -> dict[str, list[float]]:
    """Each column of such a table, steps in which a loss was not taken left out."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows if row[name]] for name in (rows[0] if rows else ())}


def plot_losses(path: Path, rows: Sequence[LossRow], note: str) -> None:
    """All losses over the iterations, logarithmic.  note: a line beneath the title."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name in dict.fromkeys(name for row in rows for name in row if name not in ("iteration", "seconds")):
        points = np.array([(row["iteration"], row[name]) for row in rows if name in row])
        width = max(1, len(points) // SMOOTHED)
        smooth = np.convolve(points[:, 1], np.full(width, 1.0 / width), mode="valid")
        axes.plot(points[width - 1 :, 0], np.maximum(smooth, 1e-6), label=name)
    axes.set(xlabel="iteration", ylabel="loss, unweighted", yscale="log")
    axes.set_title(note, fontsize=9)
    axes.grid(alpha=0.3)
    if rows:
        axes.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def picture_grid(path: Path, rows: Sequence[tuple[str, npt.NDArray[np.uint8]]]) -> None:
    """Captioned rows of pictures.  Each row: (caption, [N, S, S, 3])."""
    strips = []
    for caption, pictures in rows:
        strip = np.concatenate(list(pictures), axis=1)
        image = Image.fromarray(strip).resize((strip.shape[1] * ENLARGED, strip.shape[0] * ENLARGED), Image.NEAREST)
        strips.append((caption, image))
    width = max(image.width for _, image in strips)
    sheet = Image.new("RGB", (width, sum(image.height + CAPTION_PX for _, image in strips)), (24, 24, 24))
    draw, top = ImageDraw.Draw(sheet), 0
    for caption, image in strips:
        draw.text((4, top + 1), caption, fill=(220, 220, 220))
        sheet.paste(image, (0, top + CAPTION_PX))
        top += image.height + CAPTION_PX
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG")
