"""Disks that fail below the spool and the store: what was acknowledged is on them, and both work again afterwards."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import pytest

from receiver.config import StoreConfig
from receiver.errors import SpoolUnavailableError, StoreUnavailableError
from receiver.spool import SqliteSpool
from receiver.store.duckdb_store import DuckDbStore
from receiver.store.sql_sandbox import lock_down
from tests.support.bad_disk import COMPILER, BadDisk
from tests.support.otlp_requests import span_request
from tests.support.pipeline import Pipeline
from tests.support.receiver_process import REPOSITORY
from tests.support.small_disk import NoMountError, filled, small_disk
from tests.support.spool_entries import make_entry

needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")


def run_on(disk: BadDisk, program: str, folder: Path, **environment: str) -> str:
    """Return what a program printed that ran in the folder, on that disk."""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), **disk.environment, **environment},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    return ended.stdout


@needs_compiler
@pytest.mark.parametrize("seed", range(2))
def test_what_a_failed_sync_covered_is_never_acknowledged_by_a_later_one(tmp_path: Path, seed: int) -> None:
    """After a failed sync the kernel takes pages for clean that are not on disk; a power cut then loses nothing acknowledged."""
    live, shadow = tmp_path / "live", tmp_path / "shadow"
    live.mkdir()
    shadow.mkdir()
    printed = run_on(
        BadDisk(tmp_path, live),
        f"""
import os, random
from pathlib import Path
from receiver.errors import SpoolUnavailableError
from receiver.spool import SqliteSpool
from tests.support.spool_entries import make_entry
chance, rules, refused = random.Random({seed}), Path(os.environ["DISK_RULES"]), 0
spool = SqliteSpool(Path("spool.db"))
for number in range(100):
    if chance.random() < 0.3:
        rules.write_text("sync spool.db {errno.EIO}")
    for step in range(chance.choice([1, 1, 1, 3])):
        entry = make_entry(number, payload=b"%d.%d;" % (number, step) * chance.randrange(1, 10_000))
        try:
            (sequence,) = spool.append([entry])
            print(sequence, number, step)
            if chance.random() < 0.3:
                spool.remove_through(sequence - 5)
            if chance.random() < 0.3:
                spool.maintain()
        except SpoolUnavailableError:
            refused += 1
    rules.unlink(missing_ok=True)
assert refused > 15, refused
os._exit(0)  # the power goes
""",
        live,
        DISK_SHADOW=str(shadow),
    )
    acknowledged = [tuple(map(int, line.split())) for line in printed.splitlines()]
    spool = SqliteSpool(shadow / "spool.db")
    try:
        found = {r.sequence: r.payload for r in spool.read(0, max_bytes=1 << 40)}
        assert spool.statistics().quarantined_requests == 0
    finally:
        spool.close()
    assert len(acknowledged) > 50
    assert found, "nothing is left in the queue: the test looks at nothing"
    removed = min(found)
    for sequence, number, step in acknowledged:
        if sequence >= removed:
            assert found[sequence].startswith(b"%d.%d;" % (number, step)), sequence


@needs_compiler
def test_a_store_that_gave_up_refuses_everything_until_it_is_opened_again(tmp_path: Path) -> None:
    """A failed checkpoint invalidates DuckDB: loads, deletions and vectors wait, then work, and nothing is gone."""
    (tmp_path / "data").mkdir()
    printed = run_on(
        BadDisk(tmp_path, tmp_path / "data"),
        f"""
import os
from pathlib import Path
from uuid import uuid4
import numpy as np
from receiver.config import StoreConfig
from receiver.errors import StoreUnavailableError
from receiver.ports import LoadBatch, TextVectors
from receiver.store.duckdb_store import DuckDbStore
from receiver.store.sql_sandbox import lock_down
from receiver.store.duckdb_writer import DuckDbWriter
rules, spool = Path(os.environ["DISK_RULES"]), uuid4()
store = DuckDbStore.open(Path("data/t.duckdb"), StoreConfig(), temp_directory=Path("data/tmp"))
writer = DuckDbWriter(store)
vectors = [TextVectors(uuid4(), np.ones((1, 4), np.float32))]
calls = (
    lambda: writer.load(LoadBatch(spool, 8, (), {{}})), lambda: writer.retire(before_ns=1), writer.checkpoint,
    lambda: writer.write_embeddings(vectors, model="m"), lambda: writer.age_at(0.5), writer.used_bytes,
    lambda: writer.position(spool),
)
writer.load(LoadBatch(spool, 7, (), {{}}))
rules.write_text("sync t.duckdb {errno.EIO}")
for call in (writer.checkpoint, *calls):
    try:
        call()
    except StoreUnavailableError as error:
        print("refused", error)
rules.unlink()
print(writer.revive(), writer.revive(), writer.position(spool))
for call in calls:
    call()
rules.write_text("write t.duckdb {errno.ENOSPC}")
try:
    writer.load(LoadBatch(spool, 9, (), {{}}))
except StoreUnavailableError as error:
    print(error)
rules.unlink()
print(writer.revive(), writer.position(spool))
writer.close()
store.close()
""",
        tmp_path,
    )
    *refused, opened, full, kept = printed.splitlines()
    assert [line.split()[0] for line in refused] == ["refused"] * 8
    assert opened == "True False 7"
    assert full == f"the store could not write: the disk is full ({Path('data')})"
    assert kept == "False 8"


def test_a_question_that_holds_the_failed_database_is_stopped(tmp_path: Path) -> None:
    """Who opens the file again gets a new instance, however long a question on the old one would have run."""
    store = DuckDbStore.open(tmp_path / "t.duckdb", StoreConfig(), temp_directory=tmp_path / "tmp")
    began = threading.Event()
    ended: list[str] = []

    def ask() -> None:
        with store.cursor() as cursor:
            began.set()
            try:
                cursor.execute("SELECT sum(hash(a.range + b.range)) FROM range(1000000) a, range(1000000) b")
            except (duckdb.InterruptException, duckdb.ConnectionException):
                ended.append("stopped")

    asking = threading.Thread(target=ask)
    asking.start()
    began.wait()
    store.reopen()  # where nothing has failed the old instance would do; the question is stopped all the same
    asking.join(30)
    store.close()
    assert ended == ["stopped"]


async def test_a_disk_that_works_again_is_noticed_although_nobody_sends(tmp_path: Path) -> None:
    """A receiver that is not ready may get no request that could show it."""
    async with Pipeline(tmp_path) as pipeline:
        await pipeline.accept(span_request(0))
        pipeline.spool._writer._min_free_bytes = 1 << 62
        with pytest.raises(SpoolUnavailableError, match="reserve"):
            await pipeline.accept(span_request(1))
        assert pipeline.intake.spool_problem
        pipeline.spool._writer._min_free_bytes = 0
        deadline = time.monotonic() + 20
        while pipeline.intake.spool_problem:
            assert time.monotonic() < deadline, "the disk is never looked at again"
            await asyncio.sleep(0.05)
        assert len(await pipeline.accept(span_request(1))) == 1


def fill(spool: SqliteSpool, payload: bytes) -> int:
    """Append until that is refused because of the reserve; return the last sequence number."""
    last = 0
    for number in range(40):
        try:
            (last,) = spool.append([make_entry(number, payload=payload)])
        except SpoolUnavailableError as error:
            if "spool.min_free_bytes" not in str(error):
                raise
            return last
        spool.maintain()
    raise AssertionError("it was never refused")


def test_requests_leave_a_reserve_with_which_the_store_makes_room(tmp_path: Path) -> None:
    """Below spool.min_free_bytes appends are refused; removals are not, and pages that they free count as room."""
    try:
        with small_disk(tmp_path / "disk", 24) as folder:
            spool = SqliteSpool(folder / "spool.db", min_free_bytes=8 << 20)
            try:
                payload = b"x" * (1 << 20)
                last = fill(spool, payload)
                with filled(folder, leave=6 << 20):
                    assert spool.remove_through(last) == last
                    spool.maintain()
                    spool.append([make_entry(100, payload=payload)])
            finally:
                spool.close()
    except NoMountError as error:
        pytest.skip(str(error))


@needs_compiler
def test_a_read_only_data_directory_is_a_start_error_that_says_what_to_do(tmp_path: Path) -> None:
    """No trace of Python, one line with the folder and a hint."""
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    disk = BadDisk(tmp_path, data_dir)
    with disk.rules(f"write * {errno.EROFS}"):
        ended = subprocess.run(
            [sys.executable, "-m", "receiver", "serve", "--data-dir", str(data_dir), "--query-endpoint", "localhost:0"],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY), **disk.environment},
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )  # fmt: skip
    assert ended.returncode != 0
    assert f"{data_dir} is not writable: Read-only file system" in ended.stderr
    assert "--data-dir" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_database_that_cannot_be_opened_now_is_tried_again(tmp_path: Path) -> None:
    """A folder that is missing, or an error of the disk, may pass; only a file that is none of ours is final."""
    with pytest.raises(StoreUnavailableError):
        DuckDbStore.open(tmp_path / "gone" / "t.duckdb", StoreConfig(), temp_directory=tmp_path / "tmp")


def test_a_log_whose_replay_needed_the_temporary_directory_opens(tmp_path: Path) -> None:
    """DuckDB does not let its temporary directory be set once it was used, not even to what it is."""
    config = StoreConfig(memory_limit_bytes=48 << 20)
    store = DuckDbStore.open(tmp_path / "t.duckdb", config, temp_directory=tmp_path / "tmp")
    try:
        store.connection.execute(
            "CREATE TABLE numbers AS SELECT sha256(range::VARCHAR) AS number FROM range(400000) ORDER BY number"
        )
        assert list((tmp_path / "tmp").iterdir()), "it did not need the directory: the test shows nothing"
        lock_down(store.connection, temp_directory=tmp_path / "tmp")
    finally:
        store.close()
