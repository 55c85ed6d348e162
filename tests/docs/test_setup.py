"""docs/setup.md shows what the command prints."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise

import pytest
from click.testing import CliRunner

from receiver.cli.main import cli
from receiver.cli.setup import TARGETS
from receiver.setup import targets
from tests.support.pages import Block, text_of

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_BLOCKS = [Block(*match) for match in _FENCE.findall(text_of("docs/setup.md"))]
_SHOWN = [
    (command.text.strip(), output)
    for command, output in pairwise(_BLOCKS)
    if command.text.startswith("otlp-receiver setup ")
]


@pytest.mark.parametrize(("command", "shown"), _SHOWN, ids=[command for command, _ in _SHOWN])
def test_the_page_shows_what_is_printed(command: str, shown: Block) -> None:
    """The block behind a command is its standard output, in the language of the target's file."""
    _, *arguments = shlex.split(command)
    ended = CliRunner(env={"OTLP_RECEIVER_ENDPOINT": None}).invoke(cli, arguments)
    assert ended.exit_code == 0
    assert ended.stdout == shown.text
    assert targets.TELEMETRY[arguments[1]].language == shown.language


def test_every_target_is_shown() -> None:
    """With its telemetry, and with its MCP server if it asks one."""
    shown = [command.split()[2:] for command, _ in _SHOWN]
    assert {words[0] for words in shown if "--mcp" not in words} == set(TARGETS)
    assert {words[0] for words in shown if "--mcp" in words} == set(targets.MCP)
