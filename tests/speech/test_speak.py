# SPDX-License-Identifier: Apache-2.0
"""A voice becomes a mouth: loudness opens it, silence and lip sounds close it."""

from __future__ import annotations

import numpy as np
import pytest

from dubplate_backend.speech.loudness import STEP_S, listen
from dubplate_backend.speech.sound import audio
from dubplate_backend.speech.speak import mouth_curves
from dubplate_backend.synthetic.performance import perform
from dubplate_backend.synthetic.utterance import Utterance, babble
from dubplate_backend.synthetic.voice import VOICE_RATE, synthesise
from dubplate_shared.errors import InvalidInput
from tests.footage import clip

RECORDINGS = (
    "css10_de_achtgesichterambiwasse_0044.wav",
    "css10_es_19demarzo_0008.wav",
    "css10_fr_lesmis_0153.wav",
    "css10_jp_meian_0051.wav",
    "whisper_tests_jfk.flac",
)


def voice(seed: int = 3, seconds: float = 8.0) -> tuple[Utterance, np.ndarray]:
    utterance = babble(seconds, seed=seed)
    return utterance, synthesise(utterance, seed=seed)


def envelope(samples: np.ndarray, rate: int, count: int) -> np.ndarray:
    """Loudness by plain RMS over 50 ms, measured apart from the code under test."""
    window = int(0.05 * rate)
    power = np.convolve(samples.astype(np.float64) ** 2, np.ones(window) / window, mode="same")
    return np.sqrt(power[np.clip((np.arange(count) * STEP_S * rate).astype(int), 0, len(power) - 1)])


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_jaw_follows_the_loudness_of_real_speech(name: str) -> None:
    samples, rate = audio(clip(name))
    speech = listen(samples, rate)
    jaw = mouth_curves(speech).jaw_deg
    loudness = envelope(samples, rate, len(jaw))
    assert np.corrcoef(jaw, loudness)[0, 1] > 0.7
    assert 5.0 < np.percentile(jaw, 95) < 14.0
    assert jaw.max() < 18.0
    assert np.std(jaw) > 2.0


@pytest.mark.parametrize("name", RECORDINGS)
def test_real_pauses_keep_the_mouth_closed(name: str) -> None:
    samples, rate = audio(clip(name))
    jaw = mouth_curves(listen(samples, rate)).jaw_deg
    loudness = envelope(samples, rate, len(jaw))
    quiet = loudness < max(0.02 * np.percentile(loudness, 95), 1.6 * np.percentile(loudness, 3))  # old recordings hiss
    settled = np.convolve(quiet, np.ones(41), mode="same") > 40.5  # quiet for 200 ms on either side
    assert settled.any()
    assert jaw[settled].max() < 0.5


def test_the_jaw_of_a_generated_voice_follows_the_jaw_that_made_it() -> None:
    utterance, samples = voice()
    curves = mouth_curves(listen(samples, VOICE_RATE))
    times = np.arange(200) / 25 + 0.02
    true_jaw = perform(utterance, times, seed=3).jaw_deg
    assert np.corrcoef(curves.at(times, 0.04).jaw_deg, true_jaw)[0, 1] > 0.7


def test_lips_close_on_most_bilabials_and_on_few_vowels() -> None:
    met, vowels = [], []
    for seed in range(4):
        utterance, samples = voice(seed)
        close = mouth_curves(listen(samples, VOICE_RATE)).close
        for segment in utterance.segments[1:]:
            span = slice(
                int(segment.start_s / STEP_S), max(int(segment.end_s / STEP_S), int(segment.start_s / STEP_S) + 1)
            )
            if segment.symbol in "mbp":
                met.append(close[span].max() > 0.5)
            elif segment.symbol in ("aa", "ae", "eh", "ah"):
                vowels.append(close[int(segment.centre_s / STEP_S)] > 0.5)
    assert np.mean(met) > 0.6
    assert np.mean(vowels) < 0.1


def test_neither_gain_nor_sample_rate_moves_the_mouth() -> None:
    _, samples = voice()
    reference = mouth_curves(listen(samples, VOICE_RATE))
    quieter = mouth_curves(listen(0.05 * samples, VOICE_RATE))
    slower = mouth_curves(listen(samples.repeat(2), 2 * VOICE_RATE))
    assert np.abs(quieter.jaw_deg - reference.jaw_deg).max() < 1.0
    assert np.corrcoef(slower.jaw_deg, reference.jaw_deg[: len(slower.jaw_deg)])[0, 1] > 0.98


def test_a_breath_between_phrases_does_not_open_the_mouth() -> None:
    utterance, samples = voice()
    pause = max(utterance.segments[1:-1], key=lambda s: (s.symbol == "_") * (s.end_s - s.start_s))
    start, stop = (int(time * VOICE_RATE) for time in (pause.start_s + 0.08, pause.end_s - 0.08))
    noise = np.random.default_rng(0).normal(0, 1, stop - start) * np.hanning(stop - start)
    breathing = samples.copy()
    breathing[start:stop] += (0.02 * noise).astype(np.float32)
    middle = int(0.5 * (pause.start_s + pause.end_s) / STEP_S)
    assert mouth_curves(listen(breathing, VOICE_RATE)).jaw_deg[middle] < 0.5


def test_noise_without_a_voice_and_digital_silence_keep_the_mouth_closed() -> None:
    noise = np.random.default_rng(1).normal(0, 0.05, 2 * VOICE_RATE).astype(np.float32)
    assert mouth_curves(listen(noise, VOICE_RATE)).jaw_deg.max() < 0.5
    assert mouth_curves(listen(np.zeros(VOICE_RATE, np.float32), VOICE_RATE)).jaw_deg.max() == 0.0


@pytest.mark.parametrize("fps", [12.0, 24000 / 1001, 25.0, 60.0])
def test_curves_keep_their_time_at_any_frame_rate(fps: float) -> None:
    _, samples = voice()
    curves = mouth_curves(listen(samples, VOICE_RATE))
    times = np.arange(int(8 * fps)) / fps + 0.5 / fps
    sampled = curves.at(times, 1 / fps).jaw_deg
    direct = np.interp(times, np.arange(len(curves.jaw_deg)) * STEP_S, curves.jaw_deg)
    assert np.abs(sampled - direct).mean() < 0.6


def test_the_mouth_rests_beyond_the_end_of_the_sound() -> None:
    _, samples = voice(seconds=3.0)
    curves = mouth_curves(listen(samples, VOICE_RATE))
    beyond = curves.at(np.linspace(3.2, 8.0, 50), 0.04)
    assert beyond.jaw_deg.max() == 0.0 and beyond.close.max() == 0.0


def test_sound_that_is_not_a_number_is_refused_with_the_fix() -> None:
    with pytest.raises(InvalidInput, match="NaN") as caught:
        listen(np.full(16000, np.nan, np.float32), 16000)
    assert caught.value.hint
