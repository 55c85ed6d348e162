"""Which decoder and flattener: the compiled route where it was built and is wanted, else the Python route.

The Python decoder and the flattener bring Arrow, NumPy and DuckDB with them, some 0.2 s of a start, and are loaded when
one is made: with the compiled route requests are accepted before that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from receiver.config import LimitsConfig
from receiver.decode.compiled.decoder import ScanningDecoder
from receiver.decode.compiled.library import CompiledRequests, compiled_library
from receiver.decode.compiled.message_limit import CompiledMessageLimit
from receiver.decode.message_count import MessageLimit, refuse_too_many
from receiver.decode.nested_values import NestedValues
from receiver.ports import Decoder

if TYPE_CHECKING:
    from receiver.decode.decoder import ColumnDecoder
    from receiver.decode.flattener import ColumnFlattener
    from receiver.decode.redact import Redactor


def is_compiled() -> bool:
    """Return True if the compiled decoder was built with this installation."""
    return compiled_library() is not None


def open_decoder(
    limits: LimitsConfig,
    nested: NestedValues,
    *,
    compiled: bool = True,
    patient: bool = True,
    redactor: Redactor | None = None,
) -> Decoder:
    """Return a decoder; both kinds give the same verdicts and, behind the flattener, the same rows.

    Args:
        limits: Of one request.
        nested: Shared with the flattener.
        compiled: False: the Python route even where the compiled one was built.
        patient: False: requests that need more than a moment of Python are given back without a verdict.
        redactor: Takes out of requests what must not be stored.
    """

    def python_decoder(message_limit: MessageLimit) -> ColumnDecoder:
        from receiver.decode.decoder import ColumnDecoder  # noqa: PLC0415 - see above

        return ColumnDecoder(limits, nested, patient=patient, redactor=redactor, message_limit=message_limit)

    library = compiled_library() if compiled else None
    if library is None:
        return python_decoder(refuse_too_many)
    message_limit = CompiledMessageLimit(library)
    return ScanningDecoder(
        lambda: python_decoder(message_limit),
        CompiledRequests(library),
        message_limit=message_limit,
        max_messages=limits.request_messages,
        redactor=redactor,
    )


def open_flattener(nested: NestedValues) -> ColumnFlattener:
    """Return a flattener for what decoders of either kind give."""
    from receiver.decode.flattener import ColumnFlattener  # noqa: PLC0415 - see above

    library = compiled_library()
    return ColumnFlattener(nested, compiled=None if library is None else CompiledRequests(library))
