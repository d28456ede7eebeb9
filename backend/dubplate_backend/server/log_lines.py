# SPDX-License-Identifier: Apache-2.0
"""The backend's log: a line an event, time, level and words, then name=value of what it is about.

Jobs and frames go by id and number; what may name people (shots, actors, paths, words of errors) stays out.
"""

from __future__ import annotations

import json
import logging
import time

# What every record has of its own: the rest was given as `extra`.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class FieldFormatter(logging.Formatter):
    """2026-11-21T03:00:00.123Z INFO finished job=3f2a90c41b7e writing_s=1.25."""

    converter = time.gmtime

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        first, newline, rest = super().format(record).partition("\n")
        fields = {name: value for name, value in vars(record).items() if name not in _OWN}
        words = " ".join(f"{name}={_plain(value)}" for name, value in fields.items())
        return f"{first} {words}".rstrip() + newline + rest


def _plain(value: object) -> str:
    text = str(value)
    return text if text.isprintable() and " " not in text and "=" not in text and '"' not in text else json.dumps(text)
