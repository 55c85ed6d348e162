"""What a client shows to a protected receiver, and whom it trusts: a token, authorities, a certificate of its own."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from receiver.errors import ConfigError

TOKEN_VARIABLE = "OTLP_RECEIVER_TOKEN"  # noqa: S105 - a name
TOKEN_FILE_VARIABLE = "OTLP_RECEIVER_TOKEN_FILE"  # noqa: S105 - a name
CA_FILE_VARIABLE = "OTLP_RECEIVER_CA_FILE"
CLIENT_CERT_VARIABLE = "OTLP_RECEIVER_CLIENT_CERT"
CLIENT_KEY_VARIABLE = "OTLP_RECEIVER_CLIENT_KEY"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A client's side of TLS and of bearer tokens; nothing of it is in its ``repr``."""

    token: str = field(default="", repr=False)
    ca_file: str = ""
    """PEM file of the authorities to trust; empty: those of the system."""
    client_cert: str = ""
    """PEM file of the client's own certificate, for a receiver that asks for one."""
    client_key: str = ""
    """PEM file of its private key; empty: it is in ``client_cert``."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Credentials:
        """Return what the environment says; a file of a token goes before the token itself. Blocks for the disk.

        Raises:
            ConfigError: The file of the token cannot be read.
        """
        return cls(
            token=_token(environ),
            ca_file=environ.get(CA_FILE_VARIABLE, ""),
            client_cert=environ.get(CLIENT_CERT_VARIABLE, ""),
            client_key=environ.get(CLIENT_KEY_VARIABLE, ""),
        )

    def headers(self) -> dict[str, str]:
        """Return the header that shows the token; none without one."""
        return {"authorization": f"Bearer {self.token}"} if self.token else {}

    def context(self) -> ssl.SSLContext:
        """Return the context of a client's connections. Blocks for the disk.

        Raises:
            ConfigError: A file is missing, or is not what it should be.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"the authorities in {self.ca_file} cannot be read: {error}") from error
        if self.client_cert:
            try:
                context.load_cert_chain(self.client_cert, self.client_key or None, password=lambda: "")
            except (OSError, ssl.SSLError) as error:
                raise ConfigError(
                    f"the client's certificate {self.client_cert} cannot be used: {error}",
                    hint="it and its key must be PEM, without a passphrase",
                ) from error
        return context

    def pem_files(self) -> tuple[bytes | None, bytes | None, bytes | None]:
        """Return authorities, private key and certificate as gRPC wants them. Blocks for the disk.

        Raises:
            ConfigError: A file cannot be read.
        """
        try:
            return (
                Path(self.ca_file).read_bytes() if self.ca_file else None,
                Path(self.client_key or self.client_cert).read_bytes() if self.client_cert else None,
                Path(self.client_cert).read_bytes() if self.client_cert else None,
            )
        except OSError as error:
            raise ConfigError(f"{error.filename} cannot be read: {error.strerror}") from error


def _token(environ: Mapping[str, str]) -> str:
    file = environ.get(TOKEN_FILE_VARIABLE, "")
    if not file:
        found, place = environ.get(TOKEN_VARIABLE, ""), TOKEN_VARIABLE
    else:
        try:
            found, place = Path(file).read_text(encoding="ascii"), file
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it holds no token"
            raise ConfigError(f"the token in {file} cannot be read: {reason}") from error
    found = found.strip()
    if found and not (found.isascii() and found.isprintable() and " " not in found):
        raise ConfigError(f"what {place} holds is not a token", hint="it is one word of letters and digits")
    return found
