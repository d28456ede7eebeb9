# SPDX-License-Identifier: Apache-2.0
"""The actor package NAME.dubactor: what was learnt of one person. Its weights are read by the backend; here is its
card.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dubplate_shared.errors import InvalidInput
from dubplate_shared.files import read_json, write_json
from dubplate_shared.shot import HeadIdentity

SCHEMA = "dubplate.actor/1"
CONSENT_MISSING: Mapping[str, Any] = {"status": "not recorded"}
_KNOWN = {"schema", "name", "renderer", "preset", "head", "shots", "prior", "settings", "metrics", "consent"}


@dataclass(frozen=True)
class ActorInfo:
    """What actor.json says.

    renderer: which renderer draws it ("neural_texture").  preset: its size.  head: the head model it was learnt on.
    shots: what it was learnt from, each {name, sha256 of the track, frames}.  prior: hash of the prior, None from
    scratch.
    consent: the person's consent record; {"status": "not recorded"} until one is given.
    """

    name: str
    renderer: str
    preset: str
    head: HeadIdentity
    shots: tuple[Mapping[str, Any], ...] = ()
    prior: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    consent: Mapping[str, Any] = field(default_factory=lambda: dict(CONSENT_MISSING))
    extra: Mapping[str, Any] = field(default_factory=dict)  # unknown keys of the file, kept through a round trip

    def save(self, folder: Path | str) -> None:
        """Write actor.json into the package folder."""
        known = {
            "schema": SCHEMA,
            "name": self.name,
            "renderer": self.renderer,
            "preset": self.preset,
            "head": {"kind": self.head.kind, "sha256": self.head.sha256},
            "shots": [dict(shot) for shot in self.shots],
            "prior": self.prior,
            "settings": dict(self.settings),
            "metrics": dict(self.metrics),
            "consent": dict(self.consent),
        }
        write_json(Path(folder) / "actor.json", {**self.extra, **known})

    @classmethod
    def load(cls, folder: Path | str) -> ActorInfo:
        """Read actor.json of a package. Raises InvalidInput."""
        folder = Path(folder)
        if not folder.is_dir():
            raise InvalidInput(
                f"{folder} is no actor package.", hint="Make one with: dubplate adapt SHOT -o NAME.dubactor"
            )
        content = read_json(folder / "actor.json", SCHEMA)
        try:
            return cls(
                name=str(content["name"]),
                renderer=str(content["renderer"]),
                preset=str(content["preset"]),
                head=HeadIdentity(str(content["head"]["kind"]), str(content["head"]["sha256"])),
                shots=tuple(dict(shot) for shot in content.get("shots", [])),
                prior=content.get("prior"),
                settings=dict(content.get("settings", {})),
                metrics=dict(content.get("metrics", {})),
                consent=dict(content.get("consent", CONSENT_MISSING)),
                extra={key: value for key, value in content.items() if key not in _KNOWN},
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput(
                f"{folder / 'actor.json'} is incomplete: {error!r}.", hint="Adapt the actor again."
            ) from error
