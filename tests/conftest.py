"""Guards around every test: the loop never blocks, nothing outlives its test."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Iterator

import duckdb
import grpc.aio
import pytest
from blockbuster import blockbuster_ctx
from blockbuster.blockbuster import BlockBusterFunction
from hypothesis import Phase, settings

_DUCKDB_CALLS = ("execute", "executemany", "fetchall", "fetchone", "commit", "close")
_MAY_BLOCK = {
    # Before anything listens and after nothing does, the loop has nobody to keep waiting.
    "receiver/app/receiver.py": ("__init__", "stop"),
    # A generator for worker threads, which a test may go through wherever it likes.
    "receiver/store/duckdb_reader.py": ("vectors",),
}
_ENDING_S = 20.0
"""How long a thread that was told to end may take before it counts as left behind."""

# `pytest --hypothesis-profile=first-finding` stops at the first failing example instead of shrinking it.
settings.register_profile("first-finding", phases=[Phase.explicit, Phase.reuse, Phase.generate])


@pytest.fixture(scope="session", autouse=True)
def grpc_aio_stays_up() -> Iterator[None]:
    """Keep gRPC's poller: with its last channel it would end in whatever test the garbage collector runs, and block."""
    grpc.aio.init_grpc_aio()
    yield
    grpc.aio.shutdown_grpc_aio()


@pytest.fixture(autouse=True)
def loop_never_blocks() -> Iterator[None]:
    """Fail a test in which the receiver calls a blocking function, DuckDB's included, on the event loop's thread.

    What a test itself does there, to prepare or to look, holds up nobody.
    """
    with blockbuster_ctx(scanned_modules="receiver") as known:
        extra = {
            name: BlockBusterFunction(duckdb.DuckDBPyConnection, name, scanned_modules="receiver")
            for name in _DUCKDB_CALLS
        }
        for function in extra.values():
            function.activate()
        for function in (*known.functions.values(), *extra.values()):
            for file, names in _MAY_BLOCK.items():
                function.can_block_in(file, names)
        try:
            yield
        finally:
            for function in extra.values():
                function.deactivate()


@pytest.fixture(autouse=True)
async def nothing_outlives_the_test() -> AsyncIterator[None]:
    """Fail a test that leaves an asyncio task or a thread behind.

    Only the threads of the loop itself may stay: its pool (``asyncio_*``), which ends with it, and the one with
    which gRPC polls for all of the process's channels. What was told to end may take a moment for it.
    """
    threads, tasks = set(threading.enumerate()), asyncio.all_tasks()
    yield
    deadline = time.monotonic() + _ENDING_S
    while (left := _left(threads, tasks)) and time.monotonic() < deadline:
        gc.collect()  # an executor that nobody closed ends with its last reference
        await asyncio.sleep(0.01)
    assert not left, f"left behind: {left}"


def _left(threads: set[threading.Thread], tasks: set[asyncio.Task[object]]) -> list[object]:
    running: list[object] = [
        t for t in asyncio.all_tasks() - tasks - {asyncio.current_task()} if not t.done()
    ]
    return running + [t for t in set(threading.enumerate()) - threads if _counts(t)]


def _counts(thread: threading.Thread) -> bool:
    of_the_loop = thread.name.startswith("asyncio_") or thread.name.endswith("(_poll_wrapper)")
    return thread.is_alive() and not of_the_loop
