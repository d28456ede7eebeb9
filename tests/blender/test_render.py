# SPDX-License-Identifier: Apache-2.0
"""Keys in Blender become plates on disk through a real backend in a process of its own."""

from __future__ import annotations

import time

import numpy as np
import pytest
from ticking import tick_until

from dubplate_shared.errors import ExitCode


def test_the_command_renders_the_keys_of_a_blend(bpy, scene, backend, tmp_path, capsys):
    """The farm's way: a .blend in, plates and lines for the scheduler out, exit code 0."""
    from blender_addon.command import main

    process, output = backend
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    code = main(["render", "--blend", str(tmp_path / "shot.blend"), "--frames", "1003-1005x2", "--out",
                 str(output / "farm"), "--version", "2", "--connection", str(process.connection_file)])  # fmt: skip
    told = capsys.readouterr().out
    assert code == ExitCode.OK, told
    plates = sorted((output / "farm" / "v002").glob("*.exr"))
    assert [plate.name for plate in plates] == ["small_dub_v002.1003.exr", "small_dub_v002.1005.exr"]
    for plate in plates:
        assert told.count(f"Saved: '{plate}'") == 1
    percents = [float(line.split()[1]) for line in told.splitlines() if line.startswith("openjd_progress:")]
    assert percents == sorted(percents) and percents[-1] == 100.0 and len(percents) > 2


def test_the_command_starts_a_backend_of_its_own_where_told_to(bpy, scene, backend_python, tmp_path, capsys):
    from blender_addon import monitor
    from blender_addon.command import main

    code = main(["render", "--frames", "1004", "--out", str(tmp_path / "own"), "--python", backend_python])
    assert code == ExitCode.INVALID_INPUT, "the scene was never saved, so there is no file to render"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    code = main(["render", "--frames", "1004", "--out", str(tmp_path / "own"), "--python", backend_python])
    assert code == ExitCode.OK, capsys.readouterr()
    assert (tmp_path / "own" / "v001" / "small_dub_v001.1004.exr").exists()
    assert monitor.session().hello is None  # and it ended again


def test_the_window_stays_free_while_the_backend_renders(bpy, scene, backend):
    """Every look of the timer is short: nothing waits for the backend."""
    from blender_addon import monitor

    scene.dubplate.frames = "1006-1009"
    request = monitor.render(bpy.context)
    assert monitor.is_rendering() and not bpy.ops.dubplate.render_range.poll()
    looks: list[float] = []

    def finished() -> bool:
        start_s = time.perf_counter()
        monitor._tick()
        looks.append(time.perf_counter() - start_s)
        return not monitor.is_rendering()

    tick_until(finished)
    assert (monitor.status().stage, monitor.status().progress) == ("Finished", 1.0)
    assert len(list((request.output / "v001").glob("*.100[6-9].exr"))) == 4
    assert np.median(looks) < 0.016


def test_a_render_is_cancelled_and_what_was_written_is_kept(bpy, scene, backend):
    from blender_addon import monitor

    scene.dubplate.frames, scene.dubplate.version = "1001-1020", 5
    monitor.render(bpy.context)
    folder = backend[1] / "v005"
    tick_until(lambda: any(folder.glob("*.exr")))
    assert bpy.ops.dubplate.cancel() == {"FINISHED"}
    tick_until(lambda: not monitor.is_rendering())
    assert monitor.status().stage == "Cancelled"
    assert 1 <= len(list(folder.glob("*.exr"))) < 20


def test_a_job_that_fails_says_why_and_what_to_do(bpy, scene, backend, assets):
    from blender_addon import monitor

    weights = assets / "untaught.dubactor" / "generator.safetensors"
    content = weights.read_bytes()
    weights.unlink()
    try:
        scene.dubplate.frames, scene.dubplate.version = "1001", 6
        with pytest.raises(RuntimeError, match="weights cannot be read"):
            bpy.ops.dubplate.render_range()
    finally:
        weights.write_bytes(content)
    assert "weights cannot be read" in monitor.status().error
    assert monitor.status().hint


def test_a_backend_that_dies_is_noticed_and_said(bpy, scene, backend):
    """The last test here, for it ends the backend that the others share."""
    from blender_addon import monitor

    assert bpy.ops.dubplate.connect() == {"FINISHED"}
    process = backend[0].process
    process.kill()
    process.wait()
    deadline_s = time.monotonic() + 10.0
    while monitor.session().hello is not None:
        assert time.monotonic() < deadline_s
        monitor._tick()
        time.sleep(0.05)
    assert monitor.status().error and monitor.status().hint
