# SPDX-License-Identifier: Apache-2.0
"""Every decoder meets damaged bytes; `scripts/test_faults --fuzz` does so for ten minutes each."""

from __future__ import annotations

from pathlib import Path

import pytest

from faults.decoders import Decoder, all_decoders
from faults.fuzz import try_out

EXAMPLES = 12


@pytest.fixture(scope="module")
def decoders(studio: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Decoder, ...]:
    return all_decoders(tmp_path_factory.mktemp("samples"), studio / "small.dubshot")


def test_what_is_whole_is_read_and_what_is_damaged_is_read_or_refused_by_name(decoders, tmp_path):
    for decoder in decoders:
        for number, sample in enumerate(decoder.samples):
            work = tmp_path / f"{decoder.name}{number}"
            work.mkdir()
            decoder.decode(sample, work)
            try_out(decoder, work, EXAMPLES, number)


def test_a_decoder_that_fails_in_another_way_is_found(tmp_path):
    def careless(data: bytes, _: Path) -> None:
        if data[:4] != b"good":
            raise KeyError("no sample")

    with pytest.raises(KeyError):
        try_out(Decoder("careless", (b"good morning",), careless), tmp_path, 100, 1)
