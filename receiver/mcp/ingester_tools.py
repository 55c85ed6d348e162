"""The four tools that agents know from the ingester: names, parameters and return keys as documented there."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastmcp import FastMCP
from fastmcp.tools import ToolResult
from pydantic import Field

from receiver.config import Settings
from receiver.errors import NotFoundError
from receiver.mcp.answers import NOTICE, Answers, given, hex_of, said, schema, tool_result
from receiver.mcp.budget import BYTES_PER_TOKEN, fitted
from receiver.mcp.documented_results import search_result, trace_result
from receiver.mcp.ingest import BACKEND
from receiver.mcp.parameters import LONGEST_QUESTION, Limit, Tokens
from receiver.mcp.system_ids import SYSTEM, facts_of, is_of, services_of
from receiver.mcp.trace_tools import READS

_SPANS_READ = 10_000
_STATS = {
    "storage_backend": {"type": "string"},
    "status": {"type": "string"},
    "total_traces": {"type": "integer", "description": "Exact."},
    "traces_by_system": {
        "type": "object",
        "description": "Exact; a trace counts once in each of its systems.",
    },
}
_PATH = "SELECT path FROM duckdb_databases() WHERE NOT internal"
_TOTAL = "SELECT count(DISTINCT trace_id) FROM spans"
_BY_SYSTEM = (
    f"SELECT {SYSTEM}, count(DISTINCT trace_id) FROM spans JOIN resources AS r USING (resource_id)"
    " GROUP BY 1 ORDER BY 2 DESC, 1"
)
_SystemId = Annotated[
    str | None, Field(description="Only of this system: claude, qwen, or a service's name.", max_length=1000)
]


class IngesterTools:
    """The documented tools. Threads: one event loop."""

    def __init__(self, answers: Answers, settings: Settings) -> None:
        """Answer through ``answers``; tell of ``settings`` what the receiver does not say itself."""
        self._answers = answers
        self._settings = settings

    def add_to(self, server: FastMCP) -> None:
        """Add the tools to a server."""
        add = server.tool
        add(
            self.search_otel_traces,
            title="Search by meaning",
            annotations=READS,
            output_schema=schema({}, envelope="result"),
        )
        add(
            self.get_otel_trace,
            title="A trace by its id",
            annotations=READS,
            output_schema=schema({}, envelope="result"),
        )
        add(
            self.otel_ingester_stats,
            title="Totals of the store",
            annotations=READS,
            output_schema={"type": "object", "properties": _STATS, "required": list(_STATS)},
        )

    async def search_otel_traces(
        self,
        *,
        query: Annotated[
            str,
            Field(description="What to look for, in plain words.", min_length=1, max_length=LONGEST_QUESTION),
        ],
        system_id: _SystemId = None,
        limit: Limit = 10,
        threshold: Annotated[
            float | None, Field(description="Least similarity; the configured one if absent.", ge=-1, le=1)
        ] = None,
        max_tokens: Tokens = None,
    ) -> ToolResult:
        """Find traces and log records by meaning, the best record of each trace. Then: trace_outline."""
        asked = {"q": query, "limit": limit, "threshold": threshold}
        if system_id is None:
            rows = (await self._answers.ask("search", **asked))["results"]
        else:
            rows = await self._search_system(asked, system_id)
        facts = await facts_of(self._answers, [row["trace_id"] for row in rows])
        results = [
            search_result(row, facts.get(row["trace_id"]), system_id)
            for row in rows
            if system_id is None or is_of(system_id, facts.get(row["trace_id"]))
        ]
        return await self._answers.wrapped(
            results[:limit],
            max_tokens=max_tokens,
            rest="a lower limit or a higher threshold; get_otel_trace and get_span show one in full",
            envelope="result",
        )

    async def get_otel_trace(
        self,
        trace_id: Annotated[
            str, Field(description="As it was sent: hex digits, or any text.", min_length=1, max_length=1000)
        ],
        max_tokens: Tokens = None,
    ) -> ToolResult:
        """Get one trace by its id, or null. For large traces trace_outline says more in less."""
        trace_hex = hex_of(trace_id)
        try:
            with said(but=NotFoundError):
                access = await self._answers.access()
                trace = await access.ask("trace", given({"trace_id": trace_hex, "limit": _SPANS_READ}))
        except NotFoundError:
            return await self._answers.wrapped(None, envelope="result")
        facts = await facts_of(self._answers, [trace_hex])
        return await self._answers.wrapped(
            trace_result(trace, facts.get(trace_hex)),
            max_tokens=max_tokens,
            rest="trace_outline for what matters, get_span for one span",
            envelope="result",
        )

    async def otel_ingester_stats(self) -> ToolResult:
        """Tell exact totals: traces, per system, and how the store and its search are configured."""
        total = await self._answers.ask("sql", query=_TOTAL)
        systems = await self._answers.ask("sql", query=_BY_SYSTEM, limit=1000)
        path = await self._answers.ask("sql", query=_PATH)
        stats = await self._answers.ask("stats")
        embedding = stats["embedding"]
        answer = {
            "notice": NOTICE,
            "storage_backend": BACKEND,
            "hot_store_path": path["rows"][0][0] if path["rows"] else "",
            "embedding_model": embedding["model"],
            "cache_size": embedding["embedded"],
            "similarity_threshold": self._settings.query.threshold,
            "status": "healthy" if not stats["server"].get("problems") else "degraded",
            "total_traces": total["rows"][0][0],
            "traces_by_system": {str(name): count for name, count in systems["rows"]},
            "records": stats["records"],
            "embedding": {name: embedding[name] for name in ("available", "pending", "embedded")},
        }
        found = fitted(answer, self._answers.config.answer_tokens * BYTES_PER_TOKEN - 1000)
        return tool_result({**found.value, **({"cut": found.cut} if found.cut else {})})

    async def _search_system(self, asked: dict[str, Any], system_id: str) -> list[dict[str, Any]]:
        """Return what the search finds of a system, by its resource attribute and by its services' names."""
        found = (
            await self._answers.ask("search", **asked, attribute=[f"system_id={json.dumps(system_id)}"])
        )["results"]
        for service in await services_of(self._answers, system_id):
            found += (await self._answers.ask("search", **asked, service=service))["results"]
        best: dict[str, dict[str, Any]] = {}
        for row in sorted(found, key=lambda each: -each["similarity"]):
            best.setdefault(row["trace_id"] or row["text"], row)
        return list(best.values())
