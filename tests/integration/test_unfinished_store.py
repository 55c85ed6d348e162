"""A database file whose making was cut short is made anew; a file that is somebody else's is left alone."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from receiver.config import StoreConfig
from receiver.errors import StartError, StoreUnavailableError
from receiver.store.duckdb_store import DuckDbStore
from receiver.store.migrate import migrations


def opened(path: Path) -> DuckDbStore:
    """Return an open store at the path."""
    return DuckDbStore.open(path, StoreConfig(), temp_directory=path.parent / "tmp")


@pytest.fixture
def fresh(tmp_path: Path) -> bytes:
    """Return the file that DuckDB makes before anything is in it."""
    duckdb.connect(str(tmp_path / "fresh.duckdb")).close()
    return (tmp_path / "fresh.duckdb").read_bytes()


@pytest.mark.parametrize("size", [0, 4096, 5000, 12_287])
@pytest.mark.parametrize("zeros", [False, True])
def test_the_beginning_of_a_file_is_made_anew(
    tmp_path: Path, fresh: bytes, size: int, *, zeros: bool
) -> None:
    """Cut anywhere in its headers, or zeros as a power cut leaves them: the store opens and can be written."""
    path = tmp_path / "telemetry.duckdb"
    path.write_bytes(bytes(size) if zeros else fresh[:size])
    store = opened(path)
    store.connection.execute("INSERT INTO spool_positions VALUES (uuid(), 1)")
    store.close()


@pytest.mark.parametrize("content", [b"127.0.0.1 localhost\n", b"\0" * 20_000])
def test_a_file_that_is_not_ours_is_left_alone(tmp_path: Path, content: bytes) -> None:
    """A path that was named by mistake is an error, and the file stays as it was."""
    path = tmp_path / "hosts"
    path.write_bytes(content)
    with pytest.raises(StartError, match="cannot be opened"):
        opened(path)
    assert path.read_bytes() == content


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Refuse every write of this process beyond ``size`` bytes of a file."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_disk_that_refuses_the_first_file_leaves_none_behind(tmp_path: Path) -> None:
    """It is tried again, and opens as soon as the disk takes it."""
    path = tmp_path / "telemetry.duckdb"
    with files_up_to(0):
        for _ in range(2):
            with pytest.raises(StoreUnavailableError):
                opened(path)
    assert not path.exists()
    opened(path).close()


@pytest.mark.parametrize("size", [12_288, 14_000, 16_384, 20_000, 28_000])
def test_a_disk_that_refuses_a_part_of_the_schema_is_tried_again(tmp_path: Path, size: int) -> None:
    """Wherever in the migrations it was full, the error names the disk, and the file opens when there is room."""
    path = tmp_path / "telemetry.duckdb"
    with files_up_to(size):
        for _ in range(2):
            with pytest.raises(StoreUnavailableError, match="a file may not grow any further"):
                opened(path)
    store = opened(path)
    applied = store.connection.execute("SELECT version FROM schema_migrations ORDER BY version").fetchall()
    store.close()
    assert [version for (version,) in applied] == list(migrations())
