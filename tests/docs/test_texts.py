"""docs/texts.md tells what the code does: its lists are the code's, its examples are computed."""

from __future__ import annotations

import re

import pytest

from receiver.decode import text_attributes, texts
from receiver.decode.text_attributes import CONTENT_KEYS, NAMING_KEYS
from receiver.decode.text_form import model_text, text_id
from tests.support.pages import text_of

PAGE = text_of("docs/texts.md")
_EXAMPLE = re.compile(r"^\| `([^`]+)` \| `([^`]+)` \|$", re.MULTILINE)
_ID = re.compile(r"md5\('([^']+)'\) = ([0-9a-f-]{36})")


@pytest.mark.parametrize(("marker", "keys"), [("naming", NAMING_KEYS), ("content", CONTENT_KEYS)])
def test_the_lists_of_attributes_are_those_of_the_code(marker: str, keys: tuple[str, ...]) -> None:
    """The page has every attribute of the code's list, in its order."""
    listed = PAGE.partition(f"<!-- {marker} -->")[2].partition("<!-- end -->")[0]
    assert tuple(re.findall(r"`([\w.]+)`", listed)) == keys


@pytest.mark.parametrize(("text", "form"), _EXAMPLE.findall(PAGE))
def test_an_example_is_what_the_model_reads(text: str, form: str) -> None:
    """The right column of the examples is the model text of the left one."""
    assert model_text(text) == form


def test_the_page_has_examples() -> None:
    """There are examples of masking and of splitting."""
    assert len(_EXAMPLE.findall(PAGE)) >= 5


def test_the_id_of_the_example_is_the_one_in_the_code() -> None:
    """The example of an id is what the code computes."""
    (form, identity) = _ID.findall(PAGE)[0]
    assert str(text_id(form)) == identity


@pytest.mark.parametrize(
    "number",
    [
        text_attributes._PARSED_CHARACTERS,
        texts._NAME_CHARACTERS,
        texts._GENERAL_CHARACTERS,
        texts._CONTENT_CHARACTERS,
        texts._LINE_CHARACTERS,
        texts._CACHE_TEXTS,
    ],
)
def test_the_bounds_of_texts_are_named(number: int) -> None:
    """Every bound that the code has stands on the page."""
    assert re.search(rf"(?<!\d)(?<!\d,){number:,}(?!,?\d)", PAGE)
