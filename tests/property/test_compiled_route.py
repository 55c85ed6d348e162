"""The compiled route says what the Python route says: verdict for verdict, row for row."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants

from receiver.ports import ExportRequest
from receiver.signals import Signal
from tests.benchmarks.payload import pool_of
from tests.benchmarks.template import Chance
from tests.fuzz.mutations import Mutator
from tests.support.decode_routes import NOT_BUILT, DecodeRoutes
from tests.support.otlp_strategies import REQUESTS
from tests.support.spoken_strategies import SPOKEN_REQUESTS

pytestmark = NOT_BUILT
SEVERAL = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


@pytest.fixture(scope="module")
def routes() -> Iterator[DecodeRoutes]:
    """Return both routes, for all examples: what one request leaves in their memory meets the next."""
    routes = DecodeRoutes()
    yield routes
    routes.close()


@pytest.mark.parametrize("signal", [Signal.TRACES, Signal.LOGS])
def test_what_is_said_becomes_the_same_columns_and_texts(routes: DecodeRoutes, signal: Signal) -> None:
    """Prompts as JSON and as values, noise, names, keys that are there twice, sessions; whatever stands in them."""

    @SEVERAL
    @given(st.lists(SPOKEN_REQUESTS[signal], min_size=1, max_size=4))
    def compare(bodies: list[bytes]) -> None:
        routes.compare([ExportRequest(signal, body) for body in bodies])

    compare()


@pytest.mark.parametrize("signal", [Signal.TRACES, Signal.LOGS])
def test_most_of_what_is_said_is_taken(
    routes: DecodeRoutes, signal: Signal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the comparison would compare one route with itself; the same requests in every run, as this is a share."""
    taken = seen = 0
    # Hypothesis draws literals of those of the project's modules that are loaded, too, which other tests decide.
    monkeypatch.setattr(providers, "_get_local_constants", Constants)
    monkeypatch.setattr(providers, "CONSTANTS_CACHE", {})

    @settings(SEVERAL, max_examples=60, derandomize=True, database=None)
    @given(st.lists(SPOKEN_REQUESTS[signal], min_size=1, max_size=4))
    def compare(bodies: list[bytes]) -> None:
        nonlocal taken, seen
        taken += routes.compare([ExportRequest(signal, body) for body in bodies])
        seen += len(bodies)

    compare()
    assert taken > seen / 2, f"{taken} of {seen} requests were taken"


@SEVERAL
@given(data=st.data(), signal=st.sampled_from(Signal), number=st.integers(0, 2**32))
def test_damaged_requests_get_the_same_verdict_and_rows(
    routes: DecodeRoutes, data: st.DataObject, signal: Signal, number: int
) -> None:
    """Some of a group are taken, some rejected in part, some refused: neither route sees what the other does not."""
    valid = [body for body in data.draw(st.lists(REQUESTS[signal], min_size=1, max_size=3)) if body] or [
        b"\n\x00"
    ]
    mutator = Mutator(random.Random(number), valid, [])
    damaged = [mutator.protobuf() for _ in range(6)]
    routes.compare([ExportRequest(signal, body) for body in (*damaged, *valid)])


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize("payload", ["realistic", "small"])
def test_every_ordinary_request_is_taken(routes: DecodeRoutes, payload: str, signal: Signal) -> None:
    """What exporters send goes the fast way, all of it; a group of several requests and each on its own."""
    chance = Chance(1)
    bodies = [
        template.fresh(time.time_ns(), chance)
        for template in pool_of(payload, signal, records=40, pool_records=200)
    ]
    requests = [ExportRequest(signal, body) for body in bodies]
    assert routes.compare(requests) == len(requests)
    for request in requests:
        assert routes.compare([request]) == 1
