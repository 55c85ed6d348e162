"""A pytest plugin: the fixture ``otlp_receiver`` is a whole receiver in the test's own process.

    def test_checkout_records_the_refusal(otlp_receiver):
        shop.checkout(card="declined", exporter_endpoint=otlp_receiver.endpoint)
        assert otlp_receiver.spans(name="charge card")[0]["status"] == "error"

It listens on free ports of this machine, keeps its data in the test's own folder, and ends with the test. What is
asked is answered from everything that was acknowledged before. The embedding model is loaded by the first
``search`` and only then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from receiver.app.access import LocalAccess
    from receiver.app.receiver_thread import ReceiverThread
    from receiver.ports import Rows
    from receiver.questions import MetricAnswer, MetricDescriptor, MetricPoint, MetricQuestion, StoreReader

_FLUSH_S = 300.0  # loading the model on a busy machine, and embedding what the test sent


class TestedReceiver:
    """What a test asks. Threads: any but the receiver's own; every method blocks."""

    __test__ = False

    def __init__(self, running: ReceiverThread) -> None:
        """Ask ``running``, which belongs to the caller."""
        self._running = running

    @property
    def endpoint(self) -> str:
        """Return where OTLP/gRPC is taken: ``http://localhost:port``."""
        return f"http://{self._running.addresses['OTLP/gRPC']}"

    @property
    def http_endpoint(self) -> str:
        """Return where OTLP/HTTP is taken; exporters add ``/v1/traces`` and so on themselves."""
        return f"http://{self._running.addresses['OTLP/HTTP']}"

    @property
    def query_endpoint(self) -> str:
        """Return the address of the HTTP API."""
        return f"http://{self._running.addresses['query']}"

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment variables that make an SDK in another process send here.

        https://opentelemetry.io/docs/specs/otel/protocol/exporter/
        """
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}

    def ask(self, question: str, **parameters: object) -> dict[str, Any]:
        """Return the answer to a question of the HTTP API (docs/api.md): ``ask("traces", service="shop")``.

        Raises:
            ReceiverError: What the API would have refused.
        """
        given = {name: [str(value)] for name, value in parameters.items()}
        self.flush()
        return self._running.call(lambda access: access.ask(question, given))

    def flush(self, *, embeddings: bool = False) -> None:
        """Return when everything acknowledged before can be found, by meaning too if asked for."""
        self._running.call(lambda access: access.flush(embeddings=embeddings), timeout_s=_FLUSH_S)

    def spans(self, *, name: str | None = None, service: str | None = None) -> Rows:
        """Return the spans, earliest first; of traces that have at most 10,000.

        Args:
            name: Only with this name.
            service: Only of this ``service.name``.
        """
        from receiver.query.tree import in_order  # noqa: PLC0415 - see metrics

        found: Rows = []
        for trace in self.ask("traces", limit=1000)["traces"]:
            roots = self.ask("trace", trace_id=trace["trace_id"])["roots"]
            found += [
                {name: value for name, value in span.items() if name != "children"}
                for span in in_order(roots)
            ]
        return [
            span
            for span in sorted(found, key=lambda span: span["time_unix_nano"])
            if name in (None, span["name"]) and service in (None, span["service"])
        ]

    def logs(self, *, service: str | None = None) -> Rows:
        """Return the newest 1,000 log records, earliest first."""
        found: Rows = self.ask("logs", limit=1000, **_set(service=service))["logs"]
        return found[::-1]

    def metrics(self, *, name: str | None = None) -> Rows:
        """Return the data points of all metrics, or of one, by metric and time.

        Each has the metric's ``name``, ``type``, ``unit`` and ``service``, its ``attributes``, ``time_unix_nano``, and
        ``value``, or ``count`` and ``sum`` for histograms.
        """
        from receiver.questions import MetricQuestion  # noqa: PLC0415 - pytest loads this module in every run

        names = (
            [name] if name else sorted({each["name"] for each in self.ask("metrics", limit=1000)["metrics"]})
        )
        receiver = self._running.receiver
        assert receiver is not None, "the receiver is closed"  # noqa: S101 - a plugin of pytest
        found: Rows = []
        for each in names:
            asked = partial(_metric_points, receiver.answering.reader, MetricQuestion(each))
            answer = self._running.call(asked)
            found += [_point(answer.descriptors[point.metric_id], point) for point in answer.points]
        return sorted(found, key=lambda point: (point["name"], point["time_unix_nano"]))

    def search(self, question: str, *, limit: int = 10, **filters: object) -> Rows:
        """Return the records that mean what the question says, best first, once all texts have their vectors.

        Without the extra ``embed`` words are matched instead.
        """
        from receiver.errors import EmbeddingUnavailableError  # noqa: PLC0415 - see metrics

        receiver = self._running.receiver
        assert receiver is not None, "the receiver is closed"  # noqa: S101 - a plugin of pytest
        try:
            self.flush(embeddings=True)
        except EmbeddingUnavailableError:
            if receiver.answering.vectors.embedder.available:
                raise
        results: Rows = self.ask("search", q=question, limit=limit, **filters)["results"]
        return results


@contextmanager
def running_receiver(data_dir: Path, overrides: Mapping[str, Any] | None = None) -> Iterator[TestedReceiver]:
    """Run a receiver for the length of the block; for fixtures of another scope.

    Args:
        data_dir: Folder of its spool, store and index.
        overrides: Settings by their dotted names (docs/configuration.md), over the defaults.

    Raises:
        StartError: The folder cannot be used.
        ConfigError: A setting is wrong.
    """
    from receiver.app.receiver_thread import ReceiverThread  # noqa: PLC0415 - see metrics
    from receiver.settings import load_settings  # noqa: PLC0415 - see metrics

    settings = load_settings(
        config_file=None,
        overrides={
            "data_dir": str(data_dir),
            "listen.grpc_endpoint": "localhost:0",
            "listen.http_endpoint": "localhost:0",
            "listen.query_endpoint": "localhost:0",
            "embed.on_demand": True,
            **(overrides or {}),
        },
        environ={},
    )
    running = ReceiverThread(settings)
    try:
        yield TestedReceiver(running)
    finally:
        running.close()


@pytest.fixture
def otlp_receiver(tmp_path: Path) -> Iterator[TestedReceiver]:
    """Run a receiver in this process that a test can send OTLP to and ask: ``.endpoint``, ``.spans()``, ``.search()``."""
    with running_receiver(tmp_path / "otlp-receiver") as running:
        yield running


def _set(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}


async def _metric_points(reader: StoreReader, question: MetricQuestion, _: LocalAccess) -> MetricAnswer:
    return await reader.metric_points(question)


def _point(metric: MetricDescriptor, point: MetricPoint) -> dict[str, Any]:
    import orjson  # noqa: PLC0415 - see TestedReceiver.metrics

    distribution = point.distribution
    return {
        "name": metric.name,
        "type": metric.type,
        "unit": metric.unit,
        "service": metric.service,
        "attributes": orjson.loads(point.attributes),
        "time_unix_nano": point.time_unix_nano,
        "value": point.value,
        "count": None if distribution is None else distribution.count,
        "sum": None if distribution is None else distribution.sum,
    }
