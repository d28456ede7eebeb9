# SPDX-License-Identifier: Apache-2.0
import json
import signal
import subprocess
import sys
import time

import pytest

from dubplate_shared import __version__
from dubplate_shared.errors import ExitCode


def dubplate(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dubplate_backend.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_help_lists_the_commands_and_the_exit_codes() -> None:
    result = dubplate("--help")
    assert result.returncode == 0
    for name in ("demo", "track", "repair", "speak", "adapt", "render", "serve", "doctor", "import", "export", "jobs",
                 "cache", "actor"):  # fmt: skip
        assert name in result.stdout
    assert "14 output" in result.stdout.replace("\n", " ")


@pytest.mark.parametrize(
    "name", ["demo", "track", "repair", "speak", "adapt", "render", "serve", "verify", "doctor", "export"]
)
def test_every_command_explains_itself_with_an_example(name: str) -> None:
    result = dubplate(name, "--help")
    assert result.returncode == 0, result.stderr
    assert f"dubplate {name}" in result.stdout


def test_the_version_is_the_package_s() -> None:
    assert dubplate("--version").stdout.strip() == f"dubplate {__version__}"


def test_a_wrong_option_is_a_usage_error() -> None:
    assert dubplate("track", "--no-such-option").returncode == ExitCode.USAGE


def test_doctor_reports_every_part_for_machines() -> None:
    result = dubplate("doctor", "--json")
    report = json.loads(result.stdout)
    assert result.returncode == 0, report
    names = {finding["name"] for finding in report["findings"]}
    assert names >= {"Python", "Device", "Head model", "Rasteriser", "MediaPipe models", "Blender", "Disk"}


def test_doctor_names_the_fix_for_a_head_model_that_is_not_there() -> None:
    result = dubplate("doctor", "--json", "--head", "/nowhere/generic_model.pkl")
    assert result.returncode == ExitCode.INVALID_INPUT
    finding = next(f for f in json.loads(result.stdout)["findings"] if f["name"] == "Head model")
    assert finding["level"] == "error"
    assert finding["mend"]


def test_an_error_names_its_code_and_its_fix() -> None:
    result = dubplate("render", "/nowhere.dubshot", "--actor", "/nowhere.dubactor", "-o", "/tmp/never")
    assert result.returncode == ExitCode.INVALID_INPUT
    assert "invalid_input" in result.stderr
    assert "→" in result.stderr
    assert "openjd_fail:" in result.stdout


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, ExitCode.TERMINATED), (signal.SIGINT, ExitCode.INTERRUPTED)]
)
def test_a_stop_signal_ends_with_its_own_code(number: int, code: int, tmp_path) -> None:  # type: ignore[no-untyped-def]
    script = (
        "import time\nfrom dubplate_backend.cli import main\n"
        "def app():\n    def call(_):\n        print('ready', flush=True)\n        time.sleep(60)\n    return call\n"
        "main.application = app\nmain.run([])\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready"
        time.sleep(0.1)
        process.send_signal(number)
        assert process.wait(timeout=30) == code
