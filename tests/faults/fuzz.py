# SPDX-License-Identifier: Apache-2.0
"""Damaged and made-up bytes for every decoder, each in a process of its own: `scripts/test_faults --fuzz`.

A decoder passes when it gives a value or raises DubplateError, whatever the bytes: anything else, a crash, a
hang or growing memory is a finding.
"""

from __future__ import annotations

import argparse
import faulthandler
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from dubplate_shared.errors import DubplateError
from faults.decoders import Decoder, all_decoders

SECONDS = 600.0
ROUND = 500  # examples between two looks at the clock and the memory
MOST_GROWTH_KIB = 64 * 1024  # after the first round, which fills caches
HANGS_AFTER_S = 20.0  # one example; they take milliseconds
MOST_EDITS = 6
MOST_INSERTED = 40


@st.composite
def damaged(draw: st.DrawFn, samples: tuple[bytes, ...]) -> bytes:
    """A valid file with bytes changed, cut out, put in, doubled, or cut off; or bytes of no meaning at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=300))
    data = bytearray(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(1, MOST_EDITS))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        end = min(len(data), at + draw(st.integers(1, MOST_INSERTED)))
        match draw(st.integers(0, 5)):
            case 0:
                data[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case 1:
                del data[at:end]
            case 2:
                data[at:at] = draw(st.binary(max_size=MOST_INSERTED))
            case 3:
                data[at:at] = data[at:end]
            case 4:
                data[at : at + 1] = bytes([data[at] ^ (1 << draw(st.integers(0, 7)))]) if data else b""
            case _:
                del data[at:]
    return bytes(data)


def try_out(decoder: Decoder, folder: Path, examples: int, number: int) -> int:
    """Feed a decoder so many examples.  number: of the round, its seed.  Raises what is a finding.

    Returns the KiB that the process grew by while it decoded: hypothesis, which keeps examples, grows between.
    """
    grown_kib = 0

    @seed(number)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(damaged(decoder.samples))
    def decode(data: bytes) -> None:
        nonlocal grown_kib
        faulthandler.dump_traceback_later(HANGS_AFTER_S, exit=True)
        before_kib = _most_kib()
        try:
            decoder.decode(data, folder)
        except DubplateError as error:
            assert error.message
        finally:
            grown_kib += _most_kib() - before_kib
            faulthandler.cancel_dump_traceback_later()

    decode()
    return grown_kib


def fuzz(decoder: Decoder, folder: Path, seconds: float) -> str:
    """Round after round for so long, in this process; how it went. Raises what is a finding."""
    started_s, rounds, grown_kib = time.monotonic(), 0, 0
    while time.monotonic() - started_s < seconds or rounds < 2:
        in_round_kib = try_out(decoder, folder, ROUND, rounds)
        grown_kib += in_round_kib if rounds else 0
        rounds += 1
        assert grown_kib < MOST_GROWTH_KIB, f"memory grew by {grown_kib / 1024:.0f} MiB"
    return f"{rounds * ROUND} examples, memory grew by {grown_kib / 1024:.1f} MiB"


def _most_kib() -> int:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main(arguments: list[str]) -> int:
    """Returns 1 where a decoder has failed."""
    parser = argparse.ArgumentParser(prog="scripts/test_faults --fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"for each decoder; {SECONDS:.0f} unless told")
    parser.add_argument("--only", metavar="WORD", default="", help="the decoders whose name holds this word")
    parser.add_argument("--here", metavar="NAME", help="this decoder, in this process: what each one's own is told")
    told = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        decoders = [
            each
            for each in _decoders(Path(folder))
            if (told.only in each.name if told.here is None else told.here == each.name)
        ]
        if told.here:
            work = Path(folder) / "work"
            work.mkdir()
            for decoder in decoders:
                print(f"{decoder.name}: {fuzz(decoder, work, told.seconds)}", flush=True)
            return 0
    worst = 0
    for decoder in decoders:
        command = [
            sys.executable,
            "-m",
            "faults.fuzz",
            "--here",
            decoder.name,
            "--seconds",
            str(told.seconds),
        ]
        code = subprocess.run(command).returncode  # a crash ends that process alone
        print(f"{'passed' if code == 0 else 'FAILED'}: {decoder.name}", flush=True)
        worst = max(worst, int(code != 0))
    return worst


def _decoders(folder: Path) -> tuple[Decoder, ...]:
    from dubplate_backend.head.load import load_head
    from small_shot import write_small_shot

    samples = folder / "samples"
    samples.mkdir()
    return all_decoders(samples, write_small_shot(folder, load_head()).path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
