"""Parameters of questions: one declaration drives parsing, refusals and the OpenAPI description."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from receiver.errors import InvalidFilterError
from receiver.query.buckets import Aggregation
from receiver.questions import AttributeValue, Filters, Status
from receiver.signals import Signal
from receiver.times import duration_ns, time_ns

Parse = Callable[[str, int], Any]
"""Turns the text of a parameter into its value; gets the time of the request in nanoseconds."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a query string (or of a path, or of a JSON body)."""

    name: str
    description: str
    parse: Parse
    schema: Mapping[str, Any]
    """JSON schema, for the OpenAPI description."""
    required: bool = False
    repeated: bool = False
    default: Any = None
    default_text: str | None = None
    """What is parsed where the parameter is absent: a default that depends on the time of the request."""


@dataclass(frozen=True, slots=True)
class Values:
    """The parsed parameters of one request, defaults filled in."""

    of: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        """Return one value."""
        return self.of[name]

    @property
    def filters(self) -> Filters:
        """Return the filters among the values."""
        of = self.of.get
        return Filters(
            service=of("service"),
            since_ns=of("since"),
            until_ns=of("until"),
            signal=of("signal"),
            status=of("status"),
            min_duration_ns=of("min_duration"),
            name=of("name"),
            attributes=dict(of("attribute") or ()),
            min_severity=of("min_severity"),
            trace_id=of("trace_id"),
            text=of("text"),
        )


def parsed(parameters: Sequence[Parameter], given: Mapping[str, Sequence[str]], *, now_ns: int) -> Values:
    """Return the values of all parameters.

    Raises:
        InvalidFilterError: One is unknown, missing, repeated or not what it must be; the message names it.
    """
    known = {parameter.name: parameter for parameter in parameters}
    for name in given:
        if name not in known:
            raise _unknown(name, sorted(known))
    values: dict[str, Any] = {}
    for name, parameter in known.items():
        texts = [text for text in given.get(name, ()) if text != ""]
        if not texts and parameter.default_text is not None:
            texts = [parameter.default_text]
        if not texts:
            if parameter.required:
                raise InvalidFilterError(f"the parameter {name} is missing", hint=parameter.description)
            values[name] = parameter.default
        elif parameter.repeated:
            values[name] = [_parse(parameter, text, now_ns) for text in texts]
        elif len(texts) > 1:
            raise InvalidFilterError(f"the parameter {name} is given {len(texts)} times")
        else:
            values[name] = _parse(parameter, texts[0], now_ns)
    return Values(values)


def _unknown(name: str, known: Sequence[str]) -> InvalidFilterError:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known are: {', '.join(known) or 'none'}"
    return InvalidFilterError(f"unknown parameter {name!r}", hint=hint)


def _parse(parameter: Parameter, text: str, now_ns: int) -> Any:
    try:
        return parameter.parse(text, now_ns)
    except InvalidFilterError as error:
        raise InvalidFilterError(
            f"{parameter.name}: {error.message}", hint=error.hint or parameter.description
        ) from error
    except ValueError as error:
        raise InvalidFilterError(
            f"{parameter.name}: {text!r} is not what it must be", hint=parameter.description
        ) from error


def attribute_filter(text: str) -> tuple[str, AttributeValue]:
    """Return key and value of ``key=value``; true, 3, 2.5 are what they look like, ``"3"`` is a text.

    Raises:
        ValueError: There is no key or no ``=``.
    """
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise ValueError(text)
    try:
        read = json.loads(value)
    except ValueError:
        return key, value
    if isinstance(read, str | int | float | bool):
        return key, read
    return key, value


def _integer(least: int, most: int) -> Parse:
    def parse(text: str, _now_ns: int) -> int:
        if not least <= (value := int(text)) <= most:
            raise InvalidFilterError(f"{text} is not between {least} and {most}")
        return value

    return parse


def _float(least: float, most: float) -> Parse:
    def parse(text: str, _now_ns: int) -> float:
        if not least <= (value := float(text)) <= most:
            raise InvalidFilterError(f"{text} is not between {least:g} and {most:g}")
        return value

    return parse


def _truth(text: str, _now_ns: int) -> bool:
    if text.lower() not in {"0", "1", "false", "true"}:
        raise ValueError(text)
    return text.lower() in {"1", "true"}


def trace_id(text: str, _now_ns: int = 0) -> UUID:
    """Return the id of 32 hex digits.

    Raises:
        InvalidFilterError: It is something else.
    """
    if len(text) != 32 or not set(text.lower()) <= set("0123456789abcdef"):
        raise InvalidFilterError(f"{text!r} is not a trace id", hint="a trace id has 32 hex digits")
    return UUID(hex=text)


def limit(default: int, most: int = 1000) -> Parameter:
    """Return the parameter for the most results."""
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    return Parameter("limit", f"Most results, 1 to {most}.", _integer(1, most), schema, default=default)


_TIME_HINT = "RFC 3339, Unix seconds, or a time ago such as -15m or 2h"
_TEXT = {"type": "string"}

QUESTION = Parameter("q", "What to look for, in plain words.", lambda t, _: t, _TEXT, required=True)
THRESHOLD = Parameter(
    "threshold",
    "Least similarity of a result, -1 to 1; query.threshold if absent.",
    _float(-1, 1),
    {"type": "number", "minimum": -1, "maximum": 1},
)
SERVICE = Parameter("service", "Only this service.name.", lambda t, _: t, _TEXT)
SINCE = Parameter(
    "since", f"Only at or after this time: {_TIME_HINT}.", lambda t, now: time_ns(t, now_ns=now), _TEXT
)
UNTIL = Parameter(
    "until", f"Only before this time: {_TIME_HINT}.", lambda t, now: time_ns(t, now_ns=now), _TEXT
)
SIGNAL = Parameter(
    "signal",
    "Only traces or only logs.",
    lambda t, _: Signal(t),
    {"type": "string", "enum": [Signal.TRACES.value, Signal.LOGS.value]},
)
STATUS = Parameter(
    "status",
    "Only this status; a log record is an error from severity 17 on.",
    lambda t, _: Status(t),
    {"type": "string", "enum": [status.value for status in Status]},
)
MIN_DURATION = Parameter(
    "min_duration",
    "Only spans that took at least this long: 250ms, 1.5s, or a number of milliseconds.",
    lambda t, _: duration_ns(t),
    _TEXT,
)
NAME = Parameter("name", "Only this span name, or event name of a log record.", lambda t, _: t, _TEXT)
ATTRIBUTE = Parameter(
    "attribute",
    'Only with this attribute, key=value, on the record or its resource; 3 is a number, "3" a text. Repeatable.',
    lambda t, _: attribute_filter(t),
    {"type": "array", "items": _TEXT},
    repeated=True,
)
TRACE_ID = Parameter("trace_id", "Only of this trace: 32 hex digits.", trace_id, _TEXT)
SESSION_ID = Parameter(
    "session_id",
    "Id of a session, or at least 6 characters that only this id begins with.",
    lambda t, _: t,
    _TEXT,
    required=True,
)
TEXT = Parameter("text", "Only with this text in it, whatever the case.", lambda t, _: t, _TEXT)
MIN_SEVERITY = Parameter(
    "min_severity",
    "Only log records of at least this severity_number, 1 to 24 (9 INFO, 13 WARN, 17 ERROR).",
    _integer(1, 24),
    {"type": "integer", "minimum": 1, "maximum": 24},
)
STEP = Parameter(
    "step",
    "Length of a stretch of time in seconds.",
    _float(0.001, 31_622_400),
    {"type": "number", "default": 60},
    default=60.0,
)
AGGREGATION = Parameter(
    "aggregation",
    "Which figure becomes value; what a metric has depends on its type.",
    lambda t, _: Aggregation(t),
    {"type": "string", "enum": [each.value for each in Aggregation]},
)
EMBEDDINGS = Parameter(
    "embeddings",
    "1: wait for the vectors too.",
    _truth,
    {"type": "string", "enum": ["0", "1"], "default": "0"},
    default=False,
)
TRACE_A = Parameter("a", "The trace that is compared with: 32 hex digits.", trace_id, _TEXT, required=True)
TRACE_B = Parameter("b", "The trace that is asked about: 32 hex digits.", trace_id, _TEXT, required=True)
WINDOW_SINCE = Parameter(
    "since",
    f"Where the window begins: {_TIME_HINT}.",
    lambda t, now: time_ns(t, now_ns=now),
    {**_TEXT, "default": "1h"},
    default_text="1h",
)
WINDOW_UNTIL = Parameter(
    "until",
    f"Where the window ends: {_TIME_HINT}.",
    lambda t, now: time_ns(t, now_ns=now),
    {**_TEXT, "default": "now"},
    default_text="now",
)
BASELINE_SINCE = Parameter(
    "baseline_since",
    "Where the baseline begins; as long as the window if absent.",
    lambda t, now: time_ns(t, now_ns=now),
    _TEXT,
)
BASELINE_UNTIL = Parameter(
    "baseline_until",
    "Where the baseline ends; where the window begins if absent.",
    lambda t, now: time_ns(t, now_ns=now),
    _TEXT,
)
RECORD_FILTERS = (SERVICE, SINCE, UNTIL, STATUS, NAME, ATTRIBUTE)
