# SPDX-License-Identifier: Apache-2.0
"""Writes files in FLAME's formats, old module paths included, without chumpy or an old scipy installed."""

import io
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import scipy.sparse


class Ch:
    """What chumpy's class writes: its dictionary, with `x` and bookkeeping beside it."""

    def __init__(self, x: np.ndarray) -> None:
        self.x = x
        self._dirty_vars = set()
        self._itr = None
        self._status = "new"


Ch.__module__, Ch.__qualname__ = "chumpy.ch", "Ch"


class csc_matrix:
    """What scipy's class writes, under the module path of 2017."""

    def __init__(self, dense: np.ndarray) -> None:
        sparse = scipy.sparse.csc_matrix(dense)
        self.__dict__.update(
            _shape=sparse.shape,
            maxprint=50,
            indices=sparse.indices,
            indptr=sparse.indptr,
            data=sparse.data,
            format="csc",
        )


csc_matrix.__module__, csc_matrix.__qualname__ = "scipy.sparse.csc", "csc_matrix"


@contextmanager
def _importable(*classes: type) -> Iterator[None]:
    """pickle checks that a class can be imported from where it says; only while writing, it can."""
    names = {name for made in classes for name in (made.__module__.split(".")[0], made.__module__)}
    before = {name: sys.modules.get(name) for name in names}
    try:
        for made in classes:
            package = made.__module__.split(".")[0]
            if before[package] is None:
                sys.modules[package] = ModuleType(package)
            module = ModuleType(made.__module__)
            setattr(module, made.__name__, made)
            sys.modules[made.__module__] = module
        yield
    finally:
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module


def dumps(content: Any, protocol: int = 2) -> bytes:
    """A pickle that names chumpy.ch.Ch, scipy.sparse.csc.csc_matrix and, below protocol 3, Python 2's modules."""
    with _importable(Ch, csc_matrix):
        return pickle.dumps(content, protocol=protocol, fix_imports=True)


def dumps_python2(content: Any) -> bytes:
    """As Python 2 wrote protocol 2: the raw bytes of arrays and all text as 8-bit strings."""
    return _Python2Pickler.dump_bytes(content)


class _Python2Pickler(pickle._Pickler):
    """Writes bytes and text with Python 2's SHORT_BINSTRING and BINSTRING."""

    dispatch: ClassVar[dict] = dict(pickle._Pickler.dispatch)

    @classmethod
    def dump_bytes(cls, content: Any) -> bytes:
        file = io.BytesIO()
        with _importable(Ch, csc_matrix):
            cls(file, protocol=2, fix_imports=True).dump(content)
        return file.getvalue()

    def _save_string(self, value: bytes | str) -> None:
        raw = value if isinstance(value, bytes) else value.encode("latin-1")
        short = len(raw) < 256
        self.write(
            pickle.SHORT_BINSTRING + bytes([len(raw)]) if short else pickle.BINSTRING + len(raw).to_bytes(4, "little")
        )
        self.write(raw)
        self.memoize(value)

    dispatch[bytes] = _save_string
    dispatch[str] = _save_string


def write_pickle(path: Path, content: Any, protocol: int = 2) -> Path:
    path.write_bytes(dumps(content, protocol))
    return path
