# SPDX-License-Identifier: Apache-2.0
"""The mel spectrogram that the network hears."""

from __future__ import annotations

import numpy as np
import pytest

from dubplate_backend.speech.mel import COLUMNS_PER_SECOND, mel, mel_window
from dubplate_shared.errors import InvalidInput

HEARD = (-2.55294, -0.98057, -0.70385, -0.40091, -0.19552, -0.52111, 0.04161, 0.11062)


def tone(hertz: float, seconds: float, rate: int) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def test_eighty_columns_a_second_within_four_and_silence_at_the_floor():
    quiet = mel(np.zeros(16000, np.float32), 16000)
    assert quiet.shape == (80, 81) and (quiet == -4).all() and quiet.dtype == np.float32
    loud = mel(tone(440, 1, 16000), 16000)
    assert np.isfinite(loud).all() and loud.max() > 0 and np.abs(loud).max() <= 4


def test_a_higher_tone_lies_in_a_higher_band():
    peaks = [mel(tone(hertz, 1, 16000), 16000)[:, 40].argmax() for hertz in (200, 800, 3000)]
    assert peaks == sorted(set(peaks))


def test_the_rate_of_the_file_does_not_matter():
    one, two = (mel(tone(440, 1, rate), rate)[:, 5:-5] for rate in (16000, 44100))
    assert np.abs(one[:, :70] - two[:, :70]).mean() < 0.15


@pytest.mark.parametrize("fps", [24, 25, 30000 / 1001, 50])
def test_a_click_is_in_the_middle_of_its_frames_window_at_any_fps(fps):
    frame = 20
    at = (frame + 0.5) / fps
    sound = np.zeros(2 * 16000, np.float32)
    sound[int(at * 16000)] = 0.9
    window = mel_window(mel(sound, 16000), at)
    assert window.shape == (80, 16)
    assert abs((window.mean(axis=0) + 4) @ np.arange(16) / (window.mean(axis=0) + 4).sum() - 8) < 1.0


def test_beyond_the_sound_there_is_silence():
    spectrogram = mel(tone(440, 0.3, 16000), 16000)
    assert (mel_window(spectrogram, -5) == -4).all() and (mel_window(spectrogram, 99) == -4).all()
    edge = mel_window(spectrogram, 0.0)
    assert (edge[:, :7] == -4).all() and edge[:, 9:].max() > 0
    assert COLUMNS_PER_SECOND == 80


def test_it_hears_as_librosa_does():
    """Numbers of librosa 0.11.0 (stft, filters.mel, soxr_hq) for the same sound: actors were taught with them."""
    noise = np.random.default_rng(1).uniform(-0.1, 0.1, 44100).astype(np.float32)
    column = mel(noise, 44100)[::10, 40]
    assert np.abs(column - HEARD).max() < 1e-4, column


def test_stereo_and_broken_samples_are_refused():
    with pytest.raises(InvalidInput, match="mono"):
        mel(np.zeros((2, 100), np.float32), 16000)
    with pytest.raises(InvalidInput, match="NaN"):
        mel(np.array([0.0, np.nan], np.float32), 16000)
    assert mel(np.zeros(0, np.float32), 16000).shape[0] == 80
