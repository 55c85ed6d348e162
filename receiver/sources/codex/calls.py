"""The model calls of a Codex rollout.

A call is a run of items that the model gave. Its tokens stand in a ``token_count`` event or a ``token_usage_record``
near it; both say the running total too, and a total that was said before counts nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from receiver.otlp.span import AttributeInput
from receiver.ports import ImportUnit
from receiver.sources.codex.items import usage_of
from receiver.sources.contents.document import mapping
from receiver.sources.contents.messages import REPEATED, Message, Part, SeenMessages, as_text, put_messages
from receiver.sources.contents.session_trace import SessionTrace, Turn, Usage, put_answer


@dataclass(slots=True)
class _Call:
    """A model call that may still get items, or its tokens."""

    number: int
    start_ns: int
    end_ns: int
    turn: Turn | None
    model: str
    asked: list[Message]
    repeated: int = 0
    parts: list[Part] = field(default_factory=list)
    usage: Usage | None = None
    response_id: str = ""
    answered: bool = False
    """Its tokens are known, a tool has answered, or the user has spoken: what follows is another call's."""


class ModelCalls:
    """Brings items and tokens together. Holds the last call. Times are Unix nanoseconds. Threads: one at a time."""

    def __init__(self, trace: SessionTrace, provider: str) -> None:
        """Know no call.

        Args:
            trace: The session's.
            provider: Of its models; empty where the file does not say it.
        """
        self._trace = trace
        self._provider = provider
        self.model = ""
        """Of the calls that begin from now on."""
        self._call: _Call | None = None
        self._count = 0
        self._asked: list[Message] = []
        self._repeated = 0
        self._seen = SeenMessages()
        self._total = ""
        self._tells_tokens = False
        self._spare: tuple[Usage, str, int] | None = None  # tokens that came before the items they are of
        self._input_ns = 0  # when the model was last given something

    @property
    def waits_for_tokens(self) -> bool:
        """Return True if the last call's tokens are not there yet, in a file that tells them."""
        return self._call is not None and self._call.usage is None and self._tells_tokens

    @property
    def place(self) -> str:
        """Return the place of the next item: the call's number, and how many items it has."""
        return f"{self._count}:{len(self._call.parts) if self._call else 0}"

    def given(self, now: int) -> None:
        """Note that the model was given something: a prompt, or a tool's answer."""
        self._input_ns = now

    def spoken_to(self) -> None:
        """Note that something came that is not the model's: the last call has all its items."""
        if self._call:
            self._call.answered = True

    def context(self, said: Message) -> None:
        """Keep what Codex itself says to the model; it stands at the next call."""
        new, repeated = self._seen.new([said])
        self._asked += new
        self._repeated += repeated

    def open(self, turn: Turn | None, now: int, last_ns: int) -> Iterator[ImportUnit]:
        """Make sure that an item has a call to belong to; yield the one before it.

        Args:
            turn: The open one.
            now: Time of the item.
            last_ns: Time of the line before.
        """
        if self._call and self._call.answered:
            yield from self.close(turn, last_ns)
        if self._call is None:
            self._begin(turn, now, last_ns)

    def extend(self, parts: list[Part], now: int) -> None:
        """Add an item's parts to the call; it and its turn last until then."""
        if self._call:
            self._call.parts += parts
            self._call.end_ns = max(self._call.end_ns, now)
            if self._call.turn:
                self._call.turn.reach(now)

    def tokens(
        self, last: object, total: object, now: int, response_id: str, *, turn: Turn | None, last_ns: int
    ) -> Iterator[ImportUnit]:
        """Take a count of tokens: of the call that has none, else of one that comes; yield the call before.

        Args:
            last: Usage of the last response.
            total: Usage so far; one that was said before counts nothing.
            now: Time of the line.
            response_id: Of the response; empty where the line does not name it.
            turn: The open one.
            last_ns: Time of the line before.
        """
        self._tells_tokens = True
        usage = usage_of(last)
        if usage is None:
            return
        said = as_text(sorted(mapping(total).items()))
        if said == self._total and mapping(total):
            if self._call and response_id:
                self._call.response_id = response_id
            return
        self._total = said
        if self._call and self._call.usage is None:
            self._call.usage, self._call.response_id = usage, response_id
            if not self._call.answered:
                self.extend([], now)
            self._call.answered = True  # the response is complete
            return
        yield from self.close(turn, last_ns)
        self._spare = (usage, response_id, now)

    def close(self, turn: Turn | None, last_ns: int) -> Iterator[ImportUnit]:
        """Yield the last call; where it is out already, the one that left nothing but its tokens.

        Args:
            turn: The open one.
            last_ns: Time of the line before.
        """
        if self._call is None and self._spare:
            self._begin(turn, self._spare[2], last_ns)
        call, self._call = self._call, None
        if call is None:
            return
        self._input_ns = max(self._input_ns, call.end_ns)
        attributes: dict[str, AttributeInput] = {
            "gen_ai.provider.name": self._provider or None,
            "gen_ai.response.id": call.response_id or None,
            REPEATED: call.repeated or None,
            **(call.usage or Usage()).attributes(),
        }
        put_messages(attributes, "gen_ai.input.messages", call.asked)
        put_answer(attributes, call.parts)
        yield self._trace.call(
            str(call.number),
            call.turn,
            model=call.model,
            start_ns=min(call.start_ns, call.end_ns),
            end_ns=call.end_ns,
            attributes=attributes,
        )

    def _begin(self, turn: Turn | None, now: int, last_ns: int) -> None:
        self._count += 1
        start = self._input_ns or last_ns or now
        self._call = _Call(self._count, start, now, turn, self.model, self._asked, self._repeated)
        self._asked, self._repeated = [], 0
        if self._spare:
            (self._call.usage, self._call.response_id, _), self._spare = self._spare, None
