// Keeps sending numbered records with the OpenTelemetry Node SDK's HTTP exporters, or its gRPC exporters.
//
//     node node_client.js http|grpc HOST:PORT FIRST RECORDS PAUSE_S
//
// As sdk_client.py: a line `SIGNAL REQUEST` after a success, `SIGNAL REQUEST gave-up` after a failure; request n
// holds the records from n * RECORDS on. Ends, with what is in hand, when standard input is closed.
'use strict';

const { SpanKind, SpanStatusCode, TraceFlags, ValueType } = require('@opentelemetry/api');
const { resourceFromAttributes } = require('@opentelemetry/resources');
const { AggregationTemporality, DataPointType } = require('@opentelemetry/sdk-metrics');

const [protocol, endpoint, ...figures] = process.argv.slice(2);
const suffix = { http: 'proto', grpc: 'grpc' }[protocol];
const { OTLPTraceExporter } = require(`@opentelemetry/exporter-trace-otlp-${suffix}`);
const { OTLPLogExporter } = require(`@opentelemetry/exporter-logs-otlp-${suffix}`);
const { OTLPMetricExporter } = require(`@opentelemetry/exporter-metrics-otlp-${suffix}`);
const [first, records, pauseS] = figures.map(Number);
const SECONDS = 1_790_000_000;
const resource = resourceFromAttributes({ 'service.name': 'numbered' });
const instrumentationScope = { name: 'numbered' };
const url = (path) => (protocol === 'grpc' ? `http://${endpoint}` : `http://${endpoint}/v1/${path}`);
const hrTime = (nanoseconds) => [Math.floor(nanoseconds / 1e9), nanoseconds % 1e9];

function span(number) {
  const id = (number + 1).toString(16);
  const context = { traceId: id.padStart(32, '0'), spanId: id.padStart(16, '0'), traceFlags: TraceFlags.SAMPLED };
  return {
    name: `span ${number % 7}`,
    kind: SpanKind.INTERNAL,
    spanContext: () => context,
    startTime: [SECONDS, 0],
    endTime: [SECONDS, 1],
    status: { code: SpanStatusCode.UNSET },
    attributes: {},
    links: [],
    events: [],
    duration: [0, 1],
    ended: true,
    resource,
    instrumentationScope,
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}

const logRecord = (number) => ({
  hrTime: [SECONDS, 0],
  hrTimeObserved: hrTime(number + 1),
  body: 'said',
  attributes: {},
  resource,
  instrumentationScope,
  droppedAttributesCount: 0,
});

const collected = (numbers) => ({
  resource,
  scopeMetrics: [
    {
      scope: instrumentationScope,
      metrics: [
        {
          descriptor: { name: 'counted', description: '', unit: '', valueType: ValueType.INT, advice: {} },
          aggregationTemporality: AggregationTemporality.CUMULATIVE,
          dataPointType: DataPointType.GAUGE,
          dataPoints: numbers.map((number) => ({
            startTime: [SECONDS, 0],
            endTime: [SECONDS, 0],
            attributes: {},
            value: number + 1,
          })),
        },
      ],
    },
  ],
});

let ended = false;
process.stdin.on('end', () => (ended = true)).resume();

async function send(signal, exporter, batchOf) {
  for (let number = first; !ended; number++) {
    const numbers = Array.from({ length: records }, (_, each) => number * records + each);
    const code = await new Promise((done) => exporter.export(batchOf(numbers), (result) => done(result.code)));
    process.stdout.write(`${signal} ${number}${code === 0 ? '' : ' gave-up'}\n`);
    await new Promise((resume) => setTimeout(resume, pauseS * 1000));
  }
  await exporter.shutdown();
}

send('traces', new OTLPTraceExporter({ url: url('traces') }), (numbers) => numbers.map(span));
send('logs', new OTLPLogExporter({ url: url('logs') }), (numbers) => numbers.map(logRecord));
send('metrics', new OTLPMetricExporter({ url: url('metrics') }), collected);
