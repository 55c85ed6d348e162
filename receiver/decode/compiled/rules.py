"""What the compiled decoder has to know of attribute keys, as text; each list stands where Python uses it."""

from __future__ import annotations

from receiver.decode.attribute_keys import (
    GEN_AI_KEYS,
    GEN_AI_PREFIXES,
    HOT_OF_LOGS,
    HOT_OF_SPANS,
    SESSION_KEYS,
    THREAD_KEY,
    TURN_KEY,
)
from receiver.decode.text_attributes import CONTENT_KEYS, IDENTIFYING, NAMING_KEYS, PLUMBING

_LIST, _ENTRY = "\x1e", "\x1f"


def rules_text() -> bytes:
    """Return the lists in the order in which ``src/keys.rs`` reads them."""
    integers = [name for name, kind in {**HOT_OF_SPANS, **HOT_OF_LOGS}.items() if kind == "int64"]
    lists = [
        NAMING_KEYS,
        CONTENT_KEYS,
        PLUMBING,
        IDENTIFYING,
        SESSION_KEYS,
        (THREAD_KEY,),
        (TURN_KEY,),
        sorted(GEN_AI_KEYS),
        GEN_AI_PREFIXES,
        HOT_OF_SPANS,
        HOT_OF_LOGS,
        integers,
    ]
    return _LIST.join(_ENTRY.join(entries) for entries in lists).encode()
