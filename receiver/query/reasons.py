"""Why a record was found: the words that it shares with the question, and the part of its text that has them."""

from __future__ import annotations

import re
from collections.abc import Sequence

_WORD = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PART = re.compile(r"[^\n.;!?]+[.;!?]*")
_LONGEST = 200
_SAY_NOTHING = (
    "a an and are as at be been but by can could did do does for from had has have how i if in into is it its me"
    " my no not of on or our show so some than that the their them then there these they this to up us was we"
    " were what when where which who why will with would you your"
)
_STOP_WORDS = frozenset(_SAY_NOTHING.split())


def words_of(text: str) -> list[str]:
    """Return the distinct words of a text in lower case, identifiers split, without words that say nothing.

    A text of nothing but such words keeps them.
    """
    found = list(dict.fromkeys(word.lower() for word in _WORD.findall(_CAMEL.sub(" ", text))))
    return [word for word in found if word not in _STOP_WORDS] or found


def reason(question_words: Sequence[str], text: str) -> str:
    """Return one short line: the shared words, and the part of the text that has most of them."""
    parts = [part.strip() for part in _PART.findall(text) if part.strip()] or [text.strip()]
    shared = [word for word in question_words if _holds(text, word)]
    best = max(parts, key=lambda part: sum(_holds(part, word) for word in shared))
    cut = best if len(best) <= _LONGEST else best[: _LONGEST - 1] + "…"
    if shared:
        return f"has {', '.join(shared[:8])}: {cut}"
    return f"similar in meaning: {cut}"


def _holds(text: str, word: str) -> bool:
    stem = word[:-1] if len(word) > 3 and word.endswith("s") else word
    return stem in text.lower()
