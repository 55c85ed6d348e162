"""The documented factory."""

from __future__ import annotations

from os import PathLike
from typing import Any

from receiver.ingester.otel_ingester import OtelIngester
from receiver.ingester.place import MEMORY


async def create_otel_ingester(
    hot_store_path: str | PathLike[str] = MEMORY,
    embedding_model: str | None = "all-MiniLM-L6-v2",
    cache_size: int | None = 1000,
    **options: Any,
) -> OtelIngester:
    """Return an ingester that is initialised; it must be closed.

    Args:
        hot_store_path: ``:memory:``, a ``.duckdb`` file, a data directory, or ``http://host:port``.
        embedding_model: Name of a sentence-transformers model.
        cache_size: Recent questions whose vectors are kept.
        **options: The other keywords of :class:`OtelIngester`.

    Raises:
        ReceiverError: What the constructor and ``initialize`` raise.
    """
    ingester = OtelIngester(None, embedding_model, cache_size, hot_store_path=hot_store_path, **options)
    await ingester.initialize()
    return ingester
