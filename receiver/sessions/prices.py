"""The price table: what a million tokens of a model cost, for calls whose cost nobody reported.

The packaged table is ``receiver/sessions/prices.yaml``. A user's file adds entries and replaces those of the same
name: ``config/prices.yaml`` in the working directory, or the one that the setting ``query.prices_path`` names.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from receiver.config import PRICES_FILE
from receiver.errors import ConfigError
from receiver.sessions.models import canonical
from receiver.sessions.tokens import Tokens

_PACKAGED = "prices.yaml"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml takes a tenth of the time, at every start
_BOUNDARIES = "-@:"
_ANOTHER = re.compile(
    r"[-@:](?:\d{1,2}(?!\d)|(?:pro|ultra|mini|nano|lite|fast|audio|realtime|live|image|tts|deep)(?![a-z]))"
)
"""What makes another model, at another price, of the name before it: a version, a size, another kind of output."""
_SHOWN = 60

Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]


class Price(BaseModel):
    """USD for a million tokens of each type."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Dollars
    output: Dollars
    cache_read: Dollars | None = None
    """None: tokens from a cache cost what other input costs."""
    cache_creation: Dollars | None = None
    """None: the same."""
    as_of: dt.date
    """The day on which this was the price."""

    def of(self, tokens: Tokens) -> float:
        """Return what these tokens cost in USD."""
        cache_read = self.input if self.cache_read is None else self.cache_read
        cache_creation = self.input if self.cache_creation is None else self.cache_creation
        return (
            tokens.input * self.input
            + tokens.output * self.output
            + tokens.cache_read * cache_read
            + tokens.cache_creation * cache_creation
        ) / 1_000_000


@dataclass(frozen=True)
class PriceTable:
    """Prices by the beginning of a model's name."""

    prices: Mapping[str, Price]

    def find(self, model: str) -> Price | None:
        """Return the price of the longest entry that the model's name begins with; None where there is none.

        An entry ends where a part of the name ends, and never before a version or a size: ``gpt-5`` is the price
        of ``gpt-5-codex`` and not that of ``gpt-5.1`` or ``gpt-5-mini``, nor ``claude-opus-4`` that of
        ``claude-opus-4-9``.
        """
        name = canonical(model)
        end = len(name)
        while end > 0:
            price = self.prices.get(name[:end])
            if price is not None and not _ANOTHER.match(name, end):
                return price
            end = max(name.rfind(boundary, 0, end) for boundary in _BOUNDARIES)
        return None


@cache
def packaged_text() -> str:
    """Return the packaged table as it is written."""
    return resources.files("receiver.sessions").joinpath(_PACKAGED).read_text(encoding="utf-8")


@cache
def packaged_prices() -> PriceTable:
    """Return the packaged table."""
    return PriceTable(_read(packaged_text(), f"receiver/sessions/{_PACKAGED}"))


def load_prices(path: str = "") -> PriceTable:
    """Return the packaged table with the user's entries over it.

    Args:
        path: The user's file; empty: ``config/prices.yaml`` in the working directory, where it is.

    Raises:
        ConfigError: A named file is missing, or a file is no price table; the message names file, model and field.
    """
    file = Path(path) if path else PRICES_FILE
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        if not path:
            return packaged_prices()
        raise ConfigError(
            f"the price table {file} does not exist",
            hint="query.prices_path names it; empty: config/prices.yaml",
        ) from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"the price table {file} cannot be read: {error}") from error
    return PriceTable({**packaged_prices().prices, **_read(text, str(file))})


def _read(text: str, file: str) -> dict[str, Price]:
    try:
        root = yaml.load(text, Loader=_LOADER)  # noqa: S506 - safe loaders both
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{min(mark.line, text.count(chr(10))) + 1}" if mark else ""
        problem = getattr(error, "problem", None) or error
        raise ConfigError(f"the price table {file}{line} is not YAML: {problem}") from error
    if root is None:
        return {}
    if not isinstance(root, dict):
        raise ConfigError(
            f"the price table {file} must hold models and their prices, not a single value",
            hint="write: claude-opus-4-5: {input: 5.0, output: 25.0, as_of: 2026-11-01}",
        )
    found: dict[str, Price] = {}
    problems: list[str] = []
    for model, fields in root.items():
        try:
            found[canonical(str(model))] = Price.model_validate(_with_floats(fields))
        except ValidationError as error:
            problems += [_sentence(file, str(model), each) for each in error.errors()]
    if problems:
        raise ConfigError("; ".join(problems), hint="every price is in USD per million tokens")
    return found


def _with_floats(fields: Any) -> Any:
    """Return the fields of an entry; whole numbers are prices as well, truth values and texts are not."""
    if not isinstance(fields, dict):
        return fields
    return {
        str(name): float(value) if isinstance(value, int) and not isinstance(value, bool) else value
        for name, value in fields.items()
    }


def _sentence(file: str, model: str, error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"])
    shown = str(error["input"])[:_SHOWN]
    what = {
        "missing": "is missing",
        "extra_forbidden": "is not a field; there are input, output, cache_read, cache_creation, as_of",
    }.get(error["type"], f"must be {str(error['msg']).removeprefix('Input should be ')}, not {shown!r}")
    return f"{file}: {model}{': ' if place else ''}{place} {what}"
