"""Attributes of OpenInference and OpenLLMetry under the names of the GenAI conventions, as derived data.

The mapping is the Collector's genainormalizerprocessor, taken over as it is:
https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/processor/genainormalizerprocessor.
What a record said itself is not touched and wins over what is derived from it. Private names of agents are in the
modules named after them; names that the processor leaves out (caches, reasoning, costs) are in ``conventions``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OPENINFERENCE = {
    "llm.token_count.prompt": "gen_ai.usage.input_tokens",
    "llm.token_count.completion": "gen_ai.usage.output_tokens",
    "llm.model_name": "gen_ai.request.model",
    "llm.provider": "gen_ai.provider.name",
    "llm.input_messages": "gen_ai.input.messages",
    "llm.output_messages": "gen_ai.output.messages",
    "embedding.model_name": "gen_ai.request.model",
    "tool.name": "gen_ai.tool.name",
    "tool.description": "gen_ai.tool.description",
    "tool_call.function.arguments": "gen_ai.tool.call.arguments",
    "tool_call.id": "gen_ai.tool.call.id",
    "reranker.model_name": "gen_ai.request.model",
    "agent.name": "gen_ai.agent.name",
    "session.id": "gen_ai.conversation.id",
    "openinference.span.kind": "gen_ai.operation.name",
}
OPENLLMETRY = {
    "llm.usage.prompt_tokens": "gen_ai.usage.input_tokens",
    "llm.usage.completion_tokens": "gen_ai.usage.output_tokens",
    "llm.request.model": "gen_ai.request.model",
    "llm.response.model": "gen_ai.response.model",
    "llm.request.max_tokens": "gen_ai.request.max_tokens",
    "llm.request.temperature": "gen_ai.request.temperature",
    "llm.request.top_p": "gen_ai.request.top_p",
    "llm.top_k": "gen_ai.request.top_k",
    "llm.frequency_penalty": "gen_ai.request.frequency_penalty",
    "llm.presence_penalty": "gen_ai.request.presence_penalty",
    "llm.chat.stop_sequences": "gen_ai.request.stop_sequences",
    "llm.request.functions": "gen_ai.tool.definitions",
    "llm.response.finish_reason": "gen_ai.response.finish_reasons",
    "llm.response.stop_reason": "gen_ai.response.finish_reasons",
    "llm.request.type": "gen_ai.operation.name",
    "traceloop.span.kind": "gen_ai.operation.name",
    "traceloop.entity.name": "gen_ai.agent.name",
    "traceloop.entity.input": "gen_ai.input.messages",
    "traceloop.entity.output": "gen_ai.output.messages",
}
_OPERATIONS = {
    "openinference.span.kind": {
        "llm": "chat",
        "embedding": "embeddings",
        "chain": "invoke_agent",
        "retriever": "retrieval",
        "reranker": "retrieval",
        "tool": "execute_tool",
        "agent": "invoke_agent",
        "prompt": "text_completion",
    },
    "traceloop.span.kind": {
        "workflow": "invoke_workflow",
        "task": "invoke_agent",
        "agent": "invoke_agent",
        "tool": "execute_tool",
    },
    "llm.request.type": {
        "completion": "text_completion",
        "chat": "chat",
        "rerank": "retrieval",
        "embedding": "embeddings",
    },
}
_TABLE = OPENINFERENCE | OPENLLMETRY


def normalised(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes and, beside them, those that follow from them under the GenAI conventions' names."""
    found = dict(attributes)
    for name, target in _TABLE.items():
        if name in attributes and target not in found:
            found[target] = _value(name, target, attributes[name])
    return found


def _value(name: str, target: str, value: Any) -> Any:
    if target == "gen_ai.operation.name" and isinstance(value, str):
        return _OPERATIONS[name].get(value.lower(), value)
    if target == "gen_ai.response.finish_reasons" and isinstance(value, str):
        return [value]
    return value
