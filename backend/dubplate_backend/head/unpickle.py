# SPDX-License-Identifier: Apache-2.0
"""Arrays out of other people's pickles, without running anything.

FLAME ships as pickles of numpy, chumpy and scipy.sparse objects; results of other tools are dictionaries saved as
object arrays.  `pickle_machine` reads them and there is nothing to fall back to.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dubplate_backend.head.pickle_machine import Refused, interpret
from dubplate_backend.head.pickled_arrays import Unreadable, object_in_array, to_array
from dubplate_shared.errors import InvalidInput

MAX_FILE_BYTES = 512 << 20
"""FLAME 2020 and 2023 are about 50 MB; with every number written as text, still below this."""

HEAD_MODEL = "a head model"

_MAX_DEPTH = 4


class UnsafePickle(InvalidInput):
    """The file asks for something that a head model never needs."""


def read_pickled_arrays(path: Path) -> dict[str, Any]:
    """The dictionary in a pickle, its arrays rebuilt.

    Values that are numpy arrays, chumpy objects (their `x`) or scipy.sparse matrices (made dense) come as arrays;
    text and numbers as they are; anything else is left out.
    Raises UnsafePickle where the file names anything but these, InvalidInput where it is broken or too large.
    """
    content = read_limited(path, HEAD_MODEL)
    with told_plainly(path, HEAD_MODEL):
        return plain_values(interpret(content)[0])


def read_pickled_npy(path: Path, what: str = "a dictionary of arrays", limit: int = MAX_FILE_BYTES) -> dict[str, Any]:
    """The dictionary that `numpy.save` wrote as an object array, read as a pickle is.

    `what`: what the file should be, for the message.   `limit`: bytes of the file and of its arrays.
    Raises UnsafePickle, InvalidInput.
    """
    content = read_limited(path, what, limit)
    with told_plainly(path, what):
        file = io.BytesIO(content)
        try:
            version = np.lib.format.read_magic(file)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            _, _, dtype = header(file)
        except (ValueError, EOFError) as error:
            raise Unreadable("it is no .npy file of numpy") from error
        if not dtype.hasobject:
            raise Unreadable("it holds one array and no dictionary")
        return plain_values(object_in_array(interpret(content, file.tell())[0]), nested=True, limit=limit)


def read_limited(path: Path, what: str, limit: int = MAX_FILE_BYTES) -> bytes:
    """The bytes of a file that is no larger than any of its kind.   Raises InvalidInput."""
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= limit else b""
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.", hint="Check the path.") from error
    if size > limit:
        raise InvalidInput(
            f"{path.name} is larger than {limit >> 20} MB, which {what} never is.", hint="Is this the right file?"
        )
    return content


@contextmanager
def told_plainly(path: Path, what: str) -> Iterator[None]:
    """Say of a file what is wrong with it.   `what`: what it should be.   Raises UnsafePickle, InvalidInput."""
    try:
        yield
    except Refused as error:
        raise UnsafePickle(
            f"{path.name} was refused: it {error}.  Nothing in it was run.",
            hint=f"Fetch {what} again from its makers, and do not open this file with other programs.",
        ) from error
    except Unreadable as error:
        raise InvalidInput(
            f"{path.name} cannot be read as {what}: {error}.", hint="The file may be broken: fetch or make it again."
        ) from error


def plain_values(content: Any, *, nested: bool = False, limit: int = MAX_FILE_BYTES) -> dict[str, Any]:
    """The arrays, texts and numbers of a dictionary, and of dictionaries in it where `nested`.   Raises Unreadable."""
    return _Arrays(nested, limit).of(content)


class _Arrays:
    """Builds the arrays of one file and counts their bytes."""

    def __init__(self, nested: bool, limit: int) -> None:
        self.nested = nested
        self.limit = limit
        self.total = 0

    def of(self, content: Any, depth: int = 0) -> dict[str, Any]:
        if not isinstance(content, dict):
            raise Unreadable("it holds no dictionary of arrays")
        if depth > _MAX_DEPTH:
            raise Unreadable("its dictionaries are nested too deeply")
        arrays: dict[str, Any] = {}
        for key, value in content.items():
            if not isinstance(key, str):
                continue
            if isinstance(value, dict) and self.nested:
                arrays[key] = self.of(value, depth + 1)
                continue
            converted = to_array(value)
            if converted is None:
                continue
            # A file can name one stretch of its bytes many times over.
            self.total += getattr(converted, "nbytes", 0)
            if self.total > self.limit:
                raise Unreadable(f"its arrays come to more than {self.limit >> 20} MB")
            arrays[key] = converted
        return arrays
