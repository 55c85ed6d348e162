"""Payloads: pools of request templates, built once from a seed.

``realistic`` is a shop of a dozen services; ``small`` has few short attributes; ``demo`` is a capture of OTLP/JSON
lines, such as one of the OpenTelemetry demo. Each fresh request has its own ids, times, values and, where its
payload has some, texts that were never there before::

    pool = pool_of("realistic", Signal.TRACES, records=512)
    chance = Chance()
    body = pool[0].fresh(time.time_ns(), chance)
"""

from __future__ import annotations

import random
from pathlib import Path

from receiver.signals import Signal
from tests.benchmarks.payload_capture import capture_requests
from tests.benchmarks.payload_logs import log_request
from tests.benchmarks.payload_metrics import metric_request
from tests.benchmarks.payload_small import small_logs, small_metrics, small_traces
from tests.benchmarks.payload_traces import trace_request
from tests.benchmarks.template import Marks, Message, Template

PAYLOADS = ("realistic", "small", "demo")
POOL_RECORDS = 8192
"""Records of a pool; a request of that many or more still has a pool of four."""
NEW_TEXTS = {Signal.TRACES: 0.01, Signal.LOGS: 0.05, Signal.METRICS: 0.0}
"""Share of the realistic records with a text that never repeats."""


def pool_of(
    payload: str,
    signal: Signal,
    *,
    records: int,
    seed: int = 1,
    new_texts: float | None = None,
    capture: Path | None = None,
    pool_records: int = POOL_RECORDS,
) -> list[Template]:
    """Return the templates of a payload; the same for the same arguments.

    Args:
        payload: One of ``PAYLOADS``.
        signal: What the records are.
        records: Records in each request.
        seed: Decides everything that is chosen.
        new_texts: Share of realistic records with a text of its own; None: ``NEW_TEXTS``.
        capture: A file of OTLP/JSON lines, for ``demo``.
        pool_records: Records of all templates together.
    """
    chance = random.Random(f"{payload} {signal} {records} {seed}")
    count = max(pool_records // records, 4)
    if payload == "demo":
        made = capture_requests(signal, records, count, capture)
    else:
        share = NEW_TEXTS[signal] if new_texts is None else new_texts
        made = [_request(payload, signal, records, chance, share) for _ in range(count)]
    return [Template(message, marks, records) for message, marks in made]


def _request(
    payload: str, signal: Signal, records: int, chance: random.Random, new_texts: float
) -> tuple[Message, Marks]:
    small = payload == "small"
    if signal is Signal.TRACES:
        return small_traces(records, chance) if small else trace_request(records, chance, new_texts)
    if signal is Signal.LOGS:
        return small_logs(records, chance) if small else log_request(records, chance, new_texts)
    return small_metrics(records, chance) if small else metric_request(records, chance)
