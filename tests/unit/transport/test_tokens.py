"""Bearer tokens: what is kept of them, and which requests pass."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from receiver.errors import ConfigError, UnauthenticatedError
from receiver.transport.token_check import KnownTokens
from receiver.transport.tokens import Purpose, TokenFile, digest_of
from tests.support.open_files import no_open_files

INGEST, QUERY = Purpose.INGEST, Purpose.QUERY


@pytest.fixture
def file(tmp_path: Path) -> TokenFile:
    """Give a file that is not there yet."""
    return TokenFile(tmp_path / "new" / "tokens")


def test_the_file_holds_the_hash_and_never_the_token(file: TokenFile) -> None:
    """256 random bits go to the holder; name, purposes, hash and time stay, for the owner alone."""
    text = file.create("checkout", frozenset({INGEST, QUERY}))
    (line,) = file.path.read_text().splitlines()
    assert len(text.removeprefix("otlpr_")) == 43
    assert text not in line
    assert line.split()[:3] == ["checkout", "ingest,query", digest_of(text)]
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700
    assert digest_of(text) not in repr(file.read())


def test_what_root_changes_stays_the_receivers(file: TokenFile) -> None:
    """A file that the receiver cannot read any more would keep a revoked token alive."""
    file.path.parent.mkdir()
    if os.geteuid() == 0:
        os.chown(file.path.parent, 4321, 4322)
    owner = file.path.parent.stat()
    file.create("checkout", frozenset({INGEST}))
    file.revoke("checkout")
    made = list(file.path.parent.iterdir())
    assert len(made) == 2
    assert {(each.stat().st_uid, each.stat().st_gid) for each in made} == {(owner.st_uid, owner.st_gid)}


def test_two_tokens_have_nothing_in_common(file: TokenFile) -> None:
    """Each is drawn anew."""
    one, other = file.create("a", frozenset({INGEST})), file.create("b", frozenset({INGEST}))
    assert one[6:] not in other
    assert [token.name for token in file.read()] == ["a", "b"]


def test_tokens_made_at_the_same_time_are_all_kept(file: TokenFile) -> None:
    """Whoever changes the file has it alone."""
    names = [f"agent-{number}" for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: file.create(name, frozenset({INGEST})), names))
    assert sorted(token.name for token in file.read()) == sorted(names)


@pytest.mark.parametrize("name", ["", "two words", "-x", "a/b", "a\nb", "x" * 65, "naïve"])
def test_what_is_not_a_name_is_refused(file: TokenFile, name: str) -> None:
    """A name is one word, so that a line stays one line."""
    with pytest.raises(ConfigError, match="not a name"):
        file.create(name, frozenset({INGEST}))
    assert file.read() == []


def test_a_name_is_taken_once_and_revoked_once(file: TokenFile) -> None:
    """The messages say which name."""
    file.create("ci", frozenset({INGEST}))
    with pytest.raises(ConfigError, match="a token ci already"):
        file.create("ci", frozenset({QUERY}))
    file.revoke("ci")
    with pytest.raises(ConfigError, match="no token 'ci'"):
        file.revoke("ci")


@pytest.mark.parametrize("line", ["ci ingest", "ci nothing {d} x", "ci ingest abc x", "c/i ingest {d} x", "ci ingest {d} x y"])  # fmt: skip
def test_a_line_that_is_no_token_is_named_by_its_number_only(file: TokenFile, line: str) -> None:
    """What stands in it may be a secret that somebody put there by mistake."""
    file.path.parent.mkdir()
    secret = digest_of("x")
    file.path.write_text(f"# tokens\n\n{line.format(d=secret)}\n")
    with pytest.raises(ConfigError, match=r"line 3 of .*tokens is not a token") as caught:
        file.read()
    assert secret not in str(caught.value)


def test_a_token_passes_for_what_it_was_made_for(file: TokenFile) -> None:
    """And for nothing else."""
    text = file.create("agent", frozenset({INGEST}))
    known = KnownTokens(file)
    known.read()
    for scheme in ("Bearer", "bearer", "BEARER"):
        known.verify([f"{scheme} {text}"], INGEST)
    with pytest.raises(UnauthenticatedError, match="not made for query"):
        known.verify([f"Bearer {text}"], QUERY)


@pytest.mark.parametrize("shown", [[], ["Bearer"], ["Bearer "], ["Basic {t}"], ["{t}"], ["Bearer {t}x"], ["Bearer {t}", "Bearer {t}"], ["Bearer \udcff"], ["Bearer {d}"]])  # fmt: skip
def test_anything_but_one_known_token_is_refused_without_repeating_it(
    file: TokenFile, shown: list[str]
) -> None:
    """The hash itself does not pass either: who reads the file gets in nowhere."""
    text = file.create("agent", frozenset({INGEST}))
    known = KnownTokens(file)
    known.read()
    with pytest.raises(UnauthenticatedError) as caught:
        known.verify([each.format(t=text, d=digest_of(text)) for each in shown], INGEST)
    assert text not in str(caught.value)
    assert digest_of(text) not in str(caught.value)


def test_a_changed_file_counts_and_a_broken_one_does_not(file: TokenFile) -> None:
    """Nobody is locked out by a slip of the editor; who is revoked is out."""
    text = file.create("agent", frozenset({INGEST}))
    known = KnownTokens(file)
    known.read()
    broken = file.path.read_text() + "garbage\n"
    file.path.write_text(broken)
    known.refresh()
    known.verify([f"Bearer {text}"], INGEST)
    file.path.unlink()
    known.refresh()
    with pytest.raises(UnauthenticatedError):
        known.verify([f"Bearer {text}"], INGEST)


def test_a_file_that_could_not_be_read_once_is_read_again(
    file: TokenFile, caplog: pytest.LogCaptureFixture
) -> None:
    """Who was revoked while the process had no file handle left is out as soon as it has one."""
    text = file.create("agent", frozenset({INGEST}))
    known = KnownTokens(file)
    known.read()
    file.revoke("agent")
    with no_open_files():
        known.refresh()
        known.refresh()
    assert len([record for record in caplog.records if "stay in use" in record.message]) == 1
    known.refresh()
    with pytest.raises(UnauthenticatedError):
        known.verify([f"Bearer {text}"], INGEST)
