# SPDX-License-Identifier: Apache-2.0
"""Footage: frame counts, true times, right colours, the same bits by seek as by iteration, and damage that is named."""

from __future__ import annotations

import gc
import struct
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dubplate_backend.plates.footage import Footage
from dubplate_shared.errors import ExitCode, FootageError
from footage import HEIGHT, WIDTH, clip, number_of, numbered

Video = Callable[..., Path]


def test_iteration_gives_every_frame_once_and_in_order(video: Video) -> None:
    footage = Footage.open(video(count=40))
    assert footage.count == len(footage) == 40
    assert (footage.width, footage.height) == (WIDTH, HEIGHT)
    assert footage.rate.fps == 25
    assert [number_of(rgb) for rgb in footage] == list(range(40))
    assert [number_of(rgb) for rgb in footage.iter(17, 23)] == list(range(17, 23))


@pytest.mark.parametrize("name", ["numbered.mp4", "numbered.mkv", "numbered.mpg", "numbered.ts"])
def test_a_frame_by_seek_has_the_same_bits_as_by_iteration(video: Video, name: str) -> None:
    mpeg = name.endswith((".mpg", ".ts"))
    path = video(name, codec="mpeg2video" if mpeg else "libx264", options={"bf": "2"} if mpeg else {"crf": "20"})
    footage = Footage.open(path)
    every = list(footage)
    for index in [39, 0, 1, 2, 30, 11, 12, 13, 5, 38, 24, 23, 25]:
        assert np.array_equal(footage.frame(index), every[index]), index
    for start in (12, 20, 37):
        assert np.array_equal(next(footage.iter(start)), every[start])


def test_two_iterators_and_seeks_do_not_disturb_each_other(video: Video) -> None:
    footage = Footage.open(video())
    first, second = footage.iter(), footage.iter(10)
    seen = [(number_of(next(first)), number_of(next(second)), number_of(footage.frame(39 - i))) for i in range(8)]
    assert seen == [(i, 10 + i, 39 - i) for i in range(8)]


def test_going_forward_while_looking_back_does_not_decode_everything_again(
    video: Video, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A render reads frame after frame, and references from elsewhere; a keyframe may be hundreds of frames back."""
    footage, decoded = with_one_keyframe(video, monkeypatch)
    every = list(footage)
    decoded.clear()
    for step in range(24):
        assert np.array_equal(footage.frame(30 + step), every[30 + step])
        if step % 4 == 0:
            assert np.array_equal(footage.frame(step), every[step])
    assert len(decoded) == 54 + 21  # 0 to 53, and 0 to 20


def test_a_long_way_forward_is_decoded_through_where_no_keyframe_lies_on_it(
    video: Video, monkeypatch: pytest.MonkeyPatch
) -> None:
    footage, decoded = with_one_keyframe(video, monkeypatch)
    assert [number_of(footage.frame(index)) for index in (10, 55)] == [10, 55]
    assert len(decoded) == 56


def with_one_keyframe(video: Video, monkeypatch: pytest.MonkeyPatch) -> tuple[Footage, list[int]]:
    """60 frames, and the positions of those that are decoded from now on."""
    decoded: list[int] = []
    decode = Footage._decode

    def counted(self: Footage, *given: Any) -> Iterator[tuple[int, Any]]:
        for position, frame in decode(self, *given):
            decoded.append(position)
            yield position, frame

    monkeypatch.setattr(Footage, "_decode", counted)
    return Footage.open(video(count=60, options={"crf": "8", "g": "60"})), decoded


def test_decoders_that_are_left_are_let_go_of(video: Video) -> None:
    """Each holds pictures: looking here and there must not gather them."""
    footage, begun = Footage.open(video(options={"crf": "8", "g": "60"})), []
    for index in (35, 25, 15, 5):
        assert number_of(footage.frame(index)) == index
        begun.append(weakref.ref(footage._places[-1]))
    gc.collect()
    assert len({id(place()) for place in begun if place() is not None}) == 2


@pytest.mark.parametrize("matrix", [1, 5])
def test_colours_come_back_by_the_matrix_the_file_is_tagged_with(video: Video, matrix: int) -> None:
    footage = Footage.open(video(matrix=matrix))
    assert footage.colour_space == {1: "bt709", 5: "bt601"}[matrix]
    seen, true = footage.frame(0).astype(int), numbered(0).astype(int)
    for place in range(4):
        patch = np.s_[40:56, place * 24 + 8 : place * 24 + 16]
        assert np.abs(seen[patch].mean((0, 1)) - true[patch].mean((0, 1))).max() <= 3


def test_variable_frame_rate_is_kept_by_its_true_times(video: Video) -> None:
    pts = np.cumsum([0] + [42, 125, 42, 83] * 6)[:24].tolist()
    footage = Footage.open(video("phone.mkv", count=24, pts=pts))
    assert footage.variable_rate
    assert np.allclose(footage.times, np.array(pts) / 1000, atol=1e-6)
    assert number_of(footage.frame(21)) == 21


def test_a_constant_rate_is_not_called_variable(video: Video) -> None:
    assert not Footage.open(video()).variable_rate
    assert not Footage.open(video("rounded.mkv", pts=[round(i * 1000 / 23.976) for i in range(40)])).variable_rate


def test_footage_filmed_upright_on_a_phone_is_shown_upright(video: Video) -> None:
    path = video(codec="libx264")
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40  # ISO 14496-12, 8.3.2: a version 0 track header keeps its matrix there
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, HEIGHT << 16, 0, 1 << 30)
    path.write_bytes(data)
    footage = Footage.open(path)
    assert (footage.width, footage.height) == (HEIGHT, WIDTH)
    turned = np.rot90(numbered(5), -1).astype(int)  # the matrix turns the picture clockwise by a quarter
    assert np.abs(footage.frame(5).astype(int) - turned).mean() < 6


def test_a_file_that_is_no_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("this is not a video " * 100)
    with pytest.raises(FootageError, match="not a video") as caught:
        Footage.open(path)
    assert caught.value.exit_code == ExitCode.INVALID_INPUT and caught.value.hint


def test_a_missing_and_an_empty_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FootageError, match="no footage at"):
        Footage.open(tmp_path / "nowhere.mp4")
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(FootageError, match="not a video"):
        Footage.open(tmp_path / "empty.mp4")


def test_a_sound_file_is_no_footage(tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "voice.wav", np.zeros(8000, np.float32), 8000)
    with pytest.raises(FootageError, match="no video stream"):
        Footage.open(tmp_path / "voice.wav")


@pytest.mark.parametrize("index_first", [True, False])
def test_a_truncated_video_is_refused_when_it_is_opened(video: Video, index_first: bool) -> None:
    path = video(container_options={"movflags": "faststart"} if index_first else {})
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.7)])
    with pytest.raises(FootageError, match="truncated"):
        Footage.open(path)


def test_damage_inside_is_named_by_the_frame_that_is_missing(video: Video) -> None:
    """A frame whose bytes are gone leaves no error in the decoder, only a gap in the times."""
    path = video(options={"crf": "8", "bf": "0", "tune": "zerolatency"})
    spoil_packet(path, 20)
    footage = Footage.open(path)
    with pytest.raises(FootageError, match="20"):
        list(footage)
    with pytest.raises(FootageError, match="20"):
        footage.frame(20)
    assert number_of(footage.frame(5)) == 5


def spoil_packet(path: Path, wanted: int) -> None:
    """Overwrite the coded picture of one frame with zeros, leaving the container's index as it is."""
    import av

    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(container.streams.video[0]) if packet.size]
        where, size = packets[wanted].pos, packets[wanted].size
    data = bytearray(path.read_bytes())
    data[where + 4 : where + size] = bytes(size - 4)
    path.write_bytes(data)


def test_the_development_clip_opens_with_all_its_frames() -> None:
    footage = Footage.open(clip("kitchen_man_25fps.mp4"))
    assert (footage.width, footage.height, footage.count, footage.colour_space) == (1080, 1920, 502, "bt709")
    assert footage.times[-1] == pytest.approx(501 / 25)
    assert np.array_equal(footage.frame(303), next(footage.iter(303)))


def test_a_program_stream_without_an_index_opens_with_all_its_frames() -> None:
    footage = Footage.open(clip("grid_bbaf2n.mpg"))
    every = list(footage)
    assert len(every) == footage.count == 75
    assert all(np.array_equal(footage.frame(index), every[index]) for index in (74, 3, 40, 12, 13))


def test_the_timecode_of_the_first_frame_is_found(video: Video) -> None:
    stamped = video("stamped.mov", metadata={"timecode": "10:00:00:12"})
    assert Footage.open(stamped).timecode == "10:00:00:12"
    assert Footage.open(video()).timecode is None
