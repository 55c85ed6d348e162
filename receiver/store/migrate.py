"""Brings a database file to the newest schema, one numbered migration per transaction."""

from __future__ import annotations

import re
from importlib import resources

import duckdb

from receiver.errors import StartError

_NAME = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")


def migrations() -> dict[int, str]:
    """Return the SQL of every migration by its number, in order."""
    folder = resources.files("receiver.store.migrations")
    found = {int(m[1]): file.read_text() for file in folder.iterdir() if (m := _NAME.match(file.name))}
    return dict(sorted(found.items()))


def migrate(connection: duckdb.DuckDBPyConnection) -> list[int]:
    """Apply what is missing and return the numbers that were applied.

    Raises:
        StartError: The file was written by a newer release.
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
    for version, sql in known.items():
        if version in done:
            continue
        connection.execute("BEGIN")
        try:
            connection.execute(sql)
            connection.execute("INSERT INTO schema_migrations VALUES (?, now())", [version])
            connection.execute("COMMIT")
        except duckdb.Error:
            connection.execute("ROLLBACK")
            raise
        applied.append(version)
    return applied
