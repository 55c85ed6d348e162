"""What every command costs before it does anything, and check-config."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from receiver.cli.main import cli
from receiver.config import Settings
from tests.support.command_line import clean_environment, otlp_receiver

HEAVY = {"duckdb", "grpc", "pyarrow", "numpy", "pydantic", "rich", "torch", "orjson", "uvloop", "yaml"}


@pytest.mark.parametrize("command", ["", *cli.commands])
def test_help_imports_nothing_heavy(tmp_path: Path, command: str) -> None:
    """Help is there at once, because no library of the receiver is loaded for it."""
    program = (
        "import sys\nfrom receiver.cli.main import main\n"
        f"code = main({[command, '--help'] if command else ['--help']!r})\n"
        "print('modules:', *{name.partition('.')[0] for name in sys.modules})\nsys.exit(code)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    said, _, modules = ended.stdout.partition("modules: ")
    assert said.startswith(f"Usage: otlp-receiver {command}".rstrip())
    assert HEAVY & set(modules.split()) == set()


def test_check_config_prints_what_is_in_effect(tmp_path: Path) -> None:
    """Its YAML is a configuration: loading it gives the same settings."""
    (tmp_path / "mine.yaml").write_text("store: {threads: 3}\n")
    environment = {"OTLP_RECEIVER_QUERY__READERS": "5"}
    ended = otlp_receiver("check-config", "--config", "mine.yaml", folder=tmp_path, environment=environment)
    settings = Settings.model_validate(yaml.safe_load(ended.stdout))
    assert (ended.returncode, settings.store.threads, settings.query.readers) == (0, 3, 5)


def test_check_config_tells_every_mistake(tmp_path: Path) -> None:
    """Exit code 2, one line each."""
    (tmp_path / "mine.yaml").write_text("store: {threads: 0}\nfoo: 1\n")
    ended = otlp_receiver("check-config", "--config", "mine.yaml", folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert [line.split(" (")[0] for line in ended.stderr.splitlines()] == [
        "error: unknown key foo",
        "error: store.threads must be greater than 0, not 0",
    ]


def test_the_installed_command_is_the_module(tmp_path: Path) -> None:
    """``otlp-receiver`` stands beside the interpreter that it was installed with."""
    installed = subprocess.run(
        [Path(sys.executable).with_name("otlp-receiver"), "--version"],
        cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert installed.stdout == otlp_receiver("--version", folder=tmp_path).stdout
