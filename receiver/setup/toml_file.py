"""TOML settings, changed with tomlkit, which keeps comments, order and spacing."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import tomlkit
from tomlkit.exceptions import ParseError, TOMLKitError
from tomlkit.items import Item

from receiver.setup.entry import Change, Entry, Merged, changes_of, same, with_changes
from receiver.setup.errors import NotMergeableError, SetupError


class TomlFile:
    """A TOML file."""

    language = "toml"

    def rendered(self, entries: Sequence[Entry]) -> str:
        """Return a document that holds just the entries."""
        return self.merged(None, entries).text

    def read(self, text: str) -> dict[str, Any]:
        """Return the values of a document.

        Raises:
            SetupError: It is not TOML; the message names line and column.
        """
        return _parsed(text).unwrap()

    def merged(self, existing: str | None, entries: Sequence[Entry]) -> Merged:
        """Return the text with the entries in it.

        Raises:
            NotMergeableError: It is written in a way that cannot be changed without loss.
            SetupError: It is not TOML, or a value stands where a table has to be.
        """
        text = existing or ""
        document = _parsed(text if text.endswith("\n") or not text else text + "\n")
        data = document.unwrap()
        changes = changes_of(data, entries)
        if not changes:
            return Merged(text, ())
        inline = {entry.path: entry.inline for entry in entries}
        try:
            for change in changes:
                _change(document, change, inline=inline[change.path])
            made = tomlkit.dumps(document)
            kept = same(_parsed(made).unwrap(), with_changes(data, changes))
        except (TOMLKitError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise _not_mergeable() from error
        if not kept:
            raise _not_mergeable()
        return Merged(made, tuple(changes))


def _not_mergeable() -> NotMergeableError:
    return NotMergeableError(
        "it cannot be changed without a loss", hint="put what is printed above into it by hand"
    )


def _parsed(text: str) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(text)
    except ParseError as error:
        raise SetupError(
            f"it is not TOML: {error}", hint="nothing was written; mend it first"
        ) from None  # the library's message ends with line and column


def _change(document: tomlkit.TOMLDocument, change: Change, *, inline: bool) -> None:
    table: MutableMapping[str, Any] = document
    for depth, name in enumerate(change.path[:-1]):
        if name not in table:
            is_last = depth == len(change.path) - 2
            if document.as_string().strip():
                document.add(tomlkit.nl())
            table[name] = tomlkit.table(
                is_super_table=not is_last or (isinstance(change.new, Mapping) and not inline)
            )
        inner = table[name]
        if not isinstance(inner, MutableMapping):
            raise SetupError(
                f"{'.'.join(change.path[: depth + 1])} is {inner!r}, where a table has to be",
                hint="nothing was written; mend it first",
            )
        table = inner
    name, present = change.path[-1], table.get(change.path[-1])
    if inline or not isinstance(change.new, Mapping) or not isinstance(present, MutableMapping):
        table[name] = _item(change.new, inline=inline)
        return
    for key in [key for key in present if key not in change.new]:
        del present[key]
    for key, value in change.new.items():  # one by one: comments of what stays stay
        if key not in present or not same(present[key], value):
            present[key] = _item(value, inline=True)


def _item(value: Any, *, inline: bool) -> Item:
    if not isinstance(value, Mapping):
        return tomlkit.item(value)
    table = tomlkit.inline_table() if inline else tomlkit.table()
    for name, each in value.items():
        table[name] = _item(each, inline=True)
    return table
