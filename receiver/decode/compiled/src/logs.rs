//! Log records to the columns of the table `logs`.

use crate::attributes::{Objects, Told};
use crate::columns::{span_id, Flags, Ids, Numbers, Strings};
use crate::envelopes::{for_each_record, Envelopes};
use crate::hot::Hot;
use crate::keys::Keys;
use crate::lines::{Limit, Lines};
use crate::records::LogRecord;
use crate::table::Table;
use crate::texts::texts;
use crate::value::{write_value, Value};
use crate::wire::Read;

columns! {
    Logs is table {
        time_unix_nano: Numbers<u64>,
        observed_time_unix_nano: Numbers<u64>,
        trace_id: Ids,
        span_id: Numbers<u64>,
        flags: Numbers<u32>,
        severity_number: Numbers<i32>,
        severity_text: Strings,
        event_name: Strings,
        body: Strings,
        body_type: Strings,
        attributes: Strings,
        dropped_attributes_count: Numbers<u32>,
        resource: Numbers<i32>,
        scope: Numbers<i32>,
        text_id: Ids,
        hot: Vec<Hot>,
        session_id: Strings,
        is_gen_ai: Flags,
    }
}

pub fn flatten(requests: &[&[u8]], keys: &mut Keys) -> Read<Vec<Table>> {
    let mut rows = Logs { hot: keys.rules().hot_logs(), ..Logs::default() };
    let mut told = Told::with_hot(rows.hot.len());
    let mut envelopes = Envelopes::default();
    let mut lines = Lines::default();
    let mut log = LogRecord::default();
    let mut json = Vec::new();
    let mut objects = Objects::default();
    let mut line_of_rows = Vec::new();
    rows.attributes.data.reserve(requests.iter().map(|body| body.len()).sum());
    for_each_record(requests, keys, &mut envelopes, |message, place, envelopes, keys| {
        log.read(message)?;
        rows.time_unix_nano.push(log.time_unix_nano);
        rows.observed_time_unix_nano.push(log.observed_time_unix_nano);
        rows.trace_id.push(log.trace_id);
        rows.span_id.push_option(span_id(log.span_id));
        rows.flags.push(log.flags);
        rows.severity_number.push(log.severity_number);
        rows.severity_text.push(log.severity_text)?;
        rows.event_name.push(log.event_name)?;
        rows.dropped_attributes_count.push(log.dropped_attributes_count);
        rows.resource.push(place.resource as i32);
        rows.scope.push(place.scope as i32);

        let value = if log.has(5) { Some(Value::read(log.body)?) } else { None };
        rows.body_type.push_option(value.map(kind))?;
        json.clear();
        let body: Option<&[u8]> = match value {
            None | Some(Value::Empty) => None,
            Some(Value::String(text)) => Some(text),
            Some(other) => {
                write_value(other, &mut json, 0)?;
                Some(&json)
            }
        };
        rows.body.push_option(body)?;

        told.clear();
        lines.begin(&[
            (log.event_name, Limit::Name),
            (body.unwrap_or_default(), Limit::Content),
            (envelopes.service(place), Limit::Name),
        ]);
        objects.write(&log.attributes, keys, &mut rows.attributes.data, |attribute| {
            told.note(&attribute, attribute.class.hot_log);
            lines.attribute(&attribute);
        })?;
        rows.attributes.end()?;
        lines.attributes(&rows.attributes.data)?;
        told.push_hot(&mut rows.hot)?;
        rows.session_id.push_option(told.session())?;
        rows.is_gen_ai.push_option(told.gen_ai(keys.rules(), log.event_name));
        line_of_rows.push(lines.end()?);
        Ok(())
    })?;
    let (texts, text_id) = texts(&lines.distinct, &line_of_rows)?;
    rows.text_id = text_id;
    Ok(vec![
        Table::of("logs", line_of_rows.len(), rows),
        Table::of_interned("resources", envelopes.resources)?,
        Table::of_interned("scopes", envelopes.scopes)?,
        texts,
    ])
}

fn kind(value: Value<'_>) -> &'static [u8] {
    match value {
        Value::Empty => b"empty",
        Value::String(_) => b"string",
        Value::Bool(_) => b"bool",
        Value::Int(_) => b"int",
        Value::Double(_) => b"double",
        Value::Array(_) => b"array",
        Value::Kvlist(_) => b"kvlist",
        Value::Bytes(_) => b"bytes",
    }
}
