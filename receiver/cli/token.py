"""``otlp-receiver token``: makes, lists and revokes the tokens that clients show."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from receiver.cli.config_file import config_file_option
from receiver.cli.terminal import print_note

if TYPE_CHECKING:
    from receiver.transport.tokens import TokenFile

_ACTIONS = ("create", "list", "revoke")
_PURPOSES = ("ingest", "query")


@click.command()
@click.argument("action", type=click.Choice(_ACTIONS))
@click.argument("name", required=False)
@click.option(
    "--for",
    "purposes",
    type=click.Choice(_PURPOSES),
    multiple=True,
    help="What a new token is for: sending telemetry, or asking. May be given twice.",
)
@click.option("--data-dir", metavar="FOLDER", help="Data directory of the receiver.")
@config_file_option
def token(
    action: str, name: str | None, purposes: tuple[str, ...], data_dir: str | None, config_file: Path | None
) -> None:
    """Make, list or revoke the bearer tokens of a receiver.

    `create NAME --for ingest` prints a new token, once: only its hash is kept. A receiver that runs goes by a change
    within seconds. Tokens are asked for where `auth.ingest` and `auth.query` say so.
    """
    if (name is None) != (action == "list"):
        raise click.UsageError("list takes no NAME; create and revoke take one")
    if purposes and action != "create":
        raise click.UsageError("--for belongs to create")
    file = _file(data_dir, config_file)
    if action == "list":
        _list(file)
    elif action == "revoke":
        file.revoke(str(name))
        click.echo(f"{name} is revoked")
    else:
        _create(file, str(name), purposes)


def _file(data_dir: str | None, config_file: Path | None) -> TokenFile:
    from receiver.settings import load_settings  # noqa: PLC0415 - keeps --help fast
    from receiver.transport.tokens import TokenFile  # noqa: PLC0415 - see above

    settings = load_settings(config_file=config_file, overrides={"data_dir": data_dir}, environ=os.environ)
    return TokenFile(settings.tokens_path)


def _create(file: TokenFile, name: str, purposes: tuple[str, ...]) -> None:
    from receiver.transport.tokens import Purpose  # noqa: PLC0415 - see above

    made = file.create(name, frozenset(map(Purpose, purposes)))
    click.echo(made)
    print_note(f"this is the only time that it is shown; its hash is in {file.path}")


def _list(file: TokenFile) -> None:
    tokens = file.read()
    for each in tokens:
        click.echo(f"{each.name:<24} {', '.join(sorted(each.purposes)):<14} {each.created}")
    if not tokens:
        print_note(f"there is no token in {file.path}")
