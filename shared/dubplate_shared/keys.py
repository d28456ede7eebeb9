# SPDX-License-Identifier: Apache-2.0
"""CURVE keys on disk: a pair, its secret for its owner's eyes alone, and the public half that is given to others."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from dubplate_shared.errors import InvalidInput
from dubplate_shared.files import read_json, write_json, write_private_json

PAIR_SCHEMA = "dubplate.key_pair/1"
PUBLIC_SCHEMA = "dubplate.public_key/1"
PAIR_SUFFIX = ".key"
PUBLIC_SUFFIX = ".pub"
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_Z85 = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")  # ZeroMQ RFC 32: 32 bytes as 40 characters


@dataclass(frozen=True)
class PublicKey:
    """Who it is, and the public half (Z85)."""

    name: str
    public: str

    def write(self, path: Path | str) -> None:
        """Raises OutputNotWritable."""
        write_json(path, {"schema": PUBLIC_SCHEMA, "name": self.name, "public": self.public})

    @classmethod
    def read(cls, path: Path | str) -> PublicKey:
        """Raises InvalidInput where it is missing, broken, or a pair: a secret is not to be handed around."""
        content = read_json(path, PUBLIC_SCHEMA)
        return cls(check_name(content.get("name")), _check_key(path, content.get("public")))


@dataclass(frozen=True)
class KeyPair:
    """public, secret: Z85."""

    name: str
    public: str
    secret: str

    @property
    def public_key(self) -> PublicKey:
        return PublicKey(self.name, self.public)

    def __repr__(self) -> str:
        return f"KeyPair({self.name!r})"  # a secret has no place in a log

    def write(self, path: Path | str) -> None:
        """Write with mode 0600. Raises OSError."""
        content = {"schema": PAIR_SCHEMA, "name": self.name, "public": self.public, "secret": self.secret}
        write_private_json(path, content)

    @classmethod
    def read(cls, path: Path | str) -> KeyPair:
        """Raises InvalidInput where it is missing, broken, or open to others."""
        path = Path(path)
        content = read_json(path, PAIR_SCHEMA)
        pair = cls(
            check_name(content.get("name")),
            _check_key(path, content.get("public")),
            _check_key(path, content.get("secret")),
        )
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise InvalidInput(f"{path} may be read by others.", hint=f"Make it private: chmod 600 {path}")
        return pair


def check_name(name: object) -> str:
    """A key's name, which is also its file's. Raises InvalidInput."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{str(name)[:80]!r} is no name of a key.", hint="Use up to 63 of a-z, 0-9, '-', '_' and '.', as in anna."
        )
    return name


def _check_key(path: Path | str, key: object) -> str:
    if not isinstance(key, str) or not _Z85.fullmatch(key):
        raise InvalidInput(f"{path} holds no key.", hint="Make it again with `dubplate keys make`.")
    return key
