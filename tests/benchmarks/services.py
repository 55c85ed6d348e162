"""The shop whose telemetry the realistic payload is: a dozen services and the resources that they describe."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.benchmarks.attributes import Pairs, uuid_text


@dataclass(frozen=True)
class Service:
    """One service, in one language, with some instances."""

    name: str
    language: str
    version: str
    instances: int
    libraries: tuple[str, ...]
    """Names of its instrumentation scopes."""


SERVICES = (
    Service("frontend", "nodejs", "2.14.0", 4, ("@opentelemetry/instrumentation-http", "next.js")),
    Service("frontend-proxy", "cpp", "1.31.2", 2, ("envoy",)),
    Service(
        "cart", "dotnet", "1.9.3", 3, ("OpenTelemetry.Instrumentation.AspNetCore", "StackExchange.Redis")
    ),
    Service("checkout", "go", "0.48.1", 3, ("otelgrpc", "checkout")),
    Service("payment", "nodejs", "3.2.0", 2, ("@opentelemetry/instrumentation-grpc", "payment")),
    Service("product-catalog", "go", "0.48.1", 4, ("otelgrpc", "otelsql")),
    Service("recommendation", "python", "1.4.7", 2, ("opentelemetry.instrumentation.grpc", "recommendation")),
    Service("shipping", "rust", "0.11.0", 2, ("actix-web", "reqwest")),
    Service("currency", "cpp", "1.2.5", 2, ("currency",)),
    Service("ad", "java", "4.0.2", 3, ("io.opentelemetry.grpc-1.6", "io.opentelemetry.jdbc")),
    Service("accounting", "dotnet", "1.9.3", 1, ("Confluent.Kafka", "Npgsql")),
    Service("fraud-detection", "java", "4.0.2", 2, ("io.opentelemetry.kafka-clients-2.6", "fraud")),
    Service("email", "ruby", "0.7.4", 1, ("OpenTelemetry::Instrumentation::Sinatra",)),
)
BY_NAME = {service.name: service for service in SERVICES}
_RUNTIMES = {
    "nodejs": ("nodejs", "22.11.0"),
    "dotnet": (".NET", "9.0.1"),
    "go": ("go", "go1.24.1"),
    "python": ("cpython", "3.12.8"),
    "rust": ("rustc", "1.84.0"),
    "cpp": ("gcc", "14.2.0"),
    "java": ("OpenJDK Runtime Environment", "21.0.5+11-LTS"),
    "ruby": ("ruby", "3.4.1"),
}


def resource_of(service: Service, instance: int) -> Pairs:
    """Return the resource attributes of one instance; always the same."""
    chance = random.Random(f"{service.name} {instance}")
    runtime, version = _RUNTIMES[service.language]
    pod = f"{service.name}-{chance.randrange(16**10):010x}-{chance.randrange(16**5):05x}"
    return [
        ("service.name", service.name),
        ("service.version", service.version),
        ("service.namespace", "shop"),
        ("service.instance.id", uuid_text(chance)),
        ("deployment.environment.name", "production"),
        ("telemetry.sdk.language", service.language),
        ("telemetry.sdk.name", "opentelemetry"),
        ("telemetry.sdk.version", "1.39.0"),
        ("host.name", f"ip-10-0-{chance.randrange(4)}-{chance.randrange(256)}.eu-central-1.compute.internal"),
        ("host.arch", "amd64"),
        ("os.type", "linux"),
        ("process.pid", chance.randrange(1, 400)),
        ("process.runtime.name", runtime),
        ("process.runtime.version", version),
        ("container.id", f"{chance.randrange(16**64):064x}"),
        ("k8s.cluster.name", "shop-eu-1"),
        ("k8s.namespace.name", "shop"),
        ("k8s.pod.name", pod),
        ("k8s.deployment.name", service.name),
        ("cloud.provider", "aws"),
        ("cloud.region", "eu-central-1"),
    ]
