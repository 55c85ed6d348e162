"""A window of time beside its baseline: every figure is an aggregate of one scan of the two stretches.

No record reaches Python. Groups are bounded by the question, texts are cut before they are grouped. Durations are
counted in exponential buckets: their memory does not grow with the spans, a quantile (the mean of the bucket in which
it falls) is at most 9 % off, and how many spans are longer than a limit comes from the same counts.
"""

from __future__ import annotations

from typing import Any

import duckdb

from receiver.questions import (
    FailureGroup,
    FailureOrigin,
    Filters,
    ModelFigures,
    ModelPair,
    OperationFigures,
    OperationPair,
    ResourceWindow,
    TimeWindow,
    WindowFigures,
    WindowQuestion,
)
from receiver.signals import Signal
from receiver.store.read_filters import TIME, Conditions, conditions
from receiver.store.read_values import ERROR_SEVERITY, json_value, kind_text

_SERVICES = "(SELECT resource_id, coalesce(any_value(service_name), '') AS service FROM resources GROUP BY resource_id)"
# CASE, because AND may compute the difference first, and below zero it is an error
_DURATION = (
    "CASE WHEN r.end_time_unix_nano >= r.start_time_unix_nano AND r.end_time_unix_nano < 9223372036854775807"
    " THEN (r.end_time_unix_nano - r.start_time_unix_nano)::DOUBLE END"
)
_BUCKETS_PER_E = 11.5416
"""8 / ln 2: the bounds of buckets grow by 2^(1/8), as in OpenTelemetry's exponential histograms of scale 3.

Source: https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram
"""
_TEXT = 300
"""Characters of a message that are looked at."""
# Ids, hashes and long numbers, so that the database groups what differs in them only; the rest is masked by the
# query service, which knows the rules of the texts. RE2 has no look-ahead: words of hexadecimal letters are masked.
_NOISE = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:]{8}([.,][0-9]+)?(Z|[+-][0-9]{2}:?[0-9]{2})?"
    r"|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|\b(0x)?[0-9a-fA-F]{8,}\b|[0-9]{5,}"
    r"|[0-9]+(\.[0-9]+)?\s?(ns|us|µs|ms|s|m|h|B|KB|MB|KiB|MiB|bytes|seconds|milliseconds)\b"
)
_MOST_FAILED_TRACES = 5000
_BESIDE_NS = 3600 * 1_000_000_000
"""So long before and after the window spans of its failed traces are looked for."""
_AGENT_OPERATIONS = ("invoke_agent", "create_agent", "invoke_workflow", "execute_tool", "plan")
"""Operations whose spans repeat the model and the tokens of the calls below them.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-agent-spans/
"""
_TOKENS = {
    "input": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "input_tokens"),
    "output": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "output_tokens"),
}


def window_figures(cursor: duckdb.DuckDBPyConnection, question: WindowQuestion) -> WindowFigures:
    """Return everything that is compared between a window and its baseline."""
    operations = _operations(cursor, question)
    failures = _failures(cursor, question)
    origins, failed = _origins(cursor, question)
    messages = _messages(cursor, question)
    resources = _resources(cursor, question)
    models = _models(cursor, question)
    most = question.groups
    every = (operations, failures, origins, messages, resources, models)
    return WindowFigures(
        operations=operations[:most],
        failures=failures[:most],
        origins=origins[:most],
        failed_traces=failed,
        messages=messages[:most],
        resources=resources[:most],
        models=models[:most],
        truncated=failed >= _MOST_FAILED_TRACES or any(len(each) > most for each in every),
    )


def _both(question: WindowQuestion, signal: Signal, *, alone: bool = False) -> Conditions:
    """Return the conditions on records of the two stretches, or of the window alone."""
    window, baseline = question.window, question.baseline
    asked = conditions(
        Filters(
            service=question.service,
            since_ns=window.since_ns if alone else min(window.since_ns, baseline.since_ns),
            until_ns=window.until_ns if alone else max(window.until_ns, baseline.until_ns),
        ),
        signal,
    )
    if not alone:
        inside = f"({TIME[signal]} >= ?::UBIGINT AND {TIME[signal]} < ?::UBIGINT)"
        asked.add(f"{inside} OR {inside}", *_ends(window), *_ends(baseline))
    return asked


def _ends(window: TimeWindow) -> tuple[int, int]:
    return window.since_ns, window.until_ns


def _now(question: WindowQuestion, signal: Signal) -> tuple[str, list[int]]:
    """Return the expression that is true in the window, and its values."""
    return f"({TIME[signal]} >= ?::UBIGINT AND {TIME[signal]} < ?::UBIGINT)", list(_ends(question.window))


def _operations(cursor: duckdb.DuckDBPyConnection, question: WindowQuestion) -> list[OperationPair]:
    asked = _both(question, Signal.TRACES)
    now, now_values = _now(question, Signal.TRACES)
    rows = cursor.execute(
        "WITH found AS (SELECT coalesce(s.service, '') AS service, r.name, r.kind, r.trace_id,"
        f" r.start_time_unix_nano AS started, r.status_code = 2 AS failed, {now} AS now, {_DURATION} AS took"
        f" FROM spans r LEFT JOIN {_SERVICES} s USING (resource_id) WHERE {asked.sql}),"
        # States of fixed size, so that the grouping can go to disk where memory is short.
        " histogram AS (SELECT service, name, kind, now,"
        f" CASE WHEN took < 1 THEN -1 ELSE floor(ln(took) * {_BUCKETS_PER_E}) END AS bucket,"
        " count(*) AS n, count(*) FILTER (failed) AS errors, avg(took) AS mean, max(took) AS longest,"
        " arg_max(trace_id, took) AS slow, max(started) FILTER (failed) AS failed_at,"
        " arg_max(trace_id, started) FILTER (failed) AS failing FROM found GROUP BY ALL),"
        " ranked AS (SELECT *, sum(n) OVER (PARTITION BY service, name, kind, now ORDER BY bucket) AS upto,"
        " sum(n) FILTER (bucket IS NOT NULL) OVER (PARTITION BY service, name, kind, now) AS timed,"
        " sum(n) OVER (PARTITION BY service, name, kind ORDER BY bucket) AS upto_both,"
        " sum(n) FILTER (bucket IS NOT NULL) OVER (PARTITION BY service, name, kind) AS timed_both FROM histogram),"
        " split AS (SELECT *,"
        " min(bucket) FILTER (upto_both >= 0.5 * timed_both) OVER (PARTITION BY service, name, kind) AS median,"
        " min(bucket) FILTER (upto_both >= 0.9 * timed_both) OVER (PARTITION BY service, name, kind) AS p90"
        " FROM ranked)"
        f" SELECT service, name, kind, {_figures_of('now')}, {_figures_of('NOT now')},"
        " arg_max(slow, longest, ?) FILTER (now), arg_max(slow, longest, ?) FILTER (NOT now),"
        " arg_max(failing, failed_at, ?) FILTER (now)"
        " FROM split GROUP BY service, name, kind ORDER BY sum(n) DESC, service, name, kind LIMIT ?",
        [*now_values, *asked.values, *3 * [question.examples], question.groups + 1],
    ).fetchall()
    return [
        OperationPair(
            service=row[0],
            name=row[1],
            kind=kind_text(row[2]),
            window=_figures(row[3:11]),
            baseline=_figures(row[11:19]),
            slowest=_hex(row[19] or row[20], question.examples),
            failed=_hex(row[21], question.examples),
        )
        for row in rows
    ]


def _figures_of(side: str) -> str:
    """Return the columns of :class:`OperationFigures` of one stretch, of the histograms of an operation."""
    quantiles = (
        f"arg_min(mean, bucket) FILTER ({side} AND upto >= {share} * timed)" for share in (0.5, 0.95, 0.99)
    )
    above = (f"sum(n) FILTER ({side} AND bucket > {limit})" for limit in ("median", "p90"))
    timed = f"sum(n) FILTER ({side} AND bucket IS NOT NULL)"
    return ", ".join((f"sum(n) FILTER ({side}), sum(errors) FILTER ({side})", *quantiles, timed, *above))


def _figures(row: tuple[Any, ...]) -> OperationFigures:
    count, errors, p50, p95, p99, *counts = row
    p50_ms, p95_ms, p99_ms = (None if each is None else each / 1e6 for each in (p50, p95, p99))
    timed, above_median, above_p90 = (int(each or 0) for each in counts)
    return OperationFigures(
        int(count or 0), int(errors or 0), p50_ms, p95_ms, p99_ms, timed, above_median, above_p90
    )


def _failures(cursor: duckdb.DuckDBPyConnection, question: WindowQuestion) -> list[FailureGroup]:
    asked = _both(question, Signal.TRACES)
    asked.add("r.status_code = 2")
    now, now_values = _now(question, Signal.TRACES)
    thrown = "list_filter(r.events, lambda e: e.name = 'exception')[-1].attributes"
    rows = cursor.execute(
        "WITH found AS (SELECT r.trace_id, r.resource_id, r.start_time_unix_nano AS moment, "
        f"{now} AS now, r.status_message AS said, r.attr_error_type AS error_type, {thrown} AS thrown"
        f" FROM spans r WHERE {asked.sql}),"
        " named AS (SELECT trace_id, resource_id, moment, now,"
        " left(coalesce(TRY(thrown ->> '/exception.type'), error_type, ''), 200) AS type,"
        f" left(coalesce(nullif(said, ''), TRY(thrown ->> '/exception.message'), ''), {_TEXT}) AS message FROM found)"
        f" {_GROUPED}",
        [*now_values, *asked.values, _NOISE, question.groups + 1],
    ).fetchall()
    return [_group(row, question.examples) for row in rows]


def _messages(cursor: duckdb.DuckDBPyConnection, question: WindowQuestion) -> list[FailureGroup]:
    asked = _both(question, Signal.LOGS)
    asked.add("r.severity_number >= ?", ERROR_SEVERITY)
    now, now_values = _now(question, Signal.LOGS)
    rows = cursor.execute(
        f"WITH named AS (SELECT r.trace_id, r.resource_id, {TIME[Signal.LOGS]} AS moment, {now} AS now,"
        f" left(r.event_name, 200) AS type, left(coalesce(r.body, ''), {_TEXT}) AS message"
        f" FROM logs r WHERE {asked.sql}) {_GROUPED}",
        [*now_values, *asked.values, _NOISE, question.groups + 1],
    ).fetchall()
    return [_group(row, question.examples) for row in rows]


# What is new comes first, so that no crowd of known failures hides it.
_GROUPED = (
    "SELECT n.type, any_value(n.message), count(*) FILTER (n.now) AS a, count(*) FILTER (NOT n.now) AS b,"
    " coalesce(min(n.moment) FILTER (n.now), min(n.moment)), coalesce(max(n.moment) FILTER (n.now), max(n.moment)), list(DISTINCT s.service) FILTER (n.now),"
    # one trace may have many of them, and stands there once
    " arg_max(n.trace_id, n.moment, 20) FILTER (n.now) FROM (SELECT *, regexp_replace(message, ?, '#', 'g') AS form FROM named) n"
    f" LEFT JOIN {_SERVICES} s USING (resource_id) GROUP BY n.type, n.form"
    " ORDER BY a = 0, b > 0, a DESC, n.type, n.form LIMIT ?"
)


def _group(row: tuple[Any, ...], examples: int) -> FailureGroup:
    kind, message, count, before, first, last, services, traces = row
    return FailureGroup(
        type=kind,
        message=message,
        count=count,
        baseline_count=before,
        first_ns=first,
        last_ns=last,
        services=tuple(sorted(each for each in services or () if each)),
        traces=_hex(traces, examples),
    )


def _origins(cursor: duckdb.DuckDBPyConnection, question: WindowQuestion) -> tuple[list[FailureOrigin], int]:
    """Return where failed traces failed first, and how many traces that are.

    A failed span with a failed child passes a failure on; of the others of a trace the one that ended first began it.
    """
    asked = _both(question, Signal.TRACES, alone=True)
    window = question.window
    common = (
        "WITH failed AS (SELECT r.trace_id, max(r.start_time_unix_nano) AS newest FROM spans r"
        f" WHERE {asked.sql} AND r.status_code = 2 GROUP BY r.trace_id ORDER BY newest DESC"
        f" LIMIT {_MOST_FAILED_TRACES})"
    )
    rows = cursor.execute(
        f"{common}, bad AS (SELECT r.trace_id, r.span_id, r.parent_span_id, r.name, r.kind, r.resource_id,"
        f" r.end_time_unix_nano AS ended, left(r.status_message, {_TEXT}) AS message"
        " FROM spans r SEMI JOIN failed USING (trace_id) WHERE r.status_code = 2"
        " AND r.start_time_unix_nano >= ?::UBIGINT AND r.start_time_unix_nano < ?::UBIGINT),"
        " passed_on AS (SELECT DISTINCT trace_id, parent_span_id AS span_id FROM bad"
        " WHERE parent_span_id IS NOT NULL AND parent_span_id <> span_id),"
        " begun AS (SELECT trace_id, arg_min({'name': name, 'kind': kind, 'resource_id': resource_id,"
        " 'message': message}, ended) AS x, min(ended) AS ended"
        " FROM bad ANTI JOIN passed_on USING (trace_id, span_id) GROUP BY trace_id)"
        " SELECT coalesce(s.service, '') AS service, x.name AS name, x.kind AS kind, count(*) AS traces,"
        " arg_max(x.message, b.ended), arg_max(b.trace_id, b.ended, ?), (SELECT count(*) FROM failed)"
        f" FROM begun b LEFT JOIN {_SERVICES} s ON s.resource_id = x.resource_id"
        " GROUP BY ALL ORDER BY traces DESC, service, name LIMIT ?",
        [
            *asked.values,
            max(0, window.since_ns - _BESIDE_NS),
            min(2**64 - 1, window.until_ns + _BESIDE_NS),
            question.examples,
            question.groups + 1,
        ],
    ).fetchall()
    found = [
        FailureOrigin(service, name, kind_text(kind), message, traces, _hex(examples, question.examples))
        for service, name, kind, traces, message, examples, _ in rows
    ]
    return found, rows[0][-1] if rows else 0


def _resources(cursor: duckdb.DuckDBPyConnection, question: WindowQuestion) -> list[ResourceWindow]:
    parts: list[str] = []
    values: list[Any] = []
    for signal, table in ((Signal.TRACES, "spans"), (Signal.LOGS, "logs")):
        asked = _both(question, signal)
        now, now_values = _now(question, signal)
        parts.append(
            f"SELECT r.resource_id, {TIME[signal]} AS moment, {now} AS now FROM {table} r WHERE {asked.sql}"
        )
        values += [*now_values, *asked.values]
    rows = cursor.execute(
        f"WITH seen AS (SELECT resource_id, count(*) FILTER (now) AS a, count(*) FILTER (NOT now) AS b,"
        f" coalesce(min(moment) FILTER (now), min(moment)) AS first FROM ({' UNION ALL '.join(parts)})"
        " GROUP BY resource_id ORDER BY a + b DESC, resource_id LIMIT ?)"
        " SELECT coalesce(any_value(x.service_name), ''), any_value(x.attributes), a, b, first"
        " FROM seen JOIN resources x USING (resource_id) GROUP BY resource_id, a, b, first ORDER BY first, 1",
        [*values, question.groups + 1],
    ).fetchall()
    found = []
    for service, attributes, count, before, first in rows:
        said = json_value(attributes)
        found.append(ResourceWindow(service, said if isinstance(said, dict) else {}, count, before, first))
    return found


def _models(cursor: duckdb.DuckDBPyConnection, question: WindowQuestion) -> list[ModelPair]:
    asked = _both(question, Signal.TRACES)
    asked.add("r.attr_gen_ai_request_model IS NOT NULL")
    agents = ", ".join(f"'{each}'" for each in _AGENT_OPERATIONS)
    asked.add(f"coalesce(TRY(r.attributes ->> '/gen_ai.operation.name'), '') NOT IN ({agents})")
    now, now_values = _now(question, Signal.TRACES)
    read, written = (_tokens(keys) for keys in _TOKENS.values())
    rows = cursor.execute(
        f"WITH found AS (SELECT left(r.attr_gen_ai_request_model, 200) AS model, r.trace_id, {now} AS now,"
        f" r.status_code = 2 AS failed, {read} AS read, {written} AS written FROM spans r WHERE {asked.sql})"
        " SELECT model, count(*) FILTER (now), count(*) FILTER (now AND failed), sum(read) FILTER (now),"
        " sum(written) FILTER (now), count(*) FILTER (NOT now), count(*) FILTER (NOT now AND failed),"
        " sum(read) FILTER (NOT now), sum(written) FILTER (NOT now),"
        " arg_max(trace_id, read + written, 20) FILTER (now)"
        " FROM found GROUP BY model ORDER BY sum(read + written) DESC NULLS LAST, model LIMIT ?",
        [*now_values, *asked.values, question.groups + 1],
    ).fetchall()
    return [
        ModelPair(
            model=row[0],
            window=ModelFigures(row[1], row[2], int(row[3] or 0), int(row[4] or 0)),
            baseline=ModelFigures(row[5], row[6], int(row[7] or 0), int(row[8] or 0)),
            largest=_hex(row[9], question.examples),
        )
        for row in rows
    ]


def _tokens(keys: tuple[str, ...]) -> str:
    """Return the expression for the first of these attributes that is there; 0 where none is a number."""
    said = ", ".join(f"TRY(r.attributes ->> '/{key}')" for key in keys)
    return f"greatest(0, coalesce(TRY_CAST(coalesce({said}) AS BIGINT), 0))"


def _hex(traces: Any, most: int) -> tuple[str, ...]:
    """Return ids as they are shown, each once."""
    return tuple(dict.fromkeys(each.hex for each in traces or () if each is not None))[:most]
