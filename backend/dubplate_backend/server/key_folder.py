# SPDX-License-Identifier: Apache-2.0
"""The folder of keys on one machine: pairs made here, and the public keys that this machine's backend lets in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import zmq

from dubplate_backend.server.admission import KeyRing
from dubplate_shared.errors import InvalidInput, OutputNotWritable
from dubplate_shared.keys import PAIR_SUFFIX, PUBLIC_SUFFIX, KeyPair, PublicKey, check_name

BACKEND = "backend"  # name of the backend's own pair
VARIABLE = "DUBPLATE_KEYS"


def default_key_folder() -> Path:
    """In the user's configuration ($DUBPLATE_KEYS wins)."""
    from platformdirs import user_config_path

    return Path(os.environ.get(VARIABLE) or user_config_path("dubplate") / "keys")


@dataclass(frozen=True)
class KeyFolder:
    """NAME.key: pairs.  NAME.pub: their public halves, to give away.  allowed/NAME.pub: who may come in."""

    path: Path

    @property
    def allowed_folder(self) -> Path:
        return self.path / "allowed"

    def make(self, name: str) -> Path:
        """A new pair; the file of its public half. Raises InvalidInput where there is one, OutputNotWritable."""
        secret_file = self.path / f"{check_name(name)}{PAIR_SUFFIX}"
        if secret_file.exists():
            raise InvalidInput(
                f"{secret_file} is there already.", hint="Use it, choose another name, or remove that file first."
            )
        public, secret = (half.decode() for half in zmq.curve_keypair())
        pair = KeyPair(name, public, secret)
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            pair.write(secret_file)
        except OSError as error:
            raise OutputNotWritable(
                f"Cannot write {secret_file}: {error.strerror}.", hint="Choose another --folder."
            ) from error
        public_file = self.path / f"{name}{PUBLIC_SUFFIX}"
        pair.public_key.write(public_file)
        return public_file

    def allow(self, public_file: Path) -> PublicKey:
        """Let the owner of a public key in, from the next handshake on.

        Raises InvalidInput where it is none, or its name stands for another key already; OutputNotWritable.
        """
        key = PublicKey.read(public_file)
        target = self.allowed_folder / f"{key.name}{PUBLIC_SUFFIX}"
        if target.exists() and PublicKey.read(target).public != key.public:
            raise InvalidInput(
                f"{key.name} is allowed already, with another key.",
                hint=f"If it is the same person's new key: dubplate keys revoke {key.name}, then allow this one.",
            )
        key.write(target)
        return key

    def revoke(self, name: str) -> None:
        """Let somebody in no more, from the next handshake on. Raises InvalidInput where nobody of that name is."""
        target = self.allowed_folder / f"{check_name(name)}{PUBLIC_SUFFIX}"
        if not target.exists():
            raise InvalidInput(f"{name} is not allowed anyway.", hint="`dubplate keys list` shows who is.")
        target.unlink()

    def own(self) -> tuple[str, ...]:
        """Names of the pairs made here."""
        return tuple(sorted(path.name.removesuffix(PAIR_SUFFIX) for path in self.path.glob(f"*{PAIR_SUFFIX}")))

    def allowed(self) -> tuple[PublicKey, ...]:
        """Who may come in. Raises InvalidInput for a broken file."""
        return tuple(PublicKey.read(path) for path in sorted(self.allowed_folder.glob(f"*{PUBLIC_SUFFIX}")))

    def ring(self) -> KeyRing:
        """What a backend needs to listen on a network. Raises InvalidInput where it has no pair or lets nobody in."""
        pair_file = self.path / f"{BACKEND}{PAIR_SUFFIX}"
        if not pair_file.exists():
            raise InvalidInput(
                f"The backend has no keys in {self.path}.",
                hint=f"Make them: dubplate keys make {BACKEND} --folder {self.path}",
            )
        if not self.allowed():
            raise InvalidInput(
                f"{self.allowed_folder} lets nobody in.", hint="Allow a client: dubplate keys allow NAME.pub"
            )
        return KeyRing(KeyPair.read(pair_file), self.allowed_folder)
