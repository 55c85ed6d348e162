"""The documentation tells what is there: no intentions, no machine of ours, no names that the code does not have."""

from __future__ import annotations

import re

import pytest

from receiver.settings import KEYS, environment_name
from tests.support.pages import PAGES, ROOT, text_of

_INTENTIONS = re.compile(
    r"\b(?:TODO|TBD|FIXME|XXX)\b"
    r"|\b(?i:will be|is going to|planned|coming soon|not yet (?:implemented|supported|available)|in the future"
    r"|eventually|future (?:version|release|work)|work in progress|for now|stub|placeholder)\b"
)
_MACHINE = re.compile(r"(?<![\w.:/~-])/(?:home|Users|root|work|tmp|mnt|private)/\w|\b[A-Z]:\\")
_SETTING = re.compile(
    r"`((?:" + "|".join(sorted({k.partition(".")[0] for k in KEYS if "." in k})) + r")\.\w+)(?![\w.*])"
)
_VARIABLE = re.compile(r"\bOTLP_RECEIVER_[A-Z][A-Z_]*[A-Z]\b")
_ENDINGS = ("py", "md", "yaml", "sql", "db", "duckdb")
_KNOWN_VARIABLES = {environment_name(key) for key in KEYS} | {
    "OTLP_RECEIVER_ENDPOINT",
    *(f"OTLP_RECEIVER_{name}" for name in ("TOKEN", "TOKEN_FILE", "CA_FILE", "CLIENT_CERT", "CLIENT_KEY")),
    "OTLP_RECEIVER_SECTION__KEY",  # how the names are made
}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_no_intentions(page: str) -> None:
    """No word of a page speaks of what is not there."""
    assert not _INTENTIONS.findall(text_of(page))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_no_place_of_one_machine(page: str) -> None:
    """No absolute path of a home, work or temporary folder stands in a page."""
    assert not _MACHINE.findall(text_of(page))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_only_settings_that_there_are(page: str) -> None:
    """Every `section.key` of a settings section is a key, and every variable with our prefix is read."""
    keys = {key for key in _SETTING.findall(text_of(page)) if key.rpartition(".")[2] not in _ENDINGS}
    assert keys <= KEYS.keys()
    assert set(_VARIABLE.findall(text_of(page))) <= _KNOWN_VARIABLES


def test_the_changelog_has_the_version_of_the_package() -> None:
    """The newest entry of the changelog is the version in pyproject.toml."""
    newest = re.search(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$", text_of("CHANGELOG.md"), re.MULTILINE)
    assert newest is not None
    assert f'\nversion = "{newest[1]}"\n' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [p for p in PAGES if re.match(r"docs/adr/\d{4}-", p)])
def test_a_decision_has_its_parts(page: str) -> None:
    """A decision record has title with its number, status, date, and the four sections in their order."""
    text = text_of(page)
    number = int(page.rpartition("/")[2][:4])
    assert re.match(rf"# {number}\. \S", text)
    assert re.search(r"^Status: \w", text, re.MULTILINE)
    assert re.search(r"^Date: \d{4}-\d\d-\d\d$", text, re.MULTILINE)
    headings = re.findall(r"^## (\w+)$", text, re.MULTILINE)
    wanted = ["Context", "Decision", "Consequences", "Alternatives"]
    assert [h for h in headings if h in wanted] == wanted


def test_the_index_lists_every_decision() -> None:
    """docs/adr/README.md links to every record, and to no other."""
    records = {p.rpartition("/")[2] for p in PAGES if re.match(r"docs/adr/\d{4}-", p)}
    assert set(re.findall(r"\((\d{4}-[\w-]+\.md)\)", text_of("docs/adr/README.md"))) == records
