"""Takes out of requests what the operator's rules name, before anything of them is written to disk.

In: a serialized request that a rule may concern. Out: the same request encoded anew, from messages of which
every key and every string was looked at. What was not looked at is not in it: unknown fields, the earlier one of
a field sent twice, values nested too deep for protobuf's parser.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from receiver.decode.raw_messages import RawMessages, raw_messages
from receiver.decode.redact_rules import Action, Prefilter, Rule
from receiver.decode.redact_walk import RedactionWalk
from receiver.decode.split import split_request
from receiver.errors import MalformedRequestError
from receiver.signals import Signal

_PIECE_BYTES = 64 << 10  # message objects take up a hundred times the bytes of an empty record


@dataclass(frozen=True, slots=True)
class Redacted:
    """A request from which the rules have taken what they name."""

    body: bytes
    too_deep: int
    """Values that could not be looked into and were masked."""


class Redactor:
    """The rules at work. Threads: any."""

    def __init__(
        self, rules: Sequence[Rule], *, hash_key: bytes, counted: Callable[[Action, int], None]
    ) -> None:
        """Use the rules in their order.

        Args:
            rules: At least one.
            hash_key: Secret of the action ``hash``.
            counted: Told how many values were treated, by action; called in the thread that decodes.
        """
        self._rules = rules
        self._hash_key = hash_key
        self._counted = counted
        self._prefilter = Prefilter(rules)

    def concerned(self, bodies: Sequence[bytes]) -> list[bool]:
        """Return for each request whether a rule may concern it; see ``Prefilter`` for what that promises."""
        return self._prefilter.concerned(bodies)

    def redacted(self, signal: Signal, body: bytes, *, max_messages: int) -> Redacted:
        """Return the request without what the rules name.

        Raises:
            MalformedRequestError: The bytes are no such request.
            TooManyRecordsError: It holds more than ``max_messages``, or a value too many values.

        Blocks for some 20 µs a span, and holds the GIL except while patterns are searched.
        """
        done: list[bytes] = []
        too_deep = 0
        for piece in split_request(signal, body, max_piece_bytes=_PIECE_BYTES, max_messages=max_messages):
            request, raw = _parsed(signal, piece)
            walk = RedactionWalk(self._rules, self._hash_key, raw)
            walk.run(request)
            done.append(request.SerializeToString())
            too_deep += walk.too_deep
            for action, count in walk.counts.items():
                self._counted(action, count)
        return Redacted(b"".join(done), too_deep)


def _parsed(signal: Signal, body: bytes) -> tuple[Any, RawMessages]:
    """Return a request as messages; flat ones if it is nested too deep for the others."""
    fault: DecodeError | None = None
    for flat in (False, True):
        raw = raw_messages(flat=flat)
        request = raw.requests[signal]()
        try:
            request.ParseFromString(body)
        except DecodeError as error:
            fault = fault or error
        else:
            return request, raw
    raise MalformedRequestError(f"the {signal} request is not valid protobuf: {fault}")
