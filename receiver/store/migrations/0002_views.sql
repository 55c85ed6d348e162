-- Views with the names and columns of the Collector's ClickHouse exporter, so that SQL written for it works here:
-- https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/exporter/clickhouseexporter
-- Attributes are MAP(VARCHAR, VARCHAR) made of the JSON text on the fly (about 1.6 s per million rows): for large
-- ranges use the table's JSON column or its attr_* columns. Timestamps are NULL where TIMESTAMP_NS cannot say them
-- (2^63-1 and above); the *UnixNano columns, ours, always hold what was sent.

CREATE MACRO timestamp_of(nanoseconds) AS
  CASE WHEN nanoseconds < 9223372036854775807 THEN make_timestamp_ns(nanoseconds::BIGINT) END;
CREATE MACRO duration_of(begun, ended) AS
  CASE WHEN ended >= begun AND ended - begun <= 9223372036854775807 THEN (ended - begun)::BIGINT END;
CREATE MACRO trace_hex(id) AS coalesce(replace(id::VARCHAR, '-', ''), '');
CREATE MACRO span_hex(id) AS CASE WHEN id IS NULL THEN '' ELSE format('{:016x}', id) END;
CREATE MACRO attribute_map(attributes) AS from_json(attributes, '"MAP(VARCHAR,VARCHAR)"');

-- Resources and scopes, each once, even should a row have been written twice.
CREATE VIEW resource_content AS
  SELECT resource_id, any_value(service_name) AS service_name, any_value(attributes) AS attributes,
    any_value(schema_url) AS schema_url
  FROM resources GROUP BY resource_id;
CREATE VIEW scope_content AS
  SELECT scope_id, any_value(name) AS name, any_value(version) AS version, any_value(attributes) AS attributes,
    any_value(dropped_attributes_count) AS dropped_attributes_count, any_value(schema_url) AS schema_url
  FROM scopes GROUP BY scope_id;

CREATE VIEW otel_traces AS
  SELECT
    timestamp_of(s.start_time_unix_nano) AS "Timestamp",
    trace_hex(s.trace_id) AS "TraceId",
    span_hex(s.span_id) AS "SpanId",
    span_hex(s.parent_span_id) AS "ParentSpanId",
    s.trace_state AS "TraceState",
    s.name AS "SpanName",
    CASE s.kind WHEN 1 THEN 'Internal' WHEN 2 THEN 'Server' WHEN 3 THEN 'Client' WHEN 4 THEN 'Producer'
      WHEN 5 THEN 'Consumer' ELSE 'Unspecified' END AS "SpanKind",
    coalesce(r.service_name, '') AS "ServiceName",
    attribute_map(r.attributes) AS "ResourceAttributes",
    c.name AS "ScopeName",
    c.version AS "ScopeVersion",
    attribute_map(s.attributes) AS "SpanAttributes",
    duration_of(s.start_time_unix_nano, s.end_time_unix_nano) AS "Duration",
    CASE s.status_code WHEN 1 THEN 'Ok' WHEN 2 THEN 'Error' ELSE 'Unset' END AS "StatusCode",
    s.status_message AS "StatusMessage",
    list_transform(s.events, lambda e: timestamp_of(e.time_unix_nano)) AS "Events.Timestamp",
    list_transform(s.events, lambda e: e.name) AS "Events.Name",
    list_transform(s.events, lambda e: attribute_map(e.attributes)) AS "Events.Attributes",
    list_transform(s.links, lambda l: l.trace_id) AS "Links.TraceId",
    list_transform(s.links, lambda l: l.span_id) AS "Links.SpanId",
    list_transform(s.links, lambda l: l.trace_state) AS "Links.TraceState",
    list_transform(s.links, lambda l: attribute_map(l.attributes)) AS "Links.Attributes",
    s.start_time_unix_nano AS "StartTimeUnixNano",
    s.end_time_unix_nano AS "EndTimeUnixNano"
  FROM spans s
  JOIN resource_content r USING (resource_id)
  JOIN scope_content c USING (scope_id);

CREATE VIEW otel_traces_trace_id_ts AS
  SELECT trace_hex(trace_id) AS "TraceId", timestamp_of(min(start_time_unix_nano)) AS "Start",
    timestamp_of(max(start_time_unix_nano)) AS "End"
  FROM spans GROUP BY trace_id;

CREATE VIEW otel_logs AS
  SELECT
    timestamp_of(CASE WHEN l.time_unix_nano > 0 THEN l.time_unix_nano ELSE l.observed_time_unix_nano END)
      AS "Timestamp",
    date_trunc('second', timestamp_of(
      CASE WHEN l.time_unix_nano > 0 THEN l.time_unix_nano ELSE l.observed_time_unix_nano END)) AS "TimestampTime",
    trace_hex(l.trace_id) AS "TraceId",
    span_hex(l.span_id) AS "SpanId",
    (l.flags & 255)::UTINYINT AS "TraceFlags",
    l.severity_text AS "SeverityText",
    l.severity_number AS "SeverityNumber",
    coalesce(r.service_name, '') AS "ServiceName",
    coalesce(l.body, '') AS "Body",
    r.schema_url AS "ResourceSchemaUrl",
    attribute_map(r.attributes) AS "ResourceAttributes",
    c.schema_url AS "ScopeSchemaUrl",
    c.name AS "ScopeName",
    c.version AS "ScopeVersion",
    attribute_map(c.attributes) AS "ScopeAttributes",
    attribute_map(l.attributes) AS "LogAttributes",
    l.event_name AS "EventName",
    l.time_unix_nano AS "TimeUnixNano",
    l.observed_time_unix_nano AS "ObservedTimeUnixNano"
  FROM logs l
  JOIN resource_content r USING (resource_id)
  JOIN scope_content c USING (scope_id);

CREATE VIEW metric_content AS
  SELECT m.metric_id, any_value(m.name) AS name, any_value(m.description) AS description, any_value(m.unit) AS unit,
    any_value(m.type) AS type, any_value(m.aggregation_temporality) AS aggregation_temporality,
    any_value(m.is_monotonic) AS is_monotonic, any_value(m.resource_id) AS resource_id,
    any_value(m.scope_id) AS scope_id
  FROM metrics m GROUP BY m.metric_id;

CREATE VIEW otel_metrics_gauge AS
  SELECT
    attribute_map(r.attributes) AS "ResourceAttributes",
    r.schema_url AS "ResourceSchemaUrl",
    c.name AS "ScopeName",
    c.version AS "ScopeVersion",
    attribute_map(c.attributes) AS "ScopeAttributes",
    c.dropped_attributes_count AS "ScopeDroppedAttrCount",
    c.schema_url AS "ScopeSchemaUrl",
    coalesce(r.service_name, '') AS "ServiceName",
    m.name AS "MetricName",
    m.description AS "MetricDescription",
    m.unit AS "MetricUnit",
    attribute_map(p.attributes) AS "Attributes",
    timestamp_of(p.start_time_unix_nano) AS "StartTimeUnix",
    timestamp_of(p.time_unix_nano) AS "TimeUnix",
    p.flags AS "Flags",
    coalesce(p.value_double, p.value_int::DOUBLE) AS "Value",
    list_transform(p.exemplars, lambda e: attribute_map(e.filtered_attributes)) AS "Exemplars.FilteredAttributes",
    list_transform(p.exemplars, lambda e: timestamp_of(e.time_unix_nano)) AS "Exemplars.TimeUnix",
    list_transform(p.exemplars, lambda e: coalesce(e.value_double, e.value_int::DOUBLE)) AS "Exemplars.Value",
    list_transform(p.exemplars, lambda e: e.span_id) AS "Exemplars.SpanId",
    list_transform(p.exemplars, lambda e: e.trace_id) AS "Exemplars.TraceId"
  FROM metric_points p
  JOIN metric_content m USING (metric_id)
  JOIN resource_content r USING (resource_id)
  JOIN scope_content c USING (scope_id)
  WHERE m.type = 'gauge';

CREATE VIEW otel_metrics_sum AS
  SELECT
    attribute_map(r.attributes) AS "ResourceAttributes",
    r.schema_url AS "ResourceSchemaUrl",
    c.name AS "ScopeName",
    c.version AS "ScopeVersion",
    attribute_map(c.attributes) AS "ScopeAttributes",
    c.dropped_attributes_count AS "ScopeDroppedAttrCount",
    c.schema_url AS "ScopeSchemaUrl",
    coalesce(r.service_name, '') AS "ServiceName",
    m.name AS "MetricName",
    m.description AS "MetricDescription",
    m.unit AS "MetricUnit",
    attribute_map(p.attributes) AS "Attributes",
    timestamp_of(p.start_time_unix_nano) AS "StartTimeUnix",
    timestamp_of(p.time_unix_nano) AS "TimeUnix",
    p.flags AS "Flags",
    coalesce(p.value_double, p.value_int::DOUBLE) AS "Value",
    m.aggregation_temporality AS "AggregationTemporality",
    m.is_monotonic AS "IsMonotonic",
    list_transform(p.exemplars, lambda e: attribute_map(e.filtered_attributes)) AS "Exemplars.FilteredAttributes",
    list_transform(p.exemplars, lambda e: timestamp_of(e.time_unix_nano)) AS "Exemplars.TimeUnix",
    list_transform(p.exemplars, lambda e: coalesce(e.value_double, e.value_int::DOUBLE)) AS "Exemplars.Value",
    list_transform(p.exemplars, lambda e: e.span_id) AS "Exemplars.SpanId",
    list_transform(p.exemplars, lambda e: e.trace_id) AS "Exemplars.TraceId"
  FROM metric_points p
  JOIN metric_content m USING (metric_id)
  JOIN resource_content r USING (resource_id)
  JOIN scope_content c USING (scope_id)
  WHERE m.type = 'sum';

CREATE VIEW otel_metrics_histogram AS
  SELECT
    attribute_map(r.attributes) AS "ResourceAttributes",
    r.schema_url AS "ResourceSchemaUrl",
    c.name AS "ScopeName",
    c.version AS "ScopeVersion",
    attribute_map(c.attributes) AS "ScopeAttributes",
    c.dropped_attributes_count AS "ScopeDroppedAttrCount",
    c.schema_url AS "ScopeSchemaUrl",
    coalesce(r.service_name, '') AS "ServiceName",
    m.name AS "MetricName",
    m.description AS "MetricDescription",
    m.unit AS "MetricUnit",
    attribute_map(p.attributes) AS "Attributes",
    timestamp_of(p.start_time_unix_nano) AS "StartTimeUnix",
    timestamp_of(p.time_unix_nano) AS "TimeUnix",
    p.flags AS "Flags",
    p.count AS "Count",
    p.sum AS "Sum",
    p.bucket_counts AS "BucketCounts",
    p.explicit_bounds AS "ExplicitBounds",
    p.min AS "Min",
    p.max AS "Max",
    m.aggregation_temporality AS "AggregationTemporality",
    list_transform(p.exemplars, lambda e: attribute_map(e.filtered_attributes)) AS "Exemplars.FilteredAttributes",
    list_transform(p.exemplars, lambda e: timestamp_of(e.time_unix_nano)) AS "Exemplars.TimeUnix",
    list_transform(p.exemplars, lambda e: coalesce(e.value_double, e.value_int::DOUBLE)) AS "Exemplars.Value",
    list_transform(p.exemplars, lambda e: e.span_id) AS "Exemplars.SpanId",
    list_transform(p.exemplars, lambda e: e.trace_id) AS "Exemplars.TraceId"
  FROM histogram_points p
  JOIN metric_content m USING (metric_id)
  JOIN resource_content r USING (resource_id)
  JOIN scope_content c USING (scope_id);

CREATE VIEW otel_metrics_exponential_histogram AS
  SELECT
    attribute_map(r.attributes) AS "ResourceAttributes",
    r.schema_url AS "ResourceSchemaUrl",
    c.name AS "ScopeName",
    c.version AS "ScopeVersion",
    attribute_map(c.attributes) AS "ScopeAttributes",
    c.dropped_attributes_count AS "ScopeDroppedAttrCount",
    c.schema_url AS "ScopeSchemaUrl",
    coalesce(r.service_name, '') AS "ServiceName",
    m.name AS "MetricName",
    m.description AS "MetricDescription",
    m.unit AS "MetricUnit",
    attribute_map(p.attributes) AS "Attributes",
    timestamp_of(p.start_time_unix_nano) AS "StartTimeUnix",
    timestamp_of(p.time_unix_nano) AS "TimeUnix",
    p.flags AS "Flags",
    p.count AS "Count",
    p.sum AS "Sum",
    p.scale AS "Scale",
    p.zero_count AS "ZeroCount",
    p.positive_offset AS "PositiveOffset",
    p.positive_bucket_counts AS "PositiveBucketCounts",
    p.negative_offset AS "NegativeOffset",
    p.negative_bucket_counts AS "NegativeBucketCounts",
    p.min AS "Min",
    p.max AS "Max",
    m.aggregation_temporality AS "AggregationTemporality",
    list_transform(p.exemplars, lambda e: attribute_map(e.filtered_attributes)) AS "Exemplars.FilteredAttributes",
    list_transform(p.exemplars, lambda e: timestamp_of(e.time_unix_nano)) AS "Exemplars.TimeUnix",
    list_transform(p.exemplars, lambda e: coalesce(e.value_double, e.value_int::DOUBLE)) AS "Exemplars.Value",
    list_transform(p.exemplars, lambda e: e.span_id) AS "Exemplars.SpanId",
    list_transform(p.exemplars, lambda e: e.trace_id) AS "Exemplars.TraceId"
  FROM exponential_histogram_points p
  JOIN metric_content m USING (metric_id)
  JOIN resource_content r USING (resource_id)
  JOIN scope_content c USING (scope_id);

CREATE VIEW otel_metrics_summary AS
  SELECT
    attribute_map(r.attributes) AS "ResourceAttributes",
    r.schema_url AS "ResourceSchemaUrl",
    c.name AS "ScopeName",
    c.version AS "ScopeVersion",
    attribute_map(c.attributes) AS "ScopeAttributes",
    c.dropped_attributes_count AS "ScopeDroppedAttrCount",
    c.schema_url AS "ScopeSchemaUrl",
    coalesce(r.service_name, '') AS "ServiceName",
    m.name AS "MetricName",
    m.description AS "MetricDescription",
    m.unit AS "MetricUnit",
    attribute_map(p.attributes) AS "Attributes",
    timestamp_of(p.start_time_unix_nano) AS "StartTimeUnix",
    timestamp_of(p.time_unix_nano) AS "TimeUnix",
    p.flags AS "Flags",
    p.count AS "Count",
    p.sum AS "Sum",
    list_transform(p.quantile_values, lambda q: q.quantile) AS "ValueAtQuantiles.Quantile",
    list_transform(p.quantile_values, lambda q: q.value) AS "ValueAtQuantiles.Value"
  FROM summary_points p
  JOIN metric_content m USING (metric_id)
  JOIN resource_content r USING (resource_id)
  JOIN scope_content c USING (scope_id);
