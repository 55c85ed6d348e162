"""What an investigation found, in sentences made of its figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from receiver.query.outline_spans import counted, operation_text

_NOTHING = "No change that counts, and no failure, was found; rule says what counts."


def summary(answer: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each section that has something, about its first entry.

    Args:
        answer: Of :func:`receiver.query.investigation.investigation_of`.
    """
    cut = answer["cut"]
    said: list[str] = []
    for name, sentence in _SENTENCES.items():
        found = answer[name]
        if not found:
            continue
        more = len(found) + cut.get(name, 0) - 1
        said.append(sentence(found[0]) + (f", and {more} more" if more else "") + ".")
    return said or [_NOTHING]


def _deployment(each: Mapping[str, Any]) -> str:
    before = f", before: {', '.join(each['before'])}" if each["before"] else ""
    return f"{each['service'] or 'A service'} has {each['attribute']} {each['value']} since {each['first']}{before}"


def _origin(each: Mapping[str, Any]) -> str:
    return (
        f"{counted(each['traces'], 'failed trace')} ({each['share']:.0%}) failed first in {_operation(each)}"
    )


def _error_rate(each: Mapping[str, Any]) -> str:
    now, before = each["window"], each["baseline"]
    return (
        f"{_operation(each)} fails in {now['error_rate']:.2%} of {counted(now['count'], 'span')},"
        f" before in {before['error_rate']:.2%} of {before['count']}"
    )


def _latency(each: Mapping[str, Any]) -> str:
    now, before = each["window"], each["baseline"]
    return (
        f"{_operation(each)} is {each['change']}: p95 {before['p95_ms']:.4g} to {now['p95_ms']:.4g} ms,"
        f" p50 {before['p50_ms']:.4g} to {now['p50_ms']:.4g} ms"
    )


def _error(each: Mapping[str, Any]) -> str:
    what = ": ".join(part for part in (each["type"], each["message"]) if part) or "errors without a message"
    return f"{'New error' if each['new'] else 'Error'} in {counted(each['count'], 'span')} (before: {each['baseline_count']}): {what}"


def _message(each: Mapping[str, Any]) -> str:
    return f"New message in {counted(each['count'], 'log record')} at error level: {each['message'] or each['type']}"


def _new(each: Mapping[str, Any]) -> str:
    return f"{_operation(each)} is new ({counted(each['count'], 'span')})"


def _vanished(each: Mapping[str, Any]) -> str:
    return f"{_operation(each)} is gone ({counted(each['count'], 'span')} before)"


def _model(each: Mapping[str, Any]) -> str:
    now, before = each["window"], each["baseline"]
    tokens = [side["input_tokens"] + side["output_tokens"] for side in (before, now)]
    return (
        f"{each['model']}: {before['calls']} to {now['calls']} calls, {tokens[0]} to {tokens[1]} tokens,"
        f" {before['errors']} to {now['errors']} errors"
    )


def _operation(each: Mapping[str, Any]) -> str:
    return operation_text(each["service"], each["name"])


_SENTENCES = {
    "error_rates": _error_rate,
    "latency": _latency,
    "origins": _origin,
    "errors": _error,
    "new_error_logs": _message,
    "deployments": _deployment,
    "new_operations": _new,
    "vanished_operations": _vanished,
    "models": _model,
}
"""By section, in the order in which they are read."""
