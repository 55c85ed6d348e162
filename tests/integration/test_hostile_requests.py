"""Requests that are small in bytes and huge in records stay within 150 MB over the baseline, body included."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
BOUND_BYTES = 150_000_000

# A process of its own, because the peak of a process never goes down again.
_PROGRAM = """
import json, sys
from pathlib import Path
import pyarrow as pa
from receiver.config import LimitsConfig
from receiver.decode.nested_values import NestedValues
from receiver.decode.routes import open_decoder, open_flattener
from receiver.ports import Encoding, ExportRequest, Verdict
from receiver.signals import Signal
from tests.support.otlp_requests import log_request, make_span, metric_request, span_request, text_attribute
from tests.support.wire_bytes import field

MIB = 1 << 20
span = make_span(0).SerializeToString()

def spans(content):
    return field(1, field(2, content))

def repeated(part, size):
    return part * (size // len(part))

def empty_spans(size):
    return [spans(repeated(field(2, b""), size))]

def empty_attributes(size):
    return [spans(field(2, span + repeated(field(9, b""), size)))]

def small_spans_of_empty_attributes(size):
    return [spans(repeated(field(2, span + repeated(field(9, b""), 200)), size))]

def many_bodies_of_empty_spans(size):
    return [spans(repeated(field(2, b""), size // 64)) for _ in range(4)]  # intake.group_bytes

def empty_values(size):
    nested = field(5, repeated(field(1, b""), size))
    return [spans(field(2, span + field(9, field(2, nested))))]

def json_spans(size):
    return [b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + repeated(b"{},", size) + b'{}]}]}]}']

def json_attributes(size):
    head = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":['
    return [head + repeated(b"{},", size) + b'{}]}]}]}]}']

def json_brackets(size):
    return [repeated(b"[", size)]

def peak():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024

nested = NestedValues()
decoder = open_decoder(LimitsConfig(), nested)  # what the compiled one does not refuse goes to the Python one too
flattener = open_flattener(nested)
for request in (span_request(0, 2000, attributes=[text_attribute("k", "v")]), log_request(0, 500), metric_request(0, 500)):
    list(flattener.parts(decoder.decode([request]).columns))
what, size = sys.argv[1], int(sys.argv[2]) * MIB
encoding = Encoding.JSON if what.startswith("json") else Encoding.PROTOBUF
bodies = globals()[what](size)
Path("/proc/self/clear_refs").write_text("5")  # starts the peak anew; the bodies are counted below
before = peak() - sum(map(len, bodies))
decoded = decoder.decode([ExportRequest(Signal.TRACES, body, encoding) for body in bodies])
verdicts = [v.outcome.rejected if isinstance(v, Verdict) else type(v).__name__ for v in decoded.verdicts]
records = sum(v.records for v in decoded.verdicts if isinstance(v, Verdict))
list(flattener.parts(decoded.columns))
print(json.dumps({"grown": peak() - before, "verdicts": sorted(set(map(str, verdicts))), "records": records}))
"""

CASES = {
    "empty_spans": {"TooManyRecordsError"},
    "empty_attributes": {"TooManyRecordsError"},
    "small_spans_of_empty_attributes": {"TooManyRecordsError"},
    "empty_values": {"TooManyRecordsError"},
    "many_bodies_of_empty_spans": {str((1 << 20) // 2)},  # each is let in, all its spans are rejected
    "json_spans": {"TooManyRecordsError"},
    "json_attributes": {"TooManyRecordsError"},
    "json_brackets": {"TooManyRecordsError"},
}


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux to measure a peak")
@pytest.mark.parametrize("what", CASES)
def test_64_mib_of_next_to_nothing_stay_within_bounds(what: str) -> None:
    """Each is refused, or its records are rejected, before it becomes gigabytes of columns."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, what, "64"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found["verdicts"]) == CASES[what]
    assert found["records"] == 0
    assert found["grown"] < BOUND_BYTES
