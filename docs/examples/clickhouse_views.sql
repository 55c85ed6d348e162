-- SQL that was written for the Collector's ClickHouse exporter works on the views of the same names:
--   otlp-receiver sql - < docs/examples/clickhouse_views.sql
-- Latency and errors of every operation; Duration is in nanoseconds.
SELECT
  ServiceName,
  SpanName,
  count(*) AS spans,
  round(quantile_cont(Duration, 0.95) / 1e6, 2) AS p95_ms,
  count(*) FILTER (WHERE StatusCode = 'Error') AS errors,
  max(SpanAttributes['payment.outcome']) AS an_outcome
FROM otel_traces
GROUP BY ServiceName, SpanName
ORDER BY errors DESC, spans DESC, SpanName
