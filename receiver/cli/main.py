"""``otlp-receiver``: the group of commands, and the one place that turns an error into a line and an exit code."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections import UserDict
from collections.abc import Mapping, Sequence
from typing import Any

import click

from receiver import __version__
from receiver.cli import terminal
from receiver.errors import ConfigError, ReceiverError, StartError

EXIT_FAILED = 1
EXIT_CONFIGURATION = 2
EXIT_START = 3
EXIT_INTERRUPTED = 130

_HOMES: Mapping[str, str] = {
    "serve": "receiver.cli.serve:serve",
    "search": "receiver.cli.questions:search",
    "trace": "receiver.cli.questions:trace",
    "traces": "receiver.cli.questions:traces",
    "services": "receiver.cli.questions:services",
    "logs": "receiver.cli.questions:logs",
    "metrics": "receiver.cli.questions:metrics",
    "sql": "receiver.cli.questions:sql",
    "stats": "receiver.cli.questions:stats",
    "outline": "receiver.cli.investigations:outline",
    "compare": "receiver.cli.investigations:compare",
    "investigate": "receiver.cli.investigations:investigate",
    "sessions": "receiver.cli.sessions:sessions",
    "session": "receiver.cli.sessions:session",
    "tail": "receiver.cli.tail:tail",
    "ingest": "receiver.cli.ingest:ingest",
    "export": "receiver.cli.export:export",
    "import": "receiver.cli.ingest:import_",
    "mcp": "receiver.cli.mcp:mcp",
    "setup": "receiver.cli.setup:setup",
    "requeue": "receiver.cli.requeue:requeue",
    "backup": "receiver.cli.backup:backup",
    "restore": "receiver.cli.restore:restore",
    "doctor": "receiver.cli.doctor:doctor",
    "token": "receiver.cli.token:token",
    "check-config": "receiver.cli.check_config:check_config",
    "healthcheck": "receiver.cli.healthcheck:healthcheck",
}
"""Where each command is, in the order of the help."""


class _LateCommands(UserDict[str, Any]):
    """Commands by their names; each is loaded when it is asked for, so that ``serve`` does not wait for the others."""

    def __getitem__(self, name: str) -> click.Command:
        module, _, attribute = self.data[name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


class _InOrder(click.Group):
    """A group that lists its commands in the order in which they were given."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.commands)


@click.group(
    cls=_InOrder,
    commands=_LateCommands(_HOMES),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="otlp-receiver")
def cli() -> None:
    """Receive OpenTelemetry data, keep it, and find it again by meaning.

    `otlp-receiver serve` starts the receiver; the other commands ask it.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; expected errors become a line each, never a traceback."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without Unicode shows escapes
    try:
        code = cli.main(
            None if arguments is None else list(arguments), prog_name="otlp-receiver", standalone_mode=False
        )
        sys.stdout.flush()
    except click.exceptions.Exit as asked:
        return asked.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ConfigError as error:
        for problem in getattr(error, "problems", None) or (str(error),):
            terminal.print_error(problem)
        return EXIT_CONFIGURATION
    except ReceiverError as error:
        terminal.print_error(str(error))
        return EXIT_START if isinstance(error, StartError) else EXIT_FAILED
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # `otlp-receiver logs | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    return code if isinstance(code, int) else 0
