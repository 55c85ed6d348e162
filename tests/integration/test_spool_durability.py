"""What was acknowledged survives: kill -9, a power cut, a full disk, a cut log, damaged bytes."""

from __future__ import annotations

import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from receiver.errors import SpoolUnavailableError, StartError
from receiver.signals import Signal
from receiver.spool import SqliteSpool
from tests.support.power_cut import COMPILER, REPOSITORY, compile_shim, run_with_cuts
from tests.support.spool_entries import make_entry

EVERYTHING = 1 << 40
_FRAME_HEAD = 25  # bytes of a frame that show to which log it belongs, and one more
PREAMBLE = f"""
import os, sys
sys.path.insert(0, {str(REPOSITORY)!r})
from pathlib import Path
from receiver.errors import SpoolUnavailableError
from receiver.spool import SqliteSpool
from tests.support.spool_entries import make_entry
"""


def start(program: str, folder: Path, *wrapper: str) -> subprocess.Popen[str]:
    """Return a process that runs a program in a folder."""
    return subprocess.Popen(
        [*wrapper, sys.executable, "-c", PREAMBLE + program],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    )


def payloads(spool: SqliteSpool) -> dict[int, bytes]:
    """Return what is in the queue by sequence number."""
    return {r.sequence: r.payload for r in spool.read(0, max_bytes=EVERYTHING)}


def test_kill_in_a_loop_of_appends_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """Every sequence number that was printed before a kill -9 is there, whole, after a restart."""
    acknowledged: dict[int, bytes] = {}
    for round_number in range(3):
        process = start(
            """
spool = SqliteSpool(Path("spool.db"))
number = int(spool.statistics().highest_sequence)
while True:
    entries = [make_entry(number + n, payload=b"%d " % (number + n) * 5000) for n in range(3)]
    for sequence, n in zip(spool.append(entries), range(3)):
        print(sequence, number + n, flush=True)
    number += 3
    if number % 15 == 0:
        spool.maintain()
""",
            tmp_path,
        )
        assert process.stdout is not None
        for _ in range(20 + 17 * round_number):
            sequence, number = map(int, process.stdout.readline().split())
            acknowledged[sequence] = b"%d " % number * 5000
        process.kill()
        rest = process.stdout.read()
        for line in rest.splitlines(keepends=True):
            if line.endswith("\n"):
                sequence, number = map(int, line.split())
                acknowledged[sequence] = b"%d " % number * 5000
        assert process.wait() == -signal.SIGKILL
        process.stdout.close()
        spool = SqliteSpool(tmp_path / "spool.db")
        found = payloads(spool)
        spool.close()
        assert acknowledged.items() <= found.items()
    assert len(acknowledged) > 100


def killed_after(program: str, folder: Path) -> list[str]:
    """Return what a program printed that ends by killing itself, its files left as they were."""
    process = start(program + "\nos.kill(os.getpid(), 9)\n", folder)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    return output.split()


def test_an_unfinished_tail_of_the_log_costs_nothing_acknowledged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Cut or scrambled anywhere in the last commit, the log still gives every earlier one, and it is said."""
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    printed = killed_after(
        """
spool = SqliteSpool(Path("spool.db"))
for number in range(5):
    spool.append([make_entry(number, payload=b"%d" % number * 100_000)])
    print(os.stat("spool.db-wal").st_size, flush=True)
""",
        crashed,
    )
    acknowledged_end, end = int(printed[-2]), int(printed[-1])
    chance = random.Random(5)
    cuts = [acknowledged_end, acknowledged_end + 1, end - 1, end]
    cuts += [chance.randrange(acknowledged_end, end) for _ in range(8)]
    for number, cut in enumerate(cuts):
        for scrambled in (False, True):
            folder = tmp_path / f"{number}-{scrambled}"
            shutil.copytree(crashed, folder)
            with (folder / "spool.db-wal").open("r+b") as log:
                log.truncate(cut)
                if scrambled:
                    log.seek(0, 2)
                    log.write(chance.randbytes(end - cut))
            caplog.clear()
            spool = SqliteSpool(folder / "spool.db")
            found = payloads(spool)
            spool.close()
            if acknowledged_end + _FRAME_HEAD <= cut:
                assert ("ends in an unfinished commit" in caplog.text) == (cut < end)
            earlier = {n + 1: b"%d" % n * 100_000 for n in range(4)}
            assert found in (earlier, earlier | {5: b"4" * 100_000})
            assert (found == earlier) or cut == end


def test_damage_inside_the_log_is_reported_and_the_log_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """SQLite drops commits behind a damaged frame without a word; the spool counts them and keeps the log."""
    printed = killed_after(
        """
spool = SqliteSpool(Path("spool.db"))
for number in range(5):
    spool.append([make_entry(number, payload=b"%d" % number * 100_000)])
    print(os.stat("spool.db-wal").st_size, flush=True)
""",
        tmp_path,
    )
    log = tmp_path / "spool.db-wal"
    with log.open("r+b") as file:
        file.seek(int(printed[1]) + 1000)  # in the third commit
        file.write(b"damage")
    before = log.read_bytes()
    spool = SqliteSpool(tmp_path / "spool.db")
    try:
        assert sorted(payloads(spool)) == [1, 2]
    finally:
        spool.close()
    (kept,) = tmp_path.glob("spool.db-wal.damaged-*")
    assert kept.read_bytes() == before
    assert "2 commits that were acknowledged" in caplog.text
    assert kept.name in caplog.text


def test_a_damaged_payload_is_set_aside_and_blocks_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Bytes flipped in the file are found on reading, counted, named in the log and kept as they are."""
    path = tmp_path / "spool.db"
    spool = SqliteSpool(path)
    spool.append([make_entry(n, payload=b"request-%d;" % n * 20_000) for n in range(3)])
    spool.close()
    content = bytearray(path.read_bytes())
    at = content.index(b"request-1;" * 100)
    content[at] ^= 0x20
    path.write_bytes(content)
    damaged = bytearray(b"request-1;" * 20_000)

    spool = SqliteSpool(path)
    try:
        assert sorted(payloads(spool)) == [1, 3]
        assert sorted(payloads(spool)) == [1, 3]
        (aside,) = spool.quarantined()
        assert aside.sequence == 2
        differing = [i for i, b in enumerate(aside.payload) if b != damaged[i]]
        assert len(differing) == 1
        assert len(aside.payload) == len(damaged)
        totals = spool.statistics()
        assert (totals.requests, totals.quarantined_requests, totals.damaged_requests) == (2, 1, 1)
        assert "damaged requests" in caplog.text
        assert caplog.text.count(": 2\n") == 1
    finally:
        spool.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE requests SET records = 77 WHERE sequence = 1",
        "UPDATE requests SET records = 'many' WHERE sequence = 1",
        "UPDATE requests SET signal = 'tracez' WHERE sequence = 1",
        "UPDATE requests SET signal = CAST(x'ff00' AS TEXT) WHERE sequence = 1",
        "UPDATE requests SET (records, signal, checksum) = (NULL, NULL, NULL) WHERE sequence = 1",
        "UPDATE requests SET checksum = 1 WHERE sequence = 1",
        "UPDATE payloads SET payload = 'text' WHERE sequence = 1",
        "DELETE FROM payloads WHERE sequence = 1",
    ],
)
def test_each_kind_of_damaged_row_is_set_aside(tmp_path: Path, damage: str) -> None:
    """Wrong values, wrong types and a missing payload: the row goes to quarantine, also with max_bytes 1."""
    path = tmp_path / "spool.db"
    spool = SqliteSpool(path)
    spool.append([make_entry(n) for n in range(3)])
    spool.close()
    with sqlite3.connect(path) as raw:  # a damaged row does not keep to the table's rules
        raw.execute("PRAGMA writable_schema = ON")
        raw.execute("UPDATE sqlite_schema SET sql = replace(sql, ' NOT NULL', '') WHERE name = 'requests'")
    raw.close()
    with sqlite3.connect(path) as raw:
        raw.execute(damage)
    raw.close()
    spool = SqliteSpool(path)
    try:
        assert [r.sequence for r in spool.read(0, max_bytes=1)] == [2]
        assert [(q.sequence, q.signal) for q in spool.quarantined()] == [(1, Signal.TRACES)]
        assert spool.requeue() == 1
        assert sorted(payloads(spool)) == [2, 3]  # requeued, found again, set aside again
        assert [q.sequence for q in spool.quarantined()] == [4]
        assert spool.statistics().damaged_requests == 1
        assert spool.statistics().requests == 2
    finally:
        spool.close()


def test_a_flipped_bit_anywhere_never_gives_a_wrong_request(tmp_path: Path) -> None:
    """Whatever the place, a request comes back as it was, or not at all; no other error escapes."""
    path = tmp_path / "spool.db"
    spool = SqliteSpool(path)
    spool.append([make_entry(n, payload=b"%d," % n * (50 if n % 2 else 50_000)) for n in range(8)])
    spool.quarantine(3, "set aside")
    spool.close()
    whole = path.read_bytes()
    chance = random.Random(8)
    came_back = 0
    for _ in range(60):
        page = chance.randrange(len(whole) >> 16) << 16
        at = page + chance.choice([chance.randrange(200), 65_535 - chance.randrange(3000)])
        content = bytearray(whole)
        content[at] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
        try:
            spool = SqliteSpool(path)
        except StartError:
            continue
        try:
            for sequence, payload in payloads(spool).items():
                number = sequence - 1
                assert payload == b"%d," % number * (50 if number % 2 else 50_000)
                came_back += 1
        except SpoolUnavailableError:
            continue
        finally:
            spool.close()
    assert came_back > 60


def test_a_full_disk_refuses_an_append_and_a_later_one_works(tmp_path: Path) -> None:
    """Nothing of the refused append is there; what was acknowledged before and after is."""
    process = start(
        """
import resource
spool = SqliteSpool(Path("spool.db"))
print(spool.append([make_entry(1)])[0])
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (os.stat("spool.db-wal").st_size + 100_000, unlimited[1]))
for _ in range(2):
    try:
        spool.append([make_entry(2, payload=b"x" * 1_000_000)])
    except SpoolUnavailableError as error:
        print(error.hint is not None, spool.statistics().requests)
resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
print(spool.append([make_entry(3)])[0])
os.kill(os.getpid(), 9)
""",
        tmp_path,
    )
    output, _ = process.communicate(timeout=60)
    lines = output.split("\n")
    assert lines[1:3] == ["True 1", "True 1"]
    spool = SqliteSpool(tmp_path / "spool.db")
    try:
        assert payloads(spool) == {int(lines[0]): b"request 1", int(lines[3]): b"request 3"}
    finally:
        spool.close()


STRACE = shutil.which("strace")


@pytest.fixture
def strace(tmp_path: Path) -> str:
    """Return the tracer, where it is there and permitted."""
    if STRACE is None:
        pytest.skip("strace is not installed")
    probe = subprocess.run([STRACE, "-o", tmp_path / "probe", "true"], check=False, capture_output=True)
    if probe.returncode:
        pytest.skip(f"tracing is not permitted here: {probe.stderr.decode(errors='replace').strip()}")
    return STRACE


def test_the_sync_is_complete_before_append_returns(tmp_path: Path, strace: str) -> None:
    """Between the write of the payload and the return of append, the log's sync has ended, each time."""
    trace = tmp_path / "trace"
    process = start(
        """
spool = SqliteSpool(Path("spool.db"))
for number in range(3):
    spool.append([make_entry(number, payload=b"payload-of-request-%d" % number)])
    os.write(1, b"acknowledged-%d" % number)
""",
        tmp_path,
        *(strace, "-f", "-y", "-s", "70000", "-e", "trace=fsync,fdatasync,write,pwrite64", "-o", str(trace)),
    )
    process.communicate(timeout=60)
    assert process.returncode == 0
    steps: list[str] = []
    for line in trace.read_text(errors="replace").splitlines():
        write = re.search(r" (?:write|pwrite64)\(\d+<([^>]*)>, (.*)", line)
        if re.search(r" f(?:data)?sync\(\d+<[^>]*spool\.db-wal>\) += 0$", line):
            steps.append("synced")
        elif write and "acknowledged-" in write[2]:
            steps.append("acknowledged")
        elif write and write[1].endswith("spool.db-wal"):
            steps.append("payload" if "payload-of-request-" in write[2] else "written")
    assert steps.count("acknowledged") == 3
    rest = steps
    for _ in range(3):
        at = rest.index("acknowledged")
        before, rest = rest[:at], rest[at + 1 :]
        assert "payload" in before
        assert before[-1] == "synced"  # nothing of the log was written after its last sync


WORKLOAD = """
from pathlib import Path
from receiver.spool import SqliteSpool
from tests.support.spool_entries import make_entry
answers = open("answers", "w", buffering=1)
spool = SqliteSpool(Path("spool.db"))
number = 0
for step in range(30):
    entries = [make_entry(number + n, payload=b"%d," % (number + n) * 3000) for n in range(1 + step % 3)]
    for sequence in spool.append(entries):
        print("accepted", sequence, number, file=answers)
        number += 1
    if step % 4 == 3:
        position = spool.statistics().highest_sequence - 5
        print("removing", position, position, file=answers)
        spool.remove_through(position)
    if step % 6 == 5:
        spool.maintain()
    if step % 10 == 4:
        spool.quarantine(spool.statistics().highest_sequence, "set aside")
    if step == 15:
        spool.close()
        spool = SqliteSpool(Path("spool.db"))
spool.close()
"""


def test_a_power_cut_at_any_moment_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """With every write dropped that no sync followed, each acknowledged request is there and whole."""
    if COMPILER is None:
        pytest.skip("no C compiler for the preloaded library")
    library = compile_shim(tmp_path)
    (tmp_path / "count").mkdir()
    calls, _ = run_with_cuts(WORKLOAD, library=library, folder=tmp_path / "count")
    assert calls > 100
    moments = sorted(random.Random(20).sample(range(1, calls + 1), 20))
    (tmp_path / "cut").mkdir()
    _, folders = run_with_cuts(WORKLOAD, library=library, folder=tmp_path / "cut", moments=moments)
    most = 0
    for folder in folders:
        accepted: dict[int, bytes] = {}
        removed_to = 0
        for line in (folder / "answers").read_text().splitlines():
            what, sequence, number = line.split()
            if what == "accepted":
                accepted[int(sequence)] = b"%d," % int(number) * 3000
            else:
                removed_to = int(sequence)
        spool = SqliteSpool(folder / "spool.db")
        found = payloads(spool) | {q.sequence: q.payload for q in spool.quarantined()}
        highest = spool.statistics().highest_sequence
        spool.close()
        assert {s: p for s, p in accepted.items() if s > removed_to}.items() <= found.items()
        assert highest >= max(accepted, default=0)
        most = max(most, len(accepted))
    assert most > 20
