"""The shared library beside this file, where it was built; its calls run without the GIL.

What it does is described in ``src/lib.rs``. Nothing here looks into a request: bytes go in, Arrow buffers come out.
"""

from __future__ import annotations

import ctypes
import logging
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from receiver.decode.compiled.rules import rules_text
from receiver.errors import UnloadableRequestError
from receiver.signals import Signal

_LOG = logging.getLogger(__name__)
_INTERFACE = 4
_NUMBERS = {Signal.TRACES: 0, Signal.METRICS: 1, Signal.LOGS: 2}
_POINTER, _SIZE = ctypes.c_void_p, ctypes.c_size_t
_SIGNATURES: dict[str, tuple[type | None, list[type]]] = {
    "otlp_interface": (ctypes.c_uint32, []),
    "otlp_keys": (_POINTER, [ctypes.c_char_p, _SIZE]),
    "otlp_keys_free": (None, [_POINTER]),
    "otlp_scan": (
        None,
        [_POINTER, ctypes.c_uint8, _POINTER, _POINTER, _SIZE, ctypes.c_uint64, _POINTER, _POINTER],
    ),
    "otlp_count": (ctypes.c_uint8, [_POINTER, _SIZE, ctypes.c_char_p, _SIZE, ctypes.c_uint64]),
    "otlp_flatten": (_POINTER, [_POINTER, ctypes.c_uint8, _POINTER, _POINTER, _SIZE]),
    "otlp_table": (ctypes.c_bool, [_POINTER, _SIZE, _POINTER]),
    "otlp_buffers": (None, [_POINTER, _SIZE, _POINTER]),
    "otlp_tables_free": (None, [_POINTER]),
}


@cache
def compiled_library() -> ctypes.CDLL | None:
    """Return the library; None where it was not built, or belongs to another version of this package."""
    for path in sorted(Path(__file__).parent.glob("*otlp_columns*.so")):
        try:
            library = ctypes.CDLL(str(path))
            for name, (result, arguments) in _SIGNATURES.items():
                function = getattr(library, name)
                function.restype, function.argtypes = result, arguments
        except (OSError, AttributeError) as error:
            _LOG.warning("the compiled decoder cannot be used: %s", error)
            continue
        if library.otlp_interface() == _INTERFACE:
            return library
        _LOG.warning("the compiled decoder %s is of another version; install the package again", path.name)
    return None


@dataclass(frozen=True, slots=True)
class ScannedRequests:
    """What the library found, by the requests' places."""

    records: NDArray[np.int64]
    """Spans, log records or data points; -1 for a request that is not for the library."""
    identifiable: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RawTable:
    """Buffers of one table in the order of Arrow's layouts; None for a validity that is not needed."""

    name: str
    rows: int
    buffers: list[pa.Buffer | None]


class CompiledRequests:
    """Scans and flattens with what it learned of attribute keys. Threads: one call at a time."""

    def __init__(self, library: ctypes.CDLL) -> None:
        """Hand the rules about attribute keys over."""
        rules = rules_text()
        self._library = library
        self._keys = library.otlp_keys(rules, len(rules))
        weakref.finalize(self, library.otlp_keys_free, self._keys).atexit = False

    def scan(self, signal: Signal, bodies: Sequence[bytes], *, max_messages: int) -> ScannedRequests:
        """Return which of the requests every step behind can take as they are, and what they hold."""
        addresses, sizes = _places(bodies)
        records = np.empty(len(bodies), dtype=np.int64)
        identifiable = np.empty(len(bodies), dtype=np.bool_)
        self._library.otlp_scan(
            self._keys, _NUMBERS[signal], addresses, sizes.ctypes.data, len(bodies), max_messages,
            records.ctypes.data, identifiable.ctypes.data,
        )  # fmt: skip
        return ScannedRequests(records, identifiable)

    def flatten(self, signal: Signal, bodies: Sequence[bytes]) -> dict[str, RawTable]:
        """Return the tables of requests that :meth:`scan` took, by name.

        Raises:
            UnloadableRequestError: One of them was not taken, or their rows exceed what an Arrow column can hold.
        """
        addresses, sizes = _places(bodies)
        tables = self._library.otlp_flatten(
            self._keys, _NUMBERS[signal], addresses, sizes.ctypes.data, len(bodies)
        )
        if not tables:
            raise UnloadableRequestError("the compiled decoder cannot turn the requests into rows")
        owner = _Tables(self._library, tables)
        return {table.name: table for table in owner.read()}


class _Tables:
    """Memory of the library; freed when the last Arrow buffer of it is gone."""

    def __init__(self, library: ctypes.CDLL, handle: int) -> None:
        self._library = library
        self._handle = handle
        weakref.finalize(self, library.otlp_tables_free, handle).atexit = False

    def read(self) -> Iterator[RawTable]:
        head = (_SIZE * 4)()
        place = 0
        while self._library.otlp_table(self._handle, place, head):
            address, length, rows, count = head
            places = (_SIZE * (2 * count))()
            self._library.otlp_buffers(self._handle, place, places)
            pairs = zip(places[::2], places[1::2], strict=True)
            yield RawTable(
                ctypes.string_at(address, length).decode(),
                rows,
                [self._buffer(at, size) for at, size in pairs],
            )
            place += 1

    def _buffer(self, address: int, size: int) -> pa.Buffer | None:
        if not address:
            return None
        return pa.foreign_buffer(address, size, base=self) if size else pa.py_buffer(b"")


def _places(bodies: Sequence[bytes]) -> tuple[ctypes.Array[ctypes.c_char_p], NDArray[np.uintp]]:
    """Return where the bodies lie; the first result keeps them alive."""
    addresses = (ctypes.c_char_p * len(bodies))(*bodies)
    return addresses, np.fromiter(map(len, bodies), dtype=np.uintp, count=len(bodies))
