"""Redaction rules as decode uses them: compiled from the settings, with a search that finds what they may concern.

Patterns are RE2's (https://github.com/google/re2/wiki/Syntax), as in the Collector's processors: a search takes
time linear in the text, whatever the pattern, and runs in Arrow without the GIL.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from receiver.config import RedactRule
from receiver.errors import ConfigError

Action = Literal["drop", "hash", "mask"]

MASK = "***"
_WORD = re.compile(r"[0-9A-Za-z_]")


@dataclass(frozen=True, slots=True)
class KeyGlob:
    """A glob of attribute keys: ``*`` is any characters, the case of ASCII letters does not matter."""

    parts: tuple[bytes, ...]
    """Lower-case UTF-8 between the stars; one part where there is none."""

    @classmethod
    def parse(cls, text: str) -> KeyGlob:
        """Return the glob that a text says."""
        return cls(tuple(text.encode().lower().split(b"*")))

    def fits(self, key: bytes) -> bool:
        """Return True if it names the key, which is lower-case; time is linear in the key."""
        first, last = self.parts[0], self.parts[-1]
        if len(self.parts) == 1:
            return key == first
        if len(key) < len(first) + len(last) or not key.startswith(first) or not key.endswith(last):
            return False
        position, end = len(first), len(key) - len(last)
        for part in self.parts[1:-1]:
            position = key.find(part, position, end)
            if position < 0:
                return False
            position += len(part)
        return True

    @property
    def literal(self) -> str:
        """Return text that every key it names contains; empty if there is none."""
        return max(self.parts, key=len).decode()


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, ready for use."""

    action: Action
    keys: tuple[KeyGlob, ...]
    pattern: str
    """All its patterns as one; empty where it has none."""

    def names(self, key: bytes) -> bool:
        """Return True if one of its globs fits a key, which is lower-case."""
        return any(glob.fits(key) for glob in self.keys)


def compile_rules(rules: Sequence[RedactRule]) -> tuple[Rule, ...]:
    """Return the rules in their order.

    Raises:
        ConfigError: A pattern cannot be used; names it.
    """
    if problems := list(rule_problems(rules)):
        raise ConfigError("; ".join(problems))
    return tuple(
        Rule(
            rule.action,
            tuple(KeyGlob.parse(text) for text in rule.keys),
            "|".join(f"(?:{pattern})" for pattern in rule.values),
        )
        for rule in rules
    )


def rule_problems(rules: Sequence[RedactRule]) -> Iterator[str]:
    """Yield a sentence for each pattern that is no regular expression or fits every text."""
    for number, rule in enumerate(rules):
        for place, pattern in enumerate(rule.values):
            name = f"redact.rules[{number}].values[{place}]"
            try:
                fits_all = fits(pattern, [""])[0]
            except pa.ArrowInvalid as error:
                said = str(error).removeprefix("Invalid regular expression: ")
                yield f"{name} is no regular expression of RE2: {said}"
                continue
            if fits_all:
                yield f"{name} fits the empty text; a rule without values treats every value of its keys"


def fits(pattern: str, texts: Sequence[str]) -> list[bool]:
    """Return for each text whether the pattern is found in it."""
    found: list[bool] = pc.match_substring_regex(pa.array(texts, pa.string()), pattern).to_pylist()
    return found


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a text."""

    action: Action
    text: str
    """What the rules before left of it, to be hashed; or what is left after a mask."""
    whole: bool
    """True for a mask of the whole text."""


def decide(rules: Sequence[Rule], candidates: Sequence[tuple[int, str]]) -> list[Decision | None]:
    """Return what the rules, in their order, do to texts; None: nothing.

    A drop, a hash and the mask of a whole text settle it. After a mask of parts the next rules see the rest.

    Args:
        rules: All rules.
        candidates: For each text the rules that are not ruled out by its key, a bit each, and the text.
    """
    decisions: list[Decision | None] = [None] * len(candidates)
    texts = [text for _, text in candidates]
    unsettled: Sequence[int] = range(len(candidates))
    for number, rule in enumerate(rules):
        by_key = [place for place in unsettled if candidates[place][0] >> number & 1]
        if not by_key:
            continue
        found = (
            fits(rule.pattern, [texts[place] for place in by_key]) if rule.pattern else [True] * len(by_key)
        )
        hit = [place for place, fitting in zip(by_key, found, strict=True) if fitting]
        if rule.action == "mask" and rule.pattern:
            for place, text in zip(hit, _masked(rule.pattern, [texts[each] for each in hit]), strict=True):
                texts[place] = text
                decisions[place] = Decision("mask", text, whole=False)
            continue
        for place in hit:
            decisions[place] = Decision(rule.action, texts[place], whole=True)
        settled = set(hit)
        unsettled = [place for place in unsettled if place not in settled]
    return decisions


def _masked(pattern: str, texts: Sequence[str]) -> list[str]:
    replaced: list[str] = pc.replace_substring_regex(pa.array(texts, pa.string()), pattern, MASK).to_pylist()
    return replaced


class Prefilter:
    """Finds the serialized requests that a rule may concern, by a search over their bytes.

    It may find too many and never too few: a key or a string stands in one piece wherever it is on the wire, so
    a request in whose bytes no literal part of a key and no pattern is found holds nothing to redact. What is not
    UTF-8 is searched as it will be repaired: what fits U+FFFD fits any bytes here.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        """Compile the search; rules that fit nearly everything switch it off."""
        self._pattern = _superset(rules)

    def concerned(self, bodies: Sequence[bytes]) -> list[bool]:
        """Return for each body whether it has to be looked into. Threads: any; the GIL is free meanwhile."""
        if self._pattern is None:
            return [True] * len(bodies)
        found: list[bool] = pc.match_substring_regex(_unchecked_strings(bodies), self._pattern).to_pylist()
        return found


def _superset(rules: Iterable[Rule]) -> str | None:
    """Return a pattern that is found in every body that holds something for a rule; None: there is none."""
    parts = []
    for rule in rules:
        literals = [glob.literal for glob in rule.keys]
        if literals and all(literals):
            parts.append(f"(?i:{'|'.join(map(_quoted, literals))})")
        elif rule.pattern:
            parts.append(f"(?:{_on_the_wire(rule.pattern)})")
        else:
            return None
    pattern = "|".join(parts)
    try:
        return None if fits(pattern, [""])[0] else pattern
    except pa.ArrowInvalid:  # too large for RE2, though each part was not
        return None


def _quoted(text: str) -> str:
    return "".join(c if _WORD.fullmatch(c) else f"\\x{{{ord(c):x}}}" for c in text)


def _on_the_wire(pattern: str) -> str:
    """Return a pattern that is found in a body wherever this one fits a text in it, as that will be repaired.

    Nothing stands in the place of anchors, because inside a body no text begins or ends; and what fits U+FFFD fits
    the one to three bytes as well that are replaced by it.
    """
    out = []
    place = 0
    while place < len(pattern):
        token = _token(pattern, place)
        place += len(token)
        if token in _ANCHORS:
            out.append("(?:)")
        else:
            out.append(f"(?:{token}|\\C\\C?\\C?)" if _fits_replacement(token) else token)
    return "".join(out)


_ANCHORS = frozenset({"^", "$", "\\A", "\\z", "\\b", "\\B"})
_REPLACEMENT = "\ufffd"


def _fits_replacement(token: str) -> bool:
    """Return True if a token that stands for one character may be U+FFFD."""
    if not token.startswith((".", "[", _REPLACEMENT, "\\D", "\\W", "\\S", "\\p", "\\P", "\\x{")):
        return False
    return fits(f"(?s:{token})", [_REPLACEMENT])[0]


def _token(pattern: str, place: int) -> str:
    """Return the escape, quotation, character class or single character at a place of an RE2 pattern."""
    if pattern.startswith("\\Q", place):
        end = pattern.find("\\E", place)
        return pattern[place : end + 2 if end >= 0 else len(pattern)]
    if pattern[place] == "\\":
        if pattern.startswith(("p{", "P{", "x{"), place + 1):
            return pattern[place : pattern.index("}", place) + 1]
        return pattern[place : place + (3 if pattern.startswith(("p", "P"), place + 1) else 2)]
    if pattern[place] != "[":
        return pattern[place]
    end = place + 1 + pattern.startswith("^", place + 1)
    end += pattern.startswith("]", end)  # first in a class it is a member
    while end < len(pattern) and pattern[end] != "]":
        if pattern.startswith("[:", end) and (stop := pattern.find(":]", end + 2)) >= 0:
            end = stop + 2
        else:
            end += 2 if pattern[end] == "\\" else 1
    return pattern[place : end + 1]


def _unchecked_strings(bodies: Sequence[bytes]) -> pa.StringArray:
    """Return the bodies as an Arrow array of strings although they are none: RE2 searches bytes all the same."""
    if len(bodies) == 1:  # a large one is not copied
        offsets = pa.array([0, len(bodies[0])], pa.int32())
        return pa.StringArray.from_buffers(1, offsets.buffers()[1], pa.py_buffer(bodies[0]))
    binary = pa.array(bodies, pa.binary())
    return pa.StringArray.from_buffers(len(binary), binary.buffers()[1], binary.buffers()[2])
