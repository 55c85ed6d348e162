"""Node.js programs, with OpenTelemetry's automatic instrumentation loaded before them.

Source: https://opentelemetry.io/docs/zero-code/js/ and
https://www.npmjs.com/package/@opentelemetry/auto-instrumentations-node. ``NODE_OPTIONS`` may hold other options:
ours is put behind them. ``TRACELOOP_TRACE_CONTENT`` is OpenLLMetry's
(https://www.traceloop.com/docs/openllmetry/privacy/traces).
"""

from __future__ import annotations

from typing import Any

from receiver.setup.entry import Entry, Obstacle
from receiver.setup.env_file import EnvFile
from receiver.setup.environment import SIGNAL_VARIABLES, sdk_variables
from receiver.setup.options import Options, OtlpProtocol
from receiver.setup.target import FileTarget

_MODULE = "@opentelemetry/auto-instrumentations-node/register"
_REQUIRE = f"--require {_MODULE}"
_COMMENT = """\
# what to run:
# npm install @opentelemetry/api @opentelemetry/auto-instrumentations-node
# export OTEL_SERVICE_NAME=my-service
# node app.js
"""


def _required(present: Any) -> str:
    given = str(present).strip()
    return given if _MODULE in given else f"{given} {_REQUIRE}".strip()


def _telemetry(options: Options) -> list[Entry]:
    variables = sdk_variables(options)
    if options.content is not None:
        variables["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = str(options.content).lower()
        variables["TRACELOOP_TRACE_CONTENT"] = str(options.content).lower()
    return [
        *(Entry((name,), value) for name, value in variables.items()),
        Entry(("NODE_OPTIONS",), _REQUIRE, combine=_required),
    ]


TELEMETRY = FileTarget(
    name="node",
    title="Node.js with OpenTelemetry",
    document=EnvFile(),
    entries=_telemetry,
    user_file=lambda places: places.project / ".env",
    project_file=lambda places: places.project / ".env",
    protocol=OtlpProtocol.HTTP,
    is_required=False,
    against=tuple(
        Obstacle((name,), "it goes before OTEL_EXPORTER_OTLP_ENDPOINT and _PROTOCOL")
        for name in SIGNAL_VARIABLES
    ),
    comment=lambda _: _COMMENT,
    said=lambda _: (
        "NODE_OPTIONS counts only where Node.js is started: load a .env file in the shell with `set -a; . ./.env`",
    ),
)
