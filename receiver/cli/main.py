"""``otlp-receiver``: the group of commands, and the one place that turns an error into a line and an exit code."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

import click

from receiver import __version__
from receiver.cli import terminal
from receiver.cli.backup import backup
from receiver.cli.check_config import check_config
from receiver.cli.doctor import doctor
from receiver.cli.export import export
from receiver.cli.healthcheck import healthcheck
from receiver.cli.ingest import import_, ingest
from receiver.cli.investigations import COMMANDS as INVESTIGATIONS
from receiver.cli.mcp import mcp
from receiver.cli.questions import COMMANDS
from receiver.cli.requeue import requeue
from receiver.cli.restore import restore
from receiver.cli.serve import serve
from receiver.cli.sessions import COMMANDS as SESSIONS
from receiver.cli.setup import setup
from receiver.cli.tail import tail
from receiver.cli.token import token
from receiver.errors import ConfigError, ReceiverError, StartError

EXIT_FAILED = 1
EXIT_CONFIGURATION = 2
EXIT_START = 3
EXIT_INTERRUPTED = 130


class _InOrder(click.Group):
    """A group that lists its commands in the order in which they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.commands)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="otlp-receiver")
def cli() -> None:
    """Receive OpenTelemetry data, keep it, and find it again by meaning.

    `otlp-receiver serve` starts the receiver; the other commands ask it.
    """


for _command in (
    serve,
    *COMMANDS,
    *INVESTIGATIONS,
    *SESSIONS,
    tail,
    ingest,
    export,
    import_,
    mcp,
    setup,
    requeue,
    backup,
    restore,
    doctor,
    token,
    check_config,
    healthcheck,
):
    cli.add_command(_command)


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
