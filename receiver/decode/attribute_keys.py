"""Keys of attributes that decode treats in a way of their own. No columns here: the scan knows the keys without Arrow.

Sources: https://opentelemetry.io/docs/specs/semconv/general/session/ and
https://github.com/open-telemetry/semantic-conventions-genai for the first two keys;
https://github.com/openai/codex/tree/main/codex-rs/otel for ``conversation.id`` and ``thread.id``;
https://github.com/microsoft/vscode/blob/main/extensions/copilot/docs/monitoring/agent_monitoring.md for
``conversation_id`` and ``copilot_chat.session_id``; https://langfuse.com/integrations/native/opentelemetry;
https://www.traceloop.com/docs/openllmetry/tracing/association (LangGraph's ``thread_id`` comes that way).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Kind = Literal["string", "int64"]

HOT_OF_SPANS: Mapping[str, Kind] = {
    "http.route": "string",
    "http.response.status_code": "int64",
    "rpc.service": "string",
    "db.system.name": "string",
    "gen_ai.request.model": "string",
    "gen_ai.conversation.id": "string",
    "session.id": "string",
    "error.type": "string",
}
HOT_OF_LOGS: Mapping[str, Kind] = {
    "gen_ai.conversation.id": "string",
    "session.id": "string",
    "error.type": "string",
}
"""Typed columns of spans and of log records, see :mod:`receiver.decode.hot_attributes`; the type of each."""
SESSION_KEYS = (
    "session.id",
    "gen_ai.conversation.id",
    "conversation.id",
    "conversation_id",
    "copilot_chat.session_id",
    "langfuse.session.id",
    "traceloop.association.properties.session_id",
    "traceloop.association.properties.conversation_id",
    "traceloop.association.properties.thread_id",
)
"""The first of these that is a string and not empty is the session."""
THREAD_KEY, TURN_KEY = "thread.id", "turn.id"
"""Codex's spans name the session so; elsewhere ``thread.id`` is a thread of the operating system."""
RESOURCE_KEYS = ("session.id", "gen_ai.conversation.id")
"""What a resource says counts for records that say nothing themselves."""
GEN_AI_KEYS = frozenset(
    {"openinference.span.kind", "llm.request.type", "traceloop.span.kind", "langfuse.observation.type"}
)
"""Keys that only spans of model calls, tools and agents have."""
GEN_AI_PREFIXES = (
    "gen_ai.",
    "claude_code.",
    "qwen-code.",
    "gemini_cli.",
    "codex.",
    "copilot_chat.",
    "github.copilot.",
    "opencode.",
)
"""How other such keys begin, and the names of an agent's spans and events."""
