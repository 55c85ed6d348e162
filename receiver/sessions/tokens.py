"""Counts of tokens, apart by what they cost: the one form that every agent's figures are brought into."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

Combine = Callable[[int, int], int]


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one model call, or of many."""

    input: int = 0
    """Read by the model at the full price: neither from a cache nor written into one."""
    output: int = 0
    """Written by the model, its reasoning included."""
    cache_read: int = 0
    cache_creation: int = 0
    reasoning: int = 0
    """The part of ``output`` that was reasoning; it is billed as output."""

    @property
    def total(self) -> int:
        """Return all tokens, each once."""
        return self.input + self.output + self.cache_read + self.cache_creation

    def plus(self, other: Tokens) -> Tokens:
        """Return both together."""
        return _each(self, other, lambda mine, others: mine + others)

    def at_least(self, other: Tokens) -> Tokens:
        """Return the greater count of each type."""
        return _each(self, other, max)

    def beyond(self, other: Tokens) -> Tokens:
        """Return what this has more than the other, type by type; nothing where it has less."""
        return _each(self, other, lambda mine, others: max(0, mine - others))

    def as_json(self) -> dict[str, int]:
        """Return the counts by their names, with the total."""
        return {
            "input": self.input,
            "output": self.output,
            "cache_read": self.cache_read,
            "cache_creation": self.cache_creation,
            "reasoning": self.reasoning,
            "total": self.total,
        }


NO_TOKENS = Tokens()


def total_of(some: Iterable[Tokens]) -> Tokens:
    """Return all of them together."""
    together = NO_TOKENS
    for each in some:
        together = together.plus(each)
    return together


def split_input(
    *, sent: int, cache_read: int, cache_creation: int, output: int, reasoning: int, included: bool = True
) -> Tokens:
    """Return the counts of a call whose input may include what a cache was read for or written with.

    The GenAI conventions say that ``gen_ai.usage.input_tokens`` includes both (https://github.com/open-telemetry/
    semantic-conventions/pull/3163); OpenAI and Gemini count so themselves. Anthropic's own ``input_tokens`` are
    those after the last cache breakpoint (https://platform.claude.com/docs/en/build-with-claude/prompt-caching,
    "Tracking cache performance"), and instrumentations that pass them on unchanged are recognised where the cached
    tokens are more than the input: then they cannot be a part of it.

    Args:
        sent: The input as it was reported.
        cache_read: Input that came from a cache.
        cache_creation: Input that was written into a cache.
        output: All of the output, reasoning included.
        reasoning: The part of ``output`` that was reasoning.
        included: Whether ``sent`` holds the cached tokens.
    """
    cached = cache_read + cache_creation
    inside = included and cached <= sent
    return Tokens(
        input=sent - cached if inside else sent,
        output=output,
        cache_read=cache_read,
        cache_creation=cache_creation,
        reasoning=min(reasoning, output),
    )


def _each(one: Tokens, other: Tokens, combine: Combine) -> Tokens:
    return Tokens(
        input=combine(one.input, other.input),
        output=combine(one.output, other.output),
        cache_read=combine(one.cache_read, other.cache_read),
        cache_creation=combine(one.cache_creation, other.cache_creation),
        reasoning=combine(one.reasoning, other.reasoning),
    )
