"""``doctor`` finds what is wrong, says what to do about it, and changes nothing."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from receiver.app.doctor import examine
from receiver.app.findings import Finding
from receiver.client.server import Server
from receiver.config import Settings
from receiver.spool import SqliteSpool
from tests.integration.cli.conftest import send_records
from tests.support.command_line import otlp_receiver
from tests.support.receiver_process import ReceiverProcess
from tests.support.spool_entries import make_entry

_ENVIRONMENT = {
    "OTLP_RECEIVER_EMBED__ENABLED": "false",
    **{f"OTLP_RECEIVER_LISTEN__{name}_ENDPOINT": "" for name in ("GRPC", "HTTP")},
}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory whose receiver was asked by the doctor, and then stopped."""
    folder = tmp_path_factory.mktemp("doctor")
    with ReceiverProcess(folder / "data") as receiver:
        send_records(receiver)
        found = otlp_receiver(
            "doctor", "--data-dir", folder / "data", "--endpoint", f"http://{receiver.query}",
            folder=folder, environment=_ENVIRONMENT,
        )  # fmt: skip
        assert receiver.stop().exit_code == 0
    (folder / "said").write_text(f"{found.returncode}\n{found.stdout}{found.stderr}")
    return folder / "data"


def test_a_receiver_that_runs_is_asked(stopped: Path) -> None:
    """It says that it is ready, what it holds and what waits; nothing is a problem."""
    said = stopped.with_name("said").read_text()
    assert said.startswith("0\n"), said
    assert "ok       receiver     ready at http://localhost:" in said
    assert "2 spans" in said
    assert "0 not stored yet" in said
    assert "0 problems, 0 warnings" in said


def test_a_sound_directory_is_well_and_nothing_is_changed(stopped: Path, tmp_path: Path) -> None:
    """Exit code 0, a finding for each thing, the same in JSON; every file stays as it was to the byte."""
    data = tmp_path / "data"
    shutil.copytree(stopped, data)
    data.chmod(0o700)
    before = _state(data)
    found = otlp_receiver(
        "doctor", "--data-dir", data, "--deep", "--json", folder=tmp_path, environment=_ENVIRONMENT
    )
    assert found.returncode == 0, found.stdout + found.stderr
    told = json.loads(found.stdout)
    assert (told["problems"], told["warnings"]) == (0, 0), told
    assert {each["subject"] for each in told["findings"]} == {
        "settings", "data", "disk", "permissions", "ports", "spool", "store", "index", "model", "decoder", "open files", "clock",
    }  # fmt: skip
    assert _state(data) == before


def _no_database(path: Path) -> None:
    (path / "telemetry.duckdb").write_bytes(b"not a database at all")


def _missing_database(path: Path) -> None:
    (path / "telemetry.duckdb").unlink()


def _damaged_request(path: Path) -> None:
    spool = SqliteSpool(path / "spool.db")
    spool.append([make_entry(1)])
    spool.close()
    with closing(sqlite3.connect(path / "spool.db")) as connection:
        connection.execute("UPDATE payloads SET payload = x'00'")
        connection.commit()


def _older_spool(path: Path) -> None:
    with closing(sqlite3.connect(path / "spool.db")) as connection:
        for table in ("keys", "requests", "quarantine"):
            connection.execute(f"DELETE FROM {table}")
        connection.execute("UPDATE sqlite_sequence SET seq = 1")
        connection.commit()


def _quarantined(path: Path) -> None:
    spool = SqliteSpool(path / "spool.db")
    (sequence,) = spool.append([make_entry(1)])
    spool.quarantine(sequence, "\x1b[31mhostile")
    spool.close()


def _open_to_others(path: Path) -> None:
    (path / "spool.db").chmod(0o644)


def _not_an_index(path: Path) -> None:
    (path / "vectors.usearch").write_bytes(b"\x1b]0;title\x07\n")


def _cut_restore(path: Path) -> None:
    (path / "restore.plan").write_text("{}")


@pytest.mark.parametrize(
    ("harm", "finding", "words"),
    [
        (_no_database, ("problem", "store"), "is not a database of a receiver"),
        (_missing_database, ("problem", "store"), "is gone"),
        (_damaged_request, ("problem", "spool"), "1 waiting requests are damaged"),
        (_older_spool, ("problem", "store"), "position"),
        (_cut_restore, ("problem", "data"), "a restore was cut short"),
        (_quarantined, ("warning", "quarantine"), "1 requests were accepted"),
        (_open_to_others, ("warning", "permissions"), "mode 0644"),
        (_not_an_index, ("warning", "index"), "is not an index"),
    ],
)
def test_harm_is_found_and_advice_given(
    stopped: Path, tmp_path: Path, harm: Callable[[Path], None], finding: tuple[str, str], words: str
) -> None:
    """Each kind of harm is one finding of the right weight that says what to do."""
    data = tmp_path / "data"
    shutil.copytree(stopped, data)
    data.chmod(0o700)
    harm(data)
    before = _state(data)
    wrong = [each for each in _examined(data) if each.level != "ok" and words in each.text]
    assert [(each.level, each.subject) for each in wrong] == [finding]
    assert wrong[0].advice
    assert _state(data) == before


def test_hostile_names_reach_no_terminal(tmp_path: Path) -> None:
    """What files are called is shown with escapes, and a problem makes the exit code 1."""
    data = tmp_path / "da\x1b[31mta"
    data.mkdir(mode=0o700)
    (data / "restore.plan").write_text("{}")
    found = otlp_receiver("doctor", "--data-dir", data, folder=tmp_path, environment=_ENVIRONMENT)
    assert found.returncode == 1, found.stdout + found.stderr
    assert "\x1b" not in found.stdout + found.stderr
    assert "da\\x1b[31mta" in found.stdout


def _examined(data_dir: Path) -> list[Finding]:
    none = {"grpc_endpoint": "", "http_endpoint": "", "query_endpoint": ""}
    settings = Settings.model_validate({"data_dir": str(data_dir), "listen": none})
    return list(examine(settings, Server("http://localhost:1")))


def _state(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        each.name: (each.stat().st_mode, each.stat().st_mtime_ns, each.read_bytes())
        for each in folder.iterdir()
        if each.is_file()
    }
