"""The documented Python API: OtelIngester, HotStore, HotRecord."""
