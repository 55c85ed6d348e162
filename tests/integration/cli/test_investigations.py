"""outline, compare and investigate against a running receiver."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.conftest import T0, TRACE
from tests.support.command_line import otlp_receiver
from tests.support.receiver_process import ReceiverProcess

WINDOW = {"since": str(T0 - 1_000_000_000), "until": str(T0 + 1_000_000_000)}
ASKED: dict[str, tuple[tuple[str, ...], str, dict[str, Any], list[str]]] = {
    "outline": (
        ("outline", TRACE),
        f"/traces/{TRACE}/outline",
        {},
        [
            "shop: checkout",
            "critical path, 30 ms",
            "charge \\x1b[31mcard",
            "card declined",
            "payment was refused",
        ],
    ),
    "compare": (
        ("compare", TRACE, TRACE),
        "/compare",
        {"a": TRACE, "b": TRACE},
        [f"a {TRACE}", "The traces do not differ"],
    ),
    "investigate": (
        ("investigate", "shop", "--since", WINDOW["since"], "--until", WINDOW["until"]),
        "/investigate",
        {"service": "shop", **WINDOW},
        ["where failed traces failed first", "card declined", "2 spans", TRACE],
    ),
}


@pytest.mark.parametrize("command", ASKED)
def test_json_is_what_the_api_answers_and_people_get_text(
    receiver: ReceiverProcess, tmp_path: Path, command: str
) -> None:
    """Both say the same, and no control character of telemetry reaches the terminal."""
    arguments, path, parameters, parts = ASKED[command]
    endpoint = ("--endpoint", f"http://{receiver.query}")
    plain = otlp_receiver(*arguments, "--json", *endpoint, folder=tmp_path)
    assert plain.returncode == 0, plain.stderr
    assert json.loads(plain.stdout) == receiver.get(path, **parameters)
    drawn = otlp_receiver(*arguments, *endpoint, folder=tmp_path)
    assert drawn.returncode == 0, drawn.stderr
    assert [part for part in parts if part not in drawn.stdout] == []
    assert "\x1b" not in drawn.stdout


def test_they_can_be_asked_of_a_file(stored: Path, tmp_path: Path) -> None:
    """Without a receiver the database answers the same."""
    for arguments, *_ in ASKED.values():
        ended = otlp_receiver(*arguments, "--json", "--data-dir", str(stored), folder=tmp_path)
        assert ended.returncode == 0, ended.stderr
        assert json.loads(ended.stdout)["truncated"] is False
