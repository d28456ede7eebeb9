# SPDX-License-Identifier: Apache-2.0
"""Which protocol versions two sides speak, and the one that they agree on.

Versions of one major understand each other; a side that still speaks an older major says so by its `oldest`.
"""

from __future__ import annotations

from dataclasses import dataclass

from dubplate_shared.errors import ProtocolMismatch

PROTOCOL_VERSION = "2.2"  # of the wire alone; PROTOCOL.md says the same, held by a test.
OLDEST_VERSION = "2.0"  # that this code still speaks
MAX_VERSION_LENGTH = 12


@dataclass(frozen=True)
class Versions:
    """What one side speaks, from `oldest` to `newest`: "major.minor" each."""

    oldest: str
    newest: str

    def __str__(self) -> str:
        return repr(self.newest) if self.oldest == self.newest else f"{self.oldest!r} to {self.newest!r}"

    @classmethod
    def told(cls, newest: str, oldest: str = "") -> Versions:
        """As the other side told them; one that names no oldest speaks that one alone. Long texts are cut."""
        return cls((oldest or newest)[:MAX_VERSION_LENGTH], newest[:MAX_VERSION_LENGTH])


OWN = Versions(OLDEST_VERSION, PROTOCOL_VERSION)


def agree(theirs: Versions, *, own_name: str, their_name: str, own: Versions = OWN) -> str:
    """The newest version that both sides speak.

    own_name, their_name: who speaks, such as "the add-on" and "the backend".
    Raises ProtocolMismatch where there is none, naming what each speaks and which side to update.
    """
    mine, others = (_numbers(own.oldest), _numbers(own.newest)), (_numbers(theirs.oldest), _numbers(theirs.newest))
    if mine[0] and mine[1] and others[0] and others[1]:
        agreed = min(mine[1], others[1])
        if agreed[0] >= max(mine[0][0], others[0][0]):
            return f"{agreed[0]}.{agreed[1]}"
    older = their_name if others[1] is None or others[1] < (mine[1] or (0, 0)) else own_name
    raise ProtocolMismatch(
        f"{their_name[0].upper()}{their_name[1:]} speaks Dubplate protocol {theirs}, {own_name} speaks {own}.",
        hint=f"Update {older}, so that both come from the same Dubplate release.",
    )


def _numbers(text: str) -> tuple[int, int] | None:
    major, _, minor = text.partition(".")
    if not (major.isascii() and major.isdigit() and minor.isascii() and minor.isdigit()):
        return None
    return int(major), int(minor)
