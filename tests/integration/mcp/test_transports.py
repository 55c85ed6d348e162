"""Both transports serve the same: real clients over HTTP and over the standard streams of a real process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx2 as httpx
import pytest
from fastmcp import Client
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from receiver.access import Access
from receiver.app.embedded import EmbeddedReceiver
from receiver.app.request_reader import DecodingRequestReader
from receiver.cli.mcp import ReachedAccess
from receiver.config import Settings
from receiver.mcp.server import build_server
from tests.support.command_line import clean_environment
from tests.support.mcp_agent import Agent, agent_over_http, agent_over_stdio, said, structured
from tests.support.mcp_listener import McpListener
from tests.support.process_output import rest_of_output
from tests.support.receiver_process import ReceiverProcess

TRACE = {
    "trace_id": "run-1",
    "spans": [
        {
            "name": "charge the credit card",
            "start_time": "2026-01-31T12:00:00Z",
            "end_time": "2026-01-31T12:00:01.5Z",
            "attributes": {"service.name": "shop", "amount": 12},
        }
    ],
}
_INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2024-11-05",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    },
}
_CALL = {
    "jsonrpc": "2.0",
    "id": 2,
    "method": "tools/call",
    "params": {"name": "list_services", "arguments": {}},
}
_ACCEPT = {"accept": "application/json, text/event-stream", "content-type": "application/json"}


@pytest.mark.parametrize(("first", "second"), [("http", "stdio"), ("stdio", "http")])
async def test_what_is_ingested_over_one_transport_is_found_over_the_other(
    over: Callable[[str], Agent], first: str, second: str
) -> None:
    """One set of tools over one store, whichever way an agent comes."""
    async with over(first) as agent:
        stored = structured(await agent.call_tool("ingest_otel_traces", {"trace_data": [TRACE]}))
    assert (stored["status"], stored["traces_ingested"], stored["errors"]) == ("success", 1, [])
    async with over(second) as agent:
        (found,) = (await agent.call_tool("search_otel_traces", {"query": "credit card"})).data
        assert found["conversation_id"] == "run-1"
        again = structured(await agent.call_tool("ingest_otel_traces", {"trace_data": [TRACE]}))
    assert (again["status"], again["traces_ingested"], again["duplicates"]) == ("warning", 0, 1)


async def test_the_protocols_own_client_speaks_to_both(listener: McpListener, tmp_path: Path) -> None:
    """The client of the package mcp sees the same tools over both transports."""
    async with (
        streamable_http_client(f"{listener.url}/mcp") as (read, write),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        over_http = [tool.name for tool in (await session.list_tools()).tools]
        assert not (await session.call_tool("list_services", {})).is_error
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "receiver", "mcp", "--endpoint", listener.url],
        env=clean_environment(),
        cwd=tmp_path,
    )
    with (tmp_path / "errors.log").open("w") as errors:
        async with (
            stdio_client(parameters, errlog=errors) as (read, write),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            assert [tool.name for tool in (await session.list_tools()).tools] == over_http
            assert not (await session.call_tool("list_services", {})).is_error


async def test_a_client_goes_on_after_the_listener_was_restarted(listener: McpListener, agent: Agent) -> None:
    """No session is kept, so a client that connected before is served after."""
    assert structured(await agent.call_tool("list_services", {}))["notice"]
    await listener.stop()
    await listener.start()
    assert structured(await agent.call_tool("list_services", {}))["notice"]


async def test_http_answers_as_the_specification_says(listener: McpListener) -> None:
    """JSON for a POST, no stream for a GET, no session, and nothing below the path."""
    async with httpx.AsyncClient() as client:
        url = f"{listener.url}/mcp"
        hello = await client.post(url, json=_INITIALIZE, headers=_ACCEPT)
        assert hello.status_code == 200
        assert hello.headers["content-type"] == "application/json"
        assert "mcp-session-id" not in hello.headers
        assert hello.json()["result"]["serverInfo"]["name"] == "otlp-receiver"
        called = await client.post(url, json=_CALL, headers=_ACCEPT)
        assert called.json()["result"]["structuredContent"]["data"] == {"services": []}
        assert (await client.get(url, headers=_ACCEPT)).status_code == 405
        assert (await client.post(f"{url}/tools/call", json=_CALL, headers=_ACCEPT)).status_code == 404
        refused = await client.post(url, json=_CALL, headers={"accept": "text/html"})
        assert refused.status_code == 406
        assert (await client.post(url, content=b"{", headers=_ACCEPT)).status_code == 400


async def test_a_page_of_another_origin_cannot_call_a_tool(listener: McpListener) -> None:
    """The guard of the query listener stands before MCP."""
    async with httpx.AsyncClient() as client:
        for headers in ({"origin": "https://evil.example"}, {"host": "evil.example"}):
            answer = await client.post(f"{listener.url}/mcp", json=_CALL, headers=_ACCEPT | headers)
            assert answer.status_code == 403


async def test_without_the_extra_http_says_what_to_install(
    listener: McpListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """501 with the command, and the next request looks again."""
    async with httpx.AsyncClient() as client:
        with monkeypatch.context() as patched:
            patched.setitem(sys.modules, "fastmcp", None)
            answer = await client.post(f"{listener.url}/mcp", json=_CALL, headers=_ACCEPT)
        assert answer.status_code == 501
        assert "otlp-receiver[mcp]" in answer.json()["error"]["hint"]
        assert (await client.post(f"{listener.url}/mcp", json=_CALL, headers=_ACCEPT)).status_code == 200


def test_nothing_of_mcp_is_imported_before_the_first_request() -> None:
    """A receiver that no agent asks is as small as without the extra."""
    names = subprocess.run(
        [sys.executable, "-c", "import sys, receiver.cli.main, receiver.mcp.http_app; print(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
        env=clean_environment(),
    ).stdout.split()
    assert "receiver.mcp.http_app" in names
    assert not {"fastmcp", "mcp", "starlette", "receiver.mcp.server"} & set(names)


async def test_stdio_starts_without_a_receiver_and_finds_it_when_it_comes(
    listener: McpListener, tmp_path: Path
) -> None:
    """Tools say what to do; as soon as something answers at the address, the same process asks it."""
    await listener.stop()
    async with agent_over_stdio("--endpoint", listener.url, folder=tmp_path) as agent:
        assert await agent.list_tools()
        refused = await agent.call_tool("list_services", {}, raise_on_error=False)
        assert refused.is_error
        assert "otlp-receiver serve" in said(refused)
        assert "Traceback" not in said(refused)
        await listener.start()
        assert structured(await agent.call_tool("list_services", {}))["notice"]
        await listener.stop()
        await listener.start()
        assert structured(await agent.call_tool("list_services", {}))["notice"]


def test_stdio_ends_with_its_input_and_prints_nothing_but_the_protocol(tmp_path: Path) -> None:
    """Every line of standard output is JSON-RPC, also when a tool fails; the exit code is 0."""
    sent = "".join(
        json.dumps(each) + "\n"
        for each in (_INITIALIZE, {"jsonrpc": "2.0", "method": "notifications/initialized"}, _CALL)
    )
    with subprocess.Popen(
        [sys.executable, "-m", "receiver", "mcp", "--endpoint", "http://127.0.0.1:1", "--log-level", "debug"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=clean_environment(),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(sent)
        process.stdin.flush()
        answers = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.stdin.close()
        assert rest_of_output(process) == ""
    assert [answer["id"] for answer in answers] == [1, 2]
    assert answers[1]["result"]["isError"]
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stdio_ends_by_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    """A client that does not close its end can end it all the same."""
    process = subprocess.Popen(
        [sys.executable, "-m", "receiver", "mcp"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=clean_environment(),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(_INITIALIZE) + "\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["id"] == 1
    os.kill(process.pid, number)
    assert process.wait(timeout=60) == 0
    process.stdin.close()
    process.stdout.close()


def test_stdio_ends_well_when_nobody_reads_its_answers(tmp_path: Path) -> None:
    """A client that was killed is no failure: exit code 0, nothing in the log."""
    process = subprocess.Popen(
        [sys.executable, "-m", "receiver", "mcp", "--endpoint", "http://127.0.0.1:1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=clean_environment(),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.write(json.dumps(_INITIALIZE) + "\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["id"] == 1
    process.stdout.close()
    process.stdin.write(json.dumps(_CALL) + "\n")
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


async def test_a_call_that_comes_while_the_directory_is_let_go_of_waits_for_that(tmp_path: Path) -> None:
    """However soon it comes: no call finds the directory taken by the one before."""
    access = ReachedAccess(None, str(tmp_path / "own"), idle_s=0)
    try:
        for turns in range(1, 8):
            assert "records" in await access.ask("stats")
            for _ in range(turns):
                await asyncio.sleep(0)
    finally:
        await access.close()


async def test_calls_that_fail_together_all_reach_the_data_directory(
    listener: McpListener, settings: Settings, tmp_path: Path
) -> None:
    """When the receiver is gone each of them is answered from the directory that is configured instead."""
    access = ReachedAccess(listener.url, str(tmp_path / "own"))
    own = settings.model_copy(update={"data_dir": str(tmp_path / "own")})
    await (await EmbeddedReceiver.open(own)).close()  # makes the directory
    try:
        await access.ask("stats")
        await listener.stop()
        found = await asyncio.gather(*(access.ask("stats") for _ in range(8)))
        assert all("records" in each for each in found)
    finally:
        await access.close()
        await listener.start()


async def test_stdio_opens_a_data_directory_that_nobody_serves(listener: McpListener, tmp_path: Path) -> None:
    """With --data-dir the tools work without a receiver, and what they store is on disk when they end."""
    folder = tmp_path / "own"
    for expected in (1, 0):
        async with agent_over_stdio("--data-dir", str(folder), folder=tmp_path) as agent:
            stored = await agent.call_tool("ingest_otel_traces", {"trace_data": [TRACE]})
            assert structured(stored)["traces_ingested"] == expected
            assert len((await agent.call_tool("search_otel_traces", {"query": "credit"})).data) == 1


async def test_requests_in_hand_end_when_mcp_is_closed(listener: McpListener, agent: Agent) -> None:
    """Closing returns although clients are connected, and a second close changes nothing."""
    await agent.call_tool("list_services", {})
    async with asyncio.timeout(20):
        await listener.app.close()
        await listener.app.close()


async def test_a_session_file_goes_in_over_one_transport_and_is_found_over_the_other(tmp_path: Path) -> None:
    """The whole program: a receiver's process, a file read over stdio, its session and texts found over HTTP."""
    file = tmp_path / "session.jsonl"
    file.write_text(
        "".join(json.dumps(line) + "\n" for line in _session("please refactor the invoice parser"))
    )
    with ReceiverProcess(tmp_path / "data") as receiver:
        url = f"http://{receiver.query}"
        async with agent_over_stdio("--endpoint", url, folder=tmp_path) as agent:
            arguments = {"log_files": [str(file), str(tmp_path / "none.jsonl")], "system_id": "claude"}
            stored = structured(await agent.call_tool("ingest_otel_traces", arguments))
            assert (stored["status"], stored["traces_ingested"], stored["files_processed"]) == (
                "success",
                1,
                1,
            )
            assert stored["errors"] == [f"File not found: {tmp_path / 'none.jsonl'}"]
        async with agent_over_http(url) as agent:
            query = {"query": "refactor invoice parser", "system_id": "claude"}
            (found,) = (await agent.call_tool("search_otel_traces", query)).data
            assert found["system_id"] == "claude"
            summary = structured(await agent.call_tool("session_summary", {"session_id": "s-1"}))
            assert "s-1" in json.dumps(summary["data"])
            again = structured(await agent.call_tool("ingest_otel_traces", arguments))
            assert (again["traces_ingested"], again["duplicates"]) == (0, 1)


def _session(prompt: str) -> list[dict[str, object]]:
    """Return a transcript of Claude Code with one turn."""
    shared = {"sessionId": "s-1", "version": "2.0.0", "cwd": "/src", "isSidechain": False}
    usage = {"input_tokens": 10, "output_tokens": 5}
    answer = {
        "id": "msg_1",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [{"type": "text", "text": "Done."}],
        "stop_reason": "end_turn",
        "usage": usage,
    }
    return [
        {
            **shared,
            "type": "user",
            "uuid": "u-1",
            "parentUuid": None,
            "timestamp": "2026-01-31T12:00:00.000Z",
            "message": {"role": "user", "content": prompt},
        },
        {
            **shared,
            "type": "assistant",
            "uuid": "u-2",
            "parentUuid": "u-1",
            "requestId": "req_1",
            "timestamp": "2026-01-31T12:00:02.000Z",
            "message": answer,
        },
    ]


async def test_files_are_not_read_where_that_is_switched_off(settings: Settings, tmp_path: Path) -> None:
    """mcp.read_files off: an error for each file, and given traces are stored all the same."""
    shut = settings.model_copy(update={"mcp": settings.mcp.model_copy(update={"read_files": False})})
    receiver = await EmbeddedReceiver.open(shut)
    try:
        async with Client(build_server(receiver, shut, requests_of=DecodingRequestReader)) as agent:
            arguments = {"log_files": ["/etc/hostname"], "trace_data": [TRACE]}
            stored = structured(await agent.call_tool("ingest_otel_traces", arguments))
    finally:
        await receiver.close()
    assert stored["traces_ingested"] == 1
    assert "mcp.read_files" in stored["errors"][0]


async def test_a_failure_that_nobody_foresaw_stays_inside(settings: Settings) -> None:
    """An agent reads that it failed; text and traceback of the error go to the log only."""

    async def broken() -> Access:
        raise RuntimeError("secret detail")

    async with Client(build_server(broken, settings, requests_of=DecodingRequestReader)) as agent:
        refused = await agent.call_tool("list_services", {}, raise_on_error=False)
    assert refused.is_error
    assert said(refused) == "list_services failed inside the receiver; its log has the details"
