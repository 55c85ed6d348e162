"""Damaged requests for the decoders: each gets a verdict or a refusal of ours, and harms nobody beside it.

What must hold for a group, whatever is in it: the usual decoder answers or hands over to the patient one, that one
always answers; nothing but a ``PermanentError`` is an answer besides a ``Verdict``; a good request in the middle is
accepted whole; the columns become as many rows as were announced; and the payloads that go to the spool decode once
more to the same rows, with nothing rejected. Where the compiled decoder was built all of this goes through it, and
of what it takes the Python route says the same: the same verdicts, the same rows. Each inflater ends with all its
bytes or with a ``PermanentError``.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from receiver.config import LimitsConfig
from receiver.decode.nested_values import NestedValues
from receiver.decode.routes import is_compiled, open_decoder
from receiver.errors import PermanentError
from receiver.ports import DecodedGroup, Encoding, ExportRequest, Outcome, Verdict
from receiver.signals import Signal
from receiver.transport.inflate import open_inflated
from receiver.transport.status import error_answer
from tests.fuzz.corpus import json_requests, protobuf_requests
from tests.fuzz.mutations import Mutator
from tests.support.decode_routes import DecodeRoutes, assert_same_rows, open_route, taken_bodies
from tests.support.otlp_requests import log_request, metric_request, span_request
from tests.support.table_parts import rows_of

BATCH = 128
"""Inputs of one batch."""
_EXAMPLES = 400
_NEIGHBOUR = {
    Signal.TRACES: span_request(77, name="the neighbour"),
    Signal.METRICS: metric_request(77),
    Signal.LOGS: log_request(77),
}
_RECORD_TABLES = {
    Signal.TRACES: {"spans"},
    Signal.METRICS: {"metric_points", "histogram_points", "exponential_histogram_points", "summary_points"},
    Signal.LOGS: {"logs"},
}
_REPLAYED = 0.3
"""Part of the groups whose payloads are decoded once more; it takes as long as all the rest."""
_MOST_INFLATED = 4 << 20
_MOST_CPU_S = 10.0
"""Of one batch, on a slow machine; the usual one takes some milliseconds."""
_WARM_BATCHES = 256
_MOST_GROWTH = 400 << 20
"""Once warm: caches are full, and the allocator holds what the largest batches took."""
_SMALL = {"request_messages": 300, "json_objects": 60}


class _Pipeline:
    """The decoders and the flattener as the receiver has them, with one set of limits."""

    def __init__(self, limits: LimitsConfig) -> None:
        nested = NestedValues()
        self.quick = open_decoder(limits, nested, patient=False)
        self.patient, self.flattener = open_route(limits, nested, compiled=True)
        self.again = open_decoder(LimitsConfig(), nested)
        self.routes = DecodeRoutes(limits) if is_compiled() else None

    def close(self) -> None:
        self.flattener.close()
        if self.routes is not None:
            self.routes.close()


class DecoderFuzz:
    """Runs batches; each depends on the seed and its number alone."""

    name = "decoders"

    def __init__(self, seed: int, *, examples: int = _EXAMPLES) -> None:
        """Draw the corpus."""
        self._seed = seed
        self._examples = examples
        self._pipelines = (_Pipeline(LimitsConfig()), _Pipeline(LimitsConfig(**_SMALL)))
        self._resident: int | None = None
        self._done = 0

    def run(self, number: int) -> int:
        """Do batch ``number``; return how many inputs that were.

        Raises:
            AssertionError: Something does not hold; any other exception is a finding too.
        """
        chance = random.Random(f"{self._seed} decoders {number}")
        signal = chance.choice(list(Signal))
        mutator = Mutator(
            chance, protobuf_requests(signal, self._examples), json_requests(signal, self._examples)
        )
        began = time.process_time()
        if chance.random() < 0.15:
            for _ in range(BATCH):
                self._inflate(*mutator.compressed())
        else:
            requests = [
                ExportRequest(signal, mutator.json(), Encoding.JSON)
                if chance.random() < 0.35
                else ExportRequest(signal, mutator.protobuf())
                for _ in range(BATCH)
            ]
            self._decode(requests, chance, self._pipelines[chance.random() < 0.2])
        took = time.process_time() - began
        assert took < _MOST_CPU_S, f"a batch took {took:.1f} s"
        self._done += 1
        if self._done >= _WARM_BATCHES and self._done % 64 == 0:
            self._check_memory()
        return BATCH

    def close(self) -> None:
        """Free the connections."""
        for pipeline in self._pipelines:
            pipeline.close()

    def _decode(self, requests: Sequence[ExportRequest], chance: random.Random, pipeline: _Pipeline) -> None:
        signal = requests[0].signal
        place = chance.randrange(len(requests))
        given = [*requests[:place], _NEIGHBOUR[signal], *requests[place:]]
        decoded = pipeline.quick.decode(given)
        late = [r for r, verdict in zip(given, decoded.verdicts, strict=True) if verdict is None]
        assert _is_accepted(decoded.verdicts[place]), decoded.verdicts[place]
        groups = [decoded]
        if late:
            groups.append(pipeline.patient.decode(late))
            assert None not in groups[1].verdicts
        for group in groups:
            accepted = _checked(group)
            tables = _flattened(pipeline, group, signal)
            if chance.random() < _REPLAYED:
                _replayed(pipeline, signal, accepted, tables)
        if pipeline.routes is not None:
            taken = [ExportRequest(signal, body) for body in taken_bodies(decoded.columns)]
            assert pipeline.routes.compare(taken) == len(taken) > 0

    @staticmethod
    def _inflate(coding: str, body: bytes) -> None:
        stream = open_inflated(coding, deque((body[:7], body[7:])) if len(body) > 7 else deque((body,)))
        size = 0
        try:
            while size < _MOST_INFLATED and (piece := stream.read(1 << 16)):
                assert len(piece) <= 1 << 16
                size += len(piece)
        except PermanentError:
            return

    def _check_memory(self) -> None:
        resident = int(Path("/proc/self/statm").read_bytes().split()[1]) * 4096
        if self._resident is None:
            self._resident = resident
        grown = resident - self._resident
        assert grown < _MOST_GROWTH, f"the process has grown by {grown >> 20} MiB"


def _is_accepted(verdict: Verdict | PermanentError | None) -> bool:
    return isinstance(verdict, Verdict) and verdict.records == 1 and verdict.outcome == Outcome()


def _checked(decoded: DecodedGroup) -> list[Verdict]:
    accepted = []
    for verdict in decoded.verdicts:
        if isinstance(verdict, Verdict):
            assert verdict.records >= 0
            assert verdict.outcome.rejected >= 0
            assert len(verdict.outcome.message.encode()) <= 1024
            accepted.append(verdict)
        elif verdict is not None:  # and the client can be told
            answer = error_answer(verdict, retry_after_s=1.0)
            assert answer.retry_after_s is None
            assert answer.http_body(Encoding.JSON)
            assert answer.trailing_metadata()
    return accepted


def _flattened(pipeline: _Pipeline, decoded: DecodedGroup, signal: Signal) -> dict[str, pa.Table]:
    announced = sum(v.records for v in decoded.verdicts if isinstance(v, Verdict))
    tables = rows_of(pipeline.flattener.parts(list(decoded.columns)))
    rows = sum(len(tables[name]) for name in _RECORD_TABLES[signal] & tables.keys())
    assert rows == announced, f"{announced} records announced, {rows} rows"
    return tables


def _replayed(
    pipeline: _Pipeline, signal: Signal, verdicts: list[Verdict], tables: dict[str, pa.Table]
) -> None:
    """What the spool gives back after a crash must become the same rows."""
    if not verdicts:
        return
    decoded = pipeline.again.decode([ExportRequest(signal, verdict.payload) for verdict in verdicts])
    for before, after in zip(verdicts, decoded.verdicts, strict=True):
        assert isinstance(after, Verdict), after
        assert (after.records, after.outcome.rejected) == (before.records, 0)
    again = _flattened(pipeline, decoded, signal)
    assert_same_rows(again, tables)
