"""Messages in the conventions' form: cut, counted, and told from what is repeated."""

from __future__ import annotations

import json

import pytest

from receiver.sources.contents.google import google_usage
from receiver.sources.contents.messages import (
    CONTENT_LIMIT,
    LEFT_OUT,
    MESSAGES_LIMIT,
    SeenMessages,
    cut,
    input_messages,
    message,
    output_messages,
    put,
    text_part,
    tool_call_part,
)


def _said(*texts: str) -> list[dict[str, object]]:
    return [message("user", [text_part(each)]) for each in texts]


def test_short_text_is_not_cut() -> None:
    """Up to the limit everything is kept."""
    assert cut("x" * CONTENT_LIMIT) == ("x" * CONTENT_LIMIT, 0)
    assert cut("x" * (CONTENT_LIMIT + 3)) == ("x" * CONTENT_LIMIT, 3)


def test_contents_of_messages_are_cut_one_by_one() -> None:
    """A long part loses its end; its neighbours lose nothing; arguments that fit stay an object."""
    said = [
        message("user", [text_part("y" * (CONTENT_LIMIT + 10)), tool_call_part("f", {"a": 1}, "c")]),
        *_said("short"),
    ]
    text, left_out = input_messages(said)
    first, second = json.loads(text)
    assert left_out == 10
    assert len(first["parts"][0]["content"]) == CONTENT_LIMIT
    assert first["parts"][1]["arguments"] == {"a": 1}
    assert second["parts"][0]["content"] == "short"


def test_all_messages_together_have_a_limit() -> None:
    """However many messages there are, the attribute stays far below what a request may hold."""
    text, left_out = input_messages(_said(*["z" * CONTENT_LIMIT] * 20))
    assert len(text) < MESSAGES_LIMIT + 20 * 100
    assert left_out == 20 * CONTENT_LIMIT - MESSAGES_LIMIT


def test_reason_of_the_end_stands_at_the_last_message() -> None:
    """The finish reason is of the answer, not of what was asked."""
    text, _ = output_messages(_said("a", "b"), "stop")
    assert [each.get("finish_reason") for each in json.loads(text)] == [None, "stop"]


def test_left_out_characters_add_up() -> None:
    """Two contents of one span that are cut are counted together; None adds no attribute."""
    attributes: dict[str, object] = {}
    put(attributes, "a", "x" * (CONTENT_LIMIT + 1))  # type: ignore[arg-type]
    put(attributes, "b", {"k": "x" * CONTENT_LIMIT})  # type: ignore[arg-type]
    put(attributes, "c", None)  # type: ignore[arg-type]
    assert attributes[LEFT_OUT] == 1 + len('{"k":""}')
    assert "c" not in attributes


def test_same_words_said_twice_are_two_messages() -> None:
    """A message is repeated only if an earlier call held it as often."""
    seen = SeenMessages()
    assert seen.new(_said("yes")) == (_said("yes"), 0)
    assert seen.new(_said("yes", "yes")) == (_said("yes"), 1)
    assert seen.new(_said("yes", "yes", "no")) == (_said("no"), 2)


@pytest.mark.parametrize(
    ("total", "whole_output", "output"),
    [(137, True, 27), (130, True, 20), (None, True, 20), (137, False, 20)],
)
def test_thoughts_beside_the_answer_are_output(total: int | None, whole_output: bool, output: int) -> None:
    """The total tells whether thoughts are among the candidates; tokens of the provider's tools were sent."""
    usage = google_usage(
        prompt=100, candidates=20, cached=60, thoughts=7, tools=10, total=total, whole_output=whole_output
    )
    assert (usage.input, usage.output, usage.cache_read, usage.reasoning) == (110, output, 60, 7)
