"""Puts the results of a suite into docs/benchmarks.md and its pictures beside it.

    python -m tests.benchmarks.report build/benchmarks

Only what stands between the markers is replaced. Needs the extra ``bench``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.benchmarks.tables import markdown
from tests.support.receiver_process import REPOSITORY

PAGE = REPOSITORY / "docs" / "benchmarks.md"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
_ALT = {
    "throughput.svg": "Records stored a second, end to end, beside what DuckDB does with ready columns",
    "batches.svg": "Spans stored a second by the number of spans in a request",
}


def put_into(page: str, results: Path, pictures: list[str]) -> str:
    """Return the page with what is new between the markers."""
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise SystemExit(f"the page has no {BEGIN} and {END}")
    images = "\n\n".join(f"![{_ALT[name]}](benchmarks/{name})" for name in pictures)
    return f"{before}{BEGIN}\n\n{images}\n\n{markdown(results)}\n{END}{after}"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, help="what the suite has written")
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args()
    from tests.benchmarks.plots import draw  # noqa: PLC0415 - needs matplotlib, and nothing else here does

    page: Path = options.page
    pictures = draw(options.results, page.parent / "benchmarks")
    text = put_into(page.read_text(encoding="utf-8"), options.results, [path.name for path in pictures])
    page.write_text(text, encoding="utf-8")
    print(f"{page.name} and {', '.join(path.name for path in pictures)} are written")


if __name__ == "__main__":
    main()
