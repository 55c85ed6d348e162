"""What a user's SQL may be made of, decided on DuckDB's own syntax tree of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import duckdb
import orjson

from receiver.errors import QueryRefusedError

MOST_CHARACTERS = 20_000

_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_TABLE_FUNCTIONS = frozenset(
    {
        "range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree", "summary",
        "histogram", "histogram_values", "duckdb_columns", "duckdb_constraints", "duckdb_databases",
        "duckdb_functions", "duckdb_indexes", "duckdb_keywords", "duckdb_memory", "duckdb_schemas",
        "duckdb_tables", "duckdb_types", "duckdb_views", "pragma_database_size", "pragma_show",
        "pragma_storage_info", "pragma_table_info", "pragma_version", "pg_timezone_names",
    }
)  # fmt: skip
# Writing, waiting, or looking at the process instead of at the telemetry.
_EFFECTS = frozenset(
    {
        "nextval", "currval", "setval", "setseed", "write_log", "sleep_ms", "getenv", "getvariable",
        "current_setting", "query", "query_table", "json_execute_serialized_sql", "error",
    }
)  # fmt: skip
# A value of any size out of two small ones: computed in one piece, uncounted by memory_limit, uninterruptible.
_INFLATING = frozenset(
    {
        "repeat", "lpad", "rpad", "list_resize", "array_resize", "format", "printf", "range", "generate_series",
        "bar", "bitstring", "list_pad", "array_pad",
    }
)  # fmt: skip
# Steps that grow with the product of two lengths, in one call that nothing interrupts and no limit counts.
_QUADRATIC = frozenset(
    {
        "levenshtein", "editdist3", "damerau_levenshtein", "map_concat", "parse_path", "parse_dirname",
        "parse_dirpath", "parse_filename", "list_intersect", "array_intersect", "json_merge_patch",
    }
)  # fmt: skip
# LIKE and its kin try every place for every part of a pattern: quick enough only for one that is written out.
_MATCHING = frozenset(
    {
        "~~", "!~~", "~~*", "!~~*", "~~~", "like_escape", "not_like_escape", "ilike_escape", "not_ilike_escape",
    }
)  # fmt: skip
_REPLACING = frozenset({"replace", "regexp_replace"})
_LONGEST_REPLACEMENT = 16
_TABLE_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_EXPLAIN = re.compile(r"^\s*EXPLAIN\b(\s+ANALYZE\b)?(\s*\([\sA-Za-z,]*\))?", re.IGNORECASE)
_HINT = "send one SELECT (WITH … SELECT, FROM …, SHOW and DESCRIBE are fine), or an EXPLAIN of one"


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that may run."""

    text: str
    """Without the semicolon at its end."""
    explains: bool


def checked(query: str) -> Statement:
    """Return the statement if it is one that may run.

    Raises:
        QueryRefusedError: It is not; the message says which part.

    Threads: any; the parser is an empty in-memory database.
    """
    if len(query) > MOST_CHARACTERS:
        raise QueryRefusedError(f"the SQL is longer than {MOST_CHARACTERS} characters", hint="send less")
    if "\0" in query:
        raise QueryRefusedError("the SQL holds a zero byte", hint=_HINT)
    with duckdb.connect(":memory:") as parser:
        text, kind = _only_statement(parser, query)
        if kind is duckdb.StatementType.EXPLAIN:
            prefix = _EXPLAIN.match(text)
            if prefix is None:
                raise QueryRefusedError("this form of EXPLAIN is not served", hint="write EXPLAIN SELECT …")
            inner, inner_kind = _only_statement(parser, text[prefix.end() :])
        else:
            inner, inner_kind = text, kind
        if inner_kind is not duckdb.StatementType.SELECT:
            raise QueryRefusedError(f"{inner_kind.name} is not allowed", hint=_HINT)
        _check_tree(_tree(parser, inner))
    return Statement(text=text, explains=kind is duckdb.StatementType.EXPLAIN)


def _only_statement(parser: duckdb.DuckDBPyConnection, query: str) -> tuple[str, duckdb.StatementType]:
    try:
        statements = parser.extract_statements(query)
        kinds = [statement.type for statement in statements]
    except duckdb.Error as error:
        raise QueryRefusedError(f"the SQL cannot be parsed: {error}", hint=_HINT) from error
    except ValueError as error:  # a kind of statement that DuckDB's Python has no name for: UPDATE EXTENSIONS
        raise QueryRefusedError("this kind of statement is not allowed", hint=_HINT) from error
    if len(statements) != 1:
        raise QueryRefusedError(f"{len(statements)} statements were sent", hint=_HINT)
    if statements[0].named_parameters:
        raise QueryRefusedError("parameters cannot be given", hint="write the values into the SQL")
    return _without_semicolon(statements[0].query), kinds[0]


def _without_semicolon(text: str) -> str:
    encoded = text.encode()  # DuckDB counts bytes
    tokens = [offset for offset, kind in duckdb.tokenize(text) if kind is not duckdb.token_type.comment]
    while tokens and encoded[tokens[-1] :].startswith(b";"):
        encoded = encoded[: tokens.pop()]
    return encoded.decode()


def _tree(parser: duckdb.DuckDBPyConnection, query: str) -> Any:
    try:
        row = parser.execute("SELECT json_serialize_sql(?)", [query]).fetchone()
        tree = orjson.loads(row[0]) if row else {}
    except (duckdb.Error, orjson.JSONDecodeError) as error:
        raise QueryRefusedError("the SQL is nested too deep to be checked", hint="flatten it") from error
    if tree.get("error") is not False or len(tree["statements"]) != 1:
        raise QueryRefusedError(f"the SQL cannot be checked: {tree.get('error_message')}", hint=_HINT)
    return tree


def _check_tree(tree: Any) -> None:
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting.extend(part)
        elif isinstance(part, dict):
            _check_part(part)
            if part.get("type") == "TABLE_FUNCTION":
                call = part["function"]
                _check_table_function(str(call["function_name"]).lower())
                # the call itself is allowed now; only what stands inside is looked at
                waiting.extend(value for key, value in call.items() if key != "function_name")
                waiting.extend(value for key, value in part.items() if key != "function")
            else:
                waiting.extend(part.values())


def _check_part(part: dict[str, Any]) -> None:
    kind = part.get("type")
    if isinstance(kind, str):
        if kind.endswith("_NODE") and kind not in _NODES:
            raise QueryRefusedError(f"{kind.removesuffix('_NODE').lower()} is not allowed", hint=_HINT)
        if kind == "BASE_TABLE" and not _TABLE_NAME.match(str(part.get("table_name"))):
            raise QueryRefusedError(
                f"{part.get('table_name')!r} is not a table",
                hint="files cannot be read; SHOW TABLES lists the tables",
            )
    if isinstance(kind, str) and "function_name" in part:
        name = str(part["function_name"]).lower()
        if name in _EFFECTS or name.startswith(("read_", "pragma_")):
            raise QueryRefusedError(f"the function {name} is not allowed", hint="ask for telemetry only")
        if name in _INFLATING:
            raise QueryRefusedError(
                f"the function {name} is not allowed: it can make one value of any size",
                hint="range and generate_series may stand in FROM",
            )
        if name in _QUADRATIC:
            raise QueryRefusedError(
                f"the function {name} is not allowed: on long values it cannot be stopped",
                hint="jaro_winkler_similarity compares texts, list_has_any lists",
            )
        if name in _MATCHING and _literal(part, 1) is None:
            raise QueryRefusedError(
                "the pattern of LIKE and GLOB must be a constant", hint="contains(text, part) takes any text"
            )
        if name in _REPLACING and not _replaces_shortly(part):
            raise QueryRefusedError(
                f"the third argument of {name} must be a text of at most {_LONGEST_REPLACEMENT} characters",
                hint="write it as a constant",
            )


def _replaces_shortly(call: dict[str, Any]) -> bool:
    if len(call.get("arguments") or []) < 3:
        return True  # DuckDB finds the mistake
    text = _literal(call, 2)
    return text is not None and len(text) <= _LONGEST_REPLACEMENT


def _literal(call: dict[str, Any], place: int) -> str | None:
    """Return the text of an argument that is written out; None for one that is computed, or is not there."""
    arguments = call.get("arguments") or []
    literal = arguments[place].get("expression", {}).get("literal") if len(arguments) > place else None
    return str(literal.get("text")) if isinstance(literal, dict) else None


def _check_table_function(name: str) -> None:
    if name not in _TABLE_FUNCTIONS:
        raise QueryRefusedError(
            f"the table function {name} is not allowed", hint="files and settings cannot be read"
        )
