"""``otlp-receiver check-config``: says what is in effect, or everything that is wrong."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from receiver.cli.config_file import config_file_option
from receiver.cli.terminal import print_note


@click.command("check-config")
@config_file_option
@click.option("--reference", is_flag=True, help="Print every key with its default and meaning instead.")
def check_config(config_file: Path | None, reference: bool) -> None:
    """Print the configuration in effect as YAML, or every mistake in it.

    Looks at the same files and environment variables as `serve`, those of certificates and tokens too, and says on
    standard error what is allowed and unwise. Exits with 2 if something is wrong.
    """
    from receiver.app.checks import problems_of, warnings_of  # noqa: PLC0415 - keeps --help fast
    from receiver.cli.reference import configuration_yaml, settings_yaml  # noqa: PLC0415
    from receiver.settings import InvalidSettingsError, load_settings  # noqa: PLC0415

    if reference:
        sys.stdout.write(configuration_yaml())
        return
    settings = load_settings(config_file=config_file, overrides={}, environ=os.environ)
    if problems := problems_of(settings):
        raise InvalidSettingsError(problems)
    for warning in warnings_of(settings):
        print_note(warning)
    sys.stdout.write(settings_yaml(settings))
