# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors that a button mends, and which one. No bpy."""

from __future__ import annotations

from dubplate_shared.error_info import NotAdmitted
from dubplate_shared.errors import BackendLost, BackendUnreachable, DubplateError, InvalidInput, OutputNotWritable

_OF_SETTING = {
    "actor": "dubplate.choose_actor",
    "output": "dubplate.choose_output",
    "python": "dubplate.choose_python",
    "shot": "dubplate.find_shot",
}
_OF_ERROR: tuple[tuple[type[DubplateError], str], ...] = (
    (OutputNotWritable, "dubplate.choose_output"),
    (NotAdmitted, "dubplate.open_preferences"),
    (BackendLost, "dubplate.connect"),
    (BackendUnreachable, "dubplate.connect"),
)


class Unset(InvalidInput):
    """Something is to be chosen first. setting: what: actor, output, python, shot."""

    def __init__(self, message: str, *, hint: str = "", setting: str) -> None:
        super().__init__(message, hint=hint)
        self.setting = setting


def fix_of(error: DubplateError) -> str:
    """The operator whose button mends `error`; "" where none does."""
    if isinstance(error, Unset):
        return _OF_SETTING[error.setting]
    return next((operator for kind, operator in _OF_ERROR if isinstance(error, kind)), "")
