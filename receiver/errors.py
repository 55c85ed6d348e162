"""Everything that can go wrong, on one axis: may the caller retry the same bytes, or never?

An error knows nothing of gRPC or HTTP: ``receiver.transport.status`` is the only translator. A ``hint``
says what to do about it and is shown under the message.
"""

from __future__ import annotations


class ReceiverError(Exception):
    """Base of every error that this project raises on purpose."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        """Keep a message that says what was wrong and a hint that says what to do."""
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Return the message and, behind it, the hint."""
        return f"{self.message}; {self.hint}" if self.hint else self.message


class RetryableError(ReceiverError):
    """The same request may succeed later: UNAVAILABLE with RetryInfo, or 503 with Retry-After."""

    def __init__(self, message: str, *, hint: str | None = None, retry_after_s: float | None = None) -> None:
        """Keep the delay that the client is asked to wait; None means the configured one."""
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class BusyError(RetryableError):
    """The byte budget of waiting requests stayed used up for as long as a client can wait."""


class ShuttingDownError(RetryableError):
    """The receiver stops; whatever was acknowledged is on disk."""


class SpoolUnavailableError(RetryableError):
    """The spool could not be written and synced (disk full, read-only, broken)."""


class StoreUnavailableError(RetryableError):
    """The store cannot be used now: not open yet, locked by another process, or out of space."""


class EmbeddingUnavailableError(RetryableError):
    """No vector can be made now: the extra ``embed`` is missing, or its worker is down."""


class EmbeddingOffError(EmbeddingUnavailableError):
    """This process has no model and looks for none before its next start: 501, asking again changes nothing."""


class EmbeddingFailedError(EmbeddingUnavailableError):
    """These very texts failed on a worker that works, or brought two down: try them one by one."""


class PermanentError(ReceiverError):
    """The same bytes will never be accepted: INVALID_ARGUMENT, or 400."""


class UnauthenticatedError(PermanentError):
    """The caller did not show who it is: UNAUTHENTICATED, or 401."""


class MalformedRequestError(PermanentError):
    """The body is not what its content type says."""


class InvalidTraceError(PermanentError):
    """A trace that Python handed in is not one: the message says what is wrong and where."""


class TooManyRecordsError(PermanentError):
    """The body is small enough in bytes and still holds too many messages to be decoded safely."""


class PayloadTooLargeError(PermanentError):
    """The body is over the byte limit, before or after decompression: RESOURCE_EXHAUSTED, or 413."""


class UnsupportedMediaError(PermanentError):
    """The content type or content encoding is not one that is served: 415."""


class UnloadableRequestError(PermanentError):
    """A spooled request cannot be turned into rows; it goes to quarantine."""


class StoreRejectedError(PermanentError):
    """The store refused these very rows; a retry of the same rows fails again."""


class ConfigError(PermanentError):
    """A setting is unknown, of the wrong type or out of range; the receiver does not start."""


class StartError(PermanentError):
    """The receiver cannot start: a port is taken, the data directory is not usable."""


class QueryError(PermanentError):
    """A question cannot be answered as it was asked."""


class InvalidFilterError(QueryError):
    """A filter's name or value is not understood."""


class NotFoundError(QueryError):
    """What was asked for by its id is not in the store."""


class QueryRefusedError(QueryError):
    """The SQL is not a single read-only statement."""


class QueryLimitError(QueryError):
    """The query ran into its time, row or memory limit."""
