"""Scans requests without the GIL; what is unusual goes to the Python decoder. Implements ``receiver.ports.Decoder``.

A request that the scan takes is stored as it came: no record of it is rejected, nothing in it is repaired, and there
is nothing to tell its client.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from receiver.decode.compiled.library import CompiledRequests
from receiver.decode.compiled.request_columns import RequestColumns
from receiver.decode.message_count import MessageLimit
from receiver.errors import PermanentError
from receiver.ports import Columns, DecodedGroup, Decoder, Encoding, ExportRequest, Outcome, Verdict

if TYPE_CHECKING:
    from receiver.decode.redact import Redactor

_SUCCESS = Outcome()
_PART_RECORDS = 122_880
"""Of requests that are flattened together; of empty records 4 MiB hold two million, of 180 bytes each as rows."""
_LEAST_MESSAGE_BYTES = 2
_SMALL_BYTES = 512 << 10  # what the careful decoder does not cut it does not count


class ScanningDecoder:
    """Decides in microseconds about what is as it should be; one call at a time."""

    def __init__(
        self,
        make_careful: Callable[[], Decoder],
        compiled: CompiledRequests,
        *,
        message_limit: MessageLimit,
        max_messages: int,
        redactor: Redactor | None = None,
    ) -> None:
        """Put the scan before a decoder that treats every request.

        Args:
            make_careful: Returns the decoder that takes what the scan does not; called with the first such request,
                because Arrow and NumPy come with it.
            compiled: The library.
            message_limit: Counts the messages of large requests, before anything of them is kept.
            max_messages: How many a request may hold.
            redactor: The careful decoder's; what a rule may concern is for that one.
        """
        self._make_careful = make_careful
        self._careful: Decoder | None = None
        self._compiled = compiled
        self._message_limit = message_limit
        self._max_messages = max_messages
        self._redactor = redactor

    def decode(self, requests: Sequence[ExportRequest]) -> DecodedGroup:
        """Return a verdict for each request and what was accepted; see the port."""
        if not requests:
            return DecodedGroup([], [])
        signal = requests[0].signal
        verdicts: list[Verdict | PermanentError | None] = [self._refusal(each) for each in requests]
        places = [
            n
            for n, request in enumerate(requests)
            if request.encoding is Encoding.PROTOBUF and verdicts[n] is None
        ]
        bodies = [requests[n].body for n in places]
        found = self._compiled.scan(signal, bodies, max_messages=self._max_messages)
        records = found.records
        if self._redactor is not None:
            for at, concerned in enumerate(self._redactor.concerned(bodies)):
                if concerned:
                    records[at] = -1
        columns: list[Columns] = []
        taken: list[bytes] = []
        total = 0
        for n, body, count, identifiable in zip(places, bodies, records, found.identifiable, strict=True):
            if count >= 0:
                verdicts[n] = Verdict(body, count, _SUCCESS, identifiable)
                total += count
                if body:
                    taken.append(body)
                if total >= _PART_RECORDS:
                    columns.append(RequestColumns.of(signal, taken, total))
                    taken, total = [], 0
        if taken:
            columns.append(RequestColumns.of(signal, taken, total))
        rest = [n for n, verdict in enumerate(verdicts) if verdict is None]
        if rest:
            self._careful = self._careful or self._make_careful()
            decoded = self._careful.decode([requests[n] for n in rest])
            for n, verdict in zip(rest, decoded.verdicts, strict=True):
                verdicts[n] = verdict
            columns += decoded.columns
        return DecodedGroup(verdicts, columns)

    def _refusal(self, request: ExportRequest) -> PermanentError | None:
        """Return what is wrong with a large request, as far as its messages can be counted.

        The scan keeps where the messages of each list lie: 16 bytes for one that may be 2.
        """
        enough = max(_LEAST_MESSAGE_BYTES * self._max_messages, _SMALL_BYTES)
        if request.encoding is not Encoding.PROTOBUF or len(request.body) <= enough:
            return None
        try:
            self._message_limit(request.signal, request.body, self._max_messages)
        except PermanentError as error:
            return error
        return None
