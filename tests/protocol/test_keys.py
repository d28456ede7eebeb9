# SPDX-License-Identifier: Apache-2.0
"""Over a network: keys on both sides, an allow-list, and nobody else."""

from __future__ import annotations

import dataclasses
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
from small_backend import RawSocket
from typer.testing import CliRunner

from blender_addon.connection.client import Client
from blender_addon.connection.session import Session
from dubplate_backend.cli.main import application
from dubplate_backend.server.admission import DOMAIN, Door
from dubplate_backend.server.assets import Assets
from dubplate_backend.server.connection import listen
from dubplate_backend.server.key_folder import BACKEND, KeyFolder
from dubplate_backend.server.models import Models
from dubplate_backend.server.server import Server
from dubplate_shared.connection import Connection
from dubplate_shared.error_info import NotAdmitted
from dubplate_shared.errors import BackendUnreachable, DubplateError, InvalidInput
from dubplate_shared.keys import KeyPair, PublicKey


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    """The backend's pair, Anna's, who is allowed, and Otto's, who is not."""
    folder = KeyFolder(tmp_path / "keys")
    folder.make(BACKEND)
    folder.allow(folder.make("anna"))
    folder.make("otto")
    return folder


@pytest.fixture
def connection_file(tmp_path: Path, keys: KeyFolder, models: Models, root: Path) -> Iterator[Path]:
    """Of a backend behind keys."""
    from threading import Thread

    file = tmp_path / "connection.json"
    assets = Assets((root,), tmp_path / "plates")
    with Server(assets=assets, models=models, connection_file=file, keys=keys.ring()) as server:
        thread = Thread(target=server.serve)
        thread.start()
        yield file
        server.end()
        thread.join()


def test_who_is_allowed_comes_in_and_is_known_by_name(connection_file, keys, caplog):
    with (
        caplog.at_level("INFO", "dubplate.server"),
        Client.connect(connection_file, key_file=keys.path / "anna.key") as client,
    ):
        assert client.load_shot("man.dubshot").name == "man" and client.ping()
    assert "(anna)" in caplog.text
    secret = KeyPair.read(keys.path / "anna.key").secret
    assert secret not in caplog.text


def test_the_add_on_shows_the_key_that_it_was_given(connection_file, keys):
    session = Session()
    session.connect(connection_file, keys.path / "anna.key")
    assert session.hello is not None
    with pytest.raises(NotAdmitted):
        session.connect(connection_file, keys.path / "otto.key")
    assert session.hello is None
    session.close()


def test_whose_key_is_not_allowed_is_told_so_until_it_is(connection_file, keys):
    with pytest.raises(NotAdmitted) as refused:
        Client.connect(connection_file, key_file=keys.path / "otto.key")
    assert "dubplate keys allow" in refused.value.hint
    keys.allow(keys.path / "otto.pub")
    with Client.connect(connection_file, key_file=keys.path / "otto.key") as client:
        assert client.ping()
    keys.revoke("otto")
    with pytest.raises(NotAdmitted):
        Client.connect(connection_file, key_file=keys.path / "otto.key")


def test_without_a_key_nothing_is_sent_at_all(connection_file):
    with pytest.raises(InvalidInput, match="takes keys"):
        Client.connect(connection_file)


def test_neither_a_token_nor_no_mechanism_opens_it(connection_file):
    connection = Connection.read(connection_file)
    assert connection.token == "" and len(connection.server_key) == 40
    for credentials in ({}, {"PLAIN_USERNAME": b"dubplate", "PLAIN_PASSWORD": b"x"}):
        stranger = RawSocket(connection, "control", credentials)
        stranger.socket.setsockopt(zmq.SNDTIMEO, 300)
        with pytest.raises((zmq.Again, AssertionError)):
            stranger.ask("ping", timeout_ms=300)
        stranger.close()


def test_a_backend_that_is_another_than_the_file_says_is_not_spoken_to(connection_file, keys, tmp_path):
    public, _ = zmq.curve_keypair()
    impostor = dataclasses.replace(Connection.read(connection_file), server_key=public.decode())
    impostor.write(tmp_path / "impostor.json")
    with pytest.raises((BackendUnreachable, NotAdmitted)):
        Client.connect(tmp_path / "impostor.json", timeout=3, key_file=keys.path / "anna.key")


def test_with_keys_any_address_may_be_listened_on_and_clients_get_one_they_can_reach(keys):
    context = zmq.Context()
    sockets = listen(context, Door("t", keys.ring()), "0.0.0.0")
    assert not any("0.0.0.0" in endpoint for endpoint in sockets.endpoints.values())
    assert sockets.rpc.getsockopt(zmq.ZAP_DOMAIN).rstrip(b"\0") == DOMAIN
    sockets.close()
    context.term()


def test_ports_in_a_row_may_be_named_and_a_taken_one_is_told():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        context = zmq.Context()
        for first_port in (port, port - 2):
            with pytest.raises(BackendUnreachable, match="Cannot listen"):
                listen(context, Door("t"), first_port=first_port)
        with pytest.raises(InvalidInput):
            listen(context, Door("t"), first_port=65535)
        context.term()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
def test_secrets_are_private_and_one_that_is_not_is_refused(keys):
    secret = keys.path / "anna.key"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert KeyPair.read(secret).secret not in repr(KeyPair.read(secret))
    secret.chmod(0o644)
    with pytest.raises(InvalidInput, match="may be read by others") as refused:
        KeyPair.read(secret)
    assert "chmod 600" in refused.value.hint


def test_a_backend_without_keys_or_friends_does_not_begin(tmp_path):
    folder = KeyFolder(tmp_path)
    with pytest.raises(InvalidInput, match="has no keys"):
        folder.ring()
    folder.make(BACKEND)
    with pytest.raises(InvalidInput, match="lets nobody in"):
        folder.ring()


def test_names_that_lead_elsewhere_and_files_that_hold_no_key_are_refused(keys, tmp_path):
    for name in ("../anna", "a/b", "", "Anna", "x" * 64):
        with pytest.raises(InvalidInput):
            keys.make(name)
    with pytest.raises(InvalidInput, match="already"):
        keys.make("anna")
    with pytest.raises(InvalidInput):
        keys.allow(keys.path / "otto.key")  # a secret is never to be handed around
    PublicKey("anna", KeyPair.read(keys.path / "otto.key").public).write(tmp_path / "false.pub")
    with pytest.raises(InvalidInput, match="another key"):
        keys.allow(tmp_path / "false.pub")
    assert [key.name for key in keys.allowed()] == ["anna"]


def test_the_command_makes_allows_lists_and_revokes(tmp_path):
    def run(*arguments: str) -> str:
        result = CliRunner().invoke(application(), ["keys", *arguments, "--folder", str(tmp_path)])
        if isinstance(result.exception, DubplateError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    assert "anna.pub" in run("make", "anna") and "anna" in run("allow", str(tmp_path / "anna.pub"))
    assert "Allowed: anna" in run("list")
    run("revoke", "anna")
    assert "Allowed: nobody" in run("list")
    with pytest.raises(InvalidInput, match="not allowed anyway"):
        run("revoke", "anna")
