# SPDX-License-Identifier: Apache-2.0
"""Backends in processes of their own: started, killed, stopped, left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from blender_addon.connection.client import BackendProcess, Client, start_backend
from dubplate_shared.errors import BackendLost, BackendUnreachable
from dubplate_shared.files import read_json

NOTICED_S = 3.0

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


@pytest.fixture
def started(tmp_path: Path, root: Path) -> Iterator[BackendProcess]:
    """`dubplate serve` as a child of this process, to be ended in any way."""
    backend = start_backend(sys.executable, roots=[root], output_root=tmp_path / "plates")
    yield backend
    backend.stop()


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[BackendProcess]:
    """The same for tests that leave it alive: starting takes seconds."""
    backend = start_backend(sys.executable, roots=[root], output_root=tmp_path_factory.mktemp("lasting"))
    yield backend
    backend.stop()


def seconds_until_lost(client: Client) -> float:
    started_s = time.monotonic()
    with pytest.raises(BackendLost) as lost:
        while time.monotonic() - started_s < 2 * NOTICED_S:
            client.poll(20)
    assert lost.value.hint
    return time.monotonic() - started_s


def test_a_killed_backend_is_noticed_within_3_s_by_whoever_listens_or_waits(started):
    listening, waiting = (Client.connect(started.connection_file) for _ in range(2))
    assert listening.load_shot("man.dubshot").name == "man"
    started.process.kill()
    assert seconds_until_lost(listening) < NOTICED_S
    started_s = time.monotonic()
    with pytest.raises(BackendLost):
        waiting.load_shot("man.dubshot")
    assert time.monotonic() - started_s < NOTICED_S
    with pytest.raises(BackendLost):  # and it stays lost
        listening.ping()
    with pytest.raises(BackendUnreachable, match="Nobody listens") as unreachable:
        Client.connect(started.connection_file)
    assert str(started.connection_file) in unreachable.value.hint
    listening.close()
    waiting.close()


@posix
def test_a_stopped_backend_is_noticed_within_3_s_and_answers_again_when_it_goes_on(lasting):
    with Client.connect(lasting.connection_file) as client:
        lasting.process.send_signal(signal.SIGSTOP)
        try:
            assert seconds_until_lost(client) < NOTICED_S
        finally:
            lasting.process.send_signal(signal.SIGCONT)
    with Client.connect(lasting.connection_file) as client:
        assert client.ping()


@posix
def test_a_terminated_backend_removes_its_file_and_exits_with_the_code_for_it(started):
    with Client.connect(started.connection_file) as client:
        started.process.terminate()
        assert seconds_until_lost(client) < NOTICED_S
    assert started.process.wait(10) == 143
    assert not started.connection_file.exists()


@posix
def test_a_backend_ends_with_its_parent_even_if_that_is_killed(tmp_path, root):
    script = f"""
import sys, time
from blender_addon.connection.client import start_backend
backend = start_backend(sys.executable, roots=[{str(root)!r}], output_root={str(tmp_path)!r},
                        connection_file={str(tmp_path / "c.json")!r})
print(backend.process.pid, flush=True)
time.sleep(60)
"""
    repository = Path(__file__).parents[2]
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=repository)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert read_json(tmp_path / "c.json", "dubplate.connection/1")["pid"] == pid
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline_s = time.monotonic() + 5
    while (tmp_path / "c.json").exists() and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert not (tmp_path / "c.json").exists()


def test_a_start_can_be_watched_and_an_idle_backend_ends_by_itself_but_not_while_a_client_is_there(tmp_path, root):
    started_s = time.monotonic()
    backend = start_backend(sys.executable, roots=[root], output_root=tmp_path, idle_exit=1.0, wait=0)
    assert time.monotonic() - started_s < 1 and not backend.ready()
    while not backend.ready():
        time.sleep(0.05)
    with Client.connect(backend.connection_file) as client:
        deadline_s = time.monotonic() + 2.5
        while time.monotonic() < deadline_s:
            client.poll(100)
        assert backend.process.poll() is None
    assert backend.process.wait(10) == 0


@pytest.mark.parametrize(
    "changes,words",
    [
        ({"roots": ["/nowhere/at/all"]}, "is no folder"),
        ({"output_root": "/proc/nothing"}, "Cannot make"),
        ({"python": "/nowhere/python"}, "cannot be started"),
        ({"python": "/bin/false"}, "exit code 1"),
    ],
)
def test_a_backend_that_cannot_start_says_why_and_where_its_log_is(tmp_path, root, changes, words):
    arguments = {"python": sys.executable, "roots": [root], "output_root": tmp_path / "plates"} | changes
    with pytest.raises(BackendUnreachable) as failed:
        start_backend(**arguments, connection_file=tmp_path / "c.json")
    assert words in failed.value.message and failed.value.hint
    if "cannot be started" not in words:
        assert str(tmp_path / "c.log") in failed.value.hint


def test_the_log_names_no_token(lasting):
    with Client.connect(lasting.connection_file) as client:
        client.load_shot("man.dubshot")
    token = read_json(lasting.connection_file, "dubplate.connection/1")["token"]
    text = lasting.log_file.read_text()
    assert "hello from" in text and token not in text


def test_this_process_survives_closing_and_forgetting_clients_in_any_order(lasting):
    script = f"""
from blender_addon.connection.client import Client
client = Client.connect({str(lasting.connection_file)!r})
other = Client.connect({str(lasting.connection_file)!r})
client.request(__import__("dubplate_shared.messages", fromlist=["Ping"]).Ping())
del client
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(__file__).parents[2], timeout=30, capture_output=True, text=True,
        env={**os.environ},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
