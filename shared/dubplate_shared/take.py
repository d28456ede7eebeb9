# SPDX-License-Identifier: Apache-2.0
"""A take: the expression and jaw curves of one performance over a shot's frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dubplate_shared.errors import InvalidInput
from dubplate_shared.files import load_npz, read_json, save_npz, sha256_file, write_json

Array = npt.NDArray[Any]

SCHEMA = "dubplate.take/1"
TRACKED = "tracked"  # the take that was filmed; every shot has it, and it is stored in the track


@dataclass(frozen=True)
class Take:
    """Curves aligned with the shot's frames.

    expression: (T, 100) in standard deviations.  jaw: (T, 3) axis-angle, radians.  eyes: (T, 6) axis-angle or
    None (as filmed).
    origin: where it came from, JSON-able; a "sha256" and a "kind" are usual, and "audio" where a voice belongs to it.
    Raises InvalidInput where shapes disagree or a value is not finite.
    """

    name: str
    expression: Array
    jaw: Array
    eyes: Array | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.expression)
        wanted = {"expression": (count, 100), "jaw": (count, 3)} | ({} if self.eyes is None else {"eyes": (count, 6)})
        for name, shape in wanted.items():
            array = np.ascontiguousarray(getattr(self, name), np.float32)
            if array.shape != shape:
                raise InvalidInput(
                    f"Take {self.name!r}: {name} is {array.shape}, expected {shape}.",
                    hint="All curves cover the same frames.",
                )
            if not np.isfinite(array).all():
                frame = int(np.argwhere(~np.isfinite(array))[0][0])
                raise InvalidInput(
                    f"Take {self.name!r}: {name} is not a number at index {frame}.",
                    hint="Delete or mend the key there.",
                )
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.expression)

    def save(self, folder: Path) -> None:
        """Write NAME.npz and NAME.json into `folder`."""
        arrays = {"expression": self.expression, "jaw": self.jaw}
        if self.eyes is not None:
            arrays["eyes"] = self.eyes
        save_npz(folder / f"{self.name}.npz", arrays)
        write_json(
            folder / f"{self.name}.json",
            {
                "schema": SCHEMA,
                "name": self.name,
                "sha256": sha256_file(folder / f"{self.name}.npz"),
                "origin": dict(self.origin),
            },
        )

    @classmethod
    def load(cls, folder: Path, name: str) -> Take:
        """Read what save wrote. Raises InvalidInput."""
        info = read_json(folder / f"{name}.json", SCHEMA)
        arrays = load_npz(folder / f"{name}.npz")
        if not {"expression", "jaw"} <= arrays.keys():
            raise InvalidInput(f"Take {name!r} lacks expression or jaw.", hint="Make the take again.")
        return cls(name, arrays["expression"], arrays["jaw"], arrays.get("eyes"), info.get("origin", {}))
