//! Metrics to the columns of the tables of points; what describes them is numbered.

use crate::attributes::{Objects, Told};
use crate::columns::{Lists, Numbers, Strings};
use crate::envelopes::{for_each_record, Envelopes, Place};
use crate::interner::Interner;
use crate::keys::Keys;
use crate::records::{
    Buckets, Exemplar, ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint,
    Points, SummaryDataPoint, ValueAtQuantile,
};
use crate::table::Table;
use crate::value::write_hex;
use crate::wire::Read;

columns! {
    Exemplars is element {
        time_unix_nano: Numbers<u64>,
        value_int: Numbers<i64>,
        value_double: Numbers<f64>,
        trace_id: Strings,
        span_id: Strings,
        filtered_attributes: Strings,
    }
}
columns! {
    Quantiles is element { quantile: Numbers<f64>, value: Numbers<f64> }
}
columns! {
    NumberPoints is table {
        metric: Numbers<i32>,
        attributes: Strings,
        start_time_unix_nano: Numbers<u64>,
        time_unix_nano: Numbers<u64>,
        flags: Numbers<u32>,
        value_int: Numbers<i64>,
        value_double: Numbers<f64>,
        exemplars: Lists<Exemplars>,
        session_id: Strings,
    }
}
columns! {
    HistogramPoints is table {
        metric: Numbers<i32>,
        attributes: Strings,
        start_time_unix_nano: Numbers<u64>,
        time_unix_nano: Numbers<u64>,
        flags: Numbers<u32>,
        count: Numbers<u64>,
        sum: Numbers<f64>,
        min: Numbers<f64>,
        max: Numbers<f64>,
        bucket_counts: Lists<Numbers<u64>>,
        explicit_bounds: Lists<Numbers<f64>>,
        exemplars: Lists<Exemplars>,
    }
}
columns! {
    ExponentialHistogramPoints is table {
        metric: Numbers<i32>,
        attributes: Strings,
        start_time_unix_nano: Numbers<u64>,
        time_unix_nano: Numbers<u64>,
        flags: Numbers<u32>,
        count: Numbers<u64>,
        sum: Numbers<f64>,
        min: Numbers<f64>,
        max: Numbers<f64>,
        scale: Numbers<i32>,
        zero_count: Numbers<u64>,
        zero_threshold: Numbers<f64>,
        positive_offset: Numbers<i32>,
        positive_bucket_counts: Lists<Numbers<u64>>,
        negative_offset: Numbers<i32>,
        negative_bucket_counts: Lists<Numbers<u64>>,
        exemplars: Lists<Exemplars>,
    }
}
columns! {
    SummaryPoints is table {
        metric: Numbers<i32>,
        attributes: Strings,
        start_time_unix_nano: Numbers<u64>,
        time_unix_nano: Numbers<u64>,
        flags: Numbers<u32>,
        count: Numbers<u64>,
        sum: Numbers<f64>,
        quantile_values: Lists<Quantiles>,
    }
}
columns! {
    Descriptors is table {
        resource: Numbers<i32>,
        scope: Numbers<i32>,
        kind: Numbers<i32>,
        aggregation_temporality: Numbers<i32>,
        is_monotonic: Numbers<i32>,
        name: Strings,
        description: Strings,
        unit: Strings,
        metadata: Strings,
    }
}

/// What every point's attributes are written with.
struct Tools<'a, 't> {
    keys: &'t mut Keys,
    objects: &'t mut Objects<'a>,
}

#[derive(Default)]
struct Rows {
    numbers: NumberPoints,
    histograms: HistogramPoints,
    exponentials: ExponentialHistogramPoints,
    summaries: SummaryPoints,
    descriptors: Descriptors,
    counts: [usize; 4],
}

pub fn flatten(requests: &[&[u8]], keys: &mut Keys) -> Read<Vec<Table>> {
    let mut rows = Rows::default();
    let mut told = Told::with_hot(0);
    let mut envelopes = Envelopes::default();
    let mut descriptors = Interner::default();
    let (mut metric, mut points) = (Metric::default(), Points::default());
    let mut key = Vec::new();
    let mut objects = Objects::default();
    for_each_record(requests, keys, &mut envelopes, |message, place, _, keys| {
        metric.read(message)?;
        let kinds = [(5, metric.gauge), (7, metric.sum), (9, metric.histogram), (10, metric.exponential_histogram)];
        let found = kinds.into_iter().chain([(11, metric.summary)]).enumerate();
        let (kind, data) = found
            .filter(|(_, (number, _))| metric.has(*number))
            .map(|(place, (_, data))| (place, data))
            .next()
            .unwrap_or((5, &[]));
        points.read(data)?;
        if !matches!(kind, 1..=3) {
            points.aggregation_temporality = 0;
        }
        points.is_monotonic &= kind == 1;
        describe(&mut key, place, kind, &metric, &points);
        let (number, is_new) = descriptors.number(&key);
        if is_new {
            rows.descriptors.push(place, kind, &metric, &points)?;
            objects.push(&metric.metadata, keys, &mut rows.descriptors.metadata)?;
        }
        let mut tools = Tools { keys, objects: &mut objects };
        for point in &points.data_points {
            match kind {
                0 | 1 => rows.numbers.push(number, point, &mut told, &mut tools)?,
                2 => rows.histograms.push(number, point, &mut tools)?,
                3 => rows.exponentials.push(number, point, &mut tools)?,
                _ => rows.summaries.push(number, point, &mut tools)?,
            }
        }
        rows.counts[kind.max(1).min(4) - 1] += points.data_points.len();
        Ok(())
    })?;
    let [numbers, histograms, exponentials, summaries] = rows.counts;
    Ok(vec![
        Table::of("metrics", descriptors.len(), rows.descriptors),
        Table::of("metric_points", numbers, rows.numbers),
        Table::of("histogram_points", histograms, rows.histograms),
        Table::of("exponential_histogram_points", exponentials, rows.exponentials),
        Table::of("summary_points", summaries, rows.summaries),
        Table::of_interned("resources", envelopes.resources)?,
        Table::of_interned("scopes", envelopes.scopes)?,
    ])
}

/// Everything that a row of `metrics` holds; texts carry their length.
fn describe(key: &mut Vec<u8>, place: Place, kind: usize, metric: &Metric<'_>, points: &Points<'_>) {
    key.clear();
    for number in [
        place.resource,
        place.scope,
        kind as u32,
        points.aggregation_temporality as u32,
        u32::from(points.is_monotonic),
    ] {
        key.extend_from_slice(&number.to_le_bytes());
    }
    for text in [metric.name, metric.description, metric.unit].iter().chain(&metric.metadata) {
        key.extend_from_slice(&(text.len() as u64).to_le_bytes());
        key.extend_from_slice(text);
    }
}

impl Descriptors {
    fn push(&mut self, place: Place, kind: usize, metric: &Metric<'_>, points: &Points<'_>) -> Read<()> {
        self.resource.push(place.resource as i32);
        self.scope.push(place.scope as i32);
        self.kind.push(kind as i32);
        self.aggregation_temporality.push(points.aggregation_temporality);
        self.is_monotonic.push(i32::from(points.is_monotonic));
        self.name.push(metric.name)?;
        self.description.push(metric.description)?;
        self.unit.push(metric.unit)
    }
}

fn option<T>(is_set: bool, value: T) -> Option<T> {
    if is_set {
        Some(value)
    } else {
        None
    }
}

impl NumberPoints {
    fn push<'a>(&mut self, metric: usize, message: &'a [u8], told: &mut Told<'a>, tools: &mut Tools<'a, '_>) -> Read<()> {
        let mut point = NumberDataPoint::default();
        point.read(message)?;
        self.metric.push(metric as i32);
        self.start_time_unix_nano.push(point.start_time_unix_nano);
        self.time_unix_nano.push(point.time_unix_nano);
        self.flags.push(point.flags);
        self.value_int.push_option(option(point.has(6), point.as_int));
        self.value_double.push_option(option(point.has(4), point.as_double));
        told.clear();
        tools.objects.write(&point.attributes, tools.keys, &mut self.attributes.data, |attribute| {
            told.note(&attribute, 0);
        })?;
        self.attributes.end()?;
        self.session_id.push_option(told.session())?;
        push_exemplars(&point.exemplars, tools, &mut self.exemplars)
    }
}

impl HistogramPoints {
    fn push<'a>(&mut self, metric: usize, message: &'a [u8], tools: &mut Tools<'a, '_>) -> Read<()> {
        let mut point = HistogramDataPoint::default();
        point.read(message)?;
        self.metric.push(metric as i32);
        tools.objects.push(&point.attributes, tools.keys, &mut self.attributes)?;
        self.start_time_unix_nano.push(point.start_time_unix_nano);
        self.time_unix_nano.push(point.time_unix_nano);
        self.flags.push(point.flags);
        self.count.push(point.count);
        self.sum.push_option(option(point.has(5), point.sum));
        self.min.push_option(option(point.has(11), point.min));
        self.max.push_option(option(point.has(12), point.max));
        push_numbers(&point.bucket_counts, &mut self.bucket_counts)?;
        push_numbers(&point.explicit_bounds, &mut self.explicit_bounds)?;
        push_exemplars(&point.exemplars, tools, &mut self.exemplars)
    }
}

impl ExponentialHistogramPoints {
    fn push<'a>(&mut self, metric: usize, message: &'a [u8], tools: &mut Tools<'a, '_>) -> Read<()> {
        let mut point = ExponentialHistogramDataPoint::default();
        let mut buckets = Buckets::default();
        point.read(message)?;
        self.metric.push(metric as i32);
        tools.objects.push(&point.attributes, tools.keys, &mut self.attributes)?;
        self.start_time_unix_nano.push(point.start_time_unix_nano);
        self.time_unix_nano.push(point.time_unix_nano);
        self.flags.push(point.flags);
        self.count.push(point.count);
        self.sum.push_option(option(point.has(5), point.sum));
        self.min.push_option(option(point.has(12), point.min));
        self.max.push_option(option(point.has(13), point.max));
        self.scale.push(point.scale);
        self.zero_count.push(point.zero_count);
        self.zero_threshold.push(point.zero_threshold);
        buckets.read(point.positive)?;
        self.positive_offset.push(buckets.offset);
        push_numbers(&buckets.bucket_counts, &mut self.positive_bucket_counts)?;
        buckets.read(point.negative)?;
        self.negative_offset.push(buckets.offset);
        push_numbers(&buckets.bucket_counts, &mut self.negative_bucket_counts)?;
        push_exemplars(&point.exemplars, tools, &mut self.exemplars)
    }
}

impl SummaryPoints {
    fn push<'a>(&mut self, metric: usize, message: &'a [u8], tools: &mut Tools<'a, '_>) -> Read<()> {
        let mut point = SummaryDataPoint::default();
        let mut quantile = ValueAtQuantile::default();
        point.read(message)?;
        self.metric.push(metric as i32);
        tools.objects.push(&point.attributes, tools.keys, &mut self.attributes)?;
        self.start_time_unix_nano.push(point.start_time_unix_nano);
        self.time_unix_nano.push(point.time_unix_nano);
        self.flags.push(point.flags);
        self.count.push(point.count);
        self.sum.push(point.sum);
        for each in &point.quantile_values {
            quantile.read(each)?;
            self.quantile_values.elements.quantile.push(quantile.quantile);
            self.quantile_values.elements.value.push(quantile.value);
        }
        self.quantile_values.end(point.quantile_values.len())
    }
}

fn push_numbers<T: crate::columns::Element>(values: &[T], column: &mut Lists<Numbers<T>>) -> Read<()> {
    values.iter().for_each(|&value| column.elements.push(value));
    column.end(values.len())
}

fn push_exemplars<'a>(messages: &[&'a [u8]], tools: &mut Tools<'a, '_>, column: &mut Lists<Exemplars>) -> Read<()> {
    let rows = &mut column.elements;
    for message in messages {
        let mut exemplar = Exemplar::default();
        exemplar.read(message)?;
        rows.time_unix_nano.push(exemplar.time_unix_nano);
        rows.value_int.push_option(option(exemplar.has(6), exemplar.as_int));
        rows.value_double.push_option(option(exemplar.has(3), exemplar.as_double));
        write_hex(exemplar.trace_id, &mut rows.trace_id.data);
        rows.trace_id.end()?;
        write_hex(exemplar.span_id, &mut rows.span_id.data);
        rows.span_id.end()?;
        tools.objects.push(&exemplar.filtered_attributes, tools.keys, &mut rows.filtered_attributes)?;
    }
    column.end(messages.len())
}
