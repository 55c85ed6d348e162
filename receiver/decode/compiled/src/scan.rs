//! What stands before the answer: is this request one that every step behind it can take as it is?
//!
//! A request with any fault, and any that is unusual, is left to the reference decoder, which repairs it,
//! rejects single records or says what is wrong (`receiver/decode/decoder.py`).

use crate::contents::{said, Said};
use crate::keys::Keys;
use crate::records::{
    all_utf8, Buckets, EntityRef, Event, Exemplar, ExponentialHistogramDataPoint,
    HistogramDataPoint, Link, LogRecord, Metric, NumberDataPoint, Points, Request, Resource,
    ResourceEnvelope, Scope, ScopeEnvelope, Span, Status, SummaryDataPoint, ValueAtQuantile,
};
use crate::value::{check_attributes, check_value, write_value, Value};
use crate::wire::{Read, Unusual};
use crate::Signal;

/// DataPointFlags: a point that carries it needs no value (metrics.proto).
const NO_RECORDED_VALUE: u32 = 1;

/// What is known of a request that is as it should be.
#[derive(Default, Clone, Copy)]
pub struct Verdict {
    /// Spans, log records or data points.
    pub records: u32,
    /// True if it holds an id or a time, so that the same bytes again are a retry.
    pub identifiable: bool,
}

/// Everything that is used again for each record.
#[derive(Default)]
struct Scanner<'a> {
    messages: u64,
    verdict: Verdict,
    span: Span<'a>,
    status: Status<'a>,
    event: Event<'a>,
    link: Link<'a>,
    log: LogRecord<'a>,
    metric: Metric<'a>,
    points: Points<'a>,
    number: NumberDataPoint<'a>,
    histogram: HistogramDataPoint<'a>,
    exponential: ExponentialHistogramDataPoint<'a>,
    buckets: Buckets<'a>,
    summary: SummaryDataPoint<'a>,
    quantile: ValueAtQuantile<'a>,
    exemplar: Exemplar<'a>,
}

/// Returns what a request holds, or that it is not for this decoder.
pub fn scan(signal: Signal, body: &[u8], max_messages: u64, keys: &mut Keys) -> Read<Verdict> {
    let mut scanner = Scanner::default();
    let mut request = Request::default();
    let mut envelope = ResourceEnvelope::default();
    request.read(body)?;
    for resource in &request.resources {
        envelope.read(resource)?;
        all_utf8(&[envelope.schema_url])?;
        scanner.resource(envelope.resource)?;
        for each in &envelope.scopes {
            let envelope = ScopeEnvelope::of(each, |record| {
                scanner.count(1);
                match signal {
                    Signal::Traces => scanner.span(record, keys),
                    Signal::Logs => scanner.log(record, keys),
                    Signal::Metrics => scanner.metric(record),
                }
            })?;
            all_utf8(&[envelope.schema_url])?;
            scanner.scope(envelope.scope)?;
            if scanner.messages > max_messages {
                return Err(Unusual);
            }
        }
    }
    Ok(scanner.verdict)
}

impl<'a> Scanner<'a> {
    fn count(&mut self, messages: usize) {
        self.messages += messages as u64;
    }

    fn attributes(
        &mut self,
        pairs: &[&'a [u8]],
        visit: impl FnMut(&'a [u8], Value<'a>) -> Read<()>,
    ) -> Read<()> {
        self.messages += pairs.len() as u64;
        check_attributes(pairs, visit)
    }

    fn resource(&mut self, message: &'a [u8]) -> Read<()> {
        let mut resource = Resource::default();
        resource.read(message)?;
        self.attributes(&resource.attributes, |_, _| Ok(()))?;
        for reference in &resource.entity_refs {
            let mut entity = EntityRef::default();
            entity.read(reference)?;
            all_utf8(&[entity.schema_url, entity.kind])?;
            all_utf8(&entity.id_keys)?;
            all_utf8(&entity.description_keys)?;
        }
        Ok(())
    }

    fn scope(&mut self, message: &'a [u8]) -> Read<()> {
        let mut scope = Scope::default();
        scope.read(message)?;
        all_utf8(&[scope.name, scope.version])?;
        self.attributes(&scope.attributes, |_, _| Ok(()))
    }

    fn span(&mut self, message: &'a [u8], keys: &mut Keys) -> Read<()> {
        let mut span = std::mem::take(&mut self.span);
        span.read(message)?;
        if span.trace_id.len() != 16
            || span.span_id.len() != 8
            || !matches!(span.parent_span_id.len(), 0 | 8)
            || is_zero(span.trace_id)
            || is_zero(span.span_id)
        {
            return Err(Unusual);
        }
        all_utf8(&[span.name, span.trace_state])?;
        if !span.status.is_empty() {
            self.status.read(span.status)?;
            all_utf8(&[self.status.message])?;
        }
        self.attributes(&span.attributes, |key, value| readable(keys, key, value))?;
        self.count(span.events.len() + span.links.len());
        for each in &span.events {
            let mut event = std::mem::take(&mut self.event);
            event.read(each)?;
            all_utf8(&[event.name])?;
            self.attributes(&event.attributes, |_, _| Ok(()))?;
            self.event = event;
        }
        for each in &span.links {
            let mut link = std::mem::take(&mut self.link);
            link.read(each)?;
            all_utf8(&[link.trace_state])?;
            self.attributes(&link.attributes, |_, _| Ok(()))?;
            self.link = link;
        }
        self.span = span;
        self.verdict.records += 1;
        self.verdict.identifiable = true;
        Ok(())
    }

    fn log(&mut self, message: &'a [u8], keys: &mut Keys) -> Read<()> {
        let mut log = std::mem::take(&mut self.log);
        log.read(message)?;
        if !matches!(log.trace_id.len(), 0 | 16) || !matches!(log.span_id.len(), 0 | 8) {
            return Err(Unusual);
        }
        all_utf8(&[log.severity_text, log.event_name])?;
        check_value(Value::read(log.body)?, 0, &mut 0)?;
        self.attributes(&log.attributes, |key, value| readable(keys, key, value))?;
        self.verdict.records += 1;
        self.verdict.identifiable |= log.time_unix_nano != 0
            || log.observed_time_unix_nano != 0
            || log.trace_id.len() == 16;
        self.log = log;
        Ok(())
    }

    fn metric(&mut self, message: &'a [u8]) -> Read<()> {
        let mut metric = std::mem::take(&mut self.metric);
        metric.read(message)?;
        all_utf8(&[metric.name, metric.description, metric.unit])?;
        self.attributes(&metric.metadata, |_, _| Ok(()))?;
        let mut points = std::mem::take(&mut self.points);
        let mut kinds = 0;
        for (number, data) in [
            (5, metric.gauge),
            (7, metric.sum),
            (9, metric.histogram),
            (10, metric.exponential_histogram),
            (11, metric.summary),
        ] {
            if !metric.has(number) {
                continue;
            }
            kinds += 1;
            points.read(data)?;
            let is_aggregated = matches!(number, 7 | 9 | 10);
            if is_aggregated && !points.data_points.is_empty() && points.aggregation_temporality == 0 {
                return Err(Unusual); // a warning
            }
            self.count(points.data_points.len());
            for point in &points.data_points {
                match number {
                    5 | 7 => self.number(point)?,
                    9 => self.histogram(point)?,
                    10 => self.exponential(point)?,
                    _ => self.summary(point)?,
                }
            }
            self.verdict.records += points.data_points.len() as u32;
            self.verdict.identifiable |= !points.data_points.is_empty();
        }
        self.points = points;
        self.metric = metric;
        match kinds {
            0 | 1 => Ok(()),
            _ => Err(Unusual),
        }
    }

    fn number(&mut self, message: &'a [u8]) -> Read<()> {
        let mut point = std::mem::take(&mut self.number);
        point.read(message)?;
        let values = u8::from(point.has(4)) + u8::from(point.has(6));
        let recorded = point.flags & NO_RECORDED_VALUE == 0;
        if point.time_unix_nano == 0 || values > 1 || (recorded && values == 0) {
            return Err(Unusual);
        }
        self.attributes(&point.attributes, |_, _| Ok(()))?;
        self.exemplars(&point.exemplars)?;
        self.number = point;
        Ok(())
    }

    fn histogram(&mut self, message: &'a [u8]) -> Read<()> {
        let mut point = std::mem::take(&mut self.histogram);
        point.read(message)?;
        if point.time_unix_nano == 0 {
            return Err(Unusual);
        }
        self.attributes(&point.attributes, |_, _| Ok(()))?;
        self.exemplars(&point.exemplars)?;
        self.histogram = point;
        Ok(())
    }

    fn exponential(&mut self, message: &'a [u8]) -> Read<()> {
        let mut point = std::mem::take(&mut self.exponential);
        point.read(message)?;
        if point.time_unix_nano == 0 {
            return Err(Unusual);
        }
        self.buckets.read(point.positive)?;
        self.buckets.read(point.negative)?;
        self.attributes(&point.attributes, |_, _| Ok(()))?;
        self.exemplars(&point.exemplars)?;
        self.exponential = point;
        Ok(())
    }

    fn summary(&mut self, message: &'a [u8]) -> Read<()> {
        let mut point = std::mem::take(&mut self.summary);
        point.read(message)?;
        if point.time_unix_nano == 0 {
            return Err(Unusual);
        }
        for each in &point.quantile_values {
            self.quantile.read(each)?;
        }
        self.attributes(&point.attributes, |_, _| Ok(()))?;
        self.summary = point;
        Ok(())
    }

    fn exemplars(&mut self, messages: &[&'a [u8]]) -> Read<()> {
        self.count(messages.len());
        for each in messages {
            let mut exemplar = std::mem::take(&mut self.exemplar);
            exemplar.read(each)?;
            if exemplar.has(3) && exemplar.has(6) {
                return Err(Unusual);
            }
            self.attributes(&exemplar.filtered_attributes, |_, _| Ok(()))?;
            self.exemplar = exemplar;
        }
        Ok(())
    }
}

/// Refuses JSON in a content attribute that is read in another way there than here.
fn readable(keys: &mut Keys, key: &[u8], value: Value<'_>) -> Read<()> {
    let sure = match value {
        Value::String(text) if matches!(text.first(), Some(b'[' | b'{')) => {
            keys.class(key).content == 0 || !matches!(said(text), Said::Unsure)
        }
        Value::Array(_) | Value::Kvlist(_) if keys.class(key).content != 0 => {
            let mut json = Vec::new();
            write_value(value, &mut json, 0)?;
            !matches!(said(&json), Said::Unsure)
        }
        _ => true,
    };
    match sure {
        true => Ok(()),
        false => Err(Unusual),
    }
}

fn is_zero(id: &[u8]) -> bool {
    id.iter().all(|&byte| byte == 0)
}
