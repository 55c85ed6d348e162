"""Fault: bytes inside the spool change while the only copy of acknowledged requests is there.

The store is held by another process meanwhile, so that everything waits in the spool. What the fault destroys is
lost by definition: it must be found, named in the log, and counted in /stats and /metrics, and be all that is lost.
"""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import duckdb
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.faults.fault import FaultReport
from tests.faults.numbered_client import SIGNALS, quick_client
from tests.faults.numbered_records import acknowledged_numbers, compare_with_store
from tests.faults.receivers import Receivers, metric, wait_until_ready

_MOST_REQUESTS = 60
_MOST_DAMAGED = 5
_FOUND = (
    "damaged requests in the spool (their checksum does not match their bytes), set aside in quarantine: "
)


class SpoolDamage:
    """Implements :class:`tests.faults.fault.Fault`."""

    name = "damaged bytes inside the spool"
    short_rounds = 1
    long_rounds = 20

    def run(self, rounds: int, folder: Path, chance: random.Random) -> FaultReport:
        """Do it and report; see the protocol."""
        report = FaultReport()
        damaged_requests = 0
        for number in range(rounds):
            place = folder / str(number)
            place.mkdir()
            receivers = Receivers(place)
            with receivers.next() as receiver:
                wait_until_ready(receiver)  # there is a store
                assert receiver.stop().exit_code == 0
            with (
                duckdb.connect(receivers.data_dir / "telemetry.duckdb"),
                receivers.next() as receiver,
                quick_client(receiver, number=0) as client,
            ):
                client.wait_for(chance.randrange(2, _MOST_REQUESTS))
                receiver.kill()
            destroyed = damage(receivers.data_dir / "spool.db", chance)
            with receivers.following(report) as receiver:
                named = {
                    int(each)
                    for line in receiver.log.splitlines()
                    if _FOUND in line
                    for each in line.partition(_FOUND)[2].split(", ")
                }
                assert named == set(destroyed), receiver.log
                assert receiver.stats()["quarantine"]["damaged_requests"] == len(destroyed)
                assert metric(receiver, "otlp_receiver_damaged_requests") == len(destroyed)
                gone: dict[str, set[int]] = {signal: set() for signal in SIGNALS}
                for signal, numbers in destroyed.values():
                    gone[signal] |= numbers
                compare_with_store(report, receiver, acknowledged_numbers([client]), destroyed=gone)
            damaged_requests += len(destroyed)
            report.tried += 1
        report.notes.append(f"{damaged_requests} requests damaged, all found, named and counted")
        return report


def damage(spool: Path, chance: random.Random) -> dict[int, tuple[str, set[int]]]:
    """Flip bits in some waiting requests of a spool that nobody has open; return their signals and records."""
    with closing(sqlite3.connect(spool)) as connection:  # the last to close it leaves no log
        rows = connection.execute(
            "SELECT sequence, signal, payload FROM requests JOIN payloads USING (sequence)"
        ).fetchall()
    content = bytearray(spool.read_bytes())
    destroyed = {}
    for sequence, signal, payload in chance.sample(rows, min(len(rows), chance.randint(1, _MOST_DAMAGED))):
        offset, bit = chance.randrange(len(payload)), 1 << chance.randrange(8)
        at = content.find(payload)
        assert at >= 0, "its pages are not in a row"
        while at >= 0:
            content[at + offset] ^= bit
            at = content.find(payload)
        destroyed[sequence] = (signal, numbers_of(signal, payload))
    spool.write_bytes(content)
    return destroyed


def numbers_of(signal: str, payload: bytes) -> set[int]:
    """Return the numbers of the records in an export request; see ``tests.support.exporting_client``."""
    if signal == "traces":
        spans = ExportTraceServiceRequest.FromString(payload).resource_spans[0].scope_spans[0].spans
        return {int.from_bytes(span.span_id, "big") - 1 for span in spans}
    if signal == "logs":
        records = ExportLogsServiceRequest.FromString(payload).resource_logs[0].scope_logs[0].log_records
        return {record.observed_time_unix_nano - 1 for record in records}
    (metric_,) = ExportMetricsServiceRequest.FromString(payload).resource_metrics[0].scope_metrics[0].metrics
    return {point.as_int - 1 for point in metric_.gauge.data_points}
