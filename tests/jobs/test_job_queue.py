# SPDX-License-Identifier: Apache-2.0
"""Jobs are noted before they are answered, taken in turns, stopped, and gone on with by the next backend."""

from __future__ import annotations

import itertools
import sqlite3
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from dubplate_backend.jobs import courtesy
from dubplate_backend.jobs import jobs as jobs_module
from dubplate_backend.jobs.journal import Journal, JournalInUse, open_journal
from dubplate_shared.error_info import QueueFull
from dubplate_shared.errors import InvalidInput, NotAllowed, OutputNotWritable
from dubplate_shared.messages import JobCancelled, JobFinished, JobFrame, JobPaused, JobState

CURVES = {"take": "edit", "expression": np.zeros((3, 100), np.float32), "jaw": np.full((3, 3), 0.25, np.float32)}


def test_a_job_is_done_and_told_of_frame_by_frame(desk):
    here = desk()
    id = here.submit(frames="1-5")
    info = here.wait(id)
    assert (info.state, info.written, info.done, info.total) == (JobState.FINISHED, "1-5", 5, 5)
    assert info.manifest == "manifest.json" and info.stages == {"writing": 1.0}
    here.until(lambda: any(isinstance(each, JobFinished) for each in here.heard))
    assert [each.frame for each in here.heard if isinstance(each, JobFrame)] == [1, 2, 3, 4, 5]


def test_everything_is_known_again_after_the_end_and_what_was_unfinished_goes_on(desk):
    first = desk(step_s=0.05)
    done = first.submit("done", frames="1-2")
    first.wait(done)
    half = first.submit("half", frames="1-8", **CURVES)
    waiting = first.submit("waiting", frames="1-2")
    first.until(lambda: sum(isinstance(each, JobFrame) and each.job == half for each in first.heard) >= 3)
    second = desk()  # the first ends in the middle
    assert second.jobs.show(done).state == JobState.FINISHED and second.jobs.show(done).written == "1-2"
    assert second.wait(half).written == "1-8" and second.wait(waiting).state == JobState.FINISHED
    assert sorted(first.drawn["half"] + second.drawn["half"]) == list(range(1, 9)), "no frame twice"
    assert second.submit("half", frames="1-8", **CURVES) == half, "the key is known, too"
    with pytest.raises(InvalidInput, match="other work"):
        second.submit("half", frames="1-8", **CURVES | {"jaw": CURVES["jaw"] + 1})


def test_a_backend_that_is_not_to_go_on_offers_what_was_left(desk):
    first = desk(started=False)
    id = first.submit()
    second = desk(go_on=False)
    assert second.jobs.show(id).state == JobState.PAUSED
    assert second.jobs.resume(id).state == JobState.QUEUED
    assert second.wait(id).state == JobState.FINISHED


def test_the_journal_gives_back_the_curves_as_they_were_sent(tmp_path, desk):
    here = desk(started=False)
    id = here.submit(**CURVES)
    here.jobs.stop(1)
    journal = Journal(tmp_path / "jobs.sqlite")
    request = journal.request(id)
    assert np.array_equal(request.jaw, CURVES["jaw"]) and request.take == "edit"
    assert journal.jobs()[0].request.jaw is None, "not kept in memory"
    journal.close()


def test_a_paused_job_rests_until_it_is_resumed_and_a_cancelled_one_until_it_is_tried_again(desk):
    here = desk(step_s=0.02)
    id = here.submit(frames="1-40")
    here.until(lambda: len(here.drawn.get("a", [])) >= 2)
    here.jobs.pause(id)
    assert here.wait(id, JobState.PAUSED).state == JobState.PAUSED
    other = here.submit("b", frames="1-2")
    assert here.wait(other).state == JobState.FINISHED, "others go on meanwhile"
    assert 2 <= len(here.drawn["a"]) < 40
    here.jobs.resume(id)
    here.wait(id, JobState.RUNNING)
    here.jobs.cancel(id)
    assert here.wait(id).state == JobState.CANCELLED
    assert any(isinstance(each, JobPaused) for each in here.heard)
    here.until(lambda: any(isinstance(each, JobCancelled) for each in here.heard))
    assert here.jobs.resume(id).state == JobState.CANCELLED, "only what is paused is resumed"
    assert here.jobs.retry(id).state == JobState.QUEUED
    assert here.wait(id).state == JobState.FINISHED and here.drawn["a"] == list(range(1, 41))


def test_a_job_paused_or_cancelled_while_it_waits_stays_so_after_a_restart(desk):
    first = desk(started=False)
    paused, cancelled = first.submit("a"), first.submit("b")
    assert first.jobs.pause(paused).state == JobState.PAUSED
    assert first.jobs.cancel(cancelled).state == JobState.CANCELLED
    second = desk()
    assert second.wait(second.submit("c")).state == JobState.FINISHED
    assert second.jobs.show(paused).state == JobState.PAUSED
    assert second.jobs.show(cancelled).state == JobState.CANCELLED


def test_who_has_priority_goes_first_and_also_before_one_that_runs(desk):
    here = desk(step_s=0.02)
    slow = here.submit("slow", frames="1-100")
    here.until(lambda: len(here.drawn.get("slow", [])) >= 2)
    low, high = here.submit("low", frames="1-2"), here.submit("high", frames="1-2", priority=5)
    assert here.wait(high).state == JobState.FINISHED
    assert here.jobs.show(low).state == JobState.QUEUED and not JobState(here.jobs.show(slow).state).final
    assert here.jobs.prioritise(low, 9).priority == 9
    assert here.wait(low).state == JobState.FINISHED and not JobState(here.jobs.show(slow).state).final
    here.jobs.cancel(slow)


def test_a_job_whose_priority_changes_while_it_runs_is_gone_on_with_after_a_restart(desk):
    first = desk(step_s=0.02)
    id = first.submit(frames="1-100")
    first.until(lambda: len(first.drawn.get("a", [])) >= 2)
    assert first.jobs.prioritise(id, 7).state == JobState.RUNNING
    second = desk()
    assert second.jobs.show(id).priority == 7
    assert second.wait(id).state == JobState.FINISHED


def test_a_job_that_is_resumed_before_it_rests_goes_on_and_a_cancel_is_not_undone_by_a_pause(desk):
    here = desk(step_s=0.3)
    id = here.submit(frames="1-4")
    here.wait(id, JobState.RUNNING)
    here.jobs.pause(id)
    here.jobs.resume(id)
    assert here.wait(id, JobState.PAUSED).state == JobState.FINISHED
    other = here.submit("b", frames="1-4")
    here.wait(other, JobState.RUNNING)
    here.jobs.cancel(other)
    here.jobs.pause(other)
    assert here.wait(other, JobState.PAUSED).state == JobState.CANCELLED


def test_a_client_that_fills_its_share_of_the_queue_leaves_room_for_others(desk, monkeypatch):
    monkeypatch.setattr(jobs_module, "MAX_WAITING_EACH", 3)
    here = desk(started=False)
    for number in range(3):
        here.submit(f"flood{number}", client="flood")
    with pytest.raises(QueueFull, match="3 of them yours"):
        here.submit("flood3", client="flood")
    assert here.submit("other", client="other")


def test_a_client_that_floods_holds_nobody_up_for_longer_than_a_slice(desk, monkeypatch):
    monkeypatch.setattr(jobs_module, "SLICE_S", 0.1)
    here = desk(step_s=0.01)
    flood = [here.submit(f"flood{number}", frames="1-30", client="flood") for number in range(10)]
    here.until(lambda: len(here.drawn.get("flood0", [])) >= 2)
    other = here.submit("other", frames="1-15", client="other")
    assert here.wait(other).state == JobState.FINISHED
    states = [here.jobs.show(id).state for id in flood]
    assert states.count(JobState.FINISHED) <= 2, "half of the time was the other's"
    for id in flood:
        here.jobs.cancel(id)


def test_a_render_stands_back_for_who_waits_in_front_of_a_screen_but_not_for_ever(desk, monkeypatch):
    monkeypatch.setattr(courtesy, "LONGEST_WAY_S", 0.3)
    busy = threading.Event()
    busy.set()
    here = desk(step_s=0.001, give_way=busy.is_set)
    id = here.submit(frames="1-2000")
    here.wait(id, JobState.RUNNING)
    assert here.drawn["a"] == [], "it has not begun"
    here.until(lambda: len(here.drawn["a"]) > 5)
    assert not JobState(here.jobs.show(id).state).final, "and rests again and again"
    busy.clear()
    here.jobs.cancel(id)
    assert here.wait(id).state == JobState.CANCELLED


def test_the_same_submission_from_many_threads_is_one_job(desk):
    here = desk()
    ids: list[str] = []
    threads = [threading.Thread(target=lambda: ids.append(here.submit())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 8 and len(set(ids)) == 1 and len(here.jobs.list()) == 1


def test_a_job_of_another_user_is_left_alone(desk):
    here = desk(started=False)
    id = here.submit(user="alice")
    for ask in (here.jobs.cancel, here.jobs.pause, here.jobs.resume, here.jobs.retry):
        with pytest.raises(NotAllowed):
            ask(id, user="bob")
    with pytest.raises(NotAllowed):
        here.jobs.prioritise(id, 3, user="bob")
    assert here.jobs.show(id).state == JobState.QUEUED and here.jobs.cancel(id, user="alice")


def test_two_backends_beneath_one_output_root_have_a_journal_each(tmp_path):
    first, second = open_journal(tmp_path), open_journal(tmp_path)
    assert first.path != second.path
    with pytest.raises(JournalInUse):
        Journal(first.path)
    first.close()
    third = open_journal(tmp_path)
    assert third.path == first.path
    second.close()
    third.close()


def test_a_file_that_is_no_journal_or_a_newer_one_is_left_as_it_is(tmp_path):
    path = tmp_path / "jobs.sqlite"
    path.write_bytes(b"no journal at all" * 100)
    with pytest.raises(InvalidInput, match="no journal"):
        Journal(path)
    assert path.read_bytes() == b"no journal at all" * 100
    newer = tmp_path / "newer.sqlite"
    database = sqlite3.connect(newer)
    database.execute("PRAGMA user_version=99")
    database.close()
    with pytest.raises(InvalidInput, match="newer"):
        Journal(newer)


def test_a_full_disk_pauses_the_job_with_its_reason_and_with_room_it_goes_on(desk, tmp_path: Path):
    from plates.small_disk import small_disk

    with small_disk(tmp_path / "disk", 1) as disk:
        here = desk()
        (tmp_path / "full").symlink_to(disk)
        ballast = disk / "ballast"
        with pytest.raises(OSError), open(ballast, "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        id = here.submit("full", frames="1-5")
        info = here.wait(id, JobState.PAUSED)
        assert info.state == JobState.PAUSED and info.error.code == OutputNotWritable.code
        assert any(isinstance(each, JobPaused) and each.error for each in here.heard)
        ballast.unlink()
        here.jobs.resume(id)
        assert here.wait(id).state == JobState.FINISHED and here.jobs.show(id).error is None


def test_a_clock_on_the_wall_that_jumps_changes_nothing(desk, monkeypatch):
    jumps = itertools.cycle([0.0, 4e9, -4e9, 1e5])
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + next(jumps))
    here = desk(step_s=0.002)
    ids = [here.submit(f"job{number}", frames="1-3", client=f"client{number % 2}") for number in range(6)]
    assert [here.wait(id).state for id in ids] == [JobState.FINISHED] * 6
    assert [info.job for info in here.jobs.list()] == ids[::-1]
    again = desk(started=False)
    assert [info.job for info in again.jobs.list()] == ids[::-1], "in the order they came, whatever time they say"
