//! What an attribute's key means: typed columns, sessions, texts. The rules come from Python, once.

use crate::columns::{Numbers, Strings};
use crate::hot::Hot;
use crate::interner::Interner;
use crate::value::write_key;
use crate::wire::{Read, Unusual};

/// Known keys beyond this are forgotten: clients choose them.
const MOST: usize = 8192;

/// 0 means that it is none of the list; else its place, from 1.
#[derive(Default, Clone)]
pub struct Class {
    /// The key as JSON, with its colon.
    pub json: Vec<u8>,
    pub naming: u8,
    pub content: u8,
    pub general: bool,
    pub session: u8,
    pub is_thread: bool,
    pub is_turn: bool,
    pub is_event_name: bool,
    pub is_gen_ai: bool,
    pub is_service_name: bool,
    pub is_exception_type: bool,
    pub is_exception_message: bool,
    pub hot_span: u8,
    pub hot_log: u8,
}

/// The lists, as `receiver/decode/compiled/library.py` hands them over.
pub struct Rules {
    naming: Vec<Vec<u8>>,
    content: Vec<Vec<u8>>,
    plumbing: Vec<Vec<u8>>,
    identifying: Vec<Vec<u8>>,
    sessions: Vec<Vec<u8>>,
    thread: Vec<u8>,
    turn: Vec<u8>,
    gen_ai: Vec<Vec<u8>>,
    gen_ai_prefixes: Vec<Vec<u8>>,
    hot_spans: Vec<Vec<u8>>,
    hot_logs: Vec<Vec<u8>>,
    hot_integers: Vec<Vec<u8>>,
}

pub struct Keys {
    rules: Rules,
    known: Interner,
    classes: Vec<Class>,
    /// The last list in which each key stood.
    marks: Vec<u64>,
    lists: u64,
    /// What came behind each key when it was last seen, and, first, what a list began with.
    followers: Vec<usize>,
    last: usize,
}

impl Rules {
    /// Reads lists that are parted by byte 30, their entries by byte 31.
    pub fn parse(text: &[u8]) -> Read<Rules> {
        let mut lists = text.split(|&byte| byte == 30).map(|list| {
            list.split(|&byte| byte == 31).map(<[u8]>::to_vec).collect::<Vec<_>>()
        });
        let mut next = || lists.next().ok_or(Unusual);
        Ok(Rules {
            naming: next()?,
            content: next()?,
            plumbing: next()?,
            identifying: next()?,
            sessions: next()?,
            thread: next()?.concat(),
            turn: next()?.concat(),
            gen_ai: next()?,
            gen_ai_prefixes: next()?,
            hot_spans: next()?,
            hot_logs: next()?,
            hot_integers: next()?,
        })
    }

    /// Empty columns for the typed attributes of spans.
    pub fn hot_spans(&self) -> Vec<Hot> {
        self.hot(&self.hot_spans)
    }

    /// Empty columns for the typed attributes of log records.
    pub fn hot_logs(&self) -> Vec<Hot> {
        self.hot(&self.hot_logs)
    }

    fn hot(&self, names: &[Vec<u8>]) -> Vec<Hot> {
        let is_integer = |name: &Vec<u8>| self.hot_integers.contains(name);
        names
            .iter()
            .map(|name| match is_integer(name) {
                true => Hot::Integers(Numbers::default()),
                false => Hot::Strings(Strings::default()),
            })
            .collect()
    }

    pub fn is_agents(&self, name: &[u8]) -> bool {
        self.gen_ai_prefixes.iter().any(|prefix| name.starts_with(prefix))
    }

    fn class(&self, key: &[u8]) -> Class {
        let mut json = Vec::new();
        write_key(key, &mut json);
        let naming = place(&self.naming, key);
        let content = place(&self.content, key);
        Class {
            json,
            naming,
            content,
            general: naming == 0 && content == 0 && self.is_general(key),
            session: place(&self.sessions, key),
            is_thread: key == self.thread.as_slice(),
            is_turn: key == self.turn.as_slice(),
            is_event_name: key == b"event.name",
            is_gen_ai: self.is_agents(key) || place(&self.gen_ai, key) != 0,
            is_service_name: key == b"service.name",
            is_exception_type: key == b"exception.type",
            is_exception_message: key == b"exception.message",
            hot_span: place(&self.hot_spans, key),
            hot_log: place(&self.hot_logs, key),
        }
    }

    /// `receiver.decode.text_attributes.is_general` for keys that no convention names.
    fn is_general(&self, key: &[u8]) -> bool {
        if self.plumbing.iter().any(|prefix| key.starts_with(prefix)) {
            return false;
        }
        let name = String::from_utf8_lossy(key).to_lowercase();
        let last = name.rsplit(|letter| matches!(letter, '.' | '-' | '_')).next().unwrap_or("");
        place(&self.identifying, last.as_bytes()) == 0
    }
}

fn place(list: &[Vec<u8>], entry: &[u8]) -> u8 {
    let found = list.iter().position(|each| each.as_slice() == entry);
    found.map_or(0, |place| place as u8 + 1)
}

impl Keys {
    pub fn new(rules: Rules) -> Self {
        Keys {
            rules,
            known: Interner::default(),
            classes: Vec::new(),
            marks: Vec::new(),
            lists: 0,
            followers: vec![0],
            last: 0,
        }
    }

    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    #[inline]
    pub fn class(&mut self, key: &[u8]) -> &Class {
        let number = self.number(key);
        &self.classes[number]
    }

    /// The class that belongs to a key's number.
    #[inline]
    pub fn numbered(&self, number: usize) -> &Class {
        &self.classes[number]
    }

    /// Starts a list of attributes, for `mark`.
    #[inline]
    pub fn begin_list(&mut self) {
        self.lists += 1;
        self.last = 0;
    }

    /// The key's number, and whether the list in hand had it before.
    #[inline]
    pub fn mark(&mut self, key: &[u8]) -> (usize, bool) {
        let number = self.following(key);
        let is_doubled = self.marks[number] == self.lists;
        self.marks[number] = self.lists;
        (number, is_doubled)
    }

    /// The key's number. Lists of one kind name the same keys in the same order, so it is mostly the expected one.
    #[inline]
    fn following(&mut self, key: &[u8]) -> usize {
        let expected = self.followers[self.last];
        let number = match expected < self.known.len() && self.known.get(expected) == key {
            true => expected,
            false => self.number(key),
        };
        self.followers[self.last] = number;
        self.last = number + 1;
        number
    }

    #[inline]
    fn number(&mut self, key: &[u8]) -> usize {
        let (number, is_new) = self.known.number(key);
        if is_new {
            self.classes.push(self.rules.class(key));
            self.marks.push(0);
            self.followers.push(0);
        }
        number
    }

    /// Forgets the keys if they have become many.
    pub fn bound(&mut self) {
        if self.known.len() > MOST {
            self.known = Interner::default();
            self.classes.clear();
            self.marks.clear();
            self.followers = vec![0];
            self.last = 0;
        }
    }
}
