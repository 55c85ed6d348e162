"""What a comparison of two traces found, in sentences made of its figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from receiver.query.outline_spans import counted

_MOST_NAMED = 3


def summary(answer: Mapping[str, Any], counts: Mapping[str, int]) -> list[str]:
    """Return the sentences, the whole trace first.

    Args:
        answer: Of :func:`receiver.query.comparison.comparison_of`.
        counts: How long each of its lists was before it was cut.
    """
    said: list[str] = []
    a, b = answer["a"], answer["b"]
    if not answer["same_root"]:
        said.append(f"The traces begin with different operations: {_root(a)} and {_root(b)}.")
    difference = b["duration_ms"] - a["duration_ms"]
    if difference:
        word = "longer" if difference > 0 else "shorter"
        said.append(
            f"b took {_ms(abs(difference))} {word} than a ({_ms(a['duration_ms'])} to {_ms(b['duration_ms'])})."
        )
    if a["span_count"] != b["span_count"]:
        said.append(f"a has {counted(a['span_count'], 'span')}, b has {b['span_count']}.")
    for name, more in (("slower", "+"), ("faster", "-")):
        for each in answer[name][:_MOST_NAMED]:
            own = each["self_difference_ms"]
            if own * (1 if more == "+" else -1) > 0:
                said.append(
                    f"{each['way'][-1]} took {more}{_ms(abs(each['difference_ms']))},"
                    f" {more}{_ms(abs(own))} of it in itself ({each['a']['count']} to {counted(each['b']['count'], 'span')})."
                )
    for letter in "ab":
        only = answer[f"only_in_{letter}"]
        if only:
            spans = sum(each["count"] + each["spans_below"] for each in only)
            said.append(
                f"Only in {letter}: {_named(only)} ({counted(spans, 'span')}{_more(counts[f'only_in_{letter}'], only)})."
            )
        failed = answer[f"errors_only_in_{letter}"]
        if failed:
            reason = (
                failed[0]["status_message"] or (failed[0]["exception"] or {}).get("message") or "no message"
            )
            said.append(f"Failed only in {letter}: {_named(failed)} ({reason}).")
    if answer["attributes"]:
        keys = ", ".join(each["key"] for each in answer["attributes"][:_MOST_NAMED])
        said.append(f"The roots differ in {counted(counts['attributes'], 'attribute')}: {keys}.")
    return said or ["The traces do not differ in structure, errors, or durations beyond the rule."]


def _root(side: Mapping[str, Any]) -> str:
    return f"{side['service'] or ''}: {side['name']}" if side["name"] else "no span"


def _named(ways: list[Mapping[str, Any]]) -> str:
    return ", ".join(each["way"][-1] for each in ways[:_MOST_NAMED])


def _more(count: int, shown: list[Any]) -> str:
    return f", and {counted(count - len(shown), 'way')} more" if count > len(shown) else ""


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.4g} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.4g} s"
