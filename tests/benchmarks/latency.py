"""Percentiles of latencies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PERCENTILES = {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}


def latency_figures(seconds: NDArray[np.float64]) -> dict[str, float]:
    """Return p50, p95, p99 and max in milliseconds; empty without latencies."""
    if not len(seconds):
        return {}
    found = np.percentile(seconds * 1e3, list(PERCENTILES.values()), method="inverted_cdf")
    return {name: round(float(value), 3) for name, value in zip(PERCENTILES, found, strict=True)}
