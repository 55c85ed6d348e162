"""Send a first span with the OpenTelemetry SDK and find it again by what it means.

pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-grpc
python docs/examples/first_span.py
"""

import json
import os
import urllib.parse
import urllib.request

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Status, StatusCode

RECEIVER = os.environ.get("OTLP_RECEIVER_ENDPOINT", "http://localhost:8888")

# The exporter sends to localhost:4317 unless OTEL_EXPORTER_OTLP_ENDPOINT says otherwise.
provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(insecure=True)))
with provider.get_tracer("first-span").start_as_current_span("charge card") as span:
    span.set_attribute("payment.outcome", "the bank declined the card")
    span.set_status(Status(StatusCode.ERROR, "declined"))
provider.shutdown()

# A record can be found a moment after it was acknowledged; a flush waits for that moment, and for its vector.
flush = urllib.request.Request(
    f"{RECEIVER}/api/v1/flush?embeddings=1", b"{}", {"content-type": "application/json"}
)
urllib.request.urlopen(flush)

question = urllib.parse.urlencode({"q": "payment was refused", "limit": 1})
with urllib.request.urlopen(f"{RECEIVER}/api/v1/search?{question}") as answer:
    for found in json.load(answer)["results"]:
        print(f"{found['similarity']:.2f}  {found['service']}  {found['name']}  {found['status_message']}")
        print(f"otlp-receiver trace {found['trace_id']}")
