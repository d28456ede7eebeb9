# SPDX-License-Identifier: Apache-2.0
"""Another tool's files and a plate become a whole shot package, or nothing at all."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from flame_reference import VERTICES, Motion, some_motion
from foreign_tracks import deca_codes, write_metrical, write_vhap
from typer.testing import CliRunner

from dubplate_backend.cli.main import application
from dubplate_backend.interchange.import_track import ImportSettings, import_track
from dubplate_backend.interchange.picture_crop import PictureCrop
from dubplate_backend.interchange.plate_check import compared
from dubplate_backend.interchange.pose_in_plate import pose_in_plate
from dubplate_backend.interchange.tracked_frames import Edition
from dubplate_backend.plates.footage import Footage
from dubplate_backend.plates.movie import write_movie
from dubplate_backend.speech.sound import write_wav
from dubplate_backend.tracking.faces import Faces
from dubplate_shared.errors import Cancelled, ExitCode, FootageError, HeadModelMismatch, InvalidInput
from dubplate_shared.landmarks import inter_ocular, landmark_error
from dubplate_shared.rotations import matrix_from_axis_angle
from dubplate_shared.shot import Rate, Shot
from dubplate_shared.track import Track
from footage import clip

WIDTH, HEIGHT, FRAMES = 320, 240, 30
CROP = PictureCrop(40, 0, 240, 240)
MISSING = (10, 11, 12)


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of grey at 29.97 frames a second, with a tone."""
    folder = tmp_path_factory.mktemp("plate")
    tone = 0.1 * np.sin(np.arange(16000) * 0.2).astype(np.float32)
    write_wav(folder / "tone.wav", tone, 16000)
    pictures = (np.full((HEIGHT, WIDTH, 3), 90 + index, np.uint8) for index in range(FRAMES))
    write_movie(folder / "plate.mp4", pictures, Rate(30000, 1001), folder / "tone.wav", quality=20)
    return folder / "plate.mp4"


def still(count: int) -> Motion:
    motion = some_motion(count, neck=False)
    return Motion(**{**vars(motion), "root": np.zeros((count, 3))})


def seen_by(track: Track, head, frame: int) -> np.ndarray:
    """FLAME's own vertices of one frame of a track in the plate, [5023, 2] px."""
    codes = [
        torch.from_numpy(getattr(track, name)[[frame]]) for name in ("expression", "jaw", "neck", "eyes", "eyelids")
    ]
    vertices = head.vertices(torch.from_numpy(track.shape), *codes)[0, :VERTICES].double().numpy()
    camera = vertices @ matrix_from_axis_angle(track.rotation[frame]).T + track.translation[frame]
    return camera[:, :2] / camera[:, 2:] * track.intrinsics[frame, :2] + track.intrinsics[frame, 2:]


def blank_track(points: np.ndarray) -> Track:
    """A track whose 468 points lie at `points`, (T, 468, 2) px."""
    count = len(points)
    lengths = {"jaw": 3, "neck": 3, "eyes": 6, "eyelids": 2, "rotation": 3, "translation": 3, "intrinsics": 4}
    return Track(
        frame=np.arange(count),
        time=np.arange(count) / 25,
        shape=np.zeros(300),
        expression=np.zeros((count, 100)),
        distortion=np.zeros(8),
        lighting=np.zeros((count, 9, 3)),
        texture=np.zeros(0),
        confidence=np.ones(count),
        landmarks_px=points,
        projected_px=points,
        landmark_index=np.arange(468),
        **{name: np.zeros((count, length)) for name, length in lengths.items()},
    )


@pytest.fixture(scope="module")
def imported(flame, plate, tmp_path_factory):
    """metrical-tracker's 25 pictures a second of the plate's 29.97, three of them missing; and where it saw them."""
    folder = tmp_path_factory.mktemp("metrical")
    numbers = [number for number in range(25) if number not in MISSING]
    lids = flame.head.eyelid_basis[:VERTICES].double().numpy()
    seen = write_metrical(folder / "checkpoint", flame.arrays, still(len(numbers)), lids, numbers=numbers)
    shot = import_track(
        [folder],
        plate,
        folder / "man.dubshot",
        head=flame.head,
        settings=ImportSettings(crop=CROP, check=False, preview=False),
    )
    in_plate = [pixels * CROP.width / 512 + np.array([CROP.x, CROP.y]) for pixels in seen]
    return shot, dict(zip(numbers, in_plate, strict=True))


def test_the_package_is_whole_and_says_where_it_is_from(imported, flame):
    shot = Shot.load(imported[0].path)
    info = shot.info
    assert (info.name, info.first_frame, info.frame_count, info.rate) == ("man", 1001, FRAMES, Rate(30000, 1001))
    assert (info.head.kind, info.head.sha256) == ("flame2020", flame.head.sha256)
    assert shot.rig is not None and shot.rig.sha256 == flame.head.sha256
    assert shot.audio_path().exists()
    assert shot.crop.shape == (FRAMES, 2, 3) and np.isfinite(shot.crop).all()
    stored = json.loads((shot.path / "shot.json").read_text())["tracking"]
    assert (stored["tool"], stored["edition"]) == ("metrical-tracker", "flame2020")


def test_each_plate_frame_shows_the_head_where_the_tool_saw_it(imported, flame):
    shot, seen = imported
    checked = 0
    for number, expected in seen.items():
        # Pictures at 25 a second of frames at 29.97: the last frame whose rounded time is not after the picture's.
        shown = [frame for frame in range(FRAMES) if np.floor(frame * 1.001 / 30 * 25 + 0.5) <= number][-1]
        if number + 1 in seen or number - 1 in seen:
            found = seen_by(shot.track, flame.head, shown)
            assert np.abs(found - expected).max() < 0.01
            checked += 1
    assert checked >= 20


def test_frames_that_were_not_tracked_have_no_confidence_and_a_head_between(imported):
    shot, _ = imported
    lost = np.flatnonzero(shot.track.confidence == 0)
    assert len(lost) == 4 and np.ptp(lost) == 3, "three pictures, and a frame of the plate that none would have shown"
    before, after = shot.track.translation[lost[0] - 1], shot.track.translation[lost[-1] + 1]
    between = shot.track.translation[lost]
    assert (np.minimum(before, after) - 1e-6 <= between).all() and (between <= np.maximum(before, after) + 1e-6).all()
    assert any(f"{1001 + lost[0]}-{1001 + lost[-1]}" in warning for warning in shot.info.extra["tracking"]["warnings"])


def test_a_plate_of_another_shape_needs_the_crop(flame, plate, tmp_path):
    write_metrical(tmp_path / "c", flame.arrays, still(2), np.zeros((VERTICES, 3, 2)))
    with pytest.raises(InvalidInput, match="it cropped"):
        import_track([tmp_path / "c"], plate, tmp_path / "man.dubshot", head=flame.head)
    assert [path.name for path in tmp_path.iterdir()] == ["c"], "nothing is left of it"


def test_codes_never_land_on_the_stand_in(standin, flame, plate, tmp_path):
    write_metrical(tmp_path / "c", flame.arrays, still(1), np.zeros((VERTICES, 3, 2)))
    with pytest.raises(HeadModelMismatch, match="stand-in is another head") as told:
        import_track([tmp_path / "c"], plate, tmp_path / "man.dubshot", head=standin)
    assert "--head generic_model.pkl" in told.value.hint


def test_codes_of_one_flame_are_refused_by_the_other(flame, tmp_path):
    grey = (np.full((HEIGHT, WIDTH, 3), 90, np.uint8) for _ in range(2))
    write_movie(tmp_path / "short.mp4", grey, Rate(25), quality=20)
    write_vhap(tmp_path / "t.npz", flame.arrays, some_motion(2), size=(HEIGHT, WIDTH))
    files, plate = [tmp_path / "t.npz"], tmp_path / "short.mp4"
    with pytest.raises(HeadModelMismatch, match="codes are of flame2023, and --head is flame2020") as told:
        import_track(files, plate, tmp_path / "man.dubshot", head=flame.head)
    assert "--edition flame2020" in told.value.hint
    settings = ImportSettings(edition=Edition.FLAME2020)
    shot = import_track(files, plate, tmp_path / "man.dubshot", head=flame.head, settings=settings)
    tracking = shot.info.extra["tracking"]
    assert tracking["edition"] == "flame2020"
    assert any("could not be checked" in warning for warning in tracking["warnings"]), "a grey plate"
    assert Footage.open(shot.path / "preview.mp4").count == 2


def test_pictures_as_many_as_the_plates_frames_are_not_spread_by_the_tools_usual_clock(flame, plate, tmp_path):
    write_vhap(tmp_path / "t.npz", flame.arrays, some_motion(FRAMES), size=(HEIGHT, WIDTH))
    settings = ImportSettings(edition=Edition.FLAME2020, preview=False, check=False)
    shot = import_track([tmp_path / "t.npz"], plate, tmp_path / "a.dubshot", head=flame.head, settings=settings)
    assert np.allclose(shot.track.jaw, some_motion(FRAMES).jaw, atol=1e-6)
    assert any("as many as the plate's frames" in warning for warning in shot.info.extra["tracking"]["warnings"])


def test_an_import_that_is_stopped_leaves_nothing(flame, plate, tmp_path):
    write_metrical(tmp_path / "c", flame.arrays, still(3), np.zeros((VERTICES, 3, 2)))
    done = []
    with pytest.raises(Cancelled):
        import_track(
            [tmp_path / "c"],
            plate,
            tmp_path / "man.dubshot",
            head=flame.head,
            settings=ImportSettings(crop=CROP),
            progress=lambda progress: done.append(progress.stage),
            stop=lambda: len(done) > 5,
        )
    assert done[0] == "reading" and done[-1] != "reading", "it is stopped on the plate"
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_a_package_that_is_there_is_not_replaced_unasked(flame, plate, imported):
    shot, _ = imported
    with pytest.raises(InvalidInput, match="exists already"):
        import_track([shot.path.parent], plate, shot.path, head=flame.head)
    assert Shot.load(shot.path).info.name == "man"


def test_the_command_line_imports_and_explains_itself(flame, plate, tmp_path, monkeypatch):
    monkeypatch.setattr("dubplate_backend.head.load.load_head", lambda spec: flame.head)  # loaded once for all tests
    write_metrical(tmp_path / "c", flame.arrays, still(3), np.zeros((VERTICES, 3, 2)))
    arguments = ["import", "track", str(tmp_path / "c"), "--video", str(plate), "-o", str(tmp_path / "man.dubshot")]
    result = CliRunner().invoke(application(), [*arguments, "--crop", "40", "0", "240", "--no-preview", "--no-check"])
    assert result.exit_code == 0, result.output
    assert "30 frames of metrical-tracker, flame2020" in result.output.replace("\n", "").replace("  ", " ")
    assert np.allclose(Shot.load(tmp_path / "man.dubshot").track.intrinsics[0, :2], 9.5 * 256 * 240 / 512)
    wrong = CliRunner().invoke(application(), [*arguments, "--format", "faceware"])
    assert wrong.exit_code == ExitCode.USAGE and "metrical" in wrong.output
    explained = CliRunner().invoke(application(), ["import", "track", "--help"])
    assert "dubplate import track" in explained.output


def test_a_pose_is_found_from_landmarks_alone(flame):
    random = np.random.default_rng(2)
    points = np.repeat(flame.head.landmarks(flame.head.template[None]).double().numpy(), 3, axis=0)
    lens = np.array([900.0, 900.0, 320.0, 240.0])
    turns = matrix_from_axis_angle(np.array([np.pi, 0, 0]) + random.normal(0, 0.2, (3, 3)))
    shifts = np.array([0.02, 0.01, 0.7]) + random.normal(0, 0.02, (3, 3))
    camera = np.einsum("nij,nvj->nvi", turns, points) + shifts[:, None]
    pixels = camera[..., :2] / camera[..., 2:] * lens[:2] + lens[2:]
    pose, found = pose_in_plate(points, pixels, np.array([True, False, True]), lens)
    assert found.tolist() == [True, False, True]
    assert np.allclose(pose.rotation[[0, 2]], turns[[0, 2]], atol=1e-6)
    assert np.allclose(pose.translation[[0, 2]], shifts[[0, 2]], atol=1e-6)
    with pytest.raises(FootageError, match="No frame of the plate shows the face"):
        pose_in_plate(points, pixels, np.zeros(3, bool), lens)


def test_codes_without_a_camera_are_laid_on_the_face_that_the_plate_shows(flame, tmp_path):
    moment = tmp_path / "moment.mp4"
    source = Footage.open(clip("grid_bbaf2n.mpg"))
    write_movie(moment, islice(source.iter(20), 3), source.rate, quality=12)
    neutral = some_motion(3)
    neutral.shape[:], neutral.expression[:], neutral.jaw[:], neutral.root[:] = 0, 0, 0, 0
    for frame in range(3):
        folder = tmp_path / "codes" / f"{frame + 1:06d}_000"
        folder.mkdir(parents=True)
        codes = deca_codes(neutral, frame, np.zeros(3))
        for name in ("shape", "exp", "pose"):
            np.save(folder / f"{name}.npy", codes[name][0])
    settings = ImportSettings(preview=False)
    shot = import_track([tmp_path / "codes"], moment, tmp_path / "a.dubshot", head=flame.head, settings=settings)
    warnings = shot.info.extra["tracking"]["warnings"]
    assert any("found anew by the plate's face landmarks, with a lens of 540 px (assumed" in line for line in warnings)
    assert (shot.track.confidence == 1).all()
    assert not any("could not be checked" in line for line in warnings)
    assert 0.1 < shot.info.extra["tracking"]["figures"]["face_error_percent"] < 10
    error = landmark_error(shot.track.projected_px, shot.track.landmarks_px)
    assert ((error > 0.001) & (error < 0.1)).all(), "of the inter-ocular distance, off the face in the picture"


def test_a_head_beside_the_face_is_said():
    random = np.random.default_rng(1)
    seen = random.uniform(100, 200, (4, 478, 2)).astype(np.float32)
    faces = Faces(seen, np.zeros((4, 478), np.float32), np.array([1, 1, 1, 0], np.float32), 1)
    apart = float(inter_ocular(seen[:1])[0])
    for shift, warned in ((0.0, False), (0.02, False), (0.2, True)):
        track = blank_track(seen[:, :468] + shift * apart * np.array([1, 0]))
        told, warnings = compared(track, faces)
        assert any("off the face that the plate shows" in line for line in warnings) == warned
        assert np.array_equal(told.landmarks_px[:3], seen[:3, :468])
        assert np.array_equal(told.landmarks_px[3], track.projected_px[3]), "where no face is seen"
