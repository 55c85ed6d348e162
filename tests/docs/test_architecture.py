"""Bounds that docs/architecture.md names as numbers are those of the code."""

from __future__ import annotations

import pytest

from receiver.api import imports
from receiver.app import query_listener
from receiver.decode import decoder, flattener, texts
from receiver.embed import pool
from receiver.embed import worker as embed_worker
from receiver.intake import group_intake
from receiver.loader import gathering, handover, loader, transactions
from receiver.store import read_pool
from receiver.transport import grpc_ports
from receiver.transport import handover as transport_handover
from tests.support.pages import text_of

PAGE = text_of("docs/architecture.md")
_MIB = 20


@pytest.mark.parametrize(
    "words",
    [
        f"for requests up to {group_intake._LARGE_BYTES >> _MIB} MiB",
        f"{decoder._CHUNK_BYTES >> _MIB} MiB of small requests in one columnar call",
        f"in pieces of {decoder._PIECE_BYTES >> 10} KiB",
        f"in parts of about {flattener._PART_ROWS:,} rows",
        f"some {transactions.READ_BYTES >> _MIB} MiB where it is read from the spool",
        f"{handover._FULL:.0%} of".replace("%", " %"),
        f"at most {gathering._PACE_S} s",
        f"more than {loader._LARGE_BYTES >> _MIB} MiB of payload",
        f"tried again after {loader._RETRY_S[0]} s up to {loader._RETRY_S[-1]:.0f} s",
        f"{texts._CACHE_TEXTS:,} texts",
        f"{pool.MAX_WAITING} batches in the pool",
        f"on at most {grpc_ports.STREAMS:,} streams a connection",
        f"niced by {embed_worker._NICENESS}",
        f"{read_pool._WAITING_PER_READER} times as many waiting",
        f"{query_listener._CONNECTIONS} on the query listener",
        f"{imports._BODIES} bodies at a time, of at most {imports.LARGEST_BODY >> _MIB} MiB",
        {0.5: "less half a second"}[transport_handover.MARGIN_S],
    ],
)
def test_a_bound_is_the_codes(words: str) -> None:
    """The page has the sentence with the number that the code has."""
    assert words in " ".join(PAGE.split())
