# SPDX-License-Identifier: Apache-2.0
"""The stand-in head, made once for the room's tests."""

from __future__ import annotations

import pytest

from dubplate_backend.head.load import load_standin
from dubplate_backend.head.model import HeadModel


@pytest.fixture(scope="session")
def standin() -> HeadModel:
    """The real stand-in, from the cache where it is there."""
    return load_standin()
