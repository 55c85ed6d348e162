"""What a certificate says of itself: DER in, the end of its validity out."""

from __future__ import annotations

from datetime import UTC, datetime


def not_after(der: bytes) -> float:
    """Return the Unix time at which a certificate ends.

    Source: RFC 5280, 4.1. The standard library reads this from a peer's certificate only.

    Raises:
        ValueError: It is not a certificate.
    """
    (tbs,) = _elements(_elements(der)[0][1])[:1]
    fields = [element for element in _elements(tbs[1]) if element[0] != 0xA0]  # [0] is the version
    kind, text = _elements(fields[3][1])[1]  # serial, signature, issuer, validity
    digits = text.decode("ascii")
    if kind == 0x17:  # UTCTime has two digits for the year; 50 and above are of the last century
        digits = ("19" if int(digits[:2]) >= 50 else "20") + digits
    return datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _elements(der: bytes) -> list[tuple[int, bytes]]:
    """Return tag and content of each element in a row of DER."""
    found = []
    at = 0
    while at < len(der):
        if at + 2 > len(der):
            raise ValueError("cut off")
        tag, size = der[at], der[at + 1]
        at += 2
        if size & 0x80:
            length_bytes = size & 0x7F
            size = int.from_bytes(der[at : at + length_bytes], "big")
            at += length_bytes
        if at + size > len(der):
            raise ValueError("cut off")
        found.append((tag, der[at : at + size]))
        at += size
    if not found:
        raise ValueError("empty")
    return found
