"""Files and folders stored through an access, once and with a report."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import zstandard
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from receiver.app.request_reader import DecodingRequestReader
from receiver.errors import MalformedRequestError, RetryableError
from receiver.ports import ImportOutcome, ImportUnit
from receiver.signals import Signal
from receiver.sources import ingest
from receiver.sources.ingest import FileProgress, ingest_files
from receiver.sources.ingest_report import FileReport, IngestReport
from tests.support.session_files import KeptUnits, otlp_line, spans_of, trace_dict, usual_session


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a file of every kind, and some that are none."""
    project = tmp_path / "projects" / "-projects-shop"
    project.mkdir(parents=True)
    (project / "0b6e0a3c.jsonl").write_bytes(usual_session().data)
    (project / "traces.json").write_text(json.dumps([trace_dict(1), trace_dict(2)]))
    lines = b"".join(otlp_line(signal, number) for number, signal in enumerate(Signal))
    (project / "otel.log.zst").write_bytes(zstandard.compress(lines))
    (project / "agent.meta.json").write_text('{"agentType": "Explore"}')
    (project / "notes.txt").write_text("not looked at")
    return tmp_path


async def stored(paths: Sequence[Path | str], access: KeptUnits, **more: object) -> IngestReport:
    """Return the report of reading some paths."""
    return await ingest_files(paths, access, requests=DecodingRequestReader(), **more)  # type: ignore[arg-type]


async def test_a_folder_is_read_with_all_below_it(folder: Path) -> None:
    """Files of known formats are stored; what else lies there is left out and no problem."""
    report = await stored([folder], access := KeptUnits())
    by_name = {Path(file.path).name: file for file in report.files}
    assert {name: file.format for name, file in by_name.items()} == {
        "0b6e0a3c.jsonl": "claude_code", "traces.json": "traces", "otel.log.zst": "otlp_json", "agent.meta.json": None,
    }  # fmt: skip
    assert report.ok
    assert by_name["agent.meta.json"].skipped.startswith("its format is unknown")
    assert report.records == {"spans": 11 + 2 + 1, "log_records": 1, "metric_points": 1}
    assert report.units_stored == len(access.units) == 16
    assert report.sessions == ["0b6e0a3c-6c58-4c65-a1b7-64f2d2f3f8aa"]


async def test_a_file_that_is_read_twice_adds_nothing(folder: Path) -> None:
    """Not under its own name, not under another one, not compressed."""
    await stored([folder], access := KeptUnits())
    before = dict(access.units)
    source = folder / "projects" / "-projects-shop" / "0b6e0a3c.jsonl"
    shutil.copy(source, folder / "moved")
    (folder / "packed").write_bytes(zstandard.compress(source.read_bytes()))
    report = await stored([folder, folder / "moved", folder / "packed"], access)
    assert (report.units_stored, report.duplicates) == (0, 16 + 11 + 11)
    assert access.units == before


async def test_a_problem_of_one_file_ends_no_other(folder: Path) -> None:
    """Missing, empty, binary and unknown files that were named are problems; the others are stored."""
    for name, data in {"empty": b"", "binary": b"\0\1", "unknown": b"words"}.items():
        (folder / name).write_bytes(data)
    named = [folder / name for name in ("none", "empty", "binary", "unknown")]
    good = folder / "projects" / "-projects-shop" / "traces.json"
    report = await stored([*named, good], KeptUnits())
    assert [file.ok for file in report.files] == [False] * 4 + [True]
    assert [file.problems[0].message.partition(";")[0] for file in report.files[:4]] == [
        "there is no such file", "the file is empty", "it is binary, not text in UTF-8", "its format is unknown",
    ]  # fmt: skip
    assert report.records == {"spans": 2}
    said = report.as_json()
    assert (said["ok"], said["totals"]["files"]) == (False, 5)


async def test_a_path_that_cannot_be_looked_at_ends_no_other(folder: Path) -> None:
    """Names that are too long, home folders of nobody and zero bytes are problems of their own."""
    odd = ["x" * 5000, "~no-such-user/a.jsonl", "a\0b"]
    good = folder / "projects" / "-projects-shop" / "traces.json"
    report = await stored([*odd, good], KeptUnits())
    assert [file.ok for file in report.files] == [False] * 3 + [True]
    assert report.records == {"spans": 2}


async def test_patterns_and_the_home_folder_are_understood(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``~`` and ``**`` work without a shell; a pattern without a match is a problem."""
    monkeypatch.setenv("HOME", str(folder))
    report = await stored(["~/projects/**/*.jsonl", "~/nothing/*.jsonl"], KeptUnits())
    assert [Path(file.path).name for file in report.files] == ["0b6e0a3c.jsonl", "*.jsonl"]
    assert [file.ok for file in report.files] == [True, False]


async def test_the_system_is_written_to_what_does_not_say_it(folder: Path) -> None:
    """``system_id`` is on every resource; keys stay, so a reading without it is the same one."""
    await stored([folder], plain := KeptUnits())
    await stored([folder], named := KeptUnits(), system_id="shop-agents")
    transcripts = [
        unit for unit in named.units.values() if unit.key in plain.units and unit.signal is Signal.TRACES
    ]
    found = [span.resource.get("system_id") for span in spans_of(transcripts)]
    assert found
    assert set(found) == {"shop-agents"}


async def test_progress_rises_to_the_size_of_each_file(folder: Path) -> None:
    """Bytes read of bytes, file by file."""
    told: list[FileProgress] = []
    path = folder / "projects" / "-projects-shop" / "0b6e0a3c.jsonl"
    await stored([path], KeptUnits(), progress=told.append)
    size = path.stat().st_size
    assert [each.bytes_read for each in told] == sorted(each.bytes_read for each in told)
    assert (told[-1].bytes_read, told[-1].bytes_total, told[-1].files) == (size, size, 1)


class _Busy(KeptUnits):
    """Takes nothing at the first two tries."""

    async def import_units(self, units: Sequence[ImportUnit]) -> ImportOutcome:
        """Refuse twice."""
        if self.calls < 2:
            self.calls += 1
            raise RetryableError("not now")
        return await super().import_units(units)


async def test_what_is_not_taken_now_is_handed_in_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy receiver loses nothing."""
    monkeypatch.setattr(ingest, "_PAUSE_S", 0.0)
    report = await stored([folder], _Busy())
    assert (report.ok, report.units_stored) == (True, 16)


class _Picky(KeptUnits):
    """Refuses calls in which one kind of unit is."""

    async def import_units(self, units: Sequence[ImportUnit]) -> ImportOutcome:
        """Refuse metrics."""
        if any(unit.signal is Signal.METRICS for unit in units):
            raise MalformedRequestError("no request at all")
        return await super().import_units(units)


async def test_a_unit_that_is_refused_costs_no_other_one(folder: Path) -> None:
    """The others of its batch are stored, and the file has a problem."""
    report = await stored([folder], _Picky())
    assert report.units_stored == 15
    assert [file.problems[0].message for file in report.files if not file.ok] == ["no request at all"]


def test_a_unit_keeps_its_key_and_its_own_system() -> None:
    """Only resources without a system get one."""
    request = ExportTraceServiceRequest()
    request.resource_spans.add().resource.attributes.add(key="system_id").value.string_value = "mine"
    request.resource_spans.add()
    unit = ingest.with_system(ImportUnit(b"k" * 16, Signal.TRACES, request.SerializeToString()), "other")
    found = ExportTraceServiceRequest.FromString(unit.payload).resource_spans
    assert unit.key == b"k" * 16
    assert [group.resource.attributes[0].value.string_value for group in found] == ["mine", "other"]


def test_an_empty_report_is_fine() -> None:
    """Nothing was to be read, and all of it was."""
    assert IngestReport().ok
    assert FileReport("x").as_json()["records"] == {}
