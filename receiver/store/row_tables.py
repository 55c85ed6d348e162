"""The tables whose rows are records, and when a record of each ended."""

from __future__ import annotations

from receiver.signals import Signal

POINT_TABLES = ("metric_points", "histogram_points", "exponential_histogram_points", "summary_points")
ROW_TABLES = {
    "spans": Signal.TRACES,
    "logs": Signal.LOGS,
    **dict.fromkeys(POINT_TABLES, Signal.METRICS),
}
"""By name, with the signal of its records."""
END_TIME = {
    "spans": "greatest(start_time_unix_nano, end_time_unix_nano)",
    "logs": "greatest(time_unix_nano, observed_time_unix_nano)",
    **dict.fromkeys(POINT_TABLES, "time_unix_nano"),
}
"""SQL, by table."""
