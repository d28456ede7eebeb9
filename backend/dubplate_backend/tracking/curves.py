# SPDX-License-Identifier: Apache-2.0
"""Curves over a shot's frames as SVG, drawn for a page that needs nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

WIDTH, HEIGHT = 1080, 110  # of one plot, without what is written around it
LEFT, RIGHT, TOP, BOTTOM = 54, 12, 24, 18
MOST_POINTS = 1200  # more are drawn as the least and the most of each step
TICKS = 3
FRAME_TICKS = 8


@dataclass(frozen=True)
class Curve:
    """values: (T,).   colour: CSS."""

    label: str
    values: np.ndarray
    colour: str


@dataclass(frozen=True)
class Band:
    """Frames first..last, marked in every plot.   text: shown under the pointer."""

    first: int
    last: int
    text: str


def plot(title: str, curves: Sequence[Curve], frames: np.ndarray, bands: Sequence[Band], *, least_top: float) -> str:
    """One plot as an SVG element.   frames: (T,) numbers.   least_top: what the axis reaches at least, so that noise is
    not blown up."""
    low = min(0.0, *(float(curve.values.min()) for curve in curves))
    high = max(least_top, *(float(curve.values.max()) for curve in curves))
    first, last = int(frames[0]), int(frames[-1])

    def across(frame: float) -> float:
        return LEFT + (frame - first + 0.5) / (last - first + 1) * WIDTH

    def down(value: float) -> float:
        return TOP + (high - value) / (high - low) * HEIGHT

    parts = [f'<text x="{LEFT}" y="15" class="title">{escape(title)}</text>']
    for band in bands:
        left, right = across(band.first - 0.5), across(band.last + 0.5)
        parts.append(
            f'<rect x="{left:.1f}" y="{TOP}" width="{max(right - left, 2):.1f}" height="{HEIGHT}" class="band">'
            f"<title>{escape(band.text)}</title></rect>"
        )
    for value in np.linspace(low, high, TICKS):
        parts.append(f'<path d="M{LEFT} {down(value):.1f}h{WIDTH}" class="grid"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{down(value) + 4:.1f}" class="tick end">{value:.3g}</text>')
    for frame in np.unique(np.linspace(first, last, FRAME_TICKS).astype(int)):
        parts.append(f'<text x="{across(frame):.1f}" y="{TOP + HEIGHT + 14}" class="tick middle">{frame}</text>')
    named = LEFT + WIDTH
    for curve in reversed(curves):
        parts.append(
            f'<text x="{named}" y="15" class="tick end" style="fill:{curve.colour}">{escape(curve.label)}</text>'
        )
        named -= 8 * len(curve.label) + 12
    for curve in curves:
        points = " ".join(f"{across(x):.1f},{down(y):.1f}" for x, y in thinned(frames, curve.values))
        parts.append(f'<polyline points="{points}" style="stroke:{curve.colour}"/>')
    box = f"0 0 {LEFT + WIDTH + RIGHT} {TOP + HEIGHT + BOTTOM}"
    return f'<svg viewBox="{box}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'


def thinned(frames: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(N, 2) points that look like all of them."""
    if len(values) <= MOST_POINTS:
        return np.stack([frames, values], axis=1)
    chosen = []
    for step in np.array_split(np.arange(len(values)), MOST_POINTS // 2):
        chosen += sorted({int(step[np.argmin(values[step])]), int(step[np.argmax(values[step])])})
    return np.stack([frames[chosen], values[chosen]], axis=1)
