//! Identifiers taken apart into words: the same as `split_identifiers` in `receiver/decode/text_form.py`.

/// Names that a reader, and the model, takes for one word although they are written in two cases.
const WHOLE_NAMES: [&[u8]; 29] = [
    b"OAuth",
    b"OAuth2",
    b"GitHub",
    b"GitLab",
    b"JavaScript",
    b"TypeScript",
    b"PostgreSQL",
    b"MySQL",
    b"NoSQL",
    b"GraphQL",
    b"MongoDB",
    b"DynamoDB",
    b"DuckDB",
    b"MariaDB",
    b"ClickHouse",
    b"RabbitMQ",
    b"ActiveMQ",
    b"PyPI",
    b"LaTeX",
    b"macOS",
    b"iOS",
    b"iPhone",
    b"IPv4",
    b"IPv6",
    b"YouTube",
    b"PowerShell",
    b"DevOps",
    b"OpenAI",
    b"DeepSeek",
];

/// Adds the text with a space before each inner word of its camel-case words.
pub fn split_words(text: &[u8], out: &mut Vec<u8>) {
    let (mut copied, mut whole_end) = (0, 0);
    let mut word_end = 0;
    for (at, byte) in text.iter().enumerate() {
        if !byte.is_ascii_uppercase() || !is_edge(text, at) {
            continue;
        }
        if at >= word_end {
            let start = at - text[..at].iter().rev().take_while(|byte| is_word(byte)).count();
            word_end = at + text[at..].iter().take_while(|byte| is_word(byte)).count();
            if WHOLE_NAMES.contains(&&text[start..word_end]) {
                whole_end = word_end;
            }
        }
        if at >= whole_end {
            out.extend_from_slice(&text[copied..at]);
            out.push(b' ');
            copied = at;
        }
    }
    out.extend_from_slice(&text[copied..]);
}

/// True if a word begins with the capital here although letters or digits stand before it.
///
/// A capital behind a small letter is one, or before one behind a capital or digit: the last of an acronym's
/// capitals begins the next word, but for `URLs`.
#[inline]
fn is_edge(text: &[u8], at: usize) -> bool {
    let is_small = |at: usize| text.get(at).map_or(false, u8::is_ascii_lowercase);
    match at.checked_sub(1).and_then(|before| text.get(before)) {
        Some(b'a'..=b'z') => true,
        Some(b'A'..=b'Z' | b'0'..=b'9') => {
            is_small(at + 1) && (text.get(at + 1) != Some(&b's') || is_small(at + 2))
        }
        _ => false,
    }
}

/// The length of what separates words here, if that is what stands here.
#[inline]
pub fn separator(text: &[u8], at: usize) -> Option<usize> {
    let (before, rest) = (text.get(..at)?, text.get(at..)?);
    let separates = match rest {
        [b'_', ..] => true,
        [b':', b'/', b'/', ..] => return Some(3),
        [b':', b':', ..] => return Some(2),
        [b'/' | b'\\', after @ ..] => !(starts_with_digit(after) && ends_with_digit(before)),
        [b'.', first, second, ..] => {
            let follows = matches!(before, [.., left, right] if is_word(left) && is_word(right));
            follows && first.is_ascii_alphabetic() && is_word(second)
        }
        [b'-', first, ..] => {
            let follows = match before {
                [.., left, right] => right.is_ascii_alphabetic() && !left.is_ascii_digit(),
                [only] => only.is_ascii_alphabetic(),
                [] => false,
            };
            follows && first.is_ascii_alphabetic()
        }
        _ => false,
    };
    if separates {
        Some(1)
    } else {
        None
    }
}

/// True for what words are made of.
fn is_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn ends_with_digit(text: &[u8]) -> bool {
    let start = text.iter().rposition(|byte| byte & 0xc0 != 0x80);
    start.and_then(|start| text.get(start..)).map_or(false, starts_with_digit)
}

fn starts_with_digit(text: &[u8]) -> bool {
    let length = match text.first() {
        None => return false,
        Some(0..=0x7f) => 1,
        Some(0x80..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(_) => 4,
    };
    let letter = text.get(..length).and_then(|bytes| std::str::from_utf8(bytes).ok());
    letter.and_then(|letter| letter.chars().next()).map_or(false, is_decimal)
}

/// The zeros of the decimal digits of all scripts, as Unicode 14, and with it Python 3.11, knows them; the other
/// nine digits follow each.
#[rustfmt::skip]
const ZEROS: [u32; 66] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0,
    0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620,
    0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0,
    0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0, 0x16a60,
    0x16ac0, 0x16b50, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0,
];

fn is_decimal(letter: char) -> bool {
    let code = u32::from(letter);
    let behind = ZEROS.partition_point(|&zero| zero <= code);
    behind.checked_sub(1).map_or(false, |place| code - ZEROS[place] < 10)
}
