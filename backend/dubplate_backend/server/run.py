# SPDX-License-Identifier: Apache-2.0
"""One backend process from start to end: what it is given, what it reports, and when it goes."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from dubplate_backend.server.access import Access
from dubplate_backend.server.assets import Assets
from dubplate_backend.server.connection import check_address
from dubplate_backend.server.key_folder import KeyFolder
from dubplate_backend.server.log_lines import FieldFormatter
from dubplate_backend.server.policy import Policy
from dubplate_backend.server.processes import Parent
from dubplate_shared.errors import ExitCode, InvalidInput, OutputNotWritable

if TYPE_CHECKING:
    from dubplate_backend.server.server import Server

log = logging.getLogger("dubplate.server")


def serve(
    *,
    roots: tuple[Path, ...],
    output_root: Path,
    connection_file: Path | None,
    head: str | None,
    address: str,
    keys: Path | None,
    first_port: int | None,
    idle_exit_s: float | None,
    parent_pid: int | None,
    policy: Policy,
) -> int:
    """Serve until a stop signal, the idle limit or the parent's end. Returns the exit code.

    keys: folder of them; without it the address is the loopback's.  first_port: of four in a row, else free ones.
    Raises InvalidInput for a missing root, missing keys, or an address that would need them, OutputNotWritable.
    """
    ring = KeyFolder(keys).ring() if keys is not None else None
    check_address(address, keys=ring is not None)
    _log_to_stderr()
    access = None if policy.access is None else Access(policy.access).validated()
    missing = [root for root in roots if not root.is_dir()]
    if missing:
        raise InvalidInput(f"{missing[0]} is no folder.", hint="Give each --root a folder that exists.")
    _make_folder(output_root)
    connection_file = connection_file or default_connection_file()
    _make_folder(connection_file.parent)

    from dubplate_backend.server.models import Models  # torch takes seconds: what can be refused is refused before
    from dubplate_backend.server.server import Server

    models = Models(head, budget_bytes=policy.model_bytes, consent=policy.consent)
    log.info("head model %s", models.head_identity.kind)
    server = Server(
        assets=Assets(roots, output_root, access),
        models=models,
        connection_file=connection_file,
        address=address,
        keys=ring,
        first_port=first_port,
        cache_bytes=policy.cache_bytes,
        go_on=policy.go_on,
    )
    parent = None if parent_pid is None else Parent.of(parent_pid)
    signals: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        # Not an exception: it could surface inside a request and be taken for that request's failure.
        signals.append(number)
        server.end()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    with server:
        print(f"Listening. Connection file: {connection_file}", flush=True)
        server.serve(keep_on=lambda: not _should_go(server, idle_exit_s, parent))
    code = _exit_code(signals)
    if not server.worker_ended:
        log.warning("the render did not stop in time and is left behind; files on disk are whole")
        logging.shutdown()
        os._exit(code)  # a thread inside native code cannot be ended in any other way
    return code


def _exit_code(signals: list[int]) -> int:
    if not signals:
        return ExitCode.OK
    return ExitCode.TERMINATED if signals[0] == signal.SIGTERM else ExitCode.INTERRUPTED


def default_connection_file() -> Path:
    """In the user's cache folder ($DUBPLATE_CACHE wins)."""
    from platformdirs import user_cache_path

    return Path(os.environ.get("DUBPLATE_CACHE") or user_cache_path("dubplate")) / "connection.json"


def _should_go(server: Server, idle_exit_s: float | None, parent: Parent | None) -> bool:
    if parent is not None and parent.ended:
        log.info("the parent process has ended")
        return True
    if idle_exit_s is not None and server.idle_s > idle_exit_s:
        log.info("nobody was here for %.0f s", idle_exit_s)
        return True
    return False


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputNotWritable(f"Cannot make {folder}: {error.strerror}.", hint="Choose another folder.") from error
    if not os.access(folder, os.W_OK):
        raise OutputNotWritable(f"Cannot write into {folder}.", hint="Check its permissions, or choose another.")


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FieldFormatter())
    log.addHandler(handler)
    log.setLevel(logging.INFO)
