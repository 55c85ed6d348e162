"""Tokens of a trace per model, from the ``gen_ai.*`` attributes of its spans.

An agent's span often repeats the sum of the calls below it: a span counts only if no span below it tells of tokens.
Names: https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/ with their deprecated forms, and the
plain ones that Claude Code and Qwen Code send on a span that names a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from receiver.ports import Rows
from receiver.query.outline_spans import Forest, Place, in_order

_TOKENS: Mapping[str, tuple[str, ...]] = {
    "input_tokens": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "input_tokens"),
    "output_tokens": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "output_tokens"),
    "cache_read_tokens": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cached_tokens",
        "cache_read_tokens",
    ),
    "cache_creation_tokens": ("gen_ai.usage.cache_creation.input_tokens", "cache_creation_tokens"),
    "reasoning_tokens": ("gen_ai.usage.reasoning.output_tokens",),
}
_MODELS = ("gen_ai.response.model", "gen_ai.request.model")


def tokens_by_model(forest: Forest) -> Rows:
    """Return each model with its calls, failed calls and tokens, the one with the most tokens first."""
    found: dict[str, dict[str, Any]] = {}
    telling: set[int] = set()
    for place in reversed(list(in_order(forest.roots))):  # children before their parents
        below = any(id(child) in telling for child in place.children)
        tokens = {} if below else _tokens(place)
        if not below and not tokens:
            continue
        telling.add(id(place))
        if below:
            continue
        model = _model(place.span["attributes"]) or "unknown"
        sums = found.setdefault(model, {"model": model, "calls": 0, "errors": 0, **dict.fromkeys(_TOKENS, 0)})
        sums["calls"] += 1
        sums["errors"] += place.failed
        for name, count in tokens.items():
            sums[name] += count
    return sorted(
        found.values(), key=lambda each: (-each["input_tokens"] - each["output_tokens"], each["model"])
    )


def _model(attributes: Any) -> str:
    if not isinstance(attributes, dict):
        return ""
    return next((value for key in _MODELS if isinstance(value := attributes.get(key), str) and value), "")


def _tokens(place: Place) -> dict[str, int]:
    attributes = place.span["attributes"]
    if not isinstance(attributes, dict):
        return {}
    model = bool(_model(attributes))
    found: dict[str, int] = {}
    for name, keys in _TOKENS.items():
        for key in keys:
            value = attributes.get(key)
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                continue
            if model or "." in key:  # a plain name means tokens of a model only beside a model
                found[name] = value
                break
    return found
