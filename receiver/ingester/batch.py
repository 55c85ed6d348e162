"""A batch on its way: traces become units in a worker thread, and what became of each is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from receiver.config import LimitsConfig
from receiver.decode.json_request import protobuf_from_json
from receiver.errors import InvalidTraceError
from receiver.ports import ImportUnit
from receiver.signals import Signal
from receiver.sources.trace_dicts.units import TraceDicts


@dataclass(frozen=True, slots=True)
class Failure:
    """One element of a batch that is no trace."""

    index: int
    trace_id: str
    error: InvalidTraceError


@dataclass(frozen=True, slots=True)
class ConvertedPart:
    """Some elements of a batch as units, and those that are no traces."""

    units: list[ImportUnit]
    failures: list[Failure]


@dataclass(slots=True)
class BatchReport:
    """What became of a batch."""

    stored: int = 0
    duplicates: int = 0
    failures: list[Failure] = field(default_factory=list)

    def add(self, stored: Sequence[bool]) -> None:
        """Count traces that are on disk, newly or from before."""
        new = sum(stored)
        self.stored += new
        self.duplicates += len(stored) - new

    def as_dict(self) -> dict[str, Any]:
        """Return the documented result."""
        return {
            "success_count": self.stored,
            "error_count": len(self.failures),
            "duplicate_count": self.duplicates,
            "errors": [f"Trace {each.trace_id}: {each.error}" for each in self.failures],
            "error_details": [
                {"index": each.index, "trace_id": each.trace_id, "error": str(each.error)}
                for each in self.failures
            ],
        }


def converted(system_id: str | None) -> Callable[[Sequence[Any], int], Awaitable[ConvertedPart]]:
    """Return what converts the parts of one batch, one after the other, each in a worker thread."""
    traces = TraceDicts(read_otlp=_protobuf, system_id=system_id)

    def convert(part: Sequence[Any], first: int) -> ConvertedPart:
        units: list[ImportUnit] = []
        failures: list[Failure] = []
        for index, trace in enumerate(part, first):
            try:
                units += traces.units(trace)
            except InvalidTraceError as error:
                failures.append(Failure(index, _id_of(trace), error))
        return ConvertedPart(units, failures)

    return lambda part, first: asyncio.to_thread(convert, part, first)


def _protobuf(body: bytes) -> bytes:
    return protobuf_from_json(Signal.TRACES, body, max_objects=LimitsConfig().json_objects).payload


def _id_of(trace: Any) -> str:
    if isinstance(trace, Mapping):
        for name in ("trace_id", "traceId"):
            given = trace.get(name)
            if isinstance(given, str | int) and given != "":
                return str(given)[:200]
    return "unknown"
