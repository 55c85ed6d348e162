"""Rules D1 to D12: what is stored of which data, read back row by row, whichever way it came."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    Exemplar,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
    Summary,
    SummaryDataPoint,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from receiver.signals import Signal
from tests.support.otlp_exchange import Way, every_signal, every_way, send
from tests.support.otlp_messages import ATTRIBUTES, full_request, record, request_of
from tests.support.otlp_requests import T0, make_span, text_attribute
from tests.support.receiver_process import ReceiverProcess
from tests.support.stored_records import Record, stored_logs, stored_numbers, stored_points, stored_spans

_READ = {Signal.TRACES: stored_spans, Signal.METRICS: stored_points, Signal.LOGS: stored_logs}
_DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
_full_rows: dict[tuple[Way, Signal], list[Record]] = {}
_BUCKETS = ExponentialHistogramDataPoint.Buckets
_FULL_FLAGS = 0xFFFF_FFFF


async def export(
    receiver: ReceiverProcess,
    way: Way,
    signal: Signal,
    service: str,
    records: Iterable[Message],
) -> tuple[tuple[int, str], list[Record]]:
    """Return what the client is told, (0, "") where that is nothing, and what is stored."""
    sent = list(records)
    answer = await send(receiver, way, signal, request_of(signal, *sent, service=service))
    receiver.flush()
    gauges = all(isinstance(each, Metric) and each.HasField("gauge") for each in sent)
    read = stored_numbers if gauges else _READ[signal]
    return answer.partial_success(signal) or (0, ""), read(receiver, service)


async def full_rows(receiver: ReceiverProcess, way: Way, signal: Signal) -> tuple[str, list[Record]]:
    """Return what is stored of a request with everything in it, and its service; sent once for all who ask."""
    service = f"everything-{way}"
    if (way, signal) not in _full_rows:
        answer = await send(receiver, way, signal, full_request(signal, service))
        assert answer.partial_success(signal) is None
        receiver.flush()
        _full_rows[way, signal] = _READ[signal](receiver, service)
    return service, _full_rows[way, signal]


@every_way
async def test_d1_a_span_with_an_invalid_id_is_rejected_and_no_other(
    receiver: ReceiverProcess, way: Way, service: str
) -> None:
    """Missing, all zero, too short, too long: trace id and span id."""
    bad = [{"trace_id": bytes(n)} for n in (0, 15, 16, 17)] + [{"span_id": bytes(n)} for n in (0, 7, 8, 9)]
    spans = [span for n, ids in enumerate(bad) for span in (make_span(n), make_span(n, **ids))]
    told, rows = await export(receiver, way, Signal.TRACES, service, spans)
    assert told[0] == len(bad)
    assert sorted(row["name"] for row in rows) == [f"span {n}" for n in range(len(bad))]


@every_way
async def test_d2_a_log_record_with_an_invalid_id_is_stored_without_it(
    receiver: ReceiverProcess, way: Way, service: str
) -> None:
    """Absent, all zero, or of a wrong length; ids that are right stay."""
    trace, span = b"0123456789abcdef", b"01234567"
    ids = [(b"", b""), (bytes(16), bytes(8)), (b"short", span), (trace, b"short"), (trace, span)]
    records = [LogRecord(time_unix_nano=T0 + n, trace_id=t, span_id=s) for n, (t, s) in enumerate(ids)]
    told, rows = await export(receiver, way, Signal.LOGS, service, records)
    assert told[0] == 0
    assert "2 × log records with an invalid trace or span id are stored without it" in told[1]
    rows.sort(key=lambda row: row["time"])
    assert [(row["trace_id"], row["span_id"]) for row in rows] == [
        (None, None), (None, None), (None, span.hex()), (trace.hex(), None), (trace.hex(), span.hex()),
    ]  # fmt: skip


def points_of_every_kind(**fields: Any) -> list[Metric]:
    """Return a metric of each kind with one point that has these fields."""
    number = NumberDataPoint(as_int=1, **fields)
    return [
        Metric(name="gauge", gauge=Gauge(data_points=[number])),
        Metric(name="sum", sum=Sum(data_points=[number], aggregation_temporality=_DELTA)),
        Metric(
            name="histogram",
            histogram=Histogram(data_points=[HistogramDataPoint(**fields)], aggregation_temporality=_DELTA),
        ),
        Metric(
            name="exponential",
            exponential_histogram=ExponentialHistogram(
                data_points=[ExponentialHistogramDataPoint(**fields)], aggregation_temporality=_DELTA
            ),
        ),
        Metric(name="summary", summary=Summary(data_points=[SummaryDataPoint(**fields)])),
    ]


@every_way
async def test_d3_points_without_a_time_or_a_value_are_rejected(
    receiver: ReceiverProcess, way: Way, service: str
) -> None:
    """Of every kind; a point that says that it has no recorded value needs none."""
    numbers = [
        NumberDataPoint(time_unix_nano=T0),
        NumberDataPoint(time_unix_nano=T0, flags=2),
        NumberDataPoint(time_unix_nano=T0, flags=1),
        NumberDataPoint(time_unix_nano=T0, as_int=0),
        NumberDataPoint(time_unix_nano=T0, as_double=0.0),
    ]
    metrics = [
        *points_of_every_kind(),
        *points_of_every_kind(time_unix_nano=T0),
        Metric(name="values", gauge=Gauge(data_points=numbers)),
    ]
    told, rows = await export(receiver, way, Signal.METRICS, service, metrics)
    assert told[0] == 5 + 2
    assert sorted(row["name"] for row in rows) == sorted(
        ["gauge", "sum", "histogram", "exponential", "summary"] + ["values"] * 3
    )
    kept = [row["value"] for row in rows if row["name"] == "values"]
    assert sorted(map(repr, kept)) == ["0", "0.0", "None"]


@every_way
@every_signal
async def test_d4_all_32_bits_of_flags_are_kept(
    receiver: ReceiverProcess, way: Way, signal: Signal, service: str
) -> None:
    """Of spans, links, log records, and points of every kind."""
    records: dict[Signal, list[Any]] = {
        Signal.TRACES: [make_span(1, flags=_FULL_FLAGS, links=[Span.Link(flags=0x8000_0100)])],
        Signal.METRICS: points_of_every_kind(time_unix_nano=T0, flags=_FULL_FLAGS),
        Signal.LOGS: [LogRecord(time_unix_nano=T0, flags=_FULL_FLAGS)],
    }
    _, rows = await export(receiver, way, signal, service, records[signal])
    assert [row["flags"] for row in rows] == [_FULL_FLAGS] * (5 if signal is Signal.METRICS else 1)
    if signal is Signal.TRACES:
        assert rows[0]["links"][0]["flags"] == 0x8000_0100


def attributes_in(row: Record) -> list[Any]:
    """Return every attribute set of a stored record but its resource's."""
    inner = [each["attributes"] for name in ("events", "links", "exemplars") for each in row.get(name, [])]
    return [row["attributes"], row["scope"]["attributes"], *inner]


@every_way
@every_signal
async def test_d5_attributes_hold_every_kind_of_value(
    receiver: ReceiverProcess, way: Way, signal: Signal
) -> None:
    """Empty, bytes, mixed arrays and nested ones, wherever attributes stand, and in a body."""
    service, rows = await full_rows(receiver, way, signal)
    assert len(rows) == (5 if signal is Signal.METRICS else 1)
    for row in rows:
        assert all(found == ATTRIBUTES for found in attributes_in(row))
        assert row["resource"] == {"service.name": service, **ATTRIBUTES}
    if signal is Signal.LOGS:
        assert rows[0]["body"] == ATTRIBUTES


@every_way
@every_signal
async def test_d6_string_indexes_of_profiles_count_as_absent(
    receiver: ReceiverProcess, way: Way, signal: Signal, service: str
) -> None:
    """As a value and as a key, at the top and nested; the record is stored."""
    index = AnyValue(string_value_strindex=4)
    nested = KeyValue(key="nested", value=AnyValue())
    nested.value.kvlist_value.values.add(key_strindex=3, value=index)
    pairs = [KeyValue(key="k", value=index), nested]
    fields: dict[Signal, Any] = {Signal.TRACES: {"attributes": pairs}, Signal.LOGS: {"attributes": pairs}}
    point = NumberDataPoint(time_unix_nano=T0, as_int=1, attributes=pairs)
    fields[Signal.METRICS] = {"gauge": Gauge(data_points=[point])}
    told, rows = await export(receiver, way, signal, service, [record(signal, **fields[signal])])
    assert told[0] == 0
    assert "string index of the profiles signal treated as absent" in told[1]
    assert [row["attributes"] for row in rows] == [{"k": {"@empty": True}, "nested": {"": {"@empty": True}}}]


@every_way
@every_signal
async def test_d7_of_equal_keys_the_last_counts_and_the_others_are_kept(
    receiver: ReceiverProcess, way: Way, signal: Signal, service: str
) -> None:
    """Nothing breaks, nothing is lost."""
    pairs = [text_attribute("k", "a"), text_attribute("other", "x"), text_attribute("k", "b")]
    fields: dict[Signal, Any] = {Signal.TRACES: {"attributes": pairs}, Signal.LOGS: {"attributes": pairs}}
    point = NumberDataPoint(time_unix_nano=T0, as_int=1, attributes=pairs)
    fields[Signal.METRICS] = {"gauge": Gauge(data_points=[point])}
    told, rows = await export(receiver, way, signal, service, [record(signal, **fields[signal])])
    assert told == (0, "")
    assert [row["attributes"] for row in rows] == [{"k": "b", "other": "x", "@duplicates": [{"k": "a"}]}]


@every_way
async def test_d8_a_span_may_leave_out_kind_status_and_name(
    receiver: ReceiverProcess, way: Way, service: str
) -> None:
    """They are stored as unspecified, unset and empty."""
    told, rows = await export(receiver, way, Signal.TRACES, service, [make_span(1, name="")])
    assert told == (0, "")
    assert [(row["name"], row["kind"], row["status_code"], row["status_message"]) for row in rows] == [
        ("", 0, 0, "")
    ]


@every_way
async def test_d9_the_observed_time_stands_in_for_a_missing_one(
    receiver: ReceiverProcess, way: Way, service: str
) -> None:
    """Stored are both as they were sent; the API shows the time to go by."""
    times = [(T0, T0 + 5), (0, T0 + 6), (T0 + 7, 0), (0, 0)]
    records = [LogRecord(time_unix_nano=t, observed_time_unix_nano=o) for t, o in times]
    told, rows = await export(receiver, way, Signal.LOGS, service, records)
    assert told == (0, "")
    assert sorted((row["time"], row["observed"]) for row in rows) == sorted(times)
    shown = [log["time_unix_nano"] for log in receiver.get("/logs", service=service)["logs"]]
    assert sorted(map(int, shown)) == [0, T0, T0 + 6, T0 + 7]


@every_way
async def test_d10_histograms_keep_their_buckets_and_what_is_optional(
    receiver: ReceiverProcess, way: Way, service: str
) -> None:
    """Sum, min and max are absent or 0, never mixed up; scales and offsets have all their range."""
    times: dict[str, Any] = {"time_unix_nano": T0, "start_time_unix_nano": T0 - 1}
    histograms = [
        HistogramDataPoint(**times, count=3, bucket_counts=[1, 0, 2], explicit_bounds=[-1.5, 2.5]),
        HistogramDataPoint(**times, count=2, sum=0.0, min=0.0, max=0.0),
        HistogramDataPoint(**times, count=2**64 - 1, bucket_counts=[2**64 - 1]),
        HistogramDataPoint(**times, count=6, bucket_counts=[1, 2, 3]),  # bounds are missing: kept as it is
    ]
    least, most = -(2**31), 2**31 - 1
    exponential = [
        ExponentialHistogramDataPoint(
            **times, scale=least, positive=_BUCKETS(offset=most, bucket_counts=[1]), zero_count=2**64 - 1
        ),
        ExponentialHistogramDataPoint(
            **times, scale=most, negative=_BUCKETS(offset=least, bucket_counts=[0, 7]), zero_threshold=1e-9
        ),
    ]
    quantiles = [
        SummaryDataPoint.ValueAtQuantile(quantile=0.0, value=-1.0),
        SummaryDataPoint.ValueAtQuantile(quantile=1.0, value=9.0),
    ]
    metrics = [
        Metric(name="h", histogram=Histogram(data_points=histograms, aggregation_temporality=_DELTA)),
        Metric(
            name="e",
            exponential_histogram=ExponentialHistogram(
                data_points=exponential, aggregation_temporality=_DELTA
            ),
        ),
        Metric(name="s", summary=Summary(data_points=[SummaryDataPoint(**times, quantile_values=quantiles)])),
    ]
    told, rows = await export(receiver, way, Signal.METRICS, service, metrics)
    assert told == (0, "")
    by_name = {name: [row for row in rows if row["name"] == name] for name in "hes"}
    buckets = [
        (r["count"], r["bucket_counts"], r["explicit_bounds"], r["sum"], r["min"]) for r in by_name["h"]
    ]
    assert sorted(buckets, key=lambda each: each[0]) == [
        (2, [], [], 0.0, 0.0),
        (3, [1, 0, 2], [-1.5, 2.5], None, None),
        (6, [1, 2, 3], [], None, None),
        (2**64 - 1, [2**64 - 1], [], None, None),
    ]
    spread = [
        (r["scale"], r["positive"], r["negative"], r["zero_count"], r["zero_threshold"]) for r in by_name["e"]
    ]
    assert sorted(spread) == [
        (least, [most, [1]], [0, []], 2**64 - 1, 0.0),
        (most, [0, []], [least, [0, 7]], 0, 1e-9),
    ]
    assert [row["quantiles"] for row in by_name["s"]] == [[[0.0, -1.0], [1.0, 9.0]]]


@every_way
async def test_d11_a_metric_without_temporality_is_stored_with_a_warning(
    receiver: ReceiverProcess, way: Way, service: str
) -> None:
    """Sums and both histograms; gauges and summaries have none."""
    metrics = points_of_every_kind(time_unix_nano=T0)
    for metric in metrics:
        kind = metric.WhichOneof("data")
        if kind not in ("gauge", "summary"):
            getattr(metric, str(kind)).aggregation_temporality = 0
    told, rows = await export(receiver, way, Signal.METRICS, service, metrics)
    assert told[0] == 0
    assert told[1].startswith("3 × metrics have no aggregation temporality")
    assert len(rows) == 5


@every_way
@every_signal
async def test_d12_every_field_of_a_record_is_kept(
    receiver: ReceiverProcess, way: Way, signal: Signal
) -> None:
    """What each message has beside attributes: schema URLs, dropped counts, states, names, ids."""
    _, rows = await full_rows(receiver, way, signal)
    for row in rows:
        assert row["resource_schema_url"] == "https://example.org/resource"
        scope = row["scope"]
        assert (scope["name"], scope["version"], scope["schema_url"]) == (
            "scope",
            "2.1",
            "https://example.org/scope",
        )
    expected: dict[Signal, list[Record]] = {
        Signal.TRACES: [
            {
                "trace_state": "a=1",
                "parent_span_id": b"parent!!".hex(),
                "flags": 0x301,
                "name": "span 7",
                "kind": 3,
                "start": T0 + 7,
                "end": T0 + 1007,
                "status_code": 2,
                "status_message": "refused",
                "dropped": [3, 4, 5],
            }
        ],
        Signal.LOGS: [
            {
                "time": T0,
                "observed": T0 + 1,
                "trace_id": b"trace id of logs".hex(),
                "span_id": b"log span".hex(),
                "flags": 1,
                "severity_number": 18,
                "severity_text": "Error",
                "event_name": "order.refused",
            }
        ],
        Signal.METRICS: [
            {"name": name, "description": f"what {name} says", "unit": "By", "start": T0, "time": T0 + 1}
            for name in ("gauge", "sum", "histogram", "exponential", "summary")
        ],
    }
    for want in expected[signal]:
        (row,) = (row for row in rows if signal is not Signal.METRICS or row["name"] == want["name"])
        assert {key: row[key] for key in want} == want
    assert len(rows) == len(expected[signal])


@every_way
@every_signal
async def test_d12_what_stands_beside_records_is_kept(
    receiver: ReceiverProcess, way: Way, signal: Signal
) -> None:
    """Entity references, counts of dropped attributes, a metric's metadata, metrics without data, exemplars' ids."""
    service, rows = await full_rows(receiver, way, signal)
    origin = receiver.sql(
        "SELECT dropped_attributes_count, json_extract_string(entity_refs, '$[0].type') FROM resources"
        f" WHERE service_name = '{service}'"
    )
    assert origin == [[1, "host"]]
    of_service = f"resource_id IN (SELECT resource_id FROM resource_content WHERE service_name = '{service}')"
    match signal:
        case Signal.TRACES:
            (row,) = receiver.sql(
                "SELECT events[1].dropped_attributes_count, links[1].dropped_attributes_count,"
                f" links[1].trace_state, links[1].span_id FROM spans WHERE {of_service}"
            )
            assert row == [6, 7, "b=2", b"linkspan".hex()]
        case Signal.LOGS:
            assert receiver.sql(f"SELECT dropped_attributes_count FROM logs WHERE {of_service}") == [[8]]
        case Signal.METRICS:
            names = receiver.sql(
                "SELECT name, type, json_extract_string(metadata, '$.string') FROM metrics"
                f" WHERE {of_service} ORDER BY name"
            )
            assert names[3] == ["none", "none", "text"]
            assert {text for _, _, text in names} == {"text"}
            assert len(names) == 6
            exemplars = [each for row in rows for each in row["exemplars"]]
            assert [(each["value"], each["trace_id"], each["span_id"]) for each in exemplars] == [
                (0.25, b"trace of example".hex(), b"examples".hex())
            ] * 4


@every_way
async def test_d3_an_exemplar_without_a_value_costs_its_point_nothing(
    receiver: ReceiverProcess, way: Way, service: str
) -> None:
    """It is kept with what it has: the ids that lead to a trace."""
    exemplar = Exemplar(time_unix_nano=T0, trace_id=b"0123456789abcdef", span_id=b"01234567")
    point = NumberDataPoint(time_unix_nano=T0, as_int=1, exemplars=[exemplar])
    metric = Metric(name="m", gauge=Gauge(data_points=[point]))
    told, rows = await export(receiver, way, Signal.METRICS, service, [metric])
    assert told[0] == 0
    assert [row["exemplars"][0]["span_id"] for row in rows] == [b"01234567".hex()]
    assert rows[0]["exemplars"][0]["value"] is None
