"""Templates of requests: what is new in each, and what stays as it was built."""

from __future__ import annotations

import numpy as np
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from receiver.config import Settings
from receiver.decode.decoder import ColumnDecoder
from receiver.decode.nested_values import NestedValues
from receiver.ports import ExportRequest, Verdict
from receiver.signals import Signal
from tests.benchmarks.payload import pool_of
from tests.benchmarks.template import Chance, Template
from tests.benchmarks.vocabulary import TEXT_WORDS, text_words

_RECORDS, _NOW = 200, 1_790_000_000_000_000_000


def pool(payload: str, signal: Signal) -> list[Template]:
    """Return a small pool."""
    return pool_of(payload, signal, records=_RECORDS, pool_records=1, new_texts=0.2)


def spans_of(body: bytes) -> list[Span]:
    """Return the spans of a request."""
    request = ExportTraceServiceRequest.FromString(body)
    return [s for resource in request.resource_spans for scope in resource.scope_spans for s in scope.spans]


@pytest.mark.parametrize("payload", ["realistic", "small"])
@pytest.mark.parametrize("signal", list(Signal))
def test_every_fresh_request_is_accepted_whole(payload: str, signal: Signal) -> None:
    """The receiver's decoder rejects none of the records of any template, before and after they are renewed."""
    decoder, chance = ColumnDecoder(Settings().limits, NestedValues()), Chance(1)
    bodies = [template.fresh(_NOW, chance) for template in pool(payload, signal) for _ in range(2)]
    for verdict in decoder.decode([ExportRequest(signal, body) for body in bodies]).verdicts:
        assert isinstance(verdict, Verdict)
        assert (verdict.records, verdict.outcome.rejected, verdict.outcome.message) == (_RECORDS, 0, "")


def test_ids_are_new_each_time_and_refer_to_each_other() -> None:
    """No span id comes twice; the parents that were in the request are still in it."""
    (template, *_), chance = pool("realistic", Signal.TRACES), Chance(1)
    first, second = (spans_of(template.fresh(_NOW, chance)) for _ in range(2))
    ids = [span.span_id for span in first + second]
    assert len(set(ids)) == len(ids) == 2 * _RECORDS
    assert {s.trace_id for s in first}.isdisjoint(s.trace_id for s in second)
    local = [{s.span_id for s in spans} for spans in (first, second)]
    parents = [
        [s.parent_span_id in own for s in spans] for own, spans in zip(local, (first, second), strict=True)
    ]
    assert parents[0] == parents[1]
    assert sum(parents[0]) > _RECORDS // 2


def test_times_move_with_the_moment_of_sending() -> None:
    """Every time is as long before now as it was; durations stay."""
    (template, *_), chance = pool("realistic", Signal.TRACES), Chance(1)
    first, second = (spans_of(template.fresh(now, chance)) for now in (_NOW, _NOW + 5_000))
    for before, after in zip(first, second, strict=True):
        assert after.start_time_unix_nano - before.start_time_unix_nano == 5_000
        assert after.end_time_unix_nano - before.end_time_unix_nano == 5_000
        assert before.start_time_unix_nano <= before.end_time_unix_nano <= _NOW


def test_new_texts_do_not_repeat_and_the_others_do() -> None:
    """Bodies of log records are the same in the next request of the template, but for the share that is new."""
    (template, *_), chance = pool("realistic", Signal.LOGS), Chance(1)
    bodies = []
    for _ in range(2):
        request = ExportLogsServiceRequest.FromString(template.fresh(_NOW, chance))
        records = [r for res in request.resource_logs for scope in res.scope_logs for r in scope.log_records]
        bodies.append([r.body.string_value for r in records])
    new = [one for one, other in zip(*bodies, strict=True) if one != other]
    assert len(new) == len(set(new))
    assert _RECORDS // 10 < len(new) < _RECORDS // 3
    assert all(text.startswith("customer writes: ") for text in new)


def test_texts_can_be_limited_to_a_number() -> None:
    """With a limit of distinct texts, no more than those come out, however many are asked for."""
    found = Chance(1, distinct_texts=7).texts(500)
    assert found.shape == (500, TEXT_WORDS)
    assert len({row.tobytes() for row in found}) == 7


def test_numbers_have_different_texts() -> None:
    """A number decides the words, and neighbours share neither text nor beginning."""
    numbers = Chance(1).ids(10_000) >> np.uint64(22)  # 42 bits
    assert len({row.tobytes() for row in text_words(numbers)}) == len(set(numbers.tolist()))
