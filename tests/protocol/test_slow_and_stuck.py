# SPDX-License-Identifier: Apache-2.0
"""A backend that lives and does not answer, news that gets lost, and clients that do not read."""

from __future__ import annotations

import time

import pytest
from small_backend import RawSocket

from dubplate_shared.connection import Connection
from dubplate_shared.errors import InvalidInput
from dubplate_shared.messages import JobFailed, Log

WORK = {"shot": "man.dubshot", "actor": "man.dubactor", "frames": "1001-1010", "output": "man"}


def test_a_stuck_backend_is_called_unresponsive_within_3_s_and_forgiven_when_it_answers(backend):
    with backend.connect() as client:
        assert client.ping() and client.responsive
        with backend.server.jobs._lock:  # a deadlock: its sockets live on, its threads stand still
            stuck_s = time.monotonic()
            while client.responsive:
                client.poll(50)
                assert time.monotonic() - stuck_s < 3.0
        deadline_s = time.monotonic() + 5
        while not client.responsive and time.monotonic() < deadline_s:
            client.poll(50)
        assert client.responsive and client.ping()


def test_the_end_of_a_job_is_known_even_if_its_news_is_lost(backend, monkeypatch):
    events = backend.server._events

    def lose(message: object) -> None:
        with events._lock:
            events._sequence += 1  # counted, as a dropped event is, and never sent

    monkeypatch.setattr(backend.server.jobs, "_publish", lose)
    heard: list[object] = []
    with backend.connect() as client, pytest.raises(InvalidInput):
        client.wait(client.submit(**WORK), heard.append, timeout=10)
    assert [type(event) for event in heard].count(JobFailed) == 1


def test_a_client_that_does_not_read_holds_nobody_up(backend):
    sleeper = RawSocket(Connection.read(backend.connection_file), "events")
    assert sleeper.ask("listen").type == "welcome"
    with backend.connect() as client:
        for _ in range(200):
            for _ in range(50):
                backend.server._events.publish(Log("warning", "x" * 1900))
            started_s = time.monotonic()
            client.poll(0)
            assert time.monotonic() - started_s < 1
        started_s = time.monotonic()
        assert client.ping()
        assert time.monotonic() - started_s < 1
        with pytest.raises(InvalidInput):
            client.wait(client.submit(**WORK), timeout=10)
    sleeper.close()
