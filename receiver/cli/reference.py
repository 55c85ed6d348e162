"""The reference of all settings and commands, from their declarations: YAML and Markdown texts out."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

import click
import yaml
from pydantic.fields import FieldInfo

from receiver.config import Section, Settings
from receiver.settings import environment_name, keys, section_of

_WIDTH = 100
_UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))

_YAML_HEAD = """\
# Every setting of otlp-receiver with its default. What you leave out keeps its default.
#
# Later wins: this file < local.yaml beside it < environment (OTLP_RECEIVER_SECTION__KEY) < flags.
# An unknown key is an error. `otlp-receiver check-config` shows what is in effect.
# Generated: `make reference` writes it anew from the settings classes.
"""
_CONFIGURATION_HEAD = """\
# Configuration

<!-- Generated from the settings classes by scripts/generate_reference.py; `make reference` writes it anew. -->

Nothing has to be configured. What is set comes from these places, and later ones win:

1. the defaults in the tables below,
2. `config/receiver.yaml` in the working directory, or the file that `--config` names (it must exist),
3. `local.yaml` beside that file, for what belongs to one machine (git ignores `config/local.yaml`),
4. environment variables `OTLP_RECEIVER_SECTION__KEY`, with two underscores between section and key,
5. flags of `otlp-receiver serve`.

An unknown key in a file, or an unknown variable with this prefix, is an error that names the key, where it
stands and the nearest known one. `otlp-receiver check-config` prints what is in effect, or every mistake.
Sizes are in bytes, times in seconds (`_s`) or hours (`_hours`). A list in the environment is a JSON list, or
words between commas. `OTLP_RECEIVER_ENDPOINT`, `OTLP_RECEIVER_TOKEN`, `OTLP_RECEIVER_TOKEN_FILE`,
`OTLP_RECEIVER_CA_FILE`, `OTLP_RECEIVER_CLIENT_CERT` and `OTLP_RECEIVER_CLIENT_KEY` are no settings: they tell the
query commands where to ask and what to show there.
"""
_CLI_HEAD = """\
# Command line

<!-- Generated from the commands by scripts/generate_reference.py; `make reference` writes it anew. -->

The query commands ask the receiver that runs (`--endpoint`, or `OTLP_RECEIVER_ENDPOINT`). Where none answers,
they open the database of the data directory read-only for as long as the answer takes, and say on standard
error how many acknowledged requests are not in it yet. With `--data-dir` and without `--endpoint` they open that
directory's database first, and ask the receiver if it is the one that holds it.

Tables are for people: times stand in the local zone, and control characters in telemetry are shown as escapes.
`--json` prints what the HTTP API answers (docs/api.md). Notes and errors go to standard error.

| Exit code | Meaning |
| --- | --- |
| 0 | done; for `healthcheck`: ready |
| 1 | the question failed or nothing answers; for `healthcheck`: not ready; for `doctor`: there is a problem |
| 2 | wrong usage, or a wrong configuration |
| 3 | `serve` cannot start: a port is taken, or the data directory cannot be used; `restore`: a receiver runs |
| 130 | stopped by Ctrl-C (`serve` and `tail` end with 0) |
"""


def configuration_yaml() -> str:
    """Return ``config/receiver.yaml``: every key with its default, under its description."""
    lines = [_YAML_HEAD]
    for name, declared in Settings.model_fields.items():
        section = section_of(declared)
        if section is None:
            lines += [*_key_lines(name, declared, ""), ""]
            continue
        lines += [*_comment(_title(section), ""), f"{name}:"]
        for key, field in section.model_fields.items():
            lines += _key_lines(key, field, "  ")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def settings_yaml(settings: Settings) -> str:
    """Return the values in effect as YAML."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=_WIDTH)


def configuration_markdown() -> str:
    """Return ``docs/configuration.md``."""
    parts = [_CONFIGURATION_HEAD]
    top = [(key, field) for key, field in keys() if "." not in key]
    parts += ["## Top level\n", *_table(top)]
    for name, declared in Settings.model_fields.items():
        if (section := section_of(declared)) is not None:
            parts += [f"\n## {name}\n", f"{_title(section)}\n", *_table(list(keys(section, f"{name}.")))]
    return "\n".join(parts) + "\n"


def commands_markdown(group: click.Group) -> str:
    """Return ``docs/cli.md``: each command with its arguments and options."""
    parts = [_CLI_HEAD]
    context = click.Context(group, info_name="otlp-receiver")
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None:
            continue
        inner = click.Context(command, info_name=name, parent=context)
        usage = " ".join((inner.command_path, *command.collect_usage_pieces(inner)))
        parts += [f"\n## {name}\n", f"```\n{usage}\n```\n", inspect.cleandoc(command.help or "") + "\n"]
        options = [each for each in command.params if isinstance(each, click.Option)]
        rows = [record for option in options if (record := option.get_help_record(inner))]
        parts += ["| Option | Meaning |", "| --- | --- |"]
        parts += [f"| `{_cell(names)}` | {_cell(' '.join(meaning.split()))} |" for names, meaning in rows]
    return "\n".join(parts) + "\n"


def _title(section: type[Section]) -> str:
    return " ".join(inspect.cleandoc(section.__doc__ or "").replace("``", "`").split())


def _key_lines(name: str, declared: FieldInfo, indent: str) -> Iterator[str]:
    default = _default(declared)
    size = _size(name, default)
    yield from _comment(f"{declared.description or ''}{f' ({size})' if size else ''}", indent)
    text = yaml.safe_dump({name: default}, sort_keys=False, width=_WIDTH, default_flow_style=False)
    yield from textwrap.indent(text.rstrip(), indent).splitlines()


def _comment(text: str, indent: str) -> Iterator[str]:
    yield from textwrap.wrap(text, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def _table(declared: list[tuple[str, FieldInfo]]) -> Iterator[str]:
    yield "| Key | Environment variable | Default | Meaning |"
    yield "| --- | --- | --- | --- |"
    for key, field in declared:
        default = _default(field)
        size = _size(key, default)
        shown = yaml.safe_dump([default], default_flow_style=True, width=1000).strip()[1:-1]
        meaning = _cell(field.description or "")
        yield f"| `{key}` | `{environment_name(key)}` | `{shown}`{f' ({size})' if size else ''} | {meaning} |"


def _default(declared: FieldInfo) -> Any:
    value = declared.get_default(call_default_factory=True, validated_data={})
    return list(value) if isinstance(value, tuple) else value


def _size(key: str, value: Any) -> str | None:
    if key.endswith("bytes") and isinstance(value, int) and value:
        for unit, name in _UNITS:
            if value % unit == 0:
                return f"{value // unit} {name}"
    return None


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
