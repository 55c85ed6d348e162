"""The spool's file: who may open it, who may read it, and how large it gets."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from receiver.errors import StartError
from receiver.signals import Signal
from receiver.spool import SqliteSpool
from receiver.spool.spool_schema import WAL_BYTES
from tests.support.power_cut import REPOSITORY
from tests.support.spool_commits import commits_in_log, statements_of
from tests.support.spool_entries import make_entry


def test_a_second_opener_is_told_whose_the_folder_is(tmp_path: Path) -> None:
    """Another process, and this one, get a clear error with the holder's process id; later it is free again."""
    spool = SqliteSpool(tmp_path / "spool.db")
    message = f"{tmp_path} belongs to a running receiver \\(pid {os.getpid()}\\)"
    with pytest.raises(StartError, match=message):
        SqliteSpool(tmp_path / "spool.db")
    program = (
        f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n"
        "from pathlib import Path\n"
        "from receiver.spool import SqliteSpool\n"
        "SqliteSpool(Path('spool.db'))\n"
    )
    other = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert f"belongs to a running receiver (pid {os.getpid()})" in other.stderr
    spool.append([make_entry(1)])
    spool.close()
    SqliteSpool(tmp_path / "spool.db").close()


def test_only_the_owner_can_read_the_files(tmp_path: Path) -> None:
    """Telemetry holds what people typed: every file of the spool has mode 0600."""
    spool = SqliteSpool(tmp_path / "data" / "spool.db")
    try:
        spool.append([make_entry(1)])
        files = sorted((tmp_path / "data").iterdir())
        assert [f.name for f in files] == [
            *("spool.db", "spool.db-shm", "spool.db-wal", "spool.db.lock"),
        ]
        assert {stat.S_IMODE(f.stat().st_mode) for f in files} == {0o600}
    finally:
        spool.close()


def test_a_folder_that_cannot_be_used_is_named_with_what_to_do(tmp_path: Path) -> None:
    """A file where the folder should be: the error names the path and the flag."""
    (tmp_path / "data").write_text("not a folder")
    with pytest.raises(StartError, match=r"data.*--data-dir"):
        SqliteSpool(tmp_path / "data" / "spool.db")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_named_with_what_to_do(tmp_path: Path) -> None:
    """No right to write: the error names the path and the flag."""
    (tmp_path / "data").mkdir(mode=0o500)
    with pytest.raises(StartError, match=r"data.*--data-dir"):
        SqliteSpool(tmp_path / "data" / "spool.db")


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    """Neither another program's database nor another kind of file is opened or changed."""
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as raw:
        raw.execute("CREATE TABLE theirs (x)")
    raw.close()
    with pytest.raises(StartError, match="another program"):
        SqliteSpool(other)
    text = tmp_path / "text.db"
    text.write_bytes(b"words " * 1000)
    with pytest.raises(StartError, match="not a database"):
        SqliteSpool(text)
    assert text.read_bytes() == b"words " * 1000


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    """An older version does not touch a newer one's acknowledged requests."""
    SqliteSpool(tmp_path / "spool.db").close()
    with sqlite3.connect(tmp_path / "spool.db") as raw:
        raw.execute("PRAGMA user_version = 99")
    raw.close()
    with pytest.raises(StartError, match="newer version"):
        SqliteSpool(tmp_path / "spool.db")


def test_a_failed_opening_leaves_the_lock_free(tmp_path: Path) -> None:
    """What failed for another reason does not say at the next try that a receiver is running."""
    path = tmp_path / "spool.db"
    path.write_bytes(b"words " * 1000)
    for _ in range(2):
        with pytest.raises(StartError, match="not a database"):
            SqliteSpool(path)
    path.unlink()
    SqliteSpool(path).close()


def test_the_file_stops_growing_when_space_is_reused(tmp_path: Path) -> None:
    """Over many rounds of appending and removing, file and log reach a size and keep it."""
    path = tmp_path / "spool.db"
    spool = SqliteSpool(path)
    sizes = []
    try:
        for round_number in range(12):
            for step in range(5):
                number = round_number * 100 + step * 8
                spool.append([make_entry(number + n, payload=b"x" * 60_000) for n in range(8)])
            spool.remove_through(spool.statistics().highest_sequence - 8)
            spool.forget_keys(1 << 62)
            spool.maintain()
            sizes.append((path.stat().st_size, (tmp_path / "spool.db-wal").stat().st_size))
    finally:
        spool.close()
    assert sizes[-1] == sizes[4]
    assert path.stat().st_size < 3 * 48 * 64 * 1024


def test_the_log_stays_bounded_under_steady_appends(tmp_path: Path) -> None:
    """With housekeeping between appends, the log starts anew instead of growing for ever."""
    spool = SqliteSpool(tmp_path / "spool.db")
    try:
        for number in range(60):
            spool.append([make_entry(number, payload=b"x" * 4_000_000)])
            if number % 4 == 3:
                spool.remove_through(spool.statistics().highest_sequence)
                spool.maintain()
        assert (tmp_path / "spool.db-wal").stat().st_size <= WAL_BYTES
    finally:
        spool.close()


def test_an_append_is_one_commit_and_a_removal_many_short_ones(tmp_path: Path) -> None:
    """A group costs one sync; an append has to wait for one slice of a large removal at most."""
    file = tmp_path / "spool.db"
    with closing(SqliteSpool(file)) as spool:
        before = commits_in_log(file)
        spool.append([make_entry(n) for n in range(1000)], duplicates={Signal.LOGS: 1})
        assert commits_in_log(file) == before + 1
        assert spool.remove_through(1000) == 1000
        assert commits_in_log(file) == before + 1 + 4  # 256 requests each
        spool.append([make_entry(n, payload=b"x" * 3_000_000) for n in range(6)])
        assert spool.remove_through(1006) == 6
        assert commits_in_log(file) == before + 1 + 4 + 1 + 3  # 8 MiB each


def test_a_usual_group_is_one_statement_and_its_removal_four(tmp_path: Path) -> None:
    """Each statement, and each row that it returns, is a wait for the GIL, with the writer's turn in hand."""
    with closing(SqliteSpool(tmp_path / "spool.db")) as spool:
        seen = statements_of(spool)
        for size in (1, 7, 9, 60):
            spool.append([make_entry(n) for n in range(size)], duplicates={Signal.LOGS: 1})
        assert len(seen) == 4
        seen.clear()
        assert spool.remove_through(77) == 77
        assert len(seen) == 4 + 1  # the last looks whether there is more
        assert spool.statistics().requests == 0
        assert spool.statistics().duplicate_records[Signal.LOGS] == 4


def test_a_missing_folder_is_made_and_its_name_synced(tmp_path: Path) -> None:
    """A data directory several levels deep may be new, and is not lost with the power."""
    synced: list[str] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{fd}").readlink()))
        real(fd)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        SqliteSpool(tmp_path / "a" / "b" / "spool.db").close()
    assert {str(tmp_path), str(tmp_path / "a"), str(tmp_path / "a" / "b")} <= set(synced)
