# SPDX-License-Identifier: Apache-2.0
"""What a user knows already is held: the shape, the lens, the camera, the skin's model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.footage import Footage
from dubplate_backend.tracking.albedo import gaussian_process_albedo
from dubplate_backend.tracking.flame_texture import SIDE, flame_texture_albedo
from dubplate_backend.tracking.lens import Lens
from dubplate_backend.tracking.settings import TrackSettings
from dubplate_backend.tracking.shape_file import load_shape
from dubplate_backend.tracking.solved_camera import SolvedCamera
from dubplate_backend.tracking.track import track
from dubplate_shared.errors import InvalidInput


def test_a_given_shape_and_camera_are_held(moment: Path, head: HeadModel, tmp_path: Path) -> None:
    shape = np.random.default_rng(0).normal(0, 0.3, 300)
    np.save(tmp_path / "identity.npy", shape.astype(np.float32)[None])
    footage = Footage.open(moment)
    lens = np.array([700.0, 700.0, footage.width / 2 + 3, footage.height / 2 - 2])
    zoom = np.linspace(1, 1.05, footage.count)[:, None] * [1, 1, 0, 0] + [0, 0, 1, 1]
    camera = SolvedCamera(lens * zoom, np.zeros(8), np.tile(np.eye(4), (footage.count, 1, 1)))
    settings = TrackSettings(shape=load_shape(tmp_path / "identity.npy"), camera=camera)
    tracked = track(footage, head=head, settings=settings).track
    assert np.array_equal(tracked.shape, shape.astype(np.float32))
    assert np.allclose(tracked.intrinsics, lens * zoom, rtol=1e-3)
    assert tracked.translation[:, 2].mean() > 0.3


def test_a_camera_of_other_frames_is_refused(moment: Path, head: HeadModel) -> None:
    camera = SolvedCamera(np.full((2, 4), 500.0), np.zeros(8), np.tile(np.eye(4), (2, 1, 1)))
    with pytest.raises(InvalidInput, match="2 frames"):
        track(Footage.open(moment), head=head, settings=TrackSettings(camera=camera))


@pytest.mark.parametrize("content", [np.zeros(299), np.full(300, np.nan), np.full(300, 50.0), np.array(["a"] * 300)])
def test_what_is_no_shape_is_refused(content: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "identity.npy", content)
    with pytest.raises(InvalidInput, match=r"identity\.npy"):
        load_shape(tmp_path / "identity.npy")


def test_a_shape_that_would_run_something_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "identity.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InvalidInput, match="cannot be read"):
        load_shape(tmp_path / "identity.npy")


def test_a_lens_is_undone_and_done_again() -> None:
    distortion = np.array([-0.2, 0.05, 0.001, -0.002, 0.0, 0.0, 0.0, 0.0])
    centre = np.tile([330.0, 200.0], (2, 1))
    lens = Lens(640, 400, centre, squeeze=0.5, zoom=np.array([1.0, 1.2]), focal_px=600.0, distortion=distortion)
    points = np.random.default_rng(1).uniform(50, 350, (2, 20, 2))
    assert np.abs(lens.plate(lens.ideal(points)) - points).max() < 1e-4
    assert np.abs(lens.ideal(points) - replace(lens, distortion=None).ideal(points)).max() > 1
    assert np.allclose(lens.focals(600.0), [[600, 1200], [720, 1440]])


def test_a_flame_texture_is_read_at_the_vertices(head: HeadModel, tmp_path: Path) -> None:
    column = np.linspace(0, 255, SIDE, dtype=np.float32)
    mean = np.zeros((SIDE, SIDE, 3), np.float32)
    mean[..., 2] = column  # BGR: red grows with u
    basis = np.zeros((SIDE, SIDE, 3, 4), np.float32)
    basis[..., 0, 1] = 10
    np.savez(tmp_path / "FLAME_texture.npz", mean=mean.reshape(-1), tex_dir=basis.reshape(-1, 4))
    with pytest.raises(InvalidInput, match="texture coordinates"):
        flame_texture_albedo(tmp_path / "FLAME_texture.npz", head)
    model = flame_texture_albedo(tmp_path / "FLAME_texture.npz", replace(head, kind="flame2020"))
    u = np.zeros(head.vertex_count)
    u[head.faces.numpy().reshape(-1)] = head.uv.numpy()[head.faces_uv.numpy().reshape(-1), 0]
    assert np.corrcoef(model.mean[:, 0].numpy() ** (1 / 2.2), u)[0, 1] > 0.99
    assert not model.mean[:, 1:].any()
    assert model.basis[:, 2, 1].min() > 0 and not model.basis[..., 0].any()


def test_our_own_skin_varies_in_tone_before_it_varies_in_patches(head: HeadModel) -> None:
    model = gaussian_process_albedo(head)
    face = head.masks["face"]
    strength = model.basis[face].square().mean((0, 1))
    assert strength[0] > 3 * strength[1:].max() or strength[0] == strength.max()
    first = model.basis[face][..., 0]
    assert (first > 0).all() or (first < 0).all()
