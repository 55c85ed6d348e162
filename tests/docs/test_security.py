"""docs/security.md: its commands run as they stand, and what they make protects a receiver."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from receiver.app.checks import problems_of, warnings_of
from receiver.settings import load_settings
from tests.support.command_line import clean_environment
from tests.support.pages import blocks_of


def test_the_commands_make_what_the_configuration_names(tmp_path: Path) -> None:
    """Certificates, then the file of settings, then tokens; ``check-config``, the last command, is content."""
    (configuration,) = blocks_of("docs/security.md", "yaml")
    certificates, tokens = blocks_of("docs/security.md", "sh")
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "receiver.yaml").write_text(configuration)
    program = tmp_path / "otlp-receiver"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m receiver "$@"\n')
    program.chmod(0o700)
    environment = clean_environment({"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    ran = subprocess.run(
        ["sh", "-ec", certificates + tokens],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    made = [line for line in ran.stdout.splitlines() if line.startswith("otlpr_")]
    listed = [line.split()[:2] for line in ran.stdout.splitlines() if line.startswith(("checkout", "people"))]
    assert len(set(made)) == 2
    assert listed == [["checkout", "ingest"], ["people", "query"]]
    folder = Path.cwd()
    os.chdir(tmp_path)
    try:
        settings = load_settings(config_file=None, overrides={}, environ={})
        assert problems_of(settings) == warnings_of(settings) == []
        assert settings.tls.asks_clients("grpc")
        assert not settings.tls.asks_clients("query")
    finally:
        os.chdir(folder)
