"""What of a text the model reads: noise masked, identifiers split into words. Pure functions, no model.

In: the text of a span or log record as it was built from its columns. Out: the form that is embedded and
hashed. Promised: the same input gives the same output in every process; the
original text is never changed (results show it). Not promised: that the form reads well.

Masked, because it differs in every record and means nothing: UUIDs, free-standing hexadecimal of 8 and more
digits with a letter and a digit in it, free-standing numbers of 5 and more digits, complete ISO 8601 times.
``/``, ``-``, ``_``, ``:`` and ``=`` leave a number free-standing, a letter or a dotted version does not.
Kept, because it names something: numbers of up to 4 digits (status codes), versions (``1.24.3``,
``10.0.19045``), codes behind capitals (``ORA-00942``, ``CVE-2024-12345``), numbers that the word before them
marks as a code (``error 10061``, ``code: 0x80070005``), model names with a date
(``claude-3-5-sonnet-20241022``) and hexadecimal that is a word (``deadbeef`` has no digit).
"""

from __future__ import annotations

import hashlib
import re
from uuid import UUID

MASK = "#"
"""Stands where noise was, so that a text with an id and one without stay different texts."""

_HEX = "[0-9a-fA-F]"
_UUID = rf"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"
_TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
# Kept forms stand first: where one of them matches, no noise is looked for inside it.
_NOISE = re.compile(
    rf"""
    (?P<kept>
        (?<![A-Za-z0-9]) [A-Z]{{2,}} - (?:\d+-)? \d{{4,7}} (?![A-Za-z0-9])
      | (?<![A-Za-z0-9]) (?i:code|error|errno|status|hresult|sqlstate) [\s:=\#-]{{1,3}}
        (?: 0[xX]{_HEX}{{4,8}} | \d{{5,6}} ) (?![A-Za-z0-9])
      | (?<=[a-z0-9]) [-@] 20\d\d[01]\d[0-3]\d (?![A-Za-z0-9])
    )
  | (?<![A-Za-z0-9]) (?:
        {_UUID} (?![A-Za-z0-9])
      | {_TIME} (?![A-Za-z0-9])
      | (?:0[xX])? (?={_HEX}*[a-fA-F]) (?={_HEX}*\d) {_HEX}{{8,}} (?![A-Za-z0-9])
      | (?<!\d\.) (?: \d{{5,}}(?:\.\d+)? | \d+\.\d{{5,}} ) (?![A-Za-z0-9]|\.\d)
    )
    """,
    re.VERBOSE | re.ASCII,
)
_DIGIT = re.compile(r"\d", re.ASCII)

# A word with a capital behind a small letter, or with a capital or digit before a capitalised word. It is looked
# for from the beginning of a word only: otherwise a word of n letters costs n² steps.
_CAMEL_WORD = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]*(?:[a-z][A-Z]|[A-Z0-9][A-Z][a-z])[A-Za-z0-9]*")
_CAMEL_EDGE = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z0-9])(?=[A-Z][a-z])(?![A-Z]s(?![a-z]))")
_SEPARATOR = re.compile(
    r"""
    _+
  | ://
  | ::
  | [/\\]+ (?!\d) | (?<!\d) [/\\]+
  | (?<=[A-Za-z0-9]{2}) \. (?=[A-Za-z][A-Za-z0-9])
  | (?<=[A-Za-z]) (?<![0-9][A-Za-z]) - (?=[A-Za-z])
    """,
    re.VERBOSE,
)
_WHOLE_NAMES = re.compile(
    r"OAuth|OAuth2|GitHub|GitLab|JavaScript|TypeScript|PostgreSQL|MySQL|NoSQL|GraphQL|MongoDB|Dyna"
    r"moDB|DuckDB|MariaDB|ClickHouse|RabbitMQ|ActiveMQ|PyPI|LaTeX|macOS|iOS|iPhone|IPv4|IPv6|YouTu"
    r"be|PowerShell|DevOps|OpenAI|DeepSeek"
)
"""Names that a reader, and the model, takes for one word although they are written in two cases."""

_REDACTED = re.compile(r"[<\[(]?\s*(?i:redacted|masked|hidden|filtered|scrubbed)\s*[>\])]?|[*•]{3,}|[xX]{4,}")
_PURE_ID = re.compile(
    rf"""
    {_UUID}
  | (?:0[xX])? (?={_HEX}*\d) {_HEX}{{8,}}
  | \d{{5,}}
  | (?=[0-9A-Z]*\d) [0-9A-HJKMNP-TV-Z]{{26}}
  | [A-Za-z]{{2,12}} [-_] (?=[A-Za-z]*\d) [A-Za-z0-9]{{16,}}
    """,
    re.VERBOSE | re.ASCII,
)
_DATA_URI = re.compile(r"data:[\w.+-]+/[\w.+-]+[;,]", re.ASCII)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{40,}={0,2}", re.ASCII)
_MIXED = (re.compile(r"[A-Z]"), re.compile(r"[a-z]"), re.compile(r"[0-9]"))


def mask(text: str) -> str:
    """Return the text with :data:`MASK` in the place of every UUID, long number, hash and time of day.

    Everything else, white space included, stays as it is; see the module's text for what counts as noise.
    """
    if _DIGIT.search(text) is None:
        return text
    return _NOISE.sub(_kept_or_mask, text)


def _kept_or_mask(match: re.Match[str]) -> str:
    return match.group("kept") or MASK


def split_identifiers(text: str) -> str:
    """Return the text with identifiers taken apart into words; letters and digits stay, in their order.

    ``oteldemo.CartService/AddItem`` becomes ``oteldemo Cart Service Add Item``. Split are camelCase (an
    acronym stays whole: ``HTTP Server``), underscores, slashes, ``::``, dots and hyphens between words.
    Hyphens and dots at digits stay (``gpt-4o-mini``, ``1.24.3``), as do abbreviations (``e.g.``).
    """
    return _SEPARATOR.sub(" ", _CAMEL_WORD.sub(_words, text))


def _words(match: re.Match[str]) -> str:
    word = match.group()
    return word if _WHOLE_NAMES.fullmatch(word) else _CAMEL_EDGE.sub(" ", word)


def model_text(text: str) -> str:
    """Return what the model reads: masked, identifiers split, white space collapsed; may be empty."""
    return " ".join(split_identifiers(mask(text)).split())


def text_id(form: str) -> UUID:
    """Return the 128-bit id of a model text: its MD5, the same as ``md5(model_text)::UUID`` in DuckDB.

    Args:
        form: A text as :func:`model_text` returns it. It names the text and protects nothing.
    """
    return UUID(bytes=text_digest(form))


def text_digest(form: str) -> bytes:
    """Return the bytes of :func:`text_id`."""
    return hashlib.md5(form.encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()


def is_noise_value(value: str) -> bool:
    """Return True for an attribute value without meaning for a search: redacted, an id, a hash, a base64 blob.

    The value as a whole must be noise; one that only contains an id is for :func:`mask`.
    """
    value = value.strip()
    if not value or _REDACTED.fullmatch(value) or _PURE_ID.fullmatch(value) or _DATA_URI.match(value):
        return True
    return _BASE64.fullmatch(value) is not None and all(kind.search(value) for kind in _MIXED)
