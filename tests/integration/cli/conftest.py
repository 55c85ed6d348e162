"""A receiver that has a few records of each signal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.receiver_process import ReceiverProcess

T0 = 1_790_000_000_000_000_000
TRACE = "5b8efff798038103d269b633813fc60c"


def resource(service: str) -> dict[str, Any]:
    """Return a resource with a name."""
    return {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}


def send_records(receiver: ReceiverProcess) -> None:
    """Send a trace of two spans, a log record of it and a gauge; return when they are stored."""
    spans = [
        {"traceId": TRACE, "spanId": "00000000000000a1", "name": "checkout", "kind": 2,
         "startTimeUnixNano": str(T0), "endTimeUnixNano": str(T0 + 30_000_000)},
        {"traceId": TRACE, "spanId": "00000000000000a2", "parentSpanId": "00000000000000a1",
         "name": "charge \u001b[31mcard", "startTimeUnixNano": str(T0 + 5_000_000),
         "endTimeUnixNano": str(T0 + 20_000_000), "status": {"code": 2, "message": "card declined"}},
    ]  # fmt: skip
    record = {
        "timeUnixNano": str(T0 + 6_000_000), "traceId": TRACE, "spanId": "00000000000000a2",
        "severityNumber": 17, "severityText": "ERROR", "body": {"stringValue": "payment was refused"},
    }  # fmt: skip
    point = {"timeUnixNano": str(T0), "asDouble": 1.5}
    metric = {"name": "queue.depth", "unit": "{item}", "gauge": {"dataPoints": [point]}}
    for path, body in (
        ("traces", {"resourceSpans": [{"resource": resource("shop"), "scopeSpans": [{"spans": spans}]}]}),
        ("logs", {"resourceLogs": [{"resource": resource("till"), "scopeLogs": [{"logRecords": [record]}]}]}),
        (
            "metrics",
            {"resourceMetrics": [{"resource": resource("shop"), "scopeMetrics": [{"metrics": [metric]}]}]},
        ),
    ):
        assert receiver.send(f"/v1/{path}", json.dumps(body).encode()).status == 200
    receiver.flush()


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReceiverProcess]:
    """Give a running receiver with these records."""
    with ReceiverProcess(tmp_path_factory.mktemp("cli") / "data") as process:
        send_records(process)
        yield process


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the data directory of a receiver that had these records and was stopped."""
    folder = tmp_path_factory.mktemp("stored") / "data"
    with ReceiverProcess(folder) as process:
        send_records(process)
        assert process.stop().exit_code == 0
    return folder
