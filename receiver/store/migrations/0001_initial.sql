-- Physical schema, version 1. docs/schema.md describes every column and its unit.
-- Append-only: no primary keys and no indexes (replaying a WAL with them costs 20-31 times its size in memory).
-- Times and counts are unsigned as on the wire; NULL never stands for 0. Attributes are JSON text (docs/schema.md).

CREATE TABLE resources (
  resource_id UUID NOT NULL,
  service_name VARCHAR,
  service_namespace VARCHAR,
  service_instance_id VARCHAR,
  attributes VARCHAR NOT NULL,
  dropped_attributes_count UINTEGER NOT NULL,
  entity_refs VARCHAR,
  schema_url VARCHAR NOT NULL
);

CREATE TABLE scopes (
  scope_id UUID NOT NULL,
  name VARCHAR NOT NULL,
  version VARCHAR NOT NULL,
  attributes VARCHAR NOT NULL,
  dropped_attributes_count UINTEGER NOT NULL,
  schema_url VARCHAR NOT NULL
);

CREATE TABLE spans (
  trace_id UUID NOT NULL,
  span_id UBIGINT NOT NULL,
  parent_span_id UBIGINT,
  trace_state VARCHAR NOT NULL,
  flags UINTEGER NOT NULL,
  name VARCHAR NOT NULL,
  kind INTEGER NOT NULL,
  start_time_unix_nano UBIGINT NOT NULL,
  end_time_unix_nano UBIGINT NOT NULL,
  status_code INTEGER NOT NULL,
  status_message VARCHAR NOT NULL,
  attributes VARCHAR NOT NULL,
  dropped_attributes_count UINTEGER NOT NULL,
  events STRUCT(
    time_unix_nano UBIGINT, "name" VARCHAR, attributes VARCHAR, dropped_attributes_count UINTEGER)[],
  dropped_events_count UINTEGER NOT NULL,
  links STRUCT(
    trace_id VARCHAR, span_id VARCHAR, trace_state VARCHAR, attributes VARCHAR,
    dropped_attributes_count UINTEGER, flags UINTEGER)[],
  dropped_links_count UINTEGER NOT NULL,
  resource_id UUID NOT NULL,
  scope_id UUID NOT NULL,
  text_id UUID,
  attr_http_route VARCHAR,
  attr_http_response_status_code BIGINT,
  attr_rpc_service VARCHAR,
  attr_db_system_name VARCHAR,
  attr_gen_ai_request_model VARCHAR,
  attr_gen_ai_conversation_id VARCHAR,
  attr_session_id VARCHAR,
  attr_error_type VARCHAR
);

CREATE TABLE logs (
  time_unix_nano UBIGINT NOT NULL,
  observed_time_unix_nano UBIGINT NOT NULL,
  trace_id UUID,
  span_id UBIGINT,
  flags UINTEGER NOT NULL,
  severity_number INTEGER NOT NULL,
  severity_text VARCHAR NOT NULL,
  event_name VARCHAR NOT NULL,
  body VARCHAR,
  body_type VARCHAR,
  attributes VARCHAR NOT NULL,
  dropped_attributes_count UINTEGER NOT NULL,
  resource_id UUID NOT NULL,
  scope_id UUID NOT NULL,
  text_id UUID,
  attr_gen_ai_conversation_id VARCHAR,
  attr_session_id VARCHAR,
  attr_error_type VARCHAR
);

CREATE TABLE metrics (
  metric_id UUID NOT NULL,
  resource_id UUID NOT NULL,
  scope_id UUID NOT NULL,
  name VARCHAR NOT NULL,
  description VARCHAR NOT NULL,
  unit VARCHAR NOT NULL,
  type VARCHAR NOT NULL,
  aggregation_temporality INTEGER NOT NULL,
  is_monotonic BOOLEAN NOT NULL,
  metadata VARCHAR NOT NULL
);

CREATE TABLE metric_points (
  metric_id UUID NOT NULL,
  attributes VARCHAR NOT NULL,
  start_time_unix_nano UBIGINT NOT NULL,
  time_unix_nano UBIGINT NOT NULL,
  flags UINTEGER NOT NULL,
  value_int BIGINT,
  value_double DOUBLE,
  exemplars STRUCT(
    time_unix_nano UBIGINT, value_int BIGINT, value_double DOUBLE, trace_id VARCHAR, span_id VARCHAR,
    filtered_attributes VARCHAR)[]
);

CREATE TABLE histogram_points (
  metric_id UUID NOT NULL,
  attributes VARCHAR NOT NULL,
  start_time_unix_nano UBIGINT NOT NULL,
  time_unix_nano UBIGINT NOT NULL,
  flags UINTEGER NOT NULL,
  count UBIGINT NOT NULL,
  sum DOUBLE,
  min DOUBLE,
  max DOUBLE,
  bucket_counts UBIGINT[] NOT NULL,
  explicit_bounds DOUBLE[] NOT NULL,
  exemplars STRUCT(
    time_unix_nano UBIGINT, value_int BIGINT, value_double DOUBLE, trace_id VARCHAR, span_id VARCHAR,
    filtered_attributes VARCHAR)[]
);

CREATE TABLE exponential_histogram_points (
  metric_id UUID NOT NULL,
  attributes VARCHAR NOT NULL,
  start_time_unix_nano UBIGINT NOT NULL,
  time_unix_nano UBIGINT NOT NULL,
  flags UINTEGER NOT NULL,
  count UBIGINT NOT NULL,
  sum DOUBLE,
  min DOUBLE,
  max DOUBLE,
  scale INTEGER NOT NULL,
  zero_count UBIGINT NOT NULL,
  zero_threshold DOUBLE NOT NULL,
  positive_offset INTEGER NOT NULL,
  positive_bucket_counts UBIGINT[] NOT NULL,
  negative_offset INTEGER NOT NULL,
  negative_bucket_counts UBIGINT[] NOT NULL,
  exemplars STRUCT(
    time_unix_nano UBIGINT, value_int BIGINT, value_double DOUBLE, trace_id VARCHAR, span_id VARCHAR,
    filtered_attributes VARCHAR)[]
);

CREATE TABLE summary_points (
  metric_id UUID NOT NULL,
  attributes VARCHAR NOT NULL,
  start_time_unix_nano UBIGINT NOT NULL,
  time_unix_nano UBIGINT NOT NULL,
  flags UINTEGER NOT NULL,
  count UBIGINT NOT NULL,
  sum DOUBLE NOT NULL,
  quantile_values STRUCT(quantile DOUBLE, "value" DOUBLE)[] NOT NULL
);

-- One row per distinct text. text is an original as first seen; model_text is what the model reads.
CREATE TABLE texts (
  text_id UUID NOT NULL,
  text VARCHAR NOT NULL,
  model_text VARCHAR NOT NULL
);

CREATE TABLE embeddings (
  text_id UUID NOT NULL,
  chunk USMALLINT NOT NULL,
  model VARCHAR NOT NULL,
  vector FLOAT[] NOT NULL
);

CREATE TABLE spool_positions (
  spool UUID NOT NULL,
  position BIGINT NOT NULL
);

-- Cumulative, in records; stored is never lowered by retention, retired counts what retention deleted.
CREATE TABLE record_totals (
  signal VARCHAR NOT NULL,
  stored UBIGINT NOT NULL,
  retired UBIGINT NOT NULL
);
INSERT INTO record_totals VALUES ('traces', 0, 0), ('metrics', 0, 0), ('logs', 0, 0);
