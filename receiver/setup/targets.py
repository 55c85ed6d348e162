"""Every target by the word of the command line."""

from __future__ import annotations

from collections.abc import Mapping

from receiver.setup import claude, codex, collector, copilot, gemini, node, python, qwen
from receiver.setup.target import Target

TELEMETRY: Mapping[str, Target] = {
    module.TELEMETRY.name: module.TELEMETRY
    for module in (claude, qwen, gemini, codex, copilot, python, node, collector)
}
"""What makes a program send here."""
MCP: Mapping[str, Target] = {module.MCP.name: module.MCP for module in (claude, qwen, gemini, codex, copilot)}
"""What lets an agent ask here."""
