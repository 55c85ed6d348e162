"""The ingester over a real receiver in this process: what it says is what is stored."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from receiver import HotStore, OtelIngester, ValidationError, create_otel_ingester
from receiver.config import Settings
from receiver.errors import StartError
from tests.support.receiver_process import REPOSITORY

NO_MODEL = Settings.model_validate({"embed": {"enabled": False}})


def trace(identity: str, *names: str, service: str = "claude-integration", **more: Any) -> dict[str, Any]:
    """Return a trace in the documented form."""
    return {
        "trace_id": identity,
        "spans": [
            {
                "name": name,
                "start_time": f"2026-01-31T12:00:{second:02d}Z",
                "end_time": f"2026-01-31T12:00:{second:02d}.250Z",
                "attributes": {"service.name": service, "number": second},
            }
            for second, name in enumerate(names or ("a span",))
        ],
        **more,
    }


async def names_in(folder: Path) -> list[str]:
    """Return what lies in a folder."""
    return await asyncio.to_thread(lambda: sorted(each.name for each in folder.iterdir()))


@pytest.fixture
async def ingester() -> AsyncIterator[OtelIngester]:
    """Give an ingester without a model: search matches words."""
    async with OtelIngester(embedding_model=None, settings=NO_MODEL) as opened:
        yield opened


async def test_a_trace_is_found_by_words_and_by_its_id(ingester: OtelIngester) -> None:
    """Right after it was stored, in the documented shape."""
    await ingester.ingest_trace(trace("claude-trace-001", "Process refund", "Call the bank"))
    (found,) = await ingester.search_traces("refund", limit=5)
    assert found["conversation_id"] == "claude-trace-001"
    assert found["content"] == "Process refund | Call the bank"
    assert found["system_id"] == "claude"
    assert found["timestamp"] == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert found["metadata"]["span_count"] == 2
    assert found["metadata"]["trace_id"] == "claude-trace-001"
    assert found["metadata"]["attributes"] == {"service.name": "claude-integration", "number": 1}
    assert found["similarity"] == 1.0
    assert "refund" in found["why"]
    got = await ingester.get_trace_by_id("claude-trace-001")
    assert got is not None
    assert {
        key: got[key] for key in ("conversation_id", "content", "timestamp", "metadata", "system_id")
    } == {key: found[key] for key in ("conversation_id", "content", "timestamp", "metadata", "system_id")}
    assert await ingester.get_trace_by_id("nobody") is None


async def test_everything_of_a_span_comes_back(ingester: OtelIngester) -> None:
    """Status, events, kinds, durations, parents, links, and ids as they were given."""
    await ingester.ingest_trace(
        {
            "trace_id": "t",
            "spans": [
                {
                    "name": "root",
                    "span_id": "r",
                    "start_time": 1_769_860_800,
                    "duration_ms": 5,
                    "kind": "server",
                },
                {
                    "name": "child",
                    "span_id": "c",
                    "parent_span_id": "r",
                    "start_time": 1_769_860_801,
                    "status": {"code": "ERROR", "message": "broken"},
                    "events": [{"name": "e", "time": 1_769_860_802, "attributes": {"k": b"\x01", "n": None}}],
                    "links": [{"trace_id": "other", "span_id": "x"}],
                },
                {"name": "orphan", "parent_span_id": "gone", "start_time": 1_769_860_803},
            ],
        }
    )
    found = await ingester.get_trace_by_id("t")
    assert found is not None
    root, child, orphan = found["spans"]
    assert (root["span_id"], root["kind"], root["duration_ms"], root["parent_span_id"]) == (
        "r",
        "server",
        5.0,
        None,
    )
    assert root["start_time"] == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert (child["parent_span_id"], child["status"], child["status_message"]) == ("r", "error", "broken")
    assert (child["end_time"], child["duration_ms"], child["attributes"]) == (None, None, {})
    assert child["events"] == [
        {"name": "e", "time": datetime(2026, 1, 31, 12, 0, 2, tzinfo=UTC), "attributes": {"k": b"\x01"}}
    ]
    assert len(child["links"]) == 1
    assert orphan["parent_span_id"] == "gone"
    assert found["metadata"]["error_count"] == 1
    assert found["system_id"] == "unknown"


async def test_a_batch_counts_what_is_stored_and_one_bad_element_stops_no_other(
    ingester: OtelIngester,
) -> None:
    """Success is on disk; errors have their index; what was stored before is a duplicate."""
    good = [trace(str(number), f"span {number}") for number in range(5)]
    report = await ingester.ingest_batch(
        [
            good[0],
            5,
            good[1],
            {"spans": []},
            good[2],
            trace("bad", start=1) | {"spans": [{"name": 7}]},
            good[0],
        ]
    )
    assert (report["success_count"], report["duplicate_count"], report["error_count"]) == (3, 1, 3)
    assert report["errors"][0] == "Trace unknown: 5 is not a trace; hand in a dict with trace_id and spans"
    assert report["errors"][1:] == [
        "Trace unknown: trace_data missing required field: trace_id",
        "Trace bad: spans[0].name: 7 is not a text",
    ]
    assert [(each["index"], each["trace_id"]) for each in report["error_details"]] == [
        (1, "unknown"),
        (3, "unknown"),
        (5, "bad"),
    ]
    assert await ingester.hot_store.count() == 3
    report = await ingester.ingest_batch(good)
    assert (report["success_count"], report["duplicate_count"], report["error_count"]) == (2, 3, 0)
    assert await ingester.ingest_batch([]) == {
        "success_count": 0, "error_count": 0, "duplicate_count": 0, "errors": [], "error_details": [],
    }  # fmt: skip


async def test_a_trace_with_the_same_id_and_other_spans_is_stored_besides(ingester: OtelIngester) -> None:
    """The second half of a trace is no duplicate of the first."""
    await ingester.ingest_trace(trace("t", "first"))
    await ingester.ingest_trace(trace("t", "second"))
    found = await ingester.get_trace_by_id("t")
    assert found is not None
    assert sorted(span["name"] for span in found["spans"]) == ["first", "second"]


async def test_a_large_batch_is_stored_whole_and_its_order_of_errors_is_kept(ingester: OtelIngester) -> None:
    """It is converted in parts, while the part before is committed."""
    traces: list[Any] = [trace(str(number)) for number in range(9_000)]
    traces[10] = traces[8_500] = None
    report = await ingester.ingest_batch(traces)
    assert (report["success_count"], report["error_count"]) == (8_998, 2)
    assert [each["index"] for each in report["error_details"]] == [10, 8_500]
    assert await ingester.hot_store.count() == 8_998


async def test_a_search_is_narrowed_to_a_system(ingester: OtelIngester) -> None:
    """By what was said or by what the service's name tells; live spans without the attribute too."""
    await ingester.ingest_batch(
        [
            trace("a", "pay the bill", service="claude-integration"),
            trace("b", "pay the bill", service="qwen-code"),
            trace("c", "pay the bill", service="shop", system_id="qwen"),
            trace("d", "pay the bill", service="shop"),
        ]
    )

    async def found(system_id: str | None) -> list[str]:
        rows = await ingester.search_traces("bill", system_id=system_id)
        assert {row["system_id"] for row in rows} <= (
            {system_id} if system_id else {"claude", "qwen", "shop"}
        )
        return sorted(row["conversation_id"] for row in rows)

    assert await found("claude") == ["a"]
    assert await found("qwen") == ["b", "c"]
    assert await found("shop") == ["d"]
    assert await found("nobody") == []
    assert await found(None) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"query": ""}, "query: the question is empty"),
        ({"query": "  "}, "query: the question is empty"),
        ({"query": "x" * 100_000}, "query: 100000 characters are more than 4096"),
        ({"query": 5}, "query: a int is not a text"),
        ({"query": "x", "limit": 0}, "limit: 0 is not"),
        ({"query": "x", "limit": -1}, "limit: -1 is not"),
        ({"query": "x", "limit": 1001}, "limit: 1001 is not"),
        ({"query": "x", "limit": True}, "limit: True is not"),
        ({"query": "x", "threshold": 1.5}, "threshold: 1.5 is not"),
        ({"query": "x", "threshold": float("nan")}, "threshold: nan is not"),
        ({"query": "x", "system_id": ""}, "system_id: '' is not a text"),
    ],
)
async def test_arguments_of_a_search_are_checked(
    ingester: OtelIngester, arguments: dict[str, Any], said: str
) -> None:
    """An answer to a question that was not asked is worse than none."""
    with pytest.raises(ValueError, match=said.split("(", maxsplit=1)[0]) as caught:
        await ingester.search_traces(**arguments)
    assert isinstance(caught.value, ValidationError)


async def test_a_bad_trace_is_an_error_of_the_single_call() -> None:
    """ingest_trace raises what ingest_batch reports; a ValidationError is a ValueError."""
    async with OtelIngester(embedding_model=None, settings=NO_MODEL) as ingester:
        with pytest.raises(ValidationError, match="trace_data missing required field: trace_id"):
            await ingester.ingest_trace({})
        with pytest.raises(ValueError, match=r"spans\[0\].start_time: 'yesterday' is not a time"):
            await ingester.ingest_trace({"trace_id": "t", "spans": [{"start_time": "yesterday"}]})
        with pytest.raises(ValidationError, match="is not a list of traces"):
            await ingester.ingest_batch(trace("t"))
        assert await ingester.hot_store.count() == 0


async def test_nothing_works_before_initialize_and_after_close() -> None:
    """The documented error says what to call."""
    ingester = OtelIngester(embedding_model=None, settings=NO_MODEL)
    calls: list[Any] = [
        lambda: ingester.ingest_trace(trace("t")),
        lambda: ingester.ingest_batch([]),
        lambda: ingester.search_traces("x"),
        lambda: ingester.get_trace_by_id("t"),
    ]
    for _ in range(2):
        for call in calls:
            with pytest.raises(RuntimeError, match=r"HotStore not initialized. Call initialize\(\) first."):
                await call()
        await ingester.initialize()
        await ingester.initialize()
        await ingester.ingest_trace(trace("t"))
        await ingester.close()
        await ingester.close()


async def test_a_file_keeps_what_was_stored_and_a_second_opening_finds_it(tmp_path: Path) -> None:
    """What was handed in before is a duplicate after the restart; no file has a name that nobody gave."""
    path = tmp_path / "traces.duckdb"
    for new in (1, 0):
        async with OtelIngester(hot_store_path=path, embedding_model=None, settings=NO_MODEL) as ingester:
            report = await ingester.ingest_batch([trace("t", "kept")])
            assert (report["success_count"], report["duplicate_count"]) == (new, 1 - new)
            found = await ingester.get_trace_by_id("t")
            assert found is not None
            assert found["content"] == "kept"
    assert await names_in(tmp_path) == ["traces.duckdb", "traces.duckdb.d"]


async def test_a_file_that_is_in_use_is_said_so(tmp_path: Path) -> None:
    """A second ingester on the same data directory is refused, and the first one goes on."""
    async with OtelIngester(hot_store_path=tmp_path / "d", embedding_model=None, settings=NO_MODEL) as first:
        second = OtelIngester(hot_store_path=tmp_path / "d", embedding_model=None, settings=NO_MODEL)
        with pytest.raises(StartError):
            await second.initialize()
        await first.ingest_trace(trace("t"))


async def test_memory_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The temporary folder goes with the store, and another one knows nothing of it."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for _ in range(2):
        async with OtelIngester(embedding_model=None, settings=NO_MODEL) as ingester:
            assert len(await names_in(tmp_path)) == 1
            assert (await ingester.ingest_batch([trace("t")]))["success_count"] == 1
        assert await names_in(tmp_path) == []


async def test_an_injected_store_is_initialised_and_closed_with_the_ingester() -> None:
    """Nobody has to know whose job it is."""
    store = HotStore(":memory:", settings=NO_MODEL)
    ingester = OtelIngester(store, embedding_model=None)
    await ingester.initialize()
    assert store.initialized
    await ingester.ingest_trace(trace("t"))
    assert await store.count() == 1
    await ingester.close()
    assert not store.initialized


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cache_size", -1),
        ("cache_size", "many"),
        ("embedding_model", ""),
        ("hot_store_path", None),
        ("hot_store_path", ""),
        ("hot_store", "a path"),
        ("similarity_threshold", 2),
        ("wait_for_embeddings_s", -1),
        ("system_id", ""),
    ],
)
def test_arguments_of_the_constructor_are_checked(name: str, value: object) -> None:
    """At once, not with the first question, and by their names."""
    with pytest.raises(ValidationError, match=f"^{name.replace('hot_store_path', 'database_path')}: "):
        OtelIngester(**{name: value})  # type: ignore[arg-type]


async def test_concurrent_batches_store_each_trace_once(ingester: OtelIngester) -> None:
    """Whoever comes second with the same trace has a duplicate."""
    traces = [trace(str(number)) for number in range(50)]
    reports = await asyncio.gather(*(ingester.ingest_batch(traces) for _ in range(4)))
    assert sum(report["success_count"] for report in reports) == 50
    assert sum(report["duplicate_count"] for report in reports) == 150
    assert await ingester.hot_store.count() == 50


@pytest.mark.model
async def test_the_documented_quick_start_finds_what_it_has_just_stored() -> None:
    """Construct, initialise, store, search, get by id, close: by meaning, with the model's first load."""
    ingester = await create_otel_ingester(
        hot_store_path=":memory:", embedding_model="all-MiniLM-L6-v2", cache_size=1000
    )
    await ingester.ingest_trace(trace("trace-1", "process the refund of a customer", "call payment gateway"))
    await ingester.ingest_batch([trace("trace-2", "render the start page", service="qwen-web")])
    results = await ingester.search_traces("give the money back", limit=5)
    assert results[0]["conversation_id"] == "trace-1"
    assert results[0]["similarity"] > 0.2
    assert (await ingester.search_traces("give the money back", system_id="qwen", threshold=0.6)) == []
    got = await ingester.get_trace_by_id("trace-1")
    assert got is not None
    assert got["content"] == "process the refund of a customer | call payment gateway"
    await ingester.close()


@pytest.mark.model
def test_the_quick_start_of_the_documentation_runs_as_it_is_printed(tmp_path: Path) -> None:
    """The first program of docs/python.md finds its trace by meaning and gets it by its id."""
    page = (REPOSITORY / "docs" / "python.md").read_text("utf-8")
    program = page.partition("```python\n")[2].partition("```")[0]
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    found, got = done.stdout.splitlines()
    assert "'conversation_id': 'claude-trace-001'" in found
    assert "'similarity': 0." in found
    assert "'spans': [" in got


@pytest.mark.model
async def test_an_unknown_model_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    """With its name, and nothing stays open."""
    settings = Settings.model_validate({"embed": {"model_path": str(tmp_path / "nowhere")}})
    ingester = OtelIngester(hot_store_path=tmp_path / "d", embedding_model="no-such-model", settings=settings)
    with pytest.raises(ValidationError, match="embedding_model: no model weights"):
        await ingester.initialize()
    async with OtelIngester(hot_store_path=tmp_path / "d", embedding_model=None, settings=NO_MODEL) as again:
        await again.ingest_trace(trace("t"))
