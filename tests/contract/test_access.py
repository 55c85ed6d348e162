"""The promises of ``receiver.access.Access``, proved in this process and over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from receiver.access import Access
from receiver.app.embedded import EmbeddedReceiver
from receiver.client.remote import RemoteAccess
from receiver.client.server import NoAnswerError
from receiver.config import EmbedConfig, Settings
from receiver.errors import EmbeddingOffError, InvalidFilterError, NotFoundError, PermanentError, StartError
from receiver.ports import ImportUnit
from receiver.signals import Signal
from tests.support.receiver_process import ReceiverProcess
from tests.support.units import make_unit


@pytest.fixture(params=["embedded", "remote"])
async def access(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Access]:
    """Return a receiver with an empty store."""
    if request.param == "embedded":
        settings = Settings(data_dir=str(tmp_path / "data"), embed=EmbedConfig(enabled=False))
        embedded = await EmbeddedReceiver.open(settings)
        try:
            yield embedded
        finally:
            await embedded.close()
        return
    process = ReceiverProcess(tmp_path / "data")
    await asyncio.to_thread(process.__enter__)
    try:
        remote = RemoteAccess(process.query)
        await remote.flush()  # answered as soon as the store is open
        yield remote
    finally:
        await asyncio.to_thread(process.__exit__, None, None, None)


async def _names(access: Access) -> list[str]:
    await access.flush()
    return sorted(trace["name"] for trace in (await access.ask("traces", {"limit": ["1000"]}))["traces"])


async def test_units_are_stored_once_however_often_they_come(access: Access) -> None:
    """A unit that came before, or earlier in the same call, is a duplicate; the others are stored."""
    one, two, three = (make_unit(n) for n in range(1, 4))
    assert list((await access.import_units([one, two, one])).stored) == [True, True, False]
    assert list((await access.import_units([two, three])).stored) == [False, True]
    assert list((await access.import_units([])).stored) == []
    assert await _names(access) == ["unit 1", "unit 2", "unit 3"]


async def test_equal_units_that_come_at_the_same_time_are_stored_once(access: Access) -> None:
    """Callers take turns: of ten that bring the same unit, one stores it."""
    outcomes = await asyncio.gather(*(access.import_units([make_unit(1)]) for _ in range(10)))
    assert sorted(outcome.stored[0] for outcome in outcomes) == [False] * 9 + [True]
    assert await _names(access) == ["unit 1"]


async def test_many_and_large_units_go_through_in_order(access: Access) -> None:
    """What is more than one request becomes several; the answer has a word for each unit, in its place."""
    units = [make_unit(n, padding=300_000 if n % 50 == 0 else 0) for n in range(400)]
    await access.import_units(units[::3])
    outcome = await access.import_units(units)
    assert list(outcome.stored) == [n % 3 != 0 for n in range(400)]
    assert len(await _names(access)) == 400


async def test_waiting_for_vectors_where_there_is_no_model_ends_at_once(access: Access) -> None:
    """Nothing but a new start brings a model, so nobody asks again and again until then."""
    await access.import_units([make_unit(1)])
    async with asyncio.timeout(10):
        with pytest.raises(EmbeddingOffError, match="switched off"):
            await access.flush(embeddings=True)
    assert await _names(access) == ["unit 1"]


async def test_an_export_is_taken_like_a_clients(access: Access) -> None:
    """Without a key the bytes decide: the same again within the window is a retry."""
    payload = make_unit(7).payload
    assert (await access.export(Signal.TRACES, payload)).message == ""
    assert "identical" in (await access.export(Signal.TRACES, payload)).message
    assert await _names(access) == ["unit 7"]


async def test_a_unit_that_is_no_request_is_refused(access: Access) -> None:
    """The error says that the bytes are at fault, and good units can be handed in afterwards."""
    with pytest.raises(PermanentError):
        await access.import_units([ImportUnit(b"k" * 16, Signal.TRACES, b"\xff\xff\xff")])
    assert list((await access.import_units([make_unit(1)])).stored) == [True]


async def test_questions_are_refused_and_not_found_alike(access: Access) -> None:
    """Errors keep their kind and their words on the way."""
    with pytest.raises(NotFoundError, match="no trace"):
        await access.ask("trace", {"trace_id": ["ab" * 16]})
    with pytest.raises((InvalidFilterError, PermanentError), match="limit"):
        await access.ask("traces", {"limit": ["0"]})


async def test_closing_twice_is_closing_once(access: Access) -> None:
    """Who closes in a finally and in an exit stack does no harm."""
    await access.close()
    await access.close()


async def test_an_address_without_a_receiver_is_said_to_be_one() -> None:
    """The error names the address and how to start a receiver."""
    with pytest.raises(NoAnswerError, match="otlp-receiver serve"):
        await RemoteAccess("http://localhost:9").check()


async def test_a_data_directory_belongs_to_one_receiver(tmp_path: Path) -> None:
    """The second one is refused at once, and the first goes on."""
    settings = Settings(data_dir=str(tmp_path), embed=EmbedConfig(enabled=False))
    first = await EmbeddedReceiver.open(settings)
    try:
        with pytest.raises(StartError, match="running receiver"):
            await EmbeddedReceiver.open(settings)
        assert list((await first.import_units([make_unit(1)])).stored) == [True]
    finally:
        await first.close()


async def test_keys_outlive_the_receiver_and_the_window_of_retries(tmp_path: Path) -> None:
    """After a restart without a window of retries a unit is still a duplicate."""
    sections = {"embed": EmbedConfig(enabled=False), "spool": {"duplicate_window_s": 0}}
    settings = Settings.model_validate({"data_dir": str(tmp_path), **sections})
    for expected in (True, False):
        embedded = await EmbeddedReceiver.open(settings)
        assert list((await embedded.import_units([make_unit(1)])).stored) == [expected]
        await embedded.close()


async def test_an_import_that_a_kill_cut_short_is_completed_by_importing_again(tmp_path: Path) -> None:
    """Nothing is missing and nothing is there twice, wherever the kill fell."""
    units = [make_unit(n, padding=2_000) for n in range(6_000)]
    process = ReceiverProcess(tmp_path / "data")
    with process:
        access = RemoteAccess(process.query)
        first = asyncio.create_task(access.import_units(units))
        await asyncio.wait({asyncio.create_task(access.import_units(units[:100]))})
        await asyncio.to_thread(process.kill)
        await asyncio.gather(first, return_exceptions=True)
    with ReceiverProcess(tmp_path / "data") as again:
        access = RemoteAccess(again.query)
        await access.import_units(units)
        await access.flush()
        answer = await access.ask("sql", {"query": ["SELECT count(*), count(DISTINCT name) FROM spans"]})
        assert answer["rows"] == [[6_000, 6_000]]
