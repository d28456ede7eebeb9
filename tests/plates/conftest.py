# SPDX-License-Identifier: Apache-2.0
"""Videos that the tests make: every frame shows its own number."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest

from footage import HEIGHT, WIDTH, numbered


@pytest.fixture
def video(tmp_path: Path) -> Callable[..., Path]:
    """Make a video of numbered frames. `pts`: presentation times in milliseconds (default 25 fps)."""

    def make(
        name: str = "numbered.mp4",
        *,
        count: int = 40,
        pts: list[int] | None = None,
        codec: str = "libx264",
        options: dict[str, str] | None = None,
        container_options: dict[str, str] | None = None,
        matrix: int = 1,
        metadata: dict[str, str] | None = None,
    ) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w", options=container_options or {}) as container:
            container.metadata.update(metadata or {})
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            stream.gop_size = 12
            stream.options = options or {"crf": "8"}
            stream.codec_context.colorspace = matrix
            stream.codec_context.time_base = Fraction(1, 1000) if pts else Fraction(1, 25)
            for number in range(count):
                frame = av.VideoFrame.from_ndarray(numbered(number), "rgb24").reformat(
                    format="yuv420p", dst_colorspace=matrix, src_color_range=2, dst_color_range=1
                )
                frame.pts = pts[number] if pts else number
                frame.time_base = Fraction(1, 1000) if pts else Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return make
