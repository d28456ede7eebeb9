# SPDX-License-Identifier: Apache-2.0
"""Client and backend on real sockets: finding each other, versions, refusals, and a backend that nothing upsets."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import stat
import sys
import time
from contextlib import suppress
from threading import Thread

import pytest
import zmq
from hostile import HOSTILE
from small_backend import RawSocket, running

from blender_addon.connection.client import Client
from dubplate_backend.server.admission import Admission, Door
from dubplate_backend.server.assets import Assets
from dubplate_backend.server.connection import listen
from dubplate_backend.server.server import Server
from dubplate_shared import __version__
from dubplate_shared.connection import SOCKETS, Connection
from dubplate_shared.error_info import NotAdmitted
from dubplate_shared.errors import (
    BackendUnreachable,
    HeadModelMismatch,
    InvalidInput,
    OutputNotWritable,
    ProtocolMismatch,
)
from dubplate_shared.messages import Message, Ping, Pong, Refusal, ShotLoad
from dubplate_shared.protocol import Envelope, ProtocolError, pack, unpack
from dubplate_shared.validation import from_envelope
from dubplate_shared.versions import PROTOCOL_VERSION

HARMLESS = ("hello_ack", "pong", "welcome", "bulk.opened")


def refusal(envelope: Envelope) -> Refusal:
    message = from_envelope(envelope)
    assert isinstance(message, Refusal)
    return message


def rewritten(backend, tmp_path, **changes):
    """The backend's connection file with other content."""
    path = tmp_path / "connection.json"
    dataclasses.replace(Connection.read(backend.connection_file), **changes).write(path)
    return path


def test_hello_tells_who_answers(client, backend, models):
    hello = client.hello
    assert (hello.protocol, hello.version, hello.device) == (PROTOCOL_VERSION, __version__, "cpu")
    assert (hello.head_kind, hello.head_sha256) == (models.head.kind, models.head.sha256)
    assert hello.roots == (str(backend.root),) and hello.output_root == str(backend.output)
    assert "render" in hello.features


def test_the_connection_file_is_private_and_names_this_process(backend):
    connection = Connection.read(backend.connection_file)
    assert connection.pid == os.getpid() and connection.protocol == PROTOCOL_VERSION
    assert all(endpoint.startswith("tcp://127.0.0.1:") for endpoint in connection.endpoints.values())
    if sys.platform != "win32":
        assert stat.S_IMODE(backend.connection_file.stat().st_mode) == 0o600


def test_loading_tells_what_is_in_a_shot_and_an_actor(client):
    shot, actor = client.load_shot("man.dubshot"), client.load_actor("man.dubactor")
    assert (shot.name, shot.first_frame, shot.frame_count, shot.rate_num) == ("man", 1001, 20, 25)
    assert shot.takes == ("tracked",) and (actor.name, actor.preset) == ("man", "draft")


def test_another_head_model_is_refused(client):
    with pytest.raises(HeadModelMismatch, match="flame2023"):
        client.load_shot("stranger.dubshot")
    with pytest.raises(HeadModelMismatch, match="flame2023"):
        client.load_actor("stranger.dubactor")


@pytest.mark.parametrize("id", ["../man.dubshot", "/etc/man.dubshot", "nowhere.dubshot", "man.dubactor"])
def test_an_id_that_leads_nowhere_good_is_refused_with_a_hint(client, id):
    with pytest.raises(InvalidInput) as refused:
        client.load_shot(id)
    assert refused.value.hint and id in refused.value.message


def test_paths_become_ids_and_those_outside_are_refused(client, backend, tmp_path):
    assert client.asset_id(backend.root / "man.dubshot") == "man.dubshot"
    assert client.output_id(backend.output / "a" / "b") == "a/b" and client.output_id(backend.output) == "."
    with pytest.raises(InvalidInput, match="--root"):
        try:
            client.asset_id(tmp_path / "man.dubshot")
        except InvalidInput as error:
            raise InvalidInput(error.hint) from error


def test_questions_can_be_asked_without_waiting(client):
    first, second = client.request(ShotLoad("man.dubshot")), client.request(Ping())
    found: dict[str, Message] = {}
    deadline_s = time.monotonic() + 5
    while len(found) < 2 and time.monotonic() < deadline_s:
        client.poll(10)
        for id in (first, second):
            if id not in found and (reply := client.reply(id)) is not None:
                found[id] = reply
    assert found[first].name == "man" and isinstance(found[second], Pong)


def test_a_client_of_another_version_is_refused_naming_both(raw):
    for version in ("1.0", "3.0", "0.9", "new"):
        error = refusal(raw.ask("hello", version=version)).error
        assert error.code == "protocol_mismatch" and error.exit_code == 11
        assert repr(version) in error.detail and repr(PROTOCOL_VERSION) in error.detail
        assert "Update" in error.hint


def test_a_client_of_a_newer_minor_version_is_understood(raw):
    type, body = raw.harmless
    assert raw.ask(type, version="2.7", body=body).type in HARMLESS


@pytest.mark.parametrize("raw", ["rpc"], indirect=True)
def test_a_client_that_still_speaks_this_version_is_told_to(raw):
    ack = raw.ask("hello", version="4.1", body={"client": "newer", "oldest": "2.0"})
    assert (ack.type, ack.body["agreed"]) == ("hello_ack", PROTOCOL_VERSION)
    assert refusal(raw.ask("hello", version="4.1", body={"oldest": "3.0"})).error.code == "protocol_mismatch"


def test_a_backend_of_another_version_is_refused_naming_both(backend, tmp_path):
    with pytest.raises(ProtocolMismatch, match=r"'3\.0'.*'2\.0'") as refused:
        Client.connect(rewritten(backend, tmp_path, protocol="3.0", oldest="3.0"))
    assert "Update the client" in refused.value.hint


def test_a_backend_that_turns_out_to_be_newer_is_refused(tmp_path):
    context = zmq.Context()
    door = Door("t")
    admission = Admission(context, door)
    admission.start()
    sockets = listen(context, door)
    Connection(sockets.endpoints, os.getpid(), "s", "t", 0.0).write(tmp_path / "c.json")

    def answer() -> None:
        route, header = sockets.rpc.recv_multipart()
        body = {"protocol": "3.1", "version": "9", "device": "cpu", "head_kind": "x", "head_sha256": "y"}
        reply = Envelope("hello_ack", unpack([header]).id, "s", "3.1", body=body)
        sockets.rpc.send_multipart([route, *pack(reply)])

    thread = Thread(target=answer)
    thread.start()
    with pytest.raises(ProtocolMismatch, match=r"'3\.1'.*'2\.0'"):
        Client.connect(tmp_path / "c.json")
    thread.join()
    sockets.close()
    admission.stop()
    context.term()


def test_unknown_fields_are_ignored(raw):
    type, body = raw.harmless
    assert raw.ask(type, body={"mood": "good", "more": [1], **body}).type in HARMLESS


def test_unknown_requests_and_those_of_the_other_socket_are_refused(raw):
    for type in {"make.tea", "error", "hello", "ping", "listen", "preview.cancel"} - {raw.harmless[0]}:
        if (raw.name, type) == ("bulk", "preview.cancel"):
            continue
        assert refusal(raw.ask(type)).error.code == "protocol"


def test_whoever_does_not_show_the_token_is_not_let_in_and_hears_nothing(raw):
    token = raw.connection.token
    for credentials in (
        {},
        *({"PLAIN_USERNAME": b"dubplate", "PLAIN_PASSWORD": it} for it in (b"0" * 32, b"\xff", b"x")),
    ):
        stranger = RawSocket(raw.connection, raw.name, credentials)
        stranger.socket.setsockopt(zmq.SNDTIMEO, 300)
        type, body = raw.harmless
        with suppress(zmq.Again):
            stranger.send([bytes(part) for part in pack(Envelope(type, "7", raw.connection.session, body=body))])
        assert not stranger.socket.poll(300)
        stranger.close()
    assert token and raw.ask(*raw.harmless[:1], body=raw.harmless[1]).type in HARMLESS


def test_a_connection_file_with_another_token_is_refused(backend, tmp_path):
    with pytest.raises(NotAdmitted):
        Client.connect(rewritten(backend, tmp_path, token="0" * 32))


def test_a_request_of_an_earlier_session_is_refused(raw):
    type, body = raw.harmless
    type = "shot.load" if type == "hello" else type  # hello comes before any session
    error = refusal(raw.ask(type, session="old", body={"shot": "man.dubshot", **body})).error
    assert error.code == "backend_lost" and "Connect again" in error.hint


def test_every_hostile_message_is_refused_and_the_backend_goes_on(raw, backend):
    for name, parts in HOSTILE.items():
        if parts:  # a message without parts cannot be sent
            raw.send(parts)
            assert refusal(raw.answer()).error.code == "protocol", name
    with backend.connect() as client:
        assert client.load_shot("man.dubshot").name == "man"


def test_a_part_beyond_the_limit_costs_its_sender_the_connection_and_nobody_else(raw, backend):
    raw.send([b"x" * (9 * 1024 * 1024)])
    assert not raw.socket.poll(300)
    with backend.connect() as client:
        assert client.ping()


def test_bytes_that_are_no_zmq_do_no_harm(backend):
    connection = Connection.read(backend.connection_file)
    for endpoint in [*connection.endpoints.values()] * 10:
        host, port = endpoint.removeprefix("tcp://").split(":")
        for junk in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" + b"\xff" * 8 + b"\x7f" + b"\x03" * 60, os.urandom(4096)):
            with socket.create_connection((host, int(port)), timeout=2) as peer:
                peer.sendall(junk)
    with backend.connect() as client:
        assert client.ping()


def test_events_reach_only_those_who_listen(backend):
    connection = Connection.read(backend.connection_file)
    listener = RawSocket(connection, "events")
    with backend.connect() as client:
        with pytest.raises(InvalidInput):
            client.wait(client.submit(shot="man.dubshot", actor="man.dubactor", frames="1001", output="o"), timeout=30)
        assert not listener.socket.poll(300)
        assert listener.ask("listen").type == "welcome"
        with pytest.raises(InvalidInput):
            client.wait(client.submit(shot="man.dubshot", actor="man.dubactor", frames="1002", output="o"), timeout=30)
        assert listener.answer().type.startswith("job.")
    listener.close()


def test_many_clients_are_served_at_once(backend):
    clients = [backend.connect() for _ in range(8)]
    assert [client.ping() is not None for client in clients] == [True] * 8
    for client in clients:
        client.close()


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.1.7", "::", "example.org", "*"])
def test_any_address_but_the_loopback_is_refused_without_keys_with_the_way_round(address):
    context = zmq.Context()
    with pytest.raises(InvalidInput, match="does not listen") as refused:
        listen(context, Door("t"), address)
    assert "SSH tunnel" in refused.value.hint
    context.term()


def test_no_connection_file_and_nobody_behind_one_are_told_apart_and_at_once(backend, tmp_path):
    with pytest.raises(BackendUnreachable, match="No backend has written"):
        Client.connect(tmp_path / "none.json")
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound, and nobody listens
        endpoint = f"tcp://127.0.0.1:{reserved.getsockname()[1]}"
        path = rewritten(backend, tmp_path, endpoints=dict.fromkeys(SOCKETS, endpoint))
        started_s = time.monotonic()
        with pytest.raises(BackendUnreachable, match="Nobody listens"):
            Client.connect(path, timeout=10)
        assert time.monotonic() - started_s < 3


def test_a_port_that_something_else_holds_is_told(backend, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        endpoint = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        path = rewritten(backend, tmp_path, endpoints=dict.fromkeys(SOCKETS, endpoint))
        with pytest.raises(BackendUnreachable):
            Client.connect(path, timeout=5)


def test_a_request_beyond_the_limits_is_told_before_it_is_sent(client):
    with pytest.raises(ProtocolError, match="header"):
        client.load_shot("s" * 70_000)
    assert client.ping()


def test_the_connection_file_goes_with_the_backend(tmp_path, models, root):
    with running(tmp_path, models, root) as backend:
        first = json.loads(backend.connection_file.read_text())
    assert not (tmp_path / "connection.json").exists()
    with running(tmp_path, models, root) as backend:
        second = json.loads(backend.connection_file.read_text())
    assert first["session"] != second["session"] and first["token"] != second["token"]


def test_a_connection_file_that_cannot_be_written_is_told(tmp_path, models):
    (tmp_path / "connection.json").mkdir()
    server = Server(assets=Assets((), tmp_path), models=models, connection_file=tmp_path / "connection.json")
    with pytest.raises(OutputNotWritable, match=r"connection\.json"), server:
        pass
