"""Sends spans with unique ids over gRPC as fast as the receiver answers, or at a given rate; prints JSON.

A process of its own. Requests are serialized once; before each one is sent, its ids are overwritten with
random bytes, so the generator costs little of the machine that it shares with the receiver.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import time

import grpc
import numpy as np
from numpy.typing import NDArray
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_TRACE, _SPAN = b"\xf1" * 16, b"\xf2" * 8
_ROUTES = ("/api/products/{id}", "/api/cart", "/api/checkout", "/api/ads", "/api/recommendations")


class Template:
    """A serialized request and the places of the ids in it."""

    def __init__(self, spans: int) -> None:
        """Build one with 8 attributes a span."""
        random.seed(spans)
        request = trace_service_pb2.ExportTraceServiceRequest()
        resource = request.resource_spans.add()
        _attribute(resource.resource.attributes.add(), "service.name", "checkout")
        scope = resource.scope_spans.add()
        scope.scope.name = "io.opentelemetry.bench"
        for number in range(spans):
            now = time.time_ns()
            span = scope.spans.add(
                trace_id=_TRACE, span_id=_SPAN, parent_span_id=os.urandom(8), name=f"GET {_ROUTES[number % 5]}",
                kind=2, start_time_unix_nano=now - random.randrange(10**8), end_time_unix_nano=now,
            )  # fmt: skip
            for key, value in (
                ("http.request.method", "GET"),
                ("http.route", _ROUTES[number % 5]),
                ("url.path", f"/api/products/{random.randrange(10**6)}"),
                ("server.address", "frontend-proxy"),
                ("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"),
                ("http.response.status_code", 200 if number % 50 else 500),
                ("server.port", 8080),
                ("app.duration_ratio", random.random()),
            ):
                _attribute(span.attributes.add(), key, value)
        self._body = np.frombuffer(request.SerializeToString(), dtype=np.uint8)
        raw = self._body.tobytes()
        self._trace, self._span = _places(raw, _TRACE), _places(raw, _SPAN)

    def fresh(self) -> bytes:
        """Return the request with new ids."""
        body = self._body.copy()
        for places in (self._trace, self._span):
            body[places] = np.frombuffer(os.urandom(places.size), dtype=np.uint8).reshape(places.shape)
        return body.tobytes()


def _attribute(pair: object, key: str, value: str | float) -> None:
    pair.key = key  # type: ignore[attr-defined]
    kind = {str: "string_value", int: "int_value", float: "double_value"}[type(value)]
    setattr(pair.value, kind, value)  # type: ignore[attr-defined]


def _places(raw: bytes, mark: bytes) -> NDArray[np.int64]:
    starts, at = [], raw.find(mark)
    while at >= 0:
        starts.append(at)
        at = raw.find(mark, at + len(mark))
    return np.array(starts)[:, None] + np.arange(len(mark))


async def _send(
    endpoint: str,
    template: Template,
    *,
    stop_at: float,
    interval_s: float,
    latencies: list[float],
    failures: list[str],
) -> None:
    async with grpc.aio.insecure_channel(endpoint) as channel:
        export: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
        due = time.perf_counter()
        while time.perf_counter() < stop_at:
            if interval_s:
                due += interval_s
                await asyncio.sleep(max(due - time.perf_counter(), 0))
            body = template.fresh()
            started = time.perf_counter()
            try:
                await export(body, timeout=10)
            except grpc.aio.AioRpcError as error:
                failures.append(str(error.code()))
            else:
                latencies.append(time.perf_counter() - started)


async def run(endpoint: str, *, clients: int, spans: int, seconds: float, rate: float) -> dict[str, object]:
    """Return what was acknowledged and how long the acknowledgements took."""
    template = Template(spans)
    latencies: list[float] = []
    failures: list[str] = []
    interval_s = clients * spans / rate if rate else 0.0
    started = time.perf_counter()
    await asyncio.gather(
        *(
            _send(
                endpoint,
                template,
                stop_at=started + seconds,
                interval_s=interval_s,
                latencies=latencies,
                failures=failures,
            )
            for _ in range(clients)
        )
    )
    took = time.perf_counter() - started
    cuts = statistics.quantiles(latencies, n=1000) if len(latencies) > 1 else [0.0] * 999
    return {
        "acknowledged_spans": len(latencies) * spans,
        "request_bytes": len(template.fresh()),
        "seconds": round(took, 3),
        "failures": len(failures),
        "p50_ms": round(cuts[499] * 1e3, 2),
        "p95_ms": round(cuts[949] * 1e3, 2),
        "p99_ms": round(cuts[989] * 1e3, 2),
        "max_ms": round(max(latencies, default=0) * 1e3, 2),
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", default="localhost:4317")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--spans", type=int, default=512, help="spans in a request")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=0.0, help="spans a second; 0: as fast as it answers")
    options = parser.parse_args()
    result = asyncio.run(
        run(
            options.endpoint,
            clients=options.clients,
            spans=options.spans,
            seconds=options.seconds,
            rate=options.rate,
        )
    )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
