"""Files of every kind and in every state."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
import zstandard

from receiver.app.request_reader import DecodingRequestReader
from receiver.ports import ImportUnit
from receiver.signals import Signal
from receiver.sources.collector.otlp_messages import record_count
from receiver.sources.formats import ReadingContext
from receiver.sources.reader import file_batches, open_file
from receiver.sources.reading import FileReading
from tests.support.otlp_requests import make_span, traces
from tests.support.session_files import otlp_line, trace_dict, usual_session


def read(path: Path, *, now_s: float | None = None) -> tuple[FileReading, list[ImportUnit]]:
    """Return what a file holds."""
    reading = FileReading(str(path), ReadingContext(DecodingRequestReader()))
    units = [unit for batch in file_batches(path, reading, now_s=now_s) for unit in batch.units]
    return reading, units


def written(folder: Path, data: bytes, name: str = "file") -> Path:
    """Return a file with this content; its name says nothing."""
    path = folder / name
    path.write_bytes(data)
    return path


def problems(reading: FileReading) -> list[str]:
    """Return what is wrong with a file."""
    return [str(each) for each in reading.problems.listed]


TRACES = [trace_dict(number) for number in range(3)]
LINES = b"".join(otlp_line(Signal.TRACES, number) for number in range(3))
WHOLE = {
    "resourceSpans": [
        resource
        for number in range(3)
        for resource in json.loads(otlp_line(Signal.TRACES, number))["resourceSpans"]
    ]
}


@pytest.mark.parametrize(
    ("data", "name", "units"),
    [
        (usual_session().data, "claude_code", 11),
        (json.dumps(TRACES).encode(), "traces", 3),
        (json.dumps(TRACES, indent=2).encode(), "traces", 3),
        (json.dumps({"version": 1, "traces": TRACES}).encode(), "traces", 3),
        (json.dumps({"data": TRACES}, indent=4).encode(), "traces", 3),
        (json.dumps({"traces": []}).encode(), "traces", 0),
        (b"".join(json.dumps(each).encode() + b"\n" for each in TRACES), "traces", 3),
        (json.dumps(TRACES[0], indent=2).encode(), "traces", 1),
        (LINES, "otlp_json", 3),
        (b"\xef\xbb\xbf" + LINES, "otlp_json", 3),
        (LINES.replace(b"\n", b"\r\n\r\n"), "otlp_json", 3),
        (json.dumps(WHOLE, indent=2).encode(), "otlp_json", 3),
        (json.dumps(WHOLE).encode(), "otlp_json", 1),
    ],
)  # fmt: skip
def test_a_format_is_found_by_content(tmp_path: Path, data: bytes, name: str, units: int) -> None:
    """Whatever a file is called, it is read as what it is; compressed ones are too."""
    for packed in (data, gzip.compress(data), zstandard.compress(data)):
        reading, found = read(written(tmp_path, packed))
        assert (reading.format.name if reading.format else None, problems(reading)) == (name, [])
        assert len(found) == units


@pytest.mark.parametrize("signal", Signal)
def test_the_collectors_lines_are_read_for_every_signal(tmp_path: Path, signal: Signal) -> None:
    """A line is a unit of its signal with all its records; the same line has the same key in every file."""
    lines = [otlp_line(signal, number) for number in range(4)]
    _, found = read(written(tmp_path, b"".join(lines)))
    assert [unit.signal for unit in found] == [signal] * 4
    assert [record_count(unit) for unit in found] == [1] * 4
    _, rotated = read(written(tmp_path, b"".join(lines[2:]), "other"))
    assert rotated == found[2:]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("proto", [False, True])
def test_the_collectors_messages_with_their_length_are_read(
    tmp_path: Path, proto: bool, packed: bool
) -> None:
    """Protobuf, and what the Collector compressed message by message."""
    plain = traces(make_span(1), make_span(2)) if proto else otlp_line(Signal.LOGS, 1).strip()
    message = zstandard.compress(plain) if packed else plain
    if not proto and not packed:
        return  # such lines have no length in front
    data = (len(message).to_bytes(4, "big") + message) * 2
    reading, found = read(written(tmp_path, data))
    assert (reading.format.name if reading.format else None, problems(reading)) == ("otlp_proto", [])
    assert {unit.signal for unit in found} == {Signal.TRACES if proto else Signal.LOGS}
    reading, found = read(written(tmp_path, data[:-3]))
    assert problems(reading) == ["unfinished message at the end, read again when it is complete"]
    assert len(found) == 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"\x00\x01\x02" * 100, "binary"),
        ("Grüße\n".encode("latin-1"), "binary"),
        (b"plain words\n", "its format is unknown; known are: "),
        (b'{"some": "json"}\n', "a transcript of Claude Code"),
        (b"[1, 2]", "its format is unknown"),
    ],
)
def test_a_file_that_is_not_for_us_says_why(tmp_path: Path, data: bytes, said: str) -> None:
    """Empty, binary and unknown files give one clear problem and no unit."""
    reading, found = read(written(tmp_path, data))
    assert found == []
    (problem,) = problems(reading)
    assert said in problem


def test_what_is_no_file_says_why(tmp_path: Path) -> None:
    """Missing files, folders and pipes are problems, and nothing waits for them."""
    os.mkfifo(tmp_path / "pipe")
    said = [problems(read(path)[0]) for path in (tmp_path / "none", tmp_path, tmp_path / "pipe")]
    assert said == [["there is no such file"], ["it is a folder"], ["it is no regular file"]]


def test_a_half_written_last_line_is_said_and_the_rest_is_read(tmp_path: Path) -> None:
    """What the line may still change stays open while the file is new, and goes out once it is old."""
    data = usual_session().data
    path = written(tmp_path, data[:-40])
    now = path.stat().st_mtime
    reading, young = read(path, now_s=now + 1)
    number = len(data.splitlines())
    assert problems(reading) == [f"line {number}: unfinished line at the end, read again when it is complete"]
    _, old = read(path, now_s=now + 601)
    _, whole = read(written(tmp_path, data))
    assert {u.key for u in young} < {u.key for u in old} < {u.key for u in whole}
    assert [unit for unit in whole if unit in young] == young


def test_a_last_line_that_only_lacks_its_end_is_read(tmp_path: Path) -> None:
    """Many programs write no line end behind the last line."""
    reading, found = read(written(tmp_path, LINES.rstrip()))
    assert (problems(reading), len(found)) == ([], 3)


def test_bad_lines_are_listed_up_to_ten_and_counted_beyond(tmp_path: Path) -> None:
    """The good lines between them are stored."""
    reading, found = read(
        written(tmp_path, otlp_line(Signal.LOGS, 0) + (b"{broken\n" + otlp_line(Signal.LOGS, 1)) * 12)
    )
    assert [each.line for each in reading.problems.listed] == list(range(2, 22, 2))
    assert reading.problems.more == 2
    assert len(found) == 13


def test_records_that_no_receiver_takes_are_told_with_their_line(tmp_path: Path) -> None:
    """Of a request with a span without an id the others are stored."""
    good = json.loads(otlp_line(Signal.TRACES, 0))
    spans = good["resourceSpans"][0]["scopeSpans"][0]["spans"]
    spans.append({**spans[0], "spanId": ""})
    data = otlp_line(Signal.TRACES, 1) + json.dumps(good).encode() + b"\n"
    reading, (_, unit) = read(written(tmp_path, data))
    assert record_count(unit) == 1
    (problem,) = problems(reading)
    assert problem.startswith("line 2: 1 spans not stored")


def test_a_document_that_breaks_off_gives_what_came_before(tmp_path: Path) -> None:
    """Elements before the break are stored, and the break is said."""
    whole = json.dumps({"traces": TRACES})
    for end in (len(whole) - 1, len(whole) - 30):
        reading, found = read(written(tmp_path, whole[:end].encode()))
        assert len(found) in {2, 3}
        assert problems(reading) == [f"the JSON breaks off behind element {len(found)}"]


def test_an_element_that_is_no_trace_costs_no_other_one(tmp_path: Path) -> None:
    """It is named by its place."""
    reading, found = read(
        written(tmp_path, json.dumps([TRACES[0], {"trace_id": "x"}, 7, TRACES[1]]).encode())
    )
    assert len(found) == 2
    assert [problem.partition(":")[0] for problem in problems(reading)] == ["element 2", "element 3"]


def test_a_damaged_archive_gives_what_came_before(tmp_path: Path) -> None:
    """What could be unpacked is stored."""
    lines = [otlp_line(Signal.LOGS, number, noise=os.urandom(600).hex()) for number in range(4_000)]
    packed = gzip.compress(b"".join(lines))
    reading, found = read(written(tmp_path, packed[: len(packed) * 3 // 4]))
    assert "the compressed file breaks off or is damaged" in problems(reading)[0]
    assert 1_000 < len(found) < 4_000


def test_a_line_beyond_the_limit_is_skipped(tmp_path: Path) -> None:
    """It is a problem with its size, its neighbours are stored, and it is never held whole."""
    path = tmp_path / "file"
    with path.open("wb") as out:
        out.write(otlp_line(Signal.LOGS, 0))
        for _ in range(65):
            out.write(b"x" * (1 << 20))
        out.write(b"\n" + otlp_line(Signal.LOGS, 1))
    reading, found = read(path)
    assert len(found) == 2
    assert [each.line for each in reading.problems.listed] == [2]
    assert "68,157,440 bytes" in problems(reading)[0]


def test_reading_takes_no_more_memory_for_a_longer_file(tmp_path: Path) -> None:
    """Batches are handed out while the file is read; nothing grows with it."""

    def peak(sessions: int) -> int:
        path = tmp_path / f"{sessions}"
        with path.open("wb") as out:
            for number in range(sessions):
                out.write(usual_session().data.replace(b"0b6e0a3c", f"{number:08x}".encode()))
        reading = FileReading(str(path), ReadingContext(DecodingRequestReader()))
        tracemalloc.start()
        total = sum(len(batch.units) for batch in file_batches(path, reading))
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert total >= sessions
        return highest

    short, long = peak(150), peak(450)
    assert long < short * 1.6


def test_reading_ends_where_it_would_wait(tmp_path: Path) -> None:
    """What only looks like a regular file (/proc/kmsg) is read as far as it goes, and not waited for."""
    (tmp_path / "file").write_bytes(b"x")
    raw, _ = open_file(tmp_path / "file")
    with raw:
        assert not os.get_blocking(raw.fileno())


def test_a_file_that_this_process_writes_is_not_opened(tmp_path: Path) -> None:
    """Closing a second handle of it would give up the locks of the spool and of the database."""
    path = written(tmp_path, b"{}", "spool.db")
    link = tmp_path / "link.jsonl"
    link.symlink_to(path)
    take = f"import fcntl; fcntl.lockf(open({str(path)!r}, 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    with path.open("r+b") as ours:
        fcntl.lockf(ours, fcntl.LOCK_EX)
        for name in (path, link):
            assert problems(read(name)[0]) == ["it is a file of the receiver itself"]
        other = subprocess.run([sys.executable, "-c", take], capture_output=True, text=True, check=False)
        assert "BlockingIOError" in other.stderr
    with path.open("rb"):
        open_file(path)[0].close()
