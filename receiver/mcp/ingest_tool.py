"""``ingest_otel_traces``, the one tool that stores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastmcp import Context, FastMCP
from fastmcp.tools import ToolResult
from mcp_types import ToolAnnotations
from pydantic import Field

from receiver.mcp.answers import Answers, said, tool_result
from receiver.mcp.budget import BYTES_PER_TOKEN, fitted
from receiver.mcp.ingest import BACKEND, RequestsOf, ingested, refused
from receiver.sources.ingest import FileProgress

_WRITES = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
_REPORT_S = 1.0
_INGESTED = {
    "status": {"type": "string", "enum": ["success", "warning", "error"]},
    "traces_ingested": {"type": "integer", "description": "Traces that were stored by this call."},
    "duplicates": {"type": "integer", "description": "What was stored before."},
    "files_processed": {"type": "integer"},
    "errors": {"type": "array", "items": {"type": "string"}},
    "system_id": {"type": "string"},
    "storage_backend": {"type": "string"},
}


class IngestTool:
    """The tool that stores. Threads: one event loop."""

    def __init__(self, answers: Answers, requests_of: RequestsOf) -> None:
        """Store where ``answers`` asks; ``requests_of`` makes what judges OTLP requests."""
        self._answers = answers
        self._requests_of = requests_of

    def add_to(self, server: FastMCP) -> None:
        """Add the tool to a server."""
        add = server.tool
        add(
            self.ingest_otel_traces,
            title="Ingest traces and session files",
            annotations=_WRITES,
            output_schema={"type": "object", "properties": _INGESTED, "required": list(_INGESTED)},
        )

    async def ingest_otel_traces(
        self,
        log_files: Annotated[
            list[str] | None,
            Field(
                description="Files of the receiver's machine: Claude Code, Qwen Code, Gemini CLI or Codex "
                "session files, OTLP JSON, or trace files.",
                max_length=1000,
            ),
        ] = None,
        trace_data: Annotated[
            list[Any] | None,
            Field(
                description="Traces: each an object with trace_id and spans, or OTLP JSON.", max_length=10_000
            ),
        ] = None,
        system_id: Annotated[
            str, Field(description="System of traces that name none themselves.", max_length=1000)
        ] = "unknown",
        *,
        context: Context,
    ) -> ToolResult:
        """Store traces from files or given directly; what was stored before is not stored again."""
        if not log_files and not trace_data:
            return tool_result(
                {
                    "status": "error",
                    "error": "Either log_files or trace_data must be provided",
                    "traces_ingested": 0,
                    "duplicates": 0,
                    "files_processed": 0,
                    "errors": ["No input data provided"],
                    "system_id": system_id,
                    "storage_backend": BACKEND,
                }
            )
        unread = [] if self._answers.config.read_files else log_files or []
        seen: list[FileProgress] = []
        with said():
            access = await self._answers.access()
            async with _reporting(context, seen):
                answer = await ingested(
                    access,
                    [] if unread else log_files or [],
                    trace_data or [],
                    system_id=system_id,
                    requests_of=self._requests_of,
                    progress=lambda progress: seen.__setitem__(slice(None), [progress]),
                )
        answer["errors"] += refused(unread)
        found = fitted(answer, self._answers.config.answer_tokens * BYTES_PER_TOKEN - 1000)
        return tool_result({**found.value, **({"cut": found.cut} if found.cut else {})})


@asynccontextmanager
async def _reporting(context: Context, seen: list[FileProgress]) -> AsyncIterator[None]:
    """Tell the client once a second how far reading has come; large files take a while."""

    async def tell() -> None:
        while True:
            await asyncio.sleep(_REPORT_S)
            for each in seen:
                message = f"file {each.number} of {each.files}"
                await context.report_progress(each.bytes_read, each.bytes_total, message)

    telling = asyncio.create_task(tell(), name="progress of MCP")
    try:
        yield
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
