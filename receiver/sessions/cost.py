"""What a session cost: as reported where somebody did, else from the price table, and nothing twice.

Metrics and calls count the same requests, so they cross-check and fill each other up, and are never added: per model
and type of token the greater figure counts. Cost works the same way, per model: what was reported is the greater of
the calls' sum and the metrics' sum; tokens that neither of them paid for are estimated.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from receiver.sessions.calls import Call
from receiver.sessions.models import canonical
from receiver.sessions.prices import PriceTable
from receiver.sessions.statements import CallKind
from receiver.sessions.tokens import NO_TOKENS, Tokens, total_of
from receiver.sessions.usage_metrics import MetricUsage

_DIGITS = 9
"""Decimal places of a USD amount: finer than the price of any single token."""


class CostSource(StrEnum):
    """Where an amount comes from."""

    REPORTED = "reported"
    ESTIMATED = "estimated"
    MIXED = "mixed"
    """Some of it was reported and the rest is estimated."""
    UNKNOWN = "unknown"
    """Nothing was reported, and the price table has no such model."""


@dataclass(frozen=True, slots=True)
class Cost:
    """An amount and where it comes from."""

    reported: float | None = None
    estimated: float | None = None
    unpriced: Tokens = NO_TOKENS
    """Tokens that the amount leaves out, because nobody knows their price."""

    @property
    def usd(self) -> float | None:
        """Return the amount; None where nothing of it is known."""
        if self.reported is None and self.estimated is None:
            return None
        return round((self.reported or 0.0) + (self.estimated or 0.0), _DIGITS)

    @property
    def source(self) -> CostSource:
        """Return where the amount comes from."""
        if self.reported is not None:
            return CostSource.REPORTED if self.estimated is None else CostSource.MIXED
        return CostSource.UNKNOWN if self.estimated is None else CostSource.ESTIMATED


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """What one model did in a session."""

    model: str
    """The name as it was first met."""
    provider: str
    calls: int
    tokens: Tokens
    cost: Cost
    beyond_tokens: Tokens
    """What metrics count beyond the calls."""
    beyond_usd: float


def cost_of_call(call: Call, prices: PriceTable) -> Cost:
    """Return what one call cost."""
    if call.cost_usd is not None:
        return Cost(reported=call.cost_usd)
    return _estimate(call.tokens or NO_TOKENS, call.model, prices)


def cost_of_all(costs: Iterable[Cost]) -> Cost:
    """Return several amounts together."""
    some = list(costs)
    reported = [each.reported for each in some if each.reported is not None]
    estimated = [each.estimated for each in some if each.estimated is not None]
    return Cost(
        reported=sum(reported) if reported else None,
        estimated=sum(estimated) if estimated else None,
        unpriced=total_of(each.unpriced for each in some),
    )


def usage_by_model(calls: Iterable[Call], metrics: MetricUsage, prices: PriceTable) -> list[ModelUsage]:
    """Return the models of a session, the one with the most tokens first."""
    by_model: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        if call.kind is CallKind.MODEL:
            by_model[canonical(call.model)].append(call)
    for model in (*metrics.tokens, *metrics.cost_usd):
        by_model.setdefault(model, [])
    found = [_model_usage(model, some, metrics, prices) for model, some in by_model.items()]
    return sorted(found, key=lambda each: (-each.tokens.total, each.model))


def _model_usage(model: str, calls: list[Call], metrics: MetricUsage, prices: PriceTable) -> ModelUsage:
    of_calls = total_of(call.tokens for call in calls if call.tokens)
    paid_calls = [call for call in calls if call.cost_usd is not None]
    of_metrics = metrics.tokens.get(model, NO_TOKENS)
    metric_cost = metrics.cost_usd.get(model)
    amounts = [sum(call.cost_usd or 0.0 for call in paid_calls)] if paid_calls else []
    amounts += [metric_cost] if metric_cost is not None else []
    # a metric of tokens pays for nothing: only where its fellow tells a cost are its tokens paid for
    paid = total_of(call.tokens for call in paid_calls if call.tokens)
    paid = paid.at_least(of_metrics if metric_cost is not None else NO_TOKENS)
    tokens = of_calls.at_least(of_metrics)
    name = next((call.model for call in calls if call.model), metrics.names.get(model, model))
    rest = _estimate(tokens.beyond(paid), name, prices)
    calls_usd = cost_of_all(cost_of_call(call, prices) for call in calls).usd or 0.0
    return ModelUsage(
        model=name,
        provider=next((call.provider for call in calls if call.provider), ""),
        calls=len(calls),
        tokens=tokens,
        cost=Cost(max(amounts) if amounts else None, rest.estimated, rest.unpriced),
        beyond_tokens=of_metrics.beyond(of_calls),
        beyond_usd=round(max(0.0, (metric_cost or 0.0) - calls_usd), _DIGITS),
    )


def _estimate(tokens: Tokens, model: str, prices: PriceTable) -> Cost:
    if not tokens.total:
        return Cost()
    price = prices.find(model)
    return Cost(unpriced=tokens) if price is None else Cost(estimated=price.of(tokens))


def cost_json(cost: Cost) -> Mapping[str, object]:
    """Return the amount as it stands in answers."""
    return {"cost_usd": cost.usd, "cost_source": cost.source.value}
