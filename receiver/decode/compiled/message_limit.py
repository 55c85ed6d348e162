"""The count of :mod:`receiver.decode.message_count` without the GIL: 64 MiB in tens of milliseconds."""

from __future__ import annotations

import ctypes

from receiver.decode.compiled.library import address_of
from receiver.decode.message_count import refuse_too_many, shape_numbers, too_many_messages
from receiver.signals import Signal

_FITS, _TOO_MANY = 0, 1
_MAX_LIMIT = (1 << 64) - 1


class CompiledMessageLimit:
    """Implements :class:`receiver.decode.message_count.MessageLimit`. Threads: any."""

    def __init__(self, library: ctypes.CDLL) -> None:
        """Count with ``library``."""
        self._library = library

    def __call__(self, signal: Signal, body: bytes, limit: int) -> None:
        """Return if the request holds at most ``limit`` messages; see :func:`refuse_too_many`."""
        numbers = shape_numbers(signal)
        found = self._library.otlp_count(
            address_of(numbers), len(numbers), body, len(body), min(limit, _MAX_LIMIT)
        )
        if found == _TOO_MANY:
            raise too_many_messages(limit)
        if found != _FITS:
            refuse_too_many(signal, body, limit)  # says what is wrong with it
