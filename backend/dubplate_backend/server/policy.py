# SPDX-License-Identifier: Apache-2.0
"""What whoever starts a backend decides: who may draw whom, what memory and disk may be taken, what is gone on with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dubplate_backend.plates.store import DEFAULT_LIMIT_BYTES
from dubplate_backend.server.consent import ConsentRule


@dataclass(frozen=True)
class Policy:
    """access: file of who may use which actor, None for everybody.  consent: what an actor's record must say.

    model_bytes: memory for shots and actors, None for a share of the device's.  cache_bytes: of plates kept by key.
    go_on: with the jobs that an earlier backend left unfinished; else they are paused, for somebody to resume.
    """

    access: Path | None = None
    consent: ConsentRule = ConsentRule.NOT_REFUSED
    model_bytes: int | None = None
    cache_bytes: int = DEFAULT_LIMIT_BYTES
    go_on: bool = True
