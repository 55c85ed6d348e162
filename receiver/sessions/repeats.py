"""Records that came twice: an export that was sent again, whole or in other batches, tells nothing new."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import orjson
import xxhash

from receiver.questions import AgentRecord
from receiver.signals import Signal


def without_repeats(records: Iterable[AgentRecord]) -> list[AgentRecord]:
    """Return each record once, the first of equal ones, in one order whatever the given one is: earliest first.

    A span is known by its ids; a data point by metric, attributes, resource, start and time; a log record, which has
    no id, by name, time, attributes and body.
    """
    found: dict[bytes, AgentRecord] = {}
    for record in records:
        found.setdefault(_identity(record), record)
    ordered = sorted(found.items(), key=lambda each: (each[1].time_ns, each[0]))
    return [record for _, record in ordered]


def series_of(record: AgentRecord) -> bytes:
    """Return what names the series of a data point."""
    return _digest(
        record.name, record.attributes, record.resource, record.scope, record.aggregation_temporality
    )


def _identity(record: AgentRecord) -> bytes:
    if record.signal is Signal.METRICS:
        return _digest("point", series_of(record).hex(), record.start_time_ns, record.time_ns)
    if record.signal is Signal.TRACES and record.span_id:
        return _digest("span", record.trace_id, record.span_id)
    return _digest(record.signal, record.name, record.time_ns, record.attributes, record.body)


def _digest(*parts: Any) -> bytes:
    try:
        text = orjson.dumps(parts, default=str, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # whole numbers beyond 64 bits, halves of characters
        text = json.dumps(parts, default=str, sort_keys=True).encode()
    return xxhash.xxh3_128_digest(text)
