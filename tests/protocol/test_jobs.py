# SPDX-License-Identifier: Apache-2.0
"""A job's life on a real backend: queued, told of, shown, ended. Rendering is in test_rendering.py."""

from __future__ import annotations

import uuid

import numpy as np
import pytest
import torch

from blender_addon.connection.client import Client
from dubplate_shared.errors import Cancelled, DubplateError, HeadModelMismatch, InvalidInput, OutOfMemory
from dubplate_shared.messages import JobFailed, JobState, Log

WORK = {"shot": "man.dubshot", "actor": "man.dubactor", "frames": "1001-1010", "output": "man"}
CURVES = {"take": "edit", "expression": np.zeros((20, 100)), "jaw": np.zeros((20, 3))}


def test_a_job_that_cannot_render_fails_with_code_and_hint_and_raises_the_same_class(client):
    job = client.submit(**WORK)
    events = []
    with pytest.raises(InvalidInput) as failed:
        client.wait(job, events.append, timeout=30)
    assert failed.value.hint
    end = next(event for event in events if isinstance(event, JobFailed) and event.job == job)
    assert (end.error.code, end.error.exit_code, end.error.detail) == ("invalid_input", 3, failed.value.message)
    info = client.show(job)
    assert info.state == JobState.FAILED and info.error == end.error and info.written == ""


def test_waiting_for_a_job_that_is_over_returns_at_once_also_in_another_client(client, backend):
    job = client.submit(**WORK)
    for _ in range(2):
        with pytest.raises(InvalidInput):
            client.wait(job, timeout=30)
    with backend.connect() as other, pytest.raises(InvalidInput):
        other.wait(job, timeout=5)


@pytest.mark.parametrize(
    "changes,error,words",
    [
        ({"shot": "nobody.dubshot"}, InvalidInput, "nobody.dubshot"),
        ({"shot": "../man.dubshot"}, InvalidInput, "no shot id"),
        ({"actor": "nobody.dubactor"}, InvalidInput, "nobody.dubactor"),
        ({"actor": "stranger.dubactor"}, HeadModelMismatch, "flame2023"),
        ({"shot": "stranger.dubshot"}, HeadModelMismatch, "flame2023"),
        ({"output": "/tmp"}, InvalidInput, "no output id"),
        ({"output": "a/../../b"}, InvalidInput, "no output id"),
        ({"frames": "1001-1021"}, InvalidInput, "1021"),
        ({"frames": "1001:1010"}, InvalidInput, "':'"),
        ({"frames": "1-9999999,20000000-29999999"}, InvalidInput, "over"),
        ({"frames": ""}, InvalidInput, "cannot be read"),
        ({"take": "unknown"}, InvalidInput, "unknown"),
        ({"take": "../../secret"}, InvalidInput, "secret"),
        ({**CURVES, "base_take": "unknown"}, InvalidInput, "unknown"),
        ({**CURVES, "take_frames": "1001-1005"}, InvalidInput, "20 rows of curves came for 5 frames"),
        ({**CURVES, "take_frames": "900-919"}, InvalidInput, "900"),
        ({**CURVES, "jaw": np.full((20, 3), np.nan)}, InvalidInput, "not a number in row 0"),
        ({**CURVES, "take": "tracked"}, InvalidInput, "what was filmed"),
        ({"version": 0}, InvalidInput, "Version 0"),
        ({"settings": {"colour": "blue"}}, InvalidInput, "colour"),
    ],
)
def test_a_submission_that_cannot_work_is_refused_at_once_and_queues_nothing(client, changes, error, words):
    before = client.jobs()
    with pytest.raises(error) as refused:
        client.submit(**WORK | changes)
    assert words in refused.value.message and refused.value.hint
    assert client.jobs() == before


def test_the_same_key_with_the_same_work_is_the_same_job_and_with_other_work_refused(client, backend):
    key = uuid.uuid4().hex
    job = client.submit(**WORK, **CURVES, key=key)
    assert client.submit(**WORK, **CURVES, key=key) == job
    with backend.connect() as other:
        assert other.submit(**WORK, **CURVES, key=key) == job
    with pytest.raises(InvalidInput):
        client.wait(job, timeout=30)
    assert client.submit(**WORK, **CURVES, key=key) == job, "also when it is over"
    for changes in ({"frames": "1001"}, {"jaw": CURVES["jaw"] + 0.1}, {"settings": {"preview": False}}):
        with pytest.raises(InvalidInput, match="other work"):
            client.submit(**{**WORK, **CURVES, "key": key} | changes)


def test_jobs_are_listed_newest_first_and_unknown_ones_refused(client):
    jobs = [client.submit(**WORK, version=number) for number in (1, 2, 3)]
    listed = client.jobs()
    assert [info.job for info in listed[:3]] == jobs[::-1]
    assert [info.version for info in listed[:3]] == [3, 2, 1]
    for ask in (client.show, client.cancel):
        with pytest.raises(InvalidInput, match="no job"):
            ask("unknown")
    for job in jobs:
        with pytest.raises(InvalidInput):
            client.wait(job, timeout=30)


def test_a_long_history_still_fits_an_answer(client: Client):
    frames = ",".join(str(number) for number in range(1001, 1021, 2))
    jobs = [client.submit(**WORK | {"frames": frames}) for _ in range(120)]
    listed = client.jobs()
    assert listed[0].job == jobs[-1] and 20 < len(listed) <= 1000
    with pytest.raises(DubplateError):
        client.wait(jobs[-1], timeout=60)


def test_cancelling_a_job_that_is_over_changes_nothing(client):
    job = client.submit(**WORK)
    with pytest.raises(InvalidInput):
        client.wait(job, timeout=30)
    assert client.cancel(job).state == JobState.FAILED


def test_jobs_outlive_the_backend_and_go_on_with_the_next_one(tmp_path, models, root):
    from small_backend import running

    with running(tmp_path, models, root) as backend, backend.connect() as client:
        jobs = [client.submit(**WORK) for _ in range(30)]
    with running(tmp_path, models, root) as backend, backend.connect() as client:
        assert [info.job for info in client.jobs()] == jobs[::-1]
        for job in jobs:
            with pytest.raises(InvalidInput):  # as what they are: renders of an actor without weights
                client.wait(job, timeout=30)


def test_a_job_is_paused_resumed_tried_again_and_given_priority_over_the_wire(client):
    jobs = [client.submit(**WORK) for _ in range(5)]
    with pytest.raises(InvalidInput):
        client.wait(jobs[0], timeout=30)
    assert client.resume(jobs[0]).state == JobState.FAILED, "only what is paused is resumed"
    assert client.retry(jobs[0]).state == JobState.QUEUED
    assert client.prioritise(jobs[0], 7).priority == 7 == client.show(jobs[0]).priority
    with pytest.raises(InvalidInput, match="101"):
        client.prioritise(jobs[0], 101)
    for ask in (client.pause, client.resume, client.retry):
        with pytest.raises(InvalidInput, match="no job"):
            ask("unknown")
    for job in jobs:
        with pytest.raises(InvalidInput):
            client.wait(job, timeout=30)


def test_a_cancelled_job_raises_cancelled(client):
    jobs = [client.submit(**WORK) for _ in range(20)]
    last = client.cancel(jobs[-1])
    if last.state == JobState.CANCELLED:  # it still waited
        with pytest.raises(Cancelled):
            client.wait(jobs[-1], timeout=30)
    for job in jobs[:-1]:
        with pytest.raises(InvalidInput):
            client.wait(job, timeout=30)


@pytest.mark.parametrize("fault", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory.")])
def test_running_out_of_memory_fails_the_job_as_such_and_the_next_one_runs(client, models, monkeypatch, fault):
    def exhausted(_: object) -> None:
        raise fault

    with monkeypatch.context() as patch:
        patch.setattr(models, "renderer", exhausted)
        with pytest.raises(OutOfMemory, match="man"):
            client.wait(client.submit(**WORK), timeout=30)
    assert client.jobs()[0].error.retryable
    with pytest.raises(InvalidInput):  # this actor has no weights
        client.wait(client.submit(**WORK), timeout=30)


def test_a_defect_in_a_render_fails_its_job_alone_and_is_told_without_a_traceback(client, models, monkeypatch):
    def broken(_: object) -> None:
        raise ZeroDivisionError("by zero")

    heard: list[object] = []
    with monkeypatch.context() as patch:
        patch.setattr(models, "renderer", broken)
        with pytest.raises(DubplateError, match="ZeroDivisionError: by zero") as failed:
            client.wait(client.submit(**WORK), heard.append, timeout=30)
    assert type(failed.value) is DubplateError and "log" in failed.value.hint
    assert any(isinstance(event, Log) and event.level == "error" and "\n" not in event.text for event in heard)
    with pytest.raises(InvalidInput):
        client.wait(client.submit(**WORK), timeout=30)
