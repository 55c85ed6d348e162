"""Send log records through Python's logging, and data points of a counter and a histogram.

pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http
python docs/examples/logs_and_metrics.py
otlp-receiver logs --service warehouse
otlp-receiver metrics parcels
"""

import logging
import os

from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

# OTLP/HTTP this time: the exporters send to localhost:4318/v1/logs and /v1/metrics.
ENDPOINT = os.environ.get("EXAMPLE_OTLP_HTTP_ENDPOINT", "http://localhost:4318")
resource = Resource.create({"service.name": "warehouse"})

logs = LoggerProvider(resource=resource)
logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(f"{ENDPOINT}/v1/logs")))
logger = logging.getLogger("warehouse")
logger.addHandler(LoggingHandler(logger_provider=logs))
logger.warning("stock of %s is low", "green tea", extra={"stock.left": 3})

reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{ENDPOINT}/v1/metrics"))
metrics = MeterProvider([reader], resource=resource)
meter = metrics.get_meter("warehouse")
parcels = meter.create_counter("parcels", unit="{parcel}", description="Parcels handed to a carrier.")
weight = meter.create_histogram("parcel.weight", unit="kg", description="Weight of a parcel.")
for carrier, kilograms in (("north", 1.2), ("north", 8.0), ("south", 0.4)):
    parcels.add(1, {"carrier": carrier})
    weight.record(kilograms, {"carrier": carrier})

logs.shutdown()
metrics.shutdown()
print("1 log record and 2 metrics were sent")
