//! What a content attribute says: of JSON messages their texts, the last user turn first.
//!
//! The same as `content_text` in `receiver/decode/text_attributes.py`; JSON that its parser may read in another
//! way (lone surrogates, doubled names, deep nesting, huge numbers) is not judged here.

use std::borrow::Cow;

const MOST_BYTES: usize = 200_000;
const DEPTH: usize = 64;
const STRUCTURE: [&str; 6] = ["type", "role", "id", "finish_reason", "mime_type", "@bytes"];

pub enum Said<'a> {
    Text(Cow<'a, [u8]>),
    Unsure,
}

enum Json<'a> {
    String(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
    Other,
}

enum Fault {
    Invalid,
    Unsure,
}

pub fn said(value: &[u8]) -> Said<'_> {
    if !matches!(value.first(), Some(b'[' | b'{')) {
        return Said::Text(Cow::Borrowed(value)); // the caller looks for what is redacted
    }
    let text = match std::str::from_utf8(value) {
        Ok(text) if text.len() <= MOST_BYTES => text,
        _ => return Said::Unsure,
    };
    match parse(text) {
        Ok(json) => Said::Text(Cow::Owned(words(&json).into_bytes())),
        Err(Fault::Invalid) => Said::Text(Cow::Borrowed(value)),
        Err(Fault::Unsure) => Said::Unsure,
    }
}

fn words(json: &Json<'_>) -> String {
    if let Json::List(items) = json {
        let turns: Vec<_> = items.iter().filter(|item| matches!(item, Json::Object(_))).collect();
        if turns.iter().any(|turn| field(turn, "role").is_some() || field(turn, "parts").is_some()) {
            let is_user = |turn: &&Json<'_>| matches!(field(turn, "role"), Some(Json::String(role)) if role == "user");
            let last = turns.iter().rposition(is_user);
            let rest = (0..turns.len()).rev().filter(|&place| Some(place) != last);
            let told = last.into_iter().chain(rest).map(|place| turn_words(turns[place]));
            return told.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ");
        }
    }
    joined(json)
}

fn turn_words(turn: &Json<'_>) -> String {
    field(turn, "parts").or_else(|| field(turn, "content")).map_or_else(String::new, joined)
}

fn field<'j, 'a>(turn: &'j Json<'a>, name: &str) -> Option<&'j Json<'a>> {
    match turn {
        Json::Object(fields) => fields.iter().find(|(key, _)| key == name).map(|(_, value)| value),
        _ => None,
    }
}

fn joined(json: &Json<'_>) -> String {
    let mut found = Vec::new();
    strings(json, &mut found);
    found.join(" ")
}

fn strings<'j>(json: &'j Json<'_>, found: &mut Vec<&'j str>) {
    match json {
        Json::String(text) => found.push(text),
        Json::List(items) => items.iter().for_each(|item| strings(item, found)),
        Json::Object(fields) => {
            for (key, value) in fields {
                if !STRUCTURE.contains(&key.as_ref()) {
                    strings(value, found);
                }
            }
        }
        Json::Other => {}
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

fn parse(text: &str) -> Result<Json<'_>, Fault> {
    let mut parser = Parser { text, at: 0 };
    let json = parser.value(0)?;
    parser.space();
    if parser.at == text.len() {
        Ok(json)
    } else {
        Err(Fault::Invalid)
    }
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.peek() != Some(byte) {
            return Err(Fault::Invalid);
        }
        self.at += 1;
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Json<'a>, Fault> {
        if depth > DEPTH {
            return Err(Fault::Unsure);
        }
        self.space();
        match self.peek() {
            Some(b'"') => Ok(Json::String(self.string()?)),
            Some(b'[') => self.list(depth),
            Some(b'{') => self.object(depth),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(Fault::Invalid),
        }
    }

    fn word(&mut self, word: &str) -> Result<Json<'a>, Fault> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(Fault::Invalid);
        }
        self.at += word.len();
        Ok(Json::Other)
    }

    fn digits(&mut self) -> Result<usize, Fault> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        match self.at - start {
            0 => Err(Fault::Invalid),
            count if count > 100 => Err(Fault::Unsure),
            count => Ok(count),
        }
    }

    fn number(&mut self) -> Result<Json<'a>, Fault> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let starts_with_zero = self.peek() == Some(b'0');
        let whole = self.digits()?;
        if starts_with_zero && whole > 1 {
            return Err(Fault::Invalid);
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits()? > 2 {
                return Err(Fault::Unsure); // it may be too large for a double, which is an error there
            }
        }
        Ok(Json::Other)
    }

    fn list(&mut self, depth: usize) -> Result<Json<'a>, Fault> {
        self.expect(b'[')?;
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => {
                    self.expect(b']')?;
                    return Ok(Json::List(items));
                }
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json<'a>, Fault> {
        self.expect(b'{')?;
        let mut fields: Vec<(Cow<'a, str>, Json<'a>)> = Vec::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(fields));
        }
        loop {
            self.space();
            let key = self.string()?;
            if fields.len() > 256 || fields.iter().any(|(other, _)| *other == key) {
                return Err(Fault::Unsure);
            }
            self.space();
            self.expect(b':')?;
            let value = self.value(depth + 1)?;
            fields.push((key, value));
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => {
                    self.expect(b'}')?;
                    return Ok(Json::Object(fields));
                }
            }
        }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        self.expect(b'"')?;
        let start = self.at;
        let mut owned: Option<String> = None;
        let mut copied = start;
        loop {
            match self.peek() {
                None | Some(0..=0x1f) => return Err(Fault::Invalid),
                Some(b'"') => {
                    let tail = &self.text[copied..self.at];
                    self.at += 1;
                    return Ok(match owned {
                        None => Cow::Borrowed(tail),
                        Some(mut text) => {
                            text.push_str(tail);
                            Cow::Owned(text)
                        }
                    });
                }
                Some(b'\\') => {
                    let text = owned.get_or_insert_with(String::new);
                    text.push_str(&self.text[copied..self.at]);
                    self.at += 1;
                    let letter = self.escaped()?;
                    text.push(letter);
                    copied = self.at;
                }
                Some(_) => self.at += 1,
            }
        }
    }

    fn escaped(&mut self) -> Result<char, Fault> {
        let byte = self.peek().ok_or(Fault::Invalid)?;
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => byte as char,
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.four_digits()?;
                match first {
                    0xd800..=0xdbff => {
                        if self.peek() != Some(b'\\') {
                            return Err(Fault::Unsure);
                        }
                        self.at += 1;
                        if self.peek() != Some(b'u') {
                            return Err(Fault::Unsure);
                        }
                        self.at += 1;
                        let second = self.four_digits()?;
                        if !(0xdc00..=0xdfff).contains(&second) {
                            return Err(Fault::Unsure);
                        }
                        let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                        char::from_u32(code).ok_or(Fault::Unsure)?
                    }
                    0xdc00..=0xdfff => return Err(Fault::Unsure),
                    code => char::from_u32(code).ok_or(Fault::Unsure)?,
                }
            }
            _ => return Err(Fault::Invalid),
        })
    }

    fn four_digits(&mut self) -> Result<u32, Fault> {
        let bytes = self.text.as_bytes().get(self.at..self.at + 4).ok_or(Fault::Invalid)?;
        let mut code = 0;
        for &byte in bytes {
            code = code * 16 + (byte as char).to_digit(16).ok_or(Fault::Invalid)?;
        }
        self.at += 4;
        Ok(code)
    }
}
