"""Is the spool's file sound? Looked at without its lock, changing nothing; for a spool that nobody has open."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from receiver.spool.checksum import is_intact
from receiver.spool.failures import disk_errors_named
from receiver.spool.pieces import joined
from receiver.spool.waiting import reading

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class SpoolHealth:
    """What was found in the file."""

    faults: list[str]
    """What SQLite finds wrong with the file; empty if nothing."""
    checked_requests: int
    damaged: list[int]
    """Sequence numbers of waiting requests whose checksum does not match."""
    free_share: float
    """Of the file; free pages are used again."""


def spool_health(path: Path) -> SpoolHealth:
    """Return what is wrong with the spool at ``path``; reads all of it. Blocks.

    Raises:
        SpoolUnavailableError: It cannot be read at all.
    """
    with disk_errors_named("read"), reading(path) as connection:
        connection.text_factory = lambda text: text.decode("utf-8", "replace")
        found = [str(row[0]) for row in connection.execute(f"PRAGMA quick_check({_SHOWN})")]
        checked, damaged = 0, []
        pieces = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'large_payloads'").fetchone()
        large = ", staged" if pieces else ", NULL"  # none in a file of format 2
        join = " LEFT JOIN large_payloads USING (sequence)" if pieces else ""
        for sequence, signal, records, checksum, payload, staged in connection.execute(
            f"SELECT sequence, signal, records, checksum, payload{large} FROM requests"
            f" LEFT JOIN payloads USING (sequence){join}"
        ):
            checked += 1
            if staged is not None:
                payload = joined(connection, staged)  # noqa: PLW2901 - it is the payload
            if not is_intact(signal, records, payload, checksum):
                damaged.append(sequence)
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
    return SpoolHealth([] if found == ["ok"] else found, checked, damaged, free / max(pages, 1))
