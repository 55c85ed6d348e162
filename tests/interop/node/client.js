// Exports all three signals with the OpenTelemetry Node SDK and prints what it sent, as JSON.
//
//     node client.js grpc|proto|json HOST:PORT
//
// What is printed is taken from the SDK's own records in the moment in which the exporter gets them, in the same
// words as the Python client's (../python_records.py). `exported` holds what each exporter said.
'use strict';

const api = require('@opentelemetry/api');
const { SeverityNumber } = require('@opentelemetry/api-logs');
const { resourceFromAttributes } = require('@opentelemetry/resources');
const { NodeTracerProvider, BatchSpanProcessor } = require('@opentelemetry/sdk-trace-node');
const { LoggerProvider, BatchLogRecordProcessor } = require('@opentelemetry/sdk-logs');
const metrics = require('@opentelemetry/sdk-metrics');

const [protocol, endpoint] = process.argv.slice(2);
const suffix = { grpc: 'grpc', proto: 'proto', json: 'http' }[protocol];
const { OTLPTraceExporter } = require(`@opentelemetry/exporter-trace-otlp-${suffix}`);
const { OTLPLogExporter } = require(`@opentelemetry/exporter-logs-otlp-${suffix}`);
const { OTLPMetricExporter } = require(`@opentelemetry/exporter-metrics-otlp-${suffix}`);

const VALUES = {
  text: 'späce ✓ "quoted" \\ \n tab\t 🦆',
  'empty text': '',
  truth: true,
  falsehood: false,
  whole: 7,
  'largest exact': Number.MAX_SAFE_INTEGER,
  'smallest exact': Number.MIN_SAFE_INTEGER,
  fraction: 0.1,
  huge: 1.5e-300,
  texts: ['a', '', 'ü'],
  wholes: [1, -2, 3],
  fractions: [1.5, 2.25],
  truths: [true, false],
  'nothing in it': [],
};
const BODIES = {
  ...VALUES,
  bytes: new Uint8Array([0, 255, 128, 32]),
  map: { inner: { deep: [1, 'two', { three: 3.5 }] }, nothing: null },
  mixed: ['a', 1, 2.5, true, null],
};

// JSON.stringify writes 2.0 as 2 and cannot write a BigInt: such numbers travel as marked texts.
const raw = (text) => `@@raw:${text}`;
const double = (value) => (value === undefined ? null : raw(Number.isInteger(value) ? `${value}.0` : `${value}`));
const nanoseconds = ([seconds, rest]) => raw((BigInt(seconds) * 1_000_000_000n + BigInt(rest)).toString());
const written = (value) => JSON.stringify(value).replace(/"@@raw:([^"]*)"/g, '$1');

function valueOf(value) {
  if (value === null || value === undefined) return { '@empty': true };
  if (value instanceof Uint8Array) return { '@bytes': Buffer.from(value).toString('base64') };
  if (Array.isArray(value)) return value.map(valueOf);
  if (typeof value === 'object') return attributesOf(value);
  return value;
}

function attributesOf(attributes) {
  return Object.fromEntries(Object.entries(attributes ?? {}).map(([key, value]) => [key, valueOf(value)]));
}

function originOf(resource, scope) {
  return {
    resource: attributesOf(resource.attributes),
    resource_schema_url: resource.schemaUrl ?? '',
    scope: {
      name: scope.name,
      version: scope.version ?? '',
      schema_url: scope.schemaUrl ?? '',
      attributes: attributesOf(scope.attributes),
    },
  };
}

// The trace flags, that it is known whether the parent is remote (0x100), and whether it is (0x200).
const flagsOf = (traceFlags, parent) => traceFlags | 0x100 | (parent?.isRemote ? 0x200 : 0);

function spanRecord(span) {
  const context = span.spanContext();
  return {
    trace_id: context.traceId,
    span_id: context.spanId,
    parent_span_id: span.parentSpanContext?.spanId ?? null,
    trace_state: context.traceState?.serialize() ?? '',
    flags: flagsOf(context.traceFlags, span.parentSpanContext),
    name: span.name,
    kind: span.kind + 1, // the API counts from INTERNAL = 0
    start: nanoseconds(span.startTime),
    end: nanoseconds(span.endTime),
    status_code: span.status.code,
    status_message: span.status.message ?? '',
    attributes: attributesOf(span.attributes),
    dropped: [span.droppedAttributesCount, span.droppedEventsCount, span.droppedLinksCount],
    events: span.events.map((event) => ({
      time: nanoseconds(event.time),
      name: event.name,
      attributes: attributesOf(event.attributes),
    })),
    links: span.links.map((link) => ({
      trace_id: link.context.traceId,
      span_id: link.context.spanId,
      trace_state: link.context.traceState?.serialize() ?? '',
      flags: flagsOf(link.context.traceFlags, link.context),
      attributes: attributesOf(link.attributes),
    })),
    ...originOf(span.resource, span.instrumentationScope),
  };
}

function logRecord(record) {
  return {
    time: nanoseconds(record.hrTime),
    observed: nanoseconds(record.hrTimeObserved),
    trace_id: record.spanContext?.traceId ?? null,
    span_id: record.spanContext?.spanId ?? null,
    flags: record.spanContext?.traceFlags ?? 0,
    severity_number: record.severityNumber ?? 0,
    severity_text: record.severityText ?? '',
    event_name: record.eventName ?? '',
    body: record.body === undefined || record.body === null ? null : valueOf(record.body),
    attributes: attributesOf(record.attributes),
    ...originOf(record.resource, record.instrumentationScope),
  };
}

function pointRecords(collected) {
  return collected.scopeMetrics.flatMap(({ scope, metrics: ofScope }) =>
    ofScope.flatMap((metric) =>
      metric.dataPoints.map((point) => ({
        name: metric.descriptor.name,
        description: metric.descriptor.description,
        unit: metric.descriptor.unit,
        attributes: attributesOf(point.attributes),
        start: nanoseconds(point.startTime),
        time: nanoseconds(point.endTime),
        flags: 0,
        exemplars: [], // the Node SDK has none
        ...originOf(collected.resource, scope),
        ...figuresOf(metric, point.value),
      }))
    )
  );
}

function figuresOf(metric, value) {
  const temporality = { [metrics.AggregationTemporality.DELTA]: 1, [metrics.AggregationTemporality.CUMULATIVE]: 2 }[
    metric.aggregationTemporality
  ];
  if (metric.dataPointType === metrics.DataPointType.SUM || metric.dataPointType === metrics.DataPointType.GAUGE) {
    const sum = metric.dataPointType === metrics.DataPointType.SUM;
    return {
      type: sum ? 'sum' : 'gauge',
      temporality: sum ? temporality : 0,
      monotonic: sum && metric.isMonotonic,
      value: metric.descriptor.valueType === api.ValueType.INT ? value : double(value),
    };
  }
  const common = {
    temporality,
    monotonic: false,
    count: value.count,
    sum: double(value.sum),
    min: double(value.min),
    max: double(value.max),
  };
  if (metric.dataPointType === metrics.DataPointType.HISTOGRAM) {
    return {
      ...common,
      type: 'histogram',
      bucket_counts: value.buckets.counts,
      explicit_bounds: value.buckets.boundaries.map(double),
    };
  }
  return {
    ...common,
    type: 'exponential_histogram',
    scale: value.scale,
    zero_count: value.zeroCount,
    zero_threshold: double(0),
    positive: [value.positive.offset, value.positive.bucketCounts],
    negative: [value.negative.offset, value.negative.bucketCounts],
  };
}

const sent = { spans: [], logs: [], points: [], exported: [] };

/** Let an exporter note what it is given and what became of it. */
function recording(exporter, list, records) {
  const send = exporter.export.bind(exporter);
  exporter.export = (batch, done) => {
    list.push(...records(batch));
    send(batch, (result) => {
      sent.exported.push(result.code === 0 ? 'SUCCESS' : `${result.error}`);
      done(result);
    });
  };
  return exporter;
}

/** Return an exporter's options; the protobuf one compresses. */
function options(path, more = {}) {
  const url = protocol === 'grpc' ? `http://${endpoint}` : `http://${endpoint}/v1/${path}`;
  return { url, ...(protocol === 'proto' ? { compression: 'gzip' } : {}), ...more };
}

function sendSpans(provider) {
  const tracer = provider.getTracer('shop', '1.2.3', { schemaUrl: 'https://opentelemetry.io/schemas/1.30.0' });
  const other = provider.getTracer('library');
  const remote = {
    traceId: { grpc: 'a', proto: 'b', json: 'c' }[protocol].repeat(32),
    spanId: '1122334455667788',
    traceFlags: api.TraceFlags.SAMPLED,
    isRemote: true,
    traceState: api.createTraceState('vendor=a:1;b,other=x'),
  };
  const parent = api.trace.setSpanContext(api.ROOT_CONTEXT, remote);
  const started = [1_790_000_000, 123_456_789];
  const root = tracer.startSpan(
    'POST /checkout',
    { kind: api.SpanKind.SERVER, attributes: VALUES, startTime: started },
    parent
  );
  const inside = api.trace.setSpan(parent, root);
  for (let kind = 0; kind < 5; kind++) {
    const links = Array.from({ length: kind % 3 }, (_, number) => ({ context: remote, attributes: { number } }));
    const span = other.startSpan(`step ${kind}`, { kind, links }, inside);
    span.setAttribute('number', kind);
    span.end();
  }
  const failed = tracer.startSpan('charge', { kind: api.SpanKind.CLIENT }, inside);
  failed.addEvent('retry', { attempt: 1, delays: [0.5, 1.25] }, [1_790_000_000, 200_000_001]);
  failed.recordException(new Error('card refused: 4111'));
  failed.setStatus({ code: api.SpanStatusCode.ERROR, message: 'card refused' });
  failed.end();
  root.setStatus({ code: api.SpanStatusCode.OK });
  root.end([1_790_000_000, 373_456_790]);
}

function sendLogs(provider) {
  const logger = provider.getLogger('shop', '1.2.3', { schemaUrl: 'https://opentelemetry.io/schemas/1.30.0' });
  Object.entries(BODIES).forEach(([key, body], number) =>
    logger.emit({
      timestamp: [1_790_000_000, number],
      observedTimestamp: [1_790_000_001, 0],
      severityNumber: number + 1,
      severityText: `level ${number}`,
      eventName: `shop.${number}`,
      body,
      attributes: { key, value: body },
    })
  );
  const context = api.trace.setSpanContext(api.ROOT_CONTEXT, {
    traceId: '0af7651916cd43dd8448eb211c80319c',
    spanId: '00f067aa0ba902b7',
    traceFlags: 1,
  });
  logger.emit({ body: 'in a trace', severityNumber: SeverityNumber.ERROR, context });
  logger.emit({ attributes: { body: 'none' } });
}

async function sendPoints(provider) {
  const meter = provider.getMeter('shop', '1.2.3', { schemaUrl: 'https://opentelemetry.io/schemas/1.30.0' });
  const INT = api.ValueType.INT;
  meter
    .createObservableGauge('temperature', { unit: 'Cel', description: 'How warm it is' })
    .addCallback((result) => ['a', 'b'].forEach((sensor, number) => result.observe(36.6 * number, { sensor })));
  const orders = meter.createCounter('orders', { unit: '{order}', description: 'Orders placed', valueType: INT });
  const turnover = meter.createCounter('turnover', { unit: 'EUR' });
  const baskets = meter.createUpDownCounter('baskets', { unit: '{basket}', valueType: INT });
  const level = meter.createGauge('level', { valueType: INT });
  const duration = meter.createHistogram('duration', { unit: 'ms', advice: { explicitBucketBoundaries: [1, 2.5, 10] } });
  const size = meter.createHistogram('size', { unit: 'By' });
  for (let turn = 0; turn < 2; turn++) {
    orders.add(3, { paid: true, country: 'DE' });
    orders.add(4, { paid: false, country: 'DE' });
    turnover.add(12.5 + turn);
    baskets.add(5);
    baskets.add(-7);
    level.record(turn, { texts: ['a', 'b'] });
    for (const value of [0.5, 2.5, 3, 1000]) {
      duration.record(value, { route: '/cart' });
      size.record(value * 3);
    }
    size.record(0);
    await provider.forceFlush();
  }
}

async function main() {
  const resource = resourceFromAttributes(
    { 'service.name': `node-${protocol}`, 'service.namespace': 'interop', 'service.instance.id': '1', pids: [1, 2] },
    { schemaUrl: 'https://opentelemetry.io/schemas/1.30.0' }
  );
  const tracers = new NodeTracerProvider({
    resource,
    spanProcessors: [
      new BatchSpanProcessor(
        recording(new OTLPTraceExporter(options('traces')), sent.spans, (spans) => spans.map(spanRecord))
      ),
    ],
  });
  const loggers = new LoggerProvider({
    resource,
    processors: [
      new BatchLogRecordProcessor({
        exporter: recording(new OTLPLogExporter(options('logs')), sent.logs, (logs) => logs.map(logRecord)),
      }),
    ],
  });
  sendSpans(tracers);
  sendLogs(loggers);
  for (const temporalityPreference of [metrics.AggregationTemporality.CUMULATIVE, metrics.AggregationTemporality.DELTA]) {
    const exporter = new OTLPMetricExporter(options('metrics', { temporalityPreference }));
    const meters = new metrics.MeterProvider({
      resource,
      readers: [
        new metrics.PeriodicExportingMetricReader({
          exporter: recording(exporter, sent.points, pointRecords),
          exportIntervalMillis: 3_600_000,
        }),
      ],
      views: [
        {
          instrumentName: 'size',
          aggregation: { type: metrics.AggregationType.EXPONENTIAL_HISTOGRAM, options: { maxSize: 8 } },
        },
      ],
    });
    await sendPoints(meters);
    await meters.shutdown();
  }
  await tracers.shutdown();
  await loggers.shutdown();
  process.stdout.write(written(sent));
}

main();
