"""docs/metrics.md lists exactly what a scrape shows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from receiver.ports import Transport
from receiver.signals import Signal
from receiver.telemetry.metrics import SCRAPED_GAUGES, Metrics, Refusal

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
_ROW = re.compile(
    r"^\| `(?P<name>\w+)` \| (?P<kind>counter|gauge|histogram) \| (?P<labels>[^|]*)\| (?P<meaning>[^|]+) \|$"
)
_LABEL = re.compile(r"`(\w+)`")


class Shown(NamedTuple):
    """What a user has to know to write a query."""

    kind: str
    labels: frozenset[str]


class EveryFigure:
    """Figures of a receiver that has all of them."""

    def gauges(self) -> Mapping[str, float]:
        """Return a value for each gauge that is read at a scrape."""
        return dict.fromkeys(SCRAPED_GAUGES, 1.0)

    def conservation(self) -> Mapping[str, Mapping[Signal, int]]:
        """Return each term of the identity."""
        states = ("accepted", "stored", "duplicates", "in_spool", "quarantined")
        return {state: dict.fromkeys(Signal, 1) for state in states}


def exposed() -> dict[str, Shown]:
    """Return every metric after each of them was used once, so that its labels can be seen."""
    metrics = Metrics()
    metrics.observe(EveryFigure())
    each = dict.fromkeys(Signal, 1)
    for signal in Signal:
        metrics.accepted(signal, Transport.GRPC, 1)
        metrics.rejected(signal, Transport.GRPC, 1)
        metrics.refused(signal, Transport.GRPC, Refusal.BUSY)
        metrics.duplicate(signal, Transport.GRPC)
        metrics.warned(signal, Transport.GRPC)
        metrics.answered(signal, Transport.GRPC, 0.1)
    metrics.committed(0.1)
    metrics.decoded(0.1)
    metrics.loaded(each, 0.1)
    metrics.load_failed()
    metrics.store_reopened()
    metrics.checkpointed(0.1)
    metrics.embedded(1)
    metrics.embed_failed()
    metrics.retired(each)
    metrics.redacted("mask", 1)
    metrics.queried("search", 0.1)
    metrics.question_refused(Refusal.ORIGIN)
    found: dict[str, Shown] = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        if family.name.endswith("_created"):
            continue
        name = f"{family.name}_total" if family.type == "counter" else family.name
        assert family.samples, f"{name} has no sample: use it above, so that its labels can be compared"
        labels = frozenset(label for sample in family.samples for label in sample.labels) - {"le"}
        found[name] = Shown(family.type, labels)
    return found


def documented() -> dict[str, Shown]:
    """Return the rows of the page's tables."""
    rows = [match for line in PAGE.splitlines() if (match := _ROW.match(line))]
    assert len({row["name"] for row in rows}) == len(rows), "a metric stands twice"
    return {row["name"]: Shown(row["kind"], frozenset(_LABEL.findall(row["labels"]))) for row in rows}


def test_the_page_and_a_scrape_name_the_same_metrics() -> None:
    """Every exposed metric has a row, and every row an exposed metric."""
    assert sorted(documented()) == sorted(exposed())


@pytest.mark.parametrize("name", sorted(exposed()))
def test_type_and_labels_are_as_documented(name: str) -> None:
    """A row gives the type and exactly the labels that a scrape shows."""
    assert documented()[name] == exposed()[name]


def test_every_reason_of_a_refusal_is_explained() -> None:
    """The table of reasons holds every word that the label can have, and no other."""
    reasons = PAGE.partition("| reason | meaning |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", reasons, re.MULTILINE)) == set(Refusal)


def test_the_identity_is_the_one_of_the_help_text() -> None:
    """The page states the conservation identity in the words of the metric itself."""
    help_texts = {
        family.documentation
        for family in text_string_to_metric_families(_rendered())
        if family.name == "otlp_receiver_conservation_records"
    }
    identity = "accepted = stored + duplicates + in_spool + quarantined + not_restored"
    assert identity in PAGE
    assert all(identity in text for text in help_texts)
    assert help_texts


def _rendered() -> str:
    metrics = Metrics()
    metrics.observe(EveryFigure())
    return metrics.render().decode()
