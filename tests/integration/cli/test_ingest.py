"""``otlp-receiver ingest`` against a running receiver, and against a data directory."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from receiver.signals import Signal
from tests.support.command_line import clean_environment, otlp_receiver
from tests.support.receiver_process import ReceiverProcess
from tests.support.session_files import otlp_line, trace_dict, usual_session


def files(folder: Path) -> list[Path]:
    """Return a transcript, traces and lines of a Collector."""
    found = {
        "session": usual_session().data,
        "traces": json.dumps({"traces": [trace_dict(1)]}).encode(),
        "lines": otlp_line(Signal.LOGS, 1) + otlp_line(Signal.METRICS, 2),
    }
    for name, data in found.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in found]


def test_files_are_stored_by_the_running_receiver_once(tmp_path: Path) -> None:
    """The second reading stores nothing, and what is stored can be asked for."""
    some = files(tmp_path)
    with ReceiverProcess(tmp_path / "data") as receiver:
        command: tuple[str | Path, ...] = ("ingest", *some, "--endpoint", receiver.query, "--json")
        first = json.loads(otlp_receiver(*command, folder=tmp_path).stdout)
        second = json.loads(otlp_receiver(*command, folder=tmp_path).stdout)
        receiver.flush()
        logs = receiver.get("/logs")
        found = receiver.get("/traces", service="claude-code")
    assert first["totals"]["records"] == {"spans": 12, "log_records": 1, "metric_points": 1}
    assert (second["totals"]["units_stored"], second["totals"]["duplicates"]) == (0, 14)
    assert len(found["traces"]) == 1
    assert len(logs["logs"]) == 1


def test_files_are_stored_in_a_data_directory_without_a_receiver(tmp_path: Path) -> None:
    """Problems are said on standard error with exit code 1; the rest is stored all the same."""
    command: tuple[str | Path, ...] = (
        "ingest",
        *files(tmp_path),
        tmp_path / "none",
        "--data-dir",
        tmp_path / "data",
    )
    ended = otlp_receiver(*command, folder=tmp_path)
    assert (ended.returncode, ended.stderr) == (1, f"{tmp_path / 'none'}: there is no such file\n")
    assert ended.stdout.splitlines()[-1] == (
        "4 files, 12 new spans, 1 new log record, 1 new metric point, 1 file with problems; the rest is stored"
    )
    again = otlp_receiver(*command[:-3], "--data-dir", tmp_path / "data", folder=tmp_path)
    assert (again.returncode, again.stdout.splitlines()[-1]) == (0, "3 files, nothing new, 14 duplicates")


def test_without_files_the_usual_places_are_named(tmp_path: Path) -> None:
    """Nothing is read that was not named."""
    ended = otlp_receiver("ingest", folder=tmp_path)
    assert ended.returncode == 2
    assert "~/.claude/projects" in ended.stderr


def test_a_file_is_followed_until_the_signal(tmp_path: Path) -> None:
    """New lines are told as they are stored, and the end is in order."""
    path = tmp_path / "otel.jsonl"
    path.write_bytes(otlp_line(Signal.LOGS, 1))
    command = [
        sys.executable,
        "-m",
        "receiver",
        "ingest",
        "-f",
        str(path),
        "--json",
        "--data-dir",
        str(tmp_path / "d"),
    ]
    with subprocess.Popen(
        command, cwd=tmp_path, env=clean_environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["records"] == {"log_records": 1}
            with path.open("ab") as out:
                out.write(otlp_line(Signal.LOGS, 2))
            assert json.loads(process.stdout.readline())["records"] == {"log_records": 2}
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()
