# SPDX-License-Identifier: Apache-2.0
"""Footage as it comes: what can be tracked becomes a shot that says what was filmed; the rest is refused with a fix."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from crowd import crowd, speaker

from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.exr import ExrPart, Windows, write_exr
from dubplate_backend.plates.footage import Footage, open_footage
from dubplate_backend.plates.movie import write_movie
from dubplate_backend.plates.source import ShotPlates
from dubplate_backend.tracking.face_choice import FaceChoice
from dubplate_backend.tracking.faces import find_faces
from dubplate_backend.tracking.settings import TrackSettings
from dubplate_backend.tracking.split import track_split
from dubplate_backend.tracking.track import track
from dubplate_backend.tracking.track_shot import track_shot
from dubplate_shared.errors import Cancelled, FootageError, InvalidInput
from dubplate_shared.progress import Progress, never, silent
from dubplate_shared.shot import Rate, Shot
from footage import clip

QUICK = TrackSettings(photometric=False)


@pytest.fixture(scope="module")
def faces() -> list[np.ndarray]:
    """A few frames of a speaker, uint8 [288, 360, 3]."""
    with Footage.open(clip("grid_bbaf2n.mpg")) as footage:
        return list(footage.iter(20, 26))


def quickly(video: Path, out: Path, head: HeadModel, **options):
    return track_shot(video, out, head=head, settings=QUICK, preview=False, **options)


def light(rgb: np.ndarray) -> np.ndarray:
    """What an sRGB picture shows as light, half."""
    code = rgb / 255
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4).astype(np.float16)


def test_a_sequence_of_light_is_tracked_as_its_video_is_and_rendered_from_bit_for_bit(faces, head, tmp_path) -> None:
    (tmp_path / "plates").mkdir()
    for number, rgb in enumerate(faces, start=86400):
        pixels = light(rgb)
        channels = {name: pixels[..., index] for index, name in enumerate("RGB")}
        windows = Windows.of_size(*rgb.shape[:2])
        write_exr(tmp_path / "plates" / f"sh.{number}.exr", [ExrPart("rgba", channels)], windows, {})
    shot = quickly(tmp_path / "plates", tmp_path / "sh.dubshot", head, rate=Rate(24000, 1001), colour_space="linear")
    info = shot.info
    assert (info.first_frame, info.frame_count, info.rate) == (86400, 6, Rate(24000, 1001))
    assert (info.plate.kind, info.plate.colour_space) == ("sequence", "lin_rec709_scene")
    assert shot.track.frame.tolist() == list(range(86400, 86406))
    assert shot.track.time[5] == pytest.approx(5 * 1001 / 24000, abs=1e-9)
    as_video = find_faces(iter(faces), len(faces), progress=silent, stop=never)
    assert np.abs(shot.track.landmarks_px - as_video.landmarks_px[:, :468]).max() < 0.5  # 8 bits, rounded twice
    with ShotPlates(shot) as plates:
        assert np.array_equal(plates.plate(86403).rgb.view(np.uint16), light(faces[3]).view(np.uint16))
    with pytest.raises(InvalidInput, match="86400, not 1001"):
        quickly(tmp_path / "plates", tmp_path / "b.dubshot", head, rate=Rate(24), first_frame=1001)


@pytest.mark.parametrize(
    "rate", [Rate(24000, 1001), Rate(24), Rate(25), Rate(30000, 1001), Rate(30), Rate(50), Rate(60)]
)
@pytest.mark.parametrize("container", ["mp4", "mov", "mkv"])
def test_every_usual_rate_is_exact(rate: Rate, container: str, tmp_path: Path) -> None:
    import av

    path = tmp_path / f"clip.{container}"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=rate.fraction)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(15):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), "rgb24")))
        file.mux(stream.encode(None))
    with open_footage(path) as footage:
        assert footage.rate == rate and not footage.variable_rate
        with pytest.raises(FootageError, match="by its own clock"):
            open_footage(path, rate=Rate(12))


def woven(frames: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Interlaced pictures: even lines of one moment, odd lines of the next."""
    for one, other in zip(frames[::2], frames[1::2], strict=False):
        picture = one.copy()
        picture[1::2] = other[1::2]
        yield picture


def test_interlaced_footage_is_refused_with_the_command_that_mends_it(tmp_path: Path, head: HeadModel) -> None:
    with Footage.open(clip("grid_bbaf2n.mpg")) as footage:
        frames = list(footage.iter(20, 60))
    write_movie(tmp_path / "tape.mp4", woven(frames), Rate(25), quality=5)
    with pytest.raises(FootageError, match="interlaced") as caught:
        quickly(tmp_path / "tape.mp4", tmp_path / "tape.dubshot", head)
    assert "bwdif" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["tape.mp4"]


@pytest.fixture(scope="module")
def two_shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six frames of one speaker, then seven of another."""
    path = tmp_path_factory.mktemp("cut") / "two.mp4"
    frames = []
    for name, count in (("bbaf2n", 6), ("lrwp9a", 7)):
        with Footage.open(clip(f"grid_{name}.mpg")) as footage:
            frames += list(islice(footage.iter(20), count))
    write_movie(path, frames, Rate(25), clip("grid_bbaf2n.mpg"), quality=10)
    return path


def test_a_cut_is_refused_by_its_frame(two_shots: Path, head: HeadModel, tmp_path: Path) -> None:
    with pytest.raises(FootageError, match=r"second begins with frame 1007 \(6 counted from 0\)") as caught:
        quickly(two_shots, tmp_path / "two.dubshot", head)
    assert "--split" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_split_makes_a_shot_of_each_side_of_a_cut_and_goes_on_where_it_was_stopped(
    two_shots: Path, head: HeadModel, tmp_path: Path
) -> None:
    import soundfile

    def busy(progress: Progress) -> None:
        if (tmp_path / "two_s01.dubshot").exists():
            raise Cancelled("Stopped.")

    options = {"head": head, "settings": QUICK, "preview": False}
    with pytest.raises(Cancelled):
        track_split(two_shots, tmp_path / "two.dubshot", progress=busy, **options)
    made = (tmp_path / "two_s01.dubshot" / "track.npz").stat().st_mtime_ns
    assert not (tmp_path / "two_s02.dubshot").exists()
    first, second = track_split(two_shots, tmp_path / "two.dubshot", **options)
    assert (first.path / "track.npz").stat().st_mtime_ns == made
    assert [shot.path.name for shot in (first, second)] == ["two_s01.dubshot", "two_s02.dubshot"]
    assert [(shot.info.name, shot.info.frame_count) for shot in (first, second)] == [("two_s01", 6), ("two_s02", 7)]
    assert second.info.first_frame == 1001 and second.track.time[0] == 0 and second.info.plate.start == 6
    assert soundfile.info(first.audio_path()).duration == pytest.approx(6 / 25, abs=0.01)
    with ShotPlates(second) as plates, Footage.open(two_shots) as footage:
        assert np.array_equal(np.round(plates.plate(1001).rgb.astype(np.float32) * 255), footage.frame(6))
    with pytest.raises(InvalidInput, match=r"two_s01\.dubshot, two_s02\.dubshot exist"):
        track_split(two_shots, tmp_path / "two.dubshot", **options)
    shutil.rmtree(first.path)
    first.path.mkdir()
    with pytest.raises(InvalidInput):  # what is there is no shot, and stays
        track_split(two_shots, tmp_path / "two.dubshot", **options)
    assert Shot.load(second.path).info == second.info


def test_the_face_that_is_named_is_tracked_and_candidates_are_shown_where_none_is(head, tmp_path: Path) -> None:
    busts = [speaker(name, 4) for name in ("bbaf2n", "sbia1a")]
    frames = crowd([(busts[0], 1.0, lambda _: 220), (busts[1], 0.95, lambda _: 640)], 4)
    write_movie(tmp_path / "pair.mp4", frames, Rate(25), quality=8)
    with pytest.raises(FootageError, match="2 faces") as caught:
        quickly(tmp_path / "pair.mp4", tmp_path / "pair.dubshot", head)
    shown = tmp_path / "pair.faces.png"
    assert str(shown) in caught.value.hint and cv2.imread(str(shown)).shape == frames[0].shape
    assert not (tmp_path / "pair.dubshot").exists()
    chosen = TrackSettings(photometric=False, face=FaceChoice.parse("1"))
    with open_footage(tmp_path / "pair.mp4") as footage:
        tracked = track(footage, head=head, settings=chosen)
    assert abs(tracked.track.landmarks_px[..., 0].mean() - 640) < 40


def test_a_face_filmed_upright_is_found_upright(faces, tmp_path: Path) -> None:
    path = tmp_path / "phone.mp4"
    lying = [np.ascontiguousarray(np.rot90(rgb)) for rgb in faces[:4]]
    write_movie(path, lying, Rate(25), quality=8)
    turned(path, *lying[0].shape[:2])
    with open_footage(path) as footage:
        assert (footage.width, footage.height) == (360, 288)
        found = find_faces(footage.iter(), footage.count, progress=silent, stop=never)
    across = found.landmarks_px[:, 263] - found.landmarks_px[:, 33]
    assert (across[:, 0] > 40).all() and (np.abs(across[:, 1]) < 15).all()


def turned(path: Path, height: int, width: int) -> None:
    """Write a quarter turn clockwise into the track header (ISO 14496-12, 8.3.2)."""
    import struct

    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, height << 16, 0, 1 << 30)
    path.write_bytes(data)


def test_the_command_takes_a_sequence_and_a_face(faces, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    from dubplate_backend.cli.track import command

    for number, rgb in enumerate(faces[:3], start=1):
        cv2.imwrite(str(tmp_path / f"a.{number:04d}.png"), rgb[..., ::-1])
    quick = {"photometric": False, "preview": False, "as_json": True}
    command(tmp_path / "a.0002.png", tmp_path / "a.dubshot", fps="23.976", face="0", **quick)
    printed = capsys.readouterr().out
    assert json.loads(printed[printed.index("{") :])["figures"]["frames"] == 3
    info = Shot.load(tmp_path / "a.dubshot").info
    assert (info.rate, info.first_frame, info.plate.colour_space) == (Rate(24000, 1001), 1, "srgb_rec709_display")
