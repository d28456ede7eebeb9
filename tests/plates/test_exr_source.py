# SPDX-License-Identifier: Apache-2.0
"""Plates come as they are stored, with what their files say of colour and time."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import OpenEXR
import pytest

from dubplate_backend.plates.colour import PlateColour
from dubplate_backend.plates.exr import ExrPart, Windows, read_exr, write_exr
from dubplate_backend.plates.source import PLATES_KEPT, ShotPlates
from dubplate_backend.plates.time_code import advanced
from dubplate_shared.errors import InvalidInput
from dubplate_shared.shot import PlateSource, Rate
from plates.blank_shot import blank_shot

SIZE = (48, 32)  # width, height


def write_sequence(folder: Path, windows: Windows | None = None, **attributes) -> PlateSource:
    windows = windows or Windows.of_size(SIZE[1], SIZE[0])
    width, height = windows.data[2] - windows.data[0] + 1, windows.data[3] - windows.data[1] + 1
    for frame in (1001, 1002, 1003):
        rng = np.random.default_rng(frame)
        pixels = {name: (rng.random((height, width)) * 3 - 0.5).astype(np.float16) for name in "RGBA"}
        pixels["R"][0, :3] = (np.nan, np.inf, -4.0)
        write_exr(folder / f"plate.{frame}.exr", [ExrPart("rgba", pixels)], windows, attributes)
    return PlateSource("sequence", str(folder / "plate.####.exr"), "")


def test_exr_plates_keep_their_bits_alpha_and_attributes(tmp_path):
    shot = blank_shot(tmp_path, write_sequence(tmp_path, camera="A001", colorInteropID="lin_ap1_scene"), size=SIZE)
    with ShotPlates(shot) as plates:
        plate = plates.plate(1002)
    stored = read_exr(tmp_path / "plate.1002.exr").parts[0]
    assert plate.rgb.dtype == np.float16
    assert np.array_equal(plate.rgb.view(np.uint16), stored.rgb().view(np.uint16))
    assert np.array_equal(plate.alpha, stored.channels["A"])
    assert plate.attributes["camera"] == "A001"
    assert plate.attributes["colorInteropID"] == "lin_ap1_scene" and "chromaticities" in plate.attributes
    assert plate.attributes["framesPerSecond"] == Fraction(24000, 1001)


def test_overscan_is_cut_and_missing_borders_go_on_for_the_network(tmp_path):
    windows = Windows(data=(-4, 2, 51, 31), display=(0, 0, 47, 31))
    shot = blank_shot(tmp_path, write_sequence(tmp_path, windows), size=SIZE)
    with ShotPlates(shot) as plates:
        plate, net = plates.plate(1001), plates.net(1001)
    assert net.shape == (32, 48, 3) and np.isfinite(net).all() and net.min() >= 0 and net.max() <= 1
    encoded = np.clip(np.nan_to_num(plate.colour.encode(plate.rgb), nan=0, posinf=1, neginf=0), 0, 1)
    assert np.array_equal(net[10, 5], encoded[10 - 2, 5 + 4])
    assert np.array_equal(net[0, 5], encoded[0, 5 + 4])


def test_8_bit_pictures_are_recovered_exactly_from_half(tmp_path):
    levels = np.arange(48 * 32, dtype=np.uint32).reshape(32, 48) % 256
    picture = np.stack([levels, 255 - levels, levels // 2], axis=-1).astype(np.uint8)
    for frame in (1001, 1002, 1003):
        cv2.imwrite(str(tmp_path / f"plate.{frame}.png"), picture[..., ::-1])
    shot = blank_shot(tmp_path, PlateSource("sequence", str(tmp_path / "plate.####.png"), ""), size=SIZE)
    with ShotPlates(shot) as plates:
        plate = plates.plate(1001)
    assert plate.rgb.dtype == np.float16
    assert np.array_equal(np.round(plate.rgb.astype(np.float32) * 255), picture)
    assert plate.attributes["colorInteropID"] == "srgb_rec709_display"
    assert "chromaticities" not in plate.attributes


def test_16_bit_pictures_keep_their_16_bits(tmp_path):
    picture = np.random.default_rng(0).integers(0, 65536, (32, 48, 3), dtype=np.uint16)
    for frame in (1001, 1002, 1003):
        cv2.imwrite(str(tmp_path / f"plate.{frame}.png"), picture[..., ::-1])
    shot = blank_shot(tmp_path, PlateSource("sequence", str(tmp_path / "plate.####.png"), ""), size=SIZE)
    with ShotPlates(shot) as plates:
        assert np.array_equal(np.round(plates.plate(1003).rgb.astype(np.float64) * 65535), picture)


def test_a_video_is_read_as_display_referred_rec709(tmp_path):
    from dubplate_backend.plates.footage import Footage
    from dubplate_backend.plates.movie import write_movie

    frames = [np.full((32, 48, 3), 40 + 60 * i, np.uint8) for i in range(3)]
    write_movie(tmp_path / "clip.mp4", frames, Rate(24000, 1001))
    source = PlateSource("video", str(tmp_path / "clip.mp4"), "")
    shot = blank_shot(tmp_path, source, size=SIZE, timecode="10:00:00:22")
    with ShotPlates(shot) as plates, Footage.open(tmp_path / "clip.mp4") as footage:
        for index, frame in enumerate((1001, 1002, 1003)):
            plate = plates.plate(frame)
            assert np.array_equal(np.round(plate.rgb.astype(np.float32) * 255), footage.frame(index))
        code = plate.attributes["timeCode"]
        assert (code.hours, code.minutes, code.seconds, code.frame) == (10, 0, 1, 0)
        assert plate.attributes["colorInteropID"] == "g24_rec709_display"
        assert OpenEXR.checkColorMetadata(dict(plate.attributes)) == OpenEXR.ColorMetadataWarning.OK


def test_holes_wrong_sizes_and_frames_outside_are_named(tmp_path):
    source = write_sequence(tmp_path)
    with ShotPlates(blank_shot(tmp_path, source, size=SIZE)) as plates:
        (tmp_path / "plate.1002.exr").unlink()
        assert plates.missing((1001, 1002, 1003)) == (1002,)
        with pytest.raises(InvalidInput, match="1002"):
            plates.plate(1002)
        with pytest.raises(InvalidInput, match="1004"):
            plates.plate(1004)
    (tmp_path / "other").mkdir()
    with ShotPlates(blank_shot(tmp_path / "other", source, size=(64, 32))) as plates, pytest.raises(InvalidInput):
        plates.plate(1001)


def test_only_a_few_plates_are_kept(tmp_path):
    with ShotPlates(blank_shot(tmp_path, write_sequence(tmp_path), size=SIZE)) as plates:
        first = plates.plate(1001)
        assert plates.plate(1001) is first
        for _ in range(PLATES_KEPT):
            for frame in (1001, 1002, 1003):
                plates.plate(frame)
        assert len(plates._kept) <= PLATES_KEPT


def test_the_hash_of_a_plate_follows_its_file(tmp_path):
    with ShotPlates(blank_shot(tmp_path, write_sequence(tmp_path), size=SIZE)) as plates:
        before = plates.sha256(1001)
        assert plates.sha256(1002) != before and plates.sha256(1001) == before
        data = bytearray((tmp_path / "plate.1001.exr").read_bytes())
        data[-1] ^= 1
        (tmp_path / "plate.1001.exr").write_bytes(data + b"0")
        assert plates.sha256(1001) != before


def test_the_shaper_is_invertible_for_every_finite_value():
    colour = PlateColour.named("acescg")
    values = np.concatenate([-np.logspace(-4, 3, 200), [0.0], np.logspace(-6, 4, 400)]).astype(np.float32)
    assert np.allclose(colour.decode(colour.encode(values)), values, rtol=2e-5, atol=1e-6)
    assert (np.diff(colour.encode(np.sort(values))) > 0).all()


def test_highlights_and_what_is_not_a_number_are_not_drawable():
    linear, display = PlateColour.named("lin_rec709_scene"), PlateColour.named("g24_rec709_display")
    pixels = np.array([[0.5, 0.5, 0.5], [np.nan, 0, 0], [np.inf, 1, 1], [300, 1, 1], [-0.1, 0, 0], [1.5, 1, 1]])
    assert linear.drawable(pixels).tolist() == [True, False, False, False, False, True]
    assert display.drawable(pixels).tolist() == [True, False, False, False, False, False]


def test_drop_frame_time_code_counts_as_a_clock_does():
    def counted(frames: int) -> tuple[int, int, int, int]:
        hours = minutes = seconds = frame = 0
        for _ in range(frames):
            frame += 1
            if frame == 30:
                frame, seconds = 0, seconds + 1
            if seconds == 60:
                seconds, minutes = 0, minutes + 1
                frame = 2 if minutes % 10 else frame
            if minutes == 60:
                minutes, hours = 0, hours + 1
        return hours, minutes, seconds, frame

    for frames in (0, 1, 1799, 1800, 1801, 17981, 17982, 35964, 107891, 107892, 123456):
        assert advanced("00:00:00;00", frames, 30000 / 1001)[:4] == counted(frames)
    assert advanced("23:59:59:24", 1, 25.0) == (0, 0, 0, 0, False)
    with pytest.raises(InvalidInput, match="no time code"):
        advanced("1:2:3", 0, 25.0)
