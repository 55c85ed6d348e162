"""One value that a configuration needs, where it stands in its file, and what happens to one that stands there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final


class _Absent:
    """Stands for a value that is not there; None is a value in JSON."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()


@dataclass(frozen=True, slots=True)
class Entry:
    """One value."""

    path: tuple[str, ...]
    """Names from the top of the file down to the value."""
    value: Any
    combine: Callable[[Any], Any] | None = None
    """Makes the new value out of the one that stands there; without it that one is replaced."""
    only_if_absent: bool = False
    """Leave whatever stands there."""
    inline: bool = False
    """In TOML an object stands on one line, instead of as a table."""

    def wanted(self, present: Any) -> Any:
        """Return what must stand at the path.

        Args:
            present: What stands there now, or ``ABSENT``.
        """
        if present is ABSENT:
            return self.value
        if self.only_if_absent:
            return present
        return self.value if self.combine is None else self.combine(present)


@dataclass(frozen=True, slots=True)
class Change:
    """What merging does to one value."""

    path: tuple[str, ...]
    old: Any
    """``ABSENT`` if nothing stands there."""
    new: Any

    def __str__(self) -> str:
        """Return it on one line, as ``key: old -> new``."""
        key, new = ".".join(self.path), shown(self.new)
        return f"{key} = {new}" if self.old is ABSENT else f"{key}: {shown(self.old)} -> {new}"


@dataclass(frozen=True, slots=True)
class Merged:
    """A file's text with the configuration in it."""

    text: str
    changes: tuple[Change, ...]
    """Empty if the text holds it already; then ``text`` is what was given."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A value that is not ours to change, and that keeps the data from coming here while it stands there."""

    path: tuple[str, ...]
    why: str


def shown(value: Any) -> str:
    """Return a value as JSON on one line."""
    return json.dumps(value, ensure_ascii=False, default=str)


def same(one: Any, other: Any) -> bool:
    """Return whether two values are equal and of the same JSON types; Python calls 1 and True equal."""
    if one is ABSENT or other is ABSENT:
        return one is other
    return json.dumps(one, sort_keys=True, default=str) == json.dumps(other, sort_keys=True, default=str)


def found(data: Any, path: Sequence[str]) -> Any:
    """Return what stands at a path, or ``ABSENT``."""
    for name in path:
        if not isinstance(data, Mapping) or name not in data:
            return ABSENT
        data = data[name]
    return data


def changes_of(data: Mapping[str, Any], entries: Sequence[Entry]) -> list[Change]:
    """Return what has to change in data so that it holds all entries."""
    made: list[Change] = []
    for entry in entries:
        present = found(data, entry.path)
        wanted = entry.wanted(present)
        if not same(present, wanted):
            made.append(Change(entry.path, present, wanted))
    return made


def with_changes(data: Mapping[str, Any], changes: Sequence[Change]) -> dict[str, Any]:
    """Return a copy of data in which the changes are made; the data stays as it is."""
    made = dict(data)
    for change in changes:
        into = made
        for name in change.path[:-1]:
            into[name] = dict(into.get(name) or {})
            into = into[name]
        into[change.path[-1]] = change.new
    return made
