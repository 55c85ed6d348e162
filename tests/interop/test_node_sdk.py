"""The OpenTelemetry Node SDK's exporters for gRPC, HTTP/protobuf (gzip) and HTTP/JSON: field for field."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.receiver_process import ReceiverProcess
from tests.support.stored_records import spans_of_answer, stored_logs, stored_points, stored_spans, texts

_MISSING = [program for program in ("node", "npm") if shutil.which(program) is None]
pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(bool(_MISSING), reason=f"not on the PATH: {', '.join(_MISSING)}"),
]
Sent = dict[str, Any]


@pytest.fixture(scope="session")
def node(here: Path) -> Path:
    """Return the folder of the Node client; its packages are those of the lock file."""
    folder = here / "node"
    installed = folder / "node_modules" / ".package-lock.json"
    wanted = (folder / "package-lock.json").stat().st_mtime
    if not installed.exists() or installed.stat().st_mtime < wanted:
        subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True, timeout=110
        )
    return folder


@pytest.fixture(scope="module", params=["grpc", "proto", "json"])
def sent(request: pytest.FixtureRequest, receiver: ReceiverProcess, node: Path) -> Sent:
    """Return what the client sent; everything is stored."""
    endpoint = receiver.grpc if request.param == "grpc" else receiver.http
    client = subprocess.run(
        ["node", "client.js", request.param, endpoint],
        cwd=node,
        check=True,
        stdout=subprocess.PIPE,
        timeout=60,
    )
    receiver.flush()
    found: Sent = json.loads(client.stdout)
    return found | {"service": f"node-{request.param}"}


def test_every_export_succeeds(sent: Sent) -> None:
    """No exporter reports a failure, for none of the batches."""
    assert set(sent["exported"]) == {"SUCCESS"}
    assert len(sent["exported"]) >= 6


def test_spans_come_back_field_for_field(sent: Sent, receiver: ReceiverProcess) -> None:
    """Ids, kinds, times, status, typed attributes, events, links, trace state, resource and scope are equal."""
    assert len(sent["spans"]) == 7
    assert texts(stored_spans(receiver, sent["service"])) == texts(sent["spans"])


def test_a_trace_comes_back_as_a_tree(sent: Sent, receiver: ReceiverProcess) -> None:
    """The API's trace has each span once, under its parent, with the same fields."""
    answer = receiver.get(f"/traces/{sent['spans'][0]['trace_id']}")
    answered = spans_of_answer(answer)
    assert texts(answered) == texts([{key: span[key] for key in answered[0]} for span in sent["spans"]])
    assert [root["name"] for root in answer["roots"]] == ["POST /checkout"]
    assert len(answer["roots"][0]["children"]) == 6


def test_log_records_come_back_field_for_field(sent: Sent, receiver: ReceiverProcess) -> None:
    """Bodies of every type, severity, trace context, event name and typed attributes are equal."""
    assert len(sent["logs"]) == 19
    assert texts(stored_logs(receiver, sent["service"])) == texts(sent["logs"])


def test_points_come_back_field_for_field(sent: Sent, receiver: ReceiverProcess) -> None:
    """Every type of point, in both temporalities, has its values, buckets, times and descriptor."""
    assert {point["type"] for point in sent["points"]} == {
        "sum",
        "gauge",
        "histogram",
        "exponential_histogram",
    }
    assert {point["temporality"] for point in sent["points"]} == {0, 1, 2}
    assert texts(stored_points(receiver, sent["service"])) == texts(sent["points"])
