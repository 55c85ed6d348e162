"""One receiver for all clients of this folder: each sends as a service of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.receiver_process import ReceiverProcess


@pytest.fixture(scope="session")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReceiverProcess]:
    """Yield a running receiver."""
    with ReceiverProcess(tmp_path_factory.mktemp("interop") / "data") as process:
        yield process


@pytest.fixture(scope="session")
def here() -> Path:
    """Return this folder."""
    return Path(__file__).parent
