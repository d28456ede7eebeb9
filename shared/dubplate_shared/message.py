# SPDX-License-Identifier: Apache-2.0
"""What all messages of the wire have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Message:
    """Base of all messages. TYPE is the header's `type`, SOCKET where it travels, SENDER who says it."""

    TYPE: ClassVar[str] = ""
    SOCKET: ClassVar[str] = "rpc"
    SENDER: ClassVar[str] = "client"
