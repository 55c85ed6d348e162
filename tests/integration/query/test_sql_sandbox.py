"""A user's SQL reads telemetry and nothing else: every hostile statement is refused and changes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pyarrow as pa
import pytest

from receiver.errors import QueryError, QueryLimitError, QueryRefusedError
from receiver.questions import SqlAnswer
from receiver.store.duckdb_reader import DuckDbReader
from receiver.store.sql_sandbox import SqlLimits, lock_down
from tests.support.store_rows import StoreRows, trace

LIMITS = SqlLimits(rows=1000, bytes=1 << 20, timeout_s=20)

HOSTILE = [
    "",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE spans",
    "INSERT INTO scopes SELECT * FROM scopes",
    "UPDATE spans SET name = 'x'",
    "DELETE FROM spans",
    "TRUNCATE spans",
    "MERGE INTO scopes USING scopes s ON true WHEN MATCHED THEN DELETE",
    "WITH gone AS (DELETE FROM spans RETURNING *) SELECT * FROM gone",
    "WITH more AS (INSERT INTO scopes SELECT * FROM scopes RETURNING *) SELECT * FROM more",
    "SELECT * FROM (WITH gone AS (UPDATE spans SET name = 'x' RETURNING *) SELECT * FROM gone)",
    "EXPLAIN DELETE FROM spans",
    "EXPLAIN ANALYZE DELETE FROM spans",
    "EXPLAIN ANALYZE WITH gone AS (DELETE FROM spans RETURNING *) SELECT * FROM gone",
    "EXPLAIN ANALYZE COPY spans TO '{folder}/stolen.csv'",
    "CREATE TABLE mine AS SELECT 1",
    "CREATE TEMP TABLE mine AS SELECT 1",
    "CREATE MACRO mine() AS 1",
    "CREATE OR REPLACE VIEW spans AS SELECT 1",
    "DROP TABLE spans",
    "ALTER TABLE spans RENAME TO mine",
    "COPY spans TO '{folder}/stolen.csv'",
    "COPY (SELECT 1) TO '{folder}/stolen.csv'",
    "COPY spans FROM '{folder}/secret.csv'",
    "EXPORT DATABASE '{folder}/stolen'",
    "IMPORT DATABASE '{folder}/stolen'",
    "ATTACH '{folder}/other.duckdb' AS other",
    "ATTACH ':memory:' AS other",
    "DETACH telemetry",
    "USE memory",
    "INSTALL httpfs",
    "LOAD json",
    "SET memory_limit = '1TB'",
    "RESET memory_limit",
    "PRAGMA memory_limit = '1TB'",
    "PRAGMA database_list",
    "SET VARIABLE x = 1",
    "CALL pragma_version()",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "CHECKPOINT",
    "VACUUM",
    "ANALYZE",
    "PREPARE p AS SELECT 1",
    "SELECT $1",
    "SELECT * FROM read_csv('{folder}/secret.csv')",
    "SELECT * FROM READ_CSV('{folder}/secret.csv')",
    "SELECT * FROM system.main.read_csv('{folder}/secret.csv')",
    "SELECT * FROM \"read_text\"('{folder}/secret.csv')",
    "SELECT * FROM read_blob('{folder}/telemetry.duckdb')",
    "SELECT * FROM read_json('{folder}/secret.csv')",
    "SELECT * FROM read_parquet('{folder}/*')",
    "SELECT * FROM parquet_scan('{folder}/*')",
    "SELECT * FROM parquet_metadata('{folder}/*')",
    "SELECT * FROM read_duckdb('{folder}/telemetry.duckdb')",
    "SELECT * FROM sniff_csv('{folder}/secret.csv')",
    "SELECT * FROM glob('{folder}/*')",
    "FROM '{folder}/secret.csv'",
    'SELECT * FROM "{folder}/secret.csv"',
    "SELECT (SELECT count(*) FROM '{folder}/secret.csv')",
    "SELECT 1 WHERE EXISTS (FROM glob('{folder}/*'))",
    "SELECT * FROM 'https://example.org/x.parquet'",
    "DESCRIBE TABLE '{folder}/secret.csv'",
    "SUMMARIZE FROM '{folder}/secret.csv'",
    "SELECT * FROM query('DELETE FROM spans')",
    "SELECT * FROM query('SELECT * FROM glob(''/*'')')",
    "SELECT * FROM query_table(['spans'])",
    "FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "SELECT getenv('HOME')",
    "SELECT current_setting('temp_directory')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM duckdb_logs()",
    "SELECT * FROM duckdb_temporary_files()",
    "SELECT write_log('x')",
    "SELECT nextval('s')",
    "SELECT * FROM enable_logging()",
    "SELECT * FROM force_checkpoint()",
    "SELECT * FROM checkpoint()",
    "SELECT * FROM truncate_duckdb_logs()",
    "SELECT * FROM python_map_function((SELECT 1))",
    "SELECT * FROM arrow_scan(1, 2, 3)",
    "SELECT * FROM pandas_scan(140000000000)",
    "SELECT sleep_ms(100000)",
    "SELECT list_transform([1], lambda x: sleep_ms(100000))",
    "SELECT length(repeat('x', 3000000000))",
    "SELECT lpad('x', 1500000000, 'y')",
    "SELECT len(range(300000000))",
    "SELECT list_resize([1], 300000000, 1)",
    "SELECT format('{{:>1000000000}}', 'x')",
    "SELECT replace('xxxx', 'x', '" + "x" * 5000 + "')",
    "SELECT replace(name, 'x', name) FROM spans",
    "SELECT '" + "x" * 30_000 + "'",
    "SELECT " + "(" * 5000 + "1" + ")" * 5000,
    "SELECT 1\0; DROP TABLE spans",
    "not sql at all",
]


MORE_HOSTILE = [
    "SELECT * FROM read_csv_auto('{folder}/secret.csv')",
    "SELECT * FROM read_ndjson('{folder}/secret.csv')",
    "SELECT * FROM sqlite_scan('{folder}/secret.csv', 'a')",
    "SELECT * FROM postgres_scan('host=localhost', 'a', 'b')",
    "SELECT * FROM iceberg_scan('{folder}')",
    "SELECT * FROM which_secret('s3://x', 's3')",
    "SELECT * FROM duckdb_extensions()",
    "SELECT * FROM duckdb_variables()",
    "SELECT * FROM duckdb_external_file_cache()",
    "SELECT * FROM pragma_user_agent()",
    "SELECT * FROM read_parquet('http://127.0.0.1:1/x')",
    "SELECT * FROM 's3://bucket/x.csv'",
    "CREATE SECRET s (TYPE S3)",
    "CREATE MACRO mine() AS TABLE SELECT * FROM spans",
    "CREATE SEQUENCE mine",
    "CREATE TYPE mine AS ENUM ('a')",
    "COMMENT ON TABLE spans IS 'x'",
    "COPY FROM DATABASE telemetry TO memory",
    "EXECUTE p",
    "DEALLOCATE p",
    "FORCE INSTALL json",
    "UPDATE EXTENSIONS",
    "SET GLOBAL threads = 99",
    "SELECT list_transform(['HOME'], lambda x: getenv(x))",
    "SELECT list_transform(['x'], lambda x: (SELECT content FROM read_text(x)))",
    "SELECT * FROM spans, LATERAL (SELECT * FROM read_text(name))",
    "SELECT list_transform(range(1000000000), lambda x: x)",
    "SELECT unnest(range(10000000000))",
    "SELECT levenshtein(name, name) FROM spans",
    "SELECT damerau_levenshtein(name, name) FROM spans",
    "SELECT editdist3(name, name) FROM spans",
    "SELECT map_concat(MAP {'a': 1}, MAP {'a': 1})",
    "SELECT parse_path(name) FROM spans",
    "SELECT list_intersect([1], [1])",
    "SELECT json_merge_patch('{}', '{}')",
    "SELECT name LIKE name || '%' FROM spans",
    "SELECT name NOT ILIKE lower(name) ESCAPE '!' FROM spans",
    "SELECT name GLOB name FROM spans",
]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StoreRows]:
    """Give a store that is locked down as in production, with a span and a secret beside it."""
    rows = StoreRows(tmp_path / "telemetry.duckdb")
    rows.scope()
    rows.span(trace(1), 1, resource_id=rows.resource("shop"), name="GET /cart")
    rows.connection.execute(
        "SET memory_limit = '256MB'; SET threads = 2; SET max_temp_directory_size = '1GB'"
    )
    lock_down(rows.connection, temp_directory=tmp_path / "tmp")
    (tmp_path / "secret.csv").write_text("a,b\n1,secret\n")
    yield rows
    rows.close()


@pytest.fixture
def asked(store: StoreRows) -> Iterator[DuckDbReader]:
    """Give a reader with small limits."""
    opened = DuckDbReader(store.cursor, readers=2, timeout_s=30, sql_limits=LIMITS)
    yield opened
    opened.close()


def state(store: StoreRows, folder: Path) -> tuple[Any, ...]:
    """Return a picture of everything that a hostile statement could change."""
    tables = store.connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()
    counts = [
        store.connection.execute(f"SELECT count(*), hash(list(t)) FROM {table} t").fetchall()
        for (table,) in tables
    ]
    settings = store.connection.execute(
        "SELECT name, value FROM duckdb_settings() WHERE name NOT LIKE '%memory%used%' ORDER BY 1"
    ).fetchall()
    attached = store.connection.execute("SELECT database_name FROM duckdb_databases() ORDER BY 1").fetchall()
    views = store.connection.execute("SELECT count(*) FROM duckdb_views()").fetchall()
    files = sorted(str(path) for path in folder.rglob("*") if "tmp" not in path.parts[-2:])
    return tables, counts, hashlib.sha256(repr(settings).encode()).digest(), attached, views, files


@pytest.mark.parametrize("statement", HOSTILE, ids=lambda text: text[:60] or "empty")
async def test_a_hostile_statement_is_refused_and_changes_nothing(
    store: StoreRows, asked: DuckDbReader, tmp_path: Path, statement: str
) -> None:
    """The refusal comes with a hint and the store is as it was, for the next question too."""
    before = state(store, tmp_path)
    with pytest.raises(QueryRefusedError) as refused:
        await asked.sql(statement.replace("{folder}", str(tmp_path)), rows=10)
    assert refused.value.hint
    assert state(store, tmp_path) == before
    assert (await asked.sql("SELECT count(*) FROM spans", rows=10)).rows == [[1]]


async def test_every_further_way_is_refused_and_changes_nothing(
    store: StoreRows, asked: DuckDbReader, tmp_path: Path
) -> None:
    """Files by other names, the network, secrets, extensions, macros, and functions that cannot be stopped."""
    before = state(store, tmp_path)
    for statement in MORE_HOSTILE:
        with pytest.raises(QueryRefusedError) as refused:
            await asked.sql(statement.replace("{folder}", str(tmp_path)), rows=10)
        assert refused.value.hint
    assert state(store, tmp_path) == before
    assert (await asked.sql("SELECT count(*) FROM spans", rows=10)).rows == [[1]]


HARMLESS_BEHIND_THE_GATE = [
    "SELECT * FROM read_csv('{folder}/secret.csv')",
    "SELECT * FROM glob('{folder}/*')",
    "COPY spans TO '{folder}/stolen.csv'",
    "ATTACH '{folder}/other.duckdb' AS other",
    "SET memory_limit = '1TB'",
    "INSTALL httpfs",
    "DELETE FROM spans",
    "INSERT INTO scopes SELECT * FROM scopes",
    "WITH gone AS (DELETE FROM spans RETURNING *) SELECT * FROM gone",
]


@pytest.mark.parametrize("statement", HARMLESS_BEHIND_THE_GATE)
def test_the_lock_and_the_transaction_hold_without_the_gate(
    store: StoreRows, tmp_path: Path, statement: str
) -> None:
    """Were the parser's check fooled, DuckDB itself would still refuse."""
    cursor = store.cursor()
    cursor.execute("BEGIN TRANSACTION READ ONLY")
    with pytest.raises(duckdb.Error):
        cursor.execute(statement.replace("{folder}", str(tmp_path))).fetchall()
    cursor.close()


def test_the_writer_works_on_a_locked_instance(tmp_path: Path) -> None:
    """Registered Arrow tables, the write-ahead log, checkpoints and spilling need no outside access."""
    rows = StoreRows(tmp_path / "telemetry.duckdb")
    rows.connection.execute("SET memory_limit = '64MB'; SET threads = 1")
    lock_down(rows.connection, temp_directory=tmp_path / "spilled")
    writer = rows.cursor()
    writer.register("arriving", pa.table({"n": list(range(1000))}))
    writer.execute("CREATE TABLE numbers AS SELECT n FROM arriving")
    writer.unregister("arriving")
    writer.execute("CHECKPOINT")
    assert not (tmp_path / "spilled").exists()
    writer.execute(
        "CREATE TABLE sorted AS SELECT md5(i::VARCHAR) AS text FROM range(1000000) t(i) ORDER BY text"
    )
    assert (tmp_path / "spilled").exists()
    writer.close()
    rows.close()
    with duckdb.connect(str(tmp_path / "telemetry.duckdb"), read_only=True) as again:
        assert again.execute(
            "SELECT (FROM (SELECT count(*) FROM numbers)), count(*) FROM sorted"
        ).fetchall() == [(1000, 1_000_000)]


GOOD = [
    ("SELECT 1 AS one", ["one"], [[1]]),
    ("select 1 a, 2 a;", ["a", "a"], [[1, 2]]),
    ("SELECT ';' -- a comment ; \n;", ["';'"], [[";"]]),
    ("SELECT 'é – 日本' AS text;", ["text"], [["é – 日本"]]),
    ("WITH t AS (SELECT 3 AS n) FROM t", ["n"], [[3]]),
    ("WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 3) SELECT sum(n) AS s FROM t", ["s"], [[6]]),
    ("SELECT name FROM spans", ["name"], [["GET /cart"]]),
    ("SELECT count(*) AS n FROM range(5)", ["n"], [[5]]),
    ("SELECT n FROM (VALUES (1), (2)) t(n) UNION ALL SELECT 3 ORDER BY n DESC", ["n"], [[3], [2], [1]]),
    ("SELECT regexp_replace('a1b2', '[0-9]', '#', 'g') AS r", ["r"], [["a#b#"]]),
    ("SELECT key FROM json_each('{\"k\": 1}')", ["key"], [["k"]]),
    ("SELECT 170141183460469231731687303715884105727::HUGEINT AS h", ["h"], [[2**127 - 1]]),
    ("SELECT 18446744073709551615::UBIGINT AS u", ["u"], [[2**64 - 1]]),
    ("SELECT 'ab'::BLOB AS b", ["b"], [["YWI="]]),
    ("SELECT 'nan'::DOUBLE AS a, '-inf'::DOUBLE AS b, 0.5::DOUBLE AS c", ["a", "b", "c"], [["NaN", "-Infinity", 0.5]]),
    ("SELECT 1.50::DECIMAL(9,2) AS d", ["d"], [["1.50"]]),
    ("SELECT UUID '0000000a-0000-0000-0000-000000000001' AS u", ["u"], [["0000000a-0000-0000-0000-000000000001"]]),
    ("SELECT make_timestamp_ns(1790000000000000001) AS t", ["t"], [["2026-09-21T14:13:20.000000001Z"]]),
    ("SELECT TIMESTAMPTZ '2026-01-01 02:00:00+02' AS t", ["t"], [["2026-01-01T00:00:00Z"]]),
    ("SELECT DATE '2026-01-01' AS d, INTERVAL 1 DAY AS i, 'infinity'::TIMESTAMP AS f", ["d", "i", "f"], [["2026-01-01", "1 day", "infinity"]]),
    ("SELECT [1, 2] AS l, {'a': [1.5::DOUBLE]} AS s, MAP {'k': 1} AS m, NULL AS n", ["l", "s", "m", "n"], [[[1, 2], {"a": [1.5]}, {"k": 1}, None]]),
    ("SELECT [TIMESTAMP '2026-01-01'] AS l", ["l"], [[["2026-01-01 00:00:00"]]]),
    ("SELECT MAP {1: 'x'} AS m", ["m"], [[{"1": "x"}]]),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "columns", "rows"), GOOD, ids=lambda value: str(value)[:40])
async def test_a_good_statement_is_answered_in_json(
    asked: DuckDbReader, statement: str, columns: list[str], rows: list[list[Any]]
) -> None:
    """Every type has a value that JSON can say."""
    answer = await asked.sql(statement, rows=10)
    assert answer == SqlAnswer(columns, rows, truncated=False)


@pytest.mark.parametrize("statement", ["SHOW TABLES", "DESCRIBE spans", "SUMMARIZE scopes", "EXPLAIN SELECT * FROM spans", "EXPLAIN ANALYZE SELECT 1", "EXPLAIN (FORMAT JSON) SELECT 1", "-- why\nSELECT * FROM spans", "SELECT * FROM spans JOIN resources USING (resource_id)", "PIVOT_LONGER"])  # fmt: skip
async def test_questions_about_the_schema_and_plans_are_answered(asked: DuckDbReader, statement: str) -> None:
    """SHOW, DESCRIBE, SUMMARIZE and EXPLAIN of a SELECT only read."""
    if statement == "PIVOT_LONGER":
        statement = "FROM (PIVOT (SELECT name, kind FROM spans) ON kind IN (1, 2) USING count(*))"
    answer = await asked.sql(statement, rows=100)
    assert answer.rows
    orjson.dumps(answer.rows)


async def test_rows_are_cut_at_the_limit(asked: DuckDbReader) -> None:
    """The smaller of the asked and the configured limit holds; exactly as many rows as the limit are not cut."""
    assert (await asked.sql("FROM range(10000000000)", rows=3)).rows == [[0], [1], [2]]
    assert (await asked.sql("FROM range(3)", rows=3)).truncated is False
    whole = await asked.sql("FROM range(10000000000)", rows=10**9)
    assert (len(whole.rows), whole.truncated) == (LIMITS.rows, True)


async def test_bytes_are_cut_at_the_limit(asked: DuckDbReader) -> None:
    """Wide rows end the answer before their number does."""
    wide = "x" * 10_000
    answer = await asked.sql(f"SELECT '{wide}' AS wide FROM range(1000)", rows=1000)
    assert answer.truncated
    assert 90 < len(answer.rows) <= 105


async def test_a_statement_without_end_is_stopped_and_the_reader_is_free_again(store: StoreRows) -> None:
    """The time limit interrupts the database, and both readers can be used afterwards."""
    reader = DuckDbReader(store.cursor, readers=1, timeout_s=30, sql_limits=SqlLimits(10, 1 << 20, 0.3))
    endless = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE (a.range * b.range) % 7 = 9"
    for _ in range(2):
        with pytest.raises(QueryLimitError, match=r"0\.3 s"):
            await reader.sql(endless, rows=10)
    assert (await reader.services())[0]["service"] == "shop"
    reader.close()


async def test_more_memory_than_the_store_may_use_is_a_limit(asked: DuckDbReader) -> None:
    """DuckDB's own limit ends one question, not the process."""
    with pytest.raises(QueryLimitError, match="memory"):
        await asked.sql("SELECT len(list(range)) FROM range(200000000)", rows=1)
    assert (await asked.sql("SELECT 1", rows=1)).rows == [[1]]


async def test_growth_that_the_memory_limit_does_not_count_is_stopped(store: StoreRows) -> None:
    """Text doubled again and again is stopped by a look at the process."""
    limits = SqlLimits(10, 1 << 20, 60, growth_bytes=64 << 20)
    reader = DuckDbReader(store.cursor, readers=1, timeout_s=60, sql_limits=limits)
    doubled = "x" * 1000
    query = f"SELECT '{doubled}' || i::VARCHAR AS t FROM range(100000) r(i)"
    for _ in range(9):
        query = f"SELECT t || t AS t FROM ({query})"
    with pytest.raises(QueryLimitError, match="grow by more than 64 MiB"):
        await reader.sql(f"SELECT max(length(t || reverse(t))) FROM ({query})", rows=1)
    reader.close()


@pytest.mark.parametrize(
    "statement",
    [
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
        "WITH RECURSIVE t(n) USING KEY (n) AS (SELECT 1 UNION SELECT n + 1 FROM t) SELECT count(*) FROM t",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n FROM t, range(1000)) SELECT count(*) FROM t",
        "SELECT count(*) FROM generate_series(1, 10000000000000)",
        "SELECT list(range) FROM range(10000000000)",
        "SELECT string_agg(range::VARCHAR, '') FROM range(10000000000)",
        "SELECT md5(range::VARCHAR) AS m FROM range(1000000000) ORDER BY m",
        "SELECT json_group_array(range) FROM range(10000000000)",
    ],
)
async def test_a_question_that_would_take_everything_ends_within_its_limits(
    store: StoreRows, statement: str
) -> None:
    """Time, memory, or room on disk: one of them ends it, and the next question is answered."""
    limits = SqlLimits(10, 1 << 20, 0.5, growth_bytes=256 << 20)
    reader = DuckDbReader(store.cursor, readers=2, timeout_s=30, sql_limits=limits)
    with pytest.raises(QueryLimitError):
        await reader.sql(statement, rows=10)
    assert (await reader.sql("SELECT 1", rows=1)).rows == [[1]]
    reader.close()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT s LIKE '%a_%a%a_%a%a%a_%a%a%b' FROM (SELECT string_agg('a', '') AS s FROM range(3000))",
        "SELECT regexp_matches(s, '(a*)*b') FROM (SELECT string_agg('a', '') AS s FROM range(100000))",
        "SELECT regexp_full_match(s, '(a+a+)+b') FROM (SELECT string_agg('a', '') AS s FROM range(100000))",
        "SELECT contains(s, s || 'b') FROM (SELECT string_agg('a', '') AS s FROM range(1000000))",
    ],
)
async def test_no_pattern_is_a_catastrophe(asked: DuckDbReader, statement: str) -> None:
    """What makes other engines try every way through a text is answered at once."""
    assert (await asked.sql(statement, rows=1)).rows == [[False]]


@pytest.mark.parametrize("statement", ["SELECT nothing FROM spans", "SELECT * FROM nowhere", "SELECT 'x'::INTEGER", "SELECT nosuch(1)"])  # fmt: skip
async def test_a_mistake_is_said_in_the_databases_words(asked: DuckDbReader, statement: str) -> None:
    """The caller can put it right."""
    with pytest.raises(QueryError, match="failed") as error:
        await asked.sql(statement, rows=1)
    assert not isinstance(error.value, QueryRefusedError)
