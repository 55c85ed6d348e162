"""A receiver and a strict client on a disk that a fault spoils for a while, and what must hold meanwhile."""

from __future__ import annotations

import json
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tests.faults.fault import FaultNotPossibleError, FaultReport
from tests.faults.numbered_client import RECORDS, NumberedClient
from tests.faults.numbered_records import acknowledged_numbers, compare_with_store
from tests.faults.receivers import wait_until_ready
from tests.support.bad_disk import COMPILER, BadDisk
from tests.support.receiver_process import ReceiverProcess

_MEMORY_BYTES = 900 << 20
"""Bound of the resident memory, whatever the disk does: the limits that are configured, and the libraries."""
_LOG_LINES = 12
"""Most lines of warnings and errors of one round."""
_WAIT_S = 30.0
_LOOK_S = 0.02
T = TypeVar("T")
_COMMON = {"OTLP_RECEIVER_STORE__CHECKPOINT_INTERVAL_S": "0.5", "OTLP_RECEIVER_SPOOL__MIN_FREE_BYTES": "0"}


@dataclass
class DiskTrial:
    """One receiver and its client, for all rounds of a fault: it must heal without a restart."""

    receiver: ReceiverProcess
    client: NumberedClient
    report: FaultReport
    noted: set[str] = field(default_factory=set)

    def round(
        self,
        trouble: AbstractContextManager[object],
        *,
        problem: str,
        refused: bool,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        """Let the client work, spoil the disk, check what is told about it, and see the receiver get well.

        Args:
            trouble: The disk is bad inside this block.
            problem: What /readyz must say in it, a regular expression.
            refused: Clients must be asked to come again; else they must be accepted all the while.
            meanwhile: Done before the disk is good again.
        """
        self.client.wait_for(1)
        warned = self._warnings()
        with trouble:
            self.noted |= set(
                _wait(lambda: self._problems_like(problem), lambda: f"/readyz never said {problem!r}: {self}")
            )
            if refused:
                before = self.client.gave_up
                _wait(
                    lambda: self.client.gave_up > before + 1,
                    lambda: f"nobody was asked to come again: {self}",
                )
            else:
                before = self.client.gave_up
                self.client.wait_for(2)
                assert self.client.gave_up == before, "somebody was asked to come again"
            meanwhile()
        ended = time.monotonic()
        wait_until_ready(self.receiver)
        self.receiver.flush()
        self.report.healthy_s.append(time.monotonic() - ended)
        self.report.tried += 1
        self.client.wait_for(1)
        said = self._warnings() - warned
        assert said <= _LOG_LINES, f"it said {said} things: {self.receiver.log}"

    def __str__(self) -> str:
        """Return what the receiver says of itself now, and has said."""
        return f"/readyz names {self.problems()}; the log: {self.receiver.log}"

    def problems(self) -> list[str]:
        """Return what /readyz names; empty if it is ready."""
        try:
            with urllib.request.urlopen(f"http://{self.receiver.query}/readyz", timeout=_WAIT_S):
                return []
        except urllib.error.HTTPError as answer:
            with answer:
                found: list[str] = json.load(answer)["problems"]
                return found

    def metric(self, name: str) -> float:
        """Return the sum of a metric over its labels; 0 where it has no sample."""
        with urllib.request.urlopen(f"http://{self.receiver.query}/metrics", timeout=_WAIT_S) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if re.match(rf"{name}(?:{{.*}})? ", line))

    def finish(self) -> None:
        """Let the client end; compare what it was told with what is stored."""
        self.client.finish()
        self.receiver.flush()
        compare_with_store(self.report, self.receiver, acknowledged_numbers([self.client]))
        quarantined = self.receiver.stats()["quarantine"]["requests"]
        assert quarantined == 0, f"{quarantined} requests are in quarantine; the log: {self.receiver.log}"
        peak = _peak_bytes(self.receiver.pid)
        assert peak < _MEMORY_BYTES, f"{peak >> 20} MiB resident"
        self.report.notes.append(f"{self.client.gave_up} answers to come again, at most {peak >> 20} MiB")

    def _problems_like(self, pattern: str) -> list[str]:
        return [each for each in self.problems() if re.search(pattern, each)]

    def _warnings(self) -> int:
        return sum(
            f" {level} " in line for line in self.receiver.log.splitlines() for level in ("WARNING", "ERROR")
        )


@contextmanager
def disk_trial(
    data_dir: Path,
    environment: Mapping[str, str],
    report: FaultReport,
    *,
    padding: int = 2000,
    is_opened: bool = True,
) -> Iterator[DiskTrial]:
    """Start both; at the end of the block compare, and leave no process behind.

    Args:
        data_dir: Folder of the receiver.
        environment: Added to what all disk faults have.
        report: Gets the figures.
        padding: Bytes in each request that do not compress.
        is_opened: The store is open before the block begins; clients are accepted earlier.
    """
    with ReceiverProcess(data_dir, environment=_COMMON | dict(environment)) as receiver:
        if is_opened:
            wait_until_ready(receiver)
        command = [sys.executable, "-m", "tests.faults.strict_client", receiver.grpc, receiver.http]
        with NumberedClient([*command, "0", str(RECORDS), str(padding)]) as client:
            trial = DiskTrial(receiver, client, report)
            yield trial
            trial.finish()


def bad_disk(folder: Path, data_dir: Path) -> BadDisk:
    """Return a disk without rules.

    Raises:
        FaultNotPossibleError: There is no compiler.
    """
    if COMPILER is None:
        raise FaultNotPossibleError("there is no C compiler")
    return BadDisk(folder, data_dir)


def _wait(look: Callable[[], T], complaint: Callable[[], str]) -> T:
    deadline = time.monotonic() + _WAIT_S
    while not (found := look()):
        assert time.monotonic() < deadline, complaint()
        time.sleep(_LOOK_S)
    return found


def _peak_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) << 10
