"""Tools about services and traces: from lists to an outline, then one span, then log records."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastmcp import FastMCP
from fastmcp.tools import ToolResult
from mcp_types import ToolAnnotations
from pydantic import Field

from receiver.mcp.answers import Answers, hex_of, refusal, schema
from receiver.mcp.parameters import (
    MOST,
    Attributes,
    Limit,
    Service,
    Since,
    SpanId,
    Status,
    Tokens,
    TraceId,
    Until,
)
from receiver.query.tree import in_order

READS = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
_SPANS_READ = 100_000
_NARROWER = "narrow it by service, since, until, status or attributes, or take the next page"


class TraceTools:
    """Tools about services and traces. Threads: one event loop."""

    def __init__(self, answers: Answers) -> None:
        """Answer through ``answers``."""
        self._answers = answers

    def add_to(self, server: FastMCP) -> None:
        """Add the tools to a server."""
        add = server.tool
        add(
            self.list_services,
            title="List services",
            annotations=READS,
            output_schema=schema({"services": "Name, exact counts of records, first and last time."}),
        )
        add(
            self.find_traces,
            title="Find traces",
            annotations=READS,
            output_schema=schema({"traces": "Newest first: id, root, service, time, duration_ms, errors."}),
        )
        add(
            self.trace_outline,
            title="Outline of a trace",
            annotations=READS,
            output_schema=schema({"trace_id": "The trace.", "span_count": "All of its spans."}),
        )
        add(
            self.get_span,
            title="One span in full",
            annotations=READS,
            output_schema=schema(
                {"span": "All fields, events, links.", "logs": "Its log records.", "resource": "Its source."}
            ),
        )
        add(
            self.trace_logs,
            title="Log records of a trace",
            annotations=READS,
            output_schema=schema({"logs": "Newest first."}),
        )
        add(
            self.compare_traces,
            title="Compare two traces",
            annotations=READS,
            output_schema=schema({}),
        )

    async def list_services(self, max_tokens: Tokens = None) -> ToolResult:
        """List the services that sent anything, with exact counts. A good first call."""
        return await self._answers.wrapped(
            await self._answers.ask("services"),
            max_tokens=max_tokens,
            rest="run_sql over the table resources lists all service names",
        )

    async def find_traces(
        self,
        *,
        service: Service = None,
        since: Since = None,
        until: Until = None,
        status: Status = None,
        min_duration: Annotated[
            str | None,
            Field(description="Only with a span that took at least this: 250ms, 1.5s.", max_length=50),
        ] = None,
        name: Annotated[str | None, Field(description="Only with a span of exactly this name.")] = None,
        text: Annotated[str | None, Field(description="Only with this in a span's name.")] = None,
        attributes: Attributes = None,
        limit: Limit = 20,
        max_tokens: Tokens = None,
    ) -> ToolResult:
        """List the traces with a span that passes all filters, newest first. Then: trace_outline."""
        return await page(
            self._answers,
            "traces",
            "traces",
            service=service,
            since=since,
            until=until,
            status=status,
            min_duration=min_duration,
            name=name,
            text=text,
            attribute=attributes,
            limit=limit,
            max_tokens=max_tokens,
            rest=_NARROWER,
        )

    async def trace_outline(self, trace_id: TraceId, max_tokens: Tokens = None) -> ToolResult:
        """Show the shape of one trace: critical path, errors and the slowest spans. Then: get_span."""
        return await self._answers.wrapped(
            await self._answers.ask_trace("outline", trace_id),
            max_tokens=max_tokens,
            rest="get_span shows one span in full; run_sql over the table spans selects some",
        )

    async def get_span(self, trace_id: TraceId, span_id: SpanId, max_tokens: Tokens = None) -> ToolResult:
        """Show one span in full: attributes, events, links, its log records and its resource."""
        trace = await self._answers.ask_trace("trace", trace_id, limit=_SPANS_READ)
        found = await asyncio.to_thread(_span_of, trace, span_id.lower())
        if found is None:
            raise refusal(
                f"the trace {trace['trace_id']} has no span {span_id.lower()}; trace_outline lists span ids"
            )
        return await self._answers.wrapped(
            found,
            max_tokens=max_tokens,
            rest="a higher max_tokens, or run_sql with substr() of the attribute over the table spans",
        )

    async def trace_logs(
        self,
        *,
        trace_id: TraceId,
        min_severity: Annotated[
            int | None, Field(description="Least severity_number: 9 INFO, 13 WARN, 17 ERROR.", ge=1, le=24)
        ] = None,
        text: Annotated[
            str | None, Field(description="Only with this in the body, whatever the case.")
        ] = None,
        until: Until = None,
        limit: Limit = 50,
        max_tokens: Tokens = None,
    ) -> ToolResult:
        """List the log records of one trace, newest first."""
        return await page(
            self._answers,
            "logs",
            "logs",
            trace_id=hex_of(trace_id),
            min_severity=min_severity,
            text=text,
            until=until,
            limit=limit,
            max_tokens=max_tokens,
            rest="narrow it by min_severity or text, or take the next page",
        )

    async def compare_traces(
        self,
        trace_id: TraceId,
        other_trace_id: Annotated[
            str, Field(description="Id of the other trace.", min_length=1, max_length=1000)
        ],
        max_tokens: Tokens = None,
    ) -> ToolResult:
        """Compare two traces: what only one of them has, what became slower, what failed in one of them."""
        return await self._answers.wrapped(
            await self._answers.ask_trace("compare", trace_id, other_trace_id),
            max_tokens=max_tokens,
            rest="trace_outline shows each of them",
        )


async def page(
    answers: Answers, question: str, of: str, *, limit: int, rest: str, max_tokens: int | None, **values: Any
) -> ToolResult:
    """Return a page of records, newest first, with the arguments of the next one.

    Args:
        answers: Where to ask.
        question: Of the API; its ``limit`` goes to ``MOST``.
        of: Member of the answer that lists the records.
        limit: Most records of the page.
        rest: How to get what was cut.
        max_tokens: Of the whole answer.
        values: Further parameters of the question.
    """
    found = await answers.ask(
        question, limit=min(limit + 1, MOST), **values
    )  # one more tells what comes next
    records = found[of]
    return await answers.wrapped(
        {**found, of: records[:limit]},
        max_tokens=max_tokens,
        rest=rest,
        following=lambda shown: _following(len(shown.get(of) or ()), records, limit),
    )


def _following(shown: int, records: Sequence[Mapping[str, Any]], limit: int) -> Mapping[str, Any] | None:
    """Return the arguments for what follows on the records shown; None where that was all.

    Pages end at a time, so records of one moment that a page would part are shown again with the next one.
    """
    if not shown or (shown == len(records) < MOST):
        return None
    times = [record["time"] for record in records[: shown + 1]]
    last = times[shown - 1]
    if len(times) == shown or times[shown] != last:
        return {"until": last}
    earlier = [time for time in times[:shown] if time != last]
    if earlier:
        return {"until": earlier[-1]}
    return {"limit": min(MOST, 2 * limit)} if shown == limit < MOST else {"until": last}


def _span_of(trace: Mapping[str, Any], span_id: str) -> dict[str, Any] | None:
    """Return a span of a trace without its children, with its log records and its resource and scope."""
    for span in in_order(trace["roots"]):
        if span["span_id"] == span_id:
            shown = {name: value for name, value in span.items() if name not in {"children", "logs"}}
            shown["children"] = [child["span_id"] for child in span.get("children", ())]
            return {
                "span": shown,
                "logs": span.get("logs", []),
                "resource": trace["resources"].get(span.get("resource_id")),
                "scope": trace["scopes"].get(span.get("scope_id")),
            }
    return None
