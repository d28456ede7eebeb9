# SPDX-License-Identifier: Apache-2.0
"""Blender in the test process: an empty scene before every test. The backend stays outside, as it does for artists."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest
from blender_shot import write_test_shot

from dubplate_shared.rig import Rig
from dubplate_shared.shot import Shot


def pytest_unconfigure() -> None:
    """Hypothesis counts garbage collections to the end, and with it Blender 4.2 dies as the process exits."""
    gc.callbacks.clear()


@pytest.fixture
def bpy():
    """An empty scene; add-ons that a test enabled stay."""
    import bpy

    wanted = os.environ.get("DUBPLATE_BPY", "")  # scripts/test_versions: not another Blender by mistake
    assert bpy.app.version_string.startswith(wanted), f"bpy {bpy.app.version_string} runs, not {wanted}"
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    return bpy


@pytest.fixture
def addon(bpy):
    """The add-on registered, as Blender does it when it is enabled."""
    import blender_addon
    from blender_addon import monitor

    blender_addon.register()
    monitor.clear_status()  # the window manager outlives files, and so does what a test before this one was told
    yield blender_addon
    blender_addon.unregister()


@pytest.fixture
def shot(tmp_path: Path) -> Shot:
    return write_test_shot(tmp_path)


@pytest.fixture(scope="session")
def backend_python() -> str:
    """The Python that has the backend: this one, or .venv's where this Blender needs another Python."""
    return os.environ.get("DUBPLATE_BACKEND_PYTHON", sys.executable)


@pytest.fixture(scope="session")
def assets(tmp_path_factory, backend_python) -> Path:
    """A folder with what write_assets.py makes: two rigs, a shot, an actor and a film."""
    folder = tmp_path_factory.mktemp("assets")
    subprocess.run([backend_python, str(Path(__file__).with_name("write_assets.py")), str(folder)], check=True)
    return folder


@pytest.fixture(scope="session")
def standin_rig(assets) -> Rig:
    """The stand-in head as a shot package has it: lips that are lips."""
    return Rig.load(assets / "small.dubshot" / "head.npz")


@pytest.fixture(scope="module")
def backend(assets, backend_python, tmp_path_factory):
    """A running backend that reads `assets`."""
    from blender_addon.connection.backend_process import start_backend

    output = tmp_path_factory.mktemp("plates")
    process = start_backend(backend_python, roots=[assets], output_root=output)
    yield process, output
    process.stop()


@pytest.fixture
def scene(bpy, addon, assets, backend):
    """The imported shot in a scene that names the actor and the output."""
    from blender_addon.scene.import_shot import import_shot

    import_shot(assets / "small.dubshot")
    settings = bpy.context.scene.dubplate
    settings.actor = str(assets / "untaught.dubactor")
    settings.output = str(backend[1])
    settings.connection = str(backend[0].connection_file)
    return bpy.context.scene
