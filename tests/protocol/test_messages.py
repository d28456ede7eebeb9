# SPDX-License-Identifier: Apache-2.0
"""Typed messages: every field checked once, at the boundary."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dubplate_shared.error_info import ErrorInfo
from dubplate_shared.errors import DubplateError, HeadModelMismatch, InvalidInput, OutOfMemory, all_errors
from dubplate_shared.messages import MESSAGES, Hello, JobInfo, JobInfos, JobState, JobSubmit, Pong, Refusal
from dubplate_shared.protocol import Envelope, ProtocolError, pack, unpack
from dubplate_shared.validation import from_envelope, to_envelope

SUBMIT = {"key": "k", "shot": "a.dubshot", "actor": "a.dubactor", "frames": "1001-1002", "output": "o"}


def through_the_wire(message):
    return from_envelope(unpack([bytes(part) for part in pack(to_envelope(message))]))


def test_a_submission_arrives_as_it_was_sent():
    jaw = np.random.default_rng(1).normal(size=(2, 3)).astype(np.float32)
    sent = JobSubmit(
        **SUBMIT, take="edit", expression=np.zeros((2, 100), np.float32), jaw=jaw, settings={"force": True, "x": 1.5}
    )
    read = through_the_wire(sent)
    assert np.array_equal(read.jaw, jaw) and read.expression.shape == (2, 100) and read.eyes is None
    assert read.settings == {"force": True, "x": 1.5} and (read.key, read.version, read.take) == ("k", 1, "edit")


def test_nested_messages_and_errors_arrive_as_they_were_sent():
    error = ErrorInfo("footage", "Footage", "No face.", "Another take.", 3)
    failed = JobInfo("1", JobState.FAILED, "s", "a", "1-2", "o", 1, error=error)
    waiting = JobInfo("2", JobState.QUEUED, "s", "a", "1-2", "o", 1)
    assert through_the_wire(JobInfos((failed, waiting))) == JobInfos((failed, waiting))
    assert through_the_wire(Pong("1", 2, 3, 4)) == Pong("1", 2.0, 3, 4)
    assert through_the_wire(Pong()) == Pong()


def test_unknown_fields_are_ignored_and_missing_ones_take_their_default():
    assert from_envelope(Envelope("hello", body={"colour": "blue"})) == Hello("")


@pytest.mark.parametrize(
    "type,body",
    [
        ("no.such.message", {}),
        ("shot.load", {}),
        ("shot.load", {"shot": 5}),
        ("shot.load", {"shot": None}),
        ("job.submit", SUBMIT | {"version": "1"}),
        ("job.submit", SUBMIT | {"version": True}),
        ("job.submit", SUBMIT | {"version": 2**60}),
        ("job.submit", SUBMIT | {"expression": [1.0]}),
        ("job.submit", SUBMIT | {"settings": {"a": {"b": 1}}}),
        ("job.submit", SUBMIT | {"settings": {"a": [1]}}),
        ("job.infos", {"jobs": [{"job": "1"}]}),
        ("job.infos", {"jobs": "all"}),
        ("error", {"error": "bad"}),
        ("preview.warm", {"shot": "a.dubshot", "actor": "a.dubactor"}),
        ("preview.warm", {"shot": "a.dubshot", "actor": "a.dubactor", "frame": 1.5}),
        ("pong", {"progress_age_s": "long"}),
        ("pong", {"progress_age_s": float("nan")}),
    ],
)
def test_a_field_of_another_type_is_refused_by_name(type, body):
    with pytest.raises(ProtocolError) as refused:
        from_envelope(Envelope(type, body=body))
    assert type in refused.value.message


CURVES = {"take": "edit", "expression": np.zeros((2, 100), np.float32), "jaw": np.zeros((2, 3), np.float32)}


@pytest.mark.parametrize(
    "changes",
    [
        {"key": ""},
        {"key": "k" * 129},
        {"version": 0},
        {"frames": "1," * 5000},
        {"shot": "s" * 600},
        {"expression": CURVES["expression"]},
        {"jaw": CURVES["jaw"]},
        {"eyes": np.zeros((2, 6), np.float32)},
        {**CURVES, "take": "tracked"},
        {**CURVES, "jaw": np.zeros((3, 3), np.float32)},
        {**CURVES, "jaw": np.zeros((2, 4), np.float32)},
        {**CURVES, "jaw": np.zeros(6, np.float32)},
        {**CURVES, "jaw": np.zeros((2, 3), np.int32)},
        {**CURVES, "jaw": np.full((2, 3), np.nan, np.float32)},
        {**CURVES, "eyes": np.full((2, 6), np.inf, np.float32)},
    ],
)
def test_a_submission_that_makes_no_sense_is_refused_with_a_hint(changes):
    with pytest.raises(InvalidInput) as refused:
        JobSubmit(**SUBMIT | changes)
    assert refused.value.hint


@pytest.mark.parametrize("kind", all_errors().values())
def test_every_error_comes_out_of_the_wire_as_its_own_class(kind):
    error = through_the_wire(Refusal(ErrorInfo.of(kind("What happened.", hint="What to do.")))).error.exception()
    assert type(error) is kind and (error.message, error.hint) == ("What happened.", "What to do.")


def test_an_error_of_unknown_code_keeps_its_words():
    error = ErrorInfo("made.up", "Made up", "What happened.", "What to do.").exception()
    assert type(error) is DubplateError and (error.message, error.hint) == ("What happened.", "What to do.")


def test_a_defect_travels_without_its_traceback_and_an_endless_one_is_cut():
    info = ErrorInfo.of(ValueError("x" * 10_000))
    assert info.code == "internal" and info.detail.startswith("ValueError: xxx") and len(info.detail) <= 2000


def test_only_what_may_pass_with_time_is_called_retryable():
    assert ErrorInfo.of(OutOfMemory("Full.")).retryable and not ErrorInfo.of(HeadModelMismatch("Other.")).retryable


def test_messages_cannot_be_changed_after_they_were_checked():
    assert all(kind.__dataclass_params__.frozen for kind in MESSAGES.values())
    with pytest.raises(dataclasses.FrozenInstanceError):
        Hello("a").client = "b"
