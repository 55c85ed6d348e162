"""Which agent or instrumentation a record is of, and what it calls the event."""

from __future__ import annotations

from functools import lru_cache

from receiver.questions import AgentRecord

FILE_SCOPE = "otlp-receiver/sources"
"""Scope of the spans that this receiver makes of session files (``receiver.sources.source.SCOPE``)."""
FILE_FORMAT = "otlp_receiver.source.format"
FILE_KIND = "otlp_receiver.source.kind"
FILE_MADE_OF = "otlp_receiver.source.made_of"
"""What a span of an outfile was made of, where the file holds no spans: its events."""

CLAUDE_CODE = "claude_code"
QWEN_CODE = "qwen_code"
GEMINI_CLI = "gemini_cli"
CODEX = "codex"
COPILOT = "copilot"
OPENINFERENCE = "openinference"
OPENLLMETRY = "openllmetry"
GENAI = "genai"
AGENTS = (CLAUDE_CODE, QWEN_CODE, GEMINI_CLI, CODEX, COPILOT, OPENINFERENCE, OPENLLMETRY, GENAI)
"""From the most particular to what many share: a session is of the first one that a record of it is of."""

PROVIDERS = {CLAUDE_CODE: "anthropic", CODEX: "openai", GEMINI_CLI: "gcp.gemini"}
"""Whom an agent calls where it does not say; Qwen Code and Copilot call many."""

_PREFIXES = {
    "claude_code.": CLAUDE_CODE,
    "qwen-code.": QWEN_CODE,
    "qwen_code.": QWEN_CODE,
    "gemini_cli.": GEMINI_CLI,
    "codex.": CODEX,
}
_SERVICES = (
    ("claude-code", CLAUDE_CODE),
    ("qwen-code", QWEN_CODE),
    ("gemini-cli", GEMINI_CLI),
    ("codex", CODEX),
    ("copilot", COPILOT),
    ("github-copilot", COPILOT),
)
_SCOPES = (
    ("com.anthropic.claude_code", CLAUDE_CODE),
    ("openinference.", OPENINFERENCE),
)


def agent_of(record: AgentRecord) -> str:
    """Return which of ``AGENTS`` a record is of; empty for a record of none."""
    attributes = record.attributes
    if record.scope == FILE_SCOPE:
        stated = attributes.get(FILE_FORMAT)
        return stated if isinstance(stated, str) and stated in AGENTS else GENAI
    named = _by_names(record.name, record.service, record.scope)
    if named:
        return named
    if "openinference.span.kind" in attributes:
        return OPENINFERENCE
    if any(key.startswith(("traceloop.", "llm.")) for key in attributes):
        return OPENLLMETRY
    return GENAI if any(key.startswith("gen_ai.") for key in attributes) else ""


def event_of(record: AgentRecord) -> str:
    """Return the name of an event, or of a span, without the agent's name in front."""
    return _without_agent(record.name)


@lru_cache(maxsize=4096)
def _by_names(name: str, service: str, scope: str) -> str:
    for prefix, agent in _PREFIXES.items():
        if name.startswith(prefix):
            return agent
    for prefix, agent in _SERVICES:
        if service.startswith(prefix):
            return agent
    return next((agent for prefix, agent in _SCOPES if scope.startswith(prefix)), "")


@lru_cache(maxsize=4096)
def _without_agent(name: str) -> str:
    return next((name.removeprefix(prefix) for prefix in _PREFIXES if name.startswith(prefix)), name)
