"""Tokens and cost by model, from agents' metrics. They count the same calls again: see ``cost`` for how both meet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from receiver.questions import AgentRecord
from receiver.sessions import claude_code, gemini_cli, qwen_code
from receiver.sessions.attributes import Attributes, text
from receiver.sessions.models import canonical
from receiver.sessions.repeats import series_of
from receiver.sessions.tokens import Tokens
from receiver.signals import Signal

_DELTA = 1
_TOKENS: Mapping[str, Callable[[Attributes, int], Tokens]] = {
    claude_code.TOKEN_METRIC: claude_code.metric_tokens,
    gemini_cli.TOKEN_METRIC: gemini_cli.metric_tokens,
    qwen_code.TOKEN_METRIC: qwen_code.metric_tokens,
}
_INPUT_HOLDS_CACHED = frozenset({gemini_cli.TOKEN_METRIC, qwen_code.TOKEN_METRIC})
_COST = frozenset({claude_code.COST_METRIC})


@dataclass(frozen=True, slots=True)
class MetricUsage:
    """What metrics say, by canonical model name."""

    tokens: Mapping[str, Tokens] = field(default_factory=dict)
    cost_usd: Mapping[str, float] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    """The model's name as it was sent."""


def metric_usage(records: Iterable[AgentRecord]) -> MetricUsage:
    """Return the usage that the data points among these records add up to; each must be there once.

    Delta points are added. Of cumulative ones (and of those that do not say) the last of each series and start
    counts: a new start is a process that counts from nothing again.
    """
    points = [
        each
        for each in records
        if each.signal is Signal.METRICS
        and (each.name in _TOKENS or each.name in _COST)
        and each.value is not None
        and each.value >= 0
    ]
    counts: dict[tuple[bytes, int, int], AgentRecord] = {}
    for point in points:
        delta = point.aggregation_temporality == _DELTA
        stretch = (series_of(point), point.start_time_ns, point.time_ns if delta else 0)
        known = counts.get(stretch)
        if known is None or point.time_ns > known.time_ns:
            counts[stretch] = point
    tokens: dict[tuple[str, bool], Tokens] = defaultdict(Tokens)
    cost: dict[str, float] = defaultdict(float)
    names: dict[str, str] = {}
    for point in counts.values():
        sent = text(point.attributes, "model", "gen_ai.request.model")
        model = canonical(sent)
        names.setdefault(model, sent)
        value = point.value or 0
        if point.name in _COST:
            cost[model] += value
        else:
            key = (model, point.name in _INPUT_HOLDS_CACHED)
            tokens[key] = tokens[key].plus(_TOKENS[point.name](point.attributes, int(value)))
    together: dict[str, Tokens] = defaultdict(Tokens)
    for (model, holds_cached), found in tokens.items():
        apart = replace(found, input=max(0, found.input - found.cache_read)) if holds_cached else found
        together[model] = together[model].plus(apart)
    return MetricUsage(dict(together), dict(cost), names)
