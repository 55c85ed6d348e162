"""Transcripts read in pieces, twice, and with damage."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from receiver.ports import ImportUnit
from receiver.sources.claude_code.parser import ClaudeCodeParser
from receiver.sources.documents import Document, Framing, Lines, Values
from receiver.sources.source import MalformedDocumentError
from tests.support.session_files import ClaudeTranscript, said, units_of, usual_session, wanted

_STEPS = st.lists(
    st.sampled_from(["prompt", "answer", "tools", "result", "late", "command", "end", "agent", "error"]),
    max_size=25,
)


@st.composite
def transcripts(draw: st.DrawFn) -> list[bytes]:
    """Return the lines of some transcript."""
    made = ClaudeTranscript()
    waiting: list[str] = []
    for number, step in enumerate(draw(_STEPS)):
        match step:
            case "prompt":
                made.prompt(f"prompt {number}", f"p-{number}")
            case "answer":
                made.answer(f"msg_{number}", said("one"), said("two"))
            case "tools":
                waiting += [f"toolu_{number}a", f"toolu_{number}b"]
                made.answer(f"msg_{number}", *(wanted(each, "Bash", command="ls") for each in waiting[-2:]))
            case "result" if waiting:
                made.result(waiting.pop(0), "fine", is_error=bool(number % 2))
            case "late" if waiting:
                made.result(waiting.pop(), "late")
            case "command":
                made.prompt("<command-name>/clear</command-name>")
            case "end":
                made.system("turn_duration", durationMs=1)
            case "agent":
                made.answer(f"msg_{number}", said("sub"), agentId=f"a{number % 2}", isSidechain=True)
            case "error":
                made.answer(f"e-{number}", said("API Error"), model="<synthetic>", isApiErrorMessage=True)
            case _:
                pass
    return made.data.splitlines()


def stored(*readings: Iterable[ImportUnit]) -> dict[bytes, bytes]:
    """Return what is stored of some readings: the first unit of each key."""
    kept: dict[bytes, bytes] = {}
    for units in readings:
        for unit in units:
            kept.setdefault(unit.key, unit.payload)
    return kept


@given(transcripts(), st.data())
def test_a_file_that_is_read_while_it_grows_gives_what_it_gives_at_once(
    lines: list[bytes], data: st.DataObject
) -> None:
    """Whatever part was there at the first reading, the two together store what one reading stores."""
    cut = data.draw(st.integers(0, len(lines)))
    early = units_of(ClaudeCodeParser(), lines[:cut], finished=False)
    whole = units_of(ClaudeCodeParser(), lines)
    assert stored(early, whole) == stored(whole)


@given(transcripts(), st.data())
def test_a_file_that_went_on_after_it_seemed_finished_stores_no_thing_twice(
    lines: list[bytes], data: st.DataObject
) -> None:
    """Then the keys are those of one reading, be it the same parser that goes on or another one."""
    cut = data.draw(st.integers(0, len(lines)))
    whole = stored(units_of(ClaudeCodeParser(), lines))
    parser = ClaudeCodeParser()
    first = units_of(parser, lines[:cut])
    assert stored(first, units_of(parser, lines[cut:])).keys() == whole.keys()
    assert stored(first, units_of(ClaudeCodeParser(), lines)).keys() == whole.keys()


@given(transcripts())
def test_a_file_that_is_read_twice_gives_the_same_units(lines: list[bytes]) -> None:
    """Keys and bytes are those of the first reading, and no key occurs twice in one."""
    first, second = (units_of(ClaudeCodeParser(), lines) for _ in range(2))
    assert first == second
    assert len(stored(first)) == len(first)


@given(transcripts(), st.data())
def test_a_damaged_line_costs_no_other_lines_unit(lines: list[bytes], data: st.DataObject) -> None:
    """Of a session with one line gone, everything that the other lines name is still there."""
    if not lines:
        return
    place = data.draw(st.integers(0, len(lines) - 1))
    keep = data.draw(st.integers(0, len(lines[place]) - 1))
    parser = ClaudeCodeParser()
    found: list[ImportUnit] = []
    for number, document in enumerate(lines):
        try:
            found += parser.feed(document[:keep] if number == place else document)
        except MalformedDocumentError:
            assert number == place
    found += parser.flush(finished=True)
    whole = units_of(ClaudeCodeParser(), lines)
    # A command is a turn only by its answer: with the answer's line goes the turn.
    commands = {unit.key for unit in whole if b"/clear" in unit.payload}
    lost = stored(whole).keys() - stored(found).keys() - commands
    answered = ClaudeTranscript(session="another")
    answered.answer("msg_x", said("so that a command is a turn"))
    own = [lines[place], answered.data.replace(b'"another"', b'"0b6e0a3c-6c58-4c65-a1b7-64f2d2f3f8aa"')]
    assert lost <= stored(units_of(ClaudeCodeParser(), own)).keys()


_PIECES = st.lists(st.integers(1, 40), min_size=1, max_size=20)


def documents(framing: Framing, data: bytes, sizes: list[int]) -> list[tuple[bytes, int | None]]:
    """Return the documents of bytes that come in pieces of these sizes, again and again."""
    found = []
    at = number = 0
    while at < len(data):
        size = sizes[number % len(sizes)]
        found += list(framing.feed(data[at : at + size]))
        at, number = at + size, number + 1
    found += list(framing.finish())
    return [(each.data, each.line) for each in found if isinstance(each, Document)]


@given(_PIECES)
def test_how_bytes_are_cut_does_not_matter_to_lines(sizes: list[int]) -> None:
    """Lines are the same in whatever pieces they come."""
    data = usual_session().data
    lines = [(text, number) for number, text in enumerate(data.splitlines(), 1)]
    assert documents(Lines(), data, sizes) == lines


@given(_PIECES, st.sampled_from([b"", b'{\n  "cut": [\n', b"noise\n"]))
def test_how_bytes_are_cut_does_not_matter_to_values(sizes: list[int], damage: bytes) -> None:
    """Values that span lines are the same in whatever pieces they come, also around a broken one."""
    value = b'{\n  "a": {\n    "b": "}"\n  }\n}\n'
    data = value + damage + value + b'{"c": 1}\n' + value.rstrip()
    found = documents(Values(), data, sizes)
    assert [text for text, _ in found] == [value.strip(), value.strip(), b'{"c": 1}', value.strip()]
