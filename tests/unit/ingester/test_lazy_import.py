"""Importing the package loads nothing; its names are there all the same."""

from __future__ import annotations

import subprocess
import sys

import pytest

import receiver


def loaded_by(statement: str) -> set[str]:
    """Return the heavy modules that a fresh interpreter has loaded after a statement."""
    heavy = {"duckdb", "pyarrow", "numpy", "pydantic", "grpc", "torch", "opentelemetry"}
    script = f"import sys; {statement}; print(*sorted(set(sys.modules) & {heavy!r}))"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_no_library() -> None:
    """The command line and everything else import it too."""
    assert loaded_by("import receiver; receiver.__version__") == set()


def test_the_api_loads_no_database_before_a_store_is_opened() -> None:
    """Against a running receiver none is needed."""
    assert not loaded_by("from receiver import OtelIngester") & {"duckdb", "grpc", "torch"}


def test_every_name_of_the_api_is_there() -> None:
    """And an unknown one is an AttributeError, as for any module."""
    for name in receiver.__all__:
        assert getattr(receiver, name).__name__ == name
    assert set(receiver.__all__) <= set(dir(receiver))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        receiver.Nothing  # noqa: B018 - the access is the test
