"""The parts of a span in a trace dict: ids, kind, status, attributes, events, links, in every spelling in use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from receiver.errors import InvalidTraceError
from receiver.otlp.span import AttributeInput, EventDraft, LinkDraft, SpanKind, StatusCode
from receiver.sources.source import span_id_of, trace_id_of
from receiver.sources.trace_dicts.times import exact_ns, unix_ns

T = TypeVar("T")
Named = Mapping[str, Any]

_KINDS = {kind.name.lower(): int(kind) for kind in SpanKind}
_STATUS_WORDS = {
    **dict.fromkeys(("", "unset", "unknown", "none", "running", "pending", "started"), StatusCode.UNSET),
    **dict.fromkeys(("ok", "success", "succeeded", "successful", "completed", "passed"), StatusCode.OK),
    **dict.fromkeys(
        ("error", "err", "failed", "failure", "fail", "exception", "timeout", "cancelled", "canceled"),
        StatusCode.ERROR,
    ),
}
_ERRORS = ("error.", "exception.")
_HTTP_STATUS = ("http.status_code", "http.response.status_code")
_ERROR_MESSAGES = ("error.message", "exception.message", "error.type", "exception.type")
_NOT_AN_ERROR = frozenset({"", "false", "none", "null", "0"})
_ATTRIBUTE_VALUES = {
    "stringValue": "string_value",
    "boolValue": "bool_value",
    "intValue": "int_value",
    "doubleValue": "double_value",
    "arrayValue": "array_value",
    "kvlistValue": "kvlist_value",
    "bytesValue": "bytes_value",
}


def first_of(span: Named, names: Iterable[str]) -> Any:
    """Return what stands under the first of these names that is there and not None."""
    for name in names:
        value = span.get(name)
        if value is not None:
            return value
    return None


def at(place: str, read: Callable[[T], Any], value: T) -> Any:
    """Return ``read(value)``; an error of it says at which place.

    Raises:
        InvalidTraceError: What ``read`` raises, the place before its message.
    """
    try:
        return read(value)
    except InvalidTraceError as error:
        sign = "" if error.message.startswith(("[", ".")) else ": "
        raise InvalidTraceError(f"{place}{sign}{error.message}", hint=error.hint) from None


def trace_id(value: Any) -> tuple[bytes, str | None]:
    """Return the 16 bytes of a trace id, and the text that was given where it is not their lower-case hex.

    Raises:
        InvalidTraceError: It is empty, or no text.
    """
    if isinstance(value, bytes) and len(value) == 16 and any(value):
        return value, None
    if not isinstance(value, str) or not value:
        raise InvalidTraceError(f"{shown(value)} is not an id", hint="a trace id is a text that is not empty")
    found = _hex(value, 16)
    if found is None:
        return trace_id_of("trace", value), value
    return found, None if value == found.hex() else value


def span_id(value: Any, trace: bytes) -> tuple[bytes, str | None]:
    """Return the 8 bytes of a span id, and what was given where it is not their lower-case hex.

    Raises:
        InvalidTraceError: It is neither a text nor a whole number.
    """
    if isinstance(value, bytes) and len(value) == 8 and any(value):
        return value, None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 64:
        value = str(value)
    if not isinstance(value, str):
        raise InvalidTraceError(f"{shown(value)} is not an id", hint="a span id is a text: 16 hex digits")
    found = _hex(value, 8)
    if found is None:
        return span_id_of(trace.hex(), value), value
    return found, None if value == found.hex() else value


def has_id(value: Any) -> bool:
    """Return False for what stands where there is no parent: None, nothing, zeros."""
    if isinstance(value, str):
        return bool(value.removeprefix("0x").strip("0"))
    return any(value) if isinstance(value, bytes) else value is not None and value != 0


def kind(value: Any) -> int:
    """Return OTLP's number of a kind, given as number or name (``server``, ``SPAN_KIND_SERVER``, ``SpanKind.SERVER``).

    Raises:
        InvalidTraceError: There is no such kind.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 5:
        return int(value)
    if isinstance(value, str):
        name = value.strip().lower().removeprefix("span_kind_").removeprefix("spankind.")
        if name in _KINDS:
            return _KINDS[name]
        if name in {"0", "1", "2", "3", "4", "5"}:
            return int(name)
    raise InvalidTraceError(
        f"{shown(value)} is not a kind", hint=f"kinds are: {', '.join(_KINDS)}, or 0 to 5"
    )


def status(value: Any) -> tuple[int, str]:
    """Return OTLP's status code and the message.

    Args:
        value: A word, a number of OTLP (0 to 2) or of HTTP (100 to 599), or a dict with code and message.

    Raises:
        InvalidTraceError: It is none of these.
    """
    if isinstance(value, Mapping):
        code = first_of(value, ("status_code", "statusCode", "code"))
        message = first_of(value, ("message", "description", "status_message", "statusMessage"))
        if message is not None and not isinstance(message, str):
            raise InvalidTraceError(f".message: {shown(message)} is not a text")
        return (0 if code is None else status(code)[0]), message or ""
    if isinstance(value, str):
        word = value.strip().lower().removeprefix("status_code_").removeprefix("statuscode.")
        if word in _STATUS_WORDS:
            return _STATUS_WORDS[word], ""
        if word.isdecimal() and len(word) <= 3:
            value = int(word)
    if isinstance(value, int) and not isinstance(value, bool):
        if 0 <= value <= 2:
            return int(value), ""
        if 100 <= value <= 599:
            return (StatusCode.ERROR if value >= 500 else StatusCode.UNSET), ""
    raise InvalidTraceError(f"{shown(value)} is not a status", hint="write ok, error or unset")


def is_http_status(key: str) -> bool:
    """Return True for the keys of attributes that hold an HTTP status code."""
    return key in _HTTP_STATUS


def may_mark_errors(key: str) -> bool:
    """Return True for the keys of attributes that :func:`status_in` looks at."""
    return key == "error" or key in _HTTP_STATUS or key.startswith(_ERRORS)


def status_in(pairs: Named, keys: Iterable[str]) -> tuple[int, str] | None:
    """Return the status that a span's attributes imply: an error for error.* and for HTTP 500 and above.

    Args:
        pairs: The attributes.
        keys: Those of them that may mark an error (:func:`may_mark_errors`).
    """
    failed = False
    for key in keys:
        if key == "error" or key.startswith(_ERRORS):
            value = pairs[key]
            failed = failed or bool(
                value if not isinstance(value, str) else value.lower() not in _NOT_AN_ERROR
            )
        else:
            failed = failed or _is_server_error(pairs[key])
    if not failed:
        return None
    for key in _ERROR_MESSAGES:
        message = pairs.get(key)
        if isinstance(message, str) and message:
            return StatusCode.ERROR, message
    message = pairs.get("error")
    return StatusCode.ERROR, message if isinstance(message, str) and message != "true" else ""


def attributes(value: Any) -> Mapping[str, AttributeInput]:
    """Return attributes given as a dict or as OTLP's list of ``{key, value}``.

    Raises:
        InvalidTraceError: They are neither.
    """
    if isinstance(value, dict):
        return value
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return {str(key): each for key, each in value.items()}
    if not isinstance(value, list | tuple):
        raise InvalidTraceError(f"{shown(value)} is neither a dict nor a list of {{key, value}}")
    found: dict[str, AttributeInput] = {}
    for number, each in enumerate(value):
        if not isinstance(each, Mapping) or not isinstance(each.get("key"), str):
            raise InvalidTraceError(f"[{number}]: {shown(each)} is not {{key, value}}")
        found[each["key"]] = at(f"[{number}].value", _plain, each.get("value"))
    return found


def events(value: Any, start_ns: int) -> list[EventDraft]:
    """Return the events of a span; one without a time has the span's start.

    Raises:
        InvalidTraceError: One is not an event.
    """
    return [
        at(f"[{number}]", lambda e: _event(e, start_ns), each) for number, each in enumerate(_listed(value))
    ]


def links(value: Any) -> list[LinkDraft]:
    """Return the links of a span.

    Raises:
        InvalidTraceError: One is not a link.
    """
    return [at(f"[{number}]", _link, each) for number, each in enumerate(_listed(value))]


def _event(value: Any, start_ns: int) -> EventDraft:
    if isinstance(value, str):
        return EventDraft(name=value, time_ns=start_ns)
    if not isinstance(value, Mapping):
        raise InvalidTraceError(f"{shown(value)} is not an event")
    name = value.get("name", "")
    if not isinstance(name, str):
        raise InvalidTraceError(f".name: {shown(name)} is not a text")
    time = at(".timeUnixNano", exact_ns, first_of(value, ("timeUnixNano", "time_unix_nano")))
    if time is None:
        time = at(".time", unix_ns, first_of(value, ("timestamp", "time")))
    pairs = at(".attributes", attributes, value.get("attributes"))
    return EventDraft(name=name, time_ns=start_ns if time is None else time, attributes=pairs)


def _link(value: Any) -> LinkDraft:
    if not isinstance(value, Mapping):
        raise InvalidTraceError(f"{shown(value)} is not a link")
    context = value.get("context")
    where = context if isinstance(context, Mapping) else value
    trace, _ = at(".trace_id", trace_id, first_of(where, ("trace_id", "traceId")))
    span, _ = at(".span_id", lambda each: span_id(each, trace), first_of(where, ("span_id", "spanId")))
    return LinkDraft(
        trace_id=trace, span_id=span, attributes=at(".attributes", attributes, value.get("attributes"))
    )


def _listed(value: Any) -> list[Any] | tuple[Any, ...]:
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise InvalidTraceError(f"{shown(value)} is not a list")
    return value


def _plain(value: Any) -> AttributeInput:
    """Return the value of an AnyValue in JSON; what is no AnyValue stands for itself."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return value
    ((name, content),) = value.items()
    match _ATTRIBUTE_VALUES.get(name, name):
        case "int_value":
            try:
                return int(content)
            except (TypeError, ValueError):
                raise InvalidTraceError(f"{shown(content)} is not a whole number") from None
        case "double_value":
            try:
                return float(content)
            except (TypeError, ValueError):
                raise InvalidTraceError(f"{shown(content)} is not a number") from None
        case "string_value" | "bool_value" | "bytes_value":
            return content
        case "array_value":
            return [_plain(each) for each in _values(content)]
        case "kvlist_value":
            return dict(attributes(_values(content)))
    return value


def _values(content: Any) -> list[Any]:
    found = content.get("values", []) if isinstance(content, Mapping) else content
    if not isinstance(found, list):
        raise InvalidTraceError(f"{shown(found)} is not a list of values")
    return found


def _is_server_error(value: Any) -> bool:
    if isinstance(value, str) and value.isdecimal() and len(value) <= 3:
        value = int(value)
    return isinstance(value, int | float) and 500 <= value < 600


def _hex(text: str, size: int) -> bytes | None:
    digits = text.removeprefix("0x")
    if len(digits) != 2 * size or not digits.isascii() or not digits.isalnum():
        return None
    try:
        found = bytes.fromhex(digits)
    except ValueError:
        return None
    return found if any(found) else None


def shown(value: Any) -> str:
    """Return a value as an error message shows it: short, and never more than its type where it is a structure."""
    if isinstance(value, str):
        return repr(value) if len(value) <= 60 else f"{value[:57]!r}…"
    if isinstance(value, int) and abs(value) < 1 << 64:
        return str(value)
    if value is None:
        return "nothing"
    return f"a value of type {type(value).__name__}"
