"""A start is quick because much is loaded after the first export is accepted, and the model by somebody else.

How long a start takes is measured by tests/benchmarks/start_time.py; nothing is timed here.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command_line import clean_environment
from tests.support.decode_routes import NOT_BUILT
from tests.support.exporting_client import request_of
from tests.support.receiver_process import REPOSITORY, ReceiverProcess

_MODEL_LIBRARIES = (
    "torch",
    "sentence_transformers",
    "transformers",
    "tokenizers",
    "safetensors",
    "sklearn",
    "scipy",
)
_LATE_LIBRARIES = ("fastmcp", "mcp", "onnxruntime", "usearch", "pandas")
"""What an agent, a worker, the vector index or somebody's notebook needs, and no listener."""
_FOR_ANSWERS = {
    "duckdb",
    "pyarrow",
    "numpy",
    "ptars",
    "uvicorn",
    "httptools",
    "yaml",
    "receiver.questions",
    "receiver.cli.source",
}
_FOR_ANSWERS |= {
    "receiver.api",
    "receiver.mcp",
    "receiver.query",
    "receiver.store",
    "receiver.embed",
    "receiver.sessions",
}
_ACCEPTS = """
import asyncio, sys
import receiver.cli.main
from receiver.cli.serve import serve
from receiver.app.checks import problems_of
from receiver.app.receiver import Receiver
from receiver.app.take_over import HandOver, TakeOver
from receiver.ports import ExportRequest
from receiver.settings import load_settings
from receiver.signals import Signal

async def main():
    settings = load_settings(config_file=None, overrides={"data_dir": sys.argv[1]}, environ={})
    assert not problems_of(settings)
    receiver = Receiver(settings.without_listeners())
    receiver.intake.start()
    body = bytes.fromhex(sys.argv[2])
    await receiver.intake.budget.reserve(len(body), wait_s=1)
    outcome = await receiver.intake.accept(ExportRequest(Signal.TRACES, body), wait_s=60)
    print(outcome, *sys.modules, sep="\\n")
    await receiver.stop()

asyncio.run(main())
"""
"""The way of ``serve`` up to the first accepted export, with nothing after it."""
_A_SPAN = {
    "resourceSpans": [
        {"scopeSpans": [{"spans": [{"traceId": "a" * 32, "spanId": "b" * 16, "name": "first"}]}]}
    ]
}


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="there is no /proc to look into")
def test_a_receiver_that_embeds_has_no_model_library_in_its_process(tmp_path: Path) -> None:
    """With embeddings on, after an accepted and stored span, nothing of torch is mapped into the process."""
    with ReceiverProcess(tmp_path / "data", environment={"OTLP_RECEIVER_EMBED__ENABLED": "true"}) as receiver:
        assert receiver.send("/v1/traces", json.dumps(_A_SPAN).encode()).status == 200
        receiver.flush()
        mapped = Path(f"/proc/{receiver.pid}/maps").read_text(encoding="utf-8")
    assert "duckdb" in mapped  # such libraries would be seen
    for library in _MODEL_LIBRARIES:
        assert not re.search(rf"/{library}(\.libs)?/", mapped), f"{library} is loaded"


def test_importing_the_whole_receiver_imports_nothing_that_no_listener_needs() -> None:
    """The command line and the composition root import no library of the model, and none that can come later."""
    names = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, receiver.cli.main, receiver.app.answering; print(*sys.modules, sep='\\n')",
        ],
        check=True,
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
    ).stdout.split()
    assert "receiver.embed.pool" in names
    assert not {*_MODEL_LIBRARIES, *_LATE_LIBRARIES} & {name.partition(".")[0] for name in names}


@NOT_BUILT
def test_an_export_is_accepted_before_what_answers_is_loaded(tmp_path: Path) -> None:
    """Up to the first synced request nothing is imported that only rows, questions and their listener need."""
    request = request_of("traces", 1, 1)
    outcome, *names = subprocess.run(
        [sys.executable, "-c", _ACCEPTS, str(tmp_path / "data"), request.hex()],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**clean_environment(), "PYTHONPATH": str(REPOSITORY)},
    ).stdout.splitlines()
    assert outcome == "Outcome(rejected=0, message='')"
    assert "receiver.intake.group_intake" in names
    assert set(names) & _FOR_ANSWERS == set()
