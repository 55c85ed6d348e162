"""Fills a data directory with spans, quickly, as if a receiver had loaded them.

    python -m tests.benchmarks.store_filler --spans 10000000 --texts 100000 FOLDER

One stretch of traffic (:mod:`tests.benchmarks.span_shapes`) is decoded and flattened by the receiver's own decoder.
Each copy of its rows gets fresh ids, later times and other subjects, with the texts and their ids that the loader
would have made of them, and goes through the receiver's own spool and writer: position, totals and rows agree.

Vectors: the real model embeds ``--embedded`` texts, spread over all; each of the others gets one that lies between a
real one of the same kind of span and one of that one's nearest, with some noise. So distances are about as real as
that can be made in a minute, and no meaning should be read into which of the others is found. ``--embedded 100000``
leaves nothing to that and takes as long as the model does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from receiver.config import EmbedConfig, Settings
from receiver.decode.decoder import ColumnDecoder
from receiver.decode.flattener import ColumnFlattener
from receiver.decode.identifiers import uuids
from receiver.decode.nested_values import NestedValues
from receiver.decode.text_form import model_text, text_id
from receiver.embed.pool import EmbedderPool
from receiver.ports import ExportRequest, LoadBatch, Outcome, SpoolEntry, TextVectors
from receiver.signals import Signal
from receiver.spool.sqlite_spool import SqliteSpool
from receiver.store.duckdb_store import DuckDbStore
from receiver.store.duckdb_writer import DuckDbWriter
from receiver.times import NS
from tests.benchmarks.span_shapes import SUBJECT, subjects, template_requests
from tests.support.table_parts import rows_of

_TEMPLATE_ROWS = 122_880
_BATCH_ROWS = 122_880
_CHECKPOINT_BATCHES = 8
_LAST_NS = 1_790_000_000 * NS
"""When the newest span ends, about; fixed, so that a fill can be repeated."""
_NOISE = 0.2
_NEIGHBOURS = 12
_VECTOR_ROWS = 4096
_NEW_SHARE = 0.3
"""Share of the subjects that are taken in turn rather than by frequency: with them all texts come up."""


@dataclass(frozen=True)
class _Vocabulary:
    """The distinct texts: each kind of line in the template, with each of its subjects."""

    first: NDArray[np.int64]
    """For each kind of line, where its texts begin among all."""
    counts: NDArray[np.int64]
    """For each kind of line, how many texts it has: 1 where no subject is in it."""
    ids: NDArray[np.void]
    texts: list[str]
    forms: list[str]


class Filler:
    """Makes copies of one stretch of traffic. Threads: one."""

    def __init__(self, *, spans: int, texts: int, hours: float, seed: int = 1) -> None:
        """Decode the template and make the texts.

        Args:
            spans: In the whole store; the copies are spread over ``hours``.
            texts: Distinct texts to aim at.
            hours: From the first span to the last.
            seed: The same numbers give the same store.
        """
        self._random = np.random.default_rng(seed)
        rows = min(_TEMPLATE_ROWS, spans)
        self._step_ns = int(hours * 3600 * NS * rows / spans)
        begin_ns = _LAST_NS - int(hours * 3600 * NS)
        requests = template_requests(rows, begin_ns=begin_ns, stretch_ns=self._step_ns, seed=seed)
        self._tables = _flattened(requests)
        self._spans = self._tables.pop("spans").combine_chunks()
        trace_ids = _bytes(self._spans["trace_id"], 16)
        _, self._trace_of = np.unique(trace_ids, return_inverse=True)
        ids = self._spans["span_id"].to_numpy()
        order = np.argsort(ids)
        parents = self._spans["parent_span_id"].fill_null(0).to_numpy()
        self._parent_of = order[np.searchsorted(ids, parents, sorter=order).clip(max=len(ids) - 1)]
        self._is_root: NDArray[np.bool_] = parents == 0
        text_rows = self._tables.pop("texts")
        known = {each: at for at, each in enumerate(_bytes(text_rows["text_id"], 16).tolist())}
        self._kind_of = np.array([known[each] for each in _bytes(self._spans["text_id"], 16).tolist()])
        self._subjects = pa.array(list(subjects()), pa.string())
        self._vocabulary = self._made_vocabulary(text_rows["text"].to_pylist(), texts)
        halves = pc.split_pattern(self._spans["attributes"].combine_chunks(), SUBJECT, max_splits=1)
        self._before = pc.list_element(halves, 0)
        self._has_subject = pc.list_value_length(halves).to_numpy() == 2
        padded = pa.ListArray.from_arrays(halves.offsets, halves.values)
        after = np.full(len(padded), None, dtype=object)
        ends = halves.offsets.to_numpy()[1:] - 1
        after[self._has_subject] = halves.values.take(pa.array(ends[self._has_subject])).to_numpy(
            zero_copy_only=False
        )
        self._after = pa.array(after, pa.string()).fill_null("")
        self._turn = 0
        self.written = np.zeros(len(self._vocabulary.texts), dtype=bool)
        """Which texts have come up in a copy."""

    def copy(self, number: int, rows: int) -> dict[str, pa.Table]:
        """Return the tables of copy ``number``, at most ``rows`` spans of it."""
        count, spans = min(rows, len(self._spans)), self._spans
        shift = np.uint64(number * self._step_ns)
        traces = self._random.bytes(16 * (int(self._trace_of.max()) + 1))
        trace_ids = np.frombuffer(traces, dtype="V16")[self._trace_of]
        span_ids = self._random.integers(1, 2**64 - 1, len(spans), dtype=np.uint64)
        parents = pa.array(span_ids[self._parent_of], mask=self._is_root)
        subject = self._chosen_subjects()
        chosen = self._vocabulary.first[self._kind_of] + np.where(self._has_subject, subject, 0)
        words = pc.if_else(pa.array(self._has_subject), self._subjects.take(pa.array(subject)), "")
        changed: dict[str, Any] = {
            "trace_id": uuids(trace_ids.tobytes(), len(spans)),
            "span_id": pa.array(span_ids),
            "parent_span_id": parents,
            "start_time_unix_nano": pa.array(spans["start_time_unix_nano"].to_numpy() + shift),
            "end_time_unix_nano": pa.array(spans["end_time_unix_nano"].to_numpy() + shift),
            "attributes": pc.binary_join_element_wise(self._before, words, self._after, ""),
            "events": self._later_events(shift),
            "text_id": uuids(self._vocabulary.ids[chosen].tobytes(), len(spans)),
        }
        names = spans.column_names
        table = pa.table({name: changed.get(name, spans[name]) for name in names}).slice(0, count)
        return {**self._dimensions(number), "spans": table, **self._new_texts(chosen[:count])}

    @property
    def texts(self) -> tuple[list[UUID], list[str], NDArray[np.int64]]:
        """Return the texts that have come up: ids, what the model reads of them, their kind of line."""
        vocabulary = self._vocabulary
        places = np.flatnonzero(self.written)
        kinds = np.searchsorted(vocabulary.first, places, side="right") - 1
        ids = [UUID(bytes=each) for each in vocabulary.ids[places].tolist()]
        return ids, [vocabulary.forms[at] for at in places], kinds

    def _made_vocabulary(self, lines: list[str], wanted: int) -> _Vocabulary:
        with_subject = np.array([SUBJECT in line for line in lines])
        weight = np.bincount(self._kind_of, minlength=len(lines)) * with_subject
        counts = np.maximum(1, (wanted - len(lines)) * weight / max(weight.sum(), 1) + 1).astype(np.int64)
        # what the largest kinds cannot take, because phrases end, the others get
        for _ in range(8):
            counts = np.minimum(counts, len(self._subjects))
            room = with_subject & (counts < len(self._subjects))
            counts[room] += int(max(wanted - counts.sum(), 0) / max(room.sum(), 1))
        counts[~with_subject] = 1
        phrases = self._subjects.to_pylist()
        texts = [
            line.replace(SUBJECT, phrases[number])
            for line, count in zip(lines, counts.tolist(), strict=True)
            for number in range(count)
        ]
        forms = [model_text(text) for text in texts]
        ids = b"".join(text_id(form).bytes for form in forms)
        first = np.concatenate([[0], np.cumsum(counts)[:-1]])
        return _Vocabulary(first, counts, np.frombuffer(ids, dtype="V16"), texts, forms)

    def _chosen_subjects(self) -> NDArray[np.int64]:
        counts = self._vocabulary.counts[self._kind_of]
        by_frequency = (counts * self._random.random(len(counts)) ** 4).astype(np.int64)
        in_turn = self._random.random(len(counts)) < _NEW_SHARE
        turns = self._turn + np.arange(len(counts))
        self._turn += len(counts)
        # of one kind, every subject in turn: its rows are counted, not all rows
        order = np.argsort(self._kind_of, kind="stable")
        within = np.empty(len(counts), dtype=np.int64)
        starts = np.searchsorted(self._kind_of[order], np.arange(len(self._vocabulary.counts)))
        within[order] = np.arange(len(counts)) - starts[self._kind_of[order]]
        copies = turns[0] // len(counts)
        of_kind = np.bincount(self._kind_of, minlength=len(self._vocabulary.counts))[self._kind_of]
        chosen: NDArray[np.int64] = np.where(in_turn, (copies * of_kind + within) % counts, by_frequency)
        return chosen

    def _later_events(self, shift: np.uint64) -> pa.ListArray:
        lists = self._spans["events"].combine_chunks()
        events = lists.values
        fields = {name.name: events.field(name.name) for name in events.type}
        fields["time_unix_nano"] = pa.array(fields["time_unix_nano"].to_numpy() + shift)
        moved = pa.StructArray.from_arrays(list(fields.values()), names=list(fields))
        return pa.ListArray.from_arrays(lists.offsets, moved)

    def _dimensions(self, number: int) -> dict[str, pa.Table]:
        return dict(self._tables) if number == 0 else {}

    def _new_texts(self, chosen: NDArray[np.int64]) -> dict[str, pa.Table]:
        places = np.unique(chosen)
        places = places[~self.written[places]]
        self.written[places] = True
        if not len(places):
            return {}
        vocabulary = self._vocabulary
        # two lines may be one to the model; the loader keeps the first
        _, firsts = np.unique(vocabulary.ids[places], return_index=True)
        places = places[firsts]
        return {
            "texts": pa.table(
                {
                    "text_id": uuids(vocabulary.ids[places].tobytes(), len(places)),
                    "text": pa.array([vocabulary.texts[at] for at in places], pa.string()),
                    "model_text": pa.array([vocabulary.forms[at] for at in places], pa.string()),
                }
            )
        }


def fill(folder: Path, *, spans: int, texts: int, hours: float, embedded: int) -> dict[str, Any]:
    """Return what was written into a fresh data directory, and how long that took.

    Raises:
        SystemExit: There is a store in the folder already.
    """
    settings = Settings(data_dir=str(folder))
    if settings.store_path.exists() or settings.spool_path.exists():
        raise SystemExit(f"{folder} has a store already")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    began = time.perf_counter()
    filler = Filler(spans=spans, texts=texts, hours=hours)
    prepared = time.perf_counter()
    spool = SqliteSpool(settings.spool_path)
    store = DuckDbStore.open(settings.store_path, settings.store, temp_directory=folder / "tmp")
    try:
        writer = DuckDbWriter(store)
        _write_spans(filler, spool, writer, spans)
        stored = time.perf_counter()
        vectors = asyncio.run(_write_vectors(filler, writer, embedded)) if embedded else 0
        writer.checkpoint()
        writer.close()
    finally:
        store.close()
        spool.close()
    ended = time.perf_counter()
    return {
        "spans": spans,
        "distinct_texts": len(set(filler.texts[0])),
        "texts_embedded_by_the_model": min(embedded, vectors),
        "vectors": vectors,
        "prepared_s": round(prepared - began, 1),
        "spans_per_s": round(spans / (stored - prepared)),
        "vectors_s": round(ended - stored, 1),
        "file_bytes": store.file_bytes(),
    }


def _write_spans(filler: Filler, spool: SqliteSpool, writer: DuckDbWriter, spans: int) -> None:
    written = number = 0
    while written < spans:
        tables = filler.copy(number, min(_BATCH_ROWS, spans - written))
        count = len(tables["spans"])
        entry = SpoolEntry(Signal.TRACES, b"", records=count, outcome=Outcome(), key=None)
        (position,) = spool.append([entry])
        writer.load(LoadBatch(spool.uuid, position, [tables], {Signal.TRACES: count}))
        written, number = written + count, number + 1
        if number % _CHECKPOINT_BATCHES == 0 or written >= spans:
            spool.remove_through(writer.checkpoint()[spool.uuid])
            spool.maintain()


async def _write_vectors(filler: Filler, writer: DuckDbWriter, embedded: int) -> int:
    """Return how many texts got a vector."""
    ids, forms, kinds = filler.texts
    chance = np.random.default_rng(2)
    real = np.sort(chance.permutation(len(ids))[:embedded])
    pool = EmbedderPool(EmbedConfig())
    await pool.start()
    try:
        if not pool.available:
            raise SystemExit(f"no vectors: {pool.unavailable_reason}; --embedded 0 does without")
        found: list[NDArray[np.float32]] = []
        for at in range(0, len(real), 32):
            found.extend(await pool.embed([forms[place] for place in real[at : at + 32]]))
        model, dimension = pool.model, pool.dimension
    finally:
        await pool.close()
    means = np.stack([chunks.mean(axis=0) for chunks in found]).astype(np.float32)
    vectors = _around(means, kinds[real], kinds, chance, dimension)
    vectors[real] = means / np.linalg.norm(means, axis=1, keepdims=True)
    for at in range(0, len(ids), _VECTOR_ROWS):
        rows = zip(ids[at : at + _VECTOR_ROWS], vectors[at : at + _VECTOR_ROWS], strict=True)
        writer.write_embeddings([TextVectors(each, vector[None]) for each, vector in rows], model=model)
    return len(set(ids))


def _around(
    real: NDArray[np.float32],
    kinds_of_real: NDArray[np.int64],
    kinds: NDArray[np.int64],
    chance: np.random.Generator,
    dimension: int,
) -> NDArray[np.float32]:
    by_kind = {int(kind): np.flatnonzero(kinds_of_real == kind) for kind in np.unique(kinds_of_real)}
    everything = np.arange(len(real))
    centres = np.array([chance.choice(by_kind.get(int(kind), everything)) for kind in kinds])
    cosines = real @ real.T
    np.fill_diagonal(cosines, -1.0)
    nearest = np.argsort(-cosines, axis=1)[:, :_NEIGHBOURS]
    others = nearest[centres, chance.integers(0, nearest.shape[1], len(centres))]
    share = chance.random((len(centres), 1), dtype=np.float32)
    noise = chance.standard_normal((len(kinds), dimension), dtype=np.float32)
    around = real[centres] * share + real[others] * (1 - share) + noise * np.float32(_NOISE / dimension**0.5)
    vectors: NDArray[np.float32] = around / np.linalg.norm(around, axis=1, keepdims=True)
    return vectors


def _flattened(requests: list[bytes]) -> dict[str, pa.Table]:
    nested = NestedValues()
    group = ColumnDecoder(Settings().limits, nested).decode(
        [ExportRequest(Signal.TRACES, body) for body in requests]
    )
    flattener = ColumnFlattener(nested)
    try:
        return rows_of(flattener.parts(group.columns))
    finally:
        flattener.close()


def _bytes(column: pa.ChunkedArray, width: int) -> NDArray[np.void]:
    """Return the values of a column of UUIDs as bytes."""
    storage = pa.concat_arrays([chunk.storage for chunk in column.chunks])
    buffer = storage.buffers()[1]
    return np.frombuffer(buffer, dtype=f"V{width}", count=len(storage), offset=storage.offset * width)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--spans", type=int, default=10_000_000)
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--hours", type=float, default=72.0)
    parser.add_argument(
        "--embedded", type=int, default=2_000, help="texts that the real model embeds; 0: no vectors"
    )
    options = parser.parse_args()
    print(
        json.dumps(
            fill(
                options.folder,
                spans=options.spans,
                texts=options.texts,
                hours=options.hours,
                embedded=options.embedded,
            )
        )
    )


if __name__ == "__main__":
    main()
