"""Failed tries and the calls that they are tries of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from receiver.sessions.calls import Call
from receiver.sessions.models import canonical
from receiver.sessions.statements import CallKind, FaultStatement
from receiver.times import NS


def own_faults(calls: Sequence[Call], faults: Iterable[FaultStatement]) -> list[FaultStatement]:
    """Give failed tries to the calls that they are tries of; return the faults that no call owns.

    A try belongs to the call with one of its ids, or else to one of the same model that took several tries and was
    under way at that time.
    """
    by_id = {each: call for call in calls if call.kind is CallKind.MODEL for each in call.ids}
    retried = [call for call in calls if call.kind is CallKind.MODEL and (call.attempts > 1 or call.failed)]
    left: list[FaultStatement] = []
    for fault in _distinct(faults):
        owner = next((by_id[each] for each in fault.ids if each in by_id), None)
        if owner is None and fault.of_request:
            owner = next((call for call in retried if _is_try_of(fault, call)), None)
        if owner is None:
            left.append(fault)
        else:
            owner.faults.append(fault)
    return left


def _is_try_of(fault: FaultStatement, call: Call) -> bool:
    same = not fault.model or not call.model or canonical(fault.model) == canonical(call.model)
    return same and call.start_ns - NS <= fault.time_ns <= call.end_ns + NS


def _distinct(faults: Iterable[FaultStatement]) -> list[FaultStatement]:
    """Return faults without those that another record, of another name, tells too."""
    found: list[FaultStatement] = []
    recent: dict[str, FaultStatement] = {}
    by_id: set[tuple[str, ...]] = set()
    for fault in sorted(faults, key=lambda each: (each.time_ns, each.context.origin)):
        twin = recent.get(fault.error)
        if twin and twin.context.record != fault.context.record and fault.time_ns - twin.time_ns <= NS:
            continue
        if fault.ids and fault.ids in by_id:
            continue
        by_id.add(fault.ids)
        recent[fault.error] = fault
        found.append(fault)
    return found
