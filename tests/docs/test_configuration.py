"""The reference of settings and commands is what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from receiver.cli.main import cli
from receiver.cli.reference import commands_markdown, configuration_markdown, configuration_yaml
from receiver.config import Settings
from receiver.sessions.prices import packaged_text
from receiver.settings import KEYS, environment_name, load_settings

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("config/receiver.yaml", configuration_yaml()),
        ("config/prices.yaml", packaged_text()),
        ("docs/configuration.md", configuration_markdown()),
        ("docs/cli.md", commands_markdown(cli)),
    ],
    ids=["receiver.yaml", "prices.yaml", "configuration.md", "cli.md"],
)
def test_a_generated_file_is_current(file: str, text: str) -> None:
    """`make reference` writes it; whoever changes a declaration runs it."""
    assert (ROOT / file).read_text() == text


def test_the_file_of_defaults_loads_to_the_defaults() -> None:
    """Every key stands in it, and none of them with another value."""
    file = ROOT / "config" / "receiver.yaml"
    assert load_settings(config_file=file, overrides={}, environ={}) == Settings()
    written = yaml.safe_load(file.read_text())
    found = {
        f"{name}.{key}" if isinstance(value, dict) else name
        for name, value in written.items()
        for key in (value if isinstance(value, dict) else [name])
    }
    assert found == set(KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_every_key_says_what_it_is_for(key: str) -> None:
    """A description is a sentence, and the documentation has the key under both its names."""
    description = KEYS[key].description or ""
    assert description[:1].isalnum()
    assert description.endswith((".", ")"))
    row = next(line for line in configuration_markdown().splitlines() if line.startswith(f"| `{key}` |"))
    assert f"`{environment_name(key)}`" in row
    assert description.replace("|", "\\|") in row


def test_every_command_and_option_is_documented() -> None:
    """docs/cli.md has a section for each command and a row for each of its options, with help."""
    text = (ROOT / "docs" / "cli.md").read_text()
    for name, command in cli.commands.items():
        section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        assert command.help
        for option in (each for each in command.params if each.param_type_name == "option"):
            assert getattr(option, "help", None), f"{name} {option.opts}"
            assert all(f"{each}" in section for each in option.opts), f"{name} {option.opts}"
