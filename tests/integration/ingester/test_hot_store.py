"""HotStore and HotRecord over a real receiver in this process."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError as PydanticError

from receiver import HotRecord, HotStore, ValidationError
from receiver.config import Settings
from receiver.errors import EmbeddingUnavailableError

NO_MODEL = Settings.model_validate({"embed": {"enabled": False}})
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
DIMENSION = 384


def record(identity: str, content: str = "hello", **more: Any) -> HotRecord:
    """Return a record."""
    values = {"system_id": "claude", "timestamp": NOON, "metadata": {}, **more}
    return HotRecord(conversation_id=identity, content=content, **values)


def axis(number: int, length: float = 1.0) -> list[float]:
    """Return a vector along one axis."""
    return [length if place == number else 0.0 for place in range(DIMENSION)]


@pytest.fixture
async def store() -> AsyncIterator[HotStore]:
    """Give an empty store without a model."""
    async with HotStore(settings=NO_MODEL) as opened:
        yield opened


async def test_a_record_comes_back_as_it_was(store: HotStore) -> None:
    """Content, metadata with their types, an aware time; a time without a zone is UTC."""
    metadata = {"task_class": "code", "n": None, "deep": [1, {"x": 2.5}], "yes": True}
    assert await store.insert(record("c-1", "how to sort a list", metadata=metadata))
    naive = datetime(2026, 1, 31, 13)  # noqa: DTZ001 - a time without a zone is the case
    assert await store.insert(record("c-2", timestamp=naive))
    found = await store.get_by_id("c-1")
    assert found is not None
    assert (found["conversation_id"], found["content"], found["system_id"]) == (
        "c-1",
        "how to sort a list",
        "claude",
    )
    assert (found["timestamp"], found["metadata"]) == (NOON, metadata)
    later = await store.get_by_id("c-2")
    assert later is not None
    assert later["timestamp"] == NOON + timedelta(hours=1)
    assert await store.get_by_id("c-3") is None
    assert await store.count() == 2


async def test_the_same_record_again_is_said_to_be_there(store: HotStore) -> None:
    """Nothing is stored twice, and nothing is swallowed."""
    assert await store.insert(record("c")) is True
    assert await store.insert(record("c")) is False
    assert await store.insert(record("c", "another content")) is True
    assert await store.count() == 1


async def test_conversations_are_listed_by_system_time_and_task_class(store: HotStore) -> None:
    """Newest first; both ends of the range belong to it; task_class works."""
    for number, system in enumerate(["claude", "qwen", "claude"]):
        metadata = {"task_class": "code" if number else "talk"}
        when = NOON + timedelta(minutes=number)
        await store.insert(
            record(f"c{number}", f"text {number}", system_id=system, timestamp=when, metadata=metadata)
        )

    async def listed(**asked: Any) -> list[str]:
        return [row["conversation_id"] for row in await store.query_traces(**asked)]

    assert await listed() == ["c2", "c1", "c0"]
    assert await listed(system_id="claude") == ["c2", "c0"]
    assert await listed(task_class="code") == ["c2", "c1"]
    assert await listed(task_class="code", system_id="qwen") == ["c1"]
    assert await listed(start_time=NOON + timedelta(minutes=1)) == ["c2", "c1"]
    assert await listed(end_time=NOON + timedelta(minutes=1)) == ["c1", "c0"]
    assert await listed(limit=1) == ["c2"]
    assert await listed(system_id="'; DROP TABLE spans; --") == []
    assert await listed(task_class='x" OR 1=1') == []


async def test_a_record_that_is_none_is_refused() -> None:
    """By the model itself, and by insert for a dict; what cannot be stored is named."""
    with pytest.raises(PydanticError):
        HotRecord(system_id="", conversation_id="c", content="x", timestamp=NOON)
    async with HotStore(settings=NO_MODEL) as store:
        with pytest.raises(ValidationError, match=r"^timestamp: Field required"):
            await store.insert({"system_id": "s", "conversation_id": "c", "content": "x"})
        with pytest.raises(ValidationError, match="cannot be an attribute"):
            await store.insert(record("c", metadata={"a": object()}))
        with pytest.raises(ValidationError, match="is before 1970"):
            await store.insert(record("c", timestamp=datetime(1969, 1, 1, tzinfo=UTC)))
        with pytest.raises(ValidationError, match=r"^limit: 0"):
            await store.query_traces(limit=0)
        with pytest.raises(ValidationError, match="start_time"):
            await store.query_traces(start_time="yesterday")  # type: ignore[arg-type]
        assert await store.count() == 0


async def test_vectors_need_a_model_whose_vectors_they_join(store: HotStore) -> None:
    """The error says that there is none."""
    with pytest.raises(EmbeddingUnavailableError, match="switched off"):
        await store.insert(record("c", embedding=axis(0)))
    with pytest.raises(EmbeddingUnavailableError, match="switched off"):
        await store.search_similar(axis(0))
    assert await store.count() == 0


async def test_nothing_works_before_initialize_and_after_close(tmp_path: Path) -> None:
    """Closing twice is fine, and it can be opened again."""
    store = HotStore(tmp_path / "d", settings=NO_MODEL)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="HotStore not initialized"):
            await store.insert(record("c"))
        with pytest.raises(RuntimeError, match="HotStore not initialized"):
            await store.query_traces()
        await store.initialize()
        await store.insert(record("c"))
        assert await store.count() == 1
        await store.close()
        await store.close()


@pytest.mark.model
async def test_a_given_vector_is_the_vector_of_its_text(tmp_path: Path) -> None:
    """Whatever the model would have made, also after a restart; without one the model makes it."""
    async with HotStore(tmp_path / "d", settings=Settings()) as store:
        await store.insert(record("x", "first text", embedding=axis(0, length=7.0)))
        await store.insert(record("y", "second text", embedding=axis(1), system_id="qwen"))
        await store.insert(record("z", "third text"))
        found = await store.search_similar(axis(0))
        assert [(row["conversation_id"], round(row["similarity"], 3)) for row in found] == [("x", 1.0)]
        tilted = (np.array(axis(0)) + np.array(axis(1)) * 0.5).tolist()
        found = await store.search_similar(tilted, threshold=0.3)
        assert [row["conversation_id"] for row in found] == ["x", "y"]
        assert [row["conversation_id"] for row in await store.search_similar(tilted, limit=1)] == ["x"]
        found = await store.search_similar(tilted, system_id="qwen", threshold=0.3)
        assert [row["conversation_id"] for row in found] == ["y"]
        for bad, said in (
            ([1.0, 2.0], "it has 2 numbers, vectors of this model have 384"),
            ([0.0] * DIMENSION, "no direction"),
            ([math.nan] * DIMENSION, "no direction"),
            ("text", "not a list of numbers"),
        ):
            with pytest.raises(ValidationError, match=said):
                await store.search_similar(bad)  # type: ignore[arg-type]
        with pytest.raises(ValidationError, match="it has 2 numbers"):
            await store.insert(record("w", embedding=[1.0, 2.0]))
        assert await store.count() == 3
    async with HotStore(tmp_path / "d", settings=Settings()) as store:
        assert [row["conversation_id"] for row in await store.search_similar(axis(1))] == ["y"]
