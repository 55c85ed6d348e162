"""The tables that the library makes of requests: bytes in, Arrow buffers out; the calls run without the GIL."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from receiver.decode.compiled.library import NUMBERS, SIZE, CompiledRequests, address_of, places
from receiver.errors import UnloadableRequestError
from receiver.signals import Signal


@dataclass(frozen=True, slots=True)
class RawTable:
    """Buffers of one table in the order of Arrow's layouts; None for a validity that is not needed."""

    name: str
    rows: int
    buffers: list[pa.Buffer | None]


def tables_of(compiled: CompiledRequests, signal: Signal, bodies: Sequence[bytes]) -> dict[str, RawTable]:
    """Return the tables of requests that ``compiled`` took, by name.

    Raises:
        UnloadableRequestError: One of them was not taken, or their rows exceed what an Arrow column can hold.

    Threads: as for every call of ``compiled``, one at a time.
    """
    library = compiled.library
    addresses, sizes = places(bodies)
    tables = library.otlp_flatten(compiled.keys, NUMBERS[signal], addresses, address_of(sizes), len(bodies))
    if not tables:
        raise UnloadableRequestError("the compiled decoder cannot turn the requests into rows")
    owner = _Tables(library, tables)
    return {table.name: table for table in owner.read()}


class _Tables:
    """Memory of the library; freed when the last Arrow buffer of it is gone."""

    def __init__(self, library: ctypes.CDLL, handle: int) -> None:
        self._library = library
        self._handle = handle
        weakref.finalize(self, library.otlp_tables_free, handle).atexit = False

    def read(self) -> Iterator[RawTable]:
        head = (SIZE * 4)()
        place = 0
        while self._library.otlp_table(self._handle, place, head):
            address, length, rows, count = head
            places = (SIZE * (2 * count))()
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
