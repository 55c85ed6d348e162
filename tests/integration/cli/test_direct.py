"""The query commands where no receiver runs: they read the data directory."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from receiver.ports import Outcome, SpoolEntry
from receiver.signals import Signal
from receiver.spool.sqlite_spool import SqliteSpool
from tests.integration.cli.conftest import TRACE, send_records
from tests.support.command_line import otlp_receiver
from tests.support.receiver_process import ReceiverProcess

OFF = {"OTLP_RECEIVER_EMBED__ENABLED": "false"}


@pytest.fixture
def nobody() -> Iterator[str]:
    """Give an address where nobody answers: bound, not listening."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def test_the_file_gives_the_answers_of_the_server(tmp_path: Path) -> None:
    """Both go through the same query service; the file answers after a kill -9 too."""
    commands = [
        ("traces",),
        ("trace", TRACE),
        ("services",),
        ("logs",),
        ("metrics", "queue.depth"),
        ("search", "card"),
    ]
    with ReceiverProcess(tmp_path / "data") as receiver:
        send_records(receiver)
        asked = [
            otlp_receiver(*each, "--json", "--endpoint", receiver.query, folder=tmp_path).stdout
            for each in commands
        ]
        receiver.kill()
    for command, answer in zip(commands, asked, strict=True):
        direct = otlp_receiver(*command, "--json", "--data-dir", "data", folder=tmp_path, environment=OFF)
        assert direct.returncode == 0, direct.stderr
        assert json.loads(direct.stdout) == json.loads(answer)


def test_the_configured_data_directory_is_found(stored: Path, nobody: str) -> None:
    """Where nobody answers, ./data is read, and that is said on standard error."""
    ended = otlp_receiver(
        "services", "--endpoint", nobody, "--data-dir", stored, folder=stored.parent, environment=OFF
    )
    assert "shop" in ended.stdout
    assert ended.stderr.startswith(f"note: no receiver answers at {nobody}")
    assert "; reading " in ended.stderr


def test_reading_changes_no_file(stored: Path, tmp_path: Path) -> None:
    """Database and spool are only read: no byte is another one and no file is new, nor looks like a crash."""
    folder = tmp_path / "data"
    shutil.copytree(stored, folder)
    before = {file: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    for command in (("stats",), ("search", "card"), ("sql", "SELECT 1")):
        assert otlp_receiver(*command, "--data-dir", folder, folder=tmp_path, environment=OFF).returncode == 0
    assert {file: file.read_bytes() for file in folder.iterdir() if file.is_file()} == before


def test_sql_is_as_restricted_as_on_the_server(stored: Path, tmp_path: Path) -> None:
    """The file is read-only in every sense: no other file can be reached through it."""
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,2\n")
    for query in (f"SELECT * FROM '{secret}'", f"SELECT * FROM read_csv('{secret}')", "DELETE FROM spans"):
        ended = otlp_receiver("sql", query, "--data-dir", stored, folder=tmp_path)
        assert (ended.returncode, ended.stdout) == (1, "")


def test_requests_in_the_spool_are_counted_and_a_held_store_is_not_ready(
    stored: Path, tmp_path: Path
) -> None:
    """What was acknowledged and is not in the file yet is said, so that nobody takes the answer for all there is."""
    folder = tmp_path / "data"
    shutil.copytree(stored, folder)
    held = duckdb.connect(str(folder / "telemetry.duckdb"))
    try:
        with ReceiverProcess(folder) as receiver:
            for name in ("one", "two"):
                span = {"traceId": TRACE, "spanId": "00000000000000c1", "name": name}
                body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
                assert receiver.send("/v1/traces", json.dumps(body).encode()).status == 200
            health = otlp_receiver("healthcheck", "--endpoint", receiver.query, folder=tmp_path)
            receiver.kill()
    finally:
        held.close()
    assert health.returncode == 1
    assert health.stdout.startswith("not ready: ")
    ended = otlp_receiver("stats", "--json", "--data-dir", folder, folder=tmp_path, environment=OFF)
    assert json.loads(ended.stdout)["records"]["spans"] == 2
    assert ended.stderr == (
        "note: 2 acknowledged requests in the spool are stored at the next start of the receiver\n"
    )


def test_the_file_of_a_running_receiver_is_not_opened(tmp_path: Path, nobody: str) -> None:
    """The message says who has it, not that DuckDB could not get a lock."""
    with ReceiverProcess(tmp_path / "data") as receiver:
        receiver.flush()
        ended = otlp_receiver("stats", "--data-dir", "data", "--endpoint", nobody, folder=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        "error: a running receiver holds data/telemetry.duckdb; ask it: --endpoint names its query listener"
    )


def test_a_file_of_another_schema_is_refused(stored: Path, tmp_path: Path) -> None:
    """Answers from tables of another shape would be wrong or fail anywhere."""
    folder = tmp_path / "data"
    shutil.copytree(stored, folder)
    with duckdb.connect(str(folder / "telemetry.duckdb")) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES (999, now())")
    ended = otlp_receiver("stats", "--data-dir", folder, folder=tmp_path, environment=OFF)
    assert ended.returncode == 1
    assert "has schema version 999" in ended.stderr


def test_a_folder_without_a_database_is_named(tmp_path: Path) -> None:
    """A wrong --data-dir is a line, and no file comes into being."""
    ended = otlp_receiver("stats", "--data-dir", "nothing", folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert (
        ended.stderr == "error: there is no database at nothing/telemetry.duckdb; name another --data-dir\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_requeue_changes_the_spool_of_a_receiver_that_does_not_run(tmp_path: Path) -> None:
    """The request is in the queue again, byte for byte, for the next start."""
    folder = tmp_path / "data"
    spool = SqliteSpool(folder / "spool.db")
    entry = SpoolEntry(signal=Signal.TRACES, payload=b"bytes", records=1, key=b"k" * 16, outcome=Outcome())
    (sequence,) = spool.append([entry])
    spool.quarantine(sequence, "cannot be loaded")
    spool.close()
    ended = otlp_receiver("requeue", "--data-dir", folder, folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (0, "1 request put back into the queue\n")
    spool = SqliteSpool(folder / "spool.db")
    assert [each.payload for each in spool.read(0, max_bytes=1000)] == [b"bytes"]
    assert spool.quarantined() == []
    spool.close()


def test_requeue_of_a_running_receivers_spool_is_left_to_it(tmp_path: Path, nobody: str) -> None:
    """Two processes never write one spool."""
    with ReceiverProcess(tmp_path / "data"):
        ended = otlp_receiver("requeue", "--data-dir", "data", "--endpoint", nobody, folder=tmp_path)
    assert ended.returncode == 3
    assert "belongs to a running receiver" in ended.stderr
