"""The Python API against a receiver that runs as another process."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from receiver import HotRecord, HotStore, OtelIngester
from receiver.errors import QueryError, StoreUnavailableError
from tests.support.receiver_process import ReceiverProcess


async def test_the_same_calls_work_over_http(tmp_path: Path) -> None:
    """Stored there, found there, a duplicate there; only vectors stay a matter of one process."""
    spans = [
        {
            "name": "refund the customer",
            "start_time": "2026-01-31T12:00:00Z",
            "attributes": {"service.name": "qwen"},
        }
    ]
    with ReceiverProcess(tmp_path / "data") as process:
        async with OtelIngester(hot_store_path=f"http://{process.query}") as ingester:
            report = await ingester.ingest_batch(
                [{"trace_id": "t-1", "spans": spans}, 5, {"trace_id": "t-1", "spans": spans}]
            )
            assert (report["success_count"], report["duplicate_count"], report["error_count"]) == (1, 1, 1)
            (found,) = await ingester.search_traces("refund", system_id="qwen")
            assert (found["conversation_id"], found["system_id"]) == ("t-1", "qwen")
            assert found["timestamp"] == datetime(2026, 1, 31, 12, tzinfo=UTC)
            got = await ingester.get_trace_by_id("t-1")
            assert got is not None
            assert got["content"] == "refund the customer"
            assert await ingester.get_trace_by_id("t-2") is None
            record = HotRecord(
                system_id="claude",
                conversation_id="c",
                content="x",
                embedding=[1.0],
                timestamp=datetime.now(UTC),
            )
            with pytest.raises(QueryError, match="takes no vectors"):
                await ingester.hot_store.insert(record)
            await ingester.hot_store.insert(record.model_copy(update={"embedding": []}))
            assert await ingester.hot_store.count() == 2
        assert await asyncio.to_thread(process.sql, "SELECT count(*) FROM spans") == [[2]]


async def test_an_address_where_nothing_listens_is_an_error_at_once() -> None:
    """Not with the first trace."""
    with pytest.raises(StoreUnavailableError):
        await HotStore("http://localhost:9").initialize()
