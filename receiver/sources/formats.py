"""Every format that is read, in the order in which they are tried: the one place that lists them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from receiver.errors import PermanentError
from receiver.ports import Encoding
from receiver.signals import Signal
from receiver.sources.claude_code.parser import ClaudeCodeParser
from receiver.sources.claude_code.records import recognises_claude_code
from receiver.sources.codex.parser import CodexParser, recognises_rollout
from receiver.sources.collector.otlp_file import OtlpFileParser, RequestReader, element_keys, recognises_otlp
from receiver.sources.collector.otlp_messages import SizedMessages, looks_sized
from receiver.sources.detect import is_on_one_line
from receiver.sources.documents import Framing, Lines, Values
from receiver.sources.gemini_cli import (
    GeminiSessionParser,
    recognises_gemini_outfile,
    recognises_gemini_session,
)
from receiver.sources.json_elements import Elements
from receiver.sources.outfiles.parser import GEMINI_CLI, QWEN_CODE, OutfileParser
from receiver.sources.parquet import recognises_parquet
from receiver.sources.qwen_code import QwenSessionParser, recognises_qwen_outfile, recognises_qwen_session
from receiver.sources.source import Parser
from receiver.sources.trace_dicts.file import TraceFileParser, list_key, recognises_traces


@dataclass(frozen=True, slots=True)
class ReadingContext:
    """What parsers need besides the file."""

    requests: RequestReader
    """Judges the requests that stand in a file."""
    system_id: str | None = None
    """Which system the records come from, where they do not say it themselves."""


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file."""

    name: str
    title: str
    recognises: Callable[[bytes], bool]
    """Tells by the first bytes of a file; never by its name."""
    parser: Callable[[ReadingContext], Parser]
    framing: Callable[[bytes], Framing] | None
    """Given the same bytes; None for a file that is not read from its beginning."""


def _lines(head: bytes) -> Framing:  # noqa: ARG001 - what a framing is given
    return Lines()


def _values(head: bytes) -> Framing:
    """Return lines where the first object ends on its line, else objects that span several."""
    return Lines() if is_on_one_line(head) else Values()


def _requests(head: bytes) -> Framing:
    if is_on_one_line(head):
        return Lines()
    return Elements(element_keys(head), wrap=True)


def _sized(head: bytes) -> Framing:  # noqa: ARG001 - what a framing is given
    return SizedMessages()


def _traces(head: bytes) -> Framing:
    if head.lstrip()[:1] == b"[":
        return Elements()
    key = list_key(head)
    return Elements((key,)) if key else _values(head)


def _otlp_parser(context: ReadingContext) -> Parser:
    return OtlpFileParser(context.requests)


def _trace_parser(context: ReadingContext) -> Parser:
    def read_otlp(body: bytes) -> bytes:
        (read,) = context.requests.read(Signal.TRACES, [body], Encoding.JSON)
        if isinstance(read, PermanentError):
            raise read
        if read.rejected:
            raise PermanentError(read.message)
        return read.payload

    return TraceFileParser(system_id=context.system_id, read_otlp=read_otlp)


PARSERS: tuple[Format, ...] = (
    Format("parquet", "Parquet files of otlp-receiver export", recognises_parquet, _otlp_parser, None),
    Format(
        "otlp_proto",
        "messages of the Collector's file exporter (proto, or compressed)",
        looks_sized,
        _otlp_parser,
        _sized,
    ),
    Format(
        "otlp_json",
        "OTLP-JSON, as the Collector's file exporter writes it",
        recognises_otlp,
        _otlp_parser,
        _requests,
    ),
    Format(
        "qwen_code_outfile",
        "a telemetry outfile of Qwen Code",
        recognises_qwen_outfile,
        lambda _: OutfileParser(QWEN_CODE),
        _values,
    ),
    Format(
        "gemini_cli_outfile",
        "a telemetry outfile of Gemini CLI",
        recognises_gemini_outfile,
        lambda _: OutfileParser(GEMINI_CLI),
        _values,
    ),
    Format("codex", "a rollout of Codex", recognises_rollout, lambda _: CodexParser(), _lines),
    Format(
        "qwen_code",
        "a session of Qwen Code",
        recognises_qwen_session,
        lambda _: QwenSessionParser(),
        _lines,
    ),
    Format(
        "gemini_cli",
        "a session of Gemini CLI",
        recognises_gemini_session,
        lambda _: GeminiSessionParser(),
        _values,
    ),
    Format(
        "claude_code",
        "a transcript of Claude Code",
        recognises_claude_code,
        lambda _: ClaudeCodeParser(),
        _lines,
    ),
    Format(
        "traces",
        "traces as a list of dicts with trace_id and spans",
        recognises_traces,
        _trace_parser,
        _traces,
    ),
)
"""Each file is of the first one that recognises it."""


EXPORTED: tuple[Format, ...] = tuple(
    each for each in PARSERS if each.name in {"parquet", "otlp_proto", "otlp_json"}
)
"""What holds whole OTLP records: exports of this program, and files of a Collector."""


def known_titles(formats: Sequence[Format] = PARSERS) -> str:
    """Return formats in words."""
    return "; ".join(each.title for each in formats)
