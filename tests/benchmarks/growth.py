"""What a store costs as it grows: ingest of the last million, file, memory, start and questions at each size.

    python -m tests.benchmarks.growth [--sizes 1000000 10000000 50000000] [--folder .] [--output growth]

Each size has a data directory of its own, filled up to the last million (:mod:`tests.benchmarks.store_filler`), which
a real receiver then takes in from the load generator, as fast as it answers. Writes ``OUTPUT.json`` and ``OUTPUT.md``. 50
million spans need about 12 GB of disk; each directory is deleted before the next one is made.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks import queries
from tests.benchmarks.store_filler import fill
from tests.support.receiver_process import ReceiverProcess

_LAST = 1_000_000
_PROBE_S = 5.0


def one_size(folder: Path, spans: int, *, embedded: int, rounds: int) -> dict[str, Any]:
    """Return the figures of a store of about so many spans."""
    filled = fill(folder, spans=max(spans - _LAST, 122_880), texts=100_000, hours=72.0, embedded=embedded)
    found: dict[str, Any] = {"filled": filled}
    started = time.perf_counter()
    with ReceiverProcess(folder) as receiver:
        found["listening_s"] = round(time.perf_counter() - started, 2)
        receiver.stats()
        found["store_open_s"] = round(time.perf_counter() - started, 2)
        found["idle_rss_mb"] = queries.memory_mb(receiver.pid, "VmRSS")
        found["ingest_spans_per_s"] = _ingest_the_last(receiver)
        found["spans"] = receiver.stats()["records"]["spans"]
        found["peak_rss_mb"] = queries.memory_mb(receiver.pid, "VmHWM")
        receiver.stop()
    file_bytes = sum(each.stat().st_size for each in folder.glob("telemetry.duckdb*"))
    found["file_gb"] = round(file_bytes / 1e9, 2)
    found["queries"] = queries.run(folder, rounds=rounds, load_s=0.0, think_s=0.25)
    return found


def _ingest_the_last(receiver: ReceiverProcess) -> int:
    """Return stored spans a second over about the last million; the generator runs until it has sent them."""
    stored, seconds = 0, 0.0
    while stored < _LAST:
        took, acknowledged = queries.sent(receiver, seconds=_PROBE_S, rate=0.0)
        seconds += took
        stored += acknowledged["stored"]
    return round(stored / seconds)


def table(sizes: list[dict[str, Any]]) -> str:
    """Return all sizes side by side as Markdown."""
    rows: dict[str, list[str]] = {
        "ingest of the last million, spans/s": [f"{each['ingest_spans_per_s']:,}" for each in sizes],
        "file, GB": [str(each["file_gb"]) for each in sizes],
        "resident idle, MB": [str(each["idle_rss_mb"]) for each in sizes],
        "resident peak of the ingest, MB": [str(each["peak_rss_mb"]) for each in sizes],
        "listening after, s": [str(each["listening_s"]) for each in sizes],
        "store open after, s": [str(each["store_open_s"]) for each in sizes],
    }
    for kind in sizes[0]["queries"]["questions"]:
        rows[f"{kind}, ms p50 (p95)"] = [
            f"{answer['p50_ms']} ({answer['p95_ms']})"
            for each in sizes
            for answer in [each["queries"]["questions"][kind]]
        ]
    rows["recall@10"] = [str(each["queries"]["inside"]["recall_at_10"]) for each in sizes]
    lines = [
        "| spans | " + " | ".join(f"{each['spans']:,}" for each in sizes) + " |",
        "|---" * (len(sizes) + 1) + "|",
    ]
    return "\n".join([*lines, *(f"| {name} | " + " | ".join(values) + " |" for name, values in rows.items())])


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000_000, 10_000_000, 50_000_000])
    parser.add_argument("--folder", default=".", help="where the data directories are made")
    parser.add_argument("--embedded", type=int, default=2_000, help="texts that the real model embeds")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--output", type=Path, default=Path("growth"))
    options = parser.parse_args()
    sizes: list[dict[str, Any]] = []
    for spans in options.sizes:
        parent = Path(tempfile.mkdtemp(dir=options.folder))
        try:
            sizes.append(one_size(parent / "data", spans, embedded=options.embedded, rounds=options.rounds))
        finally:
            shutil.rmtree(parent)
        print(json.dumps(sizes[-1]), flush=True)
        options.output.with_suffix(".json").write_text(json.dumps(sizes, indent=1), encoding="utf-8")
        options.output.with_suffix(".md").write_text(table(sizes) + "\n", encoding="utf-8")
    print(table(sizes))


if __name__ == "__main__":
    main()
