"""Recognises retries: the keys of requests accepted not long ago, within a fixed amount of memory.

In: keys of requests as they are accepted, and at start those that the spool remembers. Out: the answer that
the first of them got. Promised: never more memory than asked for; the oldest keys go first. A forgotten key
costs a request stored twice, nothing else.
"""

from __future__ import annotations

from receiver.ports import Clock, Outcome, RecentKey

_ENTRY_BYTES = 208
"""One entry: 16-byte key (49 bytes), time and count (40), its share of a dict, at worst while that is growing."""
_ANSWER_BYTES = 200
"""What an answer other than plain success costs on top, its message aside."""
_FULL_SUCCESS = Outcome()
_RECORDS_BITS = 32
_RECORDS = (1 << _RECORDS_BITS) - 1


class _Generation:
    """Keys that came in one after the other and go together."""

    __slots__ = ("answers", "newest_ns", "oldest_ns", "used_bytes")

    def __init__(self) -> None:
        self.answers: dict[bytes, int | RecentKey] = {}
        self.used_bytes = 0
        self.oldest_ns = 0
        self.newest_ns = 0

    def add(self, entry: RecentKey, cost: int) -> None:
        """Keep an entry; one with full success is kept as one number, its time and its records."""
        if not self.answers:
            self.oldest_ns = self.newest_ns = entry.accepted_at_ns
        self.oldest_ns = min(self.oldest_ns, entry.accepted_at_ns)
        self.newest_ns = max(self.newest_ns, entry.accepted_at_ns)
        plain = entry.outcome == _FULL_SUCCESS and 0 <= entry.records <= _RECORDS
        self.answers[entry.key] = entry.accepted_at_ns << _RECORDS_BITS | entry.records if plain else entry
        self.used_bytes += cost

    def discard(self, key: bytes) -> None:
        """Forget one key, known or not."""
        answer = self.answers.pop(key, None)
        if answer is not None:
            self.used_bytes -= _cost(None if isinstance(answer, int) else answer.outcome)


class DuplicateWindow:
    """The keys of the last ``window_s`` seconds, as far as ``memory_bytes`` reach.

    Two generations: the older one is dropped as a whole, when it is out of the window or when the younger one
    has used up its half of the memory. So an insertion never has to search for the oldest entry.
    Threads: the event loop's thread only; nothing blocks.
    """

    def __init__(self, window_s: float, memory_bytes: int, clock: Clock) -> None:
        """Start empty.

        Args:
            window_s: How long identical bytes count as a retry, in seconds; 0 switches recognition off.
            memory_bytes: Upper bound of what the entries take up.
            clock: Unix time in nanoseconds.
        """
        self._window_ns = int(window_s * 1e9)
        self._half_bytes = memory_bytes // 2
        self._clock = clock
        self._young = _Generation()
        self._old = _Generation()

    def __len__(self) -> int:
        """Return the number of keys that are remembered."""
        return len(self._young.answers) + len(self._old.answers)

    @property
    def since_ns(self) -> int:
        """Return the time of acceptance (Unix, nanoseconds) from which on keys count."""
        return self._clock() - self._window_ns

    def find(self, key: bytes) -> RecentKey | None:
        """Return the request with this key that was accepted within the window, or None."""
        answer = self._young.answers.get(key)
        if answer is None:
            answer = self._old.answers.get(key)
        if answer is None:
            return None
        entry = (
            RecentKey(key, answer >> _RECORDS_BITS, _FULL_SUCCESS, answer & _RECORDS)
            if isinstance(answer, int)
            else answer
        )
        return entry if entry.accepted_at_ns > self.since_ns else None

    def remember(self, entry: RecentKey) -> None:
        """Recognise this key from here on; of one that is known, the later entry counts."""
        cost = _cost(entry.outcome)
        if not self._window_ns or cost > self._half_bytes:
            return
        self._young.discard(entry.key)
        self._old.discard(entry.key)
        if self._young.used_bytes + cost > self._half_bytes:
            self._age()
        self._young.add(entry, cost)

    def forget_old(self) -> None:
        """Drop what lies outside the window; the exact time is :meth:`find`'s, this one frees memory."""
        since = self.since_ns
        if self._old.newest_ns <= since:
            self._old = _Generation()
        if self._young.newest_ns <= since:
            self._young = _Generation()
        if not self._old.answers and self._young.oldest_ns <= since:
            self._age()

    def _age(self) -> None:
        self._old = self._young
        self._young = _Generation()


def _cost(outcome: Outcome | None) -> int:
    if outcome is None or outcome == _FULL_SUCCESS:
        return _ENTRY_BYTES
    return _ENTRY_BYTES + _ANSWER_BYTES + 4 * len(outcome.message)
