"""Codex's own names.

Source: https://github.com/openai/codex, codex-rs/otel/src/events/session_telemetry.rs: numbers and truth values are
written as texts; the call of a model is the event ``codex.sse_event`` of the kind ``response.completed``. The counts
are OpenAI's (https://platform.openai.com/docs/api-reference/responses/object, ``usage``): ``input_tokens`` include the
cached ones, ``output_tokens`` the reasoning. ``tool_token_count`` holds the total and is left out.
"""

from __future__ import annotations

from receiver.questions import AgentRecord
from receiver.sessions.attributes import number, text, whole
from receiver.sessions.events import tool_event
from receiver.sessions.statements import (
    CallKind,
    CallStatement,
    Context,
    FaultStatement,
    PromptStatement,
    Statement,
)
from receiver.sessions.tokens import Tokens, split_input


def read_event(record: AgentRecord, event: str, context: Context) -> Statement | None:
    """Return what a log event says; None where it is of no call and no prompt."""
    attributes = record.attributes
    if event == "user_prompt":
        return PromptStatement(
            context=context, time_ns=record.time_ns, end_ns=record.time_ns, text=text(attributes, "prompt")
        )
    error = text(attributes, "error.message", "error_message")
    if event == "sse_event" and text(attributes, "event.kind") == "response.completed" and not error:
        response_id = text(attributes, "response_id", "gen_ai.response.id")
        return CallStatement(
            context=context,
            kind=CallKind.MODEL,
            end_ns=record.end_ns,
            ids=(response_id,) if response_id else (),
            id_kinds=frozenset({"response"} if response_id else ()),
            name="chat",
            model=text(attributes, "model", "slug"),
            tokens=_usage(record),
            first_token_ms=number(attributes, "ttft_ms"),
            failed=False,
        )
    if event in {"sse_event", "api_request", "websocket_request"} and error:
        return FaultStatement(
            context=context,
            time_ns=record.time_ns,
            model=text(attributes, "model", "slug"),
            error=error,
            of_request=True,
        )
    if event == "tool_result":
        return tool_event(
            record,
            context,
            name=text(attributes, "tool_name"),
            call_id=text(attributes, "call_id"),
            error=error or text(attributes, "output"),
        )
    return None


def _usage(record: AgentRecord) -> Tokens | None:
    attributes = record.attributes
    sent = whole(attributes, "input_token_count", "gen_ai.usage.input_tokens")
    output = whole(attributes, "output_token_count", "gen_ai.usage.output_tokens")
    if sent is None and output is None:
        return None
    return split_input(
        sent=sent or 0,
        cache_read=whole(attributes, "cached_token_count", "gen_ai.usage.cache_read.input_tokens") or 0,
        cache_creation=whole(attributes, "gen_ai.usage.cache_write.input_tokens") or 0,
        output=output or 0,
        reasoning=whole(attributes, "reasoning_token_count", "codex.usage.reasoning_output_tokens") or 0,
    )
