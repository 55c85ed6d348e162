"""Who may send where tokens are wanted: refused before the body is read, with an answer that no client retries."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc

from receiver.signals import Signal
from receiver.transport.token_check import KnownTokens, Verify
from receiver.transport.tokens import Purpose, TokenFile
from tests.integration.transport.conftest import Listeners, export_call
from tests.support import raw_http

PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def tokens(tmp_path: Path) -> TokenFile:
    """Give the file of tokens."""
    return TokenFile(tmp_path / "tokens")


@pytest.fixture
def token(tokens: TokenFile) -> str:
    """Give a token for ingest."""
    return tokens.create("agent", frozenset({Purpose.INGEST}))


@pytest.fixture
def verify(tokens: TokenFile, token: str) -> Verify:
    """Give the check of a listener."""
    assert token
    known = KnownTokens(tokens)
    known.read()
    return known.verifier(Purpose.INGEST, "the listener")


@pytest.mark.parametrize("signal", list(Signal))
async def test_grpc_wants_the_token_and_refuses_for_good(
    listeners: Listeners,
    channels: Callable[..., grpc.aio.Channel],
    verify: Verify,
    token: str,
    signal: Signal,
) -> None:
    """UNAUTHENTICATED without RetryInfo, no byte of budget, nothing handed in; counted."""
    listener = await listeners.grpc(verify=verify)
    call = export_call(channels(listener.port), signal.grpc_method)
    for metadata in (None, [("authorization", "Bearer wrong")], [("authorization", token)]):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(b"x" * 3_000_000, metadata=metadata, timeout=10)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert "token" in (refused.value.details() or "")
        trailers = dict(refused.value.trailing_metadata() or ())
        assert "google.rpc.retryinfo-bin" not in trailers
        assert token not in str(trailers)
    assert await call(b"", metadata=[("authorization", f"Bearer {token}")], timeout=10) == b""
    assert len(listener.intake.requests) == 1
    refusals = listener.sample(
        "otlp_receiver_refused_requests_total",
        signal=signal.value, transport="grpc", reason="unauthenticated",
    )  # fmt: skip
    assert refusals == 3


async def test_grpc_health_is_for_everybody(
    listeners: Listeners, channels: Callable[..., grpc.aio.Channel], verify: Verify
) -> None:
    """A probe has no token, and learns nothing but that it serves."""
    listener = await listeners.grpc(verify=verify)
    stub = health_pb2_grpc.HealthStub(channels(listener.port))
    answer = await stub.Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_http_wants_the_token_before_the_body(listeners: Listeners, verify: Verify, token: str) -> None:
    """401 with a challenge comes while the body is still missing, in the request's encoding."""
    listener = await listeners.http(verify=verify)
    for headers in (PROTOBUF, JSON):
        async with raw_http.connection(listener.port) as wire:
            await wire.write(
                raw_http.request_bytes("/v1/traces", headers=headers | {"Content-Length": "1000000"})
            )
            answer = await wire.answer()
        assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Bearer realm="otlp-receiver"')
        assert "retry-after" not in answer.headers
        assert answer.headers["content-type"] == headers["Content-Type"]
        code = Status.FromString(answer.body).code if headers is PROTOBUF else json.loads(answer.body)["code"]
        assert code == grpc.StatusCode.UNAUTHENTICATED.value[0]
    good = PROTOBUF | {"Authorization": f"Bearer {token}"}
    assert (await raw_http.request(listener.port, "/v1/traces", headers=good)).status == 200
    assert len(listener.intake.requests) == 1


async def test_a_preflight_needs_no_token_and_may_announce_one(listeners: Listeners, verify: Verify) -> None:
    """Browsers ask without credentials whether they may send some."""
    listener = await listeners.http(verify=verify)
    asked = {
        "Origin": "http://localhost:3000",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    answer = await raw_http.request(listener.port, "/v1/traces", method="OPTIONS", headers=asked)
    assert answer.status == 204
    assert answer.headers["access-control-allow-headers"] == "authorization,content-type"
    refused = await raw_http.request(
        listener.port, "/v1/traces", headers=JSON | {"Origin": "http://localhost:3000"}
    )
    assert (refused.status, refused.headers["access-control-allow-origin"]) == (401, "http://localhost:3000")


async def test_a_refusal_is_logged_with_who_and_why_and_without_the_token(
    listeners: Listeners, verify: Verify, caplog: pytest.LogCaptureFixture
) -> None:
    """What was shown may be nearly right, or a secret of somebody else."""
    listener = await listeners.http(verify=verify)
    headers = JSON | {"Authorization": "Bearer somebody-elses-secret"}
    assert (await raw_http.request(listener.port, "/v1/logs", headers=headers)).status == 401
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == "the listener refused a request of 127.0.0.1: the bearer token is not known here"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example"])
@pytest.mark.parametrize("kind", ["text/plain", "application/json"])
async def test_a_page_that_cors_does_not_allow_sends_nothing(
    listeners: Listeners, origin: str, kind: str
) -> None:
    """403 before the body, also for what a browser sends without asking first; counted."""
    listener = await listeners.http()
    head = {"Origin": origin, "Content-Type": kind, "Content-Length": "1000000"}
    async with raw_http.connection(listener.port) as wire:
        await wire.write(raw_http.request_bytes("/v1/traces", headers=head))
        answer = await wire.answer()
    assert answer.status == 403
    assert json.loads(answer.body)["code"] == grpc.StatusCode.PERMISSION_DENIED.value[0]
    assert not listener.intake.requests
    counted = {"signal": "traces", "transport": "http", "reason": "origin"}
    assert listener.sample("otlp_receiver_refused_requests_total", **counted) == 1
