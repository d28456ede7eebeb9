# SPDX-License-Identifier: Apache-2.0
"""Pictures in tiles and through shared memory: never more on the way than was granted, and every byte in its place."""

from __future__ import annotations

import gc
import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubplate_backend.server.bulk import remove_abandoned_rings
from dubplate_backend.server.stream import Stream
from dubplate_shared.errors import InvalidInput, OutputNotWritable
from dubplate_shared.messages import Message, Outcome, Picture, PictureTile, PreviewOver, Stage
from dubplate_shared.protocol import ProtocolError, pack, unpack
from dubplate_shared.ring import PREFIX, SUFFIX, Ring
from dubplate_shared.tiles import TILE_BYTES, Assembly, Pixels
from dubplate_shared.validation import from_envelope, to_envelope


def pixels(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, count, np.uint8)


def header(generation: int = 1) -> Picture:
    return Picture(0, generation, 1001, Stage.PLATE, "", ())


def through_the_wire(message: Message) -> Message:
    return from_envelope(unpack([bytes(part) for part in pack(to_envelope(message))]))


class Wire:
    """What a stream has sent and nobody has taken in."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def send(self, message: Message) -> bool:
        self.messages.append(through_the_wire(message))
        return True

    @property
    def under_way(self) -> int:
        return sum(message.cost for message in self.messages if isinstance(message, PictureTile))

    def taken_by(self, assembly: Assembly) -> list[Pixels]:
        whole = []
        for message in self.messages:
            if isinstance(message, Picture):
                assembly.begin(message)
            elif isinstance(message, PictureTile) and (found := assembly.add(message)) is not None:
                whole.append(found)
        self.messages = []
        return whole


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 3_000_000), min_size=1, max_size=6),
    credit=st.integers(1000, 1_500_000),
    shared=st.booleans(),
)
def test_whatever_is_sent_arrives_as_it_was_and_never_more_than_granted_is_under_way(sizes, credit, shared):
    ring = Ring.create(credit) if shared else None
    far = Ring.attach(ring.path, ring.size) if ring is not None else None
    stream, wire, assembly = Stream(credit, ring), Wire(), Assembly(far)
    arrived: list[bytes] = []
    for number, size in enumerate(sizes):
        sent = pixels(size, number)
        stream.put(header(), sent)
        while not stream.idle:
            stream.pump(wire.send)
            assert wire.under_way <= stream.granted
            arrived += [found.array.tobytes() for found in wire.taken_by(assembly)]
            stream.give(assembly.credit())
        assert arrived[-1] == sent.tobytes() and len(arrived) == number + 1
    stream.close()
    assembly.close()


def test_a_client_that_takes_nothing_is_sent_no_more_than_it_granted():
    stream, wire, sent = Stream(3 * TILE_BYTES), Wire(), np.zeros(10 * TILE_BYTES, np.uint8)
    for generation in range(1, 50):
        stream.put(header(generation), sent)
        stream.pump(wire.send)
        assert wire.under_way <= 3 * TILE_BYTES
    assert not stream.idle


def test_a_newer_generation_takes_the_place_of_what_did_not_go_out_and_that_is_told():
    stream, wire, assembly = Stream(TILE_BYTES), Wire(), Assembly()
    stream.put(header(1), pixels(5 * TILE_BYTES))
    stream.end(PreviewOver(1, Outcome.DRAWN))
    stream.pump(wire.send)
    newest = pixels(1000, 7)
    stream.put(header(2), newest)
    stream.end(PreviewOver(2, Outcome.DRAWN))
    whole: list[Pixels] = []
    endings: list[PreviewOver] = []
    while not stream.idle:
        stream.pump(wire.send)
        endings += [message for message in wire.messages if isinstance(message, PreviewOver)]
        whole += wire.taken_by(assembly)
        stream.give(assembly.credit())
    assert [each.header.generation for each in whole] == [2] and whole[0].array.tobytes() == newest.tobytes()
    assert [(over.generation, over.outcome) for over in endings] == [(1, "superseded"), (2, "drawn")]


def test_what_could_not_be_sent_just_now_goes_out_later_once():
    stream, wire, assembly = Stream(1 << 20), Wire(), Assembly()
    sent, refused = pixels(3000), 0

    def crowded(message: Message) -> bool:
        nonlocal refused
        refused += 1
        return refused % 2 == 0 and wire.send(message)

    stream.put(header(), sent)
    while not stream.idle:
        stream.pump(crowded)
    assert [found.array.tobytes() for found in wire.taken_by(assembly)] == [sent.tobytes()]


def test_a_picture_in_shared_memory_stays_as_it_is_for_as_long_as_it_is_held():
    ring = Ring.create(30_000)
    far = Ring.attach(ring.path, ring.size)
    stream, wire, assembly = Stream(1, ring), Wire(), Assembly(far)
    stream.put(header(1), pixels(9000, 1))
    stream.pump(wire.send)
    (held,) = wire.taken_by(assembly)
    part = held.array[100:200]
    del held
    gc.collect()
    for generation in range(2, 10):
        stream.put(header(generation), pixels(9000, generation))
        stream.pump(wire.send)
        wire.taken_by(assembly)
        stream.give(assembly.credit())
        assert np.array_equal(part, pixels(9000, 1)[100:200])
    assert not stream.idle, "what is held is not written over"
    del part
    stream.give(assembly.credit())
    stream.pump(wire.send)
    (last,) = wire.taken_by(assembly)
    assert last.header.generation == 9 and np.array_equal(last.array, pixels(9000, 9))
    stream.close()


def test_memory_is_used_again_once_nobody_holds_the_picture_and_not_before():
    stream, wire, assembly = Stream(1 << 20), Wire(), Assembly()
    places, kept = set(), []
    for number in range(6):
        stream.put(header(), pixels(5000, number))
        stream.pump(wire.send)
        (found,) = wire.taken_by(assembly)
        stream.give(assembly.credit())
        places.add(found.array.ctypes.data)
        if number < 2:
            kept.append(found.array[:])
        assert not found.array.flags.writeable
    assert len(places) <= 4
    assert all(np.array_equal(array, pixels(5000, number)) for number, array in enumerate(kept))


@pytest.mark.parametrize(
    "tile",
    [
        PictureTile(1, 5, 10, 10, data=np.zeros(10, np.uint8)),
        PictureTile(1, 0, 11, 11, data=np.zeros(10, np.uint8)),
        PictureTile(1, 0, 101, 101, data=np.zeros(101, np.uint8)),
        PictureTile(1, 0, 40, 40, data=np.zeros(10, np.float32)),
        PictureTile(1, 0, -1, 0, data=np.zeros(0, np.uint8)),
        PictureTile(1, 0, 10, 10),
    ],
)
def test_a_tile_that_does_not_fit_is_refused_and_the_next_picture_comes_whole(tile):
    assembly = Assembly()
    begun = Picture(1, 1, 1, Stage.CROP, "uint8", (100,))
    assembly.begin(begun)
    with pytest.raises(ProtocolError):
        assembly.add(tile)
    assembly.begin(begun)
    found = assembly.add(PictureTile(1, 0, 100, 100, data=np.ones(100, np.uint8)))
    assert found is not None and found.array.all()


@pytest.mark.parametrize("dtype,shape", [("object", (4,)), ("float32", ()), ("uint8", (0,)), ("uint8", (1 << 40,))])
def test_a_picture_beyond_the_limits_is_refused_before_memory_is_taken(dtype, shape):
    with pytest.raises(ProtocolError):
        Assembly().begin(Picture(1, 1, 1, Stage.CROP, dtype, shape))


@pytest.mark.parametrize("at,size", [(-1, 10), (0, 5000), (4090, 10), (1 << 60, 1)])
def test_nothing_is_read_outside_the_ring(at, size):
    ring = Ring.create(4096)
    far = Ring.attach(ring.path, 4096)
    assembly = Assembly(far)
    assembly.begin(Picture(1, 1, 1, Stage.CROP, "uint8", (size,)))
    with pytest.raises(InvalidInput, match="outside the ring"):
        assembly.add(PictureTile(1, 0, size, size, at=at))
    ring.close()
    assembly.close()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX files")
def test_a_ring_is_its_owners_alone_loses_its_name_and_is_never_another_file(tmp_path):
    ring = Ring.create(4096, tmp_path)
    assert stat.S_IMODE(ring.path.stat().st_mode) == 0o600
    far = Ring.attach(ring.path, 4096)
    assert not list(tmp_path.iterdir())
    at = ring.write(pixels(100))
    assert np.array_equal(far.read(at, 100), pixels(100))
    precious = tmp_path / "precious.txt"
    precious.write_text("x")
    for path in (precious, tmp_path / f"{PREFIX}none{SUFFIX}", "/etc/passwd"):
        with pytest.raises(InvalidInput):
            Ring.attach(path, 4096)
    assert precious.exists()
    ring.close()
    far.close()


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="takes its pages where the system can")
def test_a_folder_without_room_is_told_before_anything_is_written(tmp_path):
    with pytest.raises(OutputNotWritable, match="no room"):
        Ring.create(1 << 60, tmp_path)
    assert not list(tmp_path.iterdir())


def test_rings_of_killed_backends_are_removed_and_those_of_living_ones_stay(tmp_path):
    living, dead = Ring.create(4096, tmp_path), tmp_path / f"{PREFIX}999999999-ab{SUFFIX}"
    Path(dead).write_bytes(b"x")
    assert remove_abandoned_rings(tmp_path) == 1
    assert [path for path in tmp_path.iterdir()] == [living.path]
    living.close()
