# SPDX-License-Identifier: Apache-2.0
"""Every error that a person or a farm may meet, each with an exit code, a stable name and a hint that names the fix."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the command line returns; farms rely on these numbers, so they never change meaning."""

    OK = 0
    UNHANDLED = 1
    USAGE = 2
    INVALID_INPUT = 3
    UNREACHABLE = 10
    MISMATCH = 11
    BACKEND_LOST = 12
    OUT_OF_MEMORY = 13
    NOT_WRITABLE = 14
    FRAMES_FAILED = 20
    NOTHING_TO_DO = 21
    INTERRUPTED = 130
    TERMINATED = 143


class DubplateError(Exception):
    """Base of all errors that are shown to people. `hint` says what to do next; `code` travels on the wire."""

    exit_code: ExitCode = ExitCode.UNHANDLED
    code: str = "internal"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InvalidInput(DubplateError):
    """What was given cannot be used: a file, a frame range, a value."""

    exit_code = ExitCode.INVALID_INPUT
    code = "invalid_input"


class FootageError(InvalidInput):
    """The footage cannot be read, is broken, or shows no face."""

    code = "footage"


class HeadModelMismatch(DubplateError):
    """Codes, a shot or an actor of one head model met another."""

    exit_code = ExitCode.MISMATCH
    code = "head_model_mismatch"


class NotAllowed(DubplateError):
    """Whoever asks may not do that: an actor that is not theirs, another's job."""

    exit_code = ExitCode.INVALID_INPUT
    code = "not_allowed"


class ConsentMissing(DubplateError):
    """The person has not agreed to be drawn, or no longer does."""

    exit_code = ExitCode.INVALID_INPUT
    code = "consent_missing"


class ProtocolMismatch(DubplateError):
    """The two sides of the wire speak different protocol versions."""

    exit_code = ExitCode.MISMATCH
    code = "protocol_mismatch"


class BackendUnreachable(DubplateError):
    """No backend answers."""

    exit_code = ExitCode.UNREACHABLE
    code = "backend_unreachable"


class BackendLost(DubplateError):
    """The backend answered before and no longer does."""

    exit_code = ExitCode.BACKEND_LOST
    code = "backend_lost"


class OutOfMemory(DubplateError):
    """The device or the machine ran out of memory."""

    exit_code = ExitCode.OUT_OF_MEMORY
    code = "out_of_memory"


class OutputNotWritable(DubplateError):
    """The output folder cannot be written, or its disk is full."""

    exit_code = ExitCode.NOT_WRITABLE
    code = "output_not_writable"


class FramesFailed(DubplateError):
    """Some frames of a job failed; the others are valid."""

    exit_code = ExitCode.FRAMES_FAILED
    code = "frames_failed"


class Cancelled(DubplateError):
    """Somebody asked to stop."""

    exit_code = ExitCode.INTERRUPTED
    code = "cancelled"


def all_errors() -> dict[str, type[DubplateError]]:
    """Every error class by its wire code, so that a client raises what the server raised."""
    found: dict[str, type[DubplateError]] = {}
    waiting: list[type[DubplateError]] = [DubplateError]
    while waiting:
        kind = waiting.pop()
        found.setdefault(kind.code, kind)
        waiting.extend(kind.__subclasses__())
    return found
