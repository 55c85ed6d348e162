"""Requests per second of both listeners on asyncio's loop and on uvloop, in front of a double of the intake.

The client is a process of its own; the runs of the two loops alternate, so that noise hits both. Prints medians.
Run: ``python -m tests.benchmarks.loop_bench --runs 5 --seconds 2``
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import grpc
import uvloop

from receiver.config import LimitsConfig
from receiver.ports import ExportRequest
from receiver.signals import Signal
from receiver.telemetry.metrics import Metrics
from receiver.transport.grpc_server import GrpcServer
from receiver.transport.http_server import HttpServer
from tests.support.intake_double import IntakeDouble
from tests.support.raw_http import connection, request_bytes

CONCURRENCY = 16
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


class ForgetfulIntake(IntakeDouble):
    """Keeps nothing, so that a long run does not grow."""

    async def accept(self, request: ExportRequest, **_: Any) -> Any:
        """Accept."""
        self.budget.release(len(request.body))
        return self.outcome


def run_on(loop: str, main: Coroutine[Any, Any, float]) -> float:
    """Return the coroutine's result, run on a fresh loop of that kind."""
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        return runner.run(main)


async def counted(one: Callable[[], Awaitable[None]], until: float) -> int:
    """Return how many requests one worker got answered."""
    done = 0
    while time.perf_counter() < until:
        await one()
        done += 1
    return done


async def grpc_client(port: int, body: bytes, seconds: float) -> float:
    """Return requests per second of some workers on one channel."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(Signal.TRACES.grpc_method)

        async def one() -> None:
            await call(body, timeout=10)

        await one()
        until = time.perf_counter() + seconds
        return sum(await asyncio.gather(*(counted(one, until) for _ in range(CONCURRENCY)))) / seconds


async def http_client(port: int, body: bytes, seconds: float) -> float:
    """Return requests per second of some workers, each on a connection of its own."""
    wire = request_bytes("/v1/traces", body, headers={"Content-Type": "application/x-protobuf"})
    until = time.perf_counter() + seconds

    async def worker() -> int:
        async with connection(port) as http:

            async def one() -> None:
                await http.write(wire)
                await http.answer()

            return await counted(one, until)

    return sum(await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))) / seconds


CLIENTS = {"grpc": grpc_client, "http": http_client}


def client(transport: str, port: int, size: int, seconds: float, results: Any) -> None:
    """Measure in a process of its own; always on uvloop, so that only the server's loop differs."""
    results.put(run_on("uvloop", CLIENTS[transport](port, bytes(size), seconds)))


async def server(transport: str, size: int, seconds: float) -> float:
    """Serve one client and return what it measured."""
    intake, metrics, limits = ForgetfulIntake(), Metrics(), LimitsConfig()
    listener = (
        GrpcServer(intake, metrics, limits)
        if transport == "grpc"
        else HttpServer(intake, metrics, limits, ())
    )
    port = (await listener.start("127.0.0.1:0"))[0]
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=client, args=(transport, port, size, seconds, results))
    process.start()
    rate: float = await asyncio.to_thread(results.get)
    await asyncio.to_thread(process.join)
    await listener.stop(5.0)
    return rate


def measured(loop: str, transport: str, size: int, seconds: float, results: Any) -> None:
    """Run one server in a process of its own: gRPC keeps state in the process."""
    results.put(run_on(loop, server(transport, size, seconds)))


def main() -> None:
    """Print the median rate for each loop, transport and size of body."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 240_000])
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    for transport in CLIENTS:
        for size in arguments.sizes:
            rates: dict[str, list[float]] = {loop: [] for loop in LOOPS}
            for _ in range(arguments.runs):
                for loop, found in rates.items():
                    results = context.Queue()
                    process = context.Process(
                        target=measured, args=(loop, transport, size, arguments.seconds, results)
                    )
                    process.start()
                    found.append(results.get())
                    process.join()
            for loop, found in rates.items():
                spread = f"{min(found):.0f}-{max(found):.0f}"
                print(f"{transport} {size} B {loop}: {statistics.median(found):.0f} requests/s ({spread})")


if __name__ == "__main__":
    main()
