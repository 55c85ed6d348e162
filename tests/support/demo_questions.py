"""Questions to the OpenTelemetry demo's capture, written down before any result was looked at.

``QUESTIONS`` have an answer in the capture, and the words of most do not stand in its names. ``UNRELATED`` have
nothing to do with software; ``ABSENT`` are what one may well ask telemetry, but this capture has nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Question:
    """A question and what a result must be to be an answer; one of the two is enough."""

    text: str
    service: str | None = None
    names: tuple[str, ...] = ()
    """Parts of the record's name."""

    def fits(self, result: dict[str, Any]) -> bool:
        """Return whether a search result is an answer."""
        return (self.service is not None and result["service"] == self.service) or any(
            name in result["name"] for name in self.names
        )


QUESTIONS = (
    Question("putting something into the cart failed", names=("CartService", "/api/cart")),
    Question("ads by category", service="adservice"),
    Question(
        "suggest other products the customer may like",
        service="recommendationservice",
        names=("Recommendation",),
    ),
    Question("how much does delivery of the parcel cost", names=("Shipping",)),
    Question("customer places an order", service="checkoutservice", names=("PlaceOrder",)),
    Question(
        "load information about one telescope", service="productcatalogservice", names=("ProductCatalog",)
    ),
    Question("feature switch evaluation", service="flagd"),
    Question("exchange rate from dollars to euros", service="currencyservice"),
)
UNRELATED = (
    "weather in the mountains",
    "recipe for apple pie",
    "who won the football match",
    "the history of the Roman empire",
    "how to train a puppy",
    "symptoms of a cold",
    "learning to play the violin",
    "purple elephants dancing",
    "the capital of Mongolia",
    "planting tomatoes in spring",
    "a poem about the sea",
    "how do volcanoes form",
    "asdf qwer zxcv",
    "best hotels on the beach",
    "nuclear fusion reactor design",
    "my grandmother's wedding dress",
)
ABSENT = (
    "kubernetes pod was evicted",
    "user login with a wrong password",
    "newsletter was sent to the subscribers",
    "schema migration of the database",
    "video is transcoded",
    "GPU out of memory",
    "certificate has expired",
    "language model called a tool",
)
