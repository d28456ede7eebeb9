# SPDX-License-Identifier: Apache-2.0
"""Sound: decoded samples line up with the pictures' clock."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from dubplate_backend.speech.sound import audio, extract_wav, has_sound, write_wav
from dubplate_shared.errors import FootageError
from footage import clip

RATE = 8000


def tone(seconds: float = 1.0) -> np.ndarray:
    return (np.sin(np.arange(int(seconds * RATE)) * 0.5) * 0.4).astype(np.float32)


def test_a_wav_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", tone(), RATE)
    samples, rate = audio(tmp_path / "a.wav")
    assert rate == RATE and samples.dtype == np.float32
    assert np.abs(samples - tone()).max() < 1e-6


def test_two_channels_are_averaged_and_kept_apart_in_a_copy(tmp_path: Path) -> None:
    write_wav(tmp_path / "stereo.wav", np.stack([tone(), np.zeros(RATE, np.float32)]), RATE)
    assert np.abs(audio(tmp_path / "stereo.wav")[0] - tone() / 2).max() < 1e-6
    assert extract_wav(tmp_path / "stereo.wav", tmp_path / "copy.wav") == pytest.approx(1.0)
    copy, rate = soundfile.read(tmp_path / "copy.wav", dtype="float32")
    assert copy.shape == (RATE, 2) and rate == RATE
    assert np.abs(copy[:, 0] - tone()).max() < 1e-6


@pytest.mark.parametrize("start", [-0.25, 0.25])
def test_sound_is_shifted_to_where_the_pictures_begin(tmp_path: Path, start: float) -> None:
    write_wav(tmp_path / "a.wav", tone(), RATE)
    samples, _ = audio(tmp_path / "a.wav", start_s=start)
    shift = round(start * RATE)
    if start < 0:
        assert not samples[:-shift].any() and np.abs(samples[-shift:] - tone()).max() < 1e-6
    else:
        assert np.abs(samples - tone()[shift:]).max() < 1e-6


def test_files_without_sound_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound here")
    with pytest.raises(FootageError):
        audio(tmp_path / "text.wav")
    with pytest.raises(FootageError):
        extract_wav(tmp_path / "text.wav", tmp_path / "out.wav")
    assert not (tmp_path / "out.wav").exists()


def test_the_sound_of_the_development_clip_is_as_long_as_its_pictures(tmp_path: Path) -> None:
    path = clip("kitchen_man_25fps.mp4")
    assert has_sound(path)
    assert extract_wav(path, tmp_path / "voice.wav", start_s=0.0) == pytest.approx(502 / 25, abs=0.05)
