"""Agents' sessions are found by what their records, traces and resources say; others' sessions are not."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from receiver.questions import AgentRecord, SessionFilters, Status
from receiver.signals import Signal
from receiver.store.duckdb_reader import DuckDbReader
from tests.support.store_rows import MS, T0, S, StoreRows, trace

LIMIT = 1000


async def ids(reader: DuckDbReader, limit: int = LIMIT, **filters: Any) -> list[str]:
    """Return the sessions that pass."""
    return await reader.session_ids(SessionFilters(**filters), limit)


async def names(reader: DuckDbReader, *session_ids: str) -> dict[str, list[str]]:
    """Return the names of the records of sessions."""
    found = await reader.session_records(session_ids, LIMIT)
    assert not found.truncated
    return {session: [record.name for record in records] for session, records in found.records.items()}


def agent(rows: StoreRows, session: str, *, number: int = 1, start: int = T0, service: str = "agent") -> UUID:
    """Insert a session of one span of an agent in a trace of its own, and return the trace."""
    rows.span(
        trace(number), number, resource_id=rows.resource(service), start=start, name=f"call {session}",
        session_id=session, is_gen_ai=True,
    )  # fmt: skip
    return trace(number)


async def test_sessions_come_with_the_newest_record_first(rows: StoreRows, reader: DuckDbReader) -> None:
    """Whichever of its records is the newest, a metric's point too; the limit keeps the newest sessions."""
    agent(rows, "early", number=1, start=T0)
    agent(rows, "late", number=2, start=T0 + S)
    agent(rows, "measured", number=3, start=T0 - S)
    cost = rows.metric("claude_code.cost.usage", "sum", resource_id=rows.resource("agent"))
    rows.number(cost, T0 + 2 * S, 0.5, session_id="measured")
    assert await ids(reader) == ["measured", "late", "early"]
    assert await ids(reader, limit=2) == ["measured", "late"]


async def test_a_session_without_any_sign_of_an_agent_is_none(rows: StoreRows, reader: DuckDbReader) -> None:
    """Browsers name sessions and may have metrics; so do traces without a session and without an agent."""
    shop = rows.resource("shop")
    rows.span(trace(1), 1, resource_id=shop, session_id="browser")
    rows.log("click", resource_id=shop, session_id="browser")
    rows.number(rows.metric("clicks", "sum", resource_id=shop), T0, 1, session_id="browser")
    rows.span(trace(2), 2, resource_id=shop)
    assert await ids(reader) == []
    found = await reader.session_records(["browser", trace(2).hex, "nobody"], LIMIT)
    assert (found.records, found.truncated) == ({}, False)


@pytest.mark.parametrize("name", ["claude_code.token.usage", "gemini_cli.session.count", "gen_ai.requests"])
async def test_a_metric_of_an_agent_alone_makes_a_session(
    rows: StoreRows, reader: DuckDbReader, name: str
) -> None:
    """Some send nothing but metrics."""
    rows.number(rows.metric(name, "sum", resource_id=rows.resource("agent")), T0, 5, session_id="s1")
    assert await ids(reader) == ["s1"]
    assert await names(reader, "s1") == {"s1": [name]}


async def test_an_agents_log_makes_a_session_of_a_browsers(rows: StoreRows, reader: DuckDbReader) -> None:
    """One record of an agent is enough, and then every record of the session is handed out."""
    shop = rows.resource("shop")
    rows.span(trace(1), 1, resource_id=shop, name="page", session_id="s1")
    rows.log("asked", resource_id=shop, time=T0 + 1, event_name="ask", session_id="s1", is_gen_ai=True)
    assert await names(reader, "s1") == {"s1": ["page", "ask"]}
    assert await ids(reader) == ["s1"]


async def test_records_of_its_traces_that_name_no_session_belong_to_it(
    rows: StoreRows, reader: DuckDbReader
) -> None:
    """Also where the session stands on a log record only, and where the agent's record names none."""
    one = agent(rows, "s1")
    shop = rows.resource("shop")
    rows.span(one, 8, resource_id=shop, start=T0 + 1, name="backend")
    rows.log("line", resource_id=shop, time=T0 + 2, trace_id=one, event_name="line")
    rows.log("named", resource_id=shop, time=T0, trace_id=trace(2), event_name="named", session_id="s2")
    rows.span(trace(2), 9, resource_id=shop, start=T0 + 1, name="chat", is_gen_ai=True)
    rows.log("without a trace", resource_id=shop, time=T0)
    assert await names(reader, "s1", "s2") == {"s1": ["call s1", "backend", "line"], "s2": ["named", "chat"]}
    assert await ids(reader) == ["s1", "s2"]


async def test_a_trace_of_an_agent_that_names_no_session_is_one(
    rows: StoreRows, reader: DuckDbReader
) -> None:
    """Its id in hex is the session's."""
    shop = rows.resource("shop")
    rows.span(trace(1), 1, resource_id=shop, name="request")
    rows.span(trace(1), 2, resource_id=shop, start=T0 + 1, name="chat", is_gen_ai=True)
    rows.span(trace(2), 3, resource_id=shop, name="other")
    session = trace(1).hex
    assert await ids(reader) == [session]
    found = await reader.session_records([session, trace(2).hex], LIMIT)
    assert {key: [record.name for record in some] for key, some in found.records.items()} == {
        session: ["request", "chat"]
    }
    assert {record.session_id for record in found.records[session]} == {None}


async def test_two_sessions_in_a_trace_keep_their_records(rows: StoreRows, reader: DuckDbReader) -> None:
    """What names none goes to the one that is named first by time; the trace itself is no session."""
    agent(rows, "second", start=T0 + S)
    rows.span(trace(1), 5, resource_id=rows.resource("agent"), start=T0, name="outer", session_id="first")
    rows.span(trace(1), 6, resource_id=rows.resource("shop"), start=T0 + 2 * S, name="chat", is_gen_ai=True)
    assert await names(reader, "second", "first", trace(1).hex) == {
        "first": ["outer", "chat"],
        "second": ["call second"],
    }
    assert await ids(reader) == ["first", "second"]


async def test_a_session_of_the_trace_counts_before_that_of_the_resource(
    rows: StoreRows, reader: DuckDbReader
) -> None:
    """A window of an editor has an id of its own and many sessions; only what has no other is the window's."""
    window = rows.resource("copilot-chat", **{"session.id": "window"})
    rows.span(trace(1), 1, resource_id=window, start=T0 + 1, name="chat", session_id="talk", is_gen_ai=True)
    rows.span(trace(1), 2, resource_id=window, name="tool", session_id="window", is_gen_ai=True)
    rows.log("started", resource_id=window, event_name="start", session_id="window", is_gen_ai=True)
    assert await names(reader, "talk", "window") == {"talk": ["tool", "chat"], "window": ["start"]}
    assert await ids(reader) == ["talk", "window"]
    rows.span(trace(2), 3, resource_id=window, name="alone", session_id="window")
    rows.span(trace(2), 4, resource_id=rows.resource("shop"), start=T0 + 1, name="behind it")
    assert (await names(reader, "window"))["window"] == ["alone", "start", "behind it"]


async def test_filters_hold_for_any_record_of_a_session(rows: StoreRows, reader: DuckDbReader) -> None:
    """A service, a least time and a time before; the session is whole or not there."""
    agent(rows, "s1", number=1, start=T0, service="claude-code")
    agent(rows, "s2", number=2, start=T0 + 2 * S, service="codex")
    rows.span(trace(2), 7, resource_id=rows.resource("shop"), start=T0 + 3 * S)
    assert await ids(reader, service="claude-code") == ["s1"]
    assert await ids(reader, service="shop") == ["s2"]
    assert await ids(reader, service="nobody") == []
    assert await ids(reader, since_ns=T0 + 3 * S) == ["s2"]
    assert await ids(reader, since_ns=T0 + 3 * S + 1) == []
    assert await ids(reader, until_ns=T0 + 2 * S) == ["s1"]
    assert await ids(reader, until_ns=T0) == []
    assert await ids(reader, since_ns=T0 + 1, until_ns=T0 + 2 * S + 1, service="codex") == ["s2"]


async def test_records_are_cut_at_the_limit_and_the_earliest_are_kept(
    rows: StoreRows, reader: DuckDbReader
) -> None:
    """Over all sessions that were asked for; one that has nothing left is not there."""
    agent(rows, "s1", number=1, start=T0)
    agent(rows, "s2", number=2, start=T0 + S)
    assert not (await reader.session_records(["s2", "s1"], 2)).truncated
    found = await reader.session_records(["s2", "s1"], 1)
    assert (list(found.records), found.truncated) == (["s1"], True)


async def test_repeated_rows_are_handed_out_as_they_are(rows: StoreRows, reader: DuckDbReader) -> None:
    """Whether they are one record is not the store's to say; an id that is asked for twice changes nothing."""
    agent(rows, "s1")
    agent(rows, "s1")
    assert await names(reader, "s1", "s1") == {"s1": ["call s1"] * 2}


async def test_a_span_is_handed_out_whole(rows: StoreRows, reader: DuckDbReader) -> None:
    """Ids in hex, exact times, attributes and events as values, its resource and scope."""
    rows.span(
        trace(1), 0x1F, parent=0xAB, resource_id=rows.resource("agent", big=2**63 - 1), name="tool", status=2,
        status_message="it broke", attributes='{"session.id":"s1","tokens":9007199254740993}',
        events=[{"time_unix_nano": T0 + 1, "name": "output", "attributes": '{"k":1}', "dropped_attributes_count": 0}],
        session_id="s1", is_gen_ai=True,
    )  # fmt: skip
    (record,) = (await reader.session_records(["s1"], LIMIT)).records["s1"]
    assert record == AgentRecord(
        signal=Signal.TRACES,
        session_id="s1",
        service="agent",
        scope="tests",
        name="tool",
        time_ns=T0,
        end_ns=T0 + 5 * MS,
        trace_id=trace(1).hex,
        span_id="000000000000001f",
        parent_span_id="00000000000000ab",
        status=Status.ERROR,
        status_message="it broke",
        attributes={"session.id": "s1", "tokens": 9007199254740993},
        events=[{"name": "output", "time_unix_nano": T0 + 1, "attributes": {"k": 1}}],
        resource={"service.name": "agent", "big": 2**63 - 1},
    )


async def test_a_log_record_is_handed_out_whole(rows: StoreRows, reader: DuckDbReader) -> None:
    """Its name is the field or else the attribute, its time the observed one where it has none."""
    nameless = rows.resource(None)
    named = {"event.name": "api_request"}
    rows.log("text", resource_id=nameless, attributes=named, severity=17, session_id="s1", is_gen_ai=True)
    rows.log(None, resource_id=nameless, time=0, attributes=named, event_name="field", session_id="s1",
             observed_time_unix_nano=T0 + 1)  # fmt: skip
    rows.log('{"a":[1]}', resource_id=nameless, time=T0 + 2, body_type="kvlist", session_id="s1",
             attributes={"event.name": 7})  # fmt: skip
    text, field, nested = (await reader.session_records(["s1"], LIMIT)).records["s1"]
    assert (text.name, text.status, text.body, text.service) == ("api_request", Status.ERROR, "text", "")
    assert (text.trace_id, text.span_id, text.parent_span_id) == ("", "", "")
    assert (field.name, field.time_ns, field.end_ns, field.body) == ("field", T0 + 1, T0 + 1, None)
    assert (nested.name, nested.status, nested.body) == ("", Status.UNSET, {"a": [1]})


async def test_a_point_is_handed_out_whole(rows: StoreRows, reader: DuckDbReader) -> None:
    """With the start of its interval, its temporality and its value as it was sent."""
    cost = rows.metric(
        "claude_code.cost.usage", "sum", resource_id=rows.resource("agent"), temporality=1, monotonic=True
    )
    rows.number(cost, T0, 0.25, start=T0 - S, attributes='{"model":"m"}', session_id="s1")
    rows.number(cost, T0 + 1, 3, session_id="s1")
    rows.number(cost, T0 + 2, 9, session_id="another")
    first, second = (await reader.session_records(["s1"], LIMIT)).records["s1"]
    assert (first.signal, first.name, first.value, second.value) == (
        Signal.METRICS,
        "claude_code.cost.usage",
        0.25,
        3,
    )
    assert isinstance(second.value, int)
    assert (first.start_time_ns, first.time_ns, first.end_ns) == (T0 - S, T0, T0)
    assert (first.aggregation_temporality, first.attributes, first.service) == (1, {"model": "m"}, "agent")


async def test_copied_resources_scopes_and_metrics_double_nothing(
    rows: StoreRows, reader: DuckDbReader
) -> None:
    """They may stand there twice after a crash."""
    agent(rows, "s1")
    home = rows.resource("agent")
    rows.scope()
    cost = rows.metric("claude_code.cost.usage", "sum", resource_id=home)
    assert rows.metric("claude_code.cost.usage", "sum", resource_id=home) == cost
    rows.number(cost, T0 + 1, 1, session_id="s1")
    assert await names(reader, "s1") == {"s1": ["call s1", "claude_code.cost.usage"]}


async def test_nothing_asked_for_is_nothing_found(rows: StoreRows, reader: DuckDbReader) -> None:
    """Neither from an empty store nor with an empty list."""
    assert await ids(reader) == []
    agent(rows, "s1")
    assert (await reader.session_records([], LIMIT)).records == {}
