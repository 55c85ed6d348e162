"""Tools about metrics, agents' sessions and causes, and SQL for everything else."""

from __future__ import annotations

from typing import Annotated, Literal

from fastmcp import FastMCP
from fastmcp.tools import ToolResult
from pydantic import Field

from receiver.mcp.answers import Answers, refusal, schema
from receiver.mcp.parameters import Attributes, Service, Since, Tokens, Until
from receiver.mcp.parameters import limit as limited
from receiver.mcp.trace_tools import READS

_MOST_SESSIONS = 100
_Aggregation = Literal["last", "avg", "min", "max", "sum", "rate", "count", "p50", "p90", "p95", "p99"]


class InvestigationTools:
    """Tools about metrics, sessions and causes. Threads: one event loop."""

    def __init__(self, answers: Answers) -> None:
        """Answer through ``answers``."""
        self._answers = answers

    def add_to(self, server: FastMCP) -> None:
        """Add the tools to a server."""
        add = server.tool
        add(
            self.query_metric,
            title="Query a metric",
            annotations=READS,
            output_schema=schema(
                {"metrics": "Without a name: what there is.", "series": "With one: its series over time."}
            ),
        )
        add(
            self.list_sessions,
            title="List agent sessions",
            annotations=READS,
            output_schema=schema({"sessions": "Newest first."}),
        )
        add(
            self.session_summary,
            title="Summary and cost of a session",
            annotations=READS,
            output_schema=schema({}),
        )
        add(
            self.investigate,
            title="What changed, what failed and where",
            annotations=READS,
            output_schema=schema({}),
        )
        add(
            self.run_sql,
            title="Read-only SQL",
            annotations=READS,
            output_schema=schema(
                {"columns": "Names.", "rows": "Lists of values.", "truncated": "Whether a limit cut it."}
            ),
        )

    async def query_metric(
        self,
        *,
        name: Annotated[
            str | None, Field(description="Of the metric; without it metrics are listed.")
        ] = None,
        service: Service = None,
        since: Since = None,
        until: Until = None,
        attributes: Attributes = None,
        step: Annotated[
            float | None, Field(description="Seconds per point.", ge=0.001, le=31_622_400)
        ] = None,
        aggregation: Annotated[_Aggregation | None, Field(description="Which figure becomes value.")] = None,
        text: Annotated[str | None, Field(description="For the list: in name or description.")] = None,
        max_tokens: Tokens = None,
    ) -> ToolResult:
        """List the metrics, or with a name show that one's series in stretches of time."""
        if name is None:
            if since or until or attributes or step or aggregation:
                raise refusal(
                    "since, until, attributes, step and aggregation need the name of a metric;"
                    " call it without them to list the names"
                )
            found = await self._answers.ask("metrics", service=service, text=text)
            rest = "narrow it by service or text"
        else:
            if text:
                raise refusal("text does not go with a name: it searches the list of metrics")
            found = await self._answers.ask(
                "metric",
                name=name,
                service=service,
                since=since,
                until=until,
                attribute=attributes,
                step=step,
                aggregation=aggregation,
            )
            rest = "narrow it by service, attributes, since and until, or take a longer step"
        return await self._answers.wrapped(found, max_tokens=max_tokens, rest=rest)

    async def list_sessions(
        self,
        *,
        service: Service = None,
        since: Since = None,
        until: Until = None,
        limit: Annotated[int, limited(_MOST_SESSIONS)] = 20,
        max_tokens: Tokens = None,
    ) -> ToolResult:
        """List sessions of AI agents, newest first, with tokens and cost. Then: session_summary."""
        found = await self._answers.ask("sessions", service=service, since=since, until=until, limit=limit)
        return await self._answers.wrapped(
            found,
            max_tokens=max_tokens,
            rest="narrow it by service, since or until",
            following=lambda shown: _longer(len(shown["sessions"]), limit),
        )

    async def session_summary(
        self,
        session_id: Annotated[str, Field(description="Id of the session.", min_length=1, max_length=1000)],
        max_tokens: Tokens = None,
    ) -> ToolResult:
        """Show one agent session: turns, model and tool calls, tokens, cost (reported or estimated), errors."""
        return await self._answers.wrapped(
            await self._answers.ask("session", session_id=session_id),
            max_tokens=max_tokens,
            rest="trace_outline and get_span show single calls",
        )

    async def investigate(
        self,
        *,
        service: Service = None,
        since: Since = None,
        until: Until = None,
        max_tokens: Tokens = None,
    ) -> ToolResult:
        """Say what changed, what failed and where, for a service and a range of time. A good start for a cause."""
        return await self._answers.wrapped(
            await self._answers.ask("investigate", service=service, since=since, until=until),
            max_tokens=max_tokens,
            rest="narrow it by service or to a shorter range of time",
        )

    async def run_sql(
        self,
        *,
        query: Annotated[str, Field(description="One SELECT (DuckDB SQL).", min_length=1, max_length=20_000)],
        limit: Annotated[int, Field(description="Most rows, 1 to 1000.", ge=1, le=1000)] = 100,
        max_tokens: Tokens = None,
    ) -> ToolResult:
        """Ask in SQL, read-only. The resource otlp://schema describes tables and conventions; read it first."""
        return await self._answers.wrapped(
            await self._answers.ask("sql", query=query, limit=limit),
            max_tokens=max_tokens,
            rest="select fewer columns, aggregate, or page with LIMIT and OFFSET",
        )


def _longer(shown: int, limit: int) -> dict[str, int] | None:
    """Return the arguments of a longer list: sessions lie side by side in time, so none begins where one ends."""
    return {"limit": min(_MOST_SESSIONS, 2 * limit)} if shown == limit < _MOST_SESSIONS else None
