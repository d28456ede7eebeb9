# SPDX-License-Identifier: Apache-2.0
"""Every decoder of bytes that come from elsewhere: what it is fed, and how it is asked."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from dubplate_backend.head.torch_files import read_torch_file
from dubplate_backend.head.unpickle import read_pickled_arrays
from dubplate_backend.interchange.chan import read_chan
from dubplate_backend.interchange.live_link import read_live_link
from dubplate_backend.plates.dpx import read_dpx
from dubplate_backend.plates.exr import ExrPart, Windows, read_exr, write_exr
from dubplate_backend.plates.manifest import FrameRecord, FrameStatus, Manifest
from dubplate_backend.plates.picture_file import read_picture
from dubplate_backend.server.access import Access
from dubplate_backend.server.admission import Door
from dubplate_backend.speech.sound import audio, write_wav
from dubplate_shared.actor import ActorInfo
from dubplate_shared.connection import SOCKETS, Connection
from dubplate_shared.error_info import ErrorInfo
from dubplate_shared.errors import DubplateError
from dubplate_shared.files import load_npz
from dubplate_shared.frames import parse_frames
from dubplate_shared.keys import KeyPair, PublicKey
from dubplate_shared.messages import (
    BulkOpen,
    HelloAck,
    JobInfo,
    JobInfos,
    JobSubmit,
    Picture,
    PictureTile,
    PreviewDraw,
    Refusal,
    Stage,
)
from dubplate_shared.protocol import pack, unpack
from dubplate_shared.shot import HeadIdentity, Shot
from dubplate_shared.take import Take
from dubplate_shared.tiles import Assembly
from dubplate_shared.validation import from_envelope, to_envelope
from dubplate_shared.versions import Versions, agree
from plates.sequences import write_dpx

HEAD = HeadIdentity("standin", "ab" * 32)


@dataclass(frozen=True)
class Decoder:
    """samples: valid bytes, to be damaged.  decode: reads bytes, with a folder for those that come in files.

    It may raise DubplateError and nothing else.
    """

    name: str
    samples: tuple[bytes, ...]
    decode: Callable[[bytes, Path], object]


def all_decoders(folder: Path, shot: Path) -> tuple[Decoder, ...]:
    """folder: to make samples in.  shot: a whole package."""
    return (*_of_the_wire(folder), *_of_packages(folder, shot), *_of_other_files(folder))


def _of_the_wire(folder: Path) -> tuple[Decoder, ...]:
    curves = {"expression": np.ones((2, 100), np.float32), "jaw": np.zeros((2, 3), np.float32)}
    messages = (
        JobSubmit(
            "k", "s.dubshot", "a.dubactor", "1-2", "o", take="t", take_frames="1-2", settings={"a": 1.5}, **curves
        ),
        PreviewDraw(1, "s.dubshot", "a.dubactor", 1, take="t", take_frames="1-2", **curves),
        BulkOpen(1000, 5000),
        HelloAck("2.0", "1", "cpu", "x", "y", features=("render",)),
        JobInfos((JobInfo("1", "failed", "s", "a", "1", "o", 1, error=ErrorInfo("x", "y", "z")),)),
        Refusal(ErrorInfo("x", "y", "z")),
        PictureTile(1, 0, 4, 4, data=np.zeros(4, np.uint8)),
    )
    envelopes = [pack(to_envelope(message, id="1", session="s")) for message in messages]
    headers = tuple(bytes(parts[0]) for parts in envelopes)
    buffers = {len(parts) - 1: [bytes(part) for part in parts[1:]] for parts in envelopes}

    def message(data: bytes, _: Path) -> None:
        refused: DubplateError | None = None
        for following in buffers.values():
            try:
                from_envelope(unpack([data, *following]))
                return
            except DubplateError as error:  # it may be whole with other buffers
                refused = error
        assert refused is not None
        raise refused

    begun = [bytes(pack(to_envelope(Picture(1, 1, 1, Stage.CROP, "uint8", shape)))[0]) for shape in ((4,), (2, 2))]

    def picture(data: bytes, _: Path) -> None:
        assembly = Assembly()
        found = from_envelope(unpack([data]))
        if isinstance(found, Picture):
            assembly.begin(found)
            assembly.add(PictureTile(found.number, 0, 4, 4, data=np.zeros(4, np.uint8)))

    Connection({name: "tcp://127.0.0.1:1" for name in SOCKETS}, 1, "s", "t", 0.0).write(folder / "connection.json")
    pair = KeyPair("anna", "a" * 40, "b" * 40)
    pair.write(folder / "anna.key")
    pair.public_key.write(folder / "anna.pub")
    return (
        Decoder("message", headers, message),
        Decoder("picture", tuple(begun), picture),
        Decoder(
            "version",
            (b"2.0", b"2.7"),
            lambda data, _: agree(Versions.told(data.decode("latin-1")), own_name="a", their_name="b"),
        ),
        Decoder(
            "credentials",
            (b"dubplate", b"t" * 32),
            lambda data, _: [Door("t").user(m, [data, data]) for m in MECHANISMS],
        ),
        Decoder(
            "connection file", _bytes(folder / "connection.json"), _file(lambda path: Connection.read(path), "c.json")
        ),
        Decoder("public key", _bytes(folder / "anna.pub"), _file(PublicKey.read, "a.pub")),
        Decoder("key pair", _bytes(folder / "anna.key"), _file(_private(KeyPair.read), "a.key")),
    )


MECHANISMS = (b"NULL", b"PLAIN", b"CURVE", b"")


def _of_packages(folder: Path, shot: Path) -> tuple[Decoder, ...]:
    take = Take("dub", np.zeros((3, 100), np.float32), np.zeros((3, 3), np.float32))
    take.save(folder)
    (folder / "a.dubactor").mkdir()
    ActorInfo("a", "neural_texture", "draft", HEAD).save(folder / "a.dubactor")
    (folder / "v001").mkdir()
    Manifest({"shot": "s"}, {1: FrameRecord("p.exr", "a" * 64, "b" * 64, FrameStatus.DRAWN, "t")}).save(folder / "v001")
    access = b'{"schema": "dubplate.access/1", "actors": {"man.dubactor": ["alice"], "*": ["carol"]}}'

    def part_of_shot(name: str) -> Callable[[bytes, Path], object]:
        def decode(data: bytes, at: Path) -> object:
            copy = at / "s.dubshot"
            if not copy.exists():
                copy.mkdir()
                for file in shot.iterdir():
                    if file.is_file():
                        (copy / file.name).symlink_to(file.resolve())
            (copy / name).unlink(missing_ok=True)
            (copy / name).write_bytes(data)
            try:
                return Shot.load(copy)
            finally:
                (copy / name).unlink()
                (copy / name).symlink_to((shot / name).resolve())

        return decode

    def take_of(data: bytes, at: Path) -> object:
        (at / "dub.npz").write_bytes((folder / "dub.npz").read_bytes())
        (at / "dub.json").write_bytes(data)
        return Take.load(at, "dub")

    def actor_of(data: bytes, at: Path) -> object:
        (at / "actor.json").write_bytes(data)
        return ActorInfo.load(at)

    def manifest_of(data: bytes, at: Path) -> object:
        (at / "manifest.json").write_bytes(data)
        return Manifest.load(at)

    return (
        Decoder("shot.json", _bytes(shot / "shot.json"), part_of_shot("shot.json")),
        Decoder("track.npz", _bytes(shot / "track.npz"), part_of_shot("track.npz")),
        Decoder("crop.npz", _bytes(shot / "crop.npz"), part_of_shot("crop.npz")),
        Decoder("arrays", _bytes(folder / "dub.npz"), _file(load_npz, "a.npz")),
        Decoder("take", _bytes(folder / "dub.json"), take_of),
        Decoder("actor", _bytes(folder / "a.dubactor" / "actor.json"), actor_of),
        Decoder("manifest", _bytes(folder / "v001" / "manifest.json"), manifest_of),
        Decoder("access", (access,), _file(lambda path: Access(path).check("man.dubactor", "carol"), "access.json")),
        Decoder(
            "frames",
            (b"1001-1100", b"1,2,5-9x2", b"7"),
            lambda data, _: parse_frames(data.decode("utf-8", "replace"), most=100_000),
        ),
    )


def _of_other_files(folder: Path) -> tuple[Decoder, ...]:
    rgb = np.random.default_rng(1).random((12, 16, 3)).astype(np.float16)
    parts = [ExrPart("rgba", {name: rgb[..., at] for at, name in enumerate("RGB")})]
    write_exr(folder / "a.exr", parts, Windows.of_size(12, 16), {})
    write_dpx(folder / "a.dpx", (rgb * 1023).astype(np.uint16))
    cv2.imwrite(str(folder / "a.png"), (rgb * 255).astype(np.uint8))
    write_wav(folder / "a.wav", np.zeros(2000, np.float32), 16000)
    torch.save({"a": torch.ones(3), "b": {"c": 1}}, folder / "a.pt")
    arrays = io.BytesIO()
    pickle.dump({"f": np.arange(6), "name": "x"}, arrays, protocol=2)
    chan = b"1 0.0 1.0 2.0 10 20 30 35\n2 0.1 1.1 2.1 11 21 31 35\n"
    link = b"Timecode,BlendshapeCount,JawOpen,EyeBlinkLeft\n00:00:01:02.500,61,0.5,0.1\n00:00:01:03.500,61,0.6,0.2\n"
    return (
        Decoder("exr", _bytes(folder / "a.exr"), _file(read_exr, "a.exr")),
        Decoder("dpx", _bytes(folder / "a.dpx"), _file(read_dpx, "a.dpx")),
        Decoder("png", _bytes(folder / "a.png"), _file(read_picture, "a.png")),
        Decoder("wav", _bytes(folder / "a.wav"), _file(audio, "a.wav")),
        Decoder("torch file", _bytes(folder / "a.pt"), _file(read_torch_file, "a.pt")),
        Decoder("pickled arrays", (arrays.getvalue(),), _file(read_pickled_arrays, "a.pkl")),
        Decoder("chan", (chan,), _file(_chan, "a.chan")),
        Decoder("live link", (link,), _file(read_live_link, "a.csv")),
    )


def _chan(path: Path) -> object:
    return read_chan(path, np.arange(1, 3), picture_aspect=1.5, filmback_mm=None, focal_mm=None, rotation_order="ZXY")


def _bytes(path: Path) -> tuple[bytes, ...]:
    return (path.read_bytes(),)


def _file(read: Callable[[Path], object], name: str) -> Callable[[bytes, Path], object]:
    def decode(data: bytes, folder: Path) -> object:
        (folder / name).write_bytes(data)
        return read(folder / name)

    return decode


def _private(read: Callable[[Path], object]) -> Callable[[Path], object]:
    def decode(path: Path) -> object:
        path.chmod(0o600)
        return read(path)

    return decode
