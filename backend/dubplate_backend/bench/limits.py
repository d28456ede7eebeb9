# SPDX-License-Identifier: Apache-2.0
"""What this machine can do at most, measured beside every figure that is held against it."""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from dubplate_backend.bench.figure import least_seconds

_MATRIX = 1536
_COPY_BYTES = 256 << 20


def matmul_flops_per_second() -> float:
    """float32 matrix product of a size that fills the cores, with torch's present threads."""
    left, right = torch.randn(_MATRIX, _MATRIX), torch.randn(_MATRIX, _MATRIX)
    return 2.0 * _MATRIX**3 / least_seconds(lambda: left @ right)


def copied_bytes_per_second() -> float:
    """Bytes read and written by a copy larger than the caches."""
    source = torch.ones(_COPY_BYTES // 4)
    target = torch.empty_like(source)
    return 2.0 * _COPY_BYTES / least_seconds(lambda: target.copy_(source))


def flops_of(work: Callable[[], object]) -> int:
    """Floating-point operations of the matrix products and convolutions in `work`, forward and backward."""
    counter = _Counter()
    with counter:
        work()
    return counter.total


class _Counter(TorchDispatchMode):
    """Adds up torch's own formulas.  Its FlopCounterMode also follows modules, and so refuses second derivatives."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        formula = flop_registry.get(func._overloadpacket)
        if formula is None:
            # In inference mode composite operations arrive whole; their parts are what is counted.
            with self:
                parts = func.decompose(*args, **kwargs)
            return func(*args, **kwargs) if parts is NotImplemented else parts
        result = func(*args, **kwargs)
        self.total += formula(*args, **kwargs, out_val=result)
        return result
