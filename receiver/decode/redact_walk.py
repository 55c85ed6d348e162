"""The walk over one message in which rules find and change values; the message is changed in place."""

from __future__ import annotations

import hmac
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError

from receiver.decode.anyvalue import decode_any_value
from receiver.decode.raw_messages import ANY_VALUE, KEY_VALUE, RawMessages, raw_messages
from receiver.decode.redact_rules import MASK, Action, Decision, Rule, decide

HASH_PREFIX = "hmac-sha256:"
_HASH_DIGITS = 32
_BATCH = 10_000  # texts that are decided on together
_DELETED_SINGLY = 64
_COUNT = "dropped_attributes_count"
_COUNT_MAX = 0xFFFF_FFFF
# Lists of attribute keys: no values, and changing them would break what they refer to. OTLP has no other
# repeated field of strings.
_KEY_LISTS = frozenset(
    {
        "opentelemetry.proto.common.v1.EntityRef.id_keys",
        "opentelemetry.proto.common.v1.EntityRef.description_keys",
    }
)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a value, or the pair that holds it, stands and can be taken out of."""

    owner: Any
    name: str
    """Of the field."""
    index: int | None
    """None for the body of a log record."""
    depth: int


@dataclass(frozen=True, slots=True)
class _Text:
    """A string or bytes that some rule may fit."""

    message: Any
    name: str
    """Of the field."""
    place: _Place | None
    """Of the value that it is; None for a name, a status message and the like."""


@dataclass(slots=True)
class _Removal:
    """What goes out of one repeated field."""

    owner: Any
    name: str
    depth: int
    indices: set[int] = field(default_factory=set)


class RedactionWalk:
    """Redacts one message: values first, then removals, the innermost before the outer.

    Sets of rules are bits of an integer: rule ``n`` is ``1 << n``.
    """

    def __init__(self, rules: Sequence[Rule], hash_key: bytes, raw: RawMessages) -> None:
        """Use the rules on messages of ``raw``."""
        self.counts: Counter[Action] = Counter()
        """How many values were treated."""
        self.too_deep = 0
        """How many values could not be looked into and were masked."""
        self._rules = rules
        self._hash_key = hash_key
        self._string_fields = raw.strings - _KEY_LISTS
        self._patterns = _bits(rule.pattern != "" for rule in rules)
        self._everywhere = _bits(not rule.keys for rule in rules)
        self._named: dict[bytes, int] = {}
        self._texts: defaultdict[tuple[int, str], list[_Text]] = defaultdict(list)
        self._collected = 0
        self._removals: dict[tuple[int, str], _Removal] = {}
        self._stack: list[tuple[Any, int, int]] = []

    def run(self, root: Any, above: int = 0) -> None:
        """Redact a message; what it holds that this release does not know goes.

        Args:
            root: A request, or the array or kvlist of a value.
            above: The rules with patterns that name a key above it.

        Raises:
            MalformedRequestError: A value of flat messages is no array or kvlist.
            TooManyRecordsError: A value is made of too many.
        """
        root.DiscardUnknownFields()
        self._stack = [(root, above, 0)]
        while self._stack:
            message, above, depth = self._stack.pop()
            for described, content in message.ListFields():
                if described.type == FieldDescriptor.TYPE_MESSAGE:
                    self._messages(described, message, content, above, depth)
                elif self._everywhere and described.full_name in self._string_fields:
                    self._note(self._everywhere, content, _Text(message, described.name, None))
            if self._collected >= _BATCH:
                self._decide()
        self._decide()
        for removal in sorted(self._removals.values(), key=lambda each: -each.depth):
            _remove(removal)

    def _messages(self, described: FieldDescriptor, owner: Any, content: Any, above: int, depth: int) -> None:
        assert described.message_type is not None  # noqa: S101 - the caller looked at the type
        kind = described.message_type.full_name
        name = described.name
        if kind == KEY_VALUE:
            for index, pair in enumerate(content):
                named = self._names(pair.key)
                self._value(pair.value, named, above, _Place(owner, name, index, depth))
        elif kind != ANY_VALUE:
            each = content if described.is_repeated else (content,)
            self._stack.extend((one, above, depth + 1) for one in each)
        elif described.is_repeated:
            for index, one in enumerate(content):
                self._value(one, 0, above, _Place(owner, name, index, depth))
        else:
            self._value(content, 0, above, _Place(owner, name, None, depth))

    def _names(self, key: bytes) -> int:
        """Return the rules that name a key."""
        named = self._named.get(key)
        if named is None:
            lower = key.lower()
            named = self._named[key] = _bits(rule.names(lower) for rule in self._rules)
        return named

    def _value(self, value: Any, named: int, above: int, place: _Place) -> None:
        """Note or treat a value under a key that the rules ``named`` name."""
        below = above | (named & self._patterns)
        whole = named & ~self._patterns
        kind = value.WhichOneof("value")
        if kind in ("string_value", "bytes_value"):
            if may := self._everywhere | below | whole:
                self._note(may, getattr(value, kind), _Text(value, kind, place))
        elif whole:
            first = whole & -whole
            self._settle(value, Decision(self._rules[first.bit_length() - 1].action, "", whole=True), place)
        elif kind in ("array_value", "kvlist_value"):
            content = getattr(value, kind)
            if isinstance(content, bytes):
                self._flat_value(value, kind, below)
            else:
                self._stack.append((content, below, place.depth + 1))

    def _note(self, may: int, data: bytes, where: _Text) -> None:
        # Decoded as the repair of UTF-8 would: patterns see what would be stored.
        self._texts[may, data.decode(errors="replace")].append(where)
        self._collected += 1

    def _decide(self) -> None:
        """Decide on the texts that were noted, equal ones together."""
        decisions = decide(self._rules, list(self._texts))
        for decision, places in zip(decisions, self._texts.values(), strict=True):
            if decision is None:
                continue
            for text in places:
                if text.place is not None:
                    self._settle(text.message, decision, text.place)
                    continue
                data = b"" if decision.action == "drop" else self._replacement(decision).encode()
                self.counts[decision.action] += 1
                setattr(text.message, text.name, data)
        self._texts.clear()
        self._collected = 0

    def _settle(self, value: Any, decision: Decision, place: _Place) -> None:
        """Do to a value what was decided; one that is no string as a whole."""
        self.counts[decision.action] += 1
        if decision.action == "drop":
            self._drop(place)
            return
        if value.WhichOneof("value") != "string_value":
            text = MASK if decision.action == "mask" else self._hash(_canonical(value))
        else:
            text = self._replacement(decision)
        value.Clear()
        value.string_value = text.encode()

    def _replacement(self, decision: Decision) -> str:
        if decision.action == "hash":
            return self._hash(decision.text.encode())
        return MASK if decision.whole else decision.text

    def _hash(self, data: bytes) -> str:
        return HASH_PREFIX + hmac.digest(self._hash_key, data, "sha256").hex()[:_HASH_DIGITS]

    def _drop(self, place: _Place) -> None:
        if place.index is None:
            place.owner.ClearField(place.name)
            return
        removal = self._removals.setdefault(
            (id(place.owner), place.name), _Removal(place.owner, place.name, place.depth)
        )
        removal.indices.add(place.index)

    def _flat_value(self, value: Any, kind: Literal["array_value", "kvlist_value"], below: int) -> None:
        """Redact a value of a request nested too deep: alone it may be parsed; one that cannot be is masked."""
        data = getattr(value, kind)
        decode_any_value(data, kind="array" if kind == "array_value" else "kvlist")
        raw = raw_messages(flat=False)
        inner: Any = raw.array() if kind == "array_value" else raw.kvlist()
        try:
            inner.ParseFromString(data)
        except DecodeError:
            self.too_deep += 1
            value.string_value = MASK.encode()
            return
        walk = RedactionWalk(self._rules, self._hash_key, raw)
        walk.run(inner, below)
        self.counts.update(walk.counts)
        setattr(value, kind, inner.SerializeToString())


def _bits(flags: Iterable[bool]) -> int:
    return sum(1 << number for number, flag in enumerate(flags) if flag)


def _canonical(value: Any) -> bytes:
    """Return a value as the JSON that the store would hold, keys in order: the same for the same value."""
    text = decode_any_value(value.SerializeToString(), kind="any").json
    if text.startswith(("{", "[")):
        return orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS)
    return text.encode()


def _remove(removal: _Removal) -> None:
    """Take elements out of a repeated field and count the attributes among them as dropped."""
    container = getattr(removal.owner, removal.name)
    if len(removal.indices) <= _DELETED_SINGLY:
        for index in sorted(removal.indices, reverse=True):
            del container[index]
    else:  # each deletion moves all that follows
        kept = [one for index, one in enumerate(container) if index not in removal.indices]
        del container[:]
        container.extend(kept)
    if removal.name == "attributes" and _COUNT in removal.owner.DESCRIPTOR.fields_by_name:
        dropped = getattr(removal.owner, _COUNT) + len(removal.indices)
        setattr(removal.owner, _COUNT, min(dropped, _COUNT_MAX))
