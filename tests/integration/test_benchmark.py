"""The benchmark works, on a real receiver and for a moment: what it measures is for nobody here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from receiver.signals import Signal
from tests.benchmarks.ingest_run import Generator, Plan, VoidRunError, database_bytes, measured
from tests.benchmarks.limit_columns import parts_of, rows_per_second
from tests.support.receiver_process import ReceiverProcess

_SHORT = Plan(batch=20, seconds=0.3, embed=False, pool_records=200)
_PLANS = (
    replace(_SHORT, signal=Signal.TRACES, transport="grpc"),
    replace(_SHORT, signal=Signal.LOGS, transport="http"),
    replace(_SHORT, signal=Signal.METRICS, transport="grpc", rate=500.0),
)


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReceiverProcess]:
    """Yield a receiver whose threads have names."""
    folder = tmp_path_factory.mktemp("benchmark") / "data"
    with ReceiverProcess(folder, module="tests.benchmarks.named_threads") as process:
        yield process


@pytest.mark.parametrize("plan", _PLANS, ids=lambda plan: f"{plan.signal.value}-{plan.transport}")
def test_what_the_generator_got_acknowledged_is_what_is_stored(
    receiver: ReceiverProcess, tmp_path: Path, plan: Plan
) -> None:
    """A run is not void: the receiver's totals agree with what was acknowledged, and every figure is there."""
    endpoint = receiver.grpc if plan.transport == "grpc" else receiver.http
    with Generator(plan, endpoint, tmp_path / "times.npy") as generator:
        run = measured(plan, receiver, generator, tmp_path / "times.npy")
    assert run["stored_records"] > 0
    assert run["stored_records"] % plan.batch == 0
    assert set(run["answer_ms"]) == set(run["queryable_ms"]) == {"p50", "p95", "p99", "max"}
    assert {"event loop", "store"} <= set(run["stage_cpu_s_per_million"])
    assert run["log"] == []
    assert database_bytes(receiver.data_dir) > 0


def test_a_run_that_does_not_account_for_everything_is_void(
    receiver: ReceiverProcess, tmp_path: Path
) -> None:
    """Log records that were there before are stored and were not acknowledged to this generator."""
    receiver.send("/v1/logs", b'{"resourceLogs": [{"scopeLogs": [{"logRecords": [{"timeUnixNano": "1"}]}]}]}')
    plan = replace(_PLANS[1], seconds=0.1)
    with Generator(plan, receiver.http, tmp_path / "times.npy") as generator, pytest.raises(VoidRunError):
        measured(plan, receiver, generator, tmp_path / "times.npy")


def test_ready_columns_go_through_the_receivers_writer(tmp_path: Path) -> None:
    """Two commits of the rows that the receiver makes of 4096 spans are written, and one checkpoint completed."""
    parts = parts_of(Signal.TRACES, "small", 4096)
    rate, checkpoints = rows_per_second(Signal.TRACES, parts, 4096, 2 * 4096, tmp_path)
    assert rate > 0
    assert checkpoints == 1
