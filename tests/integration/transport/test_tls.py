"""TLS and client certificates on the wire, for both OTLP listeners."""

from __future__ import annotations

import asyncio
import http.client
import logging
import socket
import ssl
from pathlib import Path

import grpc
import pytest

from receiver.transport.tls import ListenerTls, TlsFiles
from tests.integration.transport.conftest import Listener, Listeners, export_call
from tests.support import raw_http
from tests.support.certificates import Authority

HTTP = {"content-type": "application/x-protobuf"}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Give the authority of the listeners."""
    return Authority(tmp_path)


@pytest.fixture
def clients(tmp_path: Path) -> Authority:
    """Give the authority of the clients."""
    return Authority(tmp_path / "clients", "clients")


async def listener_tls(authority: Authority, clients: Authority | None = None) -> ListenerTls:
    """Return what a listener needs; the files are read."""
    files = TlsFiles(authority.config(clients=clients))
    await asyncio.to_thread(files.read)
    return ListenerTls(files, clients is not None)


async def certificate_of(port: int, authority: Authority, own: tuple[Path, Path] | None = None) -> bytes:
    """Return the certificate that a new connection is shown."""

    def shown() -> bytes:
        context = authority.client(own)
        context.set_alpn_protocols(["h2", "http/1.1"])
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secured,
        ):
            assert secured.selected_alpn_protocol() in {"h2", "http/1.1"}
            found = secured.getpeercert(binary_form=True)
            assert found is not None
            return found

    return await asyncio.to_thread(shown)


async def posted(port: int, context: ssl.SSLContext) -> int:
    """Return the status of an export over HTTPS."""

    def post() -> int:
        connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=10)
        try:
            connection.request("POST", "/v1/traces", b"", HTTP)
            return connection.getresponse().status
        finally:
            connection.close()

    return await asyncio.to_thread(post)


async def called(port: int, credentials: grpc.ChannelCredentials) -> grpc.StatusCode:
    """Return the status of an export over gRPC with TLS."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(f"localhost:{port}", credentials, options=options) as channel:
        try:
            await export_call(channel)(b"", timeout=10)
        except grpc.aio.AioRpcError as error:
            return error.code()
    return grpc.StatusCode.OK


def grpc_client(authority: Authority, own: tuple[Path, Path] | None = None) -> grpc.ChannelCredentials:
    """Return credentials of a client that trusts the authority and shows ``own``."""
    chain, key = own or (None, None)
    return grpc.ssl_channel_credentials(
        authority.file.read_bytes(),
        key.read_bytes() if key else None,
        chain.read_bytes() if chain else None,
    )


async def test_both_listeners_speak_tls(listeners: Listeners, authority: Authority) -> None:
    """A client that trusts the authority exports; one that does not is the one that leaves."""
    tls = await listener_tls(authority)
    over_http, over_grpc = await listeners.http(tls=tls), await listeners.grpc(tls=tls)
    assert await posted(over_http.port, authority.client()) == 200
    assert await called(over_grpc.port, grpc_client(authority)) is grpc.StatusCode.OK
    with pytest.raises(ssl.SSLCertVerificationError):
        await posted(over_http.port, ssl.create_default_context())
    assert len(over_http.intake.requests) == len(over_grpc.intake.requests) == 1


async def test_new_files_are_used_by_new_connections_and_open_ones_stay(
    listeners: Listeners, authority: Authority
) -> None:
    """A renewal needs no restart and interrupts nobody, on either listener and each of its addresses."""
    tls = await listener_tls(authority)
    started: list[Listener] = [await listeners.http(tls=tls), await listeners.grpc(tls=tls)]
    before = [await certificate_of(each.port, authority) for each in started]
    reader, writer = await asyncio.open_connection("localhost", started[0].port, ssl=authority.client())
    kept = raw_http.RawConnection(reader, writer)
    try:
        assert (await kept.request("/v1/traces", headers=HTTP)).status == 200
        authority.issue()
        await asyncio.to_thread(tls.files.refresh)
        after = [await certificate_of(each.port, authority) for each in started]
        assert (await kept.request("/v1/traces", headers=HTTP)).status == 200
    finally:
        writer.close()
        await writer.wait_closed()
    assert before[0] == before[1]
    assert after[0] == after[1] != before[0]
    assert await certificate_of(started[1].port, authority) == after[0]


async def test_a_client_without_a_certificate_of_the_authority_is_not_let_in(
    listeners: Listeners, authority: Authority, clients: Authority
) -> None:
    """None at all, one of another authority: no request of theirs is read. The right one exports."""
    tls = await listener_tls(authority, clients)
    over_http, over_grpc = await listeners.http(tls=tls), await listeners.grpc(tls=tls)
    own, foreign = clients.issue("client"), authority.issue("foreign")
    assert await posted(over_http.port, authority.client(own)) == 200
    assert await called(over_grpc.port, grpc_client(authority, own)) is grpc.StatusCode.OK
    for shown in (None, foreign):
        with pytest.raises(OSError):  # noqa: PT011 - an alert or a reset, as the race goes
            await posted(over_http.port, authority.client(shown))
        assert await called(over_grpc.port, grpc_client(authority, shown)) is grpc.StatusCode.UNAVAILABLE
    assert len(over_http.intake.requests) == len(over_grpc.intake.requests) == 1


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_clients_of_an_authority_that_was_taken_away_are_out(
    listeners: Listeners, authority: Authority, clients: Authority, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """Also those that come back with a session of before."""
    tls = await listener_tls(authority, clients)
    listener = await listeners.http(tls=tls)
    context = authority.client(clients.issue("client"))
    context.maximum_version = version

    def connect(session: ssl.SSLSession | None) -> tuple[bytes, ssl.SSLSession | None]:
        try:
            with (
                socket.create_connection(("127.0.0.1", listener.port), timeout=10) as plain,
                context.wrap_socket(plain, server_hostname="localhost", session=session) as secured,
            ):
                secured.sendall(raw_http.request_bytes("/v1/traces", headers=HTTP))
                return secured.recv(12), secured.session
        except OSError:  # an alert or a reset, as the race goes
            return b"", None

    answer, session = await asyncio.to_thread(connect, None)
    assert answer == b"HTTP/1.1 200"
    assert session is not None
    Authority(tmp_path / "others", "others").file.replace(clients.file)
    await asyncio.to_thread(tls.files.refresh)
    assert tls.files.problem is None
    assert (await asyncio.to_thread(connect, session))[0] == b""
    assert len(listener.intake.requests) == 1


async def test_old_versions_of_tls_are_not_spoken(listeners: Listeners, authority: Authority) -> None:
    """TLS 1.2 is the least."""
    listener = await listeners.http(tls=await listener_tls(authority))
    context = authority.client()
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        await posted(listener.port, context)


async def test_a_plaintext_client_is_told_that_the_port_speaks_tls(
    listeners: Listeners, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """Instead of a connection that closes without a word."""
    listener = await listeners.http(tls=await listener_tls(authority))
    answer = await raw_http.request(listener.port, "/v1/traces", b"x" * 100_000, headers=HTTP)
    assert (answer.status, answer.body) == (400, b"this port speaks TLS: use https://\n")
    assert not listener.intake.requests
    assert not caplog.records


@pytest.mark.parametrize("sent", [b"\x16garbage" * 30, b"\x16\x03\x01\x02\x00\x01", b"\x00\xff\xff", b""])
async def test_what_is_neither_costs_nothing_but_a_line(
    listeners: Listeners, authority: Authority, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    """No traceback, and the next client is served."""
    listener = await listeners.http(tls=await listener_tls(authority))
    async with raw_http.connection(listener.port) as wire:
        await wire.write(sent)
        wire.writer.write_eof()
        await wire.closed()
    assert await posted(listener.port, authority.client()) == 200
    assert not [record for record in caplog.records if record.exc_info or record.levelno > logging.WARNING]


async def test_tls_on_a_plain_port_is_answered_and_leaves_no_traceback(
    listeners: Listeners, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """The client's own message says what is wrong."""
    over_http, over_grpc = await listeners.http(), await listeners.grpc()
    with pytest.raises(ssl.SSLError):
        await posted(over_http.port, authority.client())
    assert await called(over_grpc.port, grpc_client(authority)) is grpc.StatusCode.UNAVAILABLE
    assert not [record for record in caplog.records if record.exc_info]


async def test_stop_ends_handshakes_that_are_not_over(listeners: Listeners, authority: Authority) -> None:
    """Who has connected and says nothing holds up no stop."""
    listener = await listeners.http(tls=await listener_tls(authority))
    async with raw_http.connection(listener.port) as silent, raw_http.connection(listener.port) as half:
        await half.write(b"\x16\x03\x01")
        assert await posted(listener.port, authority.client()) == 200  # both of before were accepted
        async with asyncio.timeout(5):
            await listener.server.stop(5.0)
        assert await silent.closed() == await half.closed() == b""
