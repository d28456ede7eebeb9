# SPDX-License-Identifier: Apache-2.0
"""Vertices of FaceFormer and Imitator as takes, on a head of FLAME's exact format."""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from take_files import empty_shot

from dubplate_backend.head.model import HeadModel
from dubplate_backend.head.unpickle import UnsafePickle
from dubplate_backend.interchange.import_take import TakeSettings, import_take
from dubplate_backend.interchange.vertex_fit import fit_vertices
from dubplate_backend.speech.mouth import LipGauge
from dubplate_shared.errors import Cancelled, HeadModelMismatch, InvalidInput
from dubplate_shared.shot import Shot

FRAMES = 60
OWN = 5023


@pytest.fixture(scope="module")
def head(flame) -> HeadModel:
    return flame.head


@pytest.fixture(scope="module")
def performer() -> np.ndarray:
    """Another person than the shot's actor."""
    shape = np.zeros(300, np.float32)
    shape[:8] = np.random.default_rng(2).normal(0, 0.7, 8)
    return shape


@pytest.fixture(scope="module")
def codes(head: HeadModel) -> tuple[np.ndarray, np.ndarray]:
    """Two seconds of speech at 30 a second: lips meet at the start, in the middle and at the end."""
    at = np.arange(FRAMES) / 30
    jaw = np.zeros((FRAMES, 3), np.float32)
    jaw[:, 0] = np.radians(6) * (1 - np.cos(2 * np.pi * at)) / 1
    jaw[:, 1] = np.radians(1) * np.sin(2 * np.pi * at / 2)
    expression = np.outer(0.6 * np.sin(np.pi * at) ** 2, head.controls["pucker"][0].numpy()).astype(np.float32)
    random = np.random.default_rng(1).normal(0, 0.3, (3, 100))
    expression += np.einsum("kt,kc->tc", [np.sin(2 * np.pi * k * at / 2) for k in (1, 2, 3)], random).astype(np.float32)
    return expression, jaw


@pytest.fixture(scope="module")
def vertices(head: HeadModel, performer: np.ndarray, codes: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return posed(head, performer, *codes)


@pytest.fixture(scope="module")
def neutral(head: HeadModel, performer: np.ndarray) -> np.ndarray:
    return posed(head, performer, np.zeros((1, 100), np.float32), np.zeros((1, 3), np.float32))[0]


@pytest.fixture
def shot(head: HeadModel, tmp_path: Path) -> Shot:
    return empty_shot(tmp_path / "man.dubshot", head, frames=50)


def posed(head: HeadModel, shape: np.ndarray, expression: np.ndarray, jaw: np.ndarray) -> np.ndarray:
    """(T, 5023, 3): what such a model would write."""
    return head.vertices(*(torch.from_numpy(code) for code in (shape, expression, jaw))).numpy()[:, :OWN]


def test_vertices_give_back_the_codes_that_made_them(head, neutral, vertices, codes) -> None:
    fit = fit_vertices(head, neutral, vertices, fps=30)
    assert fit.lip_error_mm.mean() < 0.05 and fit.lip_error_mm.max() < 0.1
    assert np.abs(np.degrees(fit.jaw - codes[1])).max() < 0.5
    assert np.abs(fit.expression - codes[0]).mean() < 0.05


def test_noise_of_a_millimetre_neither_trembles_nor_opens_the_jaw_upwards(head, performer, neutral, vertices) -> None:
    noisy = vertices + np.random.default_rng(0).normal(0, 1e-3, vertices.shape).astype(np.float32)
    fit = fit_vertices(head, neutral, noisy, fps=30)
    assert fit.jaw[:, 0].min() >= 0.0
    again = posed(head, performer, fit.expression.astype(np.float32), fit.jaw.astype(np.float32))
    lips = head.masks["lips"][:OWN].numpy()
    off = np.linalg.norm((again - vertices)[:, lips], axis=-1)
    jitter = np.abs(np.diff((again - vertices)[:, lips], 2, axis=0)).mean()
    assert off.mean() < 5e-4 and jitter < 6e-4  # of noise whose own are 1.6e-3 and 2e-3


def test_a_thousand_frames_are_fitted_in_about_a_second_of_one_core(head, neutral, vertices) -> None:
    many = np.tile(vertices, (17, 1, 1))[:1000]
    before = time.process_time()
    fit_vertices(head, neutral, many, fps=30)
    assert time.process_time() - before < 4.0  # four times what is measured, for a busy machine


@pytest.mark.parametrize("form", ["batch", "millimetres", "imitator"])
def test_every_form_of_the_file_becomes_the_same_take(head, shot, tmp_path, vertices, neutral, form) -> None:
    file = tmp_path / "line.npy"
    arrays = {
        "batch": vertices.reshape(1, FRAMES, -1),
        "millimetres": 1000 * vertices,
        "imitator": np.array({"line": {"prediction": vertices.reshape(1, FRAMES, -1)}}, dtype=object),
    }
    np.save(file, arrays[form], allow_pickle=True)
    at_rest = tmp_path / "neutral.npy"
    np.save(at_rest, 1000 * neutral if form == "millimetres" else neutral)
    made = import_take(file, shot, "line", head=head, settings=TakeSettings(neutral=at_rest))
    middles = (np.arange(50) + 0.5) / 25 - 0.5 / 30  # two seconds of 25 frames, not sixty of 30
    wanted = 6 * (1 - np.cos(2 * np.pi * middles))
    assert np.abs(np.degrees(made.take.jaw[:, 0]) - wanted).max() < 0.6
    assert made.figures["lip_error_mm"] < 0.05
    assert made.take.origin["neutral"]["sha256"] and made.take.origin["format"] == "flame_vertices"


def test_lips_that_touch_in_the_performance_touch_on_the_actor(head, tmp_path, vertices) -> None:
    shot = empty_shot(tmp_path / "same.dubshot", head, frames=50)
    file = tmp_path / "line.npy"
    np.save(file, vertices)
    take = import_take(file, shot, "line", head=head).take
    gap_mm = 1e3 * LipGauge(head, shot.track.shape).gap_m(take.expression, take.jaw)
    assert abs(gap_mm[25]) < 0.3 and gap_mm[12] > 3.0


def test_without_a_neutral_it_is_found_and_said(head, shot, tmp_path, vertices) -> None:
    file = tmp_path / "line.npy"
    np.save(file, vertices)
    made = import_take(file, shot, "line", head=head)
    assert np.degrees(made.take.jaw[:, 0]).max() > 9
    assert any("--neutral" in warning for warning in made.warnings)


def test_the_speakers_own_face_is_taken_from_vocasets_templates(head, shot, tmp_path, vertices, neutral) -> None:
    file = tmp_path / "line_FaceTalk_170913.npy"
    np.save(file, vertices)
    faces = {"FaceTalk_170728": np.zeros((OWN, 3)), "FaceTalk_170913": neutral.astype(np.float64)}
    templates = tmp_path / "templates.pkl"
    templates.write_bytes(pickle.dumps(faces, protocol=2))
    made = import_take(file, shot, "line", head=head, settings=TakeSettings(neutral=templates))
    assert made.figures["lip_error_mm"] < 0.05
    with pytest.raises(InvalidInput, match="none is named"):
        np.save(tmp_path / "who.npy", vertices)
        import_take(tmp_path / "who.npy", shot, "line", head=head, settings=TakeSettings(neutral=templates))


def test_other_heads_are_refused_with_the_reason(head, standin, shot, tmp_path, vertices) -> None:
    file = tmp_path / "x.npy"
    np.save(file, np.zeros((2, 23370 * 3), np.float32))
    with pytest.raises(HeadModelMismatch, match="BIWI"):
        import_take(file, shot, "x", head=head)
    np.save(file, np.zeros((2, 5000, 3), np.float32))
    with pytest.raises(HeadModelMismatch, match="5000"):
        import_take(file, shot, "x", head=head)
    np.save(file, vertices[:, np.random.default_rng(0).permutation(OWN)])
    with pytest.raises(HeadModelMismatch, match="no face of FLAME"):
        import_take(file, shot, "x", head=head)
    np.save(file, vertices)
    with pytest.raises(HeadModelMismatch, match="standin"):
        import_take(file, empty_shot(tmp_path / "s.dubshot", standin), "x", head=standin)


def test_a_choice_of_sequences_is_asked_for_by_name(head, shot, tmp_path, vertices) -> None:
    file = tmp_path / "results_dict.npy"
    np.save(file, np.array({"one": vertices, "two": vertices[:30]}, dtype=object), allow_pickle=True)
    with pytest.raises(InvalidInput, match="one, two"):
        import_take(file, shot, "x", head=head)
    made = import_take(file, shot, "x", head=head, settings=TakeSettings(sequence="two"))
    assert made.figures["seconds"] == 1.0


class _Hostile:
    def __reduce__(self) -> tuple:
        return os.system, ("touch /tmp/dubplate_hostile_take",)


def test_a_hostile_file_runs_nothing(head, shot, tmp_path) -> None:
    mark = Path("/tmp/dubplate_hostile_take")
    mark.unlink(missing_ok=True)
    file = tmp_path / "x.npy"
    np.save(file, np.array({"one": _Hostile()}, dtype=object), allow_pickle=True)
    with pytest.raises(UnsafePickle):
        import_take(file, shot, "x", head=head)
    file.write_bytes(pickle.dumps(_Hostile()))
    with pytest.raises(InvalidInput):
        import_take(file, shot, "x", head=head)
    assert not mark.exists()


def test_broken_files_are_refused_in_a_sentence(head, shot, tmp_path, vertices) -> None:
    file = tmp_path / "x.npy"
    np.save(file, vertices)
    whole = file.read_bytes()
    nan = vertices.copy()
    nan[7, 3, 1] = np.nan
    for content in (whole[: len(whole) // 2], b"", b"PK\x03\x04", nan, vertices[..., :2], np.zeros((0, OWN, 3))):
        if isinstance(content, bytes):
            file.write_bytes(content)
        else:
            np.save(file, content)
        with pytest.raises((InvalidInput, HeadModelMismatch)) as refused:
            import_take(file, shot, "x", head=head)
        assert refused.value.hint


def test_it_stops_when_asked(head, shot, tmp_path, vertices) -> None:
    file = tmp_path / "line.npy"
    np.save(file, vertices)
    with pytest.raises(Cancelled):
        import_take(file, shot, "x", head=head, stop=lambda: True)
