"""OpenInference's and OpenLLMetry's names under those of the conventions."""

from __future__ import annotations

import pytest

from receiver.sessions.normalise import OPENINFERENCE, OPENLLMETRY, normalised


@pytest.mark.parametrize(("name", "target"), [*OPENINFERENCE.items(), *OPENLLMETRY.items()])
def test_every_name_is_mapped_and_kept(name: str, target: str) -> None:
    """What was sent stays beside what follows from it."""
    found = normalised({name: "value"})
    assert found[name] == "value"
    assert found[target] == (["value"] if target == "gen_ai.response.finish_reasons" else "value")


def test_what_a_record_says_itself_wins() -> None:
    """A derived value replaces nothing."""
    found = normalised({"llm.model_name": "derived", "gen_ai.request.model": "said"})
    assert found["gen_ai.request.model"] == "said"


@pytest.mark.parametrize(
    ("name", "value", "operation"),
    [
        ("openinference.span.kind", "LLM", "chat"),
        ("openinference.span.kind", "Embedding", "embeddings"),
        ("openinference.span.kind", "CHAIN", "invoke_agent"),
        ("openinference.span.kind", "RERANKER", "retrieval"),
        ("traceloop.span.kind", "workflow", "invoke_workflow"),
        ("traceloop.span.kind", "task", "invoke_agent"),
        ("llm.request.type", "completion", "text_completion"),
        ("llm.request.type", "rerank", "retrieval"),
        ("llm.request.type", "something", "something"),
    ],
)
def test_kinds_become_operations(name: str, value: str, operation: str) -> None:
    """Whatever the case of the letters; others stay as they are."""
    assert normalised({name: value})["gen_ai.operation.name"] == operation
