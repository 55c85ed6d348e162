"""Codex CLI.

Telemetry: ``[otel]`` in ``config.toml`` of the user; the three signals have an exporter each, and over HTTP each
needs the whole address of its signal.
Source: https://github.com/openai/codex, codex-rs/config/src/types.rs (OtelConfigToml), and
https://developers.openai.com/codex/config-advanced

MCP: ``[mcp_servers.NAME]`` in the same file, or in ``.codex/config.toml`` of a trusted project.
Source: https://developers.openai.com/codex/mcp
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from receiver.setup.entry import Entry
from receiver.setup.mcp_server import server_entry
from receiver.setup.options import Options, OtlpProtocol
from receiver.setup.places import Places
from receiver.setup.target import FileTarget
from receiver.setup.toml_file import TomlFile
from receiver.signals import Signal

_EXPORTERS = {
    "exporter": Signal.LOGS,
    "trace_exporter": Signal.TRACES,
    "metrics_exporter": Signal.METRICS,
}


def _telemetry(options: Options) -> list[Entry]:
    return [
        Entry(("otel", "log_user_prompt"), bool(options.content), only_if_absent=options.content is None),
        *(
            Entry(("otel", name), _exporter(options, signal), inline=True)
            for name, signal in _EXPORTERS.items()
        ),
    ]


def _exporter(options: Options, signal: Signal) -> dict[str, Any]:
    if options.protocol is OtlpProtocol.HTTP:
        return {"otlp-http": {"endpoint": options.http_url + signal.http_path, "protocol": "binary"}}
    return {"otlp-grpc": {"endpoint": options.grpc_url}}


def _mcp(options: Options) -> list[Entry]:
    return [server_entry(options, "mcp_servers", typed=False)]


def _user_file(places: Places) -> Path:
    return places.folder("CODEX_HOME", ".codex") / "config.toml"


TELEMETRY = FileTarget(
    name="codex",
    title="Codex CLI",
    document=TomlFile(),
    entries=_telemetry,
    user_file=_user_file,
    project_file=None,
)
MCP = FileTarget(
    name="codex",
    title="Codex CLI (MCP)",
    document=TomlFile(),
    entries=_mcp,
    user_file=_user_file,
    project_file=lambda places: places.project / ".codex" / "config.toml",
    said=lambda _: ("`codex mcp list` shows whether it is known",),
)
