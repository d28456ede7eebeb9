# SPDX-License-Identifier: Apache-2.0
"""Consent records that a user gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dubplate_shared.errors import InvalidInput


def read_consent(path: Path | None) -> dict[str, Any] | None:
    """The record in a JSON file, None without a file. Raises InvalidInput where it holds none."""
    if path is None:
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}.", hint="Give a JSON file.") from error
    if not isinstance(record, dict):
        raise InvalidInput(f"{path} holds no JSON object.", hint='For example {"status": "granted", ...}.')
    return record
