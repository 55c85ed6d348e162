"""What the compiled decoder has to know of attribute keys, as text; each list stands where Python uses it."""

from __future__ import annotations

import pyarrow as pa

from receiver.decode.hot_attributes import LOG_ATTRIBUTES, SPAN_ATTRIBUTES
from receiver.decode.session_columns import (
    GEN_AI_KEYS,
    GEN_AI_PREFIXES,
    SESSION_KEYS,
    THREAD_KEY,
    TURN_KEY,
)
from receiver.decode.text_attributes import CONTENT_KEYS, IDENTIFYING, NAMING_KEYS, PLUMBING

_LIST, _ENTRY = "\x1e", "\x1f"


def rules_text() -> bytes:
    """Return the lists in the order in which ``src/keys.rs`` reads them."""
    integers = [name for name, kind in (SPAN_ATTRIBUTES | LOG_ATTRIBUTES).items() if kind == pa.int64()]
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
        SPAN_ATTRIBUTES,
        LOG_ATTRIBUTES,
        integers,
    ]
    return _LIST.join(_ENTRY.join(entries) for entries in lists).encode()
