"""otel-cli, a process per span: a thousand of them, twenty at a time, and none is lost.

Its options: https://github.com/equinix-labs/otel-cli#configuration. ``--fail`` makes it exit non-zero when the
receiver did not take the span.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.receiver_process import ReceiverProcess

_PROGRAM = shutil.which("otel-cli")
pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(_PROGRAM is None, reason="otel-cli is not on the PATH"),
]
INVOCATIONS = 1000
AT_A_TIME = 20


def _send(endpoint: str, protocol: str, number: int) -> int:
    """Return the exit code of one otel-cli that sends span ``number``."""
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "TRACEPARENT"))
    }
    return subprocess.run(
        [
            "otel-cli", "span", "--fail", "--timeout", "10s", "--tp-ignore-env",
            "--endpoint", endpoint, "--protocol", protocol,
            "--service", f"otel-cli-{protocol}", "--name", f"invocation {number}", "--kind", "client",
            "--start", "2026-09-21T14:13:20.000000001Z", "--end", "2026-09-21T14:13:20.250000002Z",
            "--attrs", f"number={number},kind=cli",
            "--force-trace-id", f"{number + 1:032x}", "--force-span-id", f"{number + 1:016x}",
        ],
        check=False,
        env=environment,
    ).returncode  # fmt: skip


@pytest.mark.timeout(300)
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_thousand_invocations_lose_nothing(receiver: ReceiverProcess, protocol: str) -> None:
    """Every invocation succeeds, and each span is stored once with its ids, times and name."""
    address = receiver.grpc if protocol == "grpc" else receiver.http
    numbers = range(INVOCATIONS if protocol == "grpc" else INVOCATIONS // 10)
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        codes = list(pool.map(lambda number: _send(f"http://{address}", protocol, number), numbers))
    assert set(codes) == {0}
    receiver.flush()
    rows = receiver.sql(
        "SELECT s.span_id, replace(s.trace_id::VARCHAR, '-', ''), s.name, s.kind, s.start_time_unix_nano,"
        " s.end_time_unix_nano FROM spans s JOIN resource_content r USING (resource_id)"
        f" WHERE r.service_name = 'otel-cli-{protocol}'"
    )
    start = 1_790_000_000_000_000_001
    assert sorted(rows) == [
        [number + 1, f"{number + 1:032x}", f"invocation {number}", 3, start, start + 250_000_001]
        for number in numbers
    ]
