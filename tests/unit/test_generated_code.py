"""proto_gen/ is what its source gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from google.protobuf.descriptor import FieldDescriptor
from opentelemetry.proto.trace.v1 import trace_pb2

from proto_gen import columns_pb2

ROOT = Path(__file__).resolve().parents[2]


def test_the_generated_code_is_up_to_date() -> None:
    """Generating anew from columns.proto gives the files that are here."""
    script = ROOT / "scripts" / "generate_protos.py"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_span_has_the_field_numbers_of_opentelemetry() -> None:
    """Each field of OTLP's Span is in the columnar message under its number, and nothing else is."""
    ours = {f.name: f.number for f in columns_pb2.Span.DESCRIPTOR.fields}
    theirs = {f.name: f.number for f in trace_pb2.Span.DESCRIPTOR.fields}
    assert ours == theirs


def test_nested_values_are_bytes() -> None:
    """There is no recursion, so that a columnar decoder can give every message a column."""
    fields = columns_pb2.AnyValue.DESCRIPTOR.fields_by_name
    for name in ("array_value", "kvlist_value"):
        assert fields[name].type == FieldDescriptor.TYPE_BYTES
