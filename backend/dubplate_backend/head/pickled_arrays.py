# SPDX-License-Identifier: Apache-2.0
"""What the objects in a head model's pickle mean: numpy arrays, chumpy objects, scipy.sparse matrices.

`unpickle` records what a file would call; this module knows the few such records that stand for an array and builds
it, checking every size against the bytes that are there.  Sources: numpy's array pickle format (`__reduce__` of
ndarray, dtype and generic), scipy.sparse's compressed layouts, chumpy's `Ch.__getstate__`.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy import ndarray

MAX_ELEMENTS = 64 << 20
"""Of one array.  FLAME's largest, its shape basis, has 6 million."""

_MAX_NESTING = 8
_MAX_DIMENSIONS = 8


class Unreadable(Exception):
    """Completes the sentence 'the file cannot be read: ...'."""


@dataclass
class Call:
    """A call that the file asks for, recorded and not made."""

    meaning: str
    arguments: tuple
    state: Any = None


@dataclass
class Storage:
    """Numbers of a tensor that lie beside the pickle, in a file of PyTorch; `raw` is filled in after reading."""

    dtype: str
    key: str
    count: int
    raw: bytes = b""


def _names(modules: tuple[str, ...], name: str, meaning: str) -> dict[tuple[str, str], str]:
    return {(module, name): meaning for module in modules}


_SPARSE_CLASSES = {
    (module, f"{layout}_{kind}"): f"sparse {layout}"
    for layout in ("csc", "csr", "coo")
    for kind in ("matrix", "array")
    for module in (f"scipy.sparse.{layout}", f"scipy.sparse._{layout}", "scipy.sparse")
}

ALLOWED_GLOBALS: dict[tuple[str, str], str] = {
    **_names(("numpy.core.multiarray", "numpy._core.multiarray"), "_reconstruct", "empty array"),
    **_names(("numpy.core.multiarray", "numpy._core.multiarray"), "scalar", "scalar"),
    **_names(("numpy.core.numeric", "numpy._core.numeric"), "_frombuffer", "array from buffer"),
    **_names(("numpy",), "ndarray", "ndarray"),
    **_names(("numpy",), "dtype", "dtype"),
    **_names(("_codecs",), "encode", "encode"),
    **_names(("copy_reg", "copyreg"), "_reconstructor", "new object"),
    **_names(("__builtin__", "builtins"), "object", "object"),
    **_names(("__builtin__", "builtins"), "set", "set"),
    **_names(("__builtin__", "builtins"), "bytearray", "bytes"),
    **_names(("__builtin__", "builtins"), "bytes", "bytes"),
    **_names(("chumpy.ch", "chumpy"), "Ch", "chumpy"),
    **_SPARSE_CLASSES,
}
"""Every name that a file may mention, and what it means here.  None of them is ever imported."""

TORCH_GLOBALS: dict[tuple[str, str], str] = {
    **ALLOWED_GLOBALS,
    **_names(("torch._utils",), "_rebuild_tensor_v2", "tensor"),
    **_names(("torch._utils",), "_rebuild_parameter", "parameter"),
    **_names(("collections",), "OrderedDict", "ordered dictionary"),
    **{
        (module, f"{name}Storage"): f"storage {dtype}"
        for module in ("torch", "torch.cuda")
        for name, dtype in (
            ("Float", "f4"), ("Double", "f8"), ("Half", "f2"), ("Long", "i8"), ("Int", "i4"),
            ("Short", "i2"), ("Char", "i1"), ("Byte", "u1"), ("Bool", "b1"),
        )
    },
}  # fmt: skip
"""What a file of `torch.save` may mention besides."""

_DTYPES = ("b1", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8")


def to_array(value: Any, depth: int = 0) -> ndarray | str | int | float | None:
    """The array, text or number that `value` stands for; None for anything else.  Raises Unreadable where broken."""
    if depth > _MAX_NESTING:
        raise Unreadable("its objects are nested too deeply")
    if isinstance(value, str | int | float):
        return value
    if not isinstance(value, Call):
        return None
    meaning, state = value.meaning, value.state
    if meaning == "new object" and value.arguments:  # protocols 0 and 1: _reconstructor(class, object, None)
        meaning = value.arguments[0]
    if meaning == "empty array":
        return _array_from_state(state)
    if meaning == "array from buffer":
        return _array_from_buffer(value.arguments)
    if meaning == "scalar":
        return _scalar(value.arguments)
    if meaning == "tensor":
        return _tensor(value.arguments)
    if meaning == "parameter":
        return to_array(value.arguments[0], depth + 1) if value.arguments else None
    if meaning == "chumpy":
        return to_array(state.get("x"), depth + 1) if isinstance(state, dict) else None
    if isinstance(meaning, str) and meaning.startswith("sparse "):
        return _dense(meaning.removeprefix("sparse "), state)
    return None


def object_in_array(value: Any) -> Any:
    """The one object in a recorded array of objects, as numpy.save pickles a dictionary.   Raises Unreadable."""
    meaning, state = (value.meaning, value.state) if isinstance(value, Call) else (None, None)
    if meaning != "empty array" or not isinstance(state, tuple) or len(state) not in (4, 5):
        raise Unreadable("it holds no array of objects")
    items = state[-1]
    if not isinstance(items, list) or len(items) != 1:
        raise Unreadable("it holds other than one object")
    return items[0]


def _array_from_state(state: Any) -> ndarray:
    """ndarray.__setstate__: (version,) shape, dtype, Fortran order, raw bytes."""
    if not isinstance(state, tuple) or len(state) not in (4, 5):
        raise Unreadable("an array in it has no content")
    shape, dtype, fortran, raw = state[-4:]
    return _array(_bytes(raw), _dtype(dtype), shape, "F" if fortran is True or fortran == 1 else "C")


def _array_from_buffer(arguments: tuple) -> ndarray:
    """numpy.core.numeric._frombuffer(buffer, dtype, shape, order)."""
    if len(arguments) != 4:
        raise Unreadable("an array in it is broken")
    raw, dtype, shape, order = arguments
    return _array(_bytes(raw), _dtype(dtype), shape, "F" if order == "F" else "C")


def _scalar(arguments: tuple) -> int | float:
    if len(arguments) != 2:
        raise Unreadable("a number in it is broken")
    return _array(_bytes(arguments[1]), _dtype(arguments[0]), (), "C").item()


def _tensor(arguments: tuple) -> ndarray:
    """torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)."""
    if len(arguments) < 4 or not isinstance(arguments[0], Storage):
        raise Unreadable("a tensor in it has no storage")
    storage, offset, size, stride = arguments[:4]
    plain = isinstance(size, tuple) and isinstance(stride, tuple) and len(size) == len(stride) <= _MAX_DIMENSIONS
    numbers = (offset, *size, *stride) if plain else ()
    if not numbers or not all(type(number) is int and 0 <= number <= MAX_ELEMENTS for number in numbers):
        raise Unreadable("a tensor in it has a broken shape")
    flat = _array(storage.raw, np.dtype(storage.dtype).newbyteorder("<"), (storage.count,), "C")
    if prod(size) == 0:
        return np.zeros(size, flat.dtype)
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    # A stride of nought names one number many times over: a file of a few bytes could ask for all of memory.
    if last >= len(flat) or prod(size) > len(flat):
        raise Unreadable("a tensor in it reaches beyond its storage")
    strides = tuple(step * flat.itemsize for step in stride)
    return np.lib.stride_tricks.as_strided(flat[offset:], size, strides).copy()


def _array(raw: bytes, dtype: np.dtype, shape: Any, order: str) -> ndarray:
    if not isinstance(shape, tuple) or len(shape) > _MAX_DIMENSIONS:
        raise Unreadable("an array in it has a broken shape")
    if not all(type(length) is int and 0 <= length <= MAX_ELEMENTS for length in shape):
        raise Unreadable("an array in it has a broken shape")
    if prod(shape) * dtype.itemsize != len(raw):
        raise Unreadable(f"an array of shape {shape} comes with {len(raw)} bytes")
    array = np.frombuffer(raw, dtype=dtype).reshape(shape, order=order)
    return array.astype(dtype.newbyteorder("="))


def _dtype(value: Any) -> np.dtype:
    """numpy.dtype(code, align, copy) and its state (version, byte order, ...): plain numbers only."""
    if not isinstance(value, Call) or value.meaning != "dtype" or not value.arguments:
        raise Unreadable("an array in it has no element type")
    code = value.arguments[0]
    if code not in _DTYPES:
        raise Unreadable(f"an array in it holds elements of type {str(code)[:20]!r}, and not plain numbers")
    state = value.state
    order = state[1] if isinstance(state, tuple) and len(state) > 1 else "="
    if order not in ("<", ">", "=", "|"):
        raise Unreadable("an array in it has an unknown byte order")
    return np.dtype(code).newbyteorder(order)


def _bytes(value: Any) -> bytes:
    """Raw bytes, as Python 3 writes them, as Python 2 did (text in latin-1), or as protocols 0 to 2 of Python 3 do."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, Call) and value.meaning == "bytes":  # bytes() or bytearray(content)
        value = value.arguments[0] if value.arguments else b""
        if isinstance(value, bytes):
            return value
    if isinstance(value, Call) and value.meaning == "encode" and len(value.arguments) == 2:
        text, encoding = value.arguments
        if encoding in ("latin1", "latin-1") and isinstance(text, str):
            value = text
    if not isinstance(value, str):
        raise Unreadable("an array in it has no bytes")
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError as error:
        raise Unreadable("an array in it has broken bytes") from error


def _dense(layout: str, state: Any) -> ndarray:
    """A scipy.sparse matrix made dense; entries given twice add up, as scipy's do."""
    if not isinstance(state, dict):
        raise Unreadable("a sparse matrix in it has no content")
    rows, columns = _sparse_shape(state.get("_shape", state.get("shape")))
    data = _vector(state, "data")
    if layout == "coo":
        row, column = _coordinates(state)
    else:
        major, minor = _indices(state, "indptr"), _indices(state, "indices")
        if len(major) != (columns if layout == "csc" else rows) + 1 or major[0] != 0 or (np.diff(major) < 0).any():
            raise Unreadable("a sparse matrix in it has broken offsets")
        if major[-1] != len(minor):
            raise Unreadable("a sparse matrix in it has broken offsets")
        outer = np.repeat(np.arange(len(major) - 1), np.diff(major))
        row, column = (minor, outer) if layout == "csc" else (outer, minor)
    if not len(row) == len(column) == len(data):
        raise Unreadable("a sparse matrix in it has parts of different lengths")
    if len(data) and (min(row.min(), column.min()) < 0 or row.max() >= rows or column.max() >= columns):
        raise Unreadable("a sparse matrix in it has entries outside its shape")
    dense = np.zeros((rows, columns), dtype=data.dtype)
    np.add.at(dense, (row, column), data)
    return dense


def _sparse_shape(shape: Any) -> tuple[int, int]:
    plain = isinstance(shape, tuple) and len(shape) == 2
    lengths = tuple(to_array(length) for length in shape) if plain else ()
    if not lengths or not all(type(length) is int and length >= 0 for length in lengths):
        raise Unreadable("a sparse matrix in it has a broken shape")
    if prod(lengths) > MAX_ELEMENTS:
        raise Unreadable(f"a sparse matrix in it is {lengths[0]} x {lengths[1]}, which no head model needs")
    return lengths


def _coordinates(state: dict) -> tuple[ndarray, ndarray]:
    """`row` and `col`, or newer scipy's `coords`."""
    coords = state.get("coords")
    if isinstance(coords, tuple) and len(coords) == 2:
        state = {"row": coords[0], "col": coords[1]}
    return _indices(state, "row"), _indices(state, "col")


def _vector(state: dict, name: str) -> ndarray:
    array = to_array(state.get(name))
    if not isinstance(array, ndarray) or array.ndim != 1:
        raise Unreadable(f"a sparse matrix in it has no {name}")
    return array


def _indices(state: dict, name: str) -> ndarray:
    """int64, so that differences of unsigned numbers cannot wrap into huge ones."""
    array = _vector(state, name)
    if array.dtype.kind not in "iu":
        raise Unreadable(f"a sparse matrix in it has {name} that are no integers")
    return array.astype(np.int64)
