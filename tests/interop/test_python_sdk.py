"""The OpenTelemetry Python SDK's exporters, in a process of their own: what they send comes back field for field."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.support.receiver_process import REPOSITORY, ReceiverProcess
from tests.support.stored_records import spans_of_answer, stored_logs, stored_points, stored_spans, texts

pytestmark = pytest.mark.interop
Sent = dict[str, Any]


@pytest.fixture(scope="module", params=["grpc", "http"])
def sent(request: pytest.FixtureRequest, receiver: ReceiverProcess) -> Sent:
    """Return what the client sent; everything is stored."""
    endpoint = receiver.grpc if request.param == "grpc" else receiver.http
    client = subprocess.run(
        [sys.executable, "-m", "tests.interop.python_client", request.param, endpoint],
        check=True,
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
        timeout=60,
    )
    receiver.flush()
    found: Sent = json.loads(client.stdout)
    return found | {"service": f"python-{request.param}"}


def test_every_export_succeeds(sent: Sent) -> None:
    """No exporter reports a failure, for none of the batches."""
    assert set(sent["exported"]) == {"SUCCESS"}
    assert len(sent["exported"]) >= 6  # spans, logs, two collections of points in two temporalities


def test_spans_come_back_field_for_field(sent: Sent, receiver: ReceiverProcess) -> None:
    """Ids, kinds, times, status, typed attributes, events, links, trace state, resource and scope are equal."""
    assert len(sent["spans"]) == 11
    assert texts(stored_spans(receiver, sent["service"])) == texts(sent["spans"])


def test_a_trace_comes_back_as_a_tree(sent: Sent, receiver: ReceiverProcess) -> None:
    """The API's trace has each span once, under its parent, with the same fields."""
    of_trace = [span for span in sent["spans"] if span["trace_id"].startswith("a1b2c3d4")]
    answer = receiver.get(f"/traces/{of_trace[0]['trace_id']}")
    ids = {span["span_id"] for span in of_trace}  # the other transport's client extends the same remote trace
    answered = [span for span in spans_of_answer(answer) if span["span_id"] in ids]
    told = [{key: span[key] for key in answered[0]} for span in of_trace]
    assert texts(answered) == texts(told)
    roots = [root for root in answer["roots"] if root["service"] == sent["service"]]
    assert [root["name"] for root in roots] == ["POST /checkout"]
    assert len(roots[0]["children"]) == 6


def test_log_records_come_back_field_for_field(sent: Sent, receiver: ReceiverProcess) -> None:
    """Bodies of every type, severity, trace context, event name and typed attributes are equal."""
    assert len(sent["logs"]) == 23
    assert texts(stored_logs(receiver, sent["service"])) == texts(sent["logs"])


def test_log_records_come_back_through_the_api(sent: Sent, receiver: ReceiverProcess) -> None:
    """``/logs`` has each record of the service with its severity, event name and attributes."""
    answer = receiver.get("/logs", service=sent["service"], limit=1000)["logs"]
    keys = ("severity_number", "severity_text", "trace_id", "span_id", "attributes")
    assert texts([{key: record[key] for key in keys} for record in answer]) == texts(
        [{key: record[key] for key in keys} for record in sent["logs"]]
    )


def test_points_come_back_field_for_field(sent: Sent, receiver: ReceiverProcess) -> None:
    """Every type of point, in both temporalities, has its values, buckets, times, exemplars and descriptor."""
    assert {point["type"] for point in sent["points"]} == {
        "sum",
        "gauge",
        "histogram",
        "exponential_histogram",
    }
    assert {point["temporality"] for point in sent["points"]} == {0, 1, 2}
    assert any(point["exemplars"] for point in sent["points"])
    assert texts(stored_points(receiver, sent["service"])) == texts(sent["points"])


def test_sums_of_both_temporalities_add_up_through_the_api(sent: Sent, receiver: ReceiverProcess) -> None:
    """``/metrics/orders``: the delta series and the cumulative one both say 6 and 8, as was counted."""
    answer = receiver.get("/metrics/orders", service=sent["service"], step=3600, since="-1d")
    added = {
        (series["temporality"], series["attributes"]["paid"]): sum(
            point["value"] for point in series["points"]
        )
        for series in answer["series"]
    }
    assert added == {
        ("delta", True): 6,
        ("delta", False): 8,
        ("cumulative", True): 6,
        ("cumulative", False): 8,
    }
