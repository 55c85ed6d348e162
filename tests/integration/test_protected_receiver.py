"""A whole receiver behind TLS, client certificates and tokens, and every client of it: real processes, real SDKs."""

from __future__ import annotations

import http.client
import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult

from receiver import Credentials, OtelIngester
from receiver.cli.main import main
from receiver.errors import QueryError, UnauthenticatedError
from tests.support.certificates import Authority
from tests.support.command_line import otlp_receiver
from tests.support.mcp_agent import agent_over_stdio, structured
from tests.support.receiver_process import ReceiverProcess


@dataclass(frozen=True)
class Protected:
    """A running receiver and what its clients need."""

    process: ReceiverProcess
    folder: Path
    authority: Authority
    own: tuple[Path, Path]
    ingest: str
    query: str

    @property
    def url(self) -> str:
        """Return the query listener's address."""
        return f"https://{self.process.query}"

    @property
    def environment(self) -> dict[str, str]:
        """Return what the command line reads from its environment."""
        return {
            "OTLP_RECEIVER_ENDPOINT": self.url,
            "OTLP_RECEIVER_TOKEN": self.query,
            "OTLP_RECEIVER_CA_FILE": str(self.authority.file),
            "OTLP_RECEIVER_CLIENT_CERT": str(self.own[0]),
            "OTLP_RECEIVER_CLIENT_KEY": str(self.own[1]),
        }

    @property
    def credentials(self) -> Credentials:
        """Return what the Python API takes."""
        return Credentials(self.query, str(self.authority.file), str(self.own[0]), str(self.own[1]))

    def ask(self, path: str, token: str | None, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        """Return status, body and headers of the query listener's answer."""
        host, _, port = self.process.query.rpartition(":")
        connection = http.client.HTTPSConnection(
            host, int(port), context=self.authority.client(self.own), timeout=30
        )
        shown = {"authorization": f"Bearer {token}"} if token else {}
        try:
            connection.request("GET", path, headers=shown | headers)
            answer = connection.getresponse()
            return answer.status, answer.read(), {k.lower(): v for k, v in answer.getheaders()}
        finally:
            connection.close()


@pytest.fixture(scope="module")
def protected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Protected]:
    """Give a receiver with everything on."""
    folder = tmp_path_factory.mktemp("protected")
    authority, data = Authority(folder / "pki"), folder / "data"
    chain, key = authority.issue()
    own = authority.issue("client")
    made = [
        otlp_receiver("token", "create", name, *purposes, "--data-dir", data, folder=folder)
        for name, purposes in (("agents", ["--for", "ingest"]), ("people", ["--for", "query"]))
    ]
    ingest, query = (each.stdout.strip() for each in made)
    environment = {
        "OTLP_RECEIVER_TLS__CERT_PATH": str(chain),
        "OTLP_RECEIVER_TLS__KEY_PATH": str(key),
        "OTLP_RECEIVER_TLS__CLIENT_CA_PATH": str(authority.file),
        "OTLP_RECEIVER_TLS__RELOAD_INTERVAL_S": "0.1",
        "OTLP_RECEIVER_AUTH__INGEST": "true",
        "OTLP_RECEIVER_AUTH__QUERY": "true",
    }
    umask = os.umask(0)  # what a careless parent leaves
    try:
        with ReceiverProcess(data, environment=environment) as process:
            yield Protected(process, folder, authority, own, ingest, query)
    finally:
        os.umask(umask)


@pytest.fixture
def span() -> Iterator[ReadableSpan]:
    """Give a span of the SDK."""
    provider = TracerProvider()
    made = provider.get_tracer("test").start_span("protected work")
    made.end()
    assert isinstance(made, ReadableSpan)
    yield made
    provider.shutdown()


def exporters(protected: Protected, token: str) -> list[GrpcExporter | HttpExporter]:
    """Return the SDK's exporters with certificate and header, as their documentation has it."""
    chain, key = protected.own
    credentials = grpc.ssl_channel_credentials(
        protected.authority.file.read_bytes(), key.read_bytes(), chain.read_bytes()
    )
    headers = {"authorization": f"Bearer {token}"}
    return [
        GrpcExporter(
            endpoint=f"https://{protected.process.grpc}",
            credentials=credentials,
            headers=tuple(headers.items()),
            timeout=10,
        ),
        HttpExporter(
            endpoint=f"https://{protected.process.http}/v1/traces",
            certificate_file=str(protected.authority.file),
            client_certificate_file=str(chain),
            client_key_file=str(key),
            headers=headers,
            timeout=10,
        ),
    ]


def test_sdk_exporters_send_with_certificate_and_token_and_not_without(
    protected: Protected, span: ReadableSpan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The right token exports over both transports; the one for questions does not, and nobody retries."""
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # the SDK's HTTP client puts these first
        monkeypatch.delenv(variable, raising=False)
    for token, result in (
        (protected.ingest, SpanExportResult.SUCCESS),
        (protected.query, SpanExportResult.FAILURE),
    ):
        for exporter in exporters(protected, token):
            begun = time.monotonic()
            assert exporter.export([span]) is result
            assert time.monotonic() - begun < 5  # no retries
            exporter.shutdown()


def test_the_command_line_asks_with_certificate_and_token(protected: Protected) -> None:
    """From the environment or from files; without a token it says how to give one, and never shows it."""
    run = protected.folder
    asked = otlp_receiver("stats", "--json", folder=run, environment=protected.environment)
    assert asked.returncode == 0, asked.stderr
    assert json.loads(asked.stdout)["server"]["problems"] == []
    file = run / "token"
    file.write_text(f"{protected.query}\n")
    options: list[str | Path] = [
        "--endpoint", protected.url, "--token-file", file, "--ca-file", protected.authority.file,
        "--client-cert", protected.own[0], "--client-key", protected.own[1],
    ]  # fmt: skip
    assert otlp_receiver("services", *options, folder=run).returncode == 0
    assert otlp_receiver("healthcheck", *options, folder=run).stdout == "ready\n"
    without = {**protected.environment, "OTLP_RECEIVER_TOKEN": ""}
    refused = otlp_receiver("services", folder=run, environment=without)
    assert refused.returncode == 1
    assert "wants a bearer token" in refused.stderr
    assert "--token-file" in refused.stderr
    untrusted = {**protected.environment, "OTLP_RECEIVER_CA_FILE": ""}
    refused = otlp_receiver("services", folder=run, environment=untrusted)
    assert refused.returncode == 1
    assert "--ca-file" in refused.stderr


async def test_python_stores_and_searches_there(protected: Protected) -> None:
    """``OtelIngester`` at an https address, with credentials; without them it says what is missing."""
    trace = {"trace_id": "t-1", "spans": [{"name": "refund", "start_time": "2026-01-31T12:00:00Z"}]}
    async with OtelIngester(hot_store_path=protected.url, credentials=protected.credentials) as ingester:
        await ingester.ingest_trace(trace)
        found = await ingester.get_trace_by_id("t-1")
    assert found is not None
    assert found["content"] == "refund"
    shown = repr(protected.credentials)
    assert protected.query not in shown
    missing = Credentials("", *(str(each) for each in (protected.authority.file, *protected.own)))
    with pytest.raises(UnauthenticatedError, match="bearer token"):
        async with OtelIngester(hot_store_path=protected.url, credentials=missing) as ingester:
            await ingester.ingest_trace(trace)
    with pytest.raises(QueryError, match="no TLS"):
        await OtelIngester(hot_store_path=protected.url, credentials=Credentials()).initialize()


async def test_an_agent_asks_over_stdio_with_the_token_of_its_environment(protected: Protected) -> None:
    """``otlp-receiver mcp`` shows the token to the receiver; no tool and no schema knows of it."""
    agent = agent_over_stdio(folder=protected.folder, environment=protected.environment)
    async with agent:
        tools = [tool.model_dump_json() for tool in await agent.list_tools()]
        stats = structured(await agent.call_tool("otel_ingester_stats", {}))
    assert stats["status"] == "healthy"
    assert protected.query not in "".join([*tools, json.dumps(stats)])


def test_only_health_is_open_and_it_tells_nothing(protected: Protected) -> None:
    """Every other path, known or not, is 401 without a token for query."""
    for path in (
        "/api/v1/stats",
        "/api/v1/openapi.json",
        "/metrics",
        "/mcp",
        "/",
        "/nothing",
        "/api/v1/exports/spans",
    ):
        for token in (None, protected.ingest, "wrong"):
            status, body, headers = protected.ask(path, token)
            assert (status, headers["www-authenticate"]) == (401, 'Bearer realm="otlp-receiver"'), path
            assert json.loads(body)["error"]["message"]
    assert json.loads(protected.ask("/healthz", None)[1]) == {"status": "alive"}
    assert json.loads(protected.ask("/readyz", None)[1]) == {"status": "ready", "problems": []}
    assert protected.ask("/api/v1/stats", protected.query)[0] == 200


def test_a_foreign_page_is_refused_before_its_token_is_looked_at(protected: Protected) -> None:
    """Host and Origin come first: a page that has somebody's token gets nothing either."""
    for headers in (
        {"Host": "evil.example"},
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
    ):
        assert protected.ask("/api/v1/stats", protected.query, **headers)[0] == 403


def test_a_revoked_token_is_out_and_a_new_one_in_without_a_restart(
    protected: Protected, capsys: pytest.CaptureFixture[str]
) -> None:
    """The receiver looks at the file every second; the list has names and purposes."""
    data = ["--data-dir", str(protected.process.data_dir)]
    assert main(["token", "create", "guest", "--for", "query", *data]) == 0
    guest = capsys.readouterr().out.strip()
    assert main(["token", "list", *data]) == 0
    listed = capsys.readouterr().out
    assert [line.split()[:2] for line in listed.splitlines()][-1] == ["guest", "query"]
    assert guest not in listed
    until(lambda: protected.ask("/api/v1/stats", guest)[0] == 200)
    assert main(["token", "revoke", "guest", *data]) == 0
    until(lambda: protected.ask("/api/v1/stats", guest)[0] == 401)


def test_a_renewed_certificate_shows_in_the_metrics_and_a_broken_one_too(protected: Protected) -> None:
    """Its end, and whether the newest files are in use."""

    def figure(name: str) -> float:
        text = protected.ask("/metrics", protected.query)[1].decode()
        (line,) = [
            each for each in text.splitlines() if each.startswith(f"otlp_receiver_certificate_{name} ")
        ]
        return float(line.rpartition(" ")[2])

    assert figure("expiry_timestamp_seconds") > time.time()
    chain = protected.authority.folder / "server.pem"
    good = chain.read_bytes()
    chain.write_bytes(b"half of a certif")
    until(lambda: figure("reload_failed") == 1)
    chain.write_bytes(good)
    until(lambda: figure("reload_failed") == 0)
    assert "the old one stays" in protected.process.log


def test_no_secret_is_in_any_place_that_others_see(protected: Protected) -> None:
    """Not in the log, the settings in effect, the statistics, the metrics, the command lines or the output."""
    checked = otlp_receiver(
        "check-config",
        folder=protected.folder,
        environment={**protected.environment, "OTLP_RECEIVER_DATA_DIR": str(protected.process.data_dir)},
    )
    assert checked.returncode == 0
    pids = [protected.process.pid]
    places = [
        checked.stdout,
        checked.stderr,
        protected.process.log,
        *(
            protected.ask(path, protected.query)[1].decode()
            for path in ("/api/v1/stats", "/metrics", "/readyz")
        ),
        *(Path(f"/proc/{pid}/cmdline").read_text() for pid in pids),
        (protected.process.data_dir / "tokens").read_text(),
    ]
    key = protected.authority.folder.joinpath("server.key").read_text().splitlines()[1]
    for place in places:
        for secret in (protected.ingest, protected.query, key):
            assert secret not in place


def test_every_file_of_the_receiver_is_its_owners_alone(protected: Protected) -> None:
    """Whatever the umask of who started it: folders 0700, files 0600."""
    found = {
        path.relative_to(protected.process.data_dir): stat.S_IMODE(path.stat().st_mode)
        for path in protected.process.data_dir.rglob("*")
    }
    names = {str(path) for path in found}
    assert {"spool.db", "spool.db-wal", "spool.db.lock", "telemetry.duckdb", "tokens"} <= names
    modes = {
        str(path): oct(mode)
        for path, mode in found.items()
        if mode != (0o700 if (protected.process.data_dir / path).is_dir() else 0o600)
    }
    assert not modes
    assert stat.S_IMODE(protected.process.data_dir.stat().st_mode) == 0o700


def until(holds: Callable[[], bool]) -> None:
    """Return when it holds; fail if it does not within 20 s."""
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
