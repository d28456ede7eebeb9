# SPDX-License-Identifier: Apache-2.0
"""FLAME's files, in their exact formats, become a head that is whole: with landmarks, UV, masks and a mouth."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from flame_files import Ch, csc_matrix, dumps_python2, write_pickle
from synthetic_flame import SyntheticFlame, synthetic_flame

from dubplate_backend.head.carry_over import Registration, carried_uv
from dubplate_backend.head.flame import FlameSources, load_flame
from dubplate_backend.head.flame_files import FACES, VERTICES, find_files
from dubplate_backend.head.load import load_standin
from dubplate_backend.head.model import HeadModel
from dubplate_backend.head.registration import Similarity, Surface
from dubplate_shared.controls import CONTROL_NAMES
from dubplate_shared.errors import InvalidInput
from dubplate_shared.landmarks import LIPS

MM = 1e-3


@pytest.fixture(scope="module")
def standin() -> HeadModel:
    return load_standin()


@pytest.fixture(scope="module")
def made(standin: HeadModel) -> SyntheticFlame:
    return synthetic_flame(standin)


def as_published(arrays: dict) -> dict:
    """Chumpy and scipy objects where FLAME's own pickles have them."""
    wrapped = {name: Ch(arrays[name]) for name in ("v_template", "shapedirs", "posedirs", "weights")}
    return {**arrays, **wrapped, "J_regressor": csc_matrix(arrays["J_regressor"])}


@pytest.fixture(scope="module")
def folder(made: SyntheticFlame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flame2020")
    (folder / "generic_model.pkl").write_bytes(dumps_python2(as_published(made.arrays)))
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def flame(folder: Path, standin: HeadModel, cache: Path) -> HeadModel:
    return load_flame(folder, standin, cache)


def true_landmarks(made: SyntheticFlame, standin: HeadModel) -> torch.Tensor:
    return standin.landmarks(torch.from_numpy(made.truth)[None].float())[0]


def test_flames_own_arrays_come_through_unchanged(flame, made):
    assert flame.kind == "flame2020"
    assert flame.joints_follow_expression
    arrays = made.arrays
    close = {"atol": 1e-7, "rtol": 1e-5}
    np.testing.assert_allclose(flame.template[:VERTICES], arrays["v_template"], **close)
    np.testing.assert_allclose(flame.shape_basis[:VERTICES], arrays["shapedirs"][..., :300], **close)
    np.testing.assert_allclose(flame.expression_basis[:VERTICES], arrays["shapedirs"][..., 300:], **close)
    np.testing.assert_allclose(flame.pose_basis[:VERTICES], arrays["posedirs"], **close)
    np.testing.assert_allclose(flame.skin_weights[:VERTICES], arrays["weights"], **close)
    np.testing.assert_array_equal(flame.faces[:FACES], arrays["f"].astype(np.int64))
    np.testing.assert_allclose(flame.joint_regressor @ flame.template, arrays["J"], atol=1e-5)


def test_posing_flames_vertices_needs_none_of_what_was_added(flame, made):
    """Linear blend skinning of the pickle's own arrays in float64, written out, gives the same vertices."""
    random = np.random.default_rng(3)
    shape, expression = random.normal(size=300) * 0.5, random.normal(size=100) * 0.5
    jaw, neck = np.array([0.3, 0.05, -0.02]), np.array([0.1, -0.2, 0.05])
    posed = flame.vertices(*(torch.tensor(code[None], dtype=torch.float32) for code in (shape, expression, jaw, neck)))[
        0
    ]

    arrays = made.arrays
    shaped = arrays["v_template"] + arrays["shapedirs"] @ np.concatenate([shape, expression])
    joints = arrays["J_regressor"] @ shaped
    turns = [np.eye(3), _rodrigues(neck), _rodrigues(jaw), np.eye(3), np.eye(3)]
    shaped = shaped + arrays["posedirs"] @ np.concatenate([(turn - np.eye(3)).ravel() for turn in turns[1:]])
    chain = [np.eye(4)]
    for joint, parent in enumerate([0, 1, 1, 1], start=1):
        step = np.eye(4)
        step[:3, :3], step[:3, 3] = turns[joint], joints[joint] - turns[joint] @ joints[joint]
        chain.append(chain[parent] @ step)
    blended = np.einsum("vj,jkl->vkl", arrays["weights"], np.stack(chain))
    expected = np.einsum("vkl,vl->vk", blended, np.concatenate([shaped, np.ones((VERTICES, 1))], 1))[:, :3]
    np.testing.assert_allclose(posed[:VERTICES], expected, atol=1e-6)


def _rodrigues(axis_angle: np.ndarray) -> np.ndarray:
    angle = np.linalg.norm(axis_angle)
    x, y, z = axis_angle / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def test_landmarks_are_carried_over_to_where_they_belong(flame, made, standin):
    error = (flame.landmarks(flame.template[None])[0] - true_landmarks(made, standin)).norm(dim=-1)
    assert error.mean() < 2.0 * MM
    assert error[list(LIPS)].mean() < 1.5 * MM
    assert error.max() < 8.0 * MM
    assert bool((flame.landmark_faces < FACES).all())


def test_masks_are_carried_over_to_where_they_belong(flame, made, standin):
    # The scalp's vertices are few and far apart, so the ring on its border is a good part of it.
    bounds = {"face": 0.85, "lips": 0.85, "neck": 0.85, "scalp": 0.78, "eyes": 0.85, "redraw": 0.85}
    for name, bound in bounds.items():
        ours, truth = flame.masks[name][:VERTICES].numpy(), standin.masks[name].numpy()[made.origin]
        assert (ours & truth).sum() / (ours | truth).sum() > bound, name
    assert set(flame.masks) == set(standin.masks)


def test_uv_is_carried_over_and_does_not_run_across_seams(flame, made, standin):
    own = np.zeros((len(standin.template), 2))
    own[standin.faces.numpy().ravel()] = standin.uv.numpy()[standin.faces_uv.numpy()].reshape(-1, 2)
    ours = flame.uv[flame.faces_uv[:FACES]].numpy()  # [F, 3, 2]
    error = np.linalg.norm(ours - own[made.origin][made.arrays["f"]], axis=-1)
    assert np.median(error) < 0.01
    assert 0 <= float(flame.uv.min()) <= float(flame.uv.max()) <= 1


def test_uv_does_not_run_across_a_seam(made, standin):
    """On a stand-in unrolled like a map, with its seam down the back, every face stays on its own side."""
    corners = standin.template[standin.faces]  # [F, 3, 3]
    turn = torch.atan2(corners[..., 0], corners[..., 2]) / (2 * np.pi) + 0.5
    turn = turn + ((turn.amax(1, keepdim=True) - turn) > 0.5).float()  # faces across the back keep together
    unrolled = torch.stack([turn * 0.6, (corners[..., 1] + 0.3) * 1.5], -1).clamp(0, 1)
    count = 3 * len(standin.faces)
    mapped = replace(standin, uv=unrolled.reshape(-1, 2), faces_uv=torch.arange(count).view(-1, 3))
    arrays = made.arrays
    target = Surface(arrays["v_template"], arrays["f"].astype(np.int64), arrays["weights"][:, 2])
    none = np.zeros(VERTICES, dtype=bool)
    exact = Registration(mapped, Similarity(1.0, np.eye(3), np.zeros(3)), made.truth, target, ~none, (none, none))
    places = exact.on_standin()
    uv, faces_uv = carried_uv(exact, places)
    across = np.ptp(uv[faces_uv][..., 0], axis=1)
    naive = np.ptp(
        np.einsum("nk,nkc->nc", places.barycentrics, unrolled.numpy()[places.faces])[target.faces][..., 0], axis=1
    )
    assert (naive > 0.3).sum() > 10
    middles = standin.template.numpy()[made.origin][target.faces].mean(1)
    poles = np.hypot(middles[:, 0], middles[:, 2]) < 0.025  # of the map, where turning means nothing
    assert (across[~poles] < 0.3).all()


def test_the_borrowed_mouth_stays_shut_behind_closed_lips_and_opens_with_the_jaw(flame):
    none = torch.zeros(1, 300), torch.zeros(1, 100)
    still = flame.vertices(*none, torch.zeros(1, 3))[0]
    opened = flame.vertices(*none, torch.tensor([[0.44, 0.0, 0.0]]))[0]
    moved = (opened - still).norm(dim=-1)
    teeth = flame.masks["teeth"]
    of_the_jaw = moved > 0.5 * moved[teeth].mean()
    upper, lower = teeth & ~of_the_jaw, teeth & of_the_jaw
    assert int(upper.sum()) == int(lower.sum())  # as many above as below
    assert still[upper][:, 1].mean() > still[lower][:, 1].mean() + 3.0 * MM
    assert moved[upper].max() < 1.0 * MM
    assert moved[lower].min() > 8.0 * MM
    assert moved[flame.masks["tongue"]].mean() > 4.0 * MM


def test_the_borrowed_linings_rim_sits_on_the_lips_through_every_movement(flame):
    """Its first ring coincides with points of FLAME's own faces, which move by the same numbers."""
    generator = torch.Generator().manual_seed(2)
    codes = torch.randn((1, 300), generator=generator), torch.randn((1, 100), generator=generator)
    appended = np.arange(VERTICES, len(flame.template))
    rim = appended[~flame.masks["mouth"].numpy()[appended]]
    assert len(rim) > 20
    lips = flame.faces[:FACES][flame.masks["lips"][:VERTICES][flame.faces[:FACES]].any(-1)]
    for jaw in (0.0, 0.4):
        posed = flame.vertices(*codes, torch.tensor([[jaw, 0.0, 0.0]]))[0].double()
        centres = posed[lips].mean(1)
        distance = torch.cdist(posed[rim], centres).min(-1).values
        assert distance.max() < 6.0 * MM  # about the size of the lips' faces: no gap opens


def test_what_is_carried_to_the_lips_goes_to_the_right_lip(flame, made, standin):
    """At rest the lips touch: only what the jaw moves tells them apart."""
    mouth = standin.masks["mouth"].numpy()
    faces = standin.faces.numpy()
    origin = np.unique(faces[mouth[faces].any(1)])  # the appended vertices, in their order
    rim = ~mouth[origin]
    jaw = flame.skin_weights[VERTICES:, 2].numpy()[rim] - standin.skin_weights[origin, 2].numpy()[rim]
    assert np.abs(jaw).max() < 0.3

    opened = [
        head.vertices(torch.zeros(1, 300), torch.zeros(1, 100), torch.tensor([[0.35, 0.0, 0.0]]))
        for head in (flame, standin)
    ]
    gap, own = (
        (points[0, 13] - points[0, 14]).norm() for points in (flame.landmarks(opened[0]), standin.landmarks(opened[1]))
    )
    assert own > 8.0 * MM
    assert abs(gap / own - 1.0) < 0.25


def test_identity_moves_the_borrowed_teeth_evenly(flame):
    codes = torch.zeros(1, 300)
    codes[0, :6] = torch.tensor([1.5, -1.0, 1.0, -1.5, 1.0, 1.0])
    rest = flame.template
    shaped = flame.vertices(codes, torch.zeros(1, 100), torch.zeros(1, 3))[0]
    shift = (shaped - rest)[flame.masks["teeth"]]
    assert shift.norm(dim=-1).mean() > 0.3 * MM
    assert (shift - shift.mean(0)).norm(dim=-1).max() < 4.0 * MM


def test_controls_are_solved_on_flames_own_components(flame):
    assert set(flame.controls) == set(CONTROL_NAMES)
    expression, _ = flame.controls["pucker"]
    moved = flame.vertices(torch.zeros(1, 300), expression[None], torch.zeros(1, 3))
    corners = flame.landmarks(moved)[0, [61, 291], 0] - flame.landmarks(flame.template[None])[0, [61, 291], 0]
    assert corners[0] > 2.0 * MM  # the right corner moves to the left
    assert corners[1] < -2.0 * MM


def test_a_pickle_an_npz_and_a_plain_pickle_of_the_same_numbers_are_one_head(flame, made, standin, tmp_path):
    np.savez(tmp_path / "generic_model.npz", **made.arrays)
    exported = FlameSources.read(find_files(tmp_path / "generic_model.npz"))
    plain = FlameSources.read(find_files(write_pickle(tmp_path / "generic_model.pkl", made.arrays, 5)))
    assert exported.sha256(standin) == plain.sha256(standin) == flame.sha256


def test_flame_2023_is_another_kind_of_head(made, standin, tmp_path, flame):
    other = {**made.arrays, "shapedirs": made.arrays["shapedirs"] * 1.01}
    sources = FlameSources.read(find_files(write_pickle(tmp_path / "flame2023.pkl", other, 4)))
    assert sources.kind == "flame2023"
    assert sources.sha256(standin) != flame.sha256


def test_the_second_load_comes_from_the_cache_and_is_the_same_head(flame, folder, standin, cache):
    before = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    again = load_flame(folder, standin, cache)
    assert before
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == before
    assert again.sha256 == flame.sha256
    assert torch.equal(again.template, flame.template)


def write_auxiliaries(folder: Path, made: SyntheticFlame, standin: HeadModel) -> tuple[np.ndarray, np.ndarray]:
    """Every auxiliary file in its published format.   Returns the landmark indices and the UV written."""
    vertices, faces = made.arrays["v_template"], made.arrays["f"].astype(np.int64)
    middle = vertices.mean(0)
    uv = np.stack(
        [np.arctan2(*(vertices - middle)[:, [0, 2]].T) / 12 + 0.35, (vertices[:, 1] - middle[1]) * 1.6 + 0.4], 1
    )
    lines = [f"v {x} {y} {z}" for x, y, z in vertices] + [f"vt {u} {v}" for u, v in uv.clip(0.02, 0.65)]
    order = np.random.default_rng(0).permutation(len(faces))
    lines += ["f " + " ".join(f"{v + 1}/{v + 1}" for v in faces[row]) for row in order]
    (folder / "head_template.obj").write_text("\n".join(lines) + "\n")

    indices = np.sort(np.random.default_rng(1).permutation(468)[:105])
    corner = standin.faces[standin.landmark_faces, standin.landmark_barycentrics.argmax(-1)].numpy()
    at = {int(vertex): row for row, vertex in enumerate(made.origin)}
    indices = np.array([index for index in indices if int(corner[index]) in at])
    own = np.array([at[int(corner[index])] for index in indices])
    rows = np.array([np.flatnonzero((faces == vertex).any(1))[0] for vertex in own])
    np.savez(
        folder / "mediapipe_landmark_embedding.npz",
        lmk_face_idx=rows,
        lmk_b_coords=(faces[rows] == own[:, None]).astype(np.float64),
        landmark_indices=indices,
    )
    left = made.truth[made.origin][:, 0] > 0
    regions = {
        "face": standin.masks["face"].numpy()[made.origin],
        "lips": standin.masks["lips"].numpy()[made.origin],
        "left_eyeball": standin.masks["eyes"].numpy()[made.origin] & left,
        "right_eyeball": standin.masks["eyes"].numpy()[made.origin] & ~left,
    }
    write_pickle(folder / "FLAME_masks.pkl", {name: np.flatnonzero(mask) for name, mask in regions.items()})
    for side, name in enumerate(("l_eyelid.npy", "r_eyelid.npy")):
        np.save(folder / name, standin.eyelid_basis.numpy()[made.origin][..., side])
    return indices, uv.clip(0.02, 0.65)


def test_the_users_auxiliary_files_are_used_where_given(made, standin, tmp_path, cache, flame):
    write_pickle(tmp_path / "generic_model.pkl", as_published(made.arrays))
    indices, uv = write_auxiliaries(tmp_path, made, standin)
    head = load_flame(tmp_path, standin, cache)
    faces = made.arrays["f"].astype(np.int64)
    np.testing.assert_allclose(head.uv[head.faces_uv[:FACES]], uv[faces], atol=1e-5)
    error = (head.landmarks(head.template[None])[0] - true_landmarks(made, standin)).norm(dim=-1)
    assert error[indices].max() < 1e-4 * MM + 1e-6
    assert error.mean() < 2.0 * MM
    assert head.sha256 != flame.sha256
    np.testing.assert_array_equal(head.masks["lips"][:VERTICES], standin.masks["lips"].numpy()[made.origin])
    np.testing.assert_allclose(head.eyelid_basis[:VERTICES], standin.eyelid_basis.numpy()[made.origin], atol=1e-8)
    # The interior's UV takes room that the user's layout leaves free.
    interior = head.uv[head.faces_uv[FACES:]].reshape(-1, 2)
    assert float(interior.min()) >= 0
    assert float(interior.max()) <= 1
    assert float(interior.amin(0)[0]) > 0.65 or float(interior.amin(0)[1]) > 0.65


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("v_template", lambda a: a[:-1], "v_template"),
        ("f", lambda a: a + 1, "points outside"),
        ("shapedirs", lambda a: a[..., :150], "shapedirs"),
        ("weights", lambda a: a * 0.5, "sum to 1"),
        ("posedirs", lambda a: a * np.nan, "not finite"),
        ("kintree_table", lambda a: a[:, ::-1], "parents"),
        ("J_regressor", lambda a: None, "missing"),
        ("v_template", lambda a: "text", "no array"),
    ],
)
def test_a_wrong_array_is_named_with_its_file(made, standin, tmp_path, name, change, message):
    path = write_pickle(tmp_path / "generic_model.pkl", {**made.arrays, name: change(made.arrays[name])})
    with pytest.raises(InvalidInput, match=message) as error:
        load_flame(path, standin, tmp_path / "cache")
    assert "generic_model.pkl" in str(error.value)
    assert error.value.hint
    assert not (tmp_path / "cache").exists()


def test_missing_and_foreign_files_are_named(made, standin, tmp_path):
    with pytest.raises(InvalidInput, match="holds no FLAME model"):
        load_flame(tmp_path, standin, tmp_path)
    with pytest.raises(InvalidInput, match=r"absent\.pkl does not exist"):
        load_flame(tmp_path / "absent.pkl", standin, tmp_path)
    np.savez(tmp_path / "flame2023.npz", v_template=np.array([{"an": "object"}], dtype=object))
    with pytest.raises(InvalidInput, match="cannot be read") as error:
        load_flame(tmp_path / "flame2023.npz", standin, tmp_path)
    assert "pickled objects" in error.value.hint
    (tmp_path / "flame2023.npz").write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(InvalidInput, match=r"flame2023\.npz"):
        load_flame(tmp_path / "flame2023.npz", standin, tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("head_template.obj", b"v 0 0 0\nvt 0 0\nf 1/1 1/1 1/1\n", "other faces"),
        ("head_template.obj", b"v 0 0 0\nf 1 2 3\n", "texture coordinates"),
        ("head_template.obj", b"vt x\n", r"head_template\.obj cannot be read"),
        ("FLAME_masks.pkl", b"cos\nsystem\n(S'true'\ntR.", "was refused"),
        ("l_eyelid.npy", b"x", "one of"),
        ("mediapipe_landmark_embedding.npz", b"x", "cannot be read"),
    ],
)
def test_a_broken_auxiliary_file_is_named(made, standin, tmp_path, name, content, message):
    write_pickle(tmp_path / "generic_model.pkl", made.arrays)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInput, match=message):
        load_flame(tmp_path, standin, tmp_path / "cache")
