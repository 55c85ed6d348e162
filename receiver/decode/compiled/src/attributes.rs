//! Attribute lists as JSON objects, and what else their keys ask for.

use crate::columns::Strings;
use crate::hot::Hot;
use crate::keys::{Class, Keys, Rules};
use crate::value::{key_value, separate, write_value, Value};
use crate::wire::Read;

/// An attribute as `write_object` shows it.
pub struct Attribute<'a, 'k> {
    pub class: &'k Class,
    pub key: &'a [u8],
    pub value: Value<'a>,
    /// Where its JSON stands in what was written to.
    pub json: (usize, usize),
    /// False for one whose key comes again: the last of equal keys counts.
    pub counts: bool,
}

/// Lists of attributes become JSON objects with the help of what is kept between them.
#[derive(Default)]
pub struct Objects<'a> {
    pairs: Vec<(usize, &'a [u8], Value<'a>)>,
}

impl<'a> Objects<'a> {
    /// Writes the object of a list behind what `out` holds and shows each attribute, in its order.
    #[inline]
    pub fn write(
        &mut self,
        messages: &[&'a [u8]],
        keys: &mut Keys,
        out: &mut Vec<u8>,
        mut visit: impl FnMut(Attribute<'a, '_>),
    ) -> Read<()> {
        self.pairs.clear();
        keys.begin_list();
        let mut any_doubled = false;
        for message in messages {
            let (key, value) = key_value(message)?;
            let (number, is_doubled) = keys.mark(key);
            any_doubled |= is_doubled;
            self.pairs.push((number, key, value));
        }
        if any_doubled {
            return self.write_doubled(keys, out, visit);
        }
        out.push(b'{');
        let mut first = true;
        for &(number, key, value) in &self.pairs {
            separate(&mut first, out);
            let class = keys.numbered(number);
            let json = write_pair(class, value, out)?;
            visit(Attribute { class, key, value, json, counts: true });
        }
        out.push(b'}');
        Ok(())
    }

    /// Of equal keys the last counts; the earlier ones stand in a list behind the others.
    fn write_doubled(
        &self,
        keys: &Keys,
        out: &mut Vec<u8>,
        mut visit: impl FnMut(Attribute<'a, '_>),
    ) -> Read<()> {
        let mut earlier = Vec::new();
        out.push(b'{');
        let mut first = true;
        for (place, &(number, key, value)) in self.pairs.iter().enumerate() {
            let class = keys.numbered(number);
            let counts = !self.pairs[place + 1..].iter().any(|pair| pair.0 == number);
            let mut json = (0, 0);
            if counts {
                separate(&mut first, out);
                json = write_pair(class, value, out)?;
            } else {
                earlier.push(if earlier.is_empty() { b'{' } else { b',' });
                if earlier.len() > 1 {
                    earlier.push(b'{');
                }
                write_pair(class, value, &mut earlier)?;
                earlier.push(b'}');
            }
            visit(Attribute { class, key, value, json, counts });
        }
        out.extend_from_slice(b",\"@duplicates\":[");
        out.extend_from_slice(&earlier);
        out.extend_from_slice(b"]}");
        Ok(())
    }

    /// Adds the object of a list to a column.
    pub fn push(&mut self, messages: &[&'a [u8]], keys: &mut Keys, column: &mut Strings) -> Read<()> {
        self.write(messages, keys, &mut column.data, |_| {})?;
        column.end()
    }
}

#[inline]
fn write_pair(class: &Class, value: Value<'_>, out: &mut Vec<u8>) -> Read<(usize, usize)> {
    out.extend_from_slice(&class.json);
    let start = out.len();
    write_value(value, out, 0)?;
    Ok((start, out.len()))
}

/// What the attributes of one record say beside their JSON.
pub struct Told<'a> {
    hot: Vec<Option<Value<'a>>>,
    session: Option<(u8, &'a [u8])>,
    thread: Option<&'a [u8]>,
    has_turn: bool,
    is_gen_ai: bool,
    event_name: Option<&'a [u8]>,
}

impl<'a> Told<'a> {
    pub fn with_hot(count: usize) -> Self {
        Told {
            hot: vec![None; count],
            session: None,
            thread: None,
            has_turn: false,
            is_gen_ai: false,
            event_name: None,
        }
    }

    pub fn clear(&mut self) {
        self.hot.iter_mut().for_each(|value| *value = None);
        self.session = None;
        self.thread = None;
        self.has_turn = false;
        self.is_gen_ai = false;
        self.event_name = None;
    }

    #[inline]
    pub fn note(&mut self, attribute: &Attribute<'a, '_>, hot: u8) {
        let (class, value) = (attribute.class, attribute.value);
        self.is_gen_ai |= class.is_gen_ai;
        self.has_turn |= class.is_turn;
        if !attribute.counts {
            return;
        }
        if hot != 0 {
            self.hot[usize::from(hot) - 1] = Some(value);
        }
        if let Value::String(text) = value {
            if class.is_event_name {
                self.event_name = Some(text);
            }
            if !text.is_empty() {
                if class.is_thread {
                    self.thread = Some(text);
                }
                if class.session != 0 && self.session.map_or(true, |(place, _)| class.session < place) {
                    self.session = Some((class.session, text));
                }
            }
        }
    }

    /// True for a record that an AI agent made, or an instrumentation of a model; else nothing.
    pub fn gen_ai(&self, rules: &Rules, name: &[u8]) -> Option<bool> {
        let named = |name: &[u8]| rules.is_agents(name);
        let is_gen_ai = self.is_gen_ai || named(name) || self.event_name.map_or(false, named);
        if is_gen_ai {
            Some(true)
        } else {
            None
        }
    }

    /// The session that the record itself names.
    pub fn session(&self) -> Option<&'a [u8]> {
        let of_thread = if self.has_turn { self.thread } else { None };
        self.session.map(|(_, text)| text).or(of_thread)
    }

    /// The typed columns: each holds a value only where the attribute has its type.
    pub fn push_hot(&self, columns: &mut [Hot]) -> Read<()> {
        self.hot.iter().zip(columns).try_for_each(|(value, column)| column.push(value.as_ref()))
    }
}
