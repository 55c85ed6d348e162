//! What a span or a log record says, as one line: the same as `receiver/decode/texts.py` builds.

use std::borrow::Cow;

use crate::attributes::Attribute;
use crate::contents::{said, Said};
use crate::interner::Interner;
use crate::noise::{is_noise, is_space};
use crate::value::Value;
use crate::wire::{utf8, Read, Unusual};

const NAME: usize = 300;
const CONTENT: usize = 8_000;
const LINE: usize = 16_000;
const GENERAL_BYTES: usize = 80;
const REDACTED: &[u8] = b"<REDACTED>";

/// A value as it was sent, or where its JSON stands in the column of attributes.
#[derive(Clone, Copy)]
pub enum Piece<'a> {
    Sent(&'a [u8]),
    Json(usize, usize),
}

#[derive(Default)]
pub struct Lines<'a> {
    pub distinct: Interner,
    line: Vec<u8>,
    named: Vec<(u8, Piece<'a>)>,
    contents: Vec<(u8, Piece<'a>)>,
    general: Vec<(&'a [u8], &'a [u8])>,
    part: Vec<u8>,
}

impl<'a> Lines<'a> {
    /// Starts the line of a record with what stands first in it.
    pub fn begin(&mut self, first: &[(&[u8], Limit)]) {
        self.line.clear();
        self.named.clear();
        self.contents.clear();
        self.general.clear();
        for (text, limit) in first {
            append(&mut self.line, cut(text, limit.characters()));
        }
    }

    /// Notes an attribute; its JSON stands in the column of attributes.
    #[inline]
    pub fn attribute(&mut self, attribute: &Attribute<'a, '_>) {
        let class = attribute.class;
        let piece = Piece::of(attribute);
        if class.naming != 0 && attribute.counts {
            self.named.push((class.naming, piece));
        }
        if class.content != 0 && attribute.counts {
            self.contents.push((class.content, piece));
        }
        if class.general {
            if let Value::String(text) = attribute.value {
                if text.len() <= GENERAL_BYTES {
                    self.general.push((attribute.key, text));
                }
            }
        }
    }

    /// Adds the attributes that name something, then the contents.
    pub fn attributes(&mut self, json: &[u8]) -> Read<()> {
        self.named.sort_by_key(|(place, _)| *place);
        self.contents.sort_by_key(|(place, _)| *place);
        for (_, piece) in &self.named {
            let text = cut(piece.bytes(json)?, NAME);
            if !is_noise(utf8(text)?) {
                append(&mut self.line, text);
            }
        }
        for (_, piece) in &self.contents {
            let text = match said(piece.bytes(json)?) {
                Said::Text(text) => text,
                Said::Unsure => return Err(Unusual),
            };
            if matches!(text, Cow::Borrowed(_)) && is_redacted(&text) {
                continue;
            }
            append(&mut self.line, cut(&text, CONTENT));
        }
        Ok(())
    }

    /// Adds values of the same kind, one of each event that has some, as one part.
    pub fn joined<'p>(&mut self, pieces: impl Iterator<Item = Read<&'p [u8]>>, limit: Limit) -> Read<()> {
        self.part.clear();
        for (place, piece) in pieces.enumerate() {
            if place != 0 {
                self.part.push(b' ');
            }
            self.part.extend_from_slice(cut(piece?, limit.characters()));
        }
        append(&mut self.line, &self.part);
        Ok(())
    }

    /// Adds the other short attributes and returns the number of the line.
    pub fn end(&mut self) -> Read<u32> {
        self.part.clear();
        let mut first = true;
        for (key, value) in &self.general {
            if is_noise(utf8(value)?) {
                continue;
            }
            if !first {
                self.part.push(b' ');
            }
            first = false;
            self.part.extend_from_slice(key);
            self.part.push(b' ');
            self.part.extend_from_slice(value);
        }
        append(&mut self.line, &self.part);
        Ok(self.distinct.number(cut(&self.line, LINE)).0 as u32)
    }
}

#[derive(Clone, Copy)]
pub enum Limit {
    Name,
    Content,
}

impl Limit {
    fn characters(self) -> usize {
        match self {
            Limit::Name => NAME,
            Limit::Content => CONTENT,
        }
    }
}

impl<'a> Piece<'a> {
    #[inline]
    pub fn of(attribute: &Attribute<'a, '_>) -> Self {
        match attribute.value {
            Value::String(text) => Piece::Sent(text),
            _ => Piece::Json(attribute.json.0, attribute.json.1),
        }
    }

    pub fn bytes<'j>(self, json: &'j [u8]) -> Read<&'j [u8]>
    where
        'a: 'j,
    {
        match self {
            Piece::Sent(text) => Ok(text),
            Piece::Json(start, end) => json.get(start..end).ok_or(Unusual),
        }
    }
}

/// Adds a part behind one space; an empty one is none.
fn append(line: &mut Vec<u8>, part: &[u8]) {
    if part.is_empty() {
        return;
    }
    if !line.is_empty() {
        line.push(b' ');
    }
    line.extend_from_slice(part);
}

/// The first so many characters of UTF-8.
#[inline]
fn cut(text: &[u8], characters: usize) -> &[u8] {
    if text.len() <= characters {
        return text;
    }
    let is_start = |byte: &u8| (*byte as i8) >= -0x40;
    let end = text.iter().enumerate().filter(|(_, byte)| is_start(byte)).nth(characters);
    end.map_or(text, |(end, _)| &text[..end])
}

fn is_redacted(text: &[u8]) -> bool {
    std::str::from_utf8(text).map_or(false, |text| text.trim_matches(is_space).as_bytes() == REDACTED)
}
