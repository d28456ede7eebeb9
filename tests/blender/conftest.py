# SPDX-License-Identifier: Apache-2.0
"""Blender in the test process: an empty scene before every test."""

from __future__ import annotations

from pathlib import Path

import pytest
from blender_shot import write_test_shot

from dubplate_shared.rig import Rig
from dubplate_shared.shot import Shot


@pytest.fixture
def bpy():
    """An empty scene; add-ons that a test enabled stay."""
    import bpy

    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    return bpy


@pytest.fixture
def addon(bpy):
    """The add-on registered, as Blender does it when it is enabled."""
    import blender_addon

    blender_addon.register()
    yield blender_addon
    blender_addon.unregister()


@pytest.fixture(scope="session")
def standin_rig() -> Rig:
    """The stand-in head as a shot package has it: lips that are lips."""
    import torch

    from dubplate_backend.head.load import load_head

    return load_head("standin").rig(torch.zeros(300))


@pytest.fixture
def shot(tmp_path: Path) -> Shot:
    return write_test_shot(tmp_path)
