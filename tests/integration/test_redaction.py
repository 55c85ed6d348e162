"""A real receiver with redaction rules: the secret is in no byte of any of its files, whatever happens to it."""

from __future__ import annotations

import asyncio
import base64
import json
import stat
from pathlib import Path

import grpc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from receiver.client.remote import RemoteAccess
from receiver.ports import ImportUnit
from receiver.signals import Signal
from tests.support.otlp_requests import T0, logs, make_gauge, make_span, metrics, text_attribute, traces
from tests.support.receiver_process import ReceiverProcess
from tests.support.wire_bytes import field, nested_value

SECRET = "hunter2-5f0c9e"  # noqa: S105 - made up
RULES = [
    {"action": "drop", "keys": ["*password*"]},
    {"action": "hash", "keys": ["user.id"]},
    {"action": "mask", "values": ["hunter2-[0-9a-f]+"]},
]
RECEIVER = {"OTLP_RECEIVER_REDACT__RULES": json.dumps(RULES), "OTLP_RECEIVER_LOG__LEVEL": "debug"}
ATTRIBUTES = [
    text_attribute("db.Password", SECRET),
    text_attribute("user.id", SECRET),
    text_attribute("url", f"/login?token={SECRET}"),
]


def _span(number: int) -> Span:
    return make_span(
        number,
        name=f"login {SECRET}",
        attributes=ATTRIBUTES,
        events=[
            Span.Event(name="exception", attributes=[text_attribute("exception.message", f"no {SECRET}")])
        ],
        status=Status(message=f"failed: {SECRET}"),
    )


def _broken(number: int) -> bytes:
    """Return a request with a name that is not UTF-8, and one with a value nested too deep."""
    deep = nested_value(100, 6, field(1, SECRET.encode()))
    span = _span(number).SerializeToString().replace(b"login", b"lo\xffin")
    return field(1, field(2, field(2, span + field(9, field(1, b"deep") + field(2, deep)))))


def _json(number: int) -> bytes:
    escaped = "".join(f"\\u{ord(c):04x}" for c in SECRET)
    return (
        '{"resourceSpans":[{"resource":{"attributes":[{"key":"db.pass\\u0077ord","value":{"stringValue":"'
        + escaped
        + f'"}}}}]}},"scopeSpans":[{{"spans":[{{"traceId":"{number + 1:032x}","spanId":"{number + 1:016x}",'
        + f'"name":"{escaped}","startTimeUnixNano":"1","endTimeUnixNano":"2"}}]}}]}}]}}'
    ).encode()


def _send_everything(receiver: ReceiverProcess, first: int) -> None:
    """Send seven spans, a log record and a point by every way in, and what is refused with the secret in it."""
    log = LogRecord(
        time_unix_nano=T0 + first, body=AnyValue(string_value=f"key is {SECRET}"), attributes=ATTRIBUTES
    )
    metric = make_gauge(first)
    metric.gauge.data_points[0].attributes.extend(ATTRIBUTES)
    large = traces(
        *(_span(first + n) for n in range(3)), make_span(first + 3, name="x" * 100_000), service=SECRET
    )
    protobuf = "application/x-protobuf"
    with grpc.insecure_channel(receiver.grpc) as channel:
        export: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
        )
        export(large, timeout=30)
        assert SECRET.encode() not in export(_broken(first + 4), timeout=30)
    assert receiver.send("/v1/logs", logs(log), protobuf).status == 200
    assert receiver.send("/v1/metrics", metrics(metric), protobuf).status == 200
    assert receiver.send("/v1/traces", _json(first + 5)).status == 200
    refused = receiver.send(
        "/v1/traces", b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"flags":"%s"}]}]}]}' % SECRET.encode()
    )
    assert refused.status == 400
    assert SECRET.encode() not in refused.body
    unit = ImportUnit(first.to_bytes(16, "big"), Signal.TRACES, traces(_span(first + 6)))
    asyncio.run(RemoteAccess(f"http://{receiver.query}").import_units([unit]))


def _assert_nowhere(receiver: ReceiverProcess) -> None:
    files = [path for path in receiver.data_dir.rglob("*") if path.is_file()]
    assert {"spool.db", "telemetry.duckdb"} <= {path.name for path in files}
    traces_of_it = [
        SECRET.encode(),
        SECRET.encode("utf-16-le"),
        *(base64.b64encode(bytes(shift) + SECRET.encode())[4:-4] for shift in range(3)),
    ]
    for path in (*files, receiver.log_path):
        data = path.read_bytes()
        for trace in traces_of_it:
            assert trace not in data, path


def test_a_secret_is_in_no_byte_of_any_file_after_a_load_a_crash_and_a_restart(tmp_path: Path) -> None:
    """Spool, its log, database, its log, the receiver's log; gRPC, HTTP, JSON, imports; repaired and refused ones."""
    with ReceiverProcess(tmp_path / "data", environment=RECEIVER) as receiver:
        _send_everything(receiver, 0)
        receiver.flush()
        _send_everything(receiver, 100)
        receiver.kill()
        _assert_nowhere(receiver)
        receiver.start()
        receiver.flush()
        assert receiver.sql("SELECT count(*) FROM spans") == [[14]]
        hashed = receiver.sql(
            "SELECT DISTINCT attributes ->> 'user.id' FROM spans WHERE status_message <> ''"
        )
        assert len(hashed) == 1
        assert hashed[0][0].startswith("hmac-sha256:")
        assert receiver.sql("SELECT count(*) FROM texts WHERE text LIKE '%***%'") != [[0]]
        for (table,) in receiver.sql("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'main'"):
            assert receiver.sql(f"SELECT count(*) FROM {table} t WHERE t::VARCHAR LIKE '%{SECRET}%'") == [
                [0]
            ], table
        assert receiver.stop().exit_code == 0
        _assert_nowhere(receiver)
    key = tmp_path / "data" / "redaction.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_without_rules_the_secret_is_found_in_the_files(tmp_path: Path) -> None:
    """The search of this test finds what is there."""
    with ReceiverProcess(tmp_path / "data") as receiver:
        body = traces(make_span(0, attributes=[KeyValue(key="k", value=AnyValue(string_value=SECRET))]))
        assert receiver.send("/v1/traces", body, "application/x-protobuf").status == 200
        receiver.kill()
        found = [
            path
            for path in receiver.data_dir.rglob("*")
            if path.is_file() and SECRET.encode() in path.read_bytes()
        ]
    assert found
