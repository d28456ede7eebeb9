# SPDX-License-Identifier: Apache-2.0
"""Frame rates as exact fractions: 23.976 is 24000/1001 wherever it is written in another way."""

from __future__ import annotations

import re
from fractions import Fraction

from dubplate_shared.errors import InvalidInput
from dubplate_shared.shot import Rate

WHOLE_RATES = (12, 15, 24, 25, 30, 48, 50, 60, 72, 90, 96, 100, 120)
NTSC_NOMINAL_RATES = (24, 30, 48, 60, 120)
STANDARD_RATES = (*map(Fraction, WHOLE_RATES), *(Fraction(rate * 1000, 1001) for rate in NTSC_NOMINAL_RATES))
# Containers round a frame's length to their clock. 24 and 24000/1001 are ten times as far apart as this.
ROUNDING = Fraction(1, 10000)
_TEXT = re.compile(r"^(\d+)(?:/(\d+)|\.(\d+))?$")


def standard_rate(rate: Fraction) -> Fraction:
    """The standard rate that `rate` was meant to be, or `rate` itself, with a short denominator, where it is none."""
    nearest = min(STANDARD_RATES, key=lambda standard: abs(standard - rate))
    return nearest if abs(nearest - rate) <= ROUNDING * nearest else rate.limit_denominator(100_000)


def parse_rate(text: str) -> Rate:
    """ "25", "23.976" or "24000/1001". Raises InvalidInput."""
    found = _TEXT.match(text.strip())
    if not found or (found[2] and int(found[2]) == 0) or Fraction(text.strip()) <= 0:
        raise InvalidInput(f"{text!r} is no frame rate.", hint="Write it as 25, 23.976 or 24000/1001.")
    exact = standard_rate(Fraction(text.strip()))
    return Rate(exact.numerator, exact.denominator)
