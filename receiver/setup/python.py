"""Python programs with the OpenTelemetry SDK, or without a line of it under ``opentelemetry-instrument``.

Source: https://opentelemetry.io/docs/zero-code/python/configuration/. The variables for content are those of
https://github.com/open-telemetry/opentelemetry-python-contrib (GenAI instrumentations), OpenLLMetry
(https://www.traceloop.com/docs/openllmetry/privacy/traces) and OpenInference
(https://github.com/Arize-ai/openinference, spec/configuration.md).
"""

from __future__ import annotations

from receiver.setup.entry import Entry, Obstacle
from receiver.setup.env_file import EnvFile
from receiver.setup.environment import SIGNAL_VARIABLES, sdk_variables
from receiver.setup.options import Options
from receiver.setup.target import FileTarget

_COMMENT = """\
# what to run:
# pip install opentelemetry-distro opentelemetry-exporter-otlp
# export OTEL_SERVICE_NAME=my-service
# opentelemetry-instrument python app.py
"""


def _telemetry(options: Options) -> list[Entry]:
    variables = {**sdk_variables(options), "OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED": "true"}
    if options.content is not None:
        sent, hidden = ("true", "false") if options.content else ("false", "true")
        variables |= {
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": sent,
            "TRACELOOP_TRACE_CONTENT": sent,
            "OPENINFERENCE_HIDE_INPUTS": hidden,
            "OPENINFERENCE_HIDE_OUTPUTS": hidden,
        }
    return [Entry((name,), value) for name, value in variables.items()]


TELEMETRY = FileTarget(
    name="python",
    title="Python with OpenTelemetry",
    document=EnvFile(),
    entries=_telemetry,
    user_file=lambda places: places.project / ".env",
    project_file=lambda places: places.project / ".env",
    is_required=False,
    against=tuple(
        Obstacle((name,), "it goes before OTEL_EXPORTER_OTLP_ENDPOINT and _PROTOCOL")
        for name in SIGNAL_VARIABLES
    ),
    comment=lambda _: _COMMENT,
    said=lambda _: ("no SDK reads a .env file by itself: load it, for example with `set -a; . ./.env`",),
)
