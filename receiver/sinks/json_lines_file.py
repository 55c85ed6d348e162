"""Records of one table as OTLP-JSON lines: a request a line, as the Collector's file exporter writes them.

Source: https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import orjson
import pyarrow as pa

from receiver.otlp.json_records import export_request
from receiver.questions import RecordTable

_RECORDS_OF_A_LINE = 500


def append_json_lines(path: Path, table: RecordTable, batches: Iterable[pa.RecordBatch]) -> int:
    """Return how many records were added to the end of the file. Threads: any; blocks."""
    rows = 0
    with path.open("ab") as file:
        for batch in batches:
            for start in range(0, batch.num_rows, _RECORDS_OF_A_LINE):
                records = batch.slice(start, _RECORDS_OF_A_LINE).to_pylist()
                file.write(orjson.dumps(export_request(table, records), option=orjson.OPT_APPEND_NEWLINE))
                rows += len(records)
    return rows
