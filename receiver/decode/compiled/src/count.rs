//! How many messages a request holds, found out before anything is built from it.
//!
//! The same count as `receiver/decode/message_count.py`, which also says why, and which hands over what is
//! counted and what is gone through. Memory does not grow with the request.

use crate::wire::{varint, Read, Unusual};

const FIELDS: usize = 16;
const LENGTH: u64 = 2;
const START_GROUP: u64 = 3;
const END_GROUP: u64 = 4;
const LONGEST_IN_GROUP: u64 = 0x7fff_ffff;

/// The numbers that Python sent do not describe messages.
pub struct Illegible;

/// Why a count ended early.
pub enum Stop {
    TooMany,
    Malformed,
}

impl From<Unusual> for Stop {
    fn from(_: Unusual) -> Stop {
        Stop::Malformed
    }
}

/// A field that holds messages.
#[derive(Clone, Copy)]
struct Part {
    counted: bool,
    is_value: bool,
    /// The message is gone through if it is longer than this.
    enter_above: usize,
    shape: usize,
}

/// The fields of one message that hold messages, by their numbers.
type Shape = [Option<Part>; FIELDS];

/// What is counted of one signal's requests: in every request, and in those that look suspicious.
pub struct Shapes {
    rough: Vec<Shape>,
    thorough: Vec<Shape>,
    /// 1 for each byte that may begin a message inside a record.
    leads: [u8; 256],
}

impl Shapes {
    pub fn parse(words: &[u32]) -> Result<Shapes, Illegible> {
        let mut words = words.iter().copied();
        let rough = shapes(&mut words)?;
        let thorough = shapes(&mut words)?;
        let mut leads = [0u8; 256];
        for lead in words {
            let lead = usize::try_from(lead).map_err(|_| Illegible)?;
            *leads.get_mut(lead).ok_or(Illegible)? = 1;
        }
        Ok(Shapes { rough, thorough, leads })
    }

    /// Fails if the body holds more than `limit` messages, or is malformed where it is gone through.
    pub fn bound(&self, body: &[u8], limit: u64) -> Result<(), Stop> {
        let left = Count::of(&self.rough, limit).through(body)?;
        if self.possible_messages(body) > left {
            Count::of(&self.thorough, limit).through(body)?;
        }
        Ok(())
    }

    /// An upper bound of the messages inside records: each needs its tag.
    fn possible_messages(&self, body: &[u8]) -> u64 {
        body.iter().map(|&byte| u64::from(self.leads[usize::from(byte)])).sum()
    }
}

fn shapes(words: &mut impl Iterator<Item = u32>) -> Result<Vec<Shape>, Illegible> {
    let mut word = || words.next().and_then(|word| usize::try_from(word).ok()).ok_or(Illegible);
    let count = word()?;
    let mut found = Vec::new();
    for _ in 0..count {
        let mut shape: Shape = [None; FIELDS];
        for _ in 0..word()? {
            let number = word()?;
            let part = Part {
                counted: word()? != 0,
                is_value: word()? != 0,
                enter_above: word()?,
                shape: word()?,
            };
            if part.shape >= count {
                return Err(Illegible);
            }
            *shape.get_mut(number).ok_or(Illegible)? = Some(part);
        }
        found.push(shape);
    }
    match found.is_empty() {
        true => Err(Illegible),
        false => Ok(found),
    }
}

/// Counts messages and stops at the limit.
struct Count<'s, 'a> {
    shapes: &'s [Shape],
    left: u64,
    /// Values can nest without an end, so they wait here and not on the stack.
    values: Vec<(usize, &'a [u8])>,
}

impl<'s, 'a> Count<'s, 'a> {
    fn of(shapes: &'s [Shape], limit: u64) -> Self {
        Count { shapes, left: limit, values: Vec::new() }
    }

    /// Returns how many more messages there could be.
    fn through(mut self, body: &'a [u8]) -> Result<u64, Stop> {
        self.walk(0, body)?;
        Ok(self.left)
    }

    /// Recursion ends where the schema does.
    fn walk(&mut self, shape: usize, message: &'a [u8]) -> Result<(), Stop> {
        self.fields(shape, message)?;
        while let Some((shape, value)) = self.values.pop() {
            self.fields(shape, value)?;
        }
        Ok(())
    }

    fn fields(&mut self, shape: usize, message: &'a [u8]) -> Result<(), Stop> {
        let shape = &self.shapes[shape];
        let mut rest = message;
        while !rest.is_empty() {
            let (number, bytes, behind) = field(rest)?;
            rest = behind;
            let part = match bytes.and(shape.get(number)) {
                Some(Some(part)) => *part,
                _ => continue,
            };
            let bytes = bytes.unwrap_or_default();
            if part.counted {
                self.left = self.left.checked_sub(1).ok_or(Stop::TooMany)?;
            }
            if bytes.len() > part.enter_above {
                match part.is_value {
                    true => self.values.push((part.shape, bytes)),
                    false => self.walk(part.shape, bytes)?,
                }
            }
        }
        Ok(())
    }
}

/// The first field's number, what is in it if it is length-delimited, and what follows. A group is one field.
#[inline]
fn field(message: &[u8]) -> Read<(usize, Option<&[u8]>, &[u8])> {
    let (tag, rest) = short_varint(message)?;
    if !(8..=u64::from(u32::MAX)).contains(&tag) {
        return Err(Unusual);
    }
    let number = (tag >> 3) as usize;
    match tag & 7 {
        LENGTH => {
            let (bytes, rest) = delimited(rest, u64::MAX)?;
            Ok((number, Some(bytes), rest))
        }
        START_GROUP => Ok((number, None, behind_group(tag, rest)?)),
        _ => Ok((number, None, behind_scalar(tag, rest)?)),
    }
}

#[inline(always)]
fn short_varint(bytes: &[u8]) -> Read<(u64, &[u8])> {
    match bytes {
        [first, rest @ ..] if *first < 0x80 => Ok((u64::from(*first), rest)),
        _ => varint(bytes),
    }
}

#[inline]
fn delimited(bytes: &[u8], longest: u64) -> Read<(&[u8], &[u8])> {
    let (length, rest) = short_varint(bytes)?;
    match usize::try_from(length) {
        Ok(size) if length <= longest && size <= rest.len() => Ok(rest.split_at(size)),
        _ => Err(Unusual),
    }
}

fn behind_scalar(tag: u64, rest: &[u8]) -> Read<&[u8]> {
    match tag & 7 {
        0 => varint(rest).map(|(_, behind)| behind),
        1 => rest.get(8..).ok_or(Unusual),
        5 => rest.get(4..).ok_or(Unusual),
        _ => Err(Unusual),
    }
}

/// Skips a group, whatever is nested in it; like upb, reads no field numbers.
fn behind_group(tag: u64, message: &[u8]) -> Read<&[u8]> {
    let mut open = vec![tag >> 3];
    let mut rest = message;
    while !open.is_empty() {
        let (tag, behind) = varint(rest)?;
        rest = match tag & 7 {
            START_GROUP => {
                open.push(tag >> 3);
                behind
            }
            END_GROUP if open.pop() == Some(tag >> 3) => behind,
            LENGTH => delimited(behind, LONGEST_IN_GROUP)?.1,
            _ => behind_scalar(tag, behind)?,
        };
    }
    Ok(rest)
}
