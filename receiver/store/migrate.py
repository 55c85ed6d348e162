"""Brings a database file to the newest schema, one numbered migration per transaction."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from importlib import resources

import duckdb

from receiver.errors import StartError

_NAME = re.compile(r"^(\d{4})_[a-z0-9_]+(\.new)?\.sql$")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step from a schema to the next."""

    sql: str
    for_new_files: bool
    """True: only for a file that has no records yet; others are as good without it. Named ``NNNN_name.new.sql``."""


def migrations() -> dict[int, Migration]:
    """Return every migration by its number, in order."""
    folder = resources.files("receiver.store.migrations")
    found = {
        int(m[1]): Migration(file.read_text(), for_new_files=bool(m[2]))
        for file in folder.iterdir()
        if (m := _NAME.match(file.name))
    }
    return dict(sorted(found.items()))


def migrate(connection: duckdb.DuckDBPyConnection) -> list[int]:
    """Apply what is missing and return the numbers that were applied.

    Raises:
        StartError: The file was written by a newer release.
        duckdb.Error: A step failed, as it was said; the steps before it are kept.
    """
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations (version INTEGER NOT NULL, applied_at TIMESTAMPTZ NOT NULL)"
    )
    done = {row[0] for row in connection.execute("SELECT version FROM schema_migrations").fetchall()}
    known = migrations()
    if unknown := sorted(done - known.keys()):
        raise StartError(
            f"the database has schema version {unknown[-1]}, this release knows up to {max(known)}",
            hint="use the release that wrote it, or a newer one",
        )
    applied = []
    for version, migration in known.items():
        if version in done:
            continue
        connection.execute("BEGIN")
        try:
            if not (migration.for_new_files and done):
                connection.execute(migration.sql)
            connection.execute("INSERT INTO schema_migrations VALUES (?, now())", [version])
            connection.execute("COMMIT")
        except duckdb.Error:
            # A commit that fails has rolled back by itself, and an invalid database refuses: what went wrong counts.
            with contextlib.suppress(duckdb.Error):
                connection.execute("ROLLBACK")
            raise
        applied.append(version)
    return applied
