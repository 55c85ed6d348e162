"""Parquet files that ``otlp-receiver export`` wrote: rows back to the requests that they would have come in.

A Parquet file is read from its end, so it does not go through the framing of other files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from receiver.otlp.json_records import TABLE_KEY, export_request
from receiver.questions import RecordTable
from receiver.sources.source import MalformedDocumentError

_ROWS_OF_A_REQUEST = 500
_MAGIC = b"PAR1"


def recognises_parquet(head: bytes) -> bool:
    """Return True if a file that begins so is Parquet."""
    return head.startswith(_MAGIC)


def requests_of_parquet(path: Path, raw: IO[bytes]) -> Iterator[bytes]:
    """Yield OTLP-JSON requests with the rows of a file, in their order; the same file gives the same requests.

    Raises:
        MalformedDocumentError: It is damaged, or no export of this program.

    Threads: any; blocks on the disk.
    """
    try:
        file = pq.ParquetFile(raw)
        table = _table(file, path)
        for batch in file.iter_batches(_ROWS_OF_A_REQUEST):
            yield orjson.dumps(export_request(table, batch.to_pylist()))
    except (pa.ArrowException, OSError) as error:
        raise MalformedDocumentError(f"the Parquet file is damaged: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedDocumentError(f"the Parquet file has other columns than an export: {error}") from error


def _table(file: pq.ParquetFile, path: Path) -> RecordTable:
    """Return what the file holds: it says so itself, or else its name does."""
    said = (file.schema_arrow.metadata or {}).get(TABLE_KEY, b"").decode("utf-8", "replace")
    try:
        return RecordTable(said or path.stem)
    except ValueError:
        raise MalformedDocumentError(
            f"the Parquet file is no export of this program: it holds {said or 'nothing that is named'!r}"
        ) from None
