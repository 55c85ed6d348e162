"""The answer comes after the sync; retries, failures and stops cost nobody a record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from receiver.config import IntakeConfig, LimitsConfig, Settings
from receiver.decode.decoder import ColumnDecoder
from receiver.decode.nested_values import NestedValues
from receiver.duplicates import DuplicateWindow
from receiver.errors import (
    BusyError,
    MalformedRequestError,
    RetryableError,
    ShuttingDownError,
    SpoolUnavailableError,
)
from receiver.intake.group_intake import GroupIntake
from receiver.ports import ExportRequest, Outcome, Spool
from receiver.signals import Signal
from receiver.spool import SqliteSpool
from receiver.telemetry.metrics import Metrics
from tests.support.otlp_requests import logs, make_span, metrics, span_request, traces
from tests.support.spool_entries import SteppedClock
from tests.support.stage_doubles import GatedDecoder, GatedSpool, LoadingDouble

LONG_S = 30.0


class Stage:
    """An intake between doubles."""

    def __init__(self, folder: Path) -> None:
        """Open the spool."""
        self.clock = SteppedClock()
        self.real_spool = SqliteSpool(folder / "spool.db", clock=self.clock)
        self.spool = GatedSpool(self.real_spool)
        nested = NestedValues()
        limits = LimitsConfig()
        self.usual = GatedDecoder(ColumnDecoder(limits, nested))
        self.large = GatedDecoder(ColumnDecoder(limits, nested))
        self.loading = LoadingDouble()
        self.intake = GroupIntake(
            decoders=(self.usual, self.large),
            spool=cast("Spool", self.spool),
            window=DuplicateWindow(600, 1 << 20, self.clock),
            loading=self.loading,
            settings=Settings(intake=IntakeConfig(group_requests=4)),
            metrics=Metrics(),
            clock=self.clock,
        )

    async def accept(self, request: ExportRequest, wait_s: float = LONG_S) -> Outcome:
        """Hand a request in."""
        await self.intake.budget.reserve(len(request.body), wait_s=wait_s)
        return await self.intake.accept(request, wait_s=wait_s)

    def open_gates(self) -> None:
        """Let everything go on."""
        for part in (self.spool, self.usual, self.large):
            part.gate.set()

    @property
    def spooled(self) -> int:
        """Return how many requests are on disk."""
        return self.real_spool.statistics().requests


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """Return a running intake; it is closed at the end."""
    stage = await asyncio.to_thread(Stage, tmp_path)
    stage.intake.start()
    yield stage
    stage.open_gates()
    await stage.intake.close()
    await asyncio.to_thread(stage.real_spool.close)


async def entered(part: GatedSpool | GatedDecoder) -> None:
    """Return once somebody stands at the gate."""
    assert await asyncio.to_thread(part.entered.wait, LONG_S)


async def test_the_answer_is_given_only_after_the_append_returned(stage: Stage) -> None:
    """While the commit is under way there is no answer, however long it takes."""
    stage.spool.gate.clear()
    answer = asyncio.create_task(stage.accept(span_request(0)))
    await entered(stage.spool)
    assert not answer.done()
    assert stage.spooled == 0
    stage.spool.gate.set()
    assert await answer == Outcome()
    assert stage.spooled == 1
    assert [group.sequences for group in stage.loading.groups] == [[1]]


async def test_a_retry_while_the_first_waits_shares_its_commit_and_its_answer(stage: Stage) -> None:
    """One request goes to disk; both clients get the same partial success."""
    request = ExportRequest(Signal.TRACES, traces(make_span(0), make_span(1, trace_id=b"")))
    stage.spool.gate.clear()
    first = asyncio.create_task(stage.accept(request))
    await entered(stage.spool)
    second = asyncio.create_task(stage.accept(request))
    await asyncio.sleep(0)
    stage.spool.gate.set()
    assert await first == await second
    assert (await first).rejected == 1
    assert stage.spooled == 1


async def test_a_retry_after_the_commit_gets_a_note_and_is_counted(stage: Stage) -> None:
    """It is not stored again; the durable totals know its records as duplicates."""
    assert await stage.accept(span_request(0, 3)) == Outcome()
    stage.clock.advance(12)
    answer = await stage.accept(span_request(0, 3))
    assert answer == Outcome(0, "identical to a request accepted 12 s ago, not stored again")
    await stage.accept(span_request(10))  # the count goes to disk with the next commit
    totals = stage.real_spool.statistics()
    assert totals.requests == 2
    assert totals.duplicate_records[Signal.TRACES] == 3
    assert totals.accepted_records[Signal.TRACES] == 7


async def test_a_retry_of_a_partly_rejected_request_gets_the_same_partial_success(stage: Stage) -> None:
    """Whoever lost the first answer learns from the second what was rejected."""
    request = ExportRequest(Signal.TRACES, traces(make_span(0), make_span(1, trace_id=b"")))
    assert await stage.accept(request) == await stage.accept(request)
    assert stage.spooled == 1


async def test_a_request_without_id_or_time_is_never_a_duplicate(stage: Stage) -> None:
    """The same bytes again may be a second event."""
    for request in (
        ExportRequest(Signal.LOGS, logs(LogRecord(severity_text="x"))),
        ExportRequest(Signal.METRICS, metrics(Metric(name="no points"))),
    ):
        assert await stage.accept(request) == await stage.accept(request) == Outcome()
    assert stage.spooled == 4


async def test_the_same_bytes_of_another_signal_are_another_request(stage: Stage) -> None:
    """An empty request is valid for every signal."""
    await asyncio.gather(*(stage.accept(ExportRequest(signal, b"")) for signal in Signal))
    assert stage.spooled == 3


async def test_a_failed_commit_is_retryable_for_its_group_and_the_next_one_works(stage: Stage) -> None:
    """Nothing is remembered of it, so the retry is stored."""
    stage.spool.failures.append(SpoolUnavailableError("disk full"))
    with pytest.raises(RetryableError, match="disk full"):
        await stage.accept(span_request(0))
    problems = [stage.intake.spool_problem]
    assert await stage.accept(span_request(0)) == Outcome()
    problems.append(stage.intake.spool_problem)
    assert problems == ["disk full", None]
    assert stage.spooled == 1


async def test_an_unexpected_failure_while_committing_or_decoding_is_retryable(stage: Stage) -> None:
    """A client is never told to drop its data because of a fault of ours."""
    stage.spool.failures.append(ValueError("a bug"))
    with pytest.raises(SpoolUnavailableError):
        await stage.accept(span_request(0))
    stage.usual.failures.append(ValueError("a bug"))
    with pytest.raises(RetryableError):
        await stage.accept(span_request(0))
    assert await stage.accept(span_request(0)) == Outcome()


async def test_a_request_that_is_not_on_disk_in_time_is_busy_and_committed_all_the_same(stage: Stage) -> None:
    """The retry finds it: either it shares the commit or it is a duplicate."""
    stage.spool.gate.clear()
    with pytest.raises(BusyError):
        await stage.accept(span_request(0), wait_s=0.05)
    stage.spool.gate.set()
    await stage.accept(span_request(0))
    assert stage.spooled == 1


async def test_bytes_stay_reserved_until_the_intake_is_done_with_them(stage: Stage) -> None:
    """A client that gives up while the disk hangs does not let others fill the memory; retries hold none for long."""
    request, budget = span_request(0), stage.intake.budget
    stage.spool.gate.clear()
    for _ in range(2):
        with pytest.raises(BusyError):
            await stage.accept(request, wait_s=0.05)
        assert budget.statistics().used_bytes == len(request.body)
    stage.spool.gate.set()
    await stage.accept(request)
    assert budget.statistics().used_bytes == 0


async def test_a_cancelled_request_is_committed_all_the_same(stage: Stage) -> None:
    """The client has gone; what was taken in is not given up."""
    stage.spool.gate.clear()
    answer = asyncio.create_task(stage.accept(span_request(0)))
    await entered(stage.spool)
    answer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answer
    stage.spool.gate.set()
    assert (await stage.accept(span_request(0))).rejected == 0
    assert stage.spooled == 1


async def test_a_bad_request_is_refused_and_its_neighbours_are_accepted(stage: Stage) -> None:
    """All of them were in one group."""
    answers = await asyncio.gather(
        stage.accept(span_request(0)),
        stage.accept(ExportRequest(Signal.TRACES, b"\xff")),
        stage.accept(span_request(1)),
        return_exceptions=True,
    )
    assert isinstance(answers[1], MalformedRequestError)
    assert answers[0] == answers[2] == Outcome()
    assert stage.spooled == 2
    assert stage.intake.pending_requests == 0


async def test_a_large_request_does_not_hold_up_small_ones(stage: Stage) -> None:
    """It is decoded in a lane of its own."""
    stage.large.gate.clear()
    large = ExportRequest(Signal.TRACES, traces(make_span(0, name="x" * (3 << 20))))
    waiting = asyncio.create_task(stage.accept(large))
    await entered(stage.large)
    assert await stage.accept(span_request(1)) == Outcome()
    assert not waiting.done()
    stage.large.gate.set()
    assert await waiting == Outcome()


async def test_close_answers_everything_that_was_taken_in(stage: Stage) -> None:
    """Nobody is left without an answer; later requests are told to come again."""
    stage.spool.gate.clear()
    waiting = [asyncio.create_task(stage.accept(span_request(n))) for n in range(10)]
    await entered(stage.spool)
    closing = asyncio.create_task(stage.intake.close())
    await asyncio.sleep(0)
    with pytest.raises(ShuttingDownError):
        await stage.accept(span_request(99))
    stage.spool.gate.set()
    await closing
    assert [task.result() for task in waiting] == [Outcome()] * 10
    assert stage.spooled == 10


async def test_close_makes_the_last_count_of_retries_durable(stage: Stage) -> None:
    """A retry after the last commit is in the totals too."""
    await stage.accept(span_request(0, 3))
    await stage.accept(span_request(0, 3))
    await stage.intake.close()
    assert stage.real_spool.statistics().duplicate_records[Signal.TRACES] == 3


async def test_groups_are_bounded_and_keep_their_order(stage: Stage) -> None:
    """At most as many requests as configured go into one commit; sequences follow the arrival."""
    stage.usual.gate.clear()
    waiting = [asyncio.create_task(stage.accept(span_request(n))) for n in range(11)]
    await entered(stage.usual)
    stage.usual.gate.set()
    await asyncio.gather(*waiting)
    sequences = [group.sequences for group in stage.loading.groups]
    assert [number for group in sequences for number in group] == list(range(1, 12))
    assert max(len(group) for group in sequences) == 4
