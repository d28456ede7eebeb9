# SPDX-License-Identifier: Apache-2.0
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dubplate_shared.actor import ActorInfo
from dubplate_shared.errors import HeadModelMismatch, InvalidInput
from dubplate_shared.plate_names import plate_path
from dubplate_shared.shot import HeadIdentity, PlateSource, Rate, Shot, ShotInfo, write_shot
from dubplate_shared.take import Take
from dubplate_shared.track import Track

COUNT = 7


def a_track(count: int = COUNT) -> Track:
    rng = np.random.default_rng(1)
    shapes = {
        "shape": (300,), "expression": (count, 100), "jaw": (count, 3), "neck": (count, 3), "eyes": (count, 6),
        "eyelids": (count, 2), "rotation": (count, 3), "translation": (count, 3), "intrinsics": (count, 4),
        "distortion": (8,), "lighting": (count, 9, 3), "texture": (0,), "landmarks_px": (count, 468, 2),
        "projected_px": (count, 468, 2),
    }  # fmt: skip
    arrays = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    arrays |= {"frame": np.arange(1001, 1001 + count), "time": np.arange(count) / 25}
    return Track(confidence=np.ones(count), landmark_index=np.arange(468), **arrays)


def an_info(count: int = COUNT) -> ShotInfo:
    plate = PlateSource("video", "/footage/man.mp4", "srgb_rec709_display")
    return ShotInfo("man", count, Rate(24000, 1001), 1080, 1920, plate, HeadIdentity("standin", "ab" * 32))


@pytest.fixture
def shot(tmp_path: Path) -> Shot:
    return write_shot(tmp_path / "man.dubshot", an_info(), a_track(), np.zeros((COUNT, 2, 3)), None)


def test_a_package_reads_back_as_written(shot: Shot) -> None:
    again = Shot.load(shot.path)
    assert again.info == shot.info
    assert again.info.rate.fps == pytest.approx(23.976, abs=1e-3)
    assert np.array_equal(again.track.expression, a_track().expression.astype(np.float32))


def test_unknown_keys_survive_a_round_trip(shot: Shot) -> None:
    path = shot.path / "shot.json"
    content = json.loads(path.read_text()) | {"studio": {"reel": 7}}
    path.write_text(json.dumps(content))
    info = Shot.load(shot.path).info
    assert info.to_json()["studio"] == {"reel": 7}


def test_frames_outside_the_shot_are_named(shot: Shot) -> None:
    assert shot.indices([1001, 1007]) == [0, 6]
    with pytest.raises(InvalidInput, match="1008-1009 lie outside"):
        shot.indices(range(1005, 1010))


def test_takes_are_kept_beside_the_filmed_one(shot: Shot) -> None:
    take = Take("adr_v2", shot.track.expression * 0, shot.track.jaw + 0.1, None, {"kind": "speech", "sha256": "00"})
    shot.save_take(take)
    back = shot.take("adr_v2")
    assert np.array_equal(back.jaw, take.jaw)
    assert back.origin["kind"] == "speech"
    assert shot.take_names() == ["tracked", "adr_v2"]
    assert np.array_equal(shot.take("tracked").jaw, shot.track.jaw)


def test_a_take_of_another_length_or_an_unknown_or_escaping_name_is_refused(shot: Shot) -> None:
    with pytest.raises(InvalidInput, match="frames"):
        shot.save_take(Take("short", np.zeros((3, 100)), np.zeros((3, 3))))
    with pytest.raises(InvalidInput) as error:
        shot.take("nobody")
    assert "tracked" in error.value.hint
    with pytest.raises(InvalidInput):
        shot.take("../../etc/passwd")
    with pytest.raises(InvalidInput, match="cannot be replaced"):
        shot.save_take(replace(shot.tracked_take()))


def test_a_curve_that_is_not_a_number_names_its_frame() -> None:
    jaw = np.zeros((4, 3))
    jaw[2, 0] = np.nan
    with pytest.raises(InvalidInput, match="index 2"):
        Take("bad", np.zeros((4, 100)), jaw)


def test_codes_of_another_head_model_are_refused_by_hash() -> None:
    with pytest.raises(HeadModelMismatch, match="standin"):
        HeadIdentity("flame2020", "cd" * 32).require(HeadIdentity("standin", "ab" * 32), "Shot man")


@pytest.mark.parametrize("name", ["shot.json", "track.npz", "crop.npz"])
def test_a_damaged_package_is_a_clear_error(shot: Shot, name: str) -> None:
    (shot.path / name).write_bytes(b"{")
    with pytest.raises(InvalidInput) as error:
        Shot.load(shot.path)
    assert error.value.hint


def test_a_moved_plate_is_found_beside_the_package(shot: Shot) -> None:
    with pytest.raises(InvalidInput, match="not there"):
        shot.plate_path()
    beside = shot.path.parent / "man.mp4"
    beside.write_bytes(b"")
    assert shot.plate_path() == beside


@pytest.mark.parametrize("stored", ["/jobs/otto/plates/man.####.exr", r"P:\jobs\otto\plates\man.####.exr"])
@pytest.mark.parametrize("here", ["man.####.exr", "plates/man.####.exr", "../plates/man.####.exr"])
def test_a_sequence_is_found_where_it_was_moved_to_with_its_folder(shot: Shot, stored: str, here: str) -> None:
    shot = replace(shot, path=shot.path.parent / "work" / "man.dubshot")
    shot.path.mkdir(parents=True)
    moved = replace(shot, info=replace(shot.info, plate=replace(shot.info.plate, kind="sequence", path=stored)))
    assert moved.plate_path() == shot.path / stored  # nowhere: whoever reads it names the file that is missing
    pattern = shot.path.parent / here
    pattern.parent.mkdir(exist_ok=True)
    pattern.with_name("man.txt").touch()
    assert moved.plate_path() == shot.path / stored
    pattern.with_name("man.1007.exr").touch()
    assert moved.plate_path().resolve() == pattern.resolve()


def test_a_sequence_stays_where_it_was_while_its_files_are_there(shot: Shot) -> None:
    for folder in (shot.path / "plates", shot.path.parent):
        folder.mkdir(exist_ok=True)
        (folder / "man.1001.exr").touch()
    info = replace(shot.info, plate=replace(shot.info.plate, path="plates/man.####.exr"))
    assert replace(shot, info=info).plate_path() == shot.path / "plates" / "man.####.exr"


def test_the_voice_of_a_take_is_its_own_or_what_was_filmed(shot: Shot) -> None:
    (shot.path / "voice.wav").touch()
    (shot.path.parent / "adr.wav").touch()
    shot = replace(shot, info=replace(shot.info, audio=("voice.wav",)))
    still = Take("adr", shot.track.expression, shot.track.jaw)
    assert shot.voice_path(shot.tracked_take()) == shot.path / "voice.wav"
    assert shot.voice_path(still) is None
    assert shot.voice_path(replace(still, origin={"audio": "/jobs/adr.wav"})) == shot.path.parent / "adr.wav"


def test_an_actor_card_reads_back_with_unknown_keys(tmp_path: Path) -> None:
    info = ActorInfo("man", "neural_texture", "draft", HeadIdentity("standin", "ab" * 32), extra={"union": "yes"})
    info.save(tmp_path)
    assert ActorInfo.load(tmp_path) == info
    assert info.consent["status"] == "not recorded"


def test_plates_are_named_for_every_tool(tmp_path: Path) -> None:
    assert plate_path(tmp_path, "sh010", 3, 98).relative_to(tmp_path).as_posix() == "v003/sh010_dub_v003.0098.exr"
    with pytest.raises(InvalidInput):
        plate_path(tmp_path, "../sh010", 1, 1)
