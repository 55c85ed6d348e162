"""The shared library beside this file, where it was built; its calls run without the GIL.

What it does is described in ``src/lib.rs``. Nothing here looks into a request. Nor is Arrow or NumPy here: a request is
accepted without them, and a start does not wait until they are loaded.
"""

from __future__ import annotations

import ctypes
import logging
import weakref
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from receiver.decode.compiled.rules import rules_text
from receiver.signals import Signal

_LOG = logging.getLogger(__name__)
_INTERFACE = 5
NUMBERS = {Signal.TRACES: 0, Signal.METRICS: 1, Signal.LOGS: 2}
_POINTER, SIZE = ctypes.c_void_p, ctypes.c_size_t
_SIGNATURES: dict[str, tuple[type | None, list[type]]] = {
    "otlp_interface": (ctypes.c_uint32, []),
    "otlp_keys": (_POINTER, [ctypes.c_char_p, SIZE]),
    "otlp_keys_free": (None, [_POINTER]),
    "otlp_scan": (
        None,
        [_POINTER, ctypes.c_uint8, _POINTER, _POINTER, SIZE, ctypes.c_uint64, _POINTER, _POINTER],
    ),
    "otlp_count": (ctypes.c_uint8, [_POINTER, SIZE, ctypes.c_char_p, SIZE, ctypes.c_uint64]),
    "otlp_flatten": (_POINTER, [_POINTER, ctypes.c_uint8, _POINTER, _POINTER, SIZE]),
    "otlp_table": (ctypes.c_bool, [_POINTER, SIZE, _POINTER]),
    "otlp_buffers": (None, [_POINTER, SIZE, _POINTER]),
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

    records: list[int]
    """Spans, log records or data points; -1 for a request that is not for the library."""
    identifiable: list[bool]


class CompiledRequests:
    """Scans, and knows attribute keys; what was scanned is flattened by ``tables``. Threads: one call at a time."""

    def __init__(self, library: ctypes.CDLL) -> None:
        """Hand the rules about attribute keys over."""
        rules = rules_text()
        self.library = library
        self.keys = library.otlp_keys(rules, len(rules))
        weakref.finalize(self, library.otlp_keys_free, self.keys).atexit = False

    def scan(self, signal: Signal, bodies: Sequence[bytes], *, max_messages: int) -> ScannedRequests:
        """Return which of the requests every step behind can take as they are, and what they hold."""
        if not bodies:
            return ScannedRequests([], [])
        addresses, sizes = places(bodies)
        records, identifiable = array("q", bytes(8 * len(bodies))), array("B", bytes(len(bodies)))
        self.library.otlp_scan(
            self.keys, NUMBERS[signal], addresses, address_of(sizes), len(bodies), max_messages,
            address_of(records), address_of(identifiable),
        )  # fmt: skip
        return ScannedRequests(records.tolist(), list(map(bool, identifiable)))


def places(bodies: Sequence[bytes]) -> tuple[ctypes.Array[ctypes.c_char_p], array[int]]:
    """Return where the bodies lie, and their sizes; the first result keeps them alive."""
    addresses = (ctypes.c_char_p * len(bodies))(*bodies)
    return addresses, array("L", map(len, bodies))  # size_t on POSIX


def address_of(numbers: array[int]) -> int:
    """Return where the numbers lie; they must not grow meanwhile."""
    return numbers.buffer_info()[0]
