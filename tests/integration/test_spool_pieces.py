"""Large payloads are brought to disk in pieces, ahead of their commit; without that commit they never were."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from receiver.errors import SpoolUnavailableError
from receiver.ports import SpoolEntry
from receiver.spool import SqliteSpool
from receiver.spool.backup import copy_spool
from receiver.spool.health import spool_health
from receiver.spool.pieces import PIECE_BYTES
from tests.support.power_cut import REPOSITORY
from tests.support.spool_commits import commits_in_log
from tests.support.spool_entries import make_entry

LARGE = random.Random(5).randbytes(PIECE_BYTES * 2 + 77)
EVERYTHING = 1 << 40


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[SqliteSpool]:
    """Return an empty spool; it is closed at the end."""
    spool = SqliteSpool(tmp_path / "spool.db")
    yield spool
    spool.close()


def append(spool: SqliteSpool, *entries: SpoolEntry) -> list[int]:
    """Stage and append."""
    return spool.append(spool.stage(entries))


def payloads(spool: SqliteSpool) -> dict[int, bytes]:
    """Return what is in the queue by sequence number."""
    return {r.sequence: r.payload for r in spool.read(0, max_bytes=EVERYTHING)}


def pieces_in(folder: Path) -> int:
    """Return how many pieces the file has."""
    with closing(sqlite3.connect(folder / "spool.db")) as raw:
        return int(raw.execute("SELECT count(*) FROM pieces").fetchone()[0])


def test_a_large_payload_comes_back_byte_for_byte(spool: SqliteSpool, tmp_path: Path) -> None:
    """Beside small ones and after a restart; another copy of the file has it too."""
    large, exact = make_entry(2, payload=LARGE), make_entry(4, payload=LARGE[: PIECE_BYTES * 2])
    assert append(spool, make_entry(1), large, make_entry(3), exact) == [1, 2, 3, 4]
    expected = {1: b"request 1", 2: LARGE, 3: b"request 3", 4: exact.payload}
    assert payloads(spool) == expected
    assert pieces_in(tmp_path) == 3 + 2
    assert spool.statistics().payload_bytes == sum(map(len, expected.values()))
    spool.close()
    copy_spool(tmp_path / "spool.db", tmp_path / "copy.db")
    for name in ("spool.db", "copy.db"):
        with closing(SqliteSpool(tmp_path / name)) as again:
            assert payloads(again) == expected


def test_other_appends_do_not_wait_for_a_large_payload(spool: SqliteSpool, tmp_path: Path) -> None:
    """Each piece is a commit of its own, and who appends meanwhile gets the lower sequence number."""
    before = commits_in_log(tmp_path / "spool.db")
    staged = spool.stage([make_entry(1, payload=LARGE)])
    assert commits_in_log(tmp_path / "spool.db") == before + 3
    assert payloads(spool) == {}
    assert spool.append([make_entry(2)]) == [1]
    assert spool.append(staged) == [2]
    assert commits_in_log(tmp_path / "spool.db") == before + 3 + 2
    assert payloads(spool) == {1: b"request 2", 2: LARGE}


def test_what_was_staged_and_not_appended_when_the_process_was_killed_is_dropped(tmp_path: Path) -> None:
    """It was never acknowledged; what was is there, and the room of the rest is free again."""
    program = f"""
import os, sys
sys.path.insert(0, {str(REPOSITORY)!r})
from pathlib import Path
from receiver.spool import SqliteSpool
from tests.support.spool_entries import make_entry
from tests.integration.test_spool_pieces import LARGE
spool = SqliteSpool(Path("spool.db"))
spool.append(spool.stage([make_entry(1, payload=LARGE)]))
spool.stage([make_entry(2, payload=LARGE[::-1])])
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=False, env=dict(os.environ))
    assert done.returncode == -signal.SIGKILL
    assert pieces_in(tmp_path) == 6
    with closing(SqliteSpool(tmp_path / "spool.db")) as spool:
        assert append(spool, make_entry(3, payload=LARGE[7:])) == [2]
        spool.maintain()
        assert payloads(spool) == {1: LARGE, 2: LARGE[7:]}
        assert pieces_in(tmp_path) == 6


@pytest.mark.parametrize("fails", ["stage", "append"])
def test_a_failed_append_leaves_no_pieces(spool: SqliteSpool, tmp_path: Path, fails: str) -> None:
    """When the disk is full in the middle of it nothing is in the queue, and a later append works."""
    connection = spool._writer.connection
    entries = [make_entry(1, payload=LARGE), make_entry(2, payload=b"x" * PIECE_BYTES)]
    spool.append([make_entry(0)])
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    page = spool._writer.page_bytes
    if fails == "append":
        staged = spool.stage(entries)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + PIECE_BYTES // 2 // page}")
        with pytest.raises(SpoolUnavailableError):
            spool.append(staged)
    else:
        connection.execute(f"PRAGMA max_page_count = {pages + PIECE_BYTES * 3 // 2 // page}")
        with pytest.raises(SpoolUnavailableError):
            spool.stage(entries)
    assert pieces_in(tmp_path) > 0
    spool.maintain()
    assert pieces_in(tmp_path) == 0
    assert spool.statistics().requests == 1
    connection.execute(f"PRAGMA max_page_count = {1 << 20}")
    assert append(spool, *entries) == [2, 3]
    assert payloads(spool) == {1: b"request 0", 2: LARGE, 3: entries[1].payload}


def test_a_removed_large_payload_takes_its_pieces_along(spool: SqliteSpool, tmp_path: Path) -> None:
    """What is behind it stays, and no commit of the removal is long: four pieces at most."""
    append(spool, make_entry(1, payload=LARGE * 3), make_entry(2, payload=LARGE))
    assert pieces_in(tmp_path) == 7 + 3
    before = commits_in_log(tmp_path / "spool.db")
    assert spool.remove_through(1) == 1
    assert commits_in_log(tmp_path / "spool.db") == before + 1 + 2
    assert pieces_in(tmp_path) == 3
    assert payloads(spool) == {2: LARGE}


def test_a_large_request_survives_quarantine(spool: SqliteSpool, tmp_path: Path) -> None:
    """Set aside and put back, its bytes are the same, and its pieces are not kept beside."""
    append(spool, make_entry(1, payload=LARGE))
    spool.quarantine(1, "set aside")
    assert [q.payload for q in spool.quarantined()] == [LARGE]
    spool.maintain()
    assert pieces_in(tmp_path) == 0
    assert spool.requeue() == 1
    assert payloads(spool) == {2: LARGE}


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE pieces SET piece = zeroblob(length(piece)) WHERE id = (SELECT max(id) FROM pieces)",
        "UPDATE pieces SET piece = 'text' WHERE id = (SELECT min(id) FROM pieces)",
        "UPDATE pieces SET id = -id WHERE id = (SELECT min(id) FROM pieces)",
        "UPDATE pieces SET id = 9223372036854775807 - id WHERE id = (SELECT min(id) FROM pieces)",
        "UPDATE pieces SET id = id + 7 WHERE id = (SELECT min(id) FROM pieces)",
        "DELETE FROM pieces WHERE id = (SELECT min(id) FROM pieces)",
        "DELETE FROM pieces",
        "UPDATE large_payloads SET staged = 0",
        "UPDATE large_payloads SET staged = 9000000000000000000",
        "UPDATE large_payloads SET staged = 'text'",
        "DELETE FROM large_payloads",
    ],
)
def test_each_kind_of_damage_to_a_large_payload_is_found(tmp_path: Path, damage: str) -> None:
    """Whatever is wrong with its pieces, it goes to quarantine, is named, and its neighbours are read."""
    path = tmp_path / "spool.db"
    with closing(SqliteSpool(path)) as spool:
        append(spool, make_entry(1, payload=LARGE), make_entry(2))
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute(damage)
    assert spool_health(path).damaged == [1]
    with closing(SqliteSpool(path)) as spool:
        assert payloads(spool) == {2: b"request 2"}
        assert [q.sequence for q in spool.quarantined()] == [1]
        assert spool.statistics().damaged_requests == 1
        assert append(spool, make_entry(3, payload=LARGE)) == [3]
        spool.maintain()
        assert payloads(spool)[3] == LARGE


def test_a_damaged_name_does_not_take_a_neighbours_payload_along(tmp_path: Path) -> None:
    """A request that names the payload of another one leaves the queue alone."""
    path = tmp_path / "spool.db"
    with closing(SqliteSpool(path)) as spool:
        append(spool, make_entry(1, payload=LARGE), make_entry(2, payload=LARGE[1:]))
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("UPDATE large_payloads SET staged = 2")
    with closing(SqliteSpool(path)) as spool:
        assert payloads(spool) == {2: LARGE[1:]}
        spool.maintain()
        assert payloads(spool) == {2: LARGE[1:]}
        assert [q.sequence for q in spool.quarantined()] == [1]


def test_a_file_of_the_format_before_pieces_is_read_and_upgraded(tmp_path: Path) -> None:
    """Its requests, large ones too, are there; it is sound before it is opened, and takes pieces afterwards."""
    path = tmp_path / "spool.db"
    with closing(SqliteSpool(path)) as spool:
        spool.append([make_entry(1, payload=LARGE)])  # not staged: whole in one row, as it was then
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        for statement in ("DROP TABLE pieces", "DROP TABLE large_payloads", "PRAGMA user_version = 2"):
            raw.execute(statement)
    health = spool_health(path)
    assert (health.faults, health.checked_requests, health.damaged) == ([], 1, [])
    with closing(SqliteSpool(path)) as spool:
        assert append(spool, make_entry(2, payload=LARGE[1:])) == [2]
        assert payloads(spool) == {1: LARGE, 2: LARGE[1:]}
