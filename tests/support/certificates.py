"""Certificates of an authority that exists for one test."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from receiver.config import TlsConfig


@dataclass
class Authority:
    """Issues certificates into files of a folder."""

    folder: Path
    name: str = "ca"
    _ca: trustme.CA = field(default_factory=trustme.CA)

    def __post_init__(self) -> None:
        """Write the authority's own certificate."""
        self.folder.mkdir(exist_ok=True)
        self._ca.cert_pem.write_to_path(self.file)

    @property
    def file(self) -> Path:
        """Return the file with its certificate."""
        return self.folder / f"{self.name}.pem"

    def issue(self, name: str = "server") -> tuple[Path, Path]:
        """Write a certificate for this machine, and its key; put in place by renaming, as renewals are."""
        issued = self._ca.issue_cert("localhost", "127.0.0.1", "::1")
        chain, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        for path, content in (
            (chain, b"".join(pem.bytes() for pem in issued.cert_chain_pems)),
            (key, issued.private_key_pem.bytes()),
        ):
            new = path.with_suffix(".new")
            new.write_bytes(content)
            new.chmod(0o600)
            new.rename(path)
        return chain, key

    def config(self, *, clients: Authority | None = None, name: str = "server") -> TlsConfig:
        """Issue a listener's certificate and return its settings; with ``clients`` those must show one of theirs."""
        chain, key = self.issue(name)
        return TlsConfig(
            cert_path=str(chain),
            key_path=str(key),
            client_ca_path="" if clients is None else str(clients.file),
        )

    def client(self, own: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        """Return the context of a client that trusts this authority and shows ``own``."""
        context = ssl.create_default_context(cafile=str(self.file))
        if own is not None:
            context.load_cert_chain(*own)
        return context
