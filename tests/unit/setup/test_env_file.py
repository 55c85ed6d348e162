"""Files of environment variables: other lines stay, and a shell reads what was written."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from receiver.setup import node, python
from receiver.setup.entry import Entry
from receiver.setup.env_file import EnvFile
from receiver.setup.options import Options
from receiver.setup.target import FileTarget

_FILE = """\
# database
DATABASE_URL='postgres://u:p@h/d'
export OTEL_EXPORTER_OTLP_PROTOCOL = http/json # old
#OTEL_TRACES_EXPORTER=console
KEY="two
OTEL_TRACES_EXPORTER=not a variable
lines"
NODE_OPTIONS="--max-old-space-size=4096"
no newline at the end=1
LAST=1"""


def test_other_lines_stay_and_ours_are_changed_in_place() -> None:
    """Comments, quotes, exports and texts of several lines are the owner's."""
    merged = node.TELEMETRY.merged(_FILE, Options())
    kept = _FILE.replace("http/json", "http/protobuf").replace(
        '"--max-old-space-size=4096"',
        '"--max-old-space-size=4096 --require @opentelemetry/auto-instrumentations-node/register"',
    )
    assert merged.text.startswith(kept + "\n")
    assert merged.text.removeprefix(kept + "\n").splitlines() == [
        "OTEL_TRACES_EXPORTER=otlp",
        "OTEL_METRICS_EXPORTER=otlp",
        "OTEL_LOGS_EXPORTER=otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318",
    ]
    assert node.TELEMETRY.merged(merged.text, Options()).changes == ()


@pytest.mark.parametrize("target", [python.TELEMETRY, node.TELEMETRY])
def test_a_shell_reads_the_same_from_the_file_and_from_what_is_printed(
    target: FileTarget, tmp_path: Path
) -> None:
    """`set -a; . ./.env` and evaluating the printed lines make the same environment."""
    (tmp_path / ".env").write_text(target.merged(None, Options(content=True)).text)
    (tmp_path / "printed").write_text(target.rendered(Options(content=True)))
    of = {
        name: subprocess.run(
            ["sh", "-c", f"set -a; . ./{name}; env"],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for name in (".env", "printed")
    }
    assert of[".env"] == of["printed"]
    assert "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:431" in of[".env"]


def test_a_value_with_signs_of_the_shell_is_quoted(tmp_path: Path) -> None:
    """The shell gets the value that was meant, and reading it back gives it too."""
    value = """a b"c\\d$e`f'g"""
    (tmp_path / ".env").write_text(EnvFile().merged(None, [Entry(("A",), value)]).text)
    read = subprocess.run(
        ["sh", "-c", '. ./.env; printf %s "$A"'], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert read.stdout == value
    assert EnvFile().read((tmp_path / ".env").read_text()) == {"A": value}
