"""Cuts a long text into chunks that the model reads whole.

In: a text and the offsets of its tokens. Out: at most so many distinct pieces of it, in their order, cut
between words where there is one near; and whether something of the text is in none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

Offsets = Sequence[tuple[int, int]]
"""Where each token starts and ends in the text, in characters."""

_CHARACTERS_PER_TOKEN = 16
"""Text beyond so many characters a token is cut unread: tokenizing must not cost more than embedding."""


class Chunks(NamedTuple):
    """The pieces of one text."""

    texts: list[str]
    cut: bool
    """True if the text went on behind the last chunk."""


def chunk_text(
    text: str, offsets_of: Callable[[str], Offsets], *, chunk_tokens: int, max_chunks: int
) -> Chunks:
    """Return the text in chunks of at most ``chunk_tokens`` tokens, at least one and at most ``max_chunks``.

    Args:
        text: May be empty: that is one empty chunk.
        offsets_of: The model's own tokenizer; called once, and not at all where the text is short.
        chunk_tokens: Upper bound of a chunk.
        max_chunks: Upper bound of the number of chunks, counted before repeated ones are dropped.
    """
    if len(text) <= chunk_tokens:  # a token has at least one character
        return Chunks([text], cut=False)
    read = text[: chunk_tokens * max_chunks * _CHARACTERS_PER_TOKEN]
    offsets = offsets_of(read)
    pieces: list[str] = []
    first = 0
    while first < len(offsets) and len(pieces) < max_chunks:
        end = _chunk_end(offsets, first, chunk_tokens)
        pieces.append(read[offsets[first][0] : offsets[end - 1][1]])
        first = end
    return Chunks(list(dict.fromkeys(pieces)) or [""], cut=first < len(offsets) or len(read) < len(text))


def _chunk_end(offsets: Offsets, first: int, chunk_tokens: int) -> int:
    """Return the index behind the chunk's last token, moved back to a gap between words if one is near."""
    end = first + chunk_tokens
    if end >= len(offsets):
        return len(offsets)
    for candidate in range(end, max(first, end - chunk_tokens // 4), -1):
        if offsets[candidate][0] > offsets[candidate - 1][1]:
            return candidate
    return end
