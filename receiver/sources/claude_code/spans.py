"""The spans that turns, model calls and tool calls of a Claude Code transcript become.

Names and attributes: https://github.com/open-telemetry/semantic-conventions-genai (gen-ai-spans, gen-ai-agent-spans).
``prompt.id``, ``request_id`` and ``message.uuid`` are called as in Claude Code's own telemetry
(https://code.claude.com/docs/en/monitoring-usage), so that both can be joined.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from receiver.otlp.span import AttributeInput, LinkDraft, SpanDraft, SpanKind, StatusCode
from receiver.ports import ImportUnit
from receiver.sources.claude_code.parts import AGENT, Call, Tool, Turn
from receiver.sources.claude_code.records import Record
from receiver.sources.contents import messages as contents
from receiver.sources.source import span_id_of, span_unit, trace_id_of, unit_key

_SERVICE = "claude-code"
_DAY_NS = 86_400_000_000_000
_STATUS_CHARACTERS = 1_000
_SPAWNING = frozenset({"Agent", "Task"})
_REJECTED = "The user doesn't want to"


def session_unit(record: Record, *, forked_from: str = "") -> ImportUnit:
    """Return the root of a session's trace: zero long, because a session may always go on."""
    trace_id = trace_id_of(AGENT, record.session)
    links = []
    if forked_from:
        origin = trace_id_of(AGENT, forked_from)
        links.append(LinkDraft(trace_id=origin, span_id=root_span_id(forked_from)))
    span = SpanDraft(
        trace_id=trace_id,
        span_id=root_span_id(record.session),
        name="session",
        start_ns=record.time_ns,
        end_ns=record.time_ns,
        attributes={
            **_common(record, "session"),
            "gen_ai.agent.name": _SERVICE,
            "otlp_receiver.source.forked_from": forked_from or None,
        },
        links=links,
    )
    # Not by its day: a session that goes on in another file has the same root.
    return span_unit(unit_key(f"{AGENT}\0session", record.session), [span], _resource(record))


def turn_unit(turn: Turn) -> ImportUnit:
    """Return the span of a turn that is over."""
    prompt = turn.prompt
    agent = _agent_name(prompt)
    attributes: dict[str, AttributeInput] = {
        **_common(prompt, "agent" if prompt.sidechain else "turn"),
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.agent.name": agent,
        "agent_id": prompt.agent or None,
        "prompt.id": prompt.text("promptId") or None,
        "prompt.source": prompt.text("promptSource") or None,
        "permission_mode": prompt.text("permissionMode") or None,
        "otlp_receiver.source.duration_ms": turn.duration_ms,
        "otlp_receiver.source.dropped_events": turn.dropped_events or None,
    }
    contents.put_messages(
        attributes, "gen_ai.input.messages", [contents.message("user", [contents.text_part(turn.text)])]
    )
    span = SpanDraft(
        trace_id=trace_id_of(AGENT, prompt.session),
        span_id=turn.span_id,
        parent_span_id=turn.parent_span_id,
        name=f"invoke_agent {agent}",
        start_ns=turn.start_ns,
        end_ns=max(turn.start_ns, turn.end_ns),
        attributes=attributes,
        events=turn.events,
        status=StatusCode.ERROR if turn.error else StatusCode.UNSET,
        status_message=turn.error,
    )
    return span_unit(_key(prompt, "turn", prompt.uuid), [span], _resource(prompt))


def call_unit(call: Call) -> ImportUnit:
    """Return the span of a model call: the last line's usage counts, as Claude Code repeats it in every line."""
    first, last, message = call.first, call.last, call.last.message
    model = _text(message, "model")
    failed = last.data.get("isApiErrorMessage") is True
    stop = next(
        (s for s in (_text(last.message, "stop_reason"), _text(first.message, "stop_reason")) if s), ""
    )
    if model == "<synthetic>":
        model = ""
    attributes: dict[str, AttributeInput] = {
        **_common(first, "call"),
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.agent.name": _agent_name(first),
        "agent_id": first.agent or None,
        "gen_ai.request.model": model or None,
        "gen_ai.response.model": model or None,
        "gen_ai.response.id": _text(message, "id") or None,
        "gen_ai.response.finish_reasons": [stop] if stop else None,
        "request_id": last.text("requestId") or first.text("requestId") or None,
        "prompt.id": call.prompt_id or None,
        **({} if failed else _usage(last)),
    }
    said = [contents.message("assistant", _parts(call.blocks))] if call.blocks else []
    if said:
        text, left_out = contents.output_messages(said, stop)
        attributes["gen_ai.output.messages"] = text
        contents.count_left_out(attributes, left_out)
    error = ""
    if failed:
        error = "\n".join(_text(b, "text") for b in call.blocks)[:_STATUS_CHARACTERS] or "API error"
        status = last.data.get("apiErrorStatus")
        attributes["error.type"] = last.text("error") or "api_error"
        attributes["http.response.status_code"] = status if type(status) is int else None
    span = SpanDraft(
        trace_id=trace_id_of(AGENT, first.session),
        span_id=span_id_of(AGENT, "call", call.identity),
        parent_span_id=call.parent_span_id,
        name=f"chat {model}" if model else "chat",
        kind=SpanKind.CLIENT,
        start_ns=min(call.start_ns, call.end_ns),
        end_ns=call.end_ns,
        attributes=attributes,
        status=StatusCode.ERROR if failed else StatusCode.UNSET,
        status_message=error,
    )
    return span_unit(_key(first, "call", call.identity), [span], _resource(first))


def tool_unit(tool: Tool, result: Record | None, block: Mapping[str, Any], *, end_ns: int) -> ImportUnit:
    """Return the span of a tool call.

    Args:
        tool: What was asked for.
        result: The line with the answer; None if none came.
        block: The ``tool_result`` in it.
        end_ns: When it was over.
    """
    attributes: dict[str, AttributeInput] = {
        **_common(tool.record, "tool"),
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.agent.name": _agent_name(tool.record),
        "agent_id": tool.record.agent or None,
        "gen_ai.tool.name": tool.name or None,
        "gen_ai.tool.call.id": tool.identity,
        "prompt.id": tool.prompt_id or None,
    }
    contents.put(attributes, "gen_ai.tool.call.arguments", tool.arguments)
    answer = None if result is None else _result_text(block.get("content"))
    contents.put(attributes, "gen_ai.tool.call.result", answer)
    failed = block.get("is_error") is True
    agent = ""
    if result is None:
        attributes["otlp_receiver.source.unanswered"] = True
    else:
        extra = result.data.get("toolUseResult")
        if isinstance(extra, dict):
            agent = _text(extra, "agentId")
            attributes["interrupted"] = True if extra.get("interrupted") is True else None
            attributes["subagent.id"] = agent or None
    message = ""
    if failed:
        message = (answer or "").replace("<tool_use_error>", "").replace("</tool_use_error>", "").strip()
        attributes["error.type"] = "rejected" if message.startswith(_REJECTED) else "tool_error"
    spawned = agent and tool.name in _SPAWNING and not _resumes(tool.arguments)
    span = SpanDraft(
        trace_id=trace_id_of(AGENT, tool.record.session),
        # A subagent's own file knows its id only: the span that started it is found by that.
        span_id=agent_span_id(agent) if spawned else tool.span_id,
        parent_span_id=tool.parent_span_id,
        name=f"execute_tool {tool.name}" if tool.name else "execute_tool",
        start_ns=tool.start_ns,
        end_ns=max(tool.start_ns, end_ns),
        attributes=attributes,
        status=StatusCode.ERROR if failed else StatusCode.UNSET,
        status_message=message[:_STATUS_CHARACTERS],
    )
    return span_unit(_key(tool.record, "tool", tool.identity), [span], _resource(tool.record))


def root_span_id(session: str) -> bytes:
    """Return the id of a session's root."""
    return span_id_of(AGENT, "session", session)


def agent_span_id(agent: str) -> bytes:
    """Return the id of the tool call that started a subagent."""
    return span_id_of(AGENT, "agent", agent)


def _key(record: Record, *identity: str) -> bytes:
    """Return a unit's key: the session is not in it, as resumed and forked sessions copy lines."""
    return unit_key(f"{AGENT}\0{record.time_ns // _DAY_NS}", *identity)


def _common(record: Record, kind: str) -> dict[str, AttributeInput]:
    return {
        "session.id": record.session,
        "gen_ai.conversation.id": record.session,
        "message.uuid": record.uuid,
        "code.workspace": record.text("cwd") or None,
        "vcs.ref.head.name": record.text("gitBranch") or None,
        "otlp_receiver.source.format": AGENT,
        "otlp_receiver.source.kind": kind,
    }


def _resource(record: Record) -> dict[str, AttributeInput]:
    return {"service.name": _SERVICE, "service.version": record.text("version") or None}


def _agent_name(record: Record) -> str:
    if not record.sidechain:
        return _SERVICE
    return (
        record.text("attributionAgent") or record.text("agentType") or record.text("agentName") or "subagent"
    )


def _usage(record: Record) -> dict[str, AttributeInput]:
    usage = record.message.get("usage")
    if not isinstance(usage, dict):
        return {}
    created, searched = usage.get("cache_creation"), usage.get("server_tool_use")
    created = created if isinstance(created, dict) else {}
    searched = searched if isinstance(searched, dict) else {}
    cost = record.data.get("costUSD")
    return {
        "gen_ai.usage.input_tokens": _count(usage, "input_tokens"),
        "gen_ai.usage.output_tokens": _count(usage, "output_tokens"),
        "gen_ai.usage.cache_read.input_tokens": _count(usage, "cache_read_input_tokens"),
        "gen_ai.usage.cache_creation.input_tokens": _count(usage, "cache_creation_input_tokens"),
        "anthropic.usage.cache_creation.ephemeral_5m_input_tokens": _count(
            created, "ephemeral_5m_input_tokens"
        ),
        "anthropic.usage.cache_creation.ephemeral_1h_input_tokens": _count(
            created, "ephemeral_1h_input_tokens"
        ),
        "anthropic.usage.web_search_requests": _count(searched, "web_search_requests") or None,
        "anthropic.usage.service_tier": _text(usage, "service_tier") or None,
        "anthropic.usage.speed": _text(usage, "speed") or None,
        "cost_usd": float(cost) if isinstance(cost, int | float) and not isinstance(cost, bool) else None,
    }


def _parts(blocks: list[dict[str, Any]]) -> list[contents.Part]:
    """Return an answer's parts; what a tool was given stands at the tool's own span."""
    parts = []
    for block in blocks:
        match block.get("type"):
            case "text":
                parts.append(contents.text_part(_text(block, "text")))
            case "thinking":
                if thought := _text(block, "thinking"):  # often a signature only
                    parts.append(contents.reasoning_part(thought))
            case "tool_use" | "server_tool_use" | "mcp_tool_use":
                parts.append({"type": "tool_call", "id": _text(block, "id"), "name": _text(block, "name")})
            case _:
                pass
    return parts


def _result_text(content: object) -> str:
    if not isinstance(content, list):
        return contents.as_text(content) if content is not None else ""
    texts = []
    for block in content:
        if not isinstance(block, dict):
            texts.append(contents.as_text(block))
        elif isinstance(block.get("text"), str):
            texts.append(block["text"])
        elif isinstance(source := block.get("source"), dict):
            texts.append(f"[{block.get('type')} {source.get('media_type', '')}]")
        else:
            texts.append(contents.as_text(block))
    return "\n".join(texts)


def _resumes(arguments: object) -> bool:
    return isinstance(arguments, dict) and bool(arguments.get("resume"))


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""


def _count(data: Mapping[str, Any], key: str) -> int | None:
    value = data.get(key)
    return value if type(value) is int and value >= 0 else None
