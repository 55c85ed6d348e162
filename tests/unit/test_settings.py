"""Loading of settings: who wins, and what a mistake is told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from receiver.config import Settings
from receiver.settings import KEYS, InvalidSettingsError, environment_name, load_settings, nearest_key


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty working directory with a config folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    return tmp_path


def load(
    config_file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    **overrides: object,
) -> Settings:
    """Return the settings; ``__`` in a name of ``overrides`` stands for the dot."""
    flags = {name.replace("__", "."): value for name, value in overrides.items()}
    return load_settings(config_file=config_file, overrides=flags, environ=environ or {})


def problems(
    config_file: Path | None = None, environ: Mapping[str, str] | None = None, **overrides: object
) -> tuple[str, ...]:
    """Return what is wrong with settings."""
    with pytest.raises(InvalidSettingsError) as caught:
        load(config_file, environ, **overrides)
    return caught.value.problems


def test_without_any_source_the_defaults_are_in_effect() -> None:
    """An empty folder and an empty environment give the defaults."""
    assert load() == Settings()


def test_each_source_wins_over_the_one_before(folder: Path) -> None:
    """Defaults < config/receiver.yaml < config/local.yaml < environment < flags, key by key."""
    main, local = folder / "config/receiver.yaml", folder / "config/local.yaml"
    main.write_text("store: {threads: 11, memory_limit_bytes: 12}\nquery: {readers: 13, sql_rows: 14}\n")
    local.write_text("store: {memory_limit_bytes: 22}\nquery: {readers: 23, sql_rows: 24}\n")
    environ = {"OTLP_RECEIVER_QUERY__READERS": "33", "OTLP_RECEIVER_QUERY__SQL_ROWS": "34"}
    settings = load(None, environ, query__sql_rows=44)
    assert settings.store.threads == 11
    assert settings.store.memory_limit_bytes == 22
    assert settings.query.readers == 33
    assert settings.query.sql_rows == 44
    assert settings.query.timeout_s == Settings().query.timeout_s


def test_a_named_file_stands_in_for_the_default_one_and_brings_its_own_local_file(folder: Path) -> None:
    """--config replaces config/receiver.yaml; local.yaml is looked for beside the file that was named."""
    (folder / "config/receiver.yaml").write_text("data_dir: not-this\n")
    other = folder / "etc"
    other.mkdir()
    (other / "mine.yaml").write_text("data_dir: mine\nstop_timeout_s: 3\n")
    (other / "local.yaml").write_text("stop_timeout_s: 4\n")
    settings = load(other / "mine.yaml")
    assert (settings.data_dir, settings.stop_timeout_s) == ("mine", 4.0)


def test_a_named_file_must_exist(folder: Path) -> None:
    """A --config that is not there is an error and not a silent default."""
    assert problems(folder / "gone.yaml") == (
        f"the configuration file {folder / 'gone.yaml'} does not exist",
    )


def test_sections_and_files_may_be_empty(folder: Path) -> None:
    """A file whose keys are all commented out is the defaults."""
    (folder / "config/receiver.yaml").write_text("store:\n  # threads: 3\nquery: null\n")
    (folder / "config/local.yaml").write_text("# nothing\n")
    assert load() == Settings()


def test_a_flag_that_was_not_given_changes_nothing() -> None:
    """None is no value; the empty text is one."""
    settings = load(data_dir=None, listen__grpc_endpoint="")
    assert settings.data_dir == "data"
    assert not settings.listen.grpc_endpoint


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("store: {memory_limit: 5}", "unknown key store.memory_limit"),
        ("\n\nfoo: 1", "unknown key foo"),
        ("grpc_endpoint: localhost:1", "unknown key grpc_endpoint"),
        ("strore: {threads: 1}", "unknown key strore"),
    ],
)
def test_an_unknown_key_in_a_file_is_named_with_its_line(folder: Path, text: str, named: str) -> None:
    """The message has the key, the file and the line."""
    file = folder / "config/receiver.yaml"
    file.write_text(text)
    line = text.count("\n") + 1
    assert problems()[0].startswith(f"{named} (config/receiver.yaml:{line}); ")


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("store.memory_limit", "store.memory_limit_bytes"),
        ("grpc_endpoint", "listen.grpc_endpoint"),
        ("listen.http_endpont", "listen.http_endpoint"),
        ("data-dir", "data_dir"),
        ("strore", "store"),
        ("zzz", None),
    ],
)
def test_the_nearest_key_is_one_spelled_alike_or_of_that_name_elsewhere(
    wrong: str, meant: str | None
) -> None:
    """What stands in the wrong section, or is nearly right, finds its place."""
    assert nearest_key(wrong) == meant


def test_an_unknown_variable_is_named_with_the_nearest_variable() -> None:
    """In the environment the answer is a variable's name, not a key."""
    found = problems(environ={"OTLP_RECEIVER_STORE_THREADS": "2"})
    assert found == (
        "unknown key OTLP_RECEIVER_STORE_THREADS (the environment); did you mean OTLP_RECEIVER_STORE__THREADS?",
    )


def test_variables_that_are_no_settings_are_passed_over() -> None:
    """Foreign ones, the command line's own, and those of a Kubernetes service named otlp-receiver."""
    foreign = (
        "HOME OTEL_EXPORTER_OTLP_ENDPOINT OTLP_RECEIVER_ENDPOINT OTLP_RECEIVER_SERVICE_HOST OTLP_RECEIVER_SERVICE_PORT"
        " OTLP_RECEIVER_SERVICE_PORT_GRPC OTLP_RECEIVER_PORT OTLP_RECEIVER_PORT_4317_TCP"
        " OTLP_RECEIVER_PORT_4317_TCP_ADDR OTLP_RECEIVER_PORT_4317_TCP_PROTO"
    )
    assert load(environ=dict.fromkeys(foreign.split(), "x")) == Settings()


@pytest.mark.parametrize("key", KEYS)
def test_every_key_can_be_set_by_its_variable(key: str) -> None:
    """The variable's name of each key is understood, with the key's default as its text."""
    value = KEYS[key].get_default(call_default_factory=True, validated_data={})
    text = ",".join(value) if isinstance(value, tuple) else str(value)
    assert load(environ={environment_name(key): text}) == Settings()


@pytest.mark.parametrize("text", ["http://a, https://b ,", '["http://a", "https://b"]'])
def test_a_list_in_the_environment_is_json_or_words_between_commas(text: str) -> None:
    """Both forms give the same list."""
    settings = load(environ={"OTLP_RECEIVER_LISTEN__CORS_ORIGINS": text})
    assert settings.listen.cors_origins == ("http://a", "https://b")


def test_an_empty_list_in_the_environment_is_none_at_all() -> None:
    """That is how CORS is switched off."""
    assert load(environ={"OTLP_RECEIVER_LISTEN__CORS_ORIGINS": ""}).listen.cors_origins == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("store: {threads: many}", 'store.threads must be a valid integer, unable to parse string as an integer, not "many"'),
        ("store: {threads: 0}", "store.threads must be greater than 0, not 0"),
        ("store: {threads: yes}", "store.threads must be a number, not true"),
        ("limits: {wait_s: .inf}", "limits.wait_s must be a finite number, not Infinity"),
        ("log: {level: loud}", "log.level must be 'debug', 'info', 'warning' or 'error', not \"loud\""),
        ("data_dir: [a]", 'data_dir must be a valid string, not ["a"]'),
        ("listen: {cors_origins: [1]}", "listen.cors_origins[0] must be a valid string, not 1"),
        ("store: 5", "store must hold keys, not a single value"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_with_key_value_expectation_and_line(
    folder: Path, text: str, said: str
) -> None:
    """The message alone is enough to repair the file."""
    (folder / "config/receiver.yaml").write_text(text)
    assert problems() == (f"{said} (config/receiver.yaml:1)",)


def test_keys_that_do_not_agree_are_both_named_with_their_places() -> None:
    """Whoever reads the message knows which of two values to change, and where."""
    (message,) = problems(limits__waiting_bytes=1)
    assert message.startswith("limits.waiting_bytes must be at least limits.request_bytes (")
    assert "limits.request_bytes is 67108864 by default" in message
    assert "limits.waiting_bytes is 1 in the command line" in message


def test_all_mistakes_are_told_at_once(folder: Path) -> None:
    """Unknown keys of every source and wrong values come in one answer."""
    (folder / "config/receiver.yaml").write_text("foo: 1\nstore: {threads: -1}\n")
    found = problems(environ={"OTLP_RECEIVER_BAR": "1"}, data_dir=5)
    assert [each.split(" (")[0] for each in found] == [
        "unknown key foo",
        "unknown key OTLP_RECEIVER_BAR",
        "data_dir must be a valid string, not 5",
        "store.threads must be greater than 0, not -1",
    ]


def test_a_key_that_stands_twice_is_refused(folder: Path) -> None:
    """YAML would silently keep the last one."""
    (folder / "config/receiver.yaml").write_text("store:\n  threads: 1\n  threads: 2\n")
    assert problems() == ("store.threads stands twice (config/receiver.yaml:3 and line 2)",)


@pytest.mark.parametrize("content", [b"a: [", b"\xff\xfe\x00", b"- a\n", b"a: !!python/object:os.system {}"])
def test_a_file_that_is_no_configuration_is_named(folder: Path, content: bytes) -> None:
    """Broken YAML, other bytes, a list, an object of Python: refused by the file's name."""
    (folder / "config/receiver.yaml").write_bytes(content)
    assert all("config/receiver.yaml" in each for each in problems())


def test_an_unknown_flag_is_refused() -> None:
    """A caller's own mistake is found too."""
    assert problems(data_dri="x") == ("unknown key data_dri (the command line); did you mean data_dir?",)
