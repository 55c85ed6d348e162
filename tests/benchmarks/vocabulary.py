"""Words of seven letters: with the space behind it, each is one word of eight bytes that is written in place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_TEXT = (
    "account address airport analyst android anxiety arrival article athlete auction balance balloon battery bedroom "
    "benefit bicycle binding blanket booking boolean bottles bracket brother builder cabinet calcium caliber camping "
    "captain caption capture carbide catalog central century ceramic chamber channel chapter charger charity chicken "
    "cleanup climate cluster collect college command comment company compass concern concert contact content context "
    "control convert cooking copying correct council counter country courier crystal culture current cushion customs "
    "cutting dealing decimal default defense deliver density deposit desktop develop diagram digital discord display "
    "dolphin drawing driving dynamic earning eastern economy edition element emerald empires engines evening expense "
    "express factory failure fashion feature fiction fifteen finance fishing fitness foreign formula forward freight "
    "gallery general genuine glacier grammar gravity grocery growing haircut halfway handful harbour harvest heading "
    "healthy helpful"
)
WORDS = tuple(_TEXT.split())
"""128 words, so that seven bits of a number choose one."""

WORD_BYTES = 8
TEXT_WORDS = 6
"""Words in a text that does not repeat; 42 bits of its number choose them."""

_PADDED = np.frombuffer("".join(f"{word} " for word in WORDS).encode(), dtype="<u8")
_BITS = np.arange(TEXT_WORDS, dtype=np.uint64) * np.uint64(7)
_SCRAMBLE = np.uint64(0x9E3779B97F4A7C15)


def text_words(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return for each number the words of its text, eight bytes each; shape ``(numbers, TEXT_WORDS)``.

    Numbers below 2**42 have different texts: an odd factor is a permutation of the low bits.
    """
    return _PADDED[((numbers * _SCRAMBLE)[:, None] >> _BITS) & np.uint64(127)]
