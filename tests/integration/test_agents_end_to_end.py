"""What a user of agents does, from the first byte to the answer: real receiver, real clients, real model."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastmcp import Client
from fastmcp.client.transports import StdioTransport
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from tests.support import claude_code_signals as signals
from tests.support.receiver_process import REPOSITORY, ReceiverProcess

_PROTOBUF = "application/x-protobuf"


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[ReceiverProcess]:
    """A receiver with the real model."""
    with ReceiverProcess(tmp_path / "data", environment={"OTLP_RECEIVER_EMBED__ENABLED": "true"}) as running:
        running.flush()
        yield running


@pytest.fixture
def transcript(tmp_path: Path) -> Path:
    """The transcript of the session, as Claude Code leaves it on disk."""
    path = tmp_path / "transcripts" / f"{signals.SESSION_ID}.jsonl"
    path.parent.mkdir()
    path.write_text("".join(f"{line}\n" for line in signals.transcript()), encoding="utf-8")
    return path


def command(receiver: ReceiverProcess, *arguments: str | Path) -> str:
    """Return what a command prints that asks this receiver."""
    done = subprocess.run(
        [sys.executable, "-m", "receiver", *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=REPOSITORY,
        env={**os.environ, "OTLP_RECEIVER_ENDPOINT": f"http://{receiver.query}"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def over_stdio(receiver: ReceiverProcess) -> StdioTransport:
    """Return the transport of an agent that starts the command itself."""
    arguments = ["-m", "receiver", "mcp", "--endpoint", f"http://{receiver.query}"]
    return StdioTransport(sys.executable, arguments, cwd=str(REPOSITORY), keep_alive=False)


async def called(client: Any, tool: str, **arguments: Any) -> Any:
    """Return the answer of a tool as JSON."""
    answer = await client.call_tool(tool, arguments)
    return json.loads(answer.content[0].text)


@pytest.mark.model
@pytest.mark.parametrize("first", ["stdio", "http"])
async def test_a_file_ingested_over_one_transport_is_found_by_meaning_over_the_other(
    receiver: ReceiverProcess, transcript: Path, first: str
) -> None:
    """Two agents share one store: one hands a session file in, the other finds it with words that are not in it."""
    http = f"http://{receiver.query}/mcp"
    one, other = (over_stdio(receiver), http) if first == "stdio" else (http, over_stdio(receiver))
    async with Client(one) as agent:
        report = await called(agent, "ingest_otel_traces", log_files=[str(transcript)])
        assert (report["status"], report["traces_ingested"], report["errors"]) == ("success", 1, [])
    async with Client(other) as agent:
        found = await called(agent, "search_otel_traces", query="payment check breaks, what is the cause?")
        best = found["result"][0]
        assert best["system_id"] == "claude"
        assert best["similarity"] > 0.3
        whole = await called(agent, "get_otel_trace", trace_id=best["conversation_id"])
        assert whole["result"]["metadata"]["span_count"] == len(whole["result"]["spans"]) == 11
        assert signals.FIRST_PROMPT in best["text"]
        again = await called(agent, "ingest_otel_traces", log_files=[str(transcript)])
        assert (again["traces_ingested"], again["duplicates"]) == (0, 1)


def _session(receiver: ReceiverProcess) -> tuple[dict[str, int], object, str]:
    receiver.flush()
    shown: dict[str, Any] = json.loads(command(receiver, "session", signals.SESSION_ID, "--json"))
    return shown["tokens"], shown["cost_usd"], shown["cost_source"]


def _exports() -> list[tuple[str, bytes]]:
    return [
        ("/v1/traces", signals.traces_request().SerializeToString()),
        ("/v1/logs", signals.logs_request().SerializeToString()),
        ("/v1/metrics", signals.metrics_request().SerializeToString()),
    ]


def _one_by_one(request: ExportLogsServiceRequest) -> Iterator[bytes]:
    """Yield the log records in requests of their own: the same records in other bytes."""
    for resource_logs in request.resource_logs:
        for scope_logs in resource_logs.scope_logs:
            for record in scope_logs.log_records:
                alone = ExportLogsServiceRequest()
                outer = alone.resource_logs.add(resource=resource_logs.resource)
                outer.scope_logs.add(scope=scope_logs.scope).log_records.append(record)
                yield alone.SerializeToString()


def test_tokens_and_cost_of_a_session_are_those_computed_by_hand(
    receiver: ReceiverProcess, transcript: Path
) -> None:
    """What `session ID --json` prints equals the sums by hand, and neither a retry nor the transcript changes it.

    Input 12+410+8+6+9+5, output 340+24+220+180+150+95, read from the cache 4000+15000+15700+16600, written into it
    15000+2000+700+900+120; cost 0.10231+0.00053+0.012024+0.016405+0.01727+0.01145 as Claude Code reported it.
    """
    by_hand = (
        {
            "input": 450,
            "output": 1009,
            "cache_read": 51_300,
            "cache_creation": 18_720,
            "reasoning": 0,
            "total": 71_479,
        },
        pytest.approx(0.159989),
        "reported",
    )
    for path, body in _exports():
        assert receiver.send(path, body, _PROTOBUF).status == 200
    assert _session(receiver) == by_hand
    for path, body in _exports():
        assert receiver.send(path, body, _PROTOBUF).status == 200
    assert _session(receiver) == by_hand
    for body in _one_by_one(signals.logs_request()):
        assert receiver.send("/v1/logs", body, _PROTOBUF).status == 200
    assert _session(receiver) == by_hand
    for _ in range(2):
        command(receiver, "ingest", transcript)
        assert _session(receiver) == by_hand
    (listed,) = json.loads(command(receiver, "sessions", "--json"))["sessions"]
    assert (listed["tokens"], listed["cost_usd"]) == by_hand[:2]


async def test_the_same_session_is_shown_by_command_api_and_tool(
    receiver: ReceiverProcess, transcript: Path
) -> None:
    """There is one derivation, and three ways to it."""
    await asyncio.to_thread(command, receiver, "ingest", transcript)
    by_command = json.loads(
        await asyncio.to_thread(command, receiver, "session", signals.SESSION_ID, "--json")
    )
    by_api = await asyncio.to_thread(receiver.get, f"/sessions/{signals.SESSION_ID}")
    async with Client(f"http://{receiver.query}/mcp") as agent:
        answer = await called(agent, "session_summary", session_id=signals.SESSION_ID)
    assert by_command == by_api
    by_tool = answer["data"]
    assert (by_tool["tokens"], by_tool["cost_usd"]) == (by_api["tokens"], by_api["cost_usd"])
