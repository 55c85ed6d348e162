"""What a receiver says about its protection before it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from receiver.app.checks import problems_of, warnings_of
from receiver.config import Settings
from receiver.transport.tokens import Purpose, TokenFile
from tests.support.certificates import Authority

REMOTE = {"grpc_endpoint": "0.0.0.0:4317", "http_endpoint": "", "query_endpoint": ""}


def settings_of(folder: Path, **sections: dict[str, Any]) -> Settings:
    """Return settings on a data directory."""
    return Settings.model_validate({"data_dir": str(folder / "data"), **sections})


def with_token(settings: Settings, *purposes: Purpose) -> Settings:
    """Make a token for these."""
    TokenFile(settings.tokens_path).create("test", frozenset(purposes))
    return settings


@pytest.mark.parametrize("listener", ["grpc", "http", "query"])
def test_an_address_that_others_reach_wants_protection(tmp_path: Path, listener: str) -> None:
    """The sentence names the key and the ways out."""
    listen = {"grpc_endpoint": "", "http_endpoint": "", "query_endpoint": ""}
    listen[f"{listener}_endpoint"] = "0.0.0.0:4000"
    (problem,) = problems_of(settings_of(tmp_path, listen=listen))
    purpose = "query" if listener == "query" else "ingest"
    for part in (f"listen.{listener}_endpoint is 0.0.0.0:4000", f"auth.{purpose}: true", "tls.client_ca_path", "listen.allow_remote: true"):  # fmt: skip
        assert part in problem


def test_a_token_a_clients_certificate_or_the_operators_word_protects(tmp_path: Path) -> None:
    """Each alone; the certificate only where that listener asks for it, and the token for its purpose only."""
    authority = Authority(tmp_path / "pki")
    tls = authority.config(clients=authority)
    ways: list[tuple[dict[str, Any], int]] = [
        ({"auth": {"ingest": True}}, 0),
        ({"auth": {"query": True}}, 1),
        ({"tls": tls}, 0),
        ({"tls": tls.model_copy(update={"client_ca_listeners": ("query",)})}, 1),
        ({"tls": tls.model_copy(update={"client_ca_path": ""})}, 1),
    ]
    with_token(settings_of(tmp_path), Purpose.INGEST)
    for way, problems in ways:
        assert len(problems_of(settings_of(tmp_path, listen=REMOTE, **way))) == problems, way
    assert problems_of(settings_of(tmp_path, listen={**REMOTE, "allow_remote": True})) == []


def test_a_wanted_token_that_nobody_has_is_told(tmp_path: Path) -> None:
    """A receiver that refuses everybody is a mistake; one token for the other purpose does not help."""
    settings = with_token(settings_of(tmp_path, auth={"ingest": True}), Purpose.QUERY)
    (problem,) = problems_of(settings)
    assert "no token for ingest; make one: otlp-receiver token create NAME --for ingest" in problem
    assert problems_of(settings.without_listeners()) == []


def test_tokens_without_tls_over_the_network_are_warned_of(tmp_path: Path) -> None:
    """Allowed, as a proxy may end TLS, and said."""
    settings = with_token(settings_of(tmp_path, listen=REMOTE, auth={"ingest": True}), Purpose.INGEST)
    assert problems_of(settings) == []
    (warning,) = warnings_of(settings)
    assert "cross the network in clear" in warning


def test_a_data_directory_that_others_may_enter_is_warned_of_and_left_alone(tmp_path: Path) -> None:
    """Its mode is its owner's decision."""
    settings = settings_of(tmp_path)
    settings.data_path.mkdir()
    settings.data_path.chmod(0o755)
    (warning,) = warnings_of(settings)
    assert "has mode 0755: other users can enter it; chmod 700 it" in warning
    assert settings.data_path.stat().st_mode & 0o777 == 0o755


def test_every_mistake_in_the_files_is_told_at_once(tmp_path: Path) -> None:
    """Certificates and tokens in one answer."""
    tls = {"cert_path": str(tmp_path / "no.pem"), "key_path": str(tmp_path / "no.key")}
    found = problems_of(settings_of(tmp_path, tls=tls, auth={"ingest": True, "query": True}))
    assert len(found) == 3


def test_tokens_for_ingest_alone_are_warned_of(tmp_path: Path) -> None:
    """The query listener takes imports too; without one, or with its own tokens, nothing is said."""
    settings = with_token(settings_of(tmp_path, auth={"ingest": True}), Purpose.INGEST, Purpose.QUERY)
    (warning,) = warnings_of(settings)
    assert "imports telemetry without a token" in warning
    for more in ({"auth": {"ingest": True, "query": True}}, {"auth": {"ingest": True}, "listen": {"query_endpoint": ""}}):  # fmt: skip
        assert warnings_of(settings_of(tmp_path, **more)) == []
