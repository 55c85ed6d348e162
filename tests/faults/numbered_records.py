"""Which numbered records a receiver has stored, and how that compares with what was acknowledged."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Mapping

from tests.faults.fault import FaultReport
from tests.faults.numbered_client import SIGNALS, NumberedClient, quick_client
from tests.support.receiver_process import ReceiverProcess

NUMBER = {
    "traces": "SELECT span_id - 1 FROM spans",
    "metrics": "SELECT value_int - 1 FROM metric_points",
    "logs": "SELECT observed_time_unix_nano - 1 FROM logs",
}
"""SQL for the numbers of all stored records, by signal."""
_PAGE = 10_000
_MOST_REQUESTS = 60


def stored_numbers(receiver: ReceiverProcess, signal: str) -> list[int]:
    """Return the numbers of the stored records, sorted; one that is stored twice is there twice."""
    found: list[int] = []
    while True:
        page = f"SELECT n FROM ({NUMBER[signal]}) t(n) ORDER BY n LIMIT {_PAGE} OFFSET {len(found)}"
        rows = receiver.sql(page, limit=_PAGE)
        found += [number for (number,) in rows]
        if len(rows) < _PAGE:
            return found


def acknowledged_numbers(clients: Iterable[NumberedClient]) -> dict[str, set[int]]:
    """Return the numbers of all acknowledged records, by signal."""
    everyone = list(clients)
    return {signal: set().union(*(c.acknowledged(signal) for c in everyone)) for signal in SIGNALS}


def compare_with_store(
    report: FaultReport,
    receiver: ReceiverProcess,
    acknowledged: Mapping[str, Collection[int]],
    *,
    destroyed: Mapping[str, Collection[int]] | None = None,
    one_spool: bool = True,
) -> None:
    """Add a comparison of every signal to the report.

    Args:
        report: Gets the figures.
        receiver: Everything that was acknowledged is stored there; see ``flush``.
        acknowledged: By signal.
        one_spool: False where the store was loaded from another spool before, whose totals are gone.
        destroyed: Records that the fault itself has destroyed, which the receiver has named; they do not count.
    """
    for signal in SIGNALS:
        gone = set((destroyed or {}).get(signal, ()))
        stored = stored_numbers(receiver, signal)
        assert gone.isdisjoint(stored), f"{signal}: what was destroyed is stored"
        report.compare(set(acknowledged[signal]) - gone, stored)
        wrong = set(acknowledged[signal]) - gone - set(stored)
        if wrong:
            report.notes.append(f"lost {signal}: {sorted(wrong)[:5]}…")
    if one_spool:
        assert_conserved(receiver)


def assert_conserved(receiver: ReceiverProcess) -> None:
    """Assert that what was accepted is in all states together, for each signal."""
    totals = receiver.stats()["conservation"]
    for noun, accepted in totals["accepted"].items():
        found = sum(totals[state][noun] for state in totals if state != "accepted")
        assert accepted == found, f"{accepted} {noun} were accepted, {found} are accounted for: {totals}"


def fill_and_kill(
    receiver: ReceiverProcess, chance: random.Random, *, number: int = 0
) -> dict[str, set[int]]:
    """Kill it under load at a moment that chance decides; return the numbers of what was acknowledged.

    Args:
        receiver: Running.
        chance: Decides the moment.
        number: Which client it is; each has numbers of its own.
    """
    with quick_client(receiver, number=number) as client:
        client.wait_for(chance.randrange(1, _MOST_REQUESTS))
        receiver.flush()  # something is in the store
        client.wait_for(chance.randrange(1, _MOST_REQUESTS))
        receiver.kill()
    return acknowledged_numbers([client])


def fill_and_stop(
    receiver: ReceiverProcess, chance: random.Random, *, number: int = 0
) -> dict[str, set[int]]:
    """Stop it in order under load; return the numbers of what was acknowledged. See :func:`fill_and_kill`."""
    with quick_client(receiver, number=number) as client:
        client.wait_for(chance.randrange(1, _MOST_REQUESTS))
        stopped = receiver.stop()
    assert stopped.exit_code == 0, stopped.output
    assert "everything that was accepted is stored" in stopped.output
    return acknowledged_numbers([client])


def together(*parts: Mapping[str, Collection[int]]) -> dict[str, set[int]]:
    """Return the union of some acknowledged numbers, by signal."""
    return {signal: set().union(*(part[signal] for part in parts)) for signal in SIGNALS}
