# SPDX-License-Identifier: Apache-2.0
"""The client runs wherever zmq, msgpack and numpy do: outside Blender, and without the backend."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ADDON = Path(__file__).parents[2] / "blender_addon"

PROBE = f"""
import sys, types
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {{"bpy", "torch", "dubplate_backend", "scipy", "cv2", "OpenEXR"}}:
            raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Block())
package = types.ModuleType("addon")
package.__path__ = [{str(ADDON)!r}]  # as in Blender, but without the add-on's own __init__
sys.modules["addon"] = package
from addon.connection.client import Client, start_backend
from dubplate_shared.errors import BackendUnreachable
try:
    Client.connect("/nowhere/connection.json")
except BackendUnreachable as error:
    print(error.hint)
"""


def test_the_client_needs_neither_blender_nor_torch_nor_the_backend():
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "dubplate serve" in done.stdout
