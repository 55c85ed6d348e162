"""Laws of the text form that hold for every text."""

from __future__ import annotations

import re
import string
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from receiver.decode.text_form import MASK, mask, model_text, split_identifiers, text_id

_TEXTS = st.one_of(
    st.text(),
    # Denser in what the rules are about than arbitrary text is.
    st.text(alphabet=string.ascii_letters + string.digits + " ./-_:#@=\\\n"),
    st.lists(
        st.one_of(
            st.uuids().map(str),
            st.integers(min_value=0).map(str),
            st.sampled_from(["CartService/AddItem", "ORA-00942", "gpt-4o", "v1.24.3", "code", "/", ".", "-"]),
        )
    ).map(" ".join),
)
_WORDS = st.text(alphabet=string.ascii_letters, min_size=1)


@given(_TEXTS)
def test_masking_twice_changes_nothing_more(text: str) -> None:
    """A mask is never taken for noise, nor does it make its neighbours noise."""
    assert mask(mask(text)) == mask(text)


@given(st.text().filter(lambda text: not re.search("[0-9]", text)))
def test_text_without_a_digit_is_never_masked(text: str) -> None:
    """Noise has digits; words are never lost."""
    assert mask(text) == text


@given(_WORDS, st.uuids(), _WORDS)
def test_no_uuid_survives_between_words(before: str, uuid: UUID, after: str) -> None:
    """Whatever stands around it, a free-standing UUID becomes the mask."""
    assert mask(f"{before} {uuid} {after}") == f"{before} {MASK} {after}"


@given(st.integers(min_value=0, max_value=9999), _WORDS)
def test_short_numbers_stay(number: int, word: str) -> None:
    """Status codes and counts of up to four digits are never masked."""
    assert mask(f"{word} {number} {word}") == f"{word} {number} {word}"


@given(_TEXTS)
def test_splitting_keeps_every_letter_and_digit_in_its_order(text: str) -> None:
    """Only separators change: taking them away gives the same from before and after."""
    separators = re.compile(r"[\s_/\\.:-]")
    assert separators.sub("", split_identifiers(text)) == separators.sub("", text)


@given(_TEXTS)
def test_the_model_text_is_one_tidy_line(text: str) -> None:
    """No line breaks, no double spaces, nothing at the ends."""
    form = model_text(text)
    assert form == " ".join(form.split())


@given(st.text(alphabet=st.characters()))
def test_every_text_has_an_id(text: str) -> None:
    """Even text that no UTF-8 could hold: an id is a function of the text and never fails."""
    assert text_id(text) == text_id(text)
