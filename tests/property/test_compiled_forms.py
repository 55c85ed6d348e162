"""The compiled form of a text is the Python one, whatever the text."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from receiver.config import LimitsConfig
from receiver.decode.compiled.library import compiled_library
from receiver.decode.compiled.request_columns import RequestColumns
from receiver.decode.flattener import ColumnFlattener
from receiver.decode.nested_values import NestedValues
from receiver.decode.routes import open_decoder, open_flattener
from receiver.decode.text_form import model_text, text_id
from receiver.ports import Decoder, ExportRequest
from receiver.signals import Signal
from tests.support.otlp_requests import logs

pytestmark = pytest.mark.skipif(compiled_library() is None, reason="the compiled decoder was not built")

_NOISE = [
    "550e8400-e29b-41d4-a716-446655440000",
    "abcdefab-abcd-abcd-abcd-abcdefabcdef",
    "ABCDEFAB-1234-5678-9abc-def012345678",
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "0x7ffdeadbeef1",
    "2024-10-22T12:34:56.123456Z",
    "2024-10-22 12:34:56,5+01:00",
    "2024-10-22T12:34:56-0100",
    "2024-10-22T12:34:56+01:000",
    "1234567",
    "12345.678",
    "0.123456",
]
_KEPT = [
    "ORA-00942",
    "CVE-2024-12345",
    "AB-1-12",
    "AB-12345-",
    "error 10061",
    "Errno=-#12345",
    "SQLSTATE    12345",
    "HRESULT: 0x80070005",
    "claude-3-5-sonnet-20241022",
    "claude-3-5-sonnet@20240620",
    "gpt-4o-2024-08-06",
    "10.0.19045",
    "1.24.3",
    "deadbeef",
    "9999",
]
_IDENTIFIERS = [
    "oteldemo.CartService/AddItem",
    "getHTTPResponseCode",
    "parseURLs",
    "URLsAreHere",
    "x2Ab",
    "PostgreSQL",
    "OAuth2",
    "macOS",
    "iOSApp",
    "user_id",
    "std::vector",
    "http://frontend//5",
    "App\\Http\\Kernel",
    "1a-b",
    "e.g.",
    "ab.cd",
]
_OTHER_SCRIPTS = [
    "\u0663",
    "\u096a",
    "\uff13",
    "\U0001d7d7",
    "\xb2",
    "\u2167",
    "\xe9",
    "\xdc",
    "\u017f",
    "\u212a",
    "\u6f22",
]
_SPACES = [" ", "\t", "\x0b", "\x1c", "\x1f", "\x85", "\xa0", "\u1680", "\u2003", "\u2028", "\u202f", "\u205f", "\u3000", "\u200b"]  # fmt: skip
_PIECES = st.one_of(
    st.sampled_from(_NOISE),
    st.sampled_from(_KEPT),
    st.sampled_from(_IDENTIFIERS),
    st.sampled_from(_OTHER_SCRIPTS + _SPACES),
    st.sampled_from(list("/\\-_.:@#=+,TZ09afAFgGs")),
)
_TEXTS = st.one_of(
    st.text(),
    st.lists(_PIECES, max_size=8).map("".join),
    st.lists(_PIECES, max_size=8).map(" ".join),
    # What a rule has to tell apart differs in one character.
    *(
        st.text(alphabet=alphabet, max_size=40)
        for alphabet in (
            "0123456789abcdefABCDEF-",
            "012.5- :T+Z",
            "aBs1./-_: ",
            "0123456789\u0663\uff13/\\",
            "aB1 \x1c\x85\xa0\u3000\xe9",
        )
    ),
)


class Forms:
    """The compiled route of log records, as far as their texts go."""

    def __init__(self) -> None:
        """Open the route that is taken where the library was built."""
        nested = NestedValues()
        self._decoder: Decoder = open_decoder(LimitsConfig(), nested)
        self._flattener: ColumnFlattener = open_flattener(nested)

    def of(self, texts: list[str]) -> list[str]:
        """Return the form of each text, read back by the text id of the record that says it."""
        body = logs(*(LogRecord(body=AnyValue(string_value=text)) for text in texts))
        columns = self._decoder.decode([ExportRequest(Signal.LOGS, body)]).columns
        assert [type(part) for part in columns] == [RequestColumns]
        (tables,) = self._flattener.parts(list(columns))
        forms = {row["text_id"]: row["model_text"] for row in tables["texts"].to_pylist()}
        assert all(key == text_id(form) for key, form in forms.items())
        return [forms[key] for key in tables["logs"]["text_id"].to_pylist()]

    def close(self) -> None:
        """Close the flattener."""
        self._flattener.close()


@pytest.fixture(scope="module")
def forms() -> Iterator[Forms]:
    """Return one route for all examples."""
    forms = Forms()
    yield forms
    forms.close()


@settings(deadline=None)
@given(texts=st.lists(_TEXTS, min_size=1, max_size=8))
@example(texts=_NOISE + _KEPT + _IDENTIFIERS)
@example(
    texts=[f"{before}{piece}{after}" for piece in _NOISE + _KEPT for before in "x1.- " for after in "x1.- "]
)
@example(texts=[f"{before}/{after}" for before in _OTHER_SCRIPTS for after in _OTHER_SCRIPTS])
@example(texts=[f"a{space}b{space}" for space in _SPACES])
def test_the_compiled_form_is_the_python_one(forms: Forms, texts: list[str]) -> None:
    """Character for character: a text has one id, by whichever route it came."""
    assert forms.of(texts) == [model_text(text) for text in texts]


def test_every_decimal_digit_and_white_space_of_unicode_is_known(forms: Forms) -> None:
    """A slash between digits of any script is a fraction; any white space collapses."""
    letters = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    told = [letter for letter in letters if letter.isspace() or letter.isdecimal()]
    texts = [f"1/{letter} {letter}\\2 a{letter}b" for letter in told]
    assert forms.of(texts) == [model_text(text) for text in texts]


def test_texts_of_every_length_have_their_digest_as_id(forms: Forms) -> None:
    """It is taken block by block of 64 bytes; the last one, or two, hold the length as well."""
    texts = ["x" * length for length in range(200)]
    assert forms.of(texts) == texts
