# SPDX-License-Identifier: Apache-2.0
"""All that lies on disk of an actor beneath the folders that a backend serves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dubplate_backend.jobs.journal import Journal, JournalInUse, journals
from dubplate_backend.plates.manifest import NAME as MANIFEST
from dubplate_backend.plates.manifest import Manifest
from dubplate_backend.plates.store import STATE_FOLDER, PlateStore
from dubplate_backend.renderers.neural_texture.weights import TEXTURE_FILE
from dubplate_backend.rendering.pictures import PREVIEW, SHEET
from dubplate_shared.actor import ActorInfo
from dubplate_shared.errors import DubplateError, InvalidInput
from dubplate_shared.files import sha256_file

SUFFIX = ".dubactor"
WORK_SUFFIX = ".work"  # beside the package while it is adapted: crops and checkpoints


@dataclass(frozen=True)
class Traces:
    """packages: the actor's folder and copies of it.  work: crops and checkpoints of an adaptation.

    caches: entries of the store of plates.  previews: pictures of plates that he was drawn into.  plates: those
    deliveries themselves, which stay unless told.  jobs: ids by journal.  busy: journals that a running backend holds.
    """

    actor: ActorInfo
    texture: str
    packages: tuple[Path, ...]
    work: tuple[Path, ...]
    caches: tuple[Path, ...]
    previews: tuple[Path, ...]
    plates: tuple[Path, ...]
    jobs: dict[Path, tuple[str, ...]] = field(default_factory=dict)
    busy: tuple[Path, ...] = ()

    def files(self, *, plates: bool = False) -> tuple[Path, ...]:
        """Every file that goes with the actor."""
        folders = (*self.packages, *self.work, *self.caches)
        inside = [file for folder in folders for file in sorted(folder.rglob("*")) if file.is_file()]
        return (*inside, *self.previews, *(self.plates if plates else ()))

    def to_json(self) -> dict[str, Any]:
        """For --json: paths as text."""
        kinds = ("packages", "work", "caches", "previews", "plates", "busy")
        return {
            "actor": self.actor.name,
            "texture": self.texture,
            **{kind: [str(path) for path in getattr(self, kind)] for kind in kinds},
            "jobs": [job for jobs in self.jobs.values() for job in jobs],
        }


def packages(roots: Sequence[Path]) -> Iterator[Path]:
    """The folders of all actors beneath `roots`, in order."""
    yield from sorted({path.resolve() for root in roots for path in root.rglob(f"*{SUFFIX}") if path.is_dir()})


def find_traces(actor: Path, roots: Sequence[Path], output_root: Path | None) -> Traces:
    """Look for everything.  actor: its folder.  roots: where shots and actors lie.  output_root: of plates.

    Raises InvalidInput where `actor` is no actor.
    """
    info = ActorInfo.load(actor)
    texture = _texture(actor)
    if not texture:
        raise InvalidInput(f"{actor} has no {TEXTURE_FILE}.", hint="Remove that folder by hand: it holds no person.")
    known = sorted({actor.resolve(), *(package for package in packages(roots) if _texture(package) == texture)})
    names = {package.name for package in known}
    work = tuple(_work(names, roots, actor.resolve().parent))
    if output_root is None:
        return Traces(info, texture, tuple(known), work, (), (), ())
    previews, plates = _pictures(output_root, texture, info.name)
    jobs, busy = _jobs(output_root, names)
    store = PlateStore(output_root / STATE_FOLDER / "plates")
    caches = tuple(store.of_actor(texture))
    return Traces(info, texture, tuple(known), work, caches, previews, plates, jobs, busy)


def _texture(package: Path) -> str:
    file = package / TEXTURE_FILE
    return sha256_file(file) if file.is_file() else ""


def _work(names: set[str], roots: Sequence[Path], beside: Path) -> list[Path]:
    """Folders of an adaptation under way, stopped or killed, by the names of the packages that they were for."""
    wanted = [f"{name}{WORK_SUFFIX}" for name in names] + [f".{name}.*" for name in names]
    found = {path for pattern in wanted for root in roots for path in root.resolve().rglob(pattern)}
    found |= {path for pattern in wanted for path in beside.glob(pattern)}
    return sorted(path for path in found if path.is_dir())


def _pictures(output_root: Path, texture: str, name: str) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Previews and plates of versions whose manifest names the actor."""
    previews: list[Path] = []
    plates: list[Path] = []
    for path in sorted(output_root.rglob(MANIFEST)):
        try:
            manifest = Manifest.load(path.parent)
        except DubplateError:
            continue
        drawn_from = manifest.facts.get("actor_texture")
        if drawn_from == texture or (drawn_from is None and manifest.facts.get("actor") == name):
            previews += [path.parent / picture for picture in (PREVIEW, SHEET) if (path.parent / picture).exists()]
            plates += [path.parent / record.file for record in manifest.frames.values()]
    return tuple(previews), tuple(plate for plate in plates if plate.exists())


def _jobs(output_root: Path, names: set[str]) -> tuple[dict[Path, tuple[str, ...]], tuple[Path, ...]]:
    """Jobs of the actor by journal, and the journals that are held by a running backend."""
    jobs: dict[Path, tuple[str, ...]] = {}
    busy: list[Path] = []
    for path in journals(output_root / STATE_FOLDER):
        try:
            with closing(Journal(path)) as journal:
                found = [job.id for job in journal.jobs() if job.request.actor.rpartition("/")[2] in names]
        except JournalInUse:
            busy.append(path)
            continue
        if found:
            jobs[path] = tuple(found)
    return jobs, tuple(busy)
