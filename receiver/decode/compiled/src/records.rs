//! The messages of OTLP as views into the bytes of a request; fields of a later OTLP are passed over.
//!
//! Source: <https://github.com/open-telemetry/opentelemetry-proto>

use crate::wire::{boolean, check_utf8, int32, once, sint32, uint32, varint, Fields, Read, Unusual, Wire};

type Bytes<'a> = &'a [u8];

/// Declares a message: its fields with their numbers, how each is read, and nothing twice that is not a list.
macro_rules! message {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $kind:tt = $number:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Default)]
        pub struct $name<'a> {
            $(pub $field: message!(@type $kind 'a),)*
            seen: u32,
            marker: std::marker::PhantomData<Bytes<'a>>,
        }

        impl<'a> $name<'a> {
            /// Replaces what this view shows.
            #[inline]
            pub fn read(&mut self, message: Bytes<'a>) -> Read<()> {
                $(message!(@clear $kind self.$field);)*
                self.seen = 0;
                self.merge(message)
            }

            fn merge(&mut self, message: Bytes<'a>) -> Read<()> {
                let mut fields = Fields::of(message);
                while let Some((number, wire)) = fields.next()? {
                    match number {
                        $($number => message!(@read $kind self, $field, $number, wire),)*
                        _ => {}
                    }
                }
                Ok(())
            }

            /// True if the field with this number was on the wire.
            #[allow(dead_code)]
            #[inline]
            pub fn has(&self, number: u32) -> bool {
                self.seen & (1 << number) != 0
            }
        }
    };

    (@type bytes $life:lifetime) => { Bytes<$life> };
    (@type string $life:lifetime) => { Bytes<$life> };
    (@type message $life:lifetime) => { Bytes<$life> };
    (@type messages $life:lifetime) => { Vec<Bytes<$life>> };
    (@type strings $life:lifetime) => { Vec<Bytes<$life>> };
    (@type fixed64 $life:lifetime) => { u64 };
    (@type sfixed64 $life:lifetime) => { i64 };
    (@type fixed32 $life:lifetime) => { u32 };
    (@type uint32 $life:lifetime) => { u32 };
    (@type int32 $life:lifetime) => { i32 };
    (@type sint32 $life:lifetime) => { i32 };
    (@type boolean $life:lifetime) => { bool };
    (@type double $life:lifetime) => { f64 };
    (@type fixed64s $life:lifetime) => { Vec<u64> };
    (@type doubles $life:lifetime) => { Vec<f64> };
    (@type uint64s $life:lifetime) => { Vec<u64> };

    (@clear messages $place:expr) => { $place.clear() };
    (@clear strings $place:expr) => { $place.clear() };
    (@clear fixed64s $place:expr) => { $place.clear() };
    (@clear doubles $place:expr) => { $place.clear() };
    (@clear uint64s $place:expr) => { $place.clear() };
    (@clear $kind:tt $place:expr) => { $place = Default::default() };

    (@read messages $self:ident, $field:ident, $number:literal, $wire:ident) => {
        match $wire { Wire::Bytes(bytes) => $self.$field.push(bytes), _ => return Err(Unusual) }
    };
    (@read strings $self:ident, $field:ident, $number:literal, $wire:ident) => {
        match $wire { Wire::Bytes(bytes) => $self.$field.push(bytes), _ => return Err(Unusual) }
    };
    (@read fixed64s $self:ident, $field:ident, $number:literal, $wire:ident) => {
        match $wire {
            Wire::Bytes(bytes) => fixed64s(bytes, &mut $self.$field)?,
            Wire::Fixed64(value) => $self.$field.push(value),
            _ => return Err(Unusual),
        }
    };
    (@read doubles $self:ident, $field:ident, $number:literal, $wire:ident) => {
        match $wire {
            Wire::Bytes(bytes) => doubles(bytes, &mut $self.$field)?,
            Wire::Fixed64(value) => $self.$field.push(f64::from_bits(value)),
            _ => return Err(Unusual),
        }
    };
    (@read uint64s $self:ident, $field:ident, $number:literal, $wire:ident) => {
        match $wire {
            Wire::Bytes(bytes) => uint64s(bytes, &mut $self.$field)?,
            Wire::Varint(value) => $self.$field.push(value),
            _ => return Err(Unusual),
        }
    };
    (@read $kind:tt $self:ident, $field:ident, $number:literal, $wire:ident) => {{
        once(&mut $self.seen, $number)?;
        $self.$field = message!(@one $kind $wire);
    }};
    (@one bytes $wire:ident) => { match $wire { Wire::Bytes(bytes) => bytes, _ => return Err(Unusual) } };
    (@one string $wire:ident) => { match $wire { Wire::Bytes(bytes) => bytes, _ => return Err(Unusual) } };
    (@one message $wire:ident) => { match $wire { Wire::Bytes(bytes) => bytes, _ => return Err(Unusual) } };
    (@one fixed64 $wire:ident) => { match $wire { Wire::Fixed64(value) => value, _ => return Err(Unusual) } };
    (@one sfixed64 $wire:ident) => { match $wire { Wire::Fixed64(value) => value as i64, _ => return Err(Unusual) } };
    (@one double $wire:ident) => {
        match $wire { Wire::Fixed64(value) => f64::from_bits(value), _ => return Err(Unusual) }
    };
    (@one fixed32 $wire:ident) => { match $wire { Wire::Fixed32(value) => value, _ => return Err(Unusual) } };
    (@one uint32 $wire:ident) => { match $wire { Wire::Varint(value) => uint32(value)?, _ => return Err(Unusual) } };
    (@one int32 $wire:ident) => { match $wire { Wire::Varint(value) => int32(value)?, _ => return Err(Unusual) } };
    (@one sint32 $wire:ident) => { match $wire { Wire::Varint(value) => sint32(value)?, _ => return Err(Unusual) } };
    (@one boolean $wire:ident) => { match $wire { Wire::Varint(value) => boolean(value)?, _ => return Err(Unusual) } };
}

fn fixed64s(bytes: Bytes<'_>, into: &mut Vec<u64>) -> Read<()> {
    if bytes.len() % 8 != 0 {
        return Err(Unusual);
    }
    into.extend(bytes.chunks_exact(8).map(|eight| {
        let mut word = [0u8; 8];
        word.copy_from_slice(eight);
        u64::from_le_bytes(word)
    }));
    Ok(())
}

fn doubles(bytes: Bytes<'_>, into: &mut Vec<f64>) -> Read<()> {
    let mut words = Vec::with_capacity(bytes.len() / 8);
    fixed64s(bytes, &mut words)?;
    into.extend(words.into_iter().map(f64::from_bits));
    Ok(())
}

fn uint64s(bytes: Bytes<'_>, into: &mut Vec<u64>) -> Read<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let (value, behind) = varint(rest)?;
        into.push(value);
        rest = behind;
    }
    Ok(())
}

message! { Request { resources: messages = 1 } }
message! { ResourceEnvelope { resource: message = 1, scopes: messages = 2, schema_url: string = 3 } }
message! { Resource { attributes: messages = 1, dropped_attributes_count: uint32 = 2, entity_refs: messages = 3 } }
message! { EntityRef { schema_url: string = 1, kind: string = 2, id_keys: strings = 3, description_keys: strings = 4 } }
message! {
    Scope { name: string = 1, version: string = 2, attributes: messages = 3, dropped_attributes_count: uint32 = 4 }
}

message! {
    Span {
        trace_id: bytes = 1, span_id: bytes = 2, trace_state: string = 3, parent_span_id: bytes = 4,
        name: string = 5, kind: int32 = 6, start_time_unix_nano: fixed64 = 7, end_time_unix_nano: fixed64 = 8,
        attributes: messages = 9, dropped_attributes_count: uint32 = 10, events: messages = 11,
        dropped_events_count: uint32 = 12, links: messages = 13, dropped_links_count: uint32 = 14,
        status: message = 15, flags: fixed32 = 16,
    }
}
message! { Status { message: string = 2, code: int32 = 3 } }
message! {
    Event {
        time_unix_nano: fixed64 = 1, name: string = 2, attributes: messages = 3,
        dropped_attributes_count: uint32 = 4,
    }
}
message! {
    Link {
        trace_id: bytes = 1, span_id: bytes = 2, trace_state: string = 3, attributes: messages = 4,
        dropped_attributes_count: uint32 = 5, flags: fixed32 = 6,
    }
}

message! {
    LogRecord {
        time_unix_nano: fixed64 = 1, severity_number: int32 = 2, severity_text: string = 3, body: message = 5,
        attributes: messages = 6, dropped_attributes_count: uint32 = 7, flags: fixed32 = 8, trace_id: bytes = 9,
        span_id: bytes = 10, observed_time_unix_nano: fixed64 = 11, event_name: string = 12,
    }
}

message! {
    Metric {
        name: string = 1, description: string = 2, unit: string = 3, gauge: message = 5, sum: message = 7,
        histogram: message = 9, exponential_histogram: message = 10, summary: message = 11, metadata: messages = 12,
    }
}
message! {
    /// What a metric holds, of every kind.
    Points { data_points: messages = 1, aggregation_temporality: int32 = 2, is_monotonic: boolean = 3 }
}
message! {
    NumberDataPoint {
        start_time_unix_nano: fixed64 = 2, time_unix_nano: fixed64 = 3, as_double: double = 4,
        exemplars: messages = 5, as_int: sfixed64 = 6, attributes: messages = 7, flags: uint32 = 8,
    }
}
message! {
    HistogramDataPoint {
        start_time_unix_nano: fixed64 = 2, time_unix_nano: fixed64 = 3, count: fixed64 = 4, sum: double = 5,
        bucket_counts: fixed64s = 6, explicit_bounds: doubles = 7, exemplars: messages = 8, attributes: messages = 9,
        flags: uint32 = 10, min: double = 11, max: double = 12,
    }
}
message! {
    ExponentialHistogramDataPoint {
        attributes: messages = 1, start_time_unix_nano: fixed64 = 2, time_unix_nano: fixed64 = 3, count: fixed64 = 4,
        sum: double = 5, scale: sint32 = 6, zero_count: fixed64 = 7, positive: message = 8, negative: message = 9,
        flags: uint32 = 10, exemplars: messages = 11, min: double = 12, max: double = 13, zero_threshold: double = 14,
    }
}
message! { Buckets { offset: sint32 = 1, bucket_counts: uint64s = 2 } }
message! {
    SummaryDataPoint {
        start_time_unix_nano: fixed64 = 2, time_unix_nano: fixed64 = 3, count: fixed64 = 4, sum: double = 5,
        quantile_values: messages = 6, attributes: messages = 7, flags: uint32 = 8,
    }
}
message! { ValueAtQuantile { quantile: double = 1, value: double = 2 } }
message! {
    Exemplar {
        time_unix_nano: fixed64 = 2, as_double: double = 3, span_id: bytes = 4, trace_id: bytes = 5,
        as_int: sfixed64 = 6, filtered_attributes: messages = 7,
    }
}

/// What stands beside the records of a scope.
#[derive(Default)]
pub struct ScopeEnvelope<'a> {
    pub scope: Bytes<'a>,
    pub schema_url: Bytes<'a>,
}

impl<'a> ScopeEnvelope<'a> {
    /// Reads the envelope and shows each record on the way, before what may stand behind the records is known.
    #[inline]
    pub fn of(message: Bytes<'a>, mut each: impl FnMut(Bytes<'a>) -> Read<()>) -> Read<Self> {
        let (mut envelope, mut seen) = (ScopeEnvelope::default(), 0);
        let mut fields = Fields::of(message);
        while let Some((number, wire)) = fields.next()? {
            match (number, wire) {
                (2, Wire::Bytes(record)) => each(record)?,
                (1, Wire::Bytes(scope)) => {
                    once(&mut seen, number)?;
                    envelope.scope = scope;
                }
                (3, Wire::Bytes(url)) => {
                    once(&mut seen, number)?;
                    envelope.schema_url = url;
                }
                (1..=3, _) => return Err(Unusual),
                _ => {}
            }
        }
        Ok(envelope)
    }
}

/// Refuses strings that are not UTF-8.
pub fn all_utf8(strings: &[Bytes<'_>]) -> Read<()> {
    strings.iter().try_for_each(|text| check_utf8(text))
}
