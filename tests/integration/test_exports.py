"""What is exported and imported again is what was stored: files of both formats, read into an empty receiver."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.api import exports
from receiver.app.embedded import EmbeddedReceiver
from receiver.app.request_reader import DecodingRequestReader
from receiver.config import EmbedConfig, Settings
from receiver.errors import ConfigError
from receiver.signals import Signal
from receiver.sinks.export import ExportFormat, export_records
from receiver.sources.formats import EXPORTED
from receiver.sources.ingest import ingest_files
from tests.support.command_line import otlp_receiver
from tests.support.otlp_requests import make_gauge, make_span, metrics, traces
from tests.support.otlp_strategies import REQUESTS
from tests.support.receiver_process import ReceiverProcess
from tests.support.session_files import usual_session

_REFERRED_TO = "SELECT DISTINCT * FROM {{0}} WHERE {id} IN (FROM (SELECT {id} FROM {{1}}.spans UNION ALL SELECT {id} FROM"
_REFERRED_TO += " {{1}}.logs UNION ALL SELECT {id} FROM {{1}}.metrics))"
TABLES = {
    **dict.fromkeys(
        (
            "spans",
            "logs",
            "metric_points",
            "histogram_points",
            "exponential_histogram_points",
            "summary_points",
        ),
        "SELECT * FROM {0}",
    ),
    "metrics": "SELECT DISTINCT * FROM {0}",
    "texts": "SELECT DISTINCT text_id, model_text FROM {0}",
    # Those of envelopes without records are not exported.
    "resources": _REFERRED_TO.format(id="resource_id"),
    "scopes": _REFERRED_TO.format(id="scope_id"),
}
"""What of each table must be equal."""


@asynccontextmanager
async def receiver(folder: Path) -> AsyncIterator[EmbeddedReceiver]:
    """Hold a receiver without a model on a folder."""
    opened = await EmbeddedReceiver.open(Settings(data_dir=str(folder), embed=EmbedConfig(enabled=False)))
    try:
        yield opened
    finally:
        await opened.close()


async def send(access: EmbeddedReceiver, signal: Signal, *payloads: bytes) -> None:
    """Hand in requests, those without anything in them too."""
    for payload in payloads:
        await access.export(signal, payload)
    await access.flush()


async def read(access: EmbeddedReceiver, *paths: Path) -> dict[str, int]:
    """Import files; return how many records are new, after all of them were read without a problem."""
    report = await ingest_files(paths, access, requests=DecodingRequestReader(), formats=EXPORTED)
    assert [str(problem) for file in report.files for problem in file.problems] == []
    return dict(report.records)


def differences(one: Path, other: Path) -> dict[str, int]:
    """Return for each table how many rows one of two closed stores has and the other has not."""
    with duckdb.connect() as connection:
        for name, folder in (("a", one), ("b", other)):
            connection.execute(f"ATTACH '{folder / 'telemetry.duckdb'}' AS {name} (READ_ONLY)")
        found = {}
        for table, rows_of in TABLES.items():
            a, b = (rows_of.format(f"{store}.{table}", store) for store in "ab")
            (rows,) = connection.execute(
                f"SELECT count(*) FROM (({a} EXCEPT ALL {b}) UNION ALL ({b} EXCEPT ALL {a}))"
            ).fetchall()[0]
            found[table] = rows
        return found


@pytest.mark.parametrize("file_format", ExportFormat)
@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    requests=st.fixed_dictionaries(
        {signal: st.lists(each, min_size=3, max_size=6) for signal, each in REQUESTS.items()}
    )
)
async def test_an_import_of_an_export_gives_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, file_format: ExportFormat, requests: dict[Signal, list[bytes]]
) -> None:
    """Whatever valid requests hold: every row of every table is the same, and read twice it is there once."""
    folder = tmp_path_factory.mktemp("export")
    async with receiver(folder / "one") as one:
        for signal, payloads in requests.items():
            await send(one, signal, *payloads)
        await export_records(one, folder / "files", file_format=file_format)
    async with receiver(folder / "other") as other:
        await read(other, folder / "files")
        assert await read(other, folder / "files") == {}
        await other.flush()
    assert differences(folder / "one", folder / "other") == dict.fromkeys(TABLES, 0)


async def test_only_what_was_asked_for_is_exported(tmp_path: Path) -> None:
    """A signal, and a range of time whose end does not belong to it; tables without records have no file."""
    async with receiver(tmp_path / "data") as one:
        spans = [
            make_span(n, start_time_unix_nano=n * 10**9, end_time_unix_nano=n * 10**9) for n in range(1, 6)
        ]
        await send(one, Signal.TRACES, traces(*spans))
        await send(one, Signal.METRICS, metrics(make_gauge(1)))
        (file,) = await export_records(
            one,
            tmp_path / "files",
            file_format=ExportFormat.PARQUET,
            signals=[Signal.TRACES, Signal.LOGS],
            since_ns=2 * 10**9,
            until_ns=4 * 10**9,
        )
    assert [each.name for each in (tmp_path / "files").iterdir()] == ["spans.parquet"] == [file.path.name]
    assert pq.read_table(file.path)["start_time_unix_nano"].to_pylist() == [2 * 10**9, 3 * 10**9]
    assert file.path.stat().st_mode & 0o777 == 0o600


async def test_files_of_an_earlier_export_are_kept_unless_it_is_said_otherwise(tmp_path: Path) -> None:
    """Nothing is overwritten by a slip, and nothing half-written has the name of an export."""
    async with receiver(tmp_path / "data") as one:
        await send(one, Signal.TRACES, traces(make_span(1)))
        (first,) = await export_records(one, tmp_path / "files", file_format=ExportFormat.OTLP_JSON)
        await send(one, Signal.TRACES, traces(make_span(2)))
        with pytest.raises(ConfigError, match=r"traces\.jsonl already"):
            await export_records(one, tmp_path / "files", file_format=ExportFormat.OTLP_JSON)
        assert first.path.stat().st_size == first.bytes
        (second,) = await export_records(
            one, tmp_path / "files", file_format=ExportFormat.OTLP_JSON, replace=True
        )
    assert (first.records, second.records) == (1, 2)
    assert [each.name for each in (tmp_path / "files").iterdir()] == ["traces.jsonl"]


async def test_a_file_that_is_no_export_is_a_problem_of_its_own(tmp_path: Path) -> None:
    """Foreign, damaged and other files are told with what to do, and the good one beside them is stored."""
    files = tmp_path / "files"
    async with receiver(tmp_path / "data") as one:
        await send(one, Signal.TRACES, traces(*(make_span(n) for n in range(1, 2000))))
        (good,) = await export_records(one, files, file_format=ExportFormat.PARQUET)
    pq.write_table(pa.table({"x": [1]}), files / "foreign.parquet")
    data = good.path.read_bytes()
    (files / "cut.parquet").write_bytes(data[: len(data) // 2])
    (files / "scrambled.parquet").write_bytes(data[:100] + bytes(2000) + data[2100:])
    (files / "session.jsonl").write_bytes(usual_session().data)
    async with receiver(tmp_path / "other") as other:
        named = sorted(files.iterdir())
        report = await ingest_files(named, other, requests=DecodingRequestReader(), formats=EXPORTED)
    said = {Path(file.path).name: " ".join(map(str, file.problems)) for file in report.files}
    assert "no export" in said["foreign.parquet"]
    assert "damaged" in said["cut.parquet"]
    assert "damaged" in said["scrambled.parquet"]
    assert "OTLP-JSON" in said["session.jsonl"]
    assert said["spans.parquet"] == ""
    assert report.records["spans"] == 1999


def test_commands_export_a_running_receiver_and_import_into_another(tmp_path: Path) -> None:
    """Everything acknowledged before is in the files; what is imported can be asked for."""
    with ReceiverProcess(tmp_path / "one") as one:
        for n in range(3):
            span = {"traceId": f"{n + 1:032x}", "spanId": f"{n + 1:016x}", "name": f"span {n}"}
            body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
            assert one.send("/v1/traces", json.dumps(body).encode()).status == 200
        said = otlp_receiver("export", "files", "--endpoint", one.query, "--json", folder=tmp_path)
        (file,) = json.loads(said.stdout)["files"]
        assert (file["path"], file["records"]) == ("files/spans.parquet", 3)
        lines = otlp_receiver(
            "export", "lines", "--format", "otlp-json", "--endpoint", one.query, folder=tmp_path
        )
        assert (lines.returncode, lines.stdout.split(",")[0]) == (0, "lines/traces.jsonl: 3 spans")
        again = otlp_receiver("export", "files", "--endpoint", one.query, folder=tmp_path)
        assert (again.returncode, "--replace" in again.stderr) == (2, True)
    command = ("import", "files", "--data-dir", "other")
    first, second = (otlp_receiver(*command, folder=tmp_path).stdout.splitlines()[-1] for _ in range(2))
    assert (first, second) == ("1 file, 3 new spans", "1 file, nothing new, 1 duplicate")


def test_one_export_at_a_time_and_who_does_not_read_holds_up_nobody_else(tmp_path: Path) -> None:
    """A second export is told to come again; questions are answered; when the first client leaves it may come."""
    with ReceiverProcess(tmp_path / "data") as one:
        noise = "".join(chr(33 + n * n % 90) for n in range(2_000_000))
        span = {"traceId": "0" * 31 + "1", "spanId": "0" * 15 + "1", "name": noise}
        for n in range(8):
            span["spanId"] = f"{n + 1:016x}"
            body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
            assert one.send("/v1/traces", json.dumps(body).encode()).status == 200
        one.flush()
        first, second = (http.client.HTTPConnection(one.query, timeout=30) for _ in range(2))
        first.request("GET", "/api/v1/exports/spans")
        answer = first.getresponse()  # its body is more than sockets hold, and is not read
        second.request("GET", "/api/v1/exports/spans")
        refused = second.getresponse()
        assert (refused.status, b"another export runs" in refused.read()) == (503, True)
        assert one.get("/traces")["traces"]
        answer.close()
        first.close()
        status = 503
        while status == 503:
            second.request("GET", "/api/v1/exports/logs")
            ended = second.getresponse()
            ended.read()
            status = ended.status
        assert status == 200
        second.request("GET", "/api/v1/exports/secrets")
        unknown = second.getresponse()
        assert (unknown.status, b"there are: spans" in unknown.read()) == (404, True)
        second.close()


async def test_a_client_that_reads_nothing_gives_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that is stopped while it exports keeps its connection, and not the one place of an export."""
    monkeypatch.setattr(exports, "_STALLED_S", 0.05)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def stuck(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(dict(message))

    async with receiver(tmp_path / "data") as access:
        api = exports.Exports(access, time.time_ns)
        await api.send(f"{exports.PATH}spans", {}, receive, stuck)
        await api.send(f"{exports.PATH}spans", {}, receive, send)
    assert (sent[0]["status"], sent[-1].get("more_body")) == (200, None)
