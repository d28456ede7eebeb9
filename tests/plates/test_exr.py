# SPDX-License-Identifier: Apache-2.0
"""What the EXR writer promises a compositor, read back with the OpenEXR library itself."""

import struct
from fractions import Fraction

import numpy as np
import OpenEXR
import pytest

from dubplate_backend.plates.exr import (
    PIXEL_HASH,
    ExrPart,
    Windows,
    rate_attribute,
    read_attributes,
    read_exr,
    read_first_part,
    time_code,
    write_exr,
)
from dubplate_shared.errors import ExitCode, InvalidInput, OutputNotWritable
from plates.small_disk import small_disk


def noise(seed: int, dtype=np.float16, size=(48, 64)) -> np.ndarray:
    return np.random.default_rng(seed).random(size, np.float32).astype(dtype)


def parts(dtype=np.float16) -> list[ExrPart]:
    return [
        ExrPart("rgba", {name: noise(seed, dtype) for seed, name in enumerate("RGBA")}),
        ExrPart("dp_uv", {"dp_uv.u": noise(8, np.float32), "dp_uv.v": noise(9, np.float32)}),
    ]


WHOLE = Windows.of_size(48, 64)
DATA_WINDOW = b"dataWindow\0box2i\0"  # as a header spells it, before its length


def bits(pixels: np.ndarray) -> np.ndarray:
    return pixels.view(np.uint16 if pixels.dtype == np.float16 else np.uint32)


def test_every_bit_comes_back_with_nan_infinity_negatives_and_denormals(tmp_path):
    odd = noise(1)
    odd[0, :5] = (np.nan, np.inf, -np.inf, -0.0, -3.5)
    odd.view(np.uint16)[1, :3] = (0x7E01, 0x0001, 0x8001)  # a NaN with a payload, the smallest denormals
    write_exr(tmp_path / "a.exr", [ExrPart("rgba", dict.fromkeys("RGBA", odd))], WHOLE, {})
    read = read_exr(tmp_path / "a.exr").parts[0]
    assert all(np.array_equal(bits(read.channels[name]), bits(odd)) for name in "RGBA")


def test_half_stays_half_and_float_stays_float(tmp_path):
    for dtype in (np.float16, np.float32):
        write_exr(tmp_path / "a.exr", parts(dtype), WHOLE, {})
        read = read_exr(tmp_path / "a.exr")
        assert read.parts[0].rgb().dtype == dtype
        assert read.part("dp_uv").channels["dp_uv.u"].dtype == np.float32


def test_part_names_are_layer_names_and_the_first_part_is_plain_rgba(tmp_path):
    write_exr(tmp_path / "a.exr", parts(), WHOLE, {})
    with OpenEXR.File(str(tmp_path / "a.exr"), separate_channels=True) as file:
        assert [part.name() for part in file.parts] == ["rgba", "dp_uv"]
        assert set(file.parts[0].channels) == set("RGBA")
        assert set(file.parts[1].channels) == {"dp_uv.u", "dp_uv.v"}
        for part in file.parts:
            assert part.header["type"] == OpenEXR.scanlineimage
            assert part.header["compression"] == OpenEXR.ZIPS_COMPRESSION


def test_negative_data_windows_and_overscan_survive(tmp_path):
    windows = Windows(data=(-8, -4, 55, 43), display=(0, 0, 47, 35))
    write_exr(tmp_path / "a.exr", parts(), windows, {})
    assert read_exr(tmp_path / "a.exr").windows == windows
    assert windows.origin == (-8, -4)


def test_time_code_rate_and_foreign_attributes_are_kept(tmp_path):
    attributes = {
        "timeCode": time_code(10, 11, 12, 13),
        "framesPerSecond": rate_attribute(24000, 1001),
        "camera": "A001",
        "iso": 800,
        "slope": np.array([1.0, 0.5, 0.25], np.float32),
    }
    write_exr(tmp_path / "a.exr", parts(), WHOLE, attributes)
    read = read_attributes(tmp_path / "a.exr")
    code = read["timeCode"]
    assert (code.hours, code.minutes, code.seconds, code.frame) == (10, 11, 12, 13)
    assert read["framesPerSecond"] == Fraction(24000, 1001)
    assert read["camera"] == "A001" and read["iso"] == 800
    assert np.array_equal(read["slope"], attributes["slope"])
    with OpenEXR.File(str(tmp_path / "a.exr")) as file:  # the format wants these equal in all parts
        assert file.parts[1].header["framesPerSecond"] == Fraction(24000, 1001)
        assert "camera" not in file.parts[1].header


def test_what_the_caller_hands_over_is_not_changed(tmp_path):
    given, attributes = parts(), {"camera": "A001"}
    names = [dict(part.channels) for part in given]
    write_exr(tmp_path / "a.exr", given, WHOLE, attributes)
    assert attributes == {"camera": "A001"}
    assert [list(part.channels) for part in given] == [list(each) for each in names]


def test_a_write_leaves_the_file_alone_in_its_folder(tmp_path):
    write_exr(tmp_path / "a.exr", parts(), WHOLE, {})
    assert [path.name for path in tmp_path.iterdir()] == ["a.exr"]


def test_a_full_disk_is_named_and_leaves_the_old_file_and_nothing_else(tmp_path):
    with small_disk(tmp_path / "disk", 1) as disk:
        small = [ExrPart("rgba", {name: noise(3) for name in "RGB"})]
        write_exr(disk / "a.exr", small, WHOLE, {})
        before = (disk / "a.exr").read_bytes()
        large = [ExrPart("rgba", {name: noise(seed, size=(1000, 1000)) for seed, name in enumerate("RGB")})]
        with pytest.raises(OutputNotWritable) as caught:
            write_exr(disk / "a.exr", large, Windows.of_size(1000, 1000), {})
        assert caught.value.exit_code == ExitCode.NOT_WRITABLE and "full" in caught.value.message
        assert [path.name for path in disk.iterdir()] == ["a.exr"]
        assert (disk / "a.exr").read_bytes() == before


@pytest.mark.parametrize("keep", [0, 10, 300, 0.3, 0.6, 0.95])
def test_a_file_cut_short_is_refused_by_name(tmp_path, keep):
    whole = tmp_path / "whole.exr"
    write_exr(whole, parts(), WHOLE, {})
    data = whole.read_bytes()
    cut = tmp_path / "cut.exr"
    cut.write_bytes(data[: keep if isinstance(keep, int) else int(keep * len(data))])
    with pytest.raises(InvalidInput, match=r"cut\.exr"):
        read_exr(cut)


@pytest.mark.parametrize("where", [0.3, 0.5, 0.7, 0.99])
def test_flipped_bits_and_zeroed_tails_are_refused(tmp_path, where):
    whole = tmp_path / "whole.exr"
    write_exr(whole, parts(), WHOLE, {})
    data = bytearray(whole.read_bytes())
    at = int(where * len(data))
    data[at] ^= 0x10
    (tmp_path / "bad.exr").write_bytes(data)
    with pytest.raises(InvalidInput, match=r"bad\.exr"):
        read_exr(tmp_path / "bad.exr")
    data = bytearray(whole.read_bytes())
    data[at:] = bytes(len(data) - at)
    (tmp_path / "bad.exr").write_bytes(data)
    with pytest.raises(InvalidInput, match=r"bad\.exr"):
        read_exr(tmp_path / "bad.exr")


@pytest.mark.parametrize("keep", [300, 0.3, 0.6, 0.95])
def test_a_foreign_file_without_our_hash_is_refused_when_cut_short(tmp_path, keep):
    header = {"compression": OpenEXR.ZIPS_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {name: noise(seed) for seed, name in enumerate("RGB")}).write(str(tmp_path / "whole.exr"))
    data = (tmp_path / "whole.exr").read_bytes()
    (tmp_path / "cut.exr").write_bytes(data[: keep if isinstance(keep, int) else int(keep * len(data))])
    with pytest.raises(InvalidInput, match=r"cut\.exr"):
        read_exr(tmp_path / "cut.exr")


@pytest.mark.parametrize("read", [read_exr, read_first_part])
def test_a_header_that_asks_for_a_terabyte_is_refused_before_any_memory_is(tmp_path, read):
    path = tmp_path / "huge.exr"
    write_exr(path, parts(), WHOLE, {})
    data = bytearray(path.read_bytes())
    at = data.index(DATA_WINDOW) + len(DATA_WINDOW) + 4
    data[at : at + 16] = struct.pack("<4i", 0, 0, 599_999, 599_999)
    path.write_bytes(data)
    with pytest.raises(InvalidInput, match="600000 x 600000"):
        read(path)


def test_the_hash_of_another_file_never_travels(tmp_path):
    write_exr(tmp_path / "a.exr", parts(), WHOLE, {PIXEL_HASH: "stale"})
    assert read_exr(tmp_path / "a.exr").windows == WHOLE
    assert PIXEL_HASH not in read_exr(tmp_path / "a.exr").attributes


def test_a_plate_without_rgb_is_refused(tmp_path):
    write_exr(tmp_path / "a.exr", [ExrPart("rgba", {"Y": noise(1)})], WHOLE, {})
    with pytest.raises(InvalidInput, match="no channel R, G, B"):
        read_exr(tmp_path / "a.exr").parts[0].rgb()
