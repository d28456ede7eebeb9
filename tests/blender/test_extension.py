# SPDX-License-Identifier: Apache-2.0
"""The built extension installs in Blender and works there with what it brings along, and nothing else."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

from dubplate_shared.shot import Shot

ROOT = Path(__file__).resolve().parents[2]

# What a real Blender has in its Python and the bpy package takes from the environment.
BLENDER_S_OWN = ("numpy", "numpy.libs", "attr", "attrs", "cattr", "cattrs", "typing_extensions.py")
INSTALL_AND_IMPORT = """
import json, sys
packages, extension, shot, blend = sys.argv[1:]
sys.path.insert(0, packages)  # bpy and what Blender itself has; none of Dubplate's environment
import bpy
bpy.ops.extensions.package_install_files(filepath=extension, repo="user_default", enable_on_install=True)
bpy.ops.wm.read_homefile(use_factory_startup=False, use_empty=True)
bpy.ops.dubplate.import_shot(filepath=shot)
from bl_ext.user_default.dubplate.curves.performance import read_take
from bl_ext.user_default.dubplate.scene.shot_link import find_head
take = read_take(find_head(bpy.context))
bpy.ops.wm.save_as_mainfile(filepath=blend)
bpy.ops.wm.open_mainfile(filepath=blend)
again = read_take(find_head(bpy.context))
import dubplate_shared, msgpack, numpy, zmq
try:
    bpy.ops.dubplate.render_range()
except RuntimeError as error:
    refusal = str(error)
print("RESULT" + json.dumps({
    "files": {module.__name__: module.__file__ for module in (dubplate_shared, msgpack, zmq, numpy)},
    "frames": len(take), "same": bool((take.jaw == again.jaw).all() and (take.expression == again.expression).all()),
    "refusal": refusal, "enabled": "bl_ext.user_default.dubplate" in bpy.context.preferences.addons,
    "heavy": sorted({"torch", "OpenEXR", "dubplate_backend"} & set(sys.modules)),
}))
bpy.ops.preferences.addon_disable(module="bl_ext.user_default.dubplate")
assert not hasattr(bpy.types.Scene, "dubplate")
"""


def blender_package() -> Path:
    """The folder of the bpy package."""
    spec = importlib.util.find_spec("bpy")
    return Path(spec.submodule_search_locations[0])


@pytest.fixture(scope="module")
def extension(backend_python, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("dist")
    command = [backend_python, str(ROOT / "scripts/build_extension"), "--output", str(output)]
    subprocess.run(command, check=True, capture_output=True)
    (archive,) = output.glob("dubplate-*.zip")
    return archive


def test_the_extension_brings_its_wheels_for_every_python_and_no_numpy(extension):
    with zipfile.ZipFile(extension) as archive:
        names = archive.namelist()
        manifest = tomllib.loads(archive.read("blender_manifest.toml").decode())
    wheels = [Path(name).name for name in names if name.endswith(".whl")]
    assert manifest["blender_version_min"] == "4.2.0"
    assert sorted(f"./wheels/{wheel}" for wheel in wheels) == sorted(manifest["wheels"])
    for wanted in (
        "pyzmq-*cp311",
        "pyzmq-*cp312-abi3",
        "msgpack-*cp311",
        "msgpack-*cp313",
        "msgpack-*cp314",
        "dubplate_shared-*none",
    ):
        package, tag = wanted.split("*")
        assert any(wheel.startswith(package) and tag in wheel for wheel in wheels), wanted
    assert not any("numpy" in wheel or "torch" in wheel for wheel in wheels)
    assert "LICENSE" in names


def test_this_blender_s_own_tool_finds_nothing_wrong_with_the_extension(extension):
    (tool,) = blender_package().glob("*/scripts/addons_core/bl_pkg/cli/blender_ext.py")
    done = subprocess.run([sys.executable, str(tool), "validate", str(extension)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Success" in done.stdout and "WARN" not in done.stdout + done.stderr


def test_the_installed_extension_imports_a_shot_with_its_own_wheels(extension, tmp_path: Path, shot: Shot):
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "bpy").symlink_to(blender_package())
    site = Path(sysconfig.get_path("platlib"))
    for name in BLENDER_S_OWN:
        if (site / name).exists():
            (packages / name).symlink_to(site / name)
    arguments = [str(packages), str(extension), str(shot.path), str(tmp_path / "shot.blend")]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", INSTALL_AND_IMPORT, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "BLENDER_USER_RESOURCES": str(tmp_path / "user")},
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    assert lines, done.stdout + done.stderr
    result = json.loads(lines[0].removeprefix("RESULT"))
    user = str(tmp_path / "user")
    assert {name: path.startswith(user) for name, path in result["files"].items()} == {
        "dubplate_shared": True,
        "msgpack": True,
        "zmq": True,
        "numpy": False,
    }
    assert result["enabled"] and result["same"] and result["frames"] == 40
    assert "No actor is chosen" in result["refusal"] and "Choose a NAME.dubactor" in result["refusal"]
    assert result["heavy"] == []
    assert done.returncode == 0, done.stderr


def test_the_add_on_imports_nothing_heavy():
    """What runs inside Blender must not drag the backend's libraries in."""
    blocked = ["torch", "OpenEXR", "cv2", "mediapipe", "librosa", "dubplate_backend", "scipy"]
    code = f"""
import sys
for name in {blocked!r}: sys.modules[name] = None
sys.path.insert(0, {str(ROOT)!r})
import blender_addon
blender_addon.register(); blender_addon.unregister()
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
