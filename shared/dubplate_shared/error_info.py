# SPDX-License-Identifier: Apache-2.0
"""An error on its way over the wire, and the errors that only the wire knows."""

from __future__ import annotations

from dataclasses import dataclass

from dubplate_shared.errors import DubplateError, ExitCode, all_errors

MAX_DETAIL_LENGTH = 2000
RETRYABLE = frozenset(
    {
        "backend_unreachable",
        "backend_lost",
        "out_of_memory",
        "output_not_writable",
        "queue_full",
        "too_many_requests",
    }
)


class QueueFull(DubplateError):
    """More jobs wait than the backend keeps."""

    code = "queue_full"


class TooManyRequests(DubplateError):
    """Requests come faster than the backend takes them from one client."""

    code = "too_many_requests"


class NotAdmitted(DubplateError):
    """The backend does not let this client in: another token, or a key that is not allowed."""

    exit_code = ExitCode.UNREACHABLE
    code = "not_admitted"


@dataclass(frozen=True)
class ErrorInfo:
    """An error on its way: `code` names the class in dubplate_shared.errors."""

    code: str
    title: str
    detail: str
    hint: str = ""
    exit_code: int = 1
    retryable: bool = False

    @classmethod
    def of(cls, error: BaseException) -> ErrorInfo:
        """Describe any error; one that is no DubplateError is a defect, and the backend's log has its traceback."""
        if isinstance(error, DubplateError):
            title = error.code.replace("_", " ").capitalize()
            code, hint, exit_code = error.code, error.hint, int(error.exit_code)
            detail = error.message
        else:
            title, code, exit_code = "Internal error", "internal", 1
            hint = "This is a defect of the backend: its log has the traceback."
            detail = f"{type(error).__name__}: {error}"
        return cls(code, title, detail[:MAX_DETAIL_LENGTH], hint[:MAX_DETAIL_LENGTH], exit_code, code in RETRYABLE)

    def exception(self) -> DubplateError:
        """The same error as an exception of the same class; of the base class for a code unknown here."""
        kind = all_errors().get(self.code, DubplateError)
        return kind(self.detail, hint=self.hint)
