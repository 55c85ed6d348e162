"""JSON settings: what is there stays, to the character."""

from __future__ import annotations

import json

import pytest

from receiver.setup.entry import Entry
from receiver.setup.errors import NotMergeableError, SetupError
from receiver.setup.json_file import JsonFile

_FILE = JsonFile()
_ENTRIES = [Entry(("env", "A"), "1"), Entry(("env", "B"), "x"), Entry(("dotted.name",), True)]

_KEPT = """\
{
    "model": "opus",
    "list": [1,  2,
        3.0],
    "env": {
        "Z": "\\u00e9 stays",
        "A": "0"
    },

    "last": {"x":1e400}
}
"""
_MERGED = """\
{
    "model": "opus",
    "list": [1,  2,
        3.0],
    "env": {
        "Z": "\\u00e9 stays",
        "A": "1",
        "B": "x"
    },

    "last": {"x":1e400},
    "dotted.name": true
}
"""


def test_everything_else_stays_as_it_was_written() -> None:
    """Order, indentation, spacing, escapes and numbers are the owner's; only our values move in."""
    merged = _FILE.merged(_KEPT, _ENTRIES)
    assert merged.text == _MERGED
    assert [str(change) for change in merged.changes] == [
        'env.A: "0" -> "1"',
        'env.B = "x"',
        "dotted.name = true",
    ]


def test_a_second_time_changes_nothing() -> None:
    """What was merged holds the entries."""
    again = _FILE.merged(_MERGED, _ENTRIES)
    assert (again.text, again.changes) == (_MERGED, ())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{}", '{\n  "k": {\n    "a": 1\n  }\n}'),
        ("{ }\n", '{\n  "k": {\n    "a": 1\n  }\n}\n'),
        ('{"x":1}', '{"x":1, "k": {"a": 1}}'),
        ('{"x":1,"k":{}}', '{"x":1,"k":{"a": 1}}'),
        ('{\n\t"x": 1\n}\n', '{\n\t"x": 1,\n\t"k": {\n\t\t"a": 1\n\t}\n}\n'),
        ('{\n\t"k": {}\n}\n', '{\n\t"k": {\n\t\t"a": 1\n\t}\n}\n'),
        ('{\r\n  "x": 1\r\n}\r\n', '{\r\n  "x": 1,\r\n  "k": {\r\n    "a": 1\r\n  }\r\n}\r\n'),
        ('\ufeff{\n  "x": 1\n}', '\ufeff{\n  "x": 1,\n  "k": {\n    "a": 1\n  }\n}'),
        ('{\n  "k": {"b": 2}\n}', '{\n  "k": {"b": 2, "a": 1}\n}'),
        ('{"k": {"a": 0}, "k": {"a": 2}}', '{"k": {"a": 0}, "k": {"a": 1}}'),
        ("", '{\n  "k": {\n    "a": 1\n  }\n}\n'),
        (" \n", '{\n  "k": {\n    "a": 1\n  }\n}\n'),
    ],
)
def test_a_new_value_is_laid_out_as_the_file_is(before: str, after: str) -> None:
    """Indentation, line ends, byte order mark and one-line objects are followed; of two equal keys the last counts."""
    assert _FILE.merged(before, [Entry(("k", "a"), 1)]).text == after


def test_true_is_not_one() -> None:
    """Values of another JSON type differ, although Python calls them equal."""
    assert _FILE.merged('{"a": 1}', [Entry(("a",), True)]).text == '{"a": true}'


def test_a_value_that_may_stand_as_it_is_stands() -> None:
    """An entry for an absent value does not change a present one, null included."""
    entry = Entry(("a",), False, only_if_absent=True)
    assert _FILE.merged('{"a": null}', [entry]).changes == ()
    assert json.loads(_FILE.merged("{}", [entry]).text) == {"a": False}


_COMMENTED = """\
{
  // mine: "a", /* not a nested one */
  "url": "http://not-a-comment", /* two
  lines */
  "env": {"A": "1",},
}
"""


def test_a_file_with_comments_is_refused_and_not_changed() -> None:
    """A program would lose comments and trailing commas, so their owner is asked to paste."""
    with pytest.raises(NotMergeableError, match="comments or trailing commas"):
        _FILE.merged(_COMMENTED, [Entry(("env", "A"), "2")])


def test_a_file_with_comments_that_holds_the_values_is_fine() -> None:
    """Comments are read over; what looks like one inside a string is none."""
    assert _FILE.read(_COMMENTED) == {"url": "http://not-a-comment", "env": {"A": "1"}}
    assert _FILE.merged(_COMMENTED, [Entry(("env", "A"), "1")]).text == _COMMENTED


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{\n  "a": 1\n  "b": 2\n}', "line 3, column 3"),
        ('{\n  // c\n  "a" 1\n}', "line 3, column 7"),
        ("{", "line 1, column 2"),
        ('{"a": 1} x', "line 1, column 10"),
    ],
)
def test_what_is_not_json_is_named_by_line_and_column(text: str, place: str) -> None:
    """The place is that of the file as it stands, comments included."""
    with pytest.raises(SetupError, match=place) as refused:
        _FILE.merged(text, _ENTRIES)
    assert not isinstance(refused.value, NotMergeableError)


@pytest.mark.parametrize("text", ["[]", "1", "null", '"x"'])
def test_what_is_no_object_is_refused(text: str) -> None:
    """Settings are an object."""
    with pytest.raises(SetupError, match="holds no JSON object"):
        _FILE.merged(text, _ENTRIES)


@pytest.mark.parametrize("value", ["true", "null", "[]", '"on"'])
def test_a_value_where_an_object_has_to_be_is_refused(value: str) -> None:
    """It is not overwritten: it is not ours, and its owner meant something by it."""
    with pytest.raises(SetupError, match=r"env is .*, where an object has to be"):
        _FILE.merged(f'{{"env": {value}}}', _ENTRIES)


def test_a_file_that_is_nested_too_deep_is_refused() -> None:
    """No traceback for a file of a million brackets."""
    with pytest.raises(SetupError):
        _FILE.merged('{"a":' + "[" * 1_000_000, _ENTRIES)
