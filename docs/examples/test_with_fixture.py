"""A project's own test of its instrumentation, with the fixture that otlp-receiver brings to pytest.

pip install otlp-receiver pytest
pytest docs/examples/test_with_fixture.py
"""

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Status, StatusCode


def check_out(tracer, card):
    """The code under test."""
    with tracer.start_as_current_span("check out"), tracer.start_as_current_span("charge card") as span:
        span.set_attribute("card", card)
        if card == "expired":
            span.set_status(Status(StatusCode.ERROR, "the card has expired"))


def test_an_expired_card_is_an_error_of_the_charge_and_nothing_else(otlp_receiver):
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=otlp_receiver.endpoint)))
    check_out(provider.get_tracer("shop"), card="expired")
    provider.shutdown()

    (charge,) = otlp_receiver.spans(name="charge card")
    assert charge["status"] == "error"
    assert charge["attributes"] == {"card": "expired"}
    assert [span["name"] for span in otlp_receiver.spans() if span["status"] == "error"] == ["charge card"]
