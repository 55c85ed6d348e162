//! Ids, long numbers, hashes and times of day in a text give way to a mask: the same as `mask` in
//! `receiver/decode/text_form.py`, whose text says what counts as noise.
//!
//! Whatever is kept or masked begins at a word, which is a run of ASCII letters and digits, and ends before
//! something else; only the date of a model's name begins before one.

const MASK: u8 = b'#';
const UUID_GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
/// Words behind which a number is a code.
const CODE_WORDS: [&[u8]; 6] = [b"code", b"error", b"errno", b"status", b"hresult", b"sqlstate"];

/// What begins at a word, and where it ends.
enum Found {
    Kept(usize),
    Noise(usize),
}

/// Adds the text with a mask in the place of each piece of noise; one without any digit has none.
pub fn mask(text: &[u8], out: &mut Vec<u8>) {
    if !text.iter().any(u8::is_ascii_digit) {
        out.extend_from_slice(text);
        return;
    }
    let (mut at, mut copied) = (0, 0);
    while let Some(&byte) = text.get(at) {
        let kinds = KINDS[usize::from(byte)];
        if kinds == 0 {
            at = match byte {
                b'-' | b'@' => model_date(text, at).unwrap_or(at + 1),
                _ => at + 1,
            };
            continue;
        }
        let word = Word::at(text, at);
        match word.found(text) {
            Some(Found::Kept(end)) => at = end,
            Some(Found::Noise(end)) => {
                out.extend_from_slice(&text[copied..at]);
                out.push(MASK);
                copied = end;
                at = end;
            }
            None => at = word.end,
        }
    }
    out.extend_from_slice(&text[copied..]);
}

const DIGIT: u8 = 1;
const HEX_LOWER: u8 = 2;
const HEX_UPPER: u8 = 4;
const LOWER: u8 = 8;
const UPPER: u8 = 16;

/// The kind of each byte that words are made of; 0 for the others.
const KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        kinds[byte] = match byte as u8 {
            b'0'..=b'9' => DIGIT,
            b'a'..=b'f' => HEX_LOWER,
            b'A'..=b'F' => HEX_UPPER,
            b'g'..=b'z' => LOWER,
            b'G'..=b'Z' => UPPER,
            _ => 0,
        };
        byte += 1;
    }
    kinds
};

struct Word {
    start: usize,
    end: usize,
    /// The kinds of its bytes.
    kinds: u8,
}

impl Word {
    /// The word that begins here.
    #[inline]
    fn at(text: &[u8], start: usize) -> Word {
        let (mut end, mut kinds) = (start, 0);
        while let Some(&byte) = text.get(end) {
            let kind = KINDS[usize::from(byte)];
            if kind == 0 {
                break;
            }
            kinds |= kind;
            end += 1;
        }
        Word { start, end, kinds }
    }

    fn len(&self) -> usize {
        self.end - self.start
    }

    fn is_of(&self, kinds: u8) -> bool {
        self.kinds & !kinds == 0
    }

    #[inline]
    fn found(&self, text: &[u8]) -> Option<Found> {
        if self.kinds & DIGIT == 0 {
            let kept = self.behind_capitals(text).or_else(|| self.behind_code_word(text)).map(Found::Kept);
            return kept.or_else(|| self.uuid(text).map(Found::Noise));
        }
        let hash = || if self.is_hash(text) { Some(self.end) } else { None };
        let end = self.uuid(text).or_else(|| self.time(text)).or_else(hash).or_else(|| self.number(text));
        end.map(Found::Noise)
    }

    /// `ORA-00942`, `CVE-2024-12345`
    #[inline]
    fn behind_capitals(&self, text: &[u8]) -> Option<usize> {
        if !self.is_of(HEX_UPPER | UPPER) || self.len() < 2 || text.get(self.end) != Some(&b'-') {
            return None;
        }
        let first = Word::at(text, self.end + 1);
        if first.kinds != DIGIT {
            return None;
        }
        let is_code = |word: &Word| word.kinds == DIGIT && (4..=7).contains(&word.len());
        if text.get(first.end) == Some(&b'-') {
            let second = Word::at(text, first.end + 1);
            if is_code(&second) {
                return Some(second.end);
            }
        }
        if is_code(&first) {
            Some(first.end)
        } else {
            None
        }
    }

    /// `error 10061`, `code: 0x80070005`
    #[inline]
    fn behind_code_word(&self, text: &[u8]) -> Option<usize> {
        if !(4..=8).contains(&self.len()) || !text.get(self.end).map_or(false, is_between) {
            return None;
        }
        let word = &text[self.start..self.end];
        if !CODE_WORDS.iter().any(|code_word| word.eq_ignore_ascii_case(code_word)) {
            return None;
        }
        let between = text[self.end..].iter().take(4).take_while(|byte| is_between(byte)).count();
        let code = Word::at(text, self.end + between);
        let is_code = match code.hexadecimal(text) {
            Some(digits) => (4..=8).contains(&digits.len()),
            None => code.kinds == DIGIT && (5..=6).contains(&code.len()),
        };
        if between <= 3 && is_code {
            Some(code.end)
        } else {
            None
        }
    }

    /// The digits of a hexadecimal number with its prefix.
    fn hexadecimal(&self, text: &[u8]) -> Option<Word> {
        let is_prefixed = matches!(text[self.start..self.end], [b'0', b'x' | b'X', ..]);
        let digits = if is_prefixed { Word::at(text, self.start + 2) } else { return None };
        if digits.is_of(DIGIT | HEX_LOWER | HEX_UPPER) {
            Some(digits)
        } else {
            None
        }
    }

    fn uuid(&self, text: &[u8]) -> Option<usize> {
        if self.len() != UUID_GROUPS[0] {
            return None;
        }
        let mut at = self.start;
        for (place, &length) in UUID_GROUPS.iter().enumerate() {
            if place != 0 {
                if text.get(at) != Some(&b'-') {
                    return None;
                }
                at += 1;
            }
            let group = Word::at(text, at);
            if group.len() != length || !group.is_of(DIGIT | HEX_LOWER | HEX_UPPER) {
                return None;
            }
            at = group.end;
        }
        Some(at)
    }

    /// A date and a time, with a fraction of a second and a zone where these are complete.
    fn time(&self, text: &[u8]) -> Option<usize> {
        if self.len() != 4 || !is_like(&text[self.start..], b"0000-00-00T00:00:00") {
            return None;
        }
        let seconds = self.start + 19;
        let with_zone = |at: usize| zone(text, at).filter(|&end| is_end(text, end));
        let bare = |at: usize| if is_end(text, at) { Some(at) } else { None };
        let fraction = match text.get(seconds) {
            Some(b'.' | b',') => Some(digits_end(text, seconds + 1)).filter(|&end| end > seconds + 1),
            _ => None,
        };
        fraction
            .and_then(|end| with_zone(end).or_else(|| bare(end)))
            .or_else(|| with_zone(seconds))
            .or_else(|| bare(seconds))
    }

    /// Hexadecimal of eight digits and more, a letter and a number among them.
    fn is_hash(&self, text: &[u8]) -> bool {
        let is_long = |digits: &Word| {
            digits.len() >= 8
                && digits.is_of(DIGIT | HEX_LOWER | HEX_UPPER)
                && digits.kinds & DIGIT != 0
                && digits.kinds != DIGIT
        };
        is_long(self) || self.hexadecimal(text).map_or(false, |digits| is_long(&digits))
    }

    /// A number of five digits and more before or behind its point, which is not a part of a version.
    fn number(&self, text: &[u8]) -> Option<usize> {
        let is_digit = |at: Option<usize>| at.and_then(|at| text.get(at)).map_or(false, u8::is_ascii_digit);
        let is_dot = |at: Option<usize>| at.and_then(|at| text.get(at)) == Some(&b'.');
        if self.kinds != DIGIT || (is_dot(self.start.checked_sub(1)) && is_digit(self.start.checked_sub(2))) {
            return None;
        }
        let mut end = self.end;
        let mut is_long = self.len() >= 5;
        if is_dot(Some(end)) && is_digit(Some(end + 1)) {
            end = digits_end(text, end + 1);
            is_long |= end - self.end > 5;
        }
        if is_long && is_end(text, end) && !(is_dot(Some(end)) && is_digit(Some(end + 1))) {
            Some(end)
        } else {
            None
        }
    }
}

/// `-20241022`, `@20240620` behind a model's name
#[inline]
fn model_date(text: &[u8], at: usize) -> Option<usize> {
    let before = text.get(at.checked_sub(1)?)?;
    let date = text.get(at + 1..at + 9)?;
    let is_date = matches!(before, b'a'..=b'z' | b'0'..=b'9')
        && is_like(date, b"00000000")
        && date.starts_with(b"20")
        && matches!(date[4], b'0' | b'1')
        && matches!(date[6], b'0'..=b'3');
    if is_date && is_end(text, at + 9) {
        Some(at + 9)
    } else {
        None
    }
}

/// What may stand between a word and its code: space, and a few marks.
fn is_between(byte: &u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ' | b':' | b'=' | b'#' | b'-')
}

fn is_end(text: &[u8], at: usize) -> bool {
    !text.get(at).map_or(false, u8::is_ascii_alphanumeric)
}

fn digits_end(text: &[u8], start: usize) -> usize {
    start + text[start..].iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// True if the text begins like the pattern: a 0 stands for any digit, a T also for a space.
fn is_like(text: &[u8], pattern: &[u8]) -> bool {
    text.len() >= pattern.len()
        && text.iter().zip(pattern).all(|(byte, like)| match like {
            b'0' => byte.is_ascii_digit(),
            b'T' => matches!(byte, b'T' | b' '),
            other => byte == other,
        })
}

/// Where a time's zone ends.
fn zone(text: &[u8], at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    match rest.first()? {
        b'Z' => Some(at + 1),
        b'+' | b'-' if is_like(&rest[1..], b"00:00") => Some(at + 6),
        b'+' | b'-' if is_like(&rest[1..], b"0000") => Some(at + 5),
        _ => None,
    }
}
