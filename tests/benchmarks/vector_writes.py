"""What the embedding backlog asks of the store: the next texts without a vector, and vectors written.

    python -m tests.benchmarks.vector_writes [--texts 300000] [--rounds 15]

A new file with that many texts, a third of which have a vector; CPU time of one thread, medians.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pyarrow as pa

from receiver.config import EmbedConfig, Settings
from receiver.decode.identifiers import uuids
from receiver.ports import LoadBatch, TextVectors
from receiver.signals import Signal
from receiver.store.duckdb_store import DuckDbStore
from receiver.store.duckdb_writer import DuckDbWriter
from receiver.store.read_texts import count_texts, pending_texts

_DIMENSION = 384
_MODEL = "benchmark"
_WRITES = (32, 128)
_PAGE = 20_000


def _texts(count: int) -> pa.Table:
    words = [f"request {number} of a checkout failed: card {uuid4()} was declined" for number in range(count)]
    ids = b"".join(uuid4().bytes for _ in range(count))
    return pa.table({"text_id": uuids(ids, count), "text": words, "model_text": words})


def _vectors(ids: list[UUID], chance: np.random.Generator) -> list[TextVectors]:
    return [TextVectors(each, chance.random((1, _DIMENSION), dtype=np.float32)) for each in ids]


def _write_next(writer: DuckDbWriter, batches: Iterator[list[TextVectors]]) -> None:
    writer.write_embeddings(next(batches), model=_MODEL)


def _median_ms(work: Callable[[], object], rounds: int) -> float:
    took = []
    for _ in range(rounds):
        began = time.thread_time()
        work()
        took.append(time.thread_time() - began)
    return statistics.median(took) * 1e3


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--texts", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    chance, fetched = np.random.default_rng(1), EmbedConfig().queue_texts
    with tempfile.TemporaryDirectory() as name:
        store = DuckDbStore.open(
            Path(name, "telemetry.duckdb"), Settings().store, temp_directory=Path(name, "tmp")
        )
        with closing(store), closing(DuckDbWriter(store)) as writer, closing(store.cursor()) as cursor:
            table = _texts(options.texts)
            writer.load(LoadBatch(uuid4(), 1, [{"texts": table}], {Signal.LOGS: 0}))
            ids: list[UUID] = table["text_id"].to_pylist()
            done = options.texts // 3
            for at in range(0, done, _PAGE):
                writer.write_embeddings(_vectors(ids[at : min(at + _PAGE, done)], chance), model=_MODEL)
            writer.checkpoint()
            left = iter(ids[done:])
            print(f"{options.texts:,} texts, {done:,} with a vector; CPU ms")
            print(
                f"  the next {fetched}: {_median_ms(lambda: pending_texts(cursor, _MODEL, fetched), options.rounds):.1f}"
            )
            print(f"  both counts: {_median_ms(lambda: count_texts(cursor, _MODEL), options.rounds):.1f}")
            for size in _WRITES:
                batches = [_vectors([next(left) for _ in range(size)], chance) for _ in range(options.rounds)]
                took = _median_ms(partial(_write_next, writer, iter(batches)), options.rounds)
                print(f"  vectors of {size} texts written: {took:.1f}, a text {took / size:.2f}")


if __name__ == "__main__":
    main()
