"""The option that names the configuration file, for commands that read the receiver's own settings.

Apart from the other options, because ``serve`` has it and does not wait for what asks a receiver.
"""

from __future__ import annotations

from pathlib import Path

import click

config_file_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Configuration file instead of config/receiver.yaml.",
)
