"""Rules of cutting long texts into chunks."""

from __future__ import annotations

import re

from receiver.embed.chunking import Offsets, chunk_text


def _two_character_tokens(text: str) -> Offsets:
    """Tokenize like a word-piece model: words, in pieces of at most two characters."""
    return [match.span() for match in re.finditer(r"\w{1,2}", text)]


def test_a_short_text_is_one_chunk_and_is_not_tokenized() -> None:
    """A text with fewer characters than a chunk has tokens needs no look at its tokens."""

    def refuse(text: str) -> Offsets:
        raise AssertionError(text)

    assert chunk_text("short", refuse, chunk_tokens=5, max_chunks=2) == (["short"], False)


def test_no_chunk_has_more_tokens_than_it_may() -> None:
    """Each chunk fits the model, and together they are the whole text."""
    text = " ".join(f"word{n:03}" for n in range(40))
    chunks = chunk_text(text, _two_character_tokens, chunk_tokens=20, max_chunks=100)
    assert all(len(_two_character_tokens(chunk)) <= 20 for chunk in chunks.texts)
    assert " ".join(chunks.texts) == text
    assert not chunks.cut


def test_a_chunk_ends_between_words() -> None:
    """A word that would be torn apart goes whole into the next chunk."""
    chunks = chunk_text("abcdef ghijkl mnopqr " * 20, _two_character_tokens, chunk_tokens=20, max_chunks=100)
    assert all(len(word) == 6 for chunk in chunks.texts for word in chunk.split())


def test_a_word_longer_than_a_chunk_is_torn() -> None:
    """Without a gap near the end the chunk is cut where it is full: nothing is left out."""
    chunks = chunk_text("abcdefghij" * 4, _two_character_tokens, chunk_tokens=7, max_chunks=100)
    assert "".join(chunks.texts) == "abcdefghij" * 4


def test_what_is_behind_the_last_chunk_is_said_to_be_cut() -> None:
    """No more chunks than allowed, and the caller learns that there was more."""
    chunks = chunk_text("ab " * 100, _two_character_tokens, chunk_tokens=10, max_chunks=3)
    assert chunks.cut
    assert len(chunks.texts) <= 3


def test_repeated_chunks_stand_once() -> None:
    """One vector for each distinct chunk: a thousand equal lines are one."""
    chunks = chunk_text("ab " * 100, _two_character_tokens, chunk_tokens=10, max_chunks=100)
    assert len(chunks.texts) == len(set(chunks.texts)) == 1
    assert not chunks.cut


def test_a_huge_text_is_not_tokenized_as_a_whole() -> None:
    """What cannot end up in a chunk is not read, and counts as cut."""
    seen: list[int] = []

    def count(text: str) -> Offsets:
        seen.append(len(text))
        return _two_character_tokens(text)

    chunks = chunk_text("a" * 1_000_000, count, chunk_tokens=10, max_chunks=2)
    assert max(seen) < 1000
    assert chunks.cut


def test_a_text_without_a_token_is_one_empty_chunk() -> None:
    """Every text has at least one vector, so that it does not stay pending for ever."""
    assert chunk_text("…" * 50, _two_character_tokens, chunk_tokens=10, max_chunks=2).texts == [""]
