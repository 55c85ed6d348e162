"""The collector's YAML is made or compared, never changed."""

from __future__ import annotations

import pytest
import yaml

from receiver.setup.collector import TELEMETRY
from receiver.setup.errors import NotMergeableError, SetupError
from receiver.setup.options import Options, OtlpProtocol

_EXISTING = """\
# ours
receivers: {otlp: {protocols: {grpc: }}}
exporters:
  debug:
service:
  pipelines:
    traces: {receivers: [otlp], exporters: [debug]}
    metrics/host: {receivers: [otlp], exporters: [debug]}
"""
_HOLDS = """\
exporters:
  otlp/otlp-receiver: {endpoint: "localhost:4317", tls: {insecure: true}}
service:
  pipelines:
    traces: {receivers: [otlp], exporters: [debug, otlp/otlp-receiver]}
"""


def test_a_new_file_is_a_whole_configuration_on_ports_of_its_own() -> None:
    """Each pipeline ends in the exporter, and the collector does not take the receiver's ports."""
    made = yaml.safe_load(TELEMETRY.merged(None, Options()).text)
    assert made["exporters"] == {
        "otlp/otlp-receiver": {"endpoint": "localhost:4317", "tls": {"insecure": True}}
    }
    assert {name: each["exporters"] for name, each in made["service"]["pipelines"].items()} == {
        name: ["otlp/otlp-receiver"] for name in ("traces", "metrics", "logs")
    }
    listens = {each["endpoint"] for each in made["receivers"]["otlp"]["protocols"].values()}
    assert listens == {"localhost:14317", "localhost:14318"}


def test_over_http_it_is_the_other_exporter() -> None:
    """TLS is told from the scheme."""
    made = yaml.safe_load(TELEMETRY.rendered(Options(protocol=OtlpProtocol.HTTP)))
    assert made["exporters"] == {"otlphttp/otlp-receiver": {"endpoint": "http://localhost:4318"}}
    secure = yaml.safe_load(TELEMETRY.rendered(Options(grpc_url="https://far:443")))
    assert secure["exporters"]["otlp/otlp-receiver"] == {"endpoint": "far:443", "tls": {"insecure": False}}


def test_an_existing_file_is_refused_with_what_it_lacks() -> None:
    """Exporter and every pipeline of the file are named."""
    with pytest.raises(NotMergeableError, match="not changed by a program"):
        TELEMETRY.merged(_EXISTING, Options())
    assert [".".join(each.path) for each in TELEMETRY.missing(_EXISTING, Options())] == [
        "exporters.otlp/otlp-receiver",
        "service.pipelines.traces.exporters",
        "service.pipelines.metrics/host.exporters",
    ]


def test_a_file_that_holds_it_is_left_alone() -> None:
    """Other exporters beside it do no harm."""
    merged = TELEMETRY.merged(_HOLDS, Options())
    assert (merged.text, merged.changes) == (_HOLDS, ())


@pytest.mark.parametrize(
    ("text", "why"), [("a: [1\nb: 2\n", "line 2, column 2"), ("- 1\n", "no YAML mapping")]
)
def test_what_is_not_yaml_is_refused(text: str, why: str) -> None:
    """The message says where."""
    with pytest.raises(SetupError, match=why):
        TELEMETRY.merged(text, Options())
