"""A gRPC server whose handler does nothing: what the library itself can do on this machine.

    python -m tests.benchmarks.empty_server

A ``grpc.aio`` server on the loop that the receiver uses, with the same three methods. Prints its address and serves
until its input ends.
"""

from __future__ import annotations

import asyncio
import sys

import grpc
import uvloop

from receiver.signals import Signal

_OPTIONS = [("grpc.max_receive_message_length", 64 << 20)]


async def _handle(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
    return b""


async def _serve() -> None:
    server = grpc.aio.server(options=_OPTIONS)
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(_handle)
    for signal in Signal:
        service, _, method = signal.grpc_method.removeprefix("/").partition("/")
        server.add_registered_method_handlers(service, {method: handler})
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(0)


def main() -> None:
    """Run from the command line."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve())


if __name__ == "__main__":
    main()
