"""Gemini CLI's own names, which Qwen Code took over.

Source: https://github.com/google-gemini/gemini-cli, packages/core/src/telemetry/types.ts and docs/cli/telemetry.md.
The counts are those of the API's ``usageMetadata``: https://ai.google.dev/api/generate-content#UsageMetadata says that
``promptTokenCount`` includes ``cachedContentTokenCount``, and that ``totalTokenCount`` is prompt, candidates, tool use
prompt and thoughts together: so thoughts stand beside the output (candidates) there, and are a part of it here.
"""

from __future__ import annotations

from receiver.questions import AgentRecord
from receiver.sessions.attributes import Attributes, number, text, whole
from receiver.sessions.events import stated_duration, tool_event
from receiver.sessions.statements import (
    CallKind,
    CallStatement,
    Context,
    FaultStatement,
    PromptStatement,
    Statement,
)
from receiver.sessions.tokens import Tokens, split_input

TOKEN_METRIC = "gemini_cli.token.usage"  # noqa: S105 - the name of a metric


def read_event(
    record: AgentRecord, event: str, context: Context, *, thoughts_apart: bool = True
) -> Statement | None:
    """Return what a log event says; None where it is of no call and no prompt.

    Args:
        record: The event, or a span that was made of one.
        event: Its name.
        context: Where it stands.
        thoughts_apart: Whether thoughts are beside the output tokens where the total does not tell.
    """
    attributes = record.attributes
    if event == "user_prompt":
        return PromptStatement(
            context=context, time_ns=record.time_ns, end_ns=record.time_ns, text=text(attributes, "prompt")
        )
    if event == "api_response":
        response_id = text(attributes, "response_id", "gen_ai.response.id")
        return CallStatement(
            context=context,
            kind=CallKind.MODEL,
            end_ns=record.end_ns,
            duration_ns=stated_duration(attributes),
            ids=(response_id,) if response_id else (),
            id_kinds=frozenset({"response"} if response_id else ()),
            name="generate_content",
            model=text(attributes, "model"),
            tokens=_usage(attributes, thoughts_apart=thoughts_apart),
            first_token_ms=number(attributes, "ttft_ms"),
            failed=False,
            agent=text(attributes, "subagent_name", "agent_name"),
        )
    if event == "api_error":
        response_id = text(attributes, "response_id")
        return FaultStatement(
            context=context,
            time_ns=record.time_ns,
            ids=(response_id,) if response_id else (),
            model=text(attributes, "model"),
            error=text(attributes, "error_message", "error", "error_type", "status_code")
            or "the request failed",
            of_request=True,
        )
    if event == "tool_call":
        return tool_event(
            record,
            context,
            name=text(attributes, "function_name"),
            call_id=text(attributes, "call_id", "tool_call_id"),
            error=text(attributes, "error", "error_type"),
        )
    return None


def metric_tokens(attributes: Attributes, count: int) -> Tokens:
    """Return a count of the token metric under its type; ``input`` still holds the cached tokens."""
    kind = text(attributes, "type")
    return Tokens(
        input=count if kind in {"input", "tool"} else 0,
        output=count if kind in {"output", "thought"} else 0,
        cache_read=count if kind == "cache" else 0,
        reasoning=count if kind == "thought" else 0,
    )


def _usage(attributes: Attributes, *, thoughts_apart: bool) -> Tokens | None:
    prompt = whole(attributes, "input_token_count")
    candidates = whole(attributes, "output_token_count")
    if prompt is None and candidates is None:
        return None
    prompt, candidates = prompt or 0, candidates or 0
    thoughts = whole(attributes, "thoughts_token_count") or 0
    tools = whole(attributes, "tool_token_count") or 0
    total = whole(attributes, "total_token_count") or 0
    if total == prompt + candidates + tools + thoughts:
        thoughts_apart = True
    elif total == prompt + candidates + tools:
        thoughts_apart = False
    return split_input(
        sent=prompt + tools,
        cache_read=whole(attributes, "cached_content_token_count") or 0,
        cache_creation=0,
        output=candidates + (thoughts if thoughts_apart else 0),
        reasoning=thoughts,
    )
