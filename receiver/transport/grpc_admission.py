"""Who gets through to the exports of the gRPC listener: certificates for handshakes, tokens for calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import grpc

from receiver.errors import UnauthenticatedError
from receiver.signals import Signal
from receiver.transport.tls import Certificates, ListenerTls
from receiver.transport.token_check import Verify

if TYPE_CHECKING:
    Handler = grpc.RpcMethodHandler[bytes, bytes]  # generic in its stubs only
else:
    Handler = grpc.RpcMethodHandler


class Exports(grpc.GenericRpcHandler):
    """Finds the handler of an export; by the call's metadata alone, before its message is received."""

    def __init__(
        self,
        handlers: Mapping[str, tuple[Signal, Handler]],
        verify: Verify | None,
        refusing: Callable[[Signal, UnauthenticatedError], Handler],
    ) -> None:
        """Hand calls to ``handlers``, by their methods; those that ``verify`` refuses to ``refusing``."""
        self._handlers = handlers
        self._verify = verify
        self._refusing = refusing

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """Return the handler of a method, or None for one that is not an export."""
        found = self._handlers.get(handler_call_details.method)
        if found is None or self._verify is None:
            return found[1] if found else None
        metadata = handler_call_details.invocation_metadata or ()
        values = [str(value) for key, value in metadata if key == "authorization"]
        try:
            self._verify(values, "a client")
        except UnauthenticatedError as error:
            return self._refusing(found[0], error)
        return found[1]


def server_credentials(tls: ListenerTls) -> grpc.ServerCredentials:
    """Return credentials that give each handshake the newest certificates. Source: gRPC proposal L23."""
    given = tls.files.current

    def configuration(current: Certificates) -> grpc.ServerCertificateConfiguration:
        authorities = current.client_ca if tls.asks_clients else None
        return grpc.ssl_server_certificate_configuration([(current.key, current.chain)], authorities)

    def newest() -> grpc.ServerCertificateConfiguration | None:  # called by gRPC's threads, one at a time
        nonlocal given
        current = tls.files.current
        if current is given:
            return None
        given = current
        return configuration(current)

    return grpc.dynamic_ssl_server_credentials(configuration(given), _untyped(newest), tls.asks_clients)


def _untyped(newest: Callable[[], grpc.ServerCertificateConfiguration | None]) -> Any:
    """Return the function as the stubs want it: they do not know that None means unchanged."""
    return newest
