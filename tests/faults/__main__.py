# SPDX-License-Identifier: Apache-2.0
"""Every fault that a backend has to survive, each by the tests that make it happen: `scripts/test_faults`."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
KILLS = 200

# Fault -> tests, as pytest names them; a file or a folder stands for all in it.
ROWS: dict[str, tuple[str, ...]] = {
    "backend killed, also while it writes": (
        "tests/faults/test_kills.py",
        "tests/protocol/test_rendering.py::test_a_backend_killed_in_a_render_loses_no_plate_it_told_of",
        "tests/protocol/test_lost_backend.py::test_a_killed_backend_is_noticed_within_3_s_by_whoever_listens_or_waits",
    ),
    "backend stopped or stuck": (
        "tests/protocol/test_lost_backend.py::test_a_stopped_backend_is_noticed_within_3_s_and_answers_again_when_it_goes_on",
        "tests/protocol/test_slow_and_stuck.py::test_a_stuck_backend_is_called_unresponsive_within_3_s_and_forgiven_when_it_answers",
    ),
    "Blender crashes": (
        "tests/faults/test_clients.py::test_when_blender_crashes_its_backend_ends_and_the_job_is_offered_to_the_next",
    ),
    "network cut and back": (
        "tests/faults/test_clients.py::test_a_network_that_is_cut_and_mended_costs_one_connection_and_nothing_is_done_twice",
    ),
    "slow consumer": (
        "tests/protocol/test_slow_and_stuck.py::test_a_client_that_does_not_read_holds_nobody_up",
        "tests/protocol/test_slow_and_stuck.py::test_the_end_of_a_job_is_known_even_if_its_news_is_lost",
    ),
    "hostile messages, endless multipart, huge handshake": (
        "tests/protocol/test_codec.py",
        "tests/protocol/test_attacks.py",
    ),
    "wrong version": ("tests/protocol/test_versions.py",),
    "disk full, disk with errors": (
        "tests/faults/test_disk.py",
        "tests/jobs/test_job_queue.py::test_a_full_disk_pauses_the_job_with_its_reason_and_with_room_it_goes_on",
        "tests/rendering/test_errors.py::test_a_disk_that_fills_up_leaves_only_whole_plates",
    ),
    "power loss: synced, renamed, journalled, then told": ("tests/faults/test_order.py",),
    "half-written EXR found": (
        "tests/plates/test_exr.py",
        "tests/rendering/test_resume.py::test_missing_and_damaged_plates_are_made_again_with_the_same_bytes",
        "tests/rendering/test_errors.py::test_verify_ends_with_3_where_a_plate_is_damaged",
    ),
    "memory of the device runs out": (
        "tests/rendering/test_reuse.py",
        "tests/protocol/test_models.py",
        "tests/protocol/test_jobs.py::test_running_out_of_memory_fails_the_job_as_such_and_the_next_one_runs",
    ),
    "duplicate or stale requests": (
        "tests/jobs/test_job_queue.py::test_the_same_submission_from_many_threads_is_one_job",
        "tests/protocol/test_jobs.py::test_the_same_key_with_the_same_work_is_the_same_job_and_with_other_work_refused",
        "tests/protocol/test_previews.py",
    ),
    "two artists, one backend": (
        "tests/protocol/test_fairness.py",
        "tests/faults/test_clients.py::test_a_client_that_floods_with_previews_leaves_another_its_p99_under_twice_its_own",
        "tests/faults/test_clients.py::test_a_client_that_floods_the_queue_does_not_keep_another_from_its_turn",
        "tests/jobs/test_job_queue.py::test_a_client_that_floods_holds_nobody_up_for_longer_than_a_slice",
        "tests/jobs/test_job_queue.py::test_a_job_of_another_user_is_left_alone",
        "tests/protocol/test_incremental.py::test_the_same_work_of_two_clients_at_once_is_drawn_once",
    ),
    "clock skew": ("tests/jobs/test_job_queue.py::test_a_clock_on_the_wall_that_jumps_changes_nothing",),
    "video truncated, rotten, of variable rate": (
        "tests/plates/test_footage.py",
        "tests/tracking/test_footage_kinds.py",
    ),
    "no face, NaN, missing model": (
        "tests/tracking/test_faces.py",
        "tests/protocol/test_jobs.py::test_a_submission_that_cannot_work_is_refused_at_once_and_queues_nothing",
        "tests/rendering/test_plates.py",
    ),
}


def main() -> int:
    if "--fuzz" in sys.argv[1:]:
        from faults.fuzz import main as fuzz

        return fuzz([argument for argument in sys.argv[1:] if argument != "--fuzz"])
    parser = argparse.ArgumentParser(prog="scripts/test_faults", description=__doc__)
    parser.add_argument("--fuzz", action="store_true", help="damaged bytes for every decoder: see --fuzz --help")
    parser.add_argument("--kills", type=int, default=KILLS, help=f"how often a backend is killed; {KILLS} unless told")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="scrub and render for so long, and nothing else")
    parser.add_argument("--only", metavar="WORD", default="", help="the faults whose name holds this word")
    parser.add_argument("--list", action="store_true", help="name the faults and their tests")
    told = parser.parse_args()
    soak = {} if told.soak is None else {f"{told.soak:g} minutes of use": ("tests/faults/test_soak.py",)}
    rows = soak or {fault: tests for fault, tests in ROWS.items() if told.only in fault}
    if told.list:
        for fault, tests in rows.items():
            print(fault, *tests, sep="\n    ")
        return 0
    worst = 0
    for fault, tests in rows.items():
        print(f"\n{fault}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.xml"
            code = subprocess.run(
                [
                    sys.executable, "-m", "pytest", "-q", "--no-header", "--tb=short", "-p", "no:cacheprovider", "-rs",
                    "--timeout=7200", f"--junitxml={report}", "-p", "faults.options", *tests, "--full", "--adapted",
                    f"--kills={told.kills}", f"--seed={told.seed}", f"--soak={told.soak or 0}", "-s",
                ],
                cwd=REPOSITORY,
            ).returncode  # fmt: skip
            suite = ElementTree.parse(report).getroot().find("testsuite")
        assert suite is not None
        counts = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
        print(f"{'survived' if code == 0 else 'NOT SURVIVED'}: {fault}, {counts}", flush=True)
        worst = max(worst, code)
    return worst


if __name__ == "__main__":
    sys.exit(main())
