"""Every setting, once: its type, default, unit and consequence. ``config/receiver.yaml`` repeats them for users.

Precedence: defaults < ``config/receiver.yaml`` (or ``--config``) < ``config/local.yaml`` < environment
(``OTLP_RECEIVER_STORE__MEMORY_LIMIT_BYTES=…``) < flags. Read once, at start; frozen afterwards.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

MIB = 1 << 20
PRICES_FILE = Path("config/prices.yaml")
"""The user's price table, where ``query.prices_path`` names none."""

NotEmpty = Annotated[str, Field(min_length=1)]
PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Bytes = Annotated[int, Field(gt=0)]


class Section(BaseModel):
    """A part of the configuration: frozen, and unknown keys are refused."""

    # Built when it is first used: a start uses the sections only inside Settings, and would build each of them twice.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class ListenConfig(Section):
    """Where the three listeners bind. ``localhost`` is 127.0.0.1 and, where present, ::1."""

    grpc_endpoint: str = Field("localhost:4317", description="OTLP/gRPC; empty switches it off.")
    http_endpoint: str = Field("localhost:4318", description="OTLP/HTTP; empty switches it off.")
    query_endpoint: str = Field("localhost:8888", description="HTTP API, /metrics, /healthz, /readyz.")
    allow_remote: bool = Field(
        False,
        description="Bind addresses other than loopback although a listener asks for neither a token nor a"
        " client's certificate.",
    )
    cors_origins: tuple[str, ...] = Field(
        ("http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"),
        description="Origins whose pages may send OTLP/HTTP; * stands for any port; empty: none.",
    )
    names: tuple[str, ...] = Field(
        (),
        description="Names other than loopback under which the query listener is asked (its Host header), such"
        " as telemetry.example or telemetry.example:443 behind a proxy.",
    )


ListenerName = Literal["grpc", "http", "query"]


class TlsConfig(Section):
    """Certificates of the listeners; files that change are read again, connections that are open stay."""

    cert_path: str = Field("", description="PEM file of the certificate, its chain after it; empty: no TLS.")
    key_path: str = Field("", description="PEM file of the private key, without a passphrase.")
    client_ca_path: str = Field(
        "", description="PEM file of authorities; clients must show a certificate that one of them signed."
    )
    listeners: tuple[ListenerName, ...] = Field(
        ("grpc", "http", "query"), description="The listeners that speak TLS when cert_path is set."
    )
    client_ca_listeners: tuple[ListenerName, ...] = Field(
        ("grpc", "http", "query"), description="Those of them that ask for a client's certificate."
    )
    reload_interval_s: PositiveFloat = Field(
        10.0, description="Seconds between two looks at the files for a new certificate."
    )

    @model_validator(mode="after")
    def _files_belong_together(self) -> TlsConfig:
        if bool(self.cert_path) != bool(self.key_path):
            msg = "tls.cert_path and tls.key_path must be given together"
            raise ValueError(msg)
        if self.client_ca_path and not self.cert_path:
            msg = "tls.client_ca_path needs tls.cert_path"
            raise ValueError(msg)
        return self

    def speaks(self, listener: ListenerName) -> bool:
        """Return True if the listener speaks TLS."""
        return bool(self.cert_path) and listener in self.listeners

    def asks_clients(self, listener: ListenerName) -> bool:
        """Return True if the listener demands a certificate of its clients."""
        return self.speaks(listener) and bool(self.client_ca_path) and listener in self.client_ca_listeners


class AuthConfig(Section):
    """Bearer tokens; ``otlp-receiver token`` makes and lists them."""

    ingest: bool = Field(False, description="OTLP requests need a token that was made for ingest.")
    query: bool = Field(
        False, description="Questions, /metrics and /mcp need a token that was made for query."
    )
    tokens_path: str = Field(
        "", description="File of the tokens' names and hashes; empty means <data_dir>/tokens."
    )


class RedactRule(Section):
    """What one rule does to which values: docs/redaction.md."""

    action: Literal["drop", "hash", "mask"] = Field(
        description="drop the attribute; hash: a keyed hash in its place; mask: *** for what fits."
    )
    keys: tuple[NotEmpty, ...] = Field(
        (),
        description="Attribute keys; * stands for any characters; the case of ASCII letters does not matter.",
    )
    values: tuple[NotEmpty, ...] = Field(
        (),
        description="Regular expressions (RE2) that are searched for in strings; with keys: in their values.",
    )

    @model_validator(mode="after")
    def _names_something(self) -> RedactRule:
        if not self.keys and not self.values:
            msg = "a rule needs keys or values, or both"
            raise ValueError(msg)
        return self


class RedactConfig(Section):
    """What is taken out of telemetry before anything of it is written to disk."""

    rules: tuple[RedactRule, ...] = Field(
        (),
        description="Each with action (drop, hash or mask), keys, values; applied in order; empty: nothing is changed.",
    )
    hash_key_path: str = Field(
        "",
        description="File with the secret of the action hash; empty means <data_dir>/redaction.key, made once.",
    )


class LimitsConfig(Section):
    """What one request, and all waiting requests together, may cost."""

    request_bytes: Bytes = Field(
        64 * MIB, description="One request, on the wire and after decompression (rules G1, H5)."
    )
    request_messages: PositiveInt = Field(
        1_000_000,
        description="Messages in one request: records, attributes, events, links, exemplars counted.",
    )
    json_objects: PositiveInt = Field(
        250_000, description="Objects ({) in one OTLP/JSON body: JSON costs more memory per byte."
    )
    response_bytes: Bytes = Field(4 * MIB, description="One answer (rule C11).")
    waiting_bytes: Bytes = Field(
        192 * MIB, description="Bodies of all requests that are not on disk yet, together."
    )
    wait_s: PositiveFloat = Field(
        4.0, description="How long a request is held for room before the client is told to retry."
    )
    retry_after_s: PositiveFloat = Field(
        1.9, description="The delay that a refused client is asked to keep (RetryInfo)."
    )
    body_timeout_s: PositiveFloat = Field(
        20.0, description="How long a client may be silent, or take, while it sends a body over HTTP."
    )
    http_connections: PositiveInt = Field(
        2048,
        description="Open connections per HTTP listener; above it idle ones make room, else requests get 503.",
    )


class IntakeConfig(Section):
    """How waiting requests are grouped into one decode and one commit."""

    group_bytes: Bytes = Field(4 * MIB, description="Most bytes of bodies in one commit group.")
    group_requests: PositiveInt = Field(1024, description="Most requests in one commit group.")
    compiled: bool = Field(
        True, description="False: requests are decoded in Python even where the compiled decoder was built."
    )


class SpoolConfig(Section):
    """The durable queue on disk, in <data_dir>/spool.db."""

    max_bytes: Bytes = Field(
        8192 * MIB, description="Payload bytes on disk; above it clients are told to retry."
    )
    min_free_bytes: Annotated[int, Field(ge=0)] = Field(
        256 * MIB,
        description="Free bytes that requests leave on the disk, so that the store can complete checkpoints and"
        " deletions can make room; below it clients are told to retry; 0 uses the disk up.",
    )
    duplicate_window_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        600.0, description="How long identical bytes count as a retry; 0 switches it off."
    )
    duplicate_memory_bytes: Bytes = Field(
        64 * MIB, description="Memory for the keys of recent requests; the oldest go first."
    )


class LoaderConfig(Section):
    """How spooled requests become store transactions."""

    batch_rows: PositiveInt = Field(
        215_040,
        description="Rows of one transaction under load: 1.75 DuckDB row groups, docs/adr/0002 says why.",
    )
    batch_wait_s: PositiveFloat = Field(
        0.25, description="Longest wait for a transaction to fill, in seconds."
    )
    memory_bytes: Bytes = Field(
        96 * MIB, description="Requests kept in memory for the loader; above it, it reads the spool."
    )


class StoreConfig(Section):
    """The DuckDB file and what it may use."""

    path: str = Field("", description="The database file; empty means <data_dir>/telemetry.duckdb.")
    memory_limit_bytes: Bytes = Field(160 * MIB, description="DuckDB's memory_limit.")
    temp_limit_bytes: Bytes = Field(
        10_240 * MIB, description="DuckDB's max_temp_directory_size, in <data_dir>/tmp."
    )
    threads: PositiveInt = Field(
        1,
        description="DuckDB's threads. More make questions over much data faster, and ingest on few cores slower.",
    )
    checkpoint_interval_s: PositiveFloat = Field(
        10.0, description="Seconds between checkpoints while there is something new."
    )
    checkpoint_bytes: Bytes = Field(
        512 * MIB, description="Payload bytes loaded since the last checkpoint that force the next."
    )
    open_retry_s: PositiveFloat = Field(
        30.0, description="How long a starting server retries a store that another process holds."
    )


class RetentionConfig(Section):
    """What is deleted, off the ingest path; 0 keeps everything."""

    max_age_hours: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        0.0, description="Records older than this are deleted."
    )
    max_size_bytes: Annotated[int, Field(ge=0)] = Field(
        0, description="Used bytes of the database file above which the oldest records are deleted."
    )
    interval_s: PositiveFloat = Field(300.0, description="Seconds between two looks.")


class EmbedConfig(Section):
    """The embedding model and its worker processes (extra ``embed``)."""

    enabled: bool = Field(True, description="False: no vectors are made; search matches text.")
    on_demand: bool = Field(
        False, description="True: texts wait for a flush that asks for vectors (tests, small machines)."
    )
    model: str = Field("all-MiniLM-L6-v2", description="Name of the sentence-transformers model.")
    model_path: str = Field("", description="A folder with the model; empty: found by its name.")
    runtime: Literal["auto", "onnx", "sentence-transformers"] = Field(
        "auto",
        description="What runs the model. auto: onnxruntime on the CPU where it can run the model, else"
        " sentence-transformers with torch.",
    )
    precision: Literal["auto", "full"] = Field(
        "auto",
        description="auto: with onnxruntime in 8 bits where the processor has instructions for it; full: 32 bits."
        " A change means a new vector for every text.",
    )
    device: str = Field(
        "cpu", description="torch device: cpu, cuda, cuda:1, mps; another than cpu needs torch."
    )
    workers: PositiveInt = Field(1, description="Worker processes.")
    threads: PositiveInt = Field(1, description="Threads of the model in each worker.")
    batch_texts: PositiveInt = Field(32, description="Texts per call of the model.")
    queue_texts: PositiveInt = Field(1024, description="Texts that wait in memory for a worker.")
    chunk_tokens: PositiveInt = Field(200, description="Tokens of one chunk of a long text.")
    max_chunks: PositiveInt = Field(8, description="Chunks of one text; the rest is cut and marked.")


class QueryConfig(Section):
    """Limits and defaults of questions."""

    threshold: Annotated[float, Field(ge=-1, le=1)] = Field(
        0.2, description="Least cosine similarity of a search result; docs/adr/ has the measurement."
    )
    max_limit: PositiveInt = Field(1000, description="Most results that a caller may ask for.")
    question_cache: Annotated[int, Field(ge=0)] = Field(
        1000,
        description="Recent questions whose vectors are kept, so that the same one again needs no model.",
    )
    sql_rows: PositiveInt = Field(10_000, description="Most rows of a SQL answer.")
    sql_bytes: Bytes = Field(16 * MIB, description="Most bytes of a SQL answer.")
    sql_timeout_s: PositiveFloat = Field(10.0, description="Longest run of a SQL query.")
    timeout_s: PositiveFloat = Field(30.0, description="Longest run of any other question.")
    readers: PositiveInt = Field(4, description="Questions that run in the store at a time.")
    prices_path: str = Field(
        "",
        description="What models cost, for sessions whose agent reports no cost; empty: config/prices.yaml in the"
        " working directory, where it is.",
    )


class McpConfig(Section):
    """The tools for AI agents: ``otlp-receiver mcp``, and ``/mcp`` on the query listener (extra ``mcp``)."""

    enabled: bool = Field(True, description="Serve /mcp on the query listener.")
    answer_tokens: Annotated[int, Field(ge=500, le=100_000)] = Field(
        6000, description="Most tokens of one answer, a token counted as four bytes; what is cut is said."
    )
    read_files: bool = Field(True, description="ingest_otel_traces may read files of this machine.")


class LogConfig(Section):
    """The receiver's own log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level.")
    format: Literal["text", "json"] = Field("text", description="One line per entry either way.")


class Settings(Section):
    """The whole configuration."""

    data_dir: str = Field("data", description="Folder of the spool, the store and the index.")
    stop_timeout_s: PositiveFloat = Field(
        10.0, description="How long a stop waits for work in hand before it gives up and says so."
    )
    listen: ListenConfig = Field(default_factory=ListenConfig)
    tls: TlsConfig = Field(default_factory=TlsConfig)
    auth: AuthConfig = Field(default_factory=AuthConfig)
    redact: RedactConfig = Field(default_factory=RedactConfig)
    limits: LimitsConfig = Field(default_factory=LimitsConfig)
    intake: IntakeConfig = Field(default_factory=IntakeConfig)
    spool: SpoolConfig = Field(default_factory=SpoolConfig)
    loader: LoaderConfig = Field(default_factory=LoaderConfig)
    store: StoreConfig = Field(default_factory=StoreConfig)
    retention: RetentionConfig = Field(default_factory=RetentionConfig)
    embed: EmbedConfig = Field(default_factory=EmbedConfig)
    query: QueryConfig = Field(default_factory=QueryConfig)
    mcp: McpConfig = Field(default_factory=McpConfig)
    log: LogConfig = Field(default_factory=LogConfig)

    @model_validator(mode="after")
    def _limits_agree(self) -> Settings:
        if self.limits.waiting_bytes < self.limits.request_bytes:
            msg = "limits.waiting_bytes must be at least limits.request_bytes"
            raise ValueError(msg)
        return self

    def without_listeners(self) -> Settings:
        """Return the same settings with nothing to listen on."""
        off = {"grpc_endpoint": "", "http_endpoint": "", "query_endpoint": ""}
        return self.model_copy(update={"listen": self.listen.model_copy(update=off)})

    @property
    def tokens_path(self) -> Path:
        """Return the file of tokens."""
        return Path(self.auth.tokens_path) if self.auth.tokens_path else self.data_path / "tokens"

    @property
    def redact_key_path(self) -> Path:
        """Return the file with the secret of redacted hashes."""
        path = self.redact.hash_key_path
        return Path(path) if path else self.data_path / "redaction.key"

    @property
    def data_path(self) -> Path:
        """Return the data directory."""
        return Path(self.data_dir)

    @property
    def has_own_prices(self) -> bool:
        """Return True if there is a price table beside the packaged one, or one is named."""
        return bool(self.query.prices_path) or PRICES_FILE.is_file()

    @property
    def store_path(self) -> Path:
        """Return the database file."""
        return Path(self.store.path) if self.store.path else self.data_path / "telemetry.duckdb"

    @property
    def spool_path(self) -> Path:
        """Return the spool file."""
        return self.data_path / "spool.db"

    @property
    def models_path(self) -> Path:
        """Return the folder of what was made from models' weights: a cache."""
        return self.data_path / "models"

    @property
    def index_path(self) -> Path:
        """Return the vector index file: a cache, always rebuildable from the store."""
        return self.data_path / "vectors.usearch"
