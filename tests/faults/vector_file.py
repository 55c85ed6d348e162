"""Fault: the file of the vector index is missing, older than the store, cut, or full of something else.

It is only a cache: whatever it holds, after a start exactly the vectors of the store are searched. No model is
needed for that, so the store and the index are real and the vectors are random.
"""

from __future__ import annotations

import logging
import random
import time
from contextlib import closing
from pathlib import Path
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from receiver.app.vectors import fill_index
from receiver.config import QueryConfig, StoreConfig
from receiver.embed.renewed_index import RenewedIndex
from receiver.ports import TextVectors
from receiver.store.duckdb_reader import DuckDbReader
from receiver.store.duckdb_store import DuckDbStore
from receiver.store.duckdb_writer import DuckDbWriter
from receiver.store.sql_sandbox import SqlLimits
from tests.faults.fault import FaultReport

_DIMENSION = 32
_MODEL = "random"
_TEXTS = 50
_DAMAGES = ("older", "missing", "cut", "a flipped bit", "other bytes")
Known = dict[UUID, NDArray[np.float32]]


class VectorFile:
    """Implements :class:`tests.faults.fault.Fault`."""

    name = "vector index file older than the store, missing, cut or damaged"
    short_rounds = 5
    long_rounds = 100

    def run(self, rounds: int, folder: Path, chance: random.Random) -> FaultReport:
        """Do it and report; see the protocol."""
        report = FaultReport()
        numbers = np.random.default_rng(chance.randrange(2**32))
        query = QueryConfig()
        store = DuckDbStore.open(folder / "t.duckdb", StoreConfig(), temp_directory=folder / "tmp")
        with closing(store), closing(DuckDbWriter(store)) as writer:
            reader = DuckDbReader(
                store.cursor, readers=1, timeout_s=query.timeout_s, sql_limits=SqlLimits.from_config(query)
            )
            with closing(reader):
                known: Known = {}
                _add_texts(writer, store, known, numbers)
                for number in range(rounds):
                    index = _index(folder)
                    fill_index(index, reader, _MODEL, stand_in=None)
                    index.save()
                    gone = _change_store(writer, store, known, numbers, chance)
                    damage = _DAMAGES[number % len(_DAMAGES)]
                    _damage(folder / "index", damage, chance)
                    said = _Said()
                    started = time.monotonic()
                    with said:
                        index = _index(folder)
                        fill_index(index, reader, _MODEL, stand_in=None)
                    report.healthy_s.append(time.monotonic() - started)
                    report.tried += 1
                    _check_words(said.text, damage, new=_TEXTS, gone=gone, known=len(known))
                    report.compare(known.keys(), index.text_ids())
                    for text_id, vector in chance.sample(list(known.items()), _TEXTS // 2):
                        assert index.search(vector, 1)[0][0] == text_id, "an old vector is searched"
        return report


class _Said(logging.Handler):
    """Collects what the receiver logs inside a ``with`` block."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.text = ""
        self._loggers = [logging.getLogger(name) for name in ("receiver.app.vectors", "receiver.embed.index")]

    def emit(self, record: logging.LogRecord) -> None:
        self.text += f"{record.getMessage()}\n"

    def __enter__(self) -> None:
        self._levels = [logger.level for logger in self._loggers]
        for logger in self._loggers:
            logger.setLevel(logging.INFO)
            logger.addHandler(self)

    def __exit__(self, *_: object) -> None:
        for logger, level in zip(self._loggers, self._levels, strict=True):
            logger.setLevel(level)
            logger.removeHandler(self)


def _index(folder: Path) -> RenewedIndex:
    return RenewedIndex(folder / "index", _DIMENSION, _MODEL)


def _vectors(numbers: np.random.Generator, count: int) -> NDArray[np.float32]:
    found = numbers.standard_normal((count, _DIMENSION)).astype(np.float32)
    unit: NDArray[np.float32] = found / np.linalg.norm(found, axis=1, keepdims=True)
    return unit


def _add_texts(writer: DuckDbWriter, store: DuckDbStore, known: Known, numbers: np.random.Generator) -> None:
    new = {UUID(bytes=numbers.bytes(16)): vector for vector in _vectors(numbers, _TEXTS)}
    with store.cursor() as cursor:
        cursor.execute(
            "INSERT INTO texts SELECT unnest(?)::UUID, 'text', 'text'", [[str(each) for each in new]]
        )
    writer.write_embeddings(
        [TextVectors(text_id, vector[None]) for text_id, vector in new.items()], model=_MODEL
    )
    known |= new


def _change_store(
    writer: DuckDbWriter,
    store: DuckDbStore,
    known: Known,
    numbers: np.random.Generator,
    chance: random.Random,
) -> int:
    """Take some texts out of the store and put others in; return how many went."""
    gone = chance.sample(list(known), _TEXTS // 2)
    with store.cursor() as cursor:
        for table in ("embeddings", "texts"):
            cursor.execute(
                f"DELETE FROM {table} WHERE text_id IN (SELECT unnest(?)::UUID)",
                [[str(each) for each in gone]],
            )
    for text_id in gone:
        del known[text_id]
    _add_texts(writer, store, known, numbers)
    return len(gone)


def _damage(file: Path, damage: str, chance: random.Random) -> None:
    content = bytearray(file.read_bytes())
    at = chance.randrange(len(content))
    match damage:
        case "older":
            return  # the store has moved on meanwhile
        case "missing":
            file.unlink()
        case "cut":
            file.write_bytes(content[:at])
        case "a flipped bit":
            content[at] ^= 1 << chance.randrange(8)
            file.write_bytes(content)
        case _:
            file.write_bytes(chance.randbytes(len(content)))


def _check_words(text: str, damage: str, *, new: int, gone: int, known: int) -> None:
    refused = "is not used" in text
    assert refused == (damage not in {"older", "missing"}), f"{damage}: {text}"
    added, removed = (new, gone) if damage == "older" else (known, 0)
    assert f"vector index: {added} texts added from the store, {removed} removed" in text, f"{damage}: {text}"
