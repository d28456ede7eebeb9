# SPDX-License-Identifier: Apache-2.0
"""Real parts made once for all tests: the stand-in head, a small synthetic shot, and a tiny actor learnt from it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # tests/footage.py
sys.path.insert(0, str(Path(__file__).parents[1]))  # blender_addon, which is no part of the distribution


@pytest.fixture(scope="session", autouse=True)
def _own_blender_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep a person's Blender preferences out of the tests, and the tests out of them."""
    os.environ.setdefault("BLENDER_USER_RESOURCES", str(tmp_path_factory.mktemp("blender_user")))
