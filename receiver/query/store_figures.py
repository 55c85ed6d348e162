"""Figures of the whole: what is stored, what waits, and what the running server says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from receiver.ports import Embedder
from receiver.questions import Pipeline, PipelineFigures, StoreReader, VectorIndex
from receiver.signals import Signal


async def store_figures(
    reader: StoreReader, embedder: Embedder, index: VectorIndex, pipeline: Pipeline | None
) -> dict[str, Any]:
    """Return exact counts of the store, and spool, quarantine and backlog of the running server."""
    counts = await reader.record_counts()
    ready, pending = await reader.count_texts(embedder.model)
    figures = await pipeline.figures() if pipeline else PipelineFigures()
    return {
        "records": _by_noun(counts.records),
        "totals": {"stored": _by_noun(counts.stored), "retired": _by_noun(counts.retired)},
        "services": {service: _by_noun(each) for service, each in counts.by_service.items()},
        "traces_estimate": counts.traces,
        "embedding": {
            "model": embedder.model,
            "available": embedder.available,
            "pending": pending,
            "embedded": ready,
            "texts": ready + pending,
            "indexed": len(index),
        },
        "spool": dict(figures.spool),
        "quarantine": dict(figures.quarantine),
        "conservation": {state: dict(each) for state, each in figures.conservation.items()},
        "database": {**counts.database, **figures.database},
        "server": dict(figures.server),
    }


def _by_noun(counts: Mapping[Signal, int]) -> dict[str, int]:
    return {signal.records: counts.get(signal, 0) for signal in Signal}
