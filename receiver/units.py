"""Units in parts that fit into a request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from receiver.ports import ImportUnit


def in_parts(
    units: Sequence[ImportUnit], *, most_bytes: int, most_units: int = 10_000
) -> Iterator[list[ImportUnit]]:
    """Yield the units, in order, in parts of at most so many; one that is larger alone has a part for itself.

    Args:
        units: Any number.
        most_bytes: Of payloads in one part.
        most_units: In one part.
    """
    part: list[ImportUnit] = []
    size = 0
    for unit in units:
        if part and (size + len(unit.payload) > most_bytes or len(part) >= most_units):
            yield part
            part, size = [], 0
        part.append(unit)
        size += len(unit.payload)
    if part:
        yield part
