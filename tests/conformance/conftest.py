"""The receivers that all cases of this folder share, each a process of its own, and the trouble they can be put in."""

from __future__ import annotations

import itertools
import resource
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from receiver.ports import Encoding
from receiver.signals import Signal
from tests.support import raw_http
from tests.support.otlp_exchange import http_port
from tests.support.otlp_messages import one_record, written
from tests.support.receiver_process import ReceiverProcess

LIMIT = 100_000
"""Most bytes of one request at ``limited`` and ``crowded``, and there of all that wait."""
_QUICK = {"OTLP_RECEIVER_LOADER__BATCH_WAIT_S": "0.01"}
_REFUSES_SOON = _QUICK | {"OTLP_RECEIVER_LIMITS__WAIT_S": "0.05"}
_numbers = itertools.count()

Trouble = Callable[[], AbstractContextManager[ReceiverProcess]]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for the receivers' data."""
    return tmp_path_factory.mktemp("conformance")


@pytest.fixture(scope="session")
def receiver(folder: Path) -> Iterator[ReceiverProcess]:
    """Yield a receiver with the default limits."""
    with ReceiverProcess(folder / "usual", environment=_QUICK) as process:
        yield _ready(process)


@pytest.fixture(scope="session")
def limited(folder: Path) -> Iterator[ReceiverProcess]:
    """Yield a receiver that takes requests up to ``LIMIT`` bytes, and whose answers have 3 bytes at the most."""
    limits = {
        "OTLP_RECEIVER_LIMITS__REQUEST_BYTES": str(LIMIT),
        "OTLP_RECEIVER_LIMITS__RESPONSE_BYTES": "3",
    }
    with ReceiverProcess(folder / "limited", environment=_QUICK | limits) as process:
        yield process


@pytest.fixture(scope="session")
def crowded(folder: Path) -> Iterator[ReceiverProcess]:
    """Yield a receiver whose room for requests is taken up, but for 10 bytes, by one whose last bytes do not come."""
    limits = {
        "OTLP_RECEIVER_LIMITS__REQUEST_BYTES": str(LIMIT),
        "OTLP_RECEIVER_LIMITS__WAITING_BYTES": str(LIMIT),
        "OTLP_RECEIVER_LIMITS__BODY_TIMEOUT_S": "3600",
    }
    with ReceiverProcess(folder / "crowded", environment=_REFUSES_SOON | limits) as process:
        headers = {"Content-Type": "application/x-protobuf", "Content-Length": str(LIMIT)}
        with socket.create_connection(("127.0.0.1", http_port(process))) as slow:
            slow.sendall(raw_http.request_bytes("/v1/logs", bytes(LIMIT - 10), headers=headers))
            while _waiting_bytes(process) < LIMIT - 10:
                pass  # it has not read all of it yet
            yield process


@pytest.fixture(scope="session")
def failing(folder: Path) -> Iterator[ReceiverProcess]:
    """Yield a receiver whose disk may fail, and whose answers have 60 bytes at the most."""
    limits = {"OTLP_RECEIVER_LIMITS__RESPONSE_BYTES": "60"}
    with ReceiverProcess(folder / "failing", environment=_QUICK | limits) as process:
        yield _ready(process)  # what fails is a receiver that works


@pytest.fixture(scope="session")
def filled(folder: Path) -> Iterator[ReceiverProcess]:
    """Yield a receiver whose spool holds as much as it may, until the end."""
    limits = {
        "OTLP_RECEIVER_SPOOL__MAX_BYTES": "1",
        "OTLP_RECEIVER_STORE__CHECKPOINT_INTERVAL_S": "3600",
    }
    with ReceiverProcess(folder / "filled", environment=_REFUSES_SOON | limits) as process:
        first = written(one_record(Signal.LOGS, "first"), Encoding.JSON)
        while b"spool.max_bytes" not in process.send(Signal.LOGS.http_path, first).body:
            pass  # it is on disk, or will be: the answer does not wait for a slow one
        yield process


@pytest.fixture
def service() -> str:
    """Return the name of a service that no other test sends for."""
    return f"service-{next(_numbers)}"


@pytest.fixture
def trouble(request: pytest.FixtureRequest) -> Trouble:
    """Return what puts a receiver in the trouble that ``temporary`` names, for the length of a block."""
    kind: str = request.getfixturevalue("temporary")
    return {
        "busy": lambda: _as_it_is(request.getfixturevalue("crowded")),
        "disk": lambda: _without_disk(request.getfixturevalue("failing")),
        "full": lambda: _as_it_is(request.getfixturevalue("filled")),
    }[kind]


every_temporary_failure = pytest.mark.parametrize("temporary", ["busy", "disk", "full"])
"""For tests with the fixture ``trouble``."""


@contextmanager
def _without_disk(failing: ReceiverProcess) -> Iterator[ReceiverProcess]:
    """Let every write to a file fail: EFBIG, as from a file system that has no room for more."""
    with _file_size_limit(failing.pid, 0):
        yield failing


@contextmanager
def _as_it_is(receiver: ReceiverProcess) -> Iterator[ReceiverProcess]:
    yield receiver


@contextmanager
def _file_size_limit(pid: int, size: int) -> Iterator[None]:
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def _ready(process: ReceiverProcess) -> ReceiverProcess:
    """Return when its store is open: asking often costs less than the second that a 503 asks for."""
    deadline = time.monotonic() + 30
    while '"ready"' not in _page(process, "readyz"):
        assert time.monotonic() < deadline, process.log
    return process


def _page(process: ReceiverProcess, path: str) -> str:
    try:
        with urllib.request.urlopen(f"http://{process.query}/{path}", timeout=20) as answer:
            return str(answer.read(), "utf-8")
    except urllib.error.HTTPError as refusal:
        with refusal:
            return str(refusal.read(), "utf-8")


def _waiting_bytes(receiver: ReceiverProcess) -> float:
    page = _page(receiver, "metrics")
    values = [
        line.split()[1] for line in page.splitlines() if line.startswith("otlp_receiver_waiting_bytes ")
    ]
    return float(values[0])
