"""From a statement's batches in a reader's thread to bytes on the event loop, a few of them at a time.

The reader waits while nobody takes what it has: an export of any size costs the memory of some batches.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import TimeoutError as NotYetError

import duckdb
import pyarrow as pa

from receiver.errors import QueryLimitError
from receiver.questions import RecordTable
from receiver.store.read_exports import record_batches
from receiver.store.read_pool import ReadPool

_LONGEST_S = 3600.0
"""One export holds a reader, and a read transaction, no longer than this."""
_CHUNK_BYTES = 1 << 20
_CHUNKS = 4
_LOOK_S = 0.5
_STALLED_S = 60.0
"""Who takes nothing for so long has gone, whatever its connection says."""


class _Chunks:
    """A file to write to, in a thread, whose bytes are taken from the loop in chunks; blocks while it is full."""

    closed = False

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting = bytearray()
        self.ready: asyncio.Queue[bytes] = asyncio.Queue(_CHUNKS)
        self.abandoned = threading.Event()

    def write(self, data: bytes) -> int:
        self._waiting += data
        if len(self._waiting) >= _CHUNK_BYTES:
            self.flush()
        return len(data)

    def flush(self) -> None:
        chunk, self._waiting = bytes(self._waiting), bytearray()
        if not chunk:
            return None
        put = asyncio.run_coroutine_threadsafe(self.ready.put(chunk), self._loop)
        for _ in range(round(_STALLED_S / _LOOK_S)):
            try:
                return put.result(_LOOK_S)
            except NotYetError:
                if self.abandoned.is_set():
                    break
        put.cancel()
        raise QueryLimitError("nobody takes the records any more", hint="ask again")


async def record_stream(
    pool: ReadPool, table: RecordTable, since_ns: int | None, until_ns: int | None
) -> AsyncGenerator[bytes]:
    """Yield a table's records as one Arrow IPC stream, as they were at one moment.

    Source: https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format

    Raises:
        BusyError: No reader is free.
        QueryLimitError: It took longer than an hour, or more memory than the store may use.
        StoreUnavailableError: The store cannot be read.

    Cancellation: the statement is stopped.
    """
    chunks = _Chunks(asyncio.get_running_loop())

    def work(cursor: duckdb.DuckDBPyConnection) -> None:
        schema, batches = record_batches(cursor, table, since_ns, until_ns)
        with pa.ipc.new_stream(pa.PythonFile(chunks, mode="w"), schema) as stream:
            for batch in batches:
                stream.write_batch(batch)
        chunks.flush()

    running = asyncio.ensure_future(pool.run(work, timeout_s=_LONGEST_S, once=True))
    try:
        while not (running.done() and chunks.ready.empty()):
            taking = asyncio.ensure_future(chunks.ready.get())
            await asyncio.wait({running, taking}, return_when=asyncio.FIRST_COMPLETED)
            if taking.done():
                yield taking.result()
            else:
                taking.cancel()
        await running
    finally:
        chunks.abandoned.set()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
