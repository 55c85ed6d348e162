"""Hypothesis strategies for what texts and derived columns are made of: prompts, names, noise, ids of sessions."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from receiver.decode.attribute_keys import GEN_AI_KEYS, GEN_AI_PREFIXES, SESSION_KEYS, THREAD_KEY, TURN_KEY
from receiver.decode.hot_attributes import LOG_ATTRIBUTES, SPAN_ATTRIBUTES
from receiver.decode.text_attributes import CONTENT_KEYS, IDENTIFYING, NAMING_KEYS, PLUMBING
from receiver.signals import Signal
from tests.support.otlp_strategies import TEXTS, U32, U64, VALUES, build

ODD_JSON = (
    *(
        "[",
        "{",
        "[]",
        "{}",
        "[]]",
        "[1]x",
        " [1]",
        "[1] \n",
        "\ufeff[1]",
        "[1,]",
        '{"a":1,}',
        "[01]",
        "[-]",
        "[-0]",
    ),
    *(
        "[1.]",
        "[.5]",
        "[1e5]",
        "[1E+05]",
        "[1e400]",
        "[1e-999]",
        "[NaN]",
        "[nul]",
        "[null,true,false]",
        "[tru",
    ),
    *(
        '["\t"]',
        '["\\t"]',
        '["\\x"]',
        '["\\/"]',
        '["\\u12"]',
        '["\\u0000"]',
        '["\x7f"]',
        '["',
        '["\\',
        "{'a':1}",
    ),
    *(
        '["\\ud800"]',
        '["\\udc00"]',
        '["\\ud83d\\ude00"]',
        '["\\ud83d\\u0041"]',
        '["\\ud83dx"]',
        '{"\\u0061":"b"}',
    ),
    *(
        '{"a":"first","a":"second"}',
        '{"a":"x","\\u0061":"y"}',
        '{"type":"text","text":"hi","id":"7"}',
        '{"":"e"}',
    ),
    *("[" * 30 + '"deep"' + "]" * 30, "[" * 500, "[" * 2000 + "]" * 2000, '{"a":' * 40 + '"deep"' + "}" * 40),
    *('[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"}]',),
    *('[{"role":"user","parts":[{"type":"text","content":"p"}],"content":"q"},{"parts":null},7,"s"]',),
    *('[{"role":1,"content":{"text":["x",{"y":"z"}]}},{"role":"user"},[{"role":"user","content":"no"}]]',),
    *(
        '[{"content":"no role"},"t"]',
        '[{"role":"user","content":"\\ud83d\\ude00 \\u00e9\\n"}]',
        '{"@bytes":"AA=="}',
    ),
    *("<REDACTED>", " <REDACTED>\n", "\x1c<REDACTED>\x1f", "\u3000<REDACTED>", "[<REDACTED>]", "<redacted>"),
    *("[" + "9" * 30 + "]", "[" + "9" * 101 + "]", "[0." + "1" * 120 + "]", "[1e99]", "[1e100]"),
)
"""JSON and what looks like it, where parsers differ."""
NOISE = (
    *(
        "550e8400-e29b-41d4-a716-446655440000",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "0x7ffdeadbeef1",
        "deadbeef",
    ),
    *("aGVsbG8gd29ybGQgaGVsbG8gd29ybGQgaGVsbG8gd29ybGQ=", "data:image/png;base64,iVBORw0KGgo", "<REDACTED>"),
    *(
        "2024-10-22T12:34:56.123456Z",
        "1234567",
        "10.0.0.1",
        "sess-0001",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.x",
        "***",
    ),
    *(
        "GET",
        "checkout",
        "claude-3-5-sonnet-20241022",
        "POST /cart/{id}",
        "a\u0000b",
        "\u202e",
        "",
        " ",
        "\n",
        "x" * 81,
    ),
    *("é" * 40 + "x", "é" * 41, "x" * 301, "é" * 300 + "x", "漢" * 9000, "\u0085", "\x1f", "\u200b"),
)
"""Values that a line leaves out, that it cuts, and some that only look so."""
KEYS = st.one_of(
    st.sampled_from(CONTENT_KEYS),
    st.sampled_from(NAMING_KEYS),
    st.sampled_from(
        sorted({*SESSION_KEYS, THREAD_KEY, TURN_KEY, *GEN_AI_KEYS, *SPAN_ATTRIBUTES, *LOG_ATTRIBUTES})
    ),
    st.sampled_from([prefix + "x" for prefix in (*PLUMBING, *GEN_AI_PREFIXES)]),
    st.sampled_from(
        [f"app{mark}{word}" for word in IDENTIFYING for mark in ".-_"] + ["ID", "app.To\u212aen", "İd", "ΑΣ"]
    ),
    st.sampled_from(["app.category", "event.name", "service.name", "exception.type", "exception.message"]),
    TEXTS,
)
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["role", "content", "parts", "type", "text", "id"]) | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
_TURNS = st.lists(
    st.fixed_dictionaries(
        {}, optional={"role": st.sampled_from(["user", "assistant", "", 1]), "content": _JSON, "parts": _JSON}
    ),
    max_size=4,
)
JSON_TEXTS = st.one_of(
    st.sampled_from(ODD_JSON),
    st.builds(
        lambda value, is_ascii, indent: json.dumps(value, ensure_ascii=is_ascii, indent=indent),
        st.one_of(_TURNS, _JSON),
        st.booleans(),
        st.sampled_from([None, 1]),
    ),
)


def _kvlist(pairs: list[KeyValue]) -> AnyValue:
    return AnyValue(kvlist_value=KeyValueList(values=pairs))


def _text(value: str) -> AnyValue:
    return AnyValue(string_value=value)


_MESSAGES = st.lists(
    st.lists(
        build(
            KeyValue,
            key=st.sampled_from(["role", "content", "parts", "text", "type"]),
            value=VALUES | TEXTS.map(_text),
        ),
        max_size=3,
    ).map(_kvlist),
    max_size=3,
).map(lambda turns: AnyValue(array_value=ArrayValue(values=turns)))
SPOKEN = st.one_of(
    st.sampled_from(NOISE).map(_text), JSON_TEXTS.map(_text), TEXTS.map(_text), _MESSAGES, VALUES
)
ATTRIBUTES = st.lists(build(KeyValue, key=KEYS, value=SPOKEN), max_size=6)
WORDS = TEXTS | st.sampled_from(NOISE) | st.sampled_from(["gen_ai.chat", "claude_code.tool"])
_RESOURCES = build(Resource, attributes=ATTRIBUTES)
_SPANS = build(
    Span,
    trace_id=st.just(b"\x01" * 16),
    span_id=st.just(b"\x02" * 8),
    name=WORDS,
    start_time_unix_nano=U64,
    attributes=ATTRIBUTES,
    events=st.lists(build(Span.Event, name=WORDS, attributes=ATTRIBUTES), max_size=3),
    status=st.none() | build(Status, message=WORDS, code=st.integers(0, 2)),
    dropped_attributes_count=U32,
)
_LOGS = build(LogRecord, time_unix_nano=U64, event_name=WORDS, body=st.none() | SPOKEN, attributes=ATTRIBUTES)
SPOKEN_REQUESTS: dict[Signal, st.SearchStrategy[bytes]] = {
    Signal.TRACES: st.builds(
        lambda resource, spans: ExportTraceServiceRequest(
            resource_spans=[ResourceSpans(resource=resource, scope_spans=[ScopeSpans(spans=spans)])]
        ).SerializeToString(),
        _RESOURCES,
        st.lists(_SPANS, min_size=1, max_size=2),
    ),
    Signal.LOGS: st.builds(
        lambda resource, records: ExportLogsServiceRequest(
            resource_logs=[ResourceLogs(resource=resource, scope_logs=[ScopeLogs(log_records=records)])]
        ).SerializeToString(),
        _RESOURCES,
        st.lists(_LOGS, min_size=1, max_size=2),
    ),
}
"""Serialized requests that say much, by signal; points of metrics have no texts."""
