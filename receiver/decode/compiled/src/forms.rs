//! What of a line the model reads: the same as `model_text` in `receiver/decode/text_form.py`.
//!
//! Only ASCII is ever taken away or put in, so that valid UTF-8 stays valid.

use crate::identifiers::{separator, split_words};
use crate::masks::mask;

/// Makes the forms of lines, with the help of what is kept between them.
#[derive(Default)]
pub struct Forms {
    masked: Vec<u8>,
    words: Vec<u8>,
}

impl Forms {
    /// Adds a line's form: masked, identifiers split, white space collapsed; it may be empty.
    pub fn write(&mut self, line: &[u8], out: &mut Vec<u8>) {
        self.masked.clear();
        mask(line, &mut self.masked);
        self.words.clear();
        split_words(&self.masked, &mut self.words);
        collapse(&self.words, out);
    }
}

/// Adds the text with one space in the place of each run of white space and separators, none at its ends.
fn collapse(text: &[u8], out: &mut Vec<u8>) {
    let begin = out.len();
    let (mut at, mut copied) = (0, 0);
    while let Some(&byte) = text.get(at) {
        let gap = match MAY_SEPARATE[usize::from(byte)] {
            true => white_space(&text[at..]).or_else(|| separator(text, at)).unwrap_or(0),
            false => 0,
        };
        if gap == 0 {
            at += 1;
            continue;
        }
        append(&text[copied..at], begin, out);
        at += gap;
        copied = at;
    }
    append(&text[copied..], begin, out);
}

fn append(word: &[u8], begin: usize, out: &mut Vec<u8>) {
    if word.is_empty() {
        return;
    }
    if out.len() != begin {
        out.push(b' ');
    }
    out.extend_from_slice(word);
}

/// The bytes that white space and separators begin with.
const MAY_SEPARATE: [bool; 256] = {
    let mut may = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        may[byte] = matches!(
            byte as u8,
            b'\t'..=b'\r' | 0x1c..=b' ' | b'_' | b':' | b'/' | b'\\' | b'.' | b'-' | 0xc2 | 0xe1..=0xe3
        );
        byte += 1;
    }
    may
};

/// The length of the white space that a text begins with, as Python's `str` knows it.
#[inline]
fn white_space(text: &[u8]) -> Option<usize> {
    match text {
        [b'\t'..=b'\r' | 0x1c..=b' ', ..] => Some(1),
        [0xc2, 0x85 | 0xa0, ..] => Some(2),              // U+0085, U+00A0
        [0xe1, 0x9a, 0x80, ..] => Some(3),               // U+1680
        [0xe2, 0x80, 0x80..=0x8a, ..] => Some(3),        // U+2000 to U+200A
        [0xe2, 0x80, 0xa8 | 0xa9 | 0xaf, ..] => Some(3), // U+2028, U+2029, U+202F
        [0xe2, 0x81, 0x9f, ..] => Some(3),               // U+205F
        [0xe3, 0x80, 0x80, ..] => Some(3),               // U+3000
        _ => None,
    }
}
