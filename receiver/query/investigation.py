"""What changed, what failed and where: a window of time against its baseline, ranked, with traces to look at next.

Pure: the store's figures in, a small answer out. :mod:`receiver.query.investigation_rules` says which changes count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from receiver.errors import InvalidFilterError
from receiver.ports import Rows
from receiver.query import investigation_rules as rules
from receiver.query.investigation_deployments import deployments_of
from receiver.query.investigation_words import summary
from receiver.query.outline_spans import cut, moment
from receiver.questions import (
    FailureGroup,
    ModelFigures,
    OperationFigures,
    OperationPair,
    TimeWindow,
    WindowFigures,
    WindowQuestion,
)


def windows_of(
    since_ns: int, until_ns: int, baseline_since_ns: int | None, baseline_until_ns: int | None
) -> tuple[TimeWindow, TimeWindow]:
    """Return the window and its baseline; what is not said of the baseline makes it as long, right before.

    Raises:
        InvalidFilterError: One is empty, or they overlap.
    """
    if since_ns >= until_ns:
        raise InvalidFilterError("since must be before until", hint="since=1h looks at the last hour")
    if baseline_until_ns is None and baseline_since_ns is not None:
        end = baseline_since_ns + until_ns - since_ns
        baseline_until_ns = min(end, since_ns) if baseline_since_ns < since_ns else end
    elif baseline_until_ns is None:
        baseline_until_ns = since_ns
    if baseline_since_ns is None:
        baseline_since_ns = max(0, baseline_until_ns - (until_ns - since_ns))
    if baseline_since_ns >= baseline_until_ns:
        raise InvalidFilterError("the baseline is empty", hint="baseline_since must be before baseline_until")
    if baseline_since_ns < until_ns and since_ns < baseline_until_ns:
        raise InvalidFilterError(
            "the window and its baseline overlap",
            hint="leave the baseline out: it is the time before the window",
        )
    return TimeWindow(since_ns, until_ns), TimeWindow(baseline_since_ns, baseline_until_ns)


def investigation_of(
    figures: WindowFigures, question: WindowQuestion, *, prepare: Callable[[str], str], limit: int
) -> dict[str, Any]:
    """Return the answer.

    Args:
        figures: Of the store.
        question: That they answer.
        prepare: Masks numbers and ids of a message, so that messages group.
        limit: Most entries of each section; ``cut`` says how many more there were.
    """
    compared = [pair for pair in figures.operations if rules.comparable(pair)]
    messages = [each for each in _merged(figures.messages, prepare) if not each["baseline_count"]]
    new, vanished = _come_and_gone(figures, question)
    sections: dict[str, Rows] = {
        "latency": _latency(compared),
        "error_rates": _error_rates(compared),
        "new_operations": new,
        "vanished_operations": vanished,
        "errors": _merged(figures.failures, prepare),
        "origins": _origins(figures),
        "new_error_logs": messages,
        "deployments": deployments_of(figures.resources),
        "models": _models(figures),
    }
    answer: dict[str, Any] = {
        "service": question.service,
        "window": _window(question.window),
        "baseline": _window(question.baseline),
        "totals": {
            "window": _totals([pair.window for pair in figures.operations]),
            "baseline": _totals([pair.baseline for pair in figures.operations]),
            "operations_compared": len(compared),
            "failed_traces": figures.failed_traces,
        },
        **{name: found[:limit] for name, found in sections.items()},
        "cut": {name: len(found) - limit for name, found in sections.items() if len(found) > limit},
        "rule": rules.RULE,
        "note": _note(figures, question),
        "truncated": figures.truncated,
    }
    return {"summary": summary(answer), **answer}


def _latency(compared: list[OperationPair]) -> Rows:
    found: Rows = []
    for pair in compared:
        verdict = rules.judged_durations(pair, len(compared))
        if verdict is None:
            continue
        added = {
            name: (getattr(pair.window, name) or 0.0) - (getattr(pair.baseline, name) or 0.0)
            for name in ("p50_ms", "p95_ms")
        }
        found.append(
            {
                **_operation(pair),
                "change": verdict.word,
                "window": _durations(pair.window),
                "baseline": _durations(pair.baseline),
                "p50_difference_ms": added["p50_ms"],
                "p95_difference_ms": added["p95_ms"],
                "p95_ratio": _ratio(pair.window.p95_ms, pair.baseline.p95_ms),
                "p_value": verdict.p_value,
                "trace_ids": list(pair.slowest),
            }
        )
    return sorted(found, key=lambda each: (each["change"] == "faster", -_weight(each), each["name"]))


def _weight(entry: dict[str, Any]) -> float:
    """Return about how much time the change added up to: slower for all, or for the slowest tenth."""
    each = max(abs(entry["p50_difference_ms"]), abs(entry["p95_difference_ms"]) / 10)
    return float(each * entry["window"]["count"])


def _error_rates(compared: list[OperationPair]) -> Rows:
    found: Rows = []
    for pair in compared:
        verdict = rules.judged_errors(pair, len(compared))
        if verdict is None:
            continue
        found.append(
            {
                **_operation(pair),
                "change": verdict.word,
                "window": _rates(pair.window),
                "baseline": _rates(pair.baseline),
                "p_value": verdict.p_value,
                "trace_ids": list(pair.failed or pair.slowest),
            }
        )
    return sorted(
        found, key=lambda each: (each["change"] == "fewer_errors", -each["window"]["errors"], each["name"])
    )


def _come_and_gone(figures: WindowFigures, question: WindowQuestion) -> tuple[Rows, Rows]:
    pairs = figures.operations
    new: Rows = []
    vanished: Rows = []
    # Where one side has nothing at all everything would be new, or gone: the note says it once.
    if any(pair.baseline.count for pair in pairs) and any(pair.window.count for pair in pairs):
        for pair in pairs:
            now, before = pair.window.count, pair.baseline.count
            if rules.appeared(now, before, question, in_window=True):
                new.append(_present(pair, pair.window))
            elif rules.appeared(before, now, question, in_window=False):
                vanished.append(_present(pair, pair.baseline))
    new.sort(key=_most_first)
    vanished.sort(key=_most_first)
    return new, vanished


def _most_first(line: dict[str, Any]) -> tuple[int, str]:
    return -line["count"], line["name"]


def _present(pair: OperationPair, figures: OperationFigures) -> dict[str, Any]:
    return {
        **_operation(pair),
        "count": figures.count,
        "errors": figures.errors,
        "p95_ms": figures.p95_ms,
        "trace_ids": list(pair.slowest),
    }


def _merged(groups: Sequence[FailureGroup], prepare: Callable[[str], str]) -> Rows:
    """Return groups whose messages say the same, new ones first, then the ones with the most records."""
    merged: dict[tuple[str, str], list[FailureGroup]] = {}
    for group in groups:
        merged.setdefault((group.type, prepare(group.message)), []).append(group)
    found: Rows = []
    for each in merged.values():
        present = [group for group in each if group.count]
        if not present:
            continue
        count, before = sum(group.count for group in each), sum(group.baseline_count for group in each)
        traces = [trace for group in present for trace in group.traces]
        found.append(
            {
                "type": present[0].type,
                "message": cut(present[0].message),
                "count": count,
                "baseline_count": before,
                "new": before == 0,
                **moment("first", min(group.first_ns for group in present)),
                **moment("last", max(group.last_ns for group in present)),
                "services": sorted({service for group in present for service in group.services}),
                "trace_ids": list(dict.fromkeys(traces))[: max(len(group.traces) for group in present)],
            }
        )
    return sorted(found, key=lambda line: (not line["new"], -line["count"], line["message"]))


def _origins(figures: WindowFigures) -> Rows:
    return [
        {
            "service": origin.service,
            "name": cut(origin.name),
            "kind": origin.kind,
            "message": origin.message,
            "traces": origin.traces,
            "share": round(origin.traces / figures.failed_traces, 4) if figures.failed_traces else 0.0,
            "trace_ids": list(origin.examples),
        }
        for origin in figures.origins
    ]


def _models(figures: WindowFigures) -> Rows:
    return [
        {
            "model": pair.model,
            "window": _calls(pair.window),
            "baseline": _calls(pair.baseline),
            "tokens_difference": _tokens(pair.window) - _tokens(pair.baseline),
            "tokens_per_call_ratio": _ratio(_per_call(pair.window), _per_call(pair.baseline)),
            "trace_ids": list(pair.largest),
        }
        for pair in sorted(
            figures.models, key=lambda each: (-abs(_tokens(each.window) - _tokens(each.baseline)), each.model)
        )
    ]


def _calls(figures: ModelFigures) -> dict[str, Any]:
    return {
        "calls": figures.calls,
        "errors": figures.errors,
        "input_tokens": figures.input_tokens,
        "output_tokens": figures.output_tokens,
    }


def _tokens(figures: ModelFigures) -> int:
    return figures.input_tokens + figures.output_tokens


def _per_call(figures: ModelFigures) -> float | None:
    return _tokens(figures) / figures.calls if figures.calls else None


def _operation(pair: OperationPair) -> dict[str, Any]:
    return {"service": pair.service, "name": cut(pair.name), "kind": pair.kind}


def _durations(figures: OperationFigures) -> dict[str, Any]:
    return {
        "count": figures.count,
        "p50_ms": figures.p50_ms,
        "p95_ms": figures.p95_ms,
        "p99_ms": figures.p99_ms,
    }


def _rates(figures: OperationFigures) -> dict[str, Any]:
    return {
        "count": figures.count,
        "errors": figures.errors,
        "error_rate": round(rules.error_rate(figures), 6),
    }


def _totals(figures: list[OperationFigures]) -> dict[str, Any]:
    return {"spans": sum(each.count for each in figures), "errors": sum(each.errors for each in figures)}


def _window(window: TimeWindow) -> dict[str, Any]:
    return {**moment("since", window.since_ns), **moment("until", window.until_ns)}


def _ratio(now: float | None, before: float | None) -> float | None:
    return round(now / before, 3) if now is not None and before else None


def _note(figures: WindowFigures, question: WindowQuestion) -> str | None:
    whose = f"of the service {question.service!r} " if question.service else ""
    now = any(resource.count for resource in figures.resources)
    before = any(resource.baseline_count for resource in figures.resources)
    if not now and not before:
        return (
            f"no span and no log record {whose}is stored in these times; list services shows names and times"
        )
    if not now:
        return f"no span and no log record {whose}is stored in the window"
    if not before:
        return f"no span and no log record {whose}is stored in the baseline: nothing can be called a change"
    return None
