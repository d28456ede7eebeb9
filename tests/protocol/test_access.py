# SPDX-License-Identifier: Apache-2.0
"""Who may draw whom: consent is looked at when an actor is loaded, and an access file says whose actor it is."""

from __future__ import annotations

import datetime
import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from dubplate_backend.server.access import Access
from dubplate_backend.server.assets import Assets
from dubplate_backend.server.consent import ConsentRule, check_consent
from dubplate_backend.server.models import Models
from dubplate_backend.server.server import Server
from dubplate_shared.actor import ActorInfo
from dubplate_shared.errors import ConsentMissing, DubplateError, InvalidInput, NotAllowed
from dubplate_shared.shot import HeadIdentity

ACTOR = ActorInfo("man", "neural_texture", "draft", HeadIdentity("standin", "ab" * 32))
WORK = {"shot": "man.dubshot", "actor": "man.dubactor", "frames": "1001", "output": "x"}


def told(record: dict[str, str]) -> ActorInfo:
    return replace(ACTOR, consent=record)


def test_consent_that_was_withdrawn_or_has_ended_is_no_consent():
    today = lambda: datetime.date(2026, 11, 21)  # noqa: E731
    for record in ({"status": "withdrawn"}, {"status": "refused"}, {"status": "granted", "until": "2026-11-20"}):
        with pytest.raises(ConsentMissing) as refused:
            check_consent(told(record), ConsentRule.NOT_REFUSED, today)
        assert refused.value.hint
    with pytest.raises(ConsentMissing, match="no day"):
        check_consent(told({"status": "granted", "until": "soon"}), ConsentRule.NOT_REFUSED, today)
    check_consent(told({"status": "granted", "until": "2026-11-21"}), ConsentRule.GRANTED, today)


def test_a_missing_record_is_refused_only_where_the_backend_wants_one():
    check_consent(ACTOR, ConsentRule.NOT_REFUSED)
    with pytest.raises(ConsentMissing, match="not recorded"):
        check_consent(ACTOR, ConsentRule.GRANTED)


def test_an_actor_is_for_those_whom_the_file_names_and_a_change_counts_at_once(tmp_path: Path):
    file = tmp_path / "access.json"

    def write(actors: object) -> None:
        file.write_text(json.dumps({"schema": "dubplate.access/1", "actors": actors}))

    write({"man.dubactor": ["alice"], "*": ["chief"], "crowd.dubactor": ["*"]})
    access = Access(file).validated()
    access.check("man.dubactor", "alice")
    access.check("man.dubactor", "chief")
    access.check("crowd.dubactor", "bob")
    for actor, user in (("man.dubactor", "bob"), ("./man.dubactor", "alice"), ("other.dubactor", "alice")):
        with pytest.raises(NotAllowed):
            access.check(actor, user)
    write({"man.dubactor": ["bob"]})
    access.check("man.dubactor", "bob")
    with pytest.raises(NotAllowed):
        access.check("man.dubactor", "alice")
    write(["alice"])
    with pytest.raises(InvalidInput, match="no map"):
        access.validated()


def test_a_backend_refuses_by_name_what_may_not_be_drawn(tmp_path: Path, root: Path, models: Models):
    import threading

    from blender_addon.connection.client import Client

    file = tmp_path / "access.json"
    file.write_text(json.dumps({"schema": "dubplate.access/1", "actors": {"man.dubactor": ["somebody else"]}}))
    strict = Models(None, consent=ConsentRule.GRANTED)
    for access, chosen, error in ((Access(file), models, NotAllowed), (None, strict, ConsentMissing)):
        assets = Assets((root,), tmp_path / "plates", access)
        with Server(assets=assets, models=chosen, connection_file=tmp_path / "c.json") as server:
            thread = threading.Thread(target=server.serve)
            thread.start()
            try:
                with Client.connect(tmp_path / "c.json") as client:
                    with pytest.raises(error):
                        client.load_actor("man.dubactor")
                    with pytest.raises(error):
                        client.submit(**WORK)
                    assert client.jobs() == ()
            finally:
                server.end()
                thread.join()


def test_the_log_has_jobs_and_codes_and_nobody_s_name(tmp_path: Path, root: Path, models: Models, caplog):
    from small_backend import running

    from dubplate_backend.server.log_lines import FieldFormatter

    caplog.set_level("DEBUG", "dubplate.server")
    with running(tmp_path, models, root) as backend, backend.connect() as client:
        job = client.submit(**WORK)
        with pytest.raises(InvalidInput):  # this actor has no weights
            client.wait(job, timeout=30)
        for actor in ("stranger.dubactor", "nobody.dubactor"):
            with pytest.raises(DubplateError):
                client.load_actor(actor)
    lines = [FieldFormatter().format(record) for record in caplog.records if record.name == "dubplate.server"]
    assert any(f"failed job={job} code=invalid_input" in line for line in lines)
    assert any(line.endswith("INFO refused code=head_model_mismatch") for line in lines)
    assert any(f"queued job={job} frames=1" in line for line in lines)
    for name in ("man", "stranger", "nobody", str(root), str(tmp_path)):
        assert not any(name in line for line in lines), name


def test_a_line_of_the_log_can_be_taken_apart_again():
    from dubplate_backend.server.log_lines import FieldFormatter

    record = logging.makeLogRecord(
        {
            "msg": "finished",
            "levelname": "INFO",
            "job": "3f2a",
            "writing_s": 1.25,
            "what": 'a "b" c',
            "created": 0.0,
            "msecs": 0.0,
        }
    )
    line = FieldFormatter().format(record)
    assert line == '1970-01-01T00:00:00.000Z INFO finished job=3f2a writing_s=1.25 what="a \\"b\\" c"'
