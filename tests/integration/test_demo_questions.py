"""The OpenTelemetry demo's capture, asked in plain words with the real model.

Questions and what fits them stand in tests/support/demo_questions.py; they were written down before any result
was looked at.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.demo_questions import QUESTIONS, Question
from tests.support.receiver_process import REPOSITORY, ReceiverProcess

CAPTURE = REPOSITORY.parent / "shared" / "otlp-samples" / "otel-tui" / "test_data.json"
_LIBRARIES = ("onnxruntime", "usearch")
_MISSING = [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.model,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {', '.join(_MISSING)}"),
    pytest.mark.skipif(
        not CAPTURE.exists(), reason="../shared/otlp-samples/otel-tui/test_data.json is not there"
    ),
]
_PATHS = {"resourceSpans": "traces", "resourceLogs": "logs", "resourceMetrics": "metrics"}


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReceiverProcess]:
    """Yield a receiver that holds the capture, all of it embedded."""
    folder = tmp_path_factory.mktemp("demo") / "data"
    with ReceiverProcess(folder, environment={"OTLP_RECEIVER_EMBED__ENABLED": "true"}) as process:
        for line in CAPTURE.read_bytes().splitlines():
            signal = _PATHS[next(iter(json.loads(line)))]
            assert process.send(f"/v1/{signal}", line).status == 200
        process.flush(embeddings=True)
        yield process


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.text)
def test_a_plain_question_finds_a_fitting_trace(receiver: ReceiverProcess, question: Question) -> None:
    """One of the first five results, found by meaning with the default threshold, is an answer."""
    answer = receiver.get("/search", q=question.text, limit=5)
    assert answer["mode"] == "meaning"
    found = [(result["similarity"], result["service"], result["name"]) for result in answer["results"]]
    assert any(map(question.fits, answer["results"])), found


def test_nothing_waits_for_a_vector_after_the_flush(receiver: ReceiverProcess) -> None:
    """``/stats`` has no pending text, and as many with a vector as there are texts."""
    embedding = receiver.stats()["embedding"]
    assert embedding["pending"] == 0
    assert embedding["embedded"] == embedding["texts"] > 0


def test_the_model_stays_out_of_the_receivers_process(receiver: ReceiverProcess) -> None:
    """After embedding and searching, no library of the model is mapped into the process that receives."""
    receiver.get("/search", q="anything")
    mapped = Path(f"/proc/{receiver.pid}/maps").read_text(encoding="utf-8")
    assert not re.search(r"/(torch|onnxruntime|onnx|tokenizers|safetensors)(\.libs)?/", mapped)
