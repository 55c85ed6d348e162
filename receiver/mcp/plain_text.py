"""Makes text of telemetry records safe to show to a model: what a reader cannot see is written out.

Records hold what anybody sent. Characters that a person does not see (tag characters, changes of direction,
variation selectors) can carry instructions past that person, so each of them is shown as its escape.
Source of the ranges: https://www.unicode.org/reports/tr36/ and the block "Tags" of the Unicode standard.
"""

from __future__ import annotations

import re

_HIDDEN = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls, but for tab and new line
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # invisible in ordinary scripts
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f"  # zero width, line separators, changes of direction
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\ud800-\udfff"  # halves of a pair: UTF-8 cannot say them
    "\ue000-\uf8ff"  # private use
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"  # tags, variation selectors
    "\U000f0000-\U0010ffff"  # private use
    "]"
)


def plain(text: str) -> str:
    r"""Return the text with every hidden character as ``\u202e`` or ``\U000e0041``; others stay as they are."""
    return _HIDDEN.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
