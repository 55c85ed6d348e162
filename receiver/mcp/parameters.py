"""Parameters that several tools share, with the bounds that a client sees in the schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

LONGEST_QUESTION = 4096
MOST = 1000
"""Most results of one answer, as in the API."""
_WHEN = "RFC 3339, Unix seconds, or a time ago such as 15m, 2h, 1d"

Service = Annotated[str | None, Field(description="Only this service.name.", max_length=1000)]
Since = Annotated[str | None, Field(description=f"Only at or after this time: {_WHEN}.", max_length=100)]
Until = Annotated[str | None, Field(description=f"Only before this time: {_WHEN}.", max_length=100)]
Status = Annotated[Literal["unset", "ok", "error"] | None, Field(description="Only this status.")]
Attributes = Annotated[
    list[str] | None,
    Field(
        description='Only with these attributes, each key=value; 3 is a number, "3" a text.', max_length=50
    ),
]
TraceId = Annotated[str, Field(description="Trace id: 32 hex digits.", min_length=1, max_length=1000)]
SpanId = Annotated[str, Field(description="Span id: 16 hex digits.", pattern="^[0-9a-fA-F]{16}$")]
Tokens = Annotated[
    int | None,
    Field(
        description="Most tokens of this answer, a token counted as four bytes; configured if absent.",
        ge=500,
        le=100_000,
    ),
]


def limit(most: int = MOST) -> Any:
    """Return the declaration of a tool's limit."""
    return Field(description=f"Most results, 1 to {most}.", ge=1, le=most)


Limit = Annotated[int, limit()]
