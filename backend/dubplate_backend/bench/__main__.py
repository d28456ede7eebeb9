# SPDX-License-Identifier: Apache-2.0
"""`scripts/bench`: runs benchmarks by name, prints their figures, writes them as JSON."""

import argparse
import platform
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

import torch

from dubplate_backend.bench.figure import Figure
from dubplate_backend.bench.stage import Stage
from dubplate_shared.errors import DubplateError, ExitCode
from dubplate_shared.files import write_json

NAMES = (
    "rasteriser",
    "skinning",
    "adapt",
    "render",
    "tracking",
    "prior",
    "few_frames",
    "wire",
    "incremental",
    "preview",
)
"""Each is a module of this package with a function of the same name."""

UNASKED = ("rasteriser", "skinning", "adapt", "render")
"""What runs where nothing is named: the hot paths, some minutes."""

SCHEMA = "dubplate.bench/1"

_EXAMPLES = """\
examples:
  scripts/bench                          the hot paths, some minutes
  scripts/bench rasteriser skinning      those two
  scripts/bench --json out/bench.json    the figures for a machine as well
  scripts/bench adapt --threads 1        with one CPU thread
  scripts/bench tracking                 the tracker on clips whose truth is known, beside its bounds: half an hour
  scripts/bench render                   draft, standard and hero beside StyleGAN2, with each stage: minutes
  scripts/bench render --quick --only draft
                                         the draft preset alone, in a minute
  scripts/bench tracking --quick --only standin
                                         on one short clip
  scripts/bench prior --quick            what the shipped prior saves, on one person and 60 iterations: some minutes
  scripts/bench prior --only man         the same on the development clip's man
  scripts/bench few_frames               what is learned of the man from 100, 250 and 400 frames: most of an hour
  scripts/bench preview                  the live preview in Blender, from key to pixels: a minute
  scripts/bench wire                     pictures and pings over the wire beside memcpy and bare sockets: minutes
  scripts/bench incremental              what is drawn of 250 frames again, and after one key: minutes

Each line: name, value, unit, and its ratio to a peer or a limit measured in the same run.
Times are the least of several rounds; on a busy machine trust the ratios.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures Dubplate on this machine.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of: {', '.join(NAMES)} (default: {', '.join(UNASKED)})"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument(
        "--quick", action="store_true", help="less: short clips (tracking), one person (prior), draft whole (render)"
    )
    parser.add_argument(
        "--only",
        metavar="PART",
        help="one part (tracking: standin, ict, still, man, grid; prior: invented, man; render: a preset)",
    )
    parser.add_argument("--alone", action="store_true", help="without the peer that is run beside it (tracking)")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: torch's own)")
    asked = parser.parse_args(arguments)
    unknown = [name for name in asked.names if name not in NAMES]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are: {', '.join(NAMES)}")
    if asked.threads is not None and asked.threads < 1:
        parser.error("--threads must be at least 1")
    if asked.threads:
        torch.set_num_threads(asked.threads)
    try:
        figures = _run(asked.names or UNASKED, Stage(quick=asked.quick, only=asked.only, alone=asked.alone))
        if asked.json:
            write_json(asked.json, {"schema": SCHEMA, **_machine(), "figures": [asdict(figure) for figure in figures]})
    except DubplateError as error:
        print(f"{error.message} {error.hint}", file=sys.stderr)
        return int(error.exit_code)
    return int(ExitCode.OK)


def _run(names: Sequence[str], stage: Stage) -> list[Figure]:
    figures = []
    with stage:
        for name in dict.fromkeys(names):
            for figure in _benchmark(name)(stage):
                print(figure.line(), flush=True)
                figures.append(figure)
    return figures


def _benchmark(name: str) -> Callable[[Stage], Iterable[Figure]]:
    """Imported when run: one benchmark does not load what only another needs."""
    return getattr(import_module(f"dubplate_backend.bench.{name}"), name)


def _machine() -> dict[str, object]:
    return {
        "machine": platform.machine(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


if __name__ == "__main__":
    sys.exit(main())
