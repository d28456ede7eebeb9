# SPDX-License-Identifier: Apache-2.0
"""Image sequences: found, complete, at their own rate, in the right colours, and rendered from without loss."""

from __future__ import annotations

import struct
import zlib
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import OpenEXR
import pytest

from dubplate_backend.plates.dpx import read_dpx, read_dpx_header
from dubplate_backend.plates.exr import ExrPart, Windows, time_code, write_exr
from dubplate_backend.plates.footage import open_footage
from dubplate_backend.plates.picture_file import read_picture
from dubplate_backend.plates.source import ShotPlates
from dubplate_shared.errors import FootageError, InvalidInput
from dubplate_shared.shot import PlateSource, Rate
from plates.blank_shot import blank_shot
from plates.sequences import write_dpx, write_numbered

FILM = Rate(24)


def write_light(folder: Path, light: float = 0.18, **attributes) -> Path:
    """Three EXR frames of even scene light."""
    for number in (1001, 1002, 1003):
        pixels = {name: np.full((32, 48), light, np.float16) for name in "RGB"}
        write_exr(folder / f"plate.{number}.exr", [ExrPart("rgba", pixels)], Windows.of_size(32, 48), attributes)
    return folder / "plate.####.exr"


@pytest.mark.parametrize("said", ["plate.####.png", "plate.%04d.png", "plate.1003.png", "."])
def test_a_sequence_is_found_by_pattern_by_folder_and_by_one_of_its_frames(tmp_path: Path, said: str) -> None:
    write_numbered(tmp_path / "shot_v002", range(1001, 1006))
    with open_footage(tmp_path / "shot_v002" / said, rate=FILM) as footage:
        assert (footage.count, footage.first_frame, footage.width, footage.height) == (5, 1001, 24, 16)
        assert [int(rgb.mean()) for rgb in footage] == [1, 2, 3, 4, 5]
        assert int(footage.frame(3).mean()) == 4
        assert footage.plate.path == str(tmp_path / "shot_v002" / "plate.####.png")
        assert (footage.plate.kind, footage.plate.colour_space) == ("sequence", "srgb_rec709_display")


def test_numbers_without_padding_and_across_a_digit_more_are_in_order(tmp_path: Path) -> None:
    bare = open_footage(write_numbered(tmp_path / "bare", range(8, 13), "a{}.png"), rate=FILM)
    assert (bare.first_frame, bare.count, bare.path.name) == (8, 5, "a#.png")
    wide = open_footage(write_numbered(tmp_path / "wide", range(9998, 10002)) / "plate.####.png", rate=FILM)
    assert [int(rgb.mean()) for rgb in wide] == [98, 99, 0, 1]


def test_missing_frames_are_refused_by_their_numbers(tmp_path: Path) -> None:
    write_numbered(tmp_path, [1001, 1002, 1005, 1006, 1009])
    with pytest.raises(FootageError, match=r"1003-1004,1007-1008") as caught:
        open_footage(tmp_path, rate=FILM)
    assert caught.value.hint


def test_what_is_no_sequence_is_refused_plainly(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write_numbered(tmp_path / "two", [1, 2])
    write_numbered(tmp_path / "two", [1, 2], "other.{:04d}.png")
    cv2.imwrite(str(tmp_path / "still.png"), np.zeros((4, 4, 3), np.uint8))
    for path, says in (
        ("empty", "0 sequences"),
        ("two", "2 sequences.*other"),
        ("still.png", "no frame number"),
        ("nowhere.####.exr", "No frame"),
        ("nowhere.1001.exr", "no footage"),
    ):
        with pytest.raises(FootageError, match=says) as caught:
            open_footage(tmp_path / path, rate=FILM)
        assert caught.value.hint


def test_a_broken_or_smaller_frame_is_named(tmp_path: Path) -> None:
    write_numbered(tmp_path, range(1, 5))
    (tmp_path / "plate.0003.png").write_bytes(b"")
    cv2.imwrite(str(tmp_path / "plate.0004.png"), np.zeros((8, 8, 3), np.uint8))
    footage = open_footage(tmp_path, rate=FILM)
    for index, name in ((2, "0003"), (3, "0004")):
        with pytest.raises(InvalidInput, match=name):
            footage.frame(index)


def test_a_rate_is_needed_and_those_in_exr_and_dpx_are_exact(tmp_path: Path) -> None:
    write_numbered(tmp_path / "png", [1, 2])
    with pytest.raises(FootageError, match="frame rate") as caught:
        open_footage(tmp_path / "png")
    assert "--fps" in caught.value.hint
    (tmp_path / "exr").mkdir()
    pattern = write_light(tmp_path / "exr", framesPerSecond=Fraction(24000, 1001), timeCode=time_code(10, 0, 0, 12))
    light = open_footage(pattern)
    assert (light.rate, light.timecode, light.first_frame) == (Rate(24000, 1001), "10:00:00:12", 1001)
    assert light.times[2] == pytest.approx(2 * 1001 / 24000, abs=1e-12)
    assert open_footage(pattern, rate=Rate(25)).rate == Rate(25)
    assert open_footage(pattern, rate=Rate(12)).timecode is None  # there is no frame 12 in a second of 12
    film = write_dpx(
        tmp_path / "film.0100.dpx", np.zeros((4, 6, 3), np.uint16), rate=np.float32(29.97), timecode="01:02:03:04"
    )
    assert (open_footage(film).rate, open_footage(film).timecode) == (Rate(30000, 1001), "01:02:03:04")


@pytest.mark.parametrize("bits, little_endian", [(8, False), (10, False), (10, True), (16, False), (16, True)])
def test_dpx_codes_are_exact_from_file_to_plate(tmp_path: Path, bits: int, little_endian: bool) -> None:
    codes = np.random.default_rng(bits).integers(0, 1 << bits, (32, 48, 3)).astype(np.uint16 if bits > 8 else np.uint8)
    codes[0, 0], codes[0, 1] = 0, (1 << bits) - 1
    for number in (1001, 1002, 1003):
        write_dpx(tmp_path / f"plate.{number}.dpx", codes, bits, little_endian=little_endian)
    stored, found_bits = read_dpx(tmp_path / "plate.1001.dpx")
    assert found_bits == bits and np.array_equal(stored, codes)
    footage = open_footage(tmp_path / "plate.####.dpx")
    assert footage.colour_space == "cineon"
    shot = blank_shot(tmp_path, footage.plate, size=(48, 32))
    with ShotPlates(shot) as plates:
        plate = plates.plate(1002)
    assert plate.rgb.dtype == (np.float16 if bits <= 10 else np.float32)
    assert np.array_equal(np.round(plate.rgb.astype(np.float64) * ((1 << bits) - 1)), codes)
    assert "colorInteropID" not in plate.attributes


def test_a_dpx_of_ffmpeg_whose_pixels_follow_the_first_header_at_once_is_read(tmp_path: Path) -> None:
    import av

    codes = np.random.default_rng(0).integers(0, 1 << 12, (18, 26, 3)).astype(np.uint16)
    encoder = av.CodecContext.create("dpx", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 26, 18, "gbrp12be", Fraction(1, 24)
    frame = av.VideoFrame.from_ndarray(codes, "gbrp12be")
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    (tmp_path / "a.0001.dpx").write_bytes(b"".join(bytes(packet) for packet in packets))
    assert np.array_equal(read_dpx(tmp_path / "a.0001.dpx")[0], codes)
    header = read_dpx_header(tmp_path / "a.0001.dpx")
    assert header.rate is None and header.timecode is None  # those bytes are pixels
    assert open_footage(tmp_path, rate=FILM).colour_space == "g24_rec709_display"


def test_film_log_light_and_display_values_come_out_as_a_monitor_shows_them(tmp_path: Path) -> None:
    grey = np.array([95, 445, 685, 1023], np.uint16)  # film's black, a little under mid grey, white, beyond white
    write_dpx(tmp_path / "film.0001.dpx", np.repeat(grey[None, :, None], 3, axis=2))
    seen = open_footage(tmp_path / "film.0001.dpx").frame(0)[0, :, 0].tolist()
    light = (10 ** ((445 - 685) * 0.002 / 0.6) - 10 ** ((95 - 685) * 0.002 / 0.6)) / (1 - 10 ** (-590 * 0.002 / 0.6))
    assert seen == [0, round(255 * (1.055 * light ** (1 / 2.4) - 0.055)), 255, 255]
    video = open_footage(tmp_path / "film.0001.dpx", colour_space="rec709").frame(0)[0, :, 0].tolist()
    assert video == [round(255 * code / 1023) for code in grey.tolist()]
    with pytest.raises(InvalidInput, match="no colour space"):
        open_footage(tmp_path / "film.0001.dpx", colour_space="magenta")


def test_light_is_shown_through_its_own_primaries(tmp_path: Path) -> None:
    pattern = write_light(tmp_path)
    assert set(np.unique(open_footage(pattern, rate=FILM).frame(0))) == {118}  # 18 % grey is 118 in 8-bit sRGB
    from dubplate_backend.plates.colour import PlateColour
    from dubplate_backend.plates.display import to_display, to_rec709

    acescg = OpenEXR.colorInteropIDToChromaticities("lin_ap1_scene")
    # The published matrix, ACES white adapted to D65 (OpenColorIO's and the Academy's CTL, to four digits).
    wanted = [[1.7051, -0.6218, -0.0833], [-0.1303, 1.1408, -0.0105], [-0.0240, -0.1290, 1.1530]]
    assert np.allclose(to_rec709(acescg), wanted, atol=2e-4)
    odd = np.array([[[np.nan, np.inf, -np.inf]]], np.float16)
    assert to_display(odd, PlateColour.named("linear")).tolist() == [[[0, 255, 0]]]
    assert to_display(np.full((1, 1, 3), 0.18), PlateColour.named("acescg")).tolist() == [[[118] * 3]]


def test_dpx_that_does_not_say_what_its_values_mean_has_to_be_told(tmp_path: Path) -> None:
    path = write_dpx(tmp_path / "a.0001.dpx", np.full((4, 4, 3), 445, np.uint16), transfer=0)
    with pytest.raises(FootageError, match="what its values mean") as caught:
        open_footage(path)
    assert "--colour-space" in caught.value.hint
    assert open_footage(path, colour_space="log").colour_space == "cineon"


@pytest.mark.parametrize(
    "suffix, kind", [(".tif", np.uint8), (".tif", np.uint16), (".tif", np.float32), (".png", np.uint16)]
)
def test_tiff_and_png_plates_keep_every_value(tmp_path: Path, suffix: str, kind: type) -> None:
    values = np.random.default_rng(1).random((32, 48, 3))
    stored = (values * 4 - 1).astype(np.float32) if kind is np.float32 else (values * np.iinfo(kind).max).astype(kind)
    for number in (1001, 1002, 1003):
        options = [cv2.IMWRITE_TIFF_COMPRESSION, 1] if suffix == ".tif" else []  # OpenCV's own choice is lossy
        cv2.imwrite(str(tmp_path / f"plate.{number}{suffix}"), stored[..., ::-1], options)
    footage = open_footage(tmp_path / f"plate.####{suffix}", rate=FILM)
    assert footage.colour_space == ("lin_rec709_scene" if kind is np.float32 else "srgb_rec709_display")
    with ShotPlates(blank_shot(tmp_path, footage.plate, size=(48, 32))) as plates:
        rgb = plates.plate(1002).rgb
    largest = 1 if kind is np.float32 else np.iinfo(kind).max
    back = rgb.astype(np.float64) * largest
    assert np.array_equal(back if kind is np.float32 else np.round(back), stored)


def test_a_segment_counts_times_and_stamps_from_its_own_first_frame(tmp_path: Path) -> None:
    write_light(tmp_path, framesPerSecond=Fraction(25), timeCode=time_code(10, 0, 0, 23))
    whole = open_footage(tmp_path)
    part = whole.segment(1, 3)
    assert (part.count, part.first_frame, part.timecode) == (2, 1002, "10:00:00:24")
    assert part.times.tolist() == [0.0, 0.04] and part.start_s == pytest.approx(0.04)
    assert part.segment(1, 2).timecode == "10:00:01:00"
    with pytest.raises(IndexError):
        whole.segment(2, 4)


def test_a_shot_from_the_middle_of_a_video_renders_on_its_own_frames(tmp_path: Path) -> None:
    from dubplate_backend.plates.movie import write_movie

    frames = [np.full((32, 48, 3), 20 * index, np.uint8) for index in range(8)]
    write_movie(tmp_path / "day.mp4", frames, Rate(24000, 1001))
    part = open_footage(tmp_path / "day.mp4").segment(4, 7)
    assert part.plate == PlateSource("video", str(tmp_path / "day.mp4"), "g24_rec709_display", 4)
    shot = blank_shot(tmp_path, part.plate, size=(48, 32))
    with ShotPlates(shot) as plates:
        for index, frame in enumerate((1001, 1002, 1003)):
            seen = np.round(plates.plate(frame).rgb.astype(np.float32) * 255)
            assert np.array_equal(seen, part.frame(index)) and abs(seen.mean() - 20 * (4 + index)) < 3
        other = blank_shot(tmp_path / "other", PlateSource("video", part.plate.path, "", 3), size=(48, 32))
        with ShotPlates(other) as earlier:  # a frame that is drawn is known again by this
            assert earlier.sha256(1001) != plates.sha256(1001)
    with pytest.raises(InvalidInput, match="from 6 on"):
        ShotPlates(blank_shot(tmp_path / "late", PlateSource("video", part.plate.path, "", 6), size=(48, 32)))


def test_a_png_that_promises_a_gigapixel_is_refused_before_any_memory_is_asked_for(tmp_path: Path) -> None:
    picture = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    header = b"IHDR" + struct.pack(">II", 30_000, 30_000) + picture[24:29]
    start = picture.index(b"IHDR")
    damaged = picture[:start] + header + struct.pack(">I", zlib.crc32(header)) + picture[start + 21 :]
    (tmp_path / "huge.png").write_bytes(damaged)
    with pytest.raises(FootageError, match="900000000 pixels"):
        read_picture(tmp_path / "huge.png")
