//! Attribute values without meaning for a search: redacted, an id, a hash, a base64 blob.
//!
//! The same as `is_noise_value` in `receiver/decode/text_form.py`.

const REDACTED: [&str; 5] = ["redacted", "masked", "hidden", "filtered", "scrubbed"];

pub fn is_noise(value: &str) -> bool {
    if is_plain_word(value.as_bytes()) {
        return false;
    }
    let value = value.trim_matches(is_space);
    value.is_empty()
        || is_redacted(value)
        || is_id(value.as_bytes())
        || is_data_uri(value.as_bytes())
        || is_base64(value.as_bytes())
}

/// True for what is seen at once to be none: a few letters, fewer with digits; no word for redacted is so short.
fn is_plain_word(value: &[u8]) -> bool {
    let may_be = |byte: &u8| matches!(byte, b'a'..=b'w' | b'A'..=b'W' | b'0'..=b'9');
    let most = if value.iter().any(u8::is_ascii_digit) { 4 } else { 5 };
    !value.is_empty() && value.len() <= most && value.iter().all(may_be)
}

/// White space as Python's `str` knows it: also the four separators of ASCII.
pub fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}

fn is_redacted(value: &str) -> bool {
    if value.chars().all(|letter| matches!(letter, '*' | '\u{2022}')) && value.chars().count() >= 3 {
        return true;
    }
    if value.len() >= 4 && value.bytes().all(|byte| matches!(byte, b'x' | b'X')) {
        return true;
    }
    let inner = value.strip_prefix(|letter| matches!(letter, '<' | '[' | '(')).unwrap_or(value);
    let inner = inner.strip_suffix(|letter| matches!(letter, '>' | ']' | ')')).unwrap_or(inner);
    let word = inner.trim_matches(is_space).chars().map(folded);
    REDACTED.iter().any(|redacted| word.clone().eq(redacted.chars()))
}

/// Letters that Python's `re` takes for ASCII ones where case is ignored.
fn folded(letter: char) -> char {
    match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        '\u{130}' | '\u{131}' => 'i',
        _ => letter.to_ascii_lowercase(),
    }
}

fn is_id(value: &[u8]) -> bool {
    is_uuid(value) || is_hexadecimal(value) || is_number(value) || is_ulid(value) || is_prefixed(value)
}

fn is_uuid(value: &[u8]) -> bool {
    value.len() == 36
        && value.iter().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn is_hexadecimal(value: &[u8]) -> bool {
    let is_hash = |digits: &[u8]| {
        digits.len() >= 8
            && digits.iter().all(u8::is_ascii_hexdigit)
            && digits.iter().any(u8::is_ascii_digit)
    };
    let has_prefix = value.len() > 2 && value[0] == b'0' && matches!(value[1], b'x' | b'X');
    is_hash(value) || (has_prefix && is_hash(&value[2..]))
}

fn is_number(value: &[u8]) -> bool {
    value.len() >= 5 && value.iter().all(u8::is_ascii_digit)
}

fn is_ulid(value: &[u8]) -> bool {
    value.len() == 26
        && value.iter().any(u8::is_ascii_digit)
        && value.iter().all(|byte| {
            byte.is_ascii_digit() || (byte.is_ascii_uppercase() && !matches!(byte, b'I' | b'L' | b'O' | b'U'))
        })
}

/// A few letters, a hyphen or underscore, and a random part: `req_8fK2…`.
fn is_prefixed(value: &[u8]) -> bool {
    let letters = value.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    if !(2..=12).contains(&letters) || !matches!(value.get(letters), Some(b'-' | b'_')) {
        return false;
    }
    let rest = &value[letters + 1..];
    rest.len() >= 16
        && rest.iter().all(u8::is_ascii_alphanumeric)
        && rest.iter().any(u8::is_ascii_digit)
}

fn is_data_uri(value: &[u8]) -> bool {
    let named = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'+' | b'-');
    let rest = match value.strip_prefix(b"data:") {
        Some(rest) => rest,
        None => return false,
    };
    let kind = rest.iter().take_while(|byte| named(byte)).count();
    if kind == 0 || rest.get(kind) != Some(&b'/') {
        return false;
    }
    let rest = &rest[kind + 1..];
    let subtype = rest.iter().take_while(|byte| named(byte)).count();
    subtype > 0 && matches!(rest.get(subtype), Some(b';' | b','))
}

fn is_base64(value: &[u8]) -> bool {
    let padding = value.iter().rev().take_while(|byte| **byte == b'=').count();
    let body = &value[..value.len() - padding];
    padding <= 2
        && body.len() >= 40
        && body.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'_' | b'-'))
        && body.iter().any(u8::is_ascii_uppercase)
        && body.iter().any(u8::is_ascii_lowercase)
        && body.iter().any(u8::is_ascii_digit)
}
