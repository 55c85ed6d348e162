//! `AnyValue` and `KeyValue`: read from the wire, checked, and written as JSON.
//!
//! The JSON is that of `receiver/decode/anyvalue.py`, byte for byte.

use std::io::Write;

use crate::wire::{boolean, check_utf8, first_bytes, lone_bytes, once, Fields, Read, Unusual, Wire};

/// Levels of arrays and key-value lists that are opened here; the reference decoder goes deeper.
const DEPTH: usize = 32;
/// Values in one list of attributes; above this the reference decoder counts them.
const VALUES: usize = 100_000;
/// Lists up to this length are compared pair by pair for doubled keys.
const FEW: usize = 24;

#[derive(Clone, Copy)]
pub enum Value<'a> {
    Empty,
    String(&'a [u8]),
    Bool(bool),
    Int(i64),
    Double(f64),
    Array(&'a [u8]),
    Kvlist(&'a [u8]),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    #[inline]
    pub fn read(message: &'a [u8]) -> Read<Value<'a>> {
        if let Some(text) = lone_bytes(message, 0x0a) {
            return Ok(Value::String(text));
        }
        let mut fields = Fields::of(message);
        let value = match fields.next()? {
            None => return Ok(Value::Empty),
            Some((1, Wire::Bytes(bytes))) => Value::String(bytes),
            Some((2, Wire::Varint(raw))) => Value::Bool(boolean(raw)?),
            Some((3, Wire::Varint(raw))) => Value::Int(raw as i64),
            Some((4, Wire::Fixed64(raw))) => Value::Double(f64::from_bits(raw)),
            Some((5, Wire::Bytes(bytes))) => Value::Array(bytes),
            Some((6, Wire::Bytes(bytes))) => Value::Kvlist(bytes),
            Some((7, Wire::Bytes(bytes))) => Value::Bytes(bytes),
            Some(_) => return Err(Unusual),
        };
        match fields.next()? {
            None => Ok(value),
            Some(_) => Err(Unusual), // a oneof set twice, or a field of a later OTLP
        }
    }
}

/// A key as it came and its value; one without a value has an empty one.
#[inline]
pub fn key_value(message: &[u8]) -> Read<(&[u8], Value<'_>)> {
    if let Some((key, rest)) = first_bytes(message, 0x0a) {
        if let Some(value) = lone_bytes(rest, 0x12) {
            return Ok((key, Value::read(value)?));
        }
    }
    any_key_value(message)
}

fn any_key_value(message: &[u8]) -> Read<(&[u8], Value<'_>)> {
    let (mut key, mut value, mut seen) = (&message[..0], Value::Empty, 0);
    let mut fields = Fields::of(message);
    while let Some((number, wire)) = fields.next()? {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => key = bytes,
            (2, Wire::Bytes(bytes)) => value = Value::read(bytes)?,
            _ => return Err(Unusual),
        }
        once(&mut seen, number)?;
    }
    Ok((key, value))
}

/// Checks key-values and their values, and shows them.
pub fn check_attributes<'a>(
    pairs: &[&'a [u8]],
    mut visit: impl FnMut(&'a [u8], Value<'a>) -> Read<()>,
) -> Read<()> {
    let mut count = 0;
    for pair in pairs {
        let (key, value) = key_value(pair)?;
        check_utf8(key)?;
        check_value(value, 0, &mut count)?;
        visit(key, value)?;
    }
    Ok(())
}

pub fn check_value(value: Value<'_>, depth: usize, count: &mut usize) -> Read<()> {
    *count += 1;
    if *count > VALUES {
        return Err(Unusual);
    }
    match value {
        Value::String(bytes) => check_utf8(bytes),
        Value::Array(bytes) => {
            for_each_element(bytes, depth, |element| {
                check_value(Value::read(element)?, depth + 1, count)
            })
        }
        Value::Kvlist(bytes) => {
            let mut keys = Vec::new();
            for_each_element(bytes, depth, |pair| {
                let (key, value) = key_value(pair)?;
                check_utf8(key)?;
                keys.push(key);
                check_value(value, depth + 1, count)
            })?;
            distinct(&mut keys)
        }
        _ => Ok(()),
    }
}

/// Arrays and key-value lists both are messages of one repeated message field.
fn for_each_element<'a>(
    list: &'a [u8],
    depth: usize,
    mut each: impl FnMut(&'a [u8]) -> Read<()>,
) -> Read<()> {
    if depth >= DEPTH {
        return Err(Unusual);
    }
    let mut fields = Fields::of(list);
    while let Some(field) = fields.next()? {
        match field {
            (1, Wire::Bytes(bytes)) => each(bytes)?,
            _ => return Err(Unusual),
        }
    }
    Ok(())
}

/// Doubled keys inside a value are for the reference decoder.
fn distinct(keys: &mut Vec<&[u8]>) -> Read<()> {
    if keys.len() <= FEW {
        for (place, key) in keys.iter().enumerate() {
            if keys[..place].contains(key) {
                return Err(Unusual);
            }
        }
        return Ok(());
    }
    keys.sort_unstable();
    match keys.windows(2).any(|two| two[0] == two[1]) {
        true => Err(Unusual),
        false => Ok(()),
    }
}

pub fn write_value(value: Value<'_>, out: &mut Vec<u8>, depth: usize) -> Read<()> {
    match value {
        Value::Empty => out.extend_from_slice(b"{\"@empty\":true}"),
        Value::String(bytes) => write_string(bytes, out),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Int(number) => write_integer(number, out),
        Value::Double(number) => write_double(number, out),
        Value::Bytes(bytes) => {
            out.extend_from_slice(b"{\"@bytes\":\"");
            write_base64(bytes, out);
            out.extend_from_slice(b"\"}");
        }
        Value::Array(bytes) => {
            out.push(b'[');
            let mut first = true;
            for_each_element(bytes, depth, |element| {
                separate(&mut first, out);
                write_value(Value::read(element)?, out, depth + 1)
            })?;
            out.push(b']');
        }
        Value::Kvlist(bytes) => {
            out.push(b'{');
            let mut first = true;
            for_each_element(bytes, depth, |pair| {
                separate(&mut first, out);
                let (key, value) = key_value(pair)?;
                write_key(key, out);
                write_value(value, out, depth + 1)
            })?;
            out.push(b'}');
        }
    }
    Ok(())
}

#[inline]
pub fn separate(first: &mut bool, out: &mut Vec<u8>) {
    if !*first {
        out.push(b',');
    }
    *first = false;
}

/// A key of an object and its colon; one that begins with @ gets one more.
pub fn write_key(key: &[u8], out: &mut Vec<u8>) {
    if key.first() == Some(&b'@') {
        out.extend_from_slice(b"\"@");
        escape(key, out);
        out.push(b'"');
    } else {
        write_string(key, out);
    }
    out.push(b':');
}

#[inline]
pub fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    escape(text, out);
    out.push(b'"');
}

#[inline]
fn must_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// True if one of eight bytes must be escaped.
#[inline]
fn any_must_escape(eight: [u8; 8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let word = u64::from_le_bytes(eight);
    let is_below = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word & (ONES << 7) != 0;
    let has = |byte: u8| is_below(word ^ (ONES * u64::from(byte)), 1);
    is_below(word, 0x20) || has(b'"') || has(b'\\')
}

/// True if some byte must be escaped; hardly any text has one.
#[inline]
fn needs_escape(text: &[u8]) -> bool {
    let eight = |bytes: &[u8]| bytes.try_into().map_or(true, any_must_escape);
    match text.len() {
        0..=7 => text.iter().any(|&byte| must_escape(byte)),
        length => text.chunks_exact(8).any(eight) || eight(&text[length - 8..]),
    }
}

fn escape(text: &[u8], out: &mut Vec<u8>) {
    if !needs_escape(text) {
        out.extend_from_slice(text);
        return;
    }
    let mut rest = text;
    while let Some(at) = rest.iter().position(|&byte| must_escape(byte)) {
        out.extend_from_slice(&rest[..at]);
        let short = match rest[at] {
            b'"' => b'"',
            b'\\' => b'\\',
            8 => b'b',
            9 => b't',
            10 => b'n',
            12 => b'f',
            13 => b'r',
            _ => 0,
        };
        if short != 0 {
            out.extend_from_slice(&[b'\\', short]);
        } else {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            let byte = usize::from(rest[at]);
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[DIGITS[byte >> 4], DIGITS[byte & 15]]);
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

pub fn write_integer(number: i64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    out.extend_from_slice(&digits[at..]);
}

/// Writes a double as Python's `repr` does: the shortest digits that give it back, with `.` or `e`.
pub fn write_double(number: f64, out: &mut Vec<u8>) {
    if !number.is_finite() {
        out.extend_from_slice(b"{\"@double\":\"");
        out.extend_from_slice(match (number.is_nan(), number > 0.0) {
            (true, _) => b"NaN".as_slice(),
            (false, true) => b"Infinity".as_slice(),
            (false, false) => b"-Infinity".as_slice(),
        });
        out.extend_from_slice(b"\"}");
        return;
    }
    let mut room = [0u8; 32]; // 17 digits, a point and "e-324" need 23
    let rest = {
        let mut rest: &mut [u8] = &mut room;
        let _ = write!(rest, "{:e}", number.abs());
        rest.len()
    };
    let scientific = &mut room[..32 - rest];
    let at = scientific.iter().position(|&byte| byte == b'e').unwrap_or(scientific.len());
    let exponent = small_integer(scientific.get(at + 1..).unwrap_or_default());
    let digits: &[u8] = if at > 1 {
        scientific[1] = scientific[0]; // over the point
        &scientific[1..at]
    } else {
        &scientific[..at]
    };
    if number.is_sign_negative() {
        out.push(b'-');
    }
    if !(-4..16).contains(&exponent) {
        out.push(digits[0]);
        if digits.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        let size = exponent.unsigned_abs();
        if size < 10 {
            out.push(b'0');
        }
        write_integer(i64::from(size), out);
        return;
    }
    if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + (-exponent - 1) as usize, b'0');
        out.extend_from_slice(digits);
        return;
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        out.extend_from_slice(digits);
        out.resize(out.len() + whole - digits.len(), b'0');
        out.extend_from_slice(b".0");
    } else {
        out.extend_from_slice(&digits[..whole]);
        out.push(b'.');
        out.extend_from_slice(&digits[whole..]);
    }
}

/// The value of at most three digits behind an optional sign.
fn small_integer(text: &[u8]) -> i32 {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let size = digits.iter().fold(0, |sum, digit| sum * 10 + i32::from(digit - b'0'));
    if is_negative {
        -size
    } else {
        size
    }
}

fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .enumerate()
            .fold(0u32, |word, (place, &byte)| word | u32::from(byte) << (16 - 8 * place));
        for place in 0..4 {
            if place <= chunk.len() {
                out.push(ALPHABET[(word >> (18 - 6 * place) & 63) as usize]);
            } else {
                out.push(b'=');
            }
        }
    }
}

pub fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}
