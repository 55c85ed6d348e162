"""What can be wrong with a request before the intake sees it; ``receiver.transport.status`` translates."""

from __future__ import annotations

from receiver.errors import PermanentError, UnsupportedMediaError


class UnknownEncodingError(UnsupportedMediaError):
    """The ``Content-Encoding`` is not one that is served: 415 with ``Accept-Encoding`` (rule H12)."""


class UnknownPathError(PermanentError):
    """No signal is served on this path: 404."""


class MethodNotAllowedError(PermanentError):
    """The path is right and the method is not POST: 405 with ``Allow``."""


class ForeignOriginError(PermanentError):
    """A page of an origin that CORS does not allow sent this: 403."""


class BodyTimeoutError(PermanentError):
    """The client was too slow with its body: 408, which OTLP clients do not retry (rule H9)."""


class ResponseTooLargeError(PermanentError):
    """The answer does not fit into its limit even without text: RESOURCE_EXHAUSTED, or 500 (rule C11)."""


class ClientGoneError(Exception):
    """The client closed the connection before its request was complete; there is nobody to answer."""
