-- For new files only, whose tables are empty; an older one keeps its compression, because writing all of it again takes
-- as much room and many minutes. Texts that hardly repeat name theirs: half the CPU of a load and half the file
-- (docs/adr/0002-one-duckdb-writer.md).

CREATE OR REPLACE TABLE spans (
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
  attributes VARCHAR USING COMPRESSION zstd NOT NULL,
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
  attr_error_type VARCHAR,
  session_id VARCHAR,
  is_gen_ai BOOLEAN
);

CREATE OR REPLACE TABLE logs (
  time_unix_nano UBIGINT NOT NULL,
  observed_time_unix_nano UBIGINT NOT NULL,
  trace_id UUID,
  span_id UBIGINT,
  flags UINTEGER NOT NULL,
  severity_number INTEGER NOT NULL,
  severity_text VARCHAR NOT NULL,
  event_name VARCHAR NOT NULL,
  body VARCHAR USING COMPRESSION zstd,
  body_type VARCHAR,
  attributes VARCHAR USING COMPRESSION zstd NOT NULL,
  dropped_attributes_count UINTEGER NOT NULL,
  resource_id UUID NOT NULL,
  scope_id UUID NOT NULL,
  text_id UUID,
  attr_gen_ai_conversation_id VARCHAR,
  attr_session_id VARCHAR,
  attr_error_type VARCHAR,
  session_id VARCHAR,
  is_gen_ai BOOLEAN
);
