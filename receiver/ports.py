"""The contracts between the stages: transport → intake (decode + spool) → loader → store → query.

A stage imports this module and never another stage; only ``receiver.app`` knows them all. Outcome words,
everywhere the same: *accepted* (on disk, acknowledged), *refused* (the client is told to retry, or that it
is bad), *rejected* (single records, counted in partial_success), *duplicate*, *stored*, *quarantined*,
*embedded*.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from receiver.budget import ByteBudget
from receiver.errors import PermanentError
from receiver.signals import Signal

if TYPE_CHECKING:  # this module is imported by every command, and these take 0.1 s
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


class Encoding(StrEnum):
    """How the body of an export request is written."""

    PROTOBUF = "protobuf"
    JSON = "json"


class Transport(StrEnum):
    """Which listener a request came in by; a label of metrics."""

    GRPC = "grpc"
    HTTP = "http"
    IMPORT = "import"
    """No listener: files, and Python in the same process."""


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """One export request as a client sent it, decompressed and not yet looked into."""

    signal: Signal
    body: bytes
    encoding: Encoding = Encoding.PROTOBUF
    transport: Transport = Transport.GRPC


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the client of an accepted request is told (OTLP's partial_success).

    ``rejected == 0`` and ``message == ""`` is full success: partial_success stays unset (rule C3).
    ``rejected == 0`` with a message is a warning (rule C6). The message is at most 1 KiB (rule C11).
    """

    rejected: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class ImportUnit:
    """The smallest piece of a file or a batch that is stored once and only once: a line, a call, a trace."""

    key: bytes
    """16 bytes that say what this is: a unit whose key was imported before is a duplicate, for ever.

    Keys of things that come together should begin with the same 8 bytes: they then lie together on disk.
    """
    signal: Signal
    payload: bytes
    """Protobuf of an ``Export…ServiceRequest``; records that the receiver would reject are not in it."""


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """What became of some units, in the order in which they were given."""

    stored: Sequence[bool]
    """True: on disk now. False: a duplicate of a unit that was imported before, or earlier in the same call."""
    rejected: int = 0
    """Records in stored units that were refused all the same; ``message`` says why."""
    message: str = ""


class Importer(Protocol):
    """**Protocol:** takes units that must be stored once, however often they are handed in."""

    async def import_units(self, units: Sequence[ImportUnit]) -> ImportOutcome:
        """Return once every unit is on disk and synced, its key in the same commit as its records.

        Raises:
            RetryableError: Some may be on disk, the others are not; hand all of them in again.
            PermanentError: A unit is no request at all; what shares its request is not on disk, others may be.

        Cancellation: units that were taken up are committed all the same.
        """
        ...


class Intake(Protocol):
    """**Protocol:** where a transport hands in requests; the answer may be given when it returns."""

    @property
    def budget(self) -> ByteBudget:
        """Return the budget that a transport reserves from before it holds a body in memory."""
        ...

    async def accept(
        self, request: ExportRequest, *, wait_s: float, import_keys: Sequence[bytes] = ()
    ) -> Outcome:
        """Return once the request's accepted records are on disk and synced.

        Args:
            request: The caller has reserved ``len(request.body)`` from ``budget``. From the call on these bytes are
                the intake's, which gives them back when it is done with the body, however the call ends.
            wait_s: How long the client can still wait, in seconds.
            import_keys: Kept for ever, in the same commit (:class:`ImportUnit`).

        Raises:
            RetryableError: Nothing may be acknowledged, or not within ``wait_s``; the same bytes may be sent again.
            PermanentError: The request as a whole is bad; sending it again is useless.

        Cancellation: a request that was taken up is committed all the same and a retry of it is a duplicate.
        """
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """Decode's word on one request that is acceptable, at least in part."""

    payload: bytes
    """Protobuf that decodes to exactly the accepted records: the original bytes where nothing was changed."""
    records: int
    """Accepted records: spans, log records or data points (a metric without points counts none)."""
    outcome: Outcome
    identifiable: bool
    """True if the request holds an id or a time, so that the same bytes again are a retry."""


class Columns(Protocol):
    """**Protocol:** decoded requests of one signal, held as Arrow memory; opaque outside decode."""

    @property
    def signal(self) -> Signal:
        """Return the signal of the requests."""
        ...

    @property
    def records(self) -> int:
        """Return the number of records."""
        ...

    @property
    def nbytes(self) -> int:
        """Return the size in memory, in bytes."""
        ...


@dataclass(frozen=True, slots=True)
class DecodedGroup:
    """What came of decoding some requests of one signal."""

    verdicts: list[Verdict | PermanentError | None]
    """One per request, in the order of the requests; None: it takes long, give it to a patient decoder."""
    columns: list[Columns]
    """The accepted records of all of them, in that order; empty where there are none."""


class Decoder(Protocol):
    """**Protocol:** bytes in, columns out; everything that can refuse a record is found here.

    A patient decoder has a verdict for every request; another one gives those back that take long (None).
    Threads: one call at a time; runs in a worker thread, never on the event loop.
    """

    def decode(self, requests: Sequence[ExportRequest]) -> DecodedGroup:
        """Return a verdict for each request and the columns of what was accepted.

        Args:
            requests: All of one signal.
        """
        ...


class Flattener(Protocol):
    """**Protocol:** turns columns into tables that have exactly the store's columns."""

    def parts(self, columns: list[Columns]) -> Iterator[Mapping[str, pa.Table]]:
        """Yield the rows by table name (see docs/schema.md), part by part; no empty tables.

        What is in the store once (resources, scopes, metrics, texts) may be in several parts. The list is emptied
        meanwhile, so that columns and rows do not both take up memory.

        Raises:
            UnloadableRequestError: The columns cannot be turned into rows.

        Threads: one call at a time; blocks, holds the GIL only for moments.
        """
        ...


@dataclass(frozen=True, slots=True)
class StagedPayload:
    """A payload that the spool has on disk already, not yet as a request's; opaque outside the spool."""

    number: int
    checksum: int


@dataclass(frozen=True, slots=True)
class SpoolEntry:
    """One request to be made durable."""

    signal: Signal
    payload: bytes
    records: int
    outcome: Outcome
    key: bytes | None
    """16-byte hash of signal + original body; None where a repetition is never taken for a retry."""
    import_keys: Sequence[bytes] = ()
    """Keys of the units that the payload is made of, 16 bytes each; never forgotten."""
    staged: StagedPayload | None = None
    """What :meth:`Spool.stage` has done ahead of the append."""


@dataclass(frozen=True, slots=True)
class SpooledRequest:
    """One request read back from the spool, its checksum verified."""

    sequence: int
    signal: Signal
    payload: bytes
    records: int
    accepted_at_ns: int


@dataclass(frozen=True, slots=True)
class RecentKey:
    """A request that was accepted not long ago, so that a retry of it can be recognised."""

    key: bytes
    accepted_at_ns: int
    outcome: Outcome
    records: int = 0
    """Accepted records of the request; a retry counts as many duplicates."""


@dataclass(frozen=True, slots=True)
class QuarantinedRequest:
    """A request that was acknowledged and could not be loaded; kept byte for byte."""

    sequence: int
    signal: Signal
    payload: bytes
    records: int
    reason: str
    quarantined_at_ns: int


@dataclass(frozen=True, slots=True)
class SpoolStatistics:
    """Totals of a spool; those of accepted and duplicates survive restarts."""

    requests: int
    payload_bytes: int
    highest_sequence: int
    accepted_records: Mapping[Signal, int] = field(default_factory=dict)
    duplicate_records: Mapping[Signal, int] = field(default_factory=dict)
    quarantined_requests: int = 0
    quarantined_records: Mapping[Signal, int] = field(default_factory=dict)
    damaged_requests: int = 0
    not_restored_records: Mapping[Signal, int] = field(default_factory=dict)
    """Accepted after the backup that the store was restored from, and no longer in the spool by then."""


@dataclass(frozen=True, slots=True)
class CommittedGroup:
    """Requests that have just been made durable, with their columns while they are still in memory."""

    sequences: list[int]
    columns: list[Columns]
    records: Mapping[Signal, int]
    payload_bytes: int


class Loading(Protocol):
    """**Protocol:** what takes over committed requests. Threads: the event loop's only; never blocks."""

    def offer(self, group: CommittedGroup) -> None:
        """Take a group over; it may let the columns go, as the spool has the bytes."""
        ...

    async def pace(self) -> None:
        """Return at once, or a short moment later while the store is behind; bounded, far below any deadline."""
        ...

    @property
    def has_room(self) -> bool:
        """Return True if :meth:`wait_for_room` would return at once."""
        ...

    async def wait_for_room(self) -> None:
        """Return as soon as the spool holds less than it may."""
        ...


class Spool(Protocol):
    """**Protocol:** the durable queue between the answer and the store.

    Sequence numbers rise and are never used twice, not even when the spool was emptied and reopened.
    Threads: every method may be called from any worker thread; each blocks; none on the event loop.
    """

    @property
    def uuid(self) -> UUID:
        """Return the identity of this spool; the store keeps one position per spool."""
        ...

    def stage(self, entries: Sequence[SpoolEntry]) -> Sequence[SpoolEntry]:
        """Return the entries for an append that is short: large payloads are on disk, appends went on meanwhile.

        Nothing of it is in the queue. Who does not append them leaves bytes behind until the next start.

        Raises:
            SpoolUnavailableError: They cannot be written.
        """
        ...

    def append(
        self, entries: Sequence[SpoolEntry], *, duplicates: Mapping[Signal, int] | None = None
    ) -> list[int]:
        """Return the entries' sequence numbers once all of them are on disk and synced, in one commit.

        Args:
            entries: May be empty when only ``duplicates`` are to be counted. Those that were staged can be appended
                once, also where that fails.
            duplicates: Records of suppressed retries to add to the durable totals in the same commit.

        Raises:
            SpoolUnavailableError: Nothing of it is on disk.
        """
        ...

    def verify_writable(self) -> None:
        """Return if an append would work now.

        Raises:
            SpoolUnavailableError: It would not; why.
        """
        ...

    def read(self, after: int, *, max_bytes: int, until: int | None = None) -> list[SpooledRequest]:
        """Return the requests above ``after`` in order, at least one if there is any, about ``max_bytes`` of them.

        Damaged rows (checksum) are set aside: moved to quarantine with the reason, counted, and not returned.
        Quarantined sequences are not returned.
        """
        ...

    def records_after(self, position: int) -> dict[Signal, int]:
        """Return how many records lie above ``position``, per signal (quarantined ones not counted)."""
        ...

    def missing_after(self, position: int) -> int:
        """Return how many requests above ``position`` are neither in the queue nor in quarantine any more.

        More than 0 means that a store at this position was further once. One that was requeued counts where its
        first number was.
        """
        ...

    def remove_through(self, position: int) -> int:
        """Remove the requests up to ``position``, keep their keys; return how many went."""
        ...

    def quarantine(self, sequence: int, reason: str) -> None:
        """Move one request out of the way, byte for byte; a second call for it changes nothing."""
        ...

    def quarantined(self, *, limit: int = 100) -> list[QuarantinedRequest]:
        """Return quarantined requests, oldest first."""
        ...

    def requeue(self) -> int:
        """Append every quarantined request again under a new sequence number; return how many.

        One commit: a request is either still in quarantine or in the queue, and accepted totals do not change.
        """
        ...

    def recent_keys(self, since_ns: int) -> Iterable[RecentKey]:
        """Return the keys of requests accepted at or after ``since_ns`` (Unix time), oldest first."""
        ...

    def forget_keys(self, before_ns: int) -> None:
        """Drop the keys of requests that were accepted before ``before_ns`` and removed from the queue."""
        ...

    def imported(self, keys: Sequence[bytes]) -> set[bytes]:
        """Return those of the keys that came with an entry that was appended."""
        ...

    def maintain(self) -> None:
        """Do the housekeeping that must not happen inside a commit (checkpoint of the write-ahead log)."""
        ...

    def statistics(self) -> SpoolStatistics:
        """Return the totals."""
        ...

    def close(self) -> None:
        """Close the files; safe to call twice."""
        ...


@dataclass(slots=True)
class LoadBatch:
    """Rows of some requests and the position they bring a spool to: one store transaction."""

    spool: UUID
    position: int
    """The highest sequence number that is in ``parts`` or was set aside; it counts once these were gone through."""
    parts: Iterable[Mapping[str, pa.Table]]
    """Rows by table name; gone through once, while the transaction is open. The next part may be waited for."""
    records: Mapping[Signal, int]
    """How many records ``parts`` hold, per signal; added to the stored totals in the same transaction. As ``position``."""


class StoreWriter(Protocol):
    """**Protocol:** the one writer of a store.

    Every method raises StoreUnavailableError when the store cannot do it now. A store may give up as a whole (its
    disk failed): then every call raises until :meth:`revive` has returned, and what was written since the last
    checkpoint may be gone.
    Threads: one thread at a time; every method blocks.
    """

    def revive(self) -> bool:
        """Return once the store can be asked, True if it had given up: positions may be lower than they were."""
        ...

    def verify_writable(self) -> None:
        """Return if a load is worth trying."""
        ...

    @property
    def is_crowded(self) -> bool:
        """Return True if a checkpoint must not wait, or its disk may soon have no room for it."""
        ...

    def position(self, spool: UUID) -> int:
        """Return the position that is stored for a spool; 0 for one never seen."""
        ...

    def load(self, batch: LoadBatch) -> None:
        """Write rows, position and totals in one transaction; all of it or nothing.

        Raises:
            StoreRejectedError: These rows can never be written.
            StoreUnavailableError: They can be, later.
            UnloadableRequestError: A part could not be made.
        """
        ...

    def checkpoint(self) -> Mapping[UUID, int]:
        """Complete a checkpoint and return the positions that it covers: the spool may forget those.

        Raises:
            BusyError: A question that is being answered keeps it from being done; it is no failure.
        """
        ...

    def write_embeddings(self, rows: Sequence[TextVectors], *, model: str, replace: bool = False) -> None:
        """Write vectors; a text that has vectors of this model already keeps them, unless told to replace them."""
        ...

    def retire(self, *, before_ns: int) -> Retired:
        """Delete records that ended before ``before_ns`` (Unix time) and what only they referred to.

        One transaction; the space is free for reuse after the next completed checkpoint.
        """
        ...

    def age_at(self, share: float) -> int | None:
        """Return the Unix time in nanoseconds before which that share of all records lies; None without records."""
        ...

    def used_bytes(self) -> int:
        """Return how much of the database file holds something (free blocks not counted)."""
        ...


@dataclass(frozen=True, slots=True)
class Retired:
    """What retention deleted."""

    records: Mapping[Signal, int]
    text_ids: list[UUID]
    """Texts that no record refers to any more; their vectors went with them."""


@dataclass(frozen=True, slots=True)
class PendingText:
    """A distinct text that has no vector of the current model yet."""

    text_id: UUID
    model_text: str


@dataclass(frozen=True, slots=True)
class TextVectors:
    """The vectors of one text: one per chunk, shape ``(chunks, dimension)``, float32, unit length."""

    text_id: UUID
    vectors: NDArray[np.float32]


class Embedder(Protocol):
    """**Protocol:** texts in, vectors out, in other processes."""

    @property
    def model(self) -> str:
        """Return the identity of the vectors: model name, digest, dimension, normalised."""
        ...

    @property
    def available(self) -> bool:
        """Return False where the extra ``embed`` is not installed or the model cannot be loaded."""
        ...

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> list[NDArray[np.float32]]:
        """Return for each text its chunks' vectors, shape ``(chunks, dimension)``, rows of unit length.

        Args:
            texts: Any number; long ones become several chunks.
            urgent: A question waits for it: goes before everything that is not urgent.

        Raises:
            EmbeddingFailedError: These very texts failed; others may not.
            EmbeddingUnavailableError: No worker can do it now.

        Cancellation: the batch in hand is finished by the worker and thrown away.
        """
        ...


Rows = list[dict[str, Any]]
"""Rows of a query as plain JSON-ready values (ids in lower-case hex, times in nanoseconds as int)."""

Clock = Callable[[], int]
"""Returns the Unix time in nanoseconds."""
