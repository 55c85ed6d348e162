"""Where settings come from: files, environment and flags in; one frozen ``Settings`` out, or every mistake by name.

Precedence: defaults < ``config/receiver.yaml`` (or ``--config FILE``) < ``local.yaml`` beside it < environment
variables ``OTLP_RECEIVER_SECTION__KEY`` < flags. An unknown key is a mistake wherever it stands: what a user
wrote must never be without effect. pydantic-settings is not used, because it forgets which file and line a
value came from, and that is what a mistake has to name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from receiver.config import Section, Settings
from receiver.errors import ConfigError

if TYPE_CHECKING:
    import yaml

ENV_PREFIX = "OTLP_RECEIVER_"
DEFAULT_FILE = Path("config/receiver.yaml")
LOCAL_FILE = "local.yaml"

_NOT_OURS = re.compile(
    # the command line's own variables, and those that Kubernetes sets for a Service named otlp-receiver
    r"ENDPOINT|TOKEN|TOKEN_FILE|CA_FILE|CLIENT_CERT|CLIENT_KEY|SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?"
)
_SHOWN = 80
_MARK = "Input should be "


class InvalidSettingsError(ConfigError):
    """The configuration has mistakes; ``problems`` holds all of them, a sentence each."""

    def __init__(self, problems: list[str]) -> None:
        """Keep every problem; the message joins them."""
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class _Given:
    """A value and where it stands."""

    value: Any
    place: str


_Layer = dict[str, _Given]
"""Values by their dotted key."""


def load_settings(
    *, config_file: Path | None, overrides: Mapping[str, object], environ: Mapping[str, str]
) -> Settings:
    """Return the settings that all sources together make.

    Args:
        config_file: Must exist; None means ``config/receiver.yaml`` in the working directory, if it is there.
        overrides: Flags, by dotted key (``listen.grpc_endpoint``); None counts as not given.
        environ: The environment; variables without the prefix are passed over.

    Raises:
        InvalidSettingsError: A source cannot be read, or a key is unknown, of the wrong type or out of range.
    """
    problems: list[str] = []
    given: _Layer = {}
    for file in _files(config_file):
        given |= _from_file(file, problems)
    given |= _from_environment(environ, problems)
    given |= _from_flags(overrides, problems)
    problems += [
        f"{key} must be a number, not {str(each.value).lower()} ({each.place})"
        for key, each in given.items()
        if isinstance(each.value, bool) and KEYS[key].annotation in (int, float)
    ]
    try:
        settings = Settings.model_validate(_nested(given))
    except ValidationError as error:
        found = [_sentence(dict(each), given) for each in error.errors()]
        raise InvalidSettingsError(problems + found) from error
    if problems:
        raise InvalidSettingsError(problems)
    return settings


def keys(section: type[Section] = Settings, prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield every key, dotted, with its declaration, in the order of the settings classes."""
    for name, declared in section.model_fields.items():
        if (inner := section_of(declared)) is not None:
            yield from keys(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", declared


def section_of(declared: FieldInfo) -> type[Section] | None:
    """Return the section that a field is, or None for a key."""
    kind = declared.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def environment_name(key: str) -> str:
    """Return the environment variable of a dotted key."""
    return ENV_PREFIX + key.replace(".", "__").upper()


KEYS: Mapping[str, FieldInfo] = dict(keys())
_SECTIONS = frozenset(key.rpartition(".")[0] for key in KEYS if "." in key)


def _files(config_file: Path | None) -> list[Path]:
    if config_file is not None and not config_file.is_file():
        raise InvalidSettingsError([f"the configuration file {config_file} does not exist"])
    main = config_file or DEFAULT_FILE
    return [file for file in (main, main.with_name(LOCAL_FILE)) if file.is_file()]


def _from_file(file: Path, problems: list[str]) -> _Layer:
    import yaml  # noqa: PLC0415 - a start without a file does not wait for it

    try:
        loader = yaml.SafeLoader(file.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        found: _Layer = {}
        if root is not None:
            _collect(loader, root, "", file=file, found=found, problems=problems)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        problems.append(f"{file}{line} is not YAML: {error.problem or error.context}")
    except (OSError, ValueError, yaml.YAMLError) as error:
        problems.append(f"{file} cannot be read: {error}")
    else:
        return found
    return {}


def _collect(
    loader: yaml.SafeLoader, node: yaml.Node, prefix: str, *, file: Path, found: _Layer, problems: list[str]
) -> None:
    """Put the values of a section into ``found``, each with its line."""
    import yaml  # noqa: PLC0415 - see above

    line = node.start_mark.line + 1
    if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null":
        return  # a section whose keys are all commented out
    if not isinstance(node, yaml.MappingNode):
        what = f"{prefix[:-1]} must hold keys" if prefix else "the file must hold keys and values"
        problems.append(f"{what}, not a single value ({file}:{line})")
        return
    seen: dict[str, int] = {}
    for name, value in node.value:
        key, place = f"{prefix}{name.value}", f"{file}:{name.start_mark.line + 1}"
        if key in seen:
            problems.append(f"{key} stands twice ({place} and line {seen[key]})")
        seen[key] = name.start_mark.line + 1
        if key in _SECTIONS:
            _collect(loader, value, f"{key}.", file=file, found=found, problems=problems)
        elif key in KEYS:
            found[key] = _Given(loader.construct_object(value, deep=True), place)
        else:
            problems.append(_unknown(key, place, nearest_key(key)))


def _from_environment(environ: Mapping[str, str], problems: list[str]) -> _Layer:
    found: _Layer = {}
    for variable, text in sorted(environ.items()):
        rest = variable.removeprefix(ENV_PREFIX)
        if rest == variable or _NOT_OURS.fullmatch(rest):
            continue
        key = rest.lower().replace("__", ".")
        if key not in KEYS:
            near = nearest_key(key)
            problems.append(_unknown(variable, "the environment", near and environment_name(near)))
            continue
        try:
            value = _listed(text) if get_origin(KEYS[key].annotation) is tuple else text
        except ValueError as error:
            problems.append(f"{key} must be a JSON list or words between commas: {error} ({variable})")
            continue
        found[key] = _Given(value, f"environment variable {variable}")
    return found


def _listed(text: str) -> Any:
    """Return the list that a JSON list, or words between commas, say."""
    if text.lstrip().startswith("["):
        return json.loads(text)
    return [part.strip() for part in text.split(",") if part.strip()]


def _from_flags(overrides: Mapping[str, object], problems: list[str]) -> _Layer:
    found: _Layer = {}
    for key, value in overrides.items():
        if key not in KEYS:
            problems.append(_unknown(key, "the command line", nearest_key(key)))
        elif value is not None:
            found[key] = _Given(value, "the command line")
    return found


def nearest_key(key: str) -> str | None:
    """Return the key that was probably meant: one spelled nearly so, or the same name in another section."""
    import difflib  # noqa: PLC0415 - for mistakes only

    flat = {known.replace(".", "_"): known for known in (*KEYS, *_SECTIONS)}
    near = difflib.get_close_matches(key.replace(".", "_").lower(), flat, n=1, cutoff=0.75)
    if near:
        return flat[near[0]]
    last = {known.rpartition(".")[2]: known for known in KEYS}
    near = difflib.get_close_matches(key.rpartition(".")[2].lower(), last, n=1, cutoff=0.75)
    return last[near[0]] if near else None


def _unknown(key: str, place: str, near: str | None) -> str:
    hint = f"did you mean {near}?" if near else "docs/configuration.md lists every key"
    return f"unknown key {key} ({place}); {hint}"


def _nested(given: _Layer) -> dict[str, Any]:
    """Return the values by section; each section is named, so that none is made by itself (see ``Section``)."""
    tree: dict[str, Any] = {section: {} for section in _SECTIONS}
    for key, each in given.items():
        *sections, name = key.split(".")
        into = tree
        for section in sections:
            into = into.setdefault(section, {})
        into[name] = each.value
    return tree


def _sentence(error: dict[str, Any], given: _Layer) -> str:
    parts = [str(part) for part in error["loc"]]
    key = ".".join(parts)
    within = ""
    while parts and (key := ".".join(parts)) not in KEYS:
        last = parts.pop()
        within = (f"[{last}]" if last.isdecimal() else f".{last}") + within
    message = str(error["msg"]).removeprefix("Value error, ")
    if not parts:  # two keys that do not agree: the rule names both
        named = [known for known in KEYS if re.search(rf"\b{re.escape(known)}\b", message)]
        return f"{message} ({'; '.join(_stands(each, given) for each in named)})"
    value = json.dumps(error["input"], default=str, ensure_ascii=False)
    shown = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…"
    place = given[key].place if key in given else "default"
    if message.startswith(_MARK):
        return f"{key}{within} must be {message.removeprefix(_MARK)}, not {shown} ({place})"
    return f"{key}{within} = {shown}: {message} ({place})"


def _stands(key: str, given: _Layer) -> str:
    if key in given:
        return f"{key} is {given[key].value} in {given[key].place}"
    return f"{key} is {KEYS[key].get_default(call_default_factory=True, validated_data={})} by default"
