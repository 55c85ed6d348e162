"""Outline, comparison and investigation over a real socket."""

from __future__ import annotations

import pytest

from tests.support.query_listener import Client
from tests.support.store_rows import MS, T0, S, StoreRows, trace

A, B = trace(1).hex, trace(2).hex


@pytest.fixture
def shop(rows: StoreRows) -> None:
    """Store a trace that went well and, a second later, one of the same operation that did not."""
    old, new = (
        rows.resource("shop", **{"service.version": "1"}),
        rows.resource("shop", **{"service.version": "2"}),
    )
    bank = rows.resource("bank")
    rows.span(trace(1), 1, name="checkout", resource_id=old, end=T0 + 10 * MS)
    rows.span(trace(1), 2, parent=1, name="charge", resource_id=bank, start=T0 + MS, end=T0 + 3 * MS)
    begun = T0 + S
    rows.span(trace(2), 1, name="checkout", resource_id=new, start=begun, end=begun + 90 * MS, status=2)
    rows.span(
        trace(2), 2, parent=1, name="charge", resource_id=bank, start=begun + MS, end=begun + 81 * MS, status=2,
        status_message="declined",
    )  # fmt: skip
    rows.log("card was declined", resource_id=bank, time=begun, trace_id=trace(2), span_id=2, severity=17)


@pytest.mark.usefixtures("shop")
async def test_an_outline_is_answered_behind_the_trace(client: Client) -> None:
    """The id stands in the middle of the path, in letters of either case."""
    answer = await client.ask(f"/api/v1/traces/{B.upper()}/outline")
    assert answer.status == 200
    found = answer.json
    assert (found["trace_id"], found["duration_ms"], found["error_count"]) == (B, 90, 2)
    assert [(each["name"], each["self_ms"]) for each in found["critical_path"]["spans"]] == [
        ("checkout", 10), ("charge", 80),
    ]  # fmt: skip
    (failure,) = found["errors"]
    assert (failure["service"], failure["status_message"]) == ("bank", "declined")
    assert [each["body"] for each in failure["logs"]] == ["card was declined"]


@pytest.mark.usefixtures("shop")
async def test_a_comparison_names_both_traces(client: Client) -> None:
    """What differs is said in sentences and in figures."""
    found = (await client.ask(f"/api/v1/compare?a={A}&b={B}")).json
    assert (found["a"]["trace_id"], found["b"]["trace_id"]) == (A, B)
    assert [each["way"][-1] for each in found["slower"]] == ["bank: charge", "shop: checkout"]
    assert [each["status_message"] for each in found["errors_only_in_b"]] == ["declined", ""]
    assert {"key": "service.version", "of": "resource", "a": "1", "b": "2"} in found["attributes"]


@pytest.mark.usefixtures("shop")
async def test_an_investigation_looks_at_the_window_and_before_it(client: Client) -> None:
    """The window is the second trace's second, its baseline the one before."""
    target = f"/api/v1/investigate?since={T0 + S}&until={T0 + 2 * S}&service=shop"
    found = (await client.ask(target)).json
    assert (found["totals"]["window"]["errors"], found["totals"]["baseline"]["errors"]) == (1, 0)
    assert [(each["service"], each["trace_ids"]) for each in found["origins"]] == [("bank", [B])]
    assert [(each["attribute"], each["before"]) for each in found["deployments"]] == [
        ("service.version", ["1"])
    ]
    now = (await client.ask("/api/v1/investigate")).json
    assert now["service"] is None
    assert "is stored in these times" in now["note"]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (f"/traces/{'0' * 32}/outline", 404),
        ("/traces/xyz/outline", 400),
        ("/traces//outline", 404),
        ("/traces/outline", 400),
        (f"/traces/{A}/outline/", 404),
        (f"/traces/{A}/other", 404),
        (f"/traces/{A}/outline?limit=0", 400),
        (f"/compare?a={A}", 400),
        (f"/compare?a={A}&b={'0' * 32}", 404),
        (f"/compare?a={A}&b=x", 400),
        ("/investigate?since=0&until=5", 400),
        ("/investigate?since=5&until=5", 400),
        ("/investigate?since=yesterday", 400),
        ("/investigate?baseline_since=2h&baseline_until=30m", 400),
        ("/investigate?limit=101", 400),
    ],
)
@pytest.mark.usefixtures("shop")
async def test_what_cannot_be_asked_is_refused(client: Client, target: str, status: int) -> None:
    """With the one shape of errors and a hint where the question is wrong."""
    answer = await client.ask(f"/api/v1{target}")
    assert answer.status == status
    assert answer.json["error"]["message"]
    assert status != 400 or answer.json["error"]["hint"]
