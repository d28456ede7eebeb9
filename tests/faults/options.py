# SPDX-License-Identifier: Apache-2.0
"""What `scripts/test_faults` tells the tests; without it they take their shortest form."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=4, help="how often a backend is killed over a shot")
    parser.addoption("--seed", type=int, default=1, help="of the moments at which it is killed")
    parser.addoption("--soak", type=float, default=0.0, help="minutes of scrubbing and rendering")
    parser.addoption("--full", action="store_true", help="also what takes long")
    parser.addoption("--adapted", action="store_true", help="with an actor adapted from the prior that ships")
