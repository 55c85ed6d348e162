"""The durable queue between the answer and the store: requests in, synced; requests out, verified.

Promised: what :meth:`receiver.ports.Spool.append` returned for survives kill -9, power loss and a full disk
until it is removed. Not promised: space is given back to the file system; it is reused.
"""

from __future__ import annotations

from receiver.spool.sqlite_spool import SqliteSpool

__all__ = ["SqliteSpool"]
