"""``otlp-receiver setup``: prints, writes and checks the configuration that makes a program send here, or ask here."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from receiver.cli.options import query_listener
from receiver.cli.terminal import escaped, print_error, print_note
from receiver.cli.wording import plural
from receiver.errors import ReceiverError

if TYPE_CHECKING:
    from receiver.setup.options import Options
    from receiver.setup.target import Target

TARGETS = ("claude", "qwen", "gemini", "codex", "copilot", "python", "node", "collector")
"""``receiver.setup.targets`` has the same; importing it takes too long for a help text."""


@click.command()
@click.argument("target", type=click.Choice(TARGETS))
@click.option("--write", is_flag=True, help="Put it into the settings file; everything else there stays.")
@click.option(
    "--check",
    is_flag=True,
    help="Compare the settings file, send a test signal of each kind, and wait until it is stored.",
)
@click.option("--mcp", is_flag=True, help="The MCP configuration, which lets the agent ask this receiver.")
@click.option(
    "--content/--no-content",
    default=None,
    help="Send prompts, answers and contents of tools too, or switch that off. [default: off, unless the file"
    " says otherwise]",
)
@click.option("--protocol", type=click.Choice(["grpc", "http"]), help="[default: what the program does best]")
@click.option(
    "--grpc-endpoint", default="localhost:4317", show_default=True, metavar="ENDPOINT", help="OTLP/gRPC."
)
@click.option(
    "--http-endpoint", default="localhost:4318", show_default=True, metavar="ENDPOINT", help="OTLP/HTTP."
)
@query_listener
@click.option(
    "--transport",
    type=click.Choice(["stdio", "http"]),
    default="stdio",
    show_default=True,
    help="How the agent reaches the MCP server: it starts a process, or asks the query listener.",
)
@click.option("--file", metavar="PATH", help="Another settings file than the usual one.")
@click.option("--project", is_flag=True, help="The settings of the project in this folder, not the user's.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=15.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest wait of --check.",
)
def setup(
    target: str, *, write: bool, check: bool, mcp: bool, file: str | None, project: bool, **given: Any
) -> int:
    """Print the configuration that makes TARGET send here; with --mcp, the one that lets it ask here.

    With --write it is put into TARGET's settings file. The first change leaves a copy of the file, NAME.bak.
    docs/setup.md shows what is printed for each TARGET, and says what writing and checking do.
    """
    from receiver.setup import targets  # noqa: PLC0415 - brings YAML and TOML with it

    known = targets.MCP if mcp else targets.TELEMETRY
    if target not in known:
        raise click.UsageError(f"{target} asks no MCP server; those that do: {', '.join(known)}")
    chosen = known[target]
    timeout_s = float(given.pop("timeout"))
    options = chosen.completed(_options(project=project, **given))
    path = Path(file) if file else chosen.file(_places(), project=project)
    if not write and not check:
        _print(chosen, options, path, mcp=mcp)
        return 0
    if write:
        _write(chosen, options, path, mcp=mcp)
    if not check:
        return 0
    holds = _compare(chosen, options, path, required=chosen.is_required or file is not None or write)
    works = _ask_mcp(options, timeout_s) if mcp else _send(options, timeout_s)
    return 0 if holds and works else 1


def _options(
    *,
    project: bool,
    content: bool | None,
    protocol: str | None,
    grpc_endpoint: str,
    http_endpoint: str,
    endpoint: str,
    transport: str,
) -> Options:
    from receiver.setup.options import McpTransport, Options, OtlpProtocol, url_of  # noqa: PLC0415 - see setup

    return Options(
        grpc_url=url_of(grpc_endpoint),
        http_url=url_of(http_endpoint),
        query_url=url_of(endpoint),
        protocol=None if protocol is None else OtlpProtocol(protocol),
        content=content,
        transport=McpTransport(transport),
        command=_command(project=project),
    )


def _command(*, project: bool) -> tuple[str, ...]:
    """Return what starts this program: its path, but its name in a project's settings, which others share."""
    from receiver.setup.options import PROGRAM  # noqa: PLC0415 - see setup

    if project:
        return (PROGRAM,)
    program = Path(sys.executable).with_name(PROGRAM)
    return (str(program),) if program.is_file() else (sys.executable, "-m", "receiver")


def _places() -> Any:
    from receiver.setup.places import Places  # noqa: PLC0415 - see setup

    return Places(home=Path.home(), project=Path.cwd(), environ=os.environ, platform=sys.platform)


def _print(target: Target, options: Options, path: Path | None, *, mcp: bool) -> None:
    click.echo(target.rendered(options), nl=False)
    if path is not None:
        print_note(f"it belongs into {path}; --write puts it there")
    _advise(target, options, mcp=mcp)


def _write(target: Target, options: Options, path: Path | None, *, mcp: bool) -> None:
    from receiver.setup.errors import NotMergeableError, SetupError  # noqa: PLC0415 - see setup
    from receiver.setup.settings_file import write  # noqa: PLC0415

    if path is None:
        raise SetupError(f"{target.title} has no usual settings file", hint="name it with --file")
    try:
        written = write(path, target, options)
    except NotMergeableError:
        click.echo(target.rendered(options), nl=False)
        raise
    if not written.changes:
        click.echo(f"{escaped(path)}: nothing to change")
        return
    click.echo(f"{escaped(path)}: written")
    for change in written.changes:
        click.echo(f"  {escaped(change)}")
    if written.backup is not None:
        click.echo(f"the file as it was: {escaped(written.backup)}")
    _advise(target, options, mcp=mcp)


def _advise(target: Target, options: Options, *, mcp: bool) -> None:
    if not mcp and options.content is None and target.name != "collector":
        print_note("prompts, answers and contents of tools are not asked for; --content sends them too")
    for hint in target.hints(options):
        print_note(hint)


def _compare(target: Target, options: Options, path: Path | None, *, required: bool) -> bool:
    """Say whether the file holds the configuration; return False if the program would not do as is printed."""
    from receiver.setup.entry import ABSENT, shown  # noqa: PLC0415 - see setup
    from receiver.setup.settings_file import text_of  # noqa: PLC0415

    for variable in target.overruled_by(os.environ):
        print_note(f"the environment has {variable}, which goes before the file")
    if path is None:
        return True
    text = text_of(path)
    if text is None:
        if required:
            print_error(f"{path} is not there; --write makes it")
        else:
            print_note(f"{path} is not there: the variables have to be in the environment")
        return not required
    try:
        missing, obstacles = target.missing(text, options), target.obstacles(text)
    except ReceiverError as error:
        print_error(f"{path}: {error}")
        return False
    untouched = not required and all(each.old is ABSENT for each in missing)
    if missing and untouched:
        print_note(f"{path} does not hold the configuration: the variables have to be in the environment")
    elif missing:
        for change in missing:
            was = "is missing" if change.old is ABSENT else f"is {shown(change.old)}"
            print_error(f"{path}: {'.'.join(change.path)} {was}, and should be {shown(change.new)}")
    else:
        click.echo(f"{escaped(path)}: holds the configuration")
    for obstacle in obstacles:
        print_error(f"{path}: {obstacle}")
    return not obstacles and (not missing or untouched)


def _send(options: Options, timeout_s: float) -> bool:
    from receiver.setup.signal_check import check_signals  # noqa: PLC0415 - brings gRPC with it

    results = check_signals(options, timeout_s=timeout_s)
    where = f"over {options.protocol} at {options.otlp_url}"
    for result in results:
        if result.problem is None:
            click.echo(f"{result.signal:<8} accepted {where}, stored after {result.stored_s:.2f} s")
        else:
            print_error(f"{result.signal}: {result.problem}{f'; {result.hint}' if result.hint else ''}")
    return all(result.problem is None for result in results)


def _ask_mcp(options: Options, timeout_s: float) -> bool:
    from receiver.setup.mcp_check import check_mcp  # noqa: PLC0415 - brings the MCP client with it

    names = check_mcp(options, timeout_s=timeout_s)
    click.echo(
        f"the MCP server answers over {options.transport} and has {plural(len(names), 'tool')}: {', '.join(names)}"
    )
    return True
