"""The files of certificates: what is wrong with them is said, and what fits together is used."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from receiver.config import TlsConfig
from receiver.errors import ConfigError
from receiver.transport.tls import TlsFiles
from receiver.transport.x509 import not_after
from tests.support.certificates import Authority
from tests.support.open_files import no_open_files


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Give an authority."""
    return Authority(tmp_path)


def test_the_end_of_validity_is_the_certificates(authority: Authority) -> None:
    """As another reader of certificates has it."""
    current = TlsFiles(authority.config()).read()
    expected = x509.load_pem_x509_certificate(current.chain).not_valid_after_utc
    assert datetime.fromtimestamp(current.expires_at, UTC) == expected


@pytest.mark.parametrize("size", [0, 1, 2, 10, 40, 200])
def test_a_cut_certificate_is_a_value_error(authority: Authority, size: int) -> None:
    """Whatever stands there, reading ends."""
    chain, _ = authority.issue()
    der = x509.load_pem_x509_certificate(chain.read_bytes()).public_bytes(Encoding.DER)
    with pytest.raises(ValueError):  # noqa: PT011 - the caller has the message
        not_after(der[:size])


def test_missing_files_are_named_with_their_keys(authority: Authority) -> None:
    """Which of the three, and where it was looked for."""
    good = authority.config(clients=authority)
    for key in ("cert_path", "key_path", "client_ca_path"):
        config = good.model_copy(update={key: "/nowhere/file.pem"})
        with pytest.raises(ConfigError, match=rf"tls\.{key} /nowhere/file.pem cannot be read: No such file"):
            TlsFiles(config).read()


def test_a_key_of_another_certificate_is_told(authority: Authority) -> None:
    """The message names both files."""
    config = authority.config()
    _, other = authority.issue("other")
    with pytest.raises(ConfigError, match=r"other.key is not the one of the certificate .*server.pem"):
        TlsFiles(config.model_copy(update={"key_path": str(other)})).read()


def test_a_key_with_a_passphrase_is_told_and_nobody_is_asked(authority: Authority) -> None:
    """OpenSSL would ask on the terminal; a server has none."""
    config = authority.config()
    locked = authority.folder / "locked.key"
    subprocess.run(
        ["openssl", "pkey", "-aes256", "-passout", "pass:secret", "-in", config.key_path, "-out", locked],
        check=True,
    )
    with pytest.raises(ConfigError, match=r"locked\.key is protected by a passphrase; write it without one"):
        TlsFiles(config.model_copy(update={"key_path": str(locked)})).read()


def test_files_that_hold_something_else_are_told(authority: Authority) -> None:
    """Each of the three by its key."""
    good = authority.config(clients=authority)
    other = authority.folder / "text"
    other.write_text("no certificate\n")
    for key in ("cert_path", "key_path", "client_ca_path"):
        with pytest.raises(ConfigError, match=rf"tls\.{key}.*text"):
            TlsFiles(good.model_copy(update={key: str(other)})).read()


def test_a_key_that_others_may_read_is_warned_of(authority: Authority) -> None:
    """Its owner alone, or a group besides, may read it."""
    files = TlsFiles(authority.config())
    key = authority.folder / "server.key"
    for mode, warned in ((0o600, False), (0o640, False), (0o644, True), (0o660, True)):
        key.chmod(mode)
        assert bool(files.warnings()) is warned, oct(mode)


def test_new_files_that_do_not_fit_are_told_once_and_the_old_ones_stay(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """A renewal that is half done, or went wrong, ends no service; the next good one is used."""
    files = TlsFiles(authority.config())
    first = files.read()
    chain = authority.folder / "server.pem"
    good = chain.read_bytes()
    chain.write_bytes(authority.file.read_bytes())  # another certificate, the old key
    for _ in range(3):
        files.refresh()
    assert files.current is first
    assert "server.key is not the one of the certificate" in str(files.problem)
    assert len([record for record in caplog.records if "the old one stays" in record.message]) == 1
    chain.write_bytes(good)
    files.refresh()
    assert files.problem is None
    assert files.current is not first


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"cert_path": "x"}, "must be given together"),
        ({"key_path": "x"}, "must be given together"),
        ({"client_ca_path": "x"}, "needs tls.cert_path"),
    ],
)
def test_keys_that_need_each_other_are_settings_mistakes(given: dict[str, str], said: str) -> None:
    """Half a configuration protects nothing."""
    with pytest.raises(ValueError, match=said):
        TlsConfig.model_validate(given)


def test_files_that_could_not_be_read_once_are_read_again(authority: Authority) -> None:
    """A renewal in a moment without a free file handle is not missed."""
    files = TlsFiles(authority.config())
    first = files.read()
    authority.issue()
    with no_open_files():
        files.refresh()
    assert (files.current, files.problem is None) == (first, False)
    files.refresh()
    assert (files.current is first, files.problem) == (False, None)
