"""The price table: which entry a model's name finds, and what is said about a file that is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from receiver.errors import ConfigError
from receiver.sessions.models import canonical
from receiver.sessions.prices import load_prices, packaged_prices, packaged_text
from receiver.sessions.tokens import Tokens


@pytest.mark.parametrize(
    "name",
    [
        "claude-opus-4-5",
        "claude-opus-4-5-20251101",
        "claude-opus-4-5@20251101",
        "claude-opus-4.5",
        "anthropic/claude-opus-4.5",
        "us.anthropic.claude-opus-4-5-20251101-v1:0",
        "bedrock/eu.anthropic.claude-opus-4-5-20251101-v1:0",
        "Claude-Opus-4-5[1m]",
        "claude-opus-4-5-latest",
    ],
)
def test_spellings_of_a_model_find_its_price(name: str) -> None:
    """Vendor, region, date, revision and window are no part of the name."""
    assert canonical(name) == "claude-opus-4-5"
    price = packaged_prices().find(name)
    assert price is not None
    assert (price.input, price.output) == (5, 25)


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("gpt-5-codex-high", "gpt-5-codex"),
        ("gpt-5-2025-08-07", "gpt-5"),
        ("gpt-5-chat-latest", "gpt-5"),
        ("gpt-5.1", "gpt-5.1"),
        ("gpt-5-mini-2025-08-07", "gpt-5-mini"),
        ("gpt-5.9", None),
        ("gpt-5.4-nano", None),
        ("claude-opus-4-20250514", "claude-opus-4"),
        ("claude-opus-4-9", None),
        ("claude-3-5-sonnet-20241022", "claude-3-5-sonnet"),
        ("models/gemini-2.5-pro-preview-05-06", "gemini-2.5-pro"),
        ("gemini-2.0-flash-001", "gemini-2.0-flash"),
        ("gemini-2.5-flash-image", None),
        ("o3-deep-research", None),
        ("gpt-50", None),
        ("", None),
    ],
)
def test_the_longest_entry_of_the_same_model_counts(name: str, entry: str | None) -> None:
    """A version or a size is another model, and a model that nobody knows has no price."""
    table = packaged_prices()
    assert table.find(name) == (table.prices[entry] if entry else None)


def test_the_price_of_tokens_is_that_of_each_type() -> None:
    """Without a price of their own cached tokens cost what input costs."""
    price = packaged_prices().prices["claude-haiku-4-5"]
    million = 1_000_000
    assert price.of(Tokens(million, million, million, million)) == 1 + 5 + 0.1 + 1.25
    plain = packaged_prices().prices["gpt-5-pro"]
    assert plain.of(Tokens(cache_read=million)) == plain.input


def test_entries_of_a_file_add_to_the_packaged_ones_and_replace_them(tmp_path: Path) -> None:
    """Whole numbers are prices; all other entries stay."""
    file = tmp_path / "prices.yaml"
    file.write_text(
        "my-model: {input: 1, output: 2, as_of: 2026-11-01}\n"
        "anthropic/claude-opus-4.5: {input: 4.0, output: 20.0, as_of: 2026-11-01}\n"
    )
    table = load_prices(str(file))
    found = table.find("my-model-2026-01-01")
    assert found is not None
    assert found.input == 1
    assert table.prices["claude-opus-4-5"].input == 4
    assert table.prices["gpt-5"] == packaged_prices().prices["gpt-5"]


def test_the_file_in_the_working_directory_is_read_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """config/prices.yaml needs no setting, and need not be there."""
    monkeypatch.chdir(tmp_path)
    assert load_prices() == packaged_prices()
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "prices.yaml").write_text("x: {input: 1.0, output: 2.0, as_of: 2026-11-01}")
    assert load_prices().find("x") is not None


def test_a_named_file_that_is_missing_is_a_mistake(tmp_path: Path) -> None:
    """What a user names must be there."""
    with pytest.raises(ConfigError, match=r"no\.yaml does not exist"):
        load_prices(str(tmp_path / "no.yaml"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("m: {input: -1.0, output: 2.0, as_of: 2026-11-01}", r"bad\.yaml: m: input must be greater than"),
        ("m: {input: yes, output: 2.0, as_of: 2026-11-01}", r"bad\.yaml: m: input must be a valid number"),
        ("m: {output: 2.0, as_of: 2026-11-01}", r"bad\.yaml: m: input is missing"),
        ("m: {input: 1, output: 2, as_of: soon}", r"bad\.yaml: m: as_of must be"),
        ("m: {input: 1, output: 2, as_of: 2026-11-01, cached: 3}", r"bad\.yaml: m: cached is not a field"),
        ("m: 3", r"bad\.yaml: m"),
        ("- m", r"bad\.yaml must hold models"),
        ("m: {input: 1", r"bad\.yaml:1 is not YAML"),
        ("\x00", r"bad\.yaml"),
    ],
)
def test_a_mistake_names_file_model_and_field(tmp_path: Path, text: str, message: str) -> None:
    """Each with what it must be."""
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_prices(str(file))


def test_every_packaged_price_is_one() -> None:
    """Output costs more than input, a cache less; every name is in its canonical form."""
    lines = [line for line in packaged_text().splitlines() if line and not line.startswith("#")]
    assert [line.partition(":")[0] for line in lines] == list(packaged_prices().prices)
    for name, price in packaged_prices().prices.items():
        assert canonical(name) == name
        assert price.output > price.input > 0
        assert price.cache_read is None or 0 < price.cache_read < price.input
        assert price.cache_creation is None or price.cache_creation >= price.input
