"""Dockerfile.optional without Docker: parsed, and each thing that it names is looked for."""

from __future__ import annotations

import fnmatch
import json
import re
import tomllib
from pathlib import Path

import click
import pytest

from receiver.cli.main import cli
from receiver.config import Settings
from receiver.settings import load_settings

ROOT = Path(__file__).parents[2]
Instruction = tuple[str, str]


def stages() -> list[list[Instruction]]:
    """Return the instructions of each stage, comments and continued lines resolved."""
    lines = [
        line for line in (ROOT / "Dockerfile.optional").read_text().splitlines() if not line.startswith("#")
    ]
    text = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    found: list[list[Instruction]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _, rest = line.partition(" ")
        if name == "FROM":
            found.append([])
        found[-1].append((name, rest))
    return found


def values(stage: list[Instruction], name: str) -> list[str]:
    """Return what stands behind each instruction of a name."""
    return [rest for each, rest in stage if each == name]


def ignored(path: str) -> bool:
    """Return True if .dockerignore keeps a path from the builder; the last rule that fits decides."""
    kept_out = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        rule = line.strip()
        if not rule or rule.startswith("#"):
            continue
        pattern = rule.removeprefix("!").removeprefix("**/")
        parts = path.split("/")
        candidates = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
        if "**/" in rule:
            candidates = parts
        if any(fnmatch.fnmatchcase(each, pattern) for each in candidates):
            kept_out = not rule.startswith("!")
    return kept_out


def environment(stage: list[Instruction]) -> dict[str, str]:
    """Return what the stage sets."""
    return dict(pair.split("=", 1) for rest in values(stage, "ENV") for pair in rest.split())


def parsed(arguments: list[str]) -> click.Context:
    """Return the context of a command whose arguments click understands."""
    command = cli.commands[arguments[0]]
    return command.make_context(arguments[0], arguments[1:])


def test_there_are_two_stages_and_the_second_takes_the_environment_of_the_first() -> None:
    """What builds is not in the image."""
    first, second = stages()
    assert first[0][1].endswith(" AS build")
    assert second[0][1] == "python:3.11-slim"
    copied = values(second, "COPY")
    assert copied
    assert all(each.startswith("--from=build ") for each in copied)


@pytest.mark.parametrize("copied", values(stages()[0], "COPY"))
def test_each_source_is_in_the_tree_and_reaches_the_builder(copied: str) -> None:
    """No COPY fails, and .dockerignore does not keep its source out."""
    *sources, _ = copied.split()
    for source in sources:
        assert (ROOT / source).exists(), source
        assert not ignored(source), source


@pytest.mark.parametrize(
    "path", ["data/spool.db", ".git/config", ".venv/bin/python", "config/local.yaml", "tests/x.py"]
)
def test_data_and_local_files_stay_out(path: str) -> None:
    """Nothing of a user's machine gets into an image."""
    assert ignored(path)


def test_the_packages_that_the_wheel_needs_are_copied() -> None:
    """What setuptools packs, and the files that pyproject.toml names, are there when it builds."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    sources = {source for copied in values(stages()[0], "COPY") for source in copied.split()[:-1]}
    packages = {each.rstrip("*") for each in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    files = {
        project["project"]["readme"],
        *project["project"]["license-files"],
        "pyproject.toml",
        "MANIFEST.in",
    }
    assert packages | files | {"config/constraints.txt"} == sources


def test_torch_and_the_model_are_build_arguments() -> None:
    """The default is what config/constraints.txt pins."""
    arguments = dict(rest.split("=", 1) for rest in values(stages()[0], "ARG"))
    assert arguments == {"EXTRAS": "embed,mcp", "TORCH": "torch==2.13.0"}
    assert arguments["TORCH"] in (ROOT / "config" / "constraints.txt").read_text().splitlines()


def test_it_does_not_run_as_root_and_its_data_is_a_volume() -> None:
    """USER comes before the command, and the user exists and owns the volume."""
    stage = stages()[1]
    (user,) = values(stage, "USER")
    (made,) = values(stage, "RUN")
    assert user not in {"root", "0"}
    assert re.search(rf"useradd\b[^&]* {user}\b", made)
    assert f"--owner={user}" in made
    assert values(stage, "VOLUME") == [environment(stage)["OTLP_RECEIVER_DATA_DIR"]] == ["/data"]
    assert made.rstrip().endswith("/data")


def test_the_entry_command_is_the_projects_and_its_arguments_are_understood() -> None:
    """`docker run` starts serve on all addresses, which the image says explicitly that it may."""
    stage = stages()[1]
    (entry,) = json.loads(values(stage, "ENTRYPOINT")[0])
    command = json.loads(values(stage, "CMD")[0])
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert entry in scripts
    context = parsed(command)
    settings = load_settings(
        config_file=None,
        overrides={
            f"listen.{name}": context.params[name] for name in context.params if name.endswith("endpoint")
        },
        environ={name: value for name, value in environment(stage).items() if name.startswith("OTLP_")},
    )
    assert settings.listen.allow_remote
    ports = {
        each.rpartition(":")[2] for each in settings.listen.model_dump().values() if isinstance(each, str)
    }
    assert ports == set(values(stage, "EXPOSE")[0].split())
    assert settings.data_dir == "/data"
    assert not Settings().listen.allow_remote


def test_the_health_check_is_a_command_of_the_project() -> None:
    """It runs in the container against the default endpoint."""
    (check,) = values(stages()[1], "HEALTHCHECK")
    command = json.loads(check.partition("CMD ")[2])
    assert command[0] == "otlp-receiver"
    assert parsed(command[1:]).params["endpoint"] == "http://localhost:8888"
