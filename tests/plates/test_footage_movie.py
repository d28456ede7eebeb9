# SPDX-License-Identifier: Apache-2.0
"""Movies: what is written is read back with its colours, tags, times and sound."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from dubplate_backend.plates.footage import Footage
from dubplate_backend.plates.movie import write_movie
from dubplate_shared.errors import InvalidInput
from dubplate_shared.shot import Rate
from footage import number_of, numbered


def test_a_movie_reads_back_with_its_frames_rate_and_colours(tmp_path: Path) -> None:
    frames = [numbered(number) for number in range(30)]
    assert write_movie(tmp_path / "out.mp4", iter(frames), Rate(24000, 1001)) == 30
    footage = Footage.open(tmp_path / "out.mp4")
    assert (footage.rate, footage.colour_space) == (Rate(24000, 1001), "bt709")
    assert [number_of(rgb) for rgb in footage] == list(range(30))
    assert np.abs(footage.frame(3).astype(int) - frames[3]).mean() < 4


def test_the_stream_is_tagged_bt709_in_narrow_range(tmp_path: Path) -> None:
    write_movie(tmp_path / "out.mp4", [numbered(0)], Rate(25))
    with av.open(str(tmp_path / "out.mp4")) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range) == (1, 1, 1, 1)
        assert codec.name == "h264" and codec.pix_fmt == "yuv420p"


def test_odd_sizes_are_filled_up_by_a_row_and_a_column(tmp_path: Path) -> None:
    write_movie(tmp_path / "odd.mp4", [numbered(7)[:63, :95]], Rate(25))
    footage = Footage.open(tmp_path / "odd.mp4")
    assert (footage.width, footage.height) == (96, 64)


def test_sound_starts_with_the_pictures_and_ends_with_them(tmp_path: Path) -> None:
    rate = 16000
    tone = np.sin(np.arange(3 * rate) * 2 * np.pi * 440 / rate).astype(np.float32) * 0.5
    tone[: rate // 2] = 0
    soundfile.write(tmp_path / "voice.wav", tone, rate)
    write_movie(tmp_path / "out.mp4", [numbered(i) for i in range(50)], Rate(25), tmp_path / "voice.wav")
    from dubplate_backend.speech.sound import audio

    heard, heard_rate = audio(tmp_path / "out.mp4", start_s=0.0)
    assert heard_rate == rate
    assert len(heard) / rate == pytest.approx(2.0, abs=0.1)
    onset = np.argmax(np.abs(heard) > 0.1) / rate
    assert onset == pytest.approx(0.5, abs=0.01)


def test_a_movie_that_fails_midway_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        write_movie(tmp_path / "out.mp4", [numbered(0), numbered(1)[:32]], Rate(25))
    with pytest.raises(InvalidInput):
        write_movie(tmp_path / "none.mp4", [], Rate(25))
    assert list(tmp_path.iterdir()) == []
