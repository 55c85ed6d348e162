"""Measure what similarity tells answers from noise: the basis of the default of ``query.threshold``.

    python -m scripts.measure_threshold CAPTURE [CAPTURE ...]

Each file holds one OTLP/JSON request a line, such as the OpenTelemetry demo's capture in otel-tui's test data. A
receiver of its own embeds it and is asked the questions of tests/support/demo_questions.py without a threshold.
Prints, for each question, the best answer's similarity and rank, or the best result of those that have none.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from tests.support.demo_questions import ABSENT, QUESTIONS, UNRELATED
from tests.support.receiver_process import ReceiverProcess

_PATHS = {"resourceSpans": "traces", "resourceLogs": "logs", "resourceMetrics": "metrics"}
_ALL = 1000
_CANDIDATES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4)


def _results(receiver: ReceiverProcess, question: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = receiver.get("/search", q=question, limit=_ALL, threshold=-1)["results"]
    return found


def _line(question: str, similarity: float, more: str) -> None:
    print(f"| {question} | {similarity:.3f} | {more} |")


def measure(receiver: ReceiverProcess) -> None:
    """Print the three tables and what each candidate would keep."""
    print("| question | best answer | rank; result |\n|---|---|---|")
    fitting: list[float] = []
    in_first_five: list[list[float]] = []
    for question in QUESTIONS:
        results = _results(receiver, question.text)
        ranks = [rank for rank, result in enumerate(results) if question.fits(result)]
        best = results[ranks[0]]
        fitting.append(best["similarity"])
        in_first_five.append([results[rank]["similarity"] for rank in ranks if rank < 5])
        _line(question.text, best["similarity"], f"{ranks[0] + 1}; {best['service']}: {best['name']}")
    noise: dict[str, list[float]] = {}
    for title, questions in (("unrelated", UNRELATED), ("nothing of it in the capture", ABSENT)):
        print(f"\n| {title} | best result | result |\n|---|---|---|")
        for text in questions:
            best = _results(receiver, text)[0]
            noise.setdefault(title, []).append(best["similarity"])
            _line(text, best["similarity"], f"{best['service']}: {best['name']}")
    print("\n| threshold | questions answered | " + " | ".join(f"{title}, silent" for title in noise) + " |")
    print("|---" * (2 + len(noise)) + "|")
    for threshold in _CANDIDATES:
        answered = sum(any(each >= threshold for each in found) for found in in_first_five)
        silent = " | ".join(
            f"{sum(each < threshold for each in found)} of {len(found)}" for found in noise.values()
        )
        print(f"| {threshold} | {answered} of {len(QUESTIONS)} | {silent} |")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("captures", nargs="+", type=Path, metavar="CAPTURE")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        ReceiverProcess(Path(name, "data"), environment={"OTLP_RECEIVER_EMBED__ENABLED": "true"}) as receiver,
    ):
        for capture in options.captures:
            for line in capture.read_bytes().splitlines():
                answer = receiver.send(f"/v1/{_PATHS[next(iter(json.loads(line)))]}", line)
                if answer.status != 200:
                    raise SystemExit(f"{capture}: {answer.status} {answer.body.decode()}")
        receiver.flush(embeddings=True)
        measure(receiver)


if __name__ == "__main__":
    main()
