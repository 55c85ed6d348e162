"""Why a record was found is said in one short line."""

from __future__ import annotations

from receiver.query.reasons import reason, words_of


def test_words_that_say_nothing_are_left_out() -> None:
    """What a question is about is left."""
    assert words_of("Why did the payment fail?") == ["payment", "fail"]


def test_identifiers_are_split() -> None:
    """CamelCase and dots hold words."""
    assert words_of("oteldemo.CartService/AddItem") == ["oteldemo", "cart", "service", "add", "item"]


def test_a_question_of_stop_words_keeps_them() -> None:
    """Something is always looked for."""
    assert words_of("who is it") == ["who", "is", "it"]


def test_the_reason_names_the_shared_words_and_the_part_that_has_them() -> None:
    """Of several lines the one with the shared words is shown."""
    assert reason(["card", "declined"], "POST /charge\nCard was declined by the bank") == (
        "has card, declined: Card was declined by the bank"
    )


def test_without_shared_words_the_reason_is_the_meaning() -> None:
    """No word is claimed that is not there."""
    assert reason(["money"], "payment declined") == "similar in meaning: payment declined"


def test_a_long_part_is_cut() -> None:
    """The line stays short."""
    assert len(reason(["x"], "y" * 5000)) < 250
