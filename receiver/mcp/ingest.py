"""What ``ingest_otel_traces`` does: files and traces become units, and true counts come back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from receiver.access import Access
from receiver.errors import InvalidTraceError, RetryableError
from receiver.ports import ImportUnit
from receiver.sources.trace_dict import TraceDicts

BACKEND = "duckdb"
"""What the documented tools call ``storage_backend``."""

_UNITS_AT_ONCE = 500
_EMBEDDING_S = 20.0
"""How long an answer waits for vectors; search finds the rest by words until they are there."""
_NO_FILES = "reading files is switched off (mcp.read_files); give trace_data, or use: otlp-receiver ingest"


async def ingested(
    access: Access,
    log_files: Sequence[str],
    trace_data: Sequence[Any],
    *,
    system_id: str,
    read_files: bool,
) -> dict[str, Any]:
    """Return the documented answer once everything that could be stored is stored and can be found.

    Raises:
        ReceiverError: Nothing can be stored now.
    """
    errors: list[str] = []
    stored = duplicates = processed = 0
    if log_files and not read_files:
        errors += [f"Failed to process {path}: {_NO_FILES}" for path in log_files]
    elif log_files:
        report = await _from_files(access, log_files, system_id)
        stored, duplicates, processed = report[:3]
        errors += report[3]
    if trace_data:
        new, old = await _from_dicts(access, trace_data, system_id, errors)
        stored, duplicates = stored + new, duplicates + old
    answer: dict[str, Any] = {
        "status": "success" if stored else "warning",
        "traces_ingested": stored,
        "duplicates": duplicates,
        "files_processed": processed,
        "errors": errors,
        "system_id": system_id,
        "storage_backend": BACKEND,
    }
    if stored and (note := await _findable(access)):
        answer["note"] = note
    return answer


async def _from_dicts(
    access: Access, traces: Sequence[Any], system_id: str, errors: list[str]
) -> tuple[int, int]:
    """Return how many traces were stored and how many had been; a bad one is an error and stops no other."""
    stored = duplicates = 0
    for first in range(0, len(traces), _UNITS_AT_ONCE):
        part = traces[first : first + _UNITS_AT_ONCE]
        units, owners = await asyncio.to_thread(_units, part, first, system_id, errors)
        if not units:
            continue
        outcome = await access.import_units(units)
        new = {owner for owner, is_new in zip(owners, outcome.stored, strict=True) if is_new}
        stored += len(new)
        duplicates += len(set(owners) - new)
        if outcome.rejected:
            errors.append(f"trace_data: {outcome.rejected} spans were rejected: {outcome.message}")
    return stored, duplicates


def _units(
    traces: Sequence[Any], first: int, system_id: str, errors: list[str]
) -> tuple[list[ImportUnit], list[int]]:
    """Return the units of some traces, and of each unit the number of its trace."""
    reader = TraceDicts(system_id=system_id)
    units: list[ImportUnit] = []
    owners: list[int] = []
    for number, trace in enumerate(traces, first):
        try:
            found = reader.units(trace)
        except InvalidTraceError as error:
            errors.append(f"trace_data[{number}]: {error}")
            continue
        units += found
        owners += [number] * len(found)
    return units, owners


async def _findable(access: Access) -> str | None:
    """Return once what was stored is found by filters, and by meaning too if that comes soon; else say so."""
    await access.flush()
    try:
        async with asyncio.timeout(_EMBEDDING_S):
            await access.flush(embeddings=True)
    except TimeoutError:
        return (
            "stored; some texts wait for their vectors, and search by meaning finds them when they are there"
        )
    except RetryableError as error:
        return f"stored; search matches words: {error.message}"
    return None


async def _from_files(
    access: Access, paths: Sequence[str], system_id: str
) -> tuple[int, int, int, list[str]]:
    raise NotImplementedError
