//! Serialized OTLP requests to the buffers of Arrow columns, called from Python through a C interface.
//!
//! What it takes, it treats exactly as the Python route does (`receiver/decode`); what is malformed or unusual
//! it gives back, and that route takes it. All memory is owned on this side until Python frees the result;
//! no panic crosses the interface.

#[macro_use]
mod columns;
mod attributes;
mod contents;
mod count;
mod envelopes;
mod forms;
mod hot;
mod identifiers;
mod interface;
mod interner;
mod keys;
mod lines;
mod logs;
mod masks;
mod md5;
mod metrics;
mod noise;
mod records;
mod scan;
mod spans;
mod table;
mod texts;
mod value;
mod wire;

#[derive(Clone, Copy)]
pub enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    fn from_number(number: u8) -> Option<Signal> {
        match number {
            0 => Some(Signal::Traces),
            1 => Some(Signal::Metrics),
            2 => Some(Signal::Logs),
            _ => None,
        }
    }
}
