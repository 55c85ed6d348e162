"""OTLP in, durable before the answer, found again by meaning.

The names of the Python API (docs/python.md) are loaded when they are first used: importing ``receiver`` itself
loads nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from receiver.client.credentials import Credentials
    from receiver.ingester.factory import create_otel_ingester
    from receiver.ingester.hot_record import HotRecord
    from receiver.ingester.hot_store import HotStore
    from receiver.ingester.otel_ingester import OtelIngester
    from receiver.ingester.validation import ValidationError

__version__ = "0.1.0"
__all__ = ["Credentials", "HotRecord", "HotStore", "OtelIngester", "ValidationError", "create_otel_ingester"]

_HOMES = {
    "Credentials": "receiver.client.credentials",
    "HotRecord": "receiver.ingester.hot_record",
    "HotStore": "receiver.ingester.hot_store",
    "OtelIngester": "receiver.ingester.otel_ingester",
    "ValidationError": "receiver.ingester.validation",
    "create_otel_ingester": "receiver.ingester.factory",
}


def __getattr__(name: str) -> Any:
    """Load a name of the API (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'receiver' has no attribute {name!r}")
    found = getattr(importlib.import_module(home), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return the names that are here, loaded or not."""
    return sorted({*globals(), *__all__})
