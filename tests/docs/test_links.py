"""Links in the documentation lead somewhere, and files that it names are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.pages import PAGES, ROOT, prose_of

_LINK = re.compile(r"\[[^\]]*\]\((?!\w+:)([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
_NAMED = re.compile(r"`((?:receiver|proto_gen|config|docs|tests|scripts)/[\w./-]+)`")
_OWN_FILES = frozenset({"config/local.yaml"})
"""Named because a user may write them; never part of the repository."""


def anchor(heading: str) -> str:
    """Return the anchor that a heading gets: lower case, signs dropped, spaces to hyphens."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_lead_to_files_and_headings(page: str) -> None:
    """Each relative link names an existing file or folder, and each fragment a heading of it."""
    here = ROOT / page
    for link in _LINK.findall(prose_of(page)):
        place, _, fragment = link.partition("#")
        target = (here.parent / place).resolve() if place else here
        assert target.exists(), f"{link} leads nowhere"
        assert target.is_relative_to(ROOT), f"{link} leads out of the repository"
        if fragment:
            headings = {anchor(h) for h in _HEADING.findall(target.read_text(encoding="utf-8"))}
            assert fragment in headings, f"{link}: there is no such heading"


@pytest.mark.parametrize("page", PAGES)
def test_files_that_a_page_names_are_there(page: str) -> None:
    """A path of the repository in code type exists."""
    named = set(_NAMED.findall(prose_of(page))) - _OWN_FILES
    missing = [name for name in named if "NNNN" not in name and not (ROOT / name).exists()]
    assert not missing


def test_every_page_of_the_documentation_can_be_reached_from_the_readme() -> None:
    """Following links from README.md leads to every page in docs/."""
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        for link in _LINK.findall(page.read_text(encoding="utf-8")):
            place = (page.parent / link.partition("#")[0]).resolve()
            waiting.append(place / "README.md" if place.is_dir() else place)
    lost = [page for page in PAGES if page.startswith("docs/") and ROOT / page not in reached]
    assert not lost
