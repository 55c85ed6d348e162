"""From texts, or words, to records: the best record of each trace, chosen in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import duckdb

from receiver.ports import Rows
from receiver.questions import Filters, NearTexts
from receiver.signals import Signal
from receiver.store.known_texts import NO_TEXTS, KnownTexts
from receiver.store.question_run import Beside
from receiver.store.read_filters import TIME, Conditions, conditions
from receiver.store.read_ranked_hits import ROUNDS, Group, ranked_groups
from receiver.store.read_records import TABLES, records_at
from receiver.store.row_places import RowPlaces

_SEARCHED = (Signal.TRACES, Signal.LOGS)
_HITS_PER_RESULT = 10
"""Hits among which the best results are looked for first; a trace may have many."""
_OWN_TEXT = {Signal.TRACES: "r.name", Signal.LOGS: "r.body"}


def records_near(
    cursor: duckdb.DuckDBPyConnection,
    near: NearTexts,
    filters: Filters,
    limit: int,
    *,
    places: Mapping[Signal, RowPlaces],
    known: KnownTexts,
    beside: Beside | None,
) -> Rows:
    """Return the best record of each trace that has a text which is near the question."""
    chosen = ranked_groups(cursor, places, near, filters, limit)
    if chosen is not None and (whole := _whole_records(cursor, chosen, known, beside)) is not None:
        return whole
    asked = {signal: conditions(filters, signal, cursor) for signal in _searched(cursor, filters)}
    found: list[Group] = []
    for count in (*ROUNDS, len(near.index)):
        texts, are_all = near.first(count)
        found = _groups_of_texts(cursor, texts, asked, limit) if texts else []
        if are_all or len(found) >= limit:
            break
    return _whole_records(cursor, found, known) or []  # of this transaction alone: all are there


def _groups_of_texts(
    cursor: duckdb.DuckDBPyConnection,
    texts: Mapping[UUID, float],
    asked: Mapping[Signal, Conditions],
    limit: int,
) -> list[Group]:
    found = "found AS (SELECT unnest(?::UUID[]) AS text_id, unnest(?::DOUBLE[]) AS similarity)"
    values: list[Any] = [list(texts), list(texts.values())]
    hits: list[str] = []
    for signal, passing in asked.items():
        hits.append(
            f"SELECT {_hit(signal)}, f.similarity FROM {TABLES[signal]} r JOIN found f USING (text_id)"
            f" WHERE {passing.sql}"
        )
        values.extend(passing.values)
    return _best(cursor, found, hits, values, limit)


def records_with_words(
    cursor: duckdb.DuckDBPyConnection, words: Sequence[str], filters: Filters, limit: int
) -> Rows:
    """Return the best record of each trace that has one of these words in its text, name or body."""
    lowered = [word.lower() for word in words]
    score = Conditions()
    _score(score, "t.text", lowered)
    found = (
        f"found AS (SELECT t.text_id, max({score.parts[0]}) AS share FROM texts t GROUP BY t.text_id"
        " HAVING share > 0)"
    )
    values = list(score.values)
    hits: list[str] = []
    for signal in _searched(cursor, filters):
        asked, own = conditions(filters, signal), Conditions()
        _score(own, _OWN_TEXT[signal], lowered)
        hits.append(
            f"SELECT {_hit(signal)}, greatest(coalesce(f.share, 0), {own.parts[0]}) AS similarity"
            f" FROM {TABLES[signal]} r LEFT JOIN found f USING (text_id)"
            f" WHERE ({asked.sql}) AND similarity > 0"
        )
        values += [*own.values, *asked.values]
    return _whole_records(cursor, _best(cursor, found, hits, values, limit)) or []


def _searched(cursor: duckdb.DuckDBPyConnection, filters: Filters) -> Sequence[Signal]:
    """Return the tables that a question needs; an excluded or empty one costs a tenth of a search."""
    asked = [signal for signal in _SEARCHED if filters.signal in (None, signal)]
    if asked == list(_SEARCHED) and not cursor.execute("SELECT 1 FROM logs LIMIT 1").fetchone():
        return [Signal.TRACES]
    return asked or list(_SEARCHED)


def _hit(signal: Signal) -> str:
    return f"'{signal.value}' AS signal, r.rowid AS record, r.trace_id, r.text_id, {TIME[signal]} AS time"


def _score(into: Conditions, column: str, words: Sequence[str]) -> None:
    """Add an expression for the share of the words that a column holds, whatever the case."""
    found = " + ".join(f"contains(lower(coalesce({column}, '')), ?)::INTEGER" for _ in words) or "0"
    into.add(f"({found}) / {max(len(words), 1)}.0::DOUBLE", *words)


def _best(
    cursor: duckdb.DuckDBPyConnection,
    found: str,
    hits: list[str],
    values: list[Any],
    limit: int,
) -> list[Group]:
    with_hits = f"WITH {found}, hits AS MATERIALIZED ({' UNION ALL '.join(hits)})"
    chosen = _first_groups(cursor, with_hits, values, limit)
    if chosen is None:
        # A record without a trace stands with the others of its text: the same line, repeated, is one result.
        chosen = cursor.execute(
            f"{with_hits} SELECT arg_max({{'signal': signal, 'record': record}},"
            " {'similarity': similarity, 'time': time}) AS best,"
            " max({'similarity': similarity, 'time': time}) AS score, count(*) AS matches FROM hits"
            " GROUP BY trace_id, CASE WHEN trace_id IS NULL THEN text_id END,"
            " CASE WHEN trace_id IS NULL AND text_id IS NULL THEN record END"
            " ORDER BY score DESC LIMIT ?",
            [*values, limit],
        ).fetchall()
    return chosen


def _whole_records(
    cursor: duckdb.DuckDBPyConnection,
    chosen: Sequence[Group],
    known: KnownTexts = NO_TEXTS,
    beside: Beside | None = None,
) -> Rows | None:
    """Return the chosen records; None where one is not there for this transaction."""
    by_place: dict[tuple[str, int], dict[str, Any]] = {}
    for signal in _SEARCHED:
        records = [best["record"] for best, _, _ in chosen if best["signal"] == signal.value]
        if records:
            found_here = records_at(cursor, signal, records, known=known, beside=beside)
            by_place |= {(signal.value, record): row for record, row in found_here.items()}
    if len(by_place) < len(chosen):  # what is known of rows may be a moment ahead of the transaction
        return None
    return [
        {
            **by_place[best["signal"], best["record"]],
            "similarity": round(score["similarity"], 6),
            "matches": matches,
        }
        for best, score, matches in chosen
    ]


def _first_groups(
    cursor: duckdb.DuckDBPyConnection, with_hits: str, values: list[Any], limit: int
) -> list[Group] | None:
    """Return the best record of each trace where the best hits alone tell, or None where all are to be grouped.

    Grouping tens of thousands of hits costs several times what finding the best of them does.
    """
    look = limit * _HITS_PER_RESULT
    best = cursor.execute(
        f"{with_hits}, best AS (SELECT * FROM hits ORDER BY similarity DESC, time DESC LIMIT ?)"
        " SELECT signal, record, trace_id, text_id, similarity, time, matches FROM best LEFT JOIN"
        " (SELECT trace_id, count(*) AS matches FROM hits"
        " WHERE trace_id IN (SELECT trace_id FROM best) GROUP BY trace_id) USING (trace_id)"
        " ORDER BY similarity DESC, time DESC",
        [*values, look],
    ).fetchall()
    return _grouped(best, look, limit)


def _grouped(best: Sequence[tuple[Any, ...]], look: int, limit: int) -> list[Group] | None:
    groups: dict[Any, Group] = {}
    for signal, record, trace_id, text_id, similarity, time, matches in best:
        key = (trace_id, None) if trace_id else (None, text_id or (signal, record))
        if key not in groups:
            place, score = {"signal": signal, "record": record}, {"similarity": similarity, "time": time}
            groups[key] = place, score, matches or 0
        if not trace_id:
            groups[key] = (*groups[key][:2], groups[key][2] + 1)
    if len(best) == look and (len(groups) < limit or any(trace_id is None for trace_id, _ in groups)):
        return None
    return list(groups.values())[:limit]
