# SPDX-License-Identifier: Apache-2.0
"""Imports run one way: each package loads with what it must never need blocked."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

_PROBE = """
import importlib, pkgutil, sys
blocked = set({blocked!r})
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in blocked:
            raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Block())
sys.path.insert(0, {path!r})
package = importlib.import_module({package!r})
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if module.name.rsplit(".", 1)[-1] != "__main__":
        importlib.import_module(module.name)
"""


def load_all(package: str, blocked: list[str], path: str = "") -> subprocess.CompletedProcess[str]:
    code = _PROBE.format(package=package, blocked=blocked, path=path)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)


def test_shared_needs_neither_blender_nor_torch_nor_sockets() -> None:
    result = load_all("dubplate_shared", ["bpy", "torch", "zmq", "cv2", "scipy", "OpenEXR", "dubplate_backend"])
    assert result.returncode == 0, result.stderr


def test_the_backend_never_needs_blender() -> None:
    result = load_all("dubplate_backend", ["bpy", "mathutils", "gpu"])
    assert result.returncode == 0, result.stderr


def test_the_add_on_needs_neither_torch_nor_openexr() -> None:
    pytest.importorskip("bpy")
    blocked = ["torch", "OpenEXR", "scipy", "cv2", "dubplate_backend"]
    result = load_all("blender_addon", blocked, str(ROOT))
    assert result.returncode == 0, result.stderr


def test_a_blocked_import_would_be_noticed() -> None:
    result = load_all("dubplate_shared", ["numpy"])
    assert result.returncode != 0
    assert "blocked: numpy" in result.stderr


# From the top of ARCHITECTURE.md's table to the bottom.
ROOMS = (
    "cli", "demo", "health", "bench", "server", "actors", "jobs", "evaluation", "rendering", "training", "interchange",
    "synthetic", "tracking", "compositing", "renderers", "plates", "speech", "texture", "raster", "head",
)  # fmt: skip


def test_imports_inside_the_backend_run_one_way() -> None:
    backward = []
    backend = ROOT / "backend" / "dubplate_backend"
    for file in backend.rglob("*.py"):
        room = file.relative_to(backend).parts[0].removesuffix(".py")
        for imported in re.findall(r"(?:from|import) dubplate_backend\.(\w+)", file.read_text(encoding="utf-8")):
            if room in ROOMS and ROOMS.index(imported) < ROOMS.index(room):
                backward.append(f"{file.relative_to(backend)} imports {imported}")
    assert not backward
