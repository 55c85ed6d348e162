"""Qwen Code's own names: the events of Gemini CLI, and spans of its own with the GenAI conventions' attributes.

Source: https://github.com/QwenLM/qwen-code, packages/core/src/telemetry/{types,session-tracing,constants}.ts. Whatever
the provider, counts are brought into Gemini's form first. session-tracing.ts says that for OpenAI-compatible providers
thoughts are included in the output; where ``total_token_count`` tells otherwise, they are not.
"""

from __future__ import annotations

from receiver.questions import AgentRecord
from receiver.sessions import gemini_cli
from receiver.sessions.attributes import Attributes
from receiver.sessions.statements import Context, Statement
from receiver.sessions.tokens import Tokens

TOKEN_METRIC = "qwen-code.token.usage"  # noqa: S105 - the name of a metric


def read_event(record: AgentRecord, event: str, context: Context) -> Statement | None:
    """Return what a log event says; None where it is of no call and no prompt."""
    return gemini_cli.read_event(record, event, context, thoughts_apart=False)


def metric_tokens(attributes: Attributes, count: int) -> Tokens:
    """Return a count of the token metric under its type; ``input`` still holds the cached tokens."""
    if attributes.get("type") == "thought":  # a part of the output, which is counted by itself
        return Tokens(reasoning=count)
    return gemini_cli.metric_tokens(attributes, count)
