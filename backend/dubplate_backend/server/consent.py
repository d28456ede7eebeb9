# SPDX-License-Identifier: Apache-2.0
"""Whether the person behind an actor agrees to be drawn, looked at whenever the actor is loaded."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from enum import StrEnum

from dubplate_shared.actor import ActorInfo
from dubplate_shared.errors import ConsentMissing

GRANTED = "granted"
REFUSED = frozenset({"withdrawn", "refused", "expired"})


class ConsentRule(StrEnum):
    """What a record must say."""

    NOT_REFUSED = "not-refused"  # nothing against it: development footage has no paper to show
    GRANTED = "granted"


def check_consent(
    actor: ActorInfo, rule: ConsentRule, today: Callable[[], datetime.date] = datetime.date.today
) -> None:
    """Look at the record's `status`, and at its `until` (YYYY-MM-DD, the last day) where there is one.

    Raises ConsentMissing.
    """
    status = str(actor.consent.get("status", "not recorded"))
    if status in REFUSED:
        raise ConsentMissing(
            f"The consent of actor {actor.name} is {status}.",
            hint="This actor may not be drawn: `dubplate actor delete` removes it.",
        )
    until = actor.consent.get("until")
    if until is not None and _day(actor, until) < today():
        raise ConsentMissing(
            f"The consent of actor {actor.name} ended on {until}.",
            hint="Ask the person again, and write the new record into actor.json; or `dubplate actor delete`.",
        )
    if rule is ConsentRule.GRANTED and status != GRANTED:
        raise ConsentMissing(
            f"The consent of actor {actor.name} is {status!r}; this backend wants it granted.",
            hint='Adapt with --consent FILE, whose record says {"status": "granted"}.',
        )


def _day(actor: ActorInfo, text: object) -> datetime.date:
    try:
        return datetime.date.fromisoformat(str(text))
    except ValueError as error:
        raise ConsentMissing(
            f"The consent record of actor {actor.name} has `until` {str(text)[:40]!r}, which is no day.",
            hint="Write it as YYYY-MM-DD.",
        ) from error
