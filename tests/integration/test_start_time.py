"""A start is quick because the model is somebody else's: no library of it is in the receiver's process.

How long a start takes is measured by tests/benchmarks/start_time.py; nothing is timed here.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

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
            "import sys, receiver.cli.main, receiver.app.receiver; print(*sys.modules, sep='\\n')",
        ],
        check=True,
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
    ).stdout.split()
    assert "receiver.embed.pool" in names
    assert not {*_MODEL_LIBRARIES, *_LATE_LIBRARIES} & {name.partition(".")[0] for name in names}
