//! Spans to the columns of the table `spans`.

use crate::attributes::{Attribute, Objects, Told};
use crate::columns::{span_id, Flags, Ids, Lists, Numbers, Strings};
use crate::envelopes::{for_each_record, Envelopes};
use crate::hot::Hot;
use crate::keys::Keys;
use crate::lines::{Limit, Lines, Piece};
use crate::records::{Event, Link, Span, Status};
use crate::table::Table;
use crate::texts::texts;
use crate::value::write_hex;
use crate::wire::Read;

columns! {
    Events is element {
        time_unix_nano: Numbers<u64>,
        name: Strings,
        attributes: Strings,
        dropped_attributes_count: Numbers<u32>,
    }
}
columns! {
    Links is element {
        trace_id: Strings,
        span_id: Strings,
        trace_state: Strings,
        attributes: Strings,
        dropped_attributes_count: Numbers<u32>,
        flags: Numbers<u32>,
    }
}
columns! {
    Spans is table {
        trace_id: Ids,
        span_id: Numbers<u64>,
        parent_span_id: Numbers<u64>,
        trace_state: Strings,
        flags: Numbers<u32>,
        name: Strings,
        kind: Numbers<i32>,
        start_time_unix_nano: Numbers<u64>,
        end_time_unix_nano: Numbers<u64>,
        status_code: Numbers<i32>,
        status_message: Strings,
        attributes: Strings,
        dropped_attributes_count: Numbers<u32>,
        events: Lists<Events>,
        dropped_events_count: Numbers<u32>,
        links: Lists<Links>,
        dropped_links_count: Numbers<u32>,
        resource: Numbers<i32>,
        scope: Numbers<i32>,
        text_id: Ids,
        hot: Vec<Hot>,
        session_id: Strings,
        is_gen_ai: Flags,
    }
}

pub fn flatten(requests: &[&[u8]], keys: &mut Keys) -> Read<Vec<Table>> {
    let mut rows = Spans { hot: keys.rules().hot_spans(), ..Spans::default() };
    let mut told = Told::with_hot(rows.hot.len());
    let mut envelopes = Envelopes::default();
    let mut lines = Lines::default();
    let (mut span, mut status, mut event) = (Span::default(), Status::default(), Event::default());
    let mut told_by_events = EventTexts::default();
    let mut objects = Objects::default();
    let mut line_of_rows = Vec::new();
    rows.attributes.data.reserve(requests.iter().map(|body| body.len()).sum());
    for_each_record(requests, keys, &mut envelopes, |message, place, envelopes, keys| {
        span.read(message)?;
        status.read(span.status)?;
        rows.trace_id.push(span.trace_id);
        rows.span_id.push_option(span_id(span.span_id));
        rows.parent_span_id.push_option(span_id(span.parent_span_id));
        rows.trace_state.push(span.trace_state)?;
        rows.flags.push(span.flags);
        rows.name.push(span.name)?;
        rows.kind.push(span.kind);
        rows.start_time_unix_nano.push(span.start_time_unix_nano);
        rows.end_time_unix_nano.push(span.end_time_unix_nano);
        rows.status_code.push(status.code);
        rows.status_message.push(status.message)?;
        rows.dropped_attributes_count.push(span.dropped_attributes_count);
        rows.dropped_events_count.push(span.dropped_events_count);
        rows.dropped_links_count.push(span.dropped_links_count);
        rows.resource.push(place.resource as i32);
        rows.scope.push(place.scope as i32);

        told.clear();
        lines.begin(&[
            (span.name, Limit::Name),
            (envelopes.service(place), Limit::Name),
            (status.message, Limit::Content),
        ]);
        let json = &mut rows.attributes.data;
        objects.write(&span.attributes, keys, json, |attribute| {
            told.note(&attribute, attribute.class.hot_span);
            lines.attribute(&attribute);
        })?;
        rows.attributes.end()?;
        lines.attributes(&rows.attributes.data)?;
        told.push_hot(&mut rows.hot)?;
        rows.session_id.push_option(told.session())?;
        rows.is_gen_ai.push_option(told.gen_ai(keys.rules(), span.name));

        told_by_events.clear();
        for each in &span.events {
            event.read(each)?;
            rows.events.elements.time_unix_nano.push(event.time_unix_nano);
            rows.events.elements.name.push(event.name)?;
            rows.events.elements.dropped_attributes_count.push(event.dropped_attributes_count);
            told_by_events.names.push(event.name);
            let json = &mut rows.events.elements.attributes.data;
            objects.write(&event.attributes, keys, json, |attribute| told_by_events.attribute(&attribute))?;
            rows.events.elements.attributes.end()?;
        }
        rows.events.end(span.events.len())?;
        push_links(&span.links, keys, &mut objects, &mut rows.links)?;
        told_by_events.tell(&rows.events.elements.attributes.data, &mut lines)?;
        line_of_rows.push(lines.end()?);
        Ok(())
    })?;
    let (texts, text_id) = texts(&lines.distinct, &line_of_rows)?;
    rows.text_id = text_id;
    Ok(vec![
        Table::of("spans", line_of_rows.len(), rows),
        Table::of_interned("resources", envelopes.resources)?,
        Table::of_interned("scopes", envelopes.scopes)?,
        texts,
    ])
}

fn push_links<'a>(
    messages: &[&'a [u8]],
    keys: &mut Keys,
    objects: &mut Objects<'a>,
    column: &mut Lists<Links>,
) -> Read<()> {
    let rows = &mut column.elements;
    for message in messages {
        let mut link = Link::default();
        link.read(message)?;
        write_hex(link.trace_id, &mut rows.trace_id.data);
        rows.trace_id.end()?;
        write_hex(link.span_id, &mut rows.span_id.data);
        rows.span_id.end()?;
        rows.trace_state.push(link.trace_state)?;
        objects.push(&link.attributes, keys, &mut rows.attributes)?;
        rows.dropped_attributes_count.push(link.dropped_attributes_count);
        rows.flags.push(link.flags);
    }
    column.end(messages.len())
}

/// What a span's events add to its line: types of exceptions, their messages, names.
#[derive(Default)]
struct EventTexts<'a> {
    types: Vec<Piece<'a>>,
    messages: Vec<Piece<'a>>,
    names: Vec<&'a [u8]>,
}

impl<'a> EventTexts<'a> {
    fn clear(&mut self) {
        self.types.clear();
        self.messages.clear();
        self.names.clear();
    }

    fn attribute(&mut self, attribute: &Attribute<'a, '_>) {
        if attribute.class.is_exception_type && attribute.counts {
            self.types.push(Piece::of(attribute));
        }
        if attribute.class.is_exception_message && attribute.counts {
            self.messages.push(Piece::of(attribute));
        }
    }

    fn tell(&self, json: &[u8], lines: &mut Lines<'_>) -> Read<()> {
        for pieces in [&self.types, &self.messages] {
            lines.joined(pieces.iter().map(|piece| piece.bytes(json)), Limit::Content)?;
        }
        lines.joined(self.names.iter().map(|name| Ok(*name)), Limit::Name)
    }
}
