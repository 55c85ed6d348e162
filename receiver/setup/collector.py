"""The OpenTelemetry Collector: an OTLP exporter in every pipeline.

Source: https://opentelemetry.io/docs/collector/configuration/ and
https://github.com/open-telemetry/opentelemetry-collector, exporter/otlpexporter and exporter/otlphttpexporter.

YAML is read and never changed: which pipelines exist, and what stands in their comments, is their owner's.
A file that is not there yet is made: a collector that listens on ports of its own, because the receiver has the usual
ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from receiver.setup.entry import ABSENT, Change, Merged, found, same
from receiver.setup.errors import NotMergeableError, SetupError
from receiver.setup.options import SERVER_NAME, Options, OtlpProtocol
from receiver.setup.places import Places
from receiver.signals import Signal

_RECEIVERS = {
    "otlp": {"protocols": {"grpc": {"endpoint": "localhost:14317"}, "http": {"endpoint": "localhost:14318"}}}
}


class Collector:
    """The collector; implements ``Target``."""

    name = "collector"
    title = "OpenTelemetry Collector"
    language = "yaml"
    is_required = False

    def completed(self, options: Options) -> Options:
        """Return the options with gRPC, if no protocol was chosen."""
        return options.by(OtlpProtocol.GRPC)

    def file(self, places: Places, *, project: bool) -> Path | None:  # noqa: ARG002 - the protocol's signature
        """Return None: a collector is told its file on its command line."""
        return None

    def rendered(self, options: Options) -> str:
        """Return a whole configuration, of which exporter and pipelines are what an existing one needs."""
        name, exporter = _exporter(self.completed(options))
        pipelines = {str(signal): {"receivers": ["otlp"], "exporters": [name]} for signal in Signal}
        parts: tuple[dict[str, Any], ...] = (
            {"receivers": _RECEIVERS},
            {"exporters": {name: exporter}},
            {"service": {"pipelines": pipelines}},
        )
        return "\n".join(yaml.dump(part, Dumper=_Dumper, sort_keys=False) for part in parts)

    def merged(self, existing: str | None, options: Options) -> Merged:
        """Return the text of a new file, or that of a file which holds the configuration.

        Raises:
            NotMergeableError: The file is there and does not hold it.
            SetupError: It is not YAML.
        """
        if existing is None or not existing.strip():
            name, exporter = _exporter(self.completed(options))
            return Merged(self.rendered(options), (Change(("exporters", name), ABSENT, exporter),))
        if self.missing(existing, options):
            raise NotMergeableError(
                "a collector's configuration is not changed by a program, which would lose its comments",
                hint="put the exporter that is printed above into it, and its name into every pipeline",
            )
        return Merged(existing, ())

    def missing(self, existing: str, options: Options) -> list[Change]:
        """Return what a file lacks: the exporter, or its name in a pipeline.

        Raises:
            SetupError: It is not YAML, or no object.
        """
        data = _parsed(existing)
        name, exporter = _exporter(self.completed(options))
        made: list[Change] = []
        if not same(present := found(data, ("exporters", name)), exporter):
            made.append(Change(("exporters", name), present, exporter))
        pipelines = found(data, ("service", "pipelines"))
        for pipeline in pipelines if isinstance(pipelines, Mapping) and pipelines else map(str, Signal):
            path = ("service", "pipelines", str(pipeline), "exporters")
            names = found(data, path)
            listed = list(names) if isinstance(names, Sequence) and not isinstance(names, str) else []
            if name not in listed:
                made.append(Change(path, names, [*listed, name]))
        return made

    def obstacles(self, existing: str) -> list[str]:  # noqa: ARG002 - the protocol's signature
        """Return nothing: an exporter of its own cannot be overruled."""
        return []

    def overruled_by(self, environ: Mapping[str, str]) -> list[str]:  # noqa: ARG002 - see obstacles
        """Return nothing."""
        return []

    def hints(self, options: Options) -> tuple[str, ...]:  # noqa: ARG002 - the protocol's signature
        """Return that the ports differ."""
        return ("the collector listens on 14317 and 14318 here, because the receiver has 4317 and 4318",)


def _exporter(options: Options) -> tuple[str, dict[str, Any]]:
    """Return the exporter's name and settings."""
    if options.protocol is OtlpProtocol.HTTP:
        return f"otlphttp/{SERVER_NAME}", {"endpoint": options.http_url}
    parts = urlsplit(options.grpc_url)
    return f"otlp/{SERVER_NAME}", {"endpoint": parts.netloc, "tls": {"insecure": parts.scheme == "http"}}


def _parsed(text: str) -> dict[str, Any]:
    try:
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SetupError(
            f"it is not YAML: {error.problem or error.context}{where}",
            hint="nothing was written; mend it first",
        ) from None
    except yaml.YAMLError as error:
        raise SetupError(f"it is not YAML: {error}", hint="nothing was written; mend it first") from None
    if not isinstance(data, dict):
        raise SetupError("it holds no YAML mapping", hint="nothing was written; mend it first")
    return data


class _Dumper(yaml.SafeDumper):
    """Writes lists on one line and indents as the Collector's documentation does."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the library's signature
        """Write the same list out each time."""
        return True


def _one_line(dumper: yaml.SafeDumper, value: list[Any]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)


_Dumper.add_representer(list, _one_line)

TELEMETRY = Collector()
