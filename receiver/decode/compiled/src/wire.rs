//! Protobuf's wire format, read strictly: what is unusual is left to the reference decoder.
//!
//! Source: <https://protobuf.dev/programming-guides/encoding/>

/// These bytes are not for this decoder: malformed, or valid in a way that hardly any exporter writes.
#[derive(Debug)]
pub struct Unusual;

pub type Read<T> = Result<T, Unusual>;

/// A message of one length-delimited field whose tag and length take a byte each, as most are.
#[inline(always)]
pub fn lone_bytes(message: &[u8], tag: u8) -> Option<&[u8]> {
    match message {
        [first, length, bytes @ ..] if *first == tag && *length < 0x80 && bytes.len() == usize::from(*length) => Some(bytes),
        _ => None,
    }
}

/// The first field of a message and the rest, where it is length-delimited and its tag and length take a byte each.
#[inline(always)]
pub fn first_bytes(message: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    match message {
        [first, length, rest @ ..] if *first == tag && *length < 0x80 && rest.len() >= usize::from(*length) => {
            Some(rest.split_at(usize::from(*length)))
        }
        _ => None,
    }
}

/// The value of one field.
pub enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// The fields of one message, in their order.
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub fn of(message: &'a [u8]) -> Self {
        Fields { rest: message }
    }

    /// The next field's number and value; None behind the last.
    #[inline(always)]
    pub fn next(&mut self) -> Read<Option<(u32, Wire<'a>)>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        if tag > u64::from(u32::MAX) || tag < 8 {
            return Err(Unusual);
        }
        let wire = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(u64::from_le_bytes(
                self.take(8)?.try_into().map_err(|_| Unusual)?,
            )),
            2 => {
                let length = self.varint()?;
                Wire::Bytes(self.take(usize::try_from(length).map_err(|_| Unusual)?)?)
            }
            5 => Wire::Fixed32(u32::from_le_bytes(
                self.take(4)?.try_into().map_err(|_| Unusual)?,
            )),
            _ => return Err(Unusual), // groups, and types that do not exist
        };
        Ok(Some(((tag >> 3) as u32, wire)))
    }

    #[inline(always)]
    fn varint(&mut self) -> Read<u64> {
        if let Some((&first, rest)) = self.rest.split_first() {
            if first < 0x80 {
                self.rest = rest;
                return Ok(u64::from(first));
            }
        }
        let (value, rest) = varint(self.rest)?;
        self.rest = rest;
        Ok(value)
    }

    #[inline(always)]
    fn take(&mut self, length: usize) -> Read<&'a [u8]> {
        if length > self.rest.len() {
            return Err(Unusual);
        }
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(taken)
    }
}

/// Reads one varint; returns it and what follows.
pub fn varint(bytes: &[u8]) -> Read<(u64, &[u8])> {
    let mut value = 0u64;
    for (place, &byte) in bytes.iter().take(10).enumerate() {
        if place == 9 && byte > 1 {
            return Err(Unusual);
        }
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            return Ok((value, &bytes[place + 1..]));
        }
    }
    Err(Unusual)
}

/// Notes that a field that may stand once in a message was read.
#[inline]
pub fn once(seen: &mut u32, number: u32) -> Read<()> {
    let bit = 1u32 << number;
    if *seen & bit != 0 {
        return Err(Unusual);
    }
    *seen |= bit;
    Ok(())
}

#[inline]
pub fn uint32(value: u64) -> Read<u32> {
    u32::try_from(value).map_err(|_| Unusual)
}

#[inline]
pub fn int32(value: u64) -> Read<i32> {
    i32::try_from(value as i64).map_err(|_| Unusual)
}

#[inline]
pub fn sint32(value: u64) -> Read<i32> {
    let raw = uint32(value)?;
    Ok(((raw >> 1) as i32) ^ -((raw & 1) as i32))
}

#[inline]
pub fn boolean(value: u64) -> Read<bool> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Unusual),
    }
}

/// The same bytes, if they are UTF-8.
#[inline]
pub fn utf8(bytes: &[u8]) -> Read<&str> {
    std::str::from_utf8(bytes).map_err(|_| Unusual)
}

/// Fails unless the bytes are UTF-8. Most strings are short and ASCII, which takes a third of the time that way.
#[inline]
pub fn check_utf8(bytes: &[u8]) -> Read<()> {
    let mut words = bytes.chunks_exact(8);
    let high = words.by_ref().fold(0u64, |high, word| {
        high | word.try_into().map_or(u64::MAX, u64::from_le_bytes)
    });
    let rest = words.remainder().iter().fold(0u8, |high, byte| high | byte);
    if (high | u64::from(rest)) & 0x8080_8080_8080_8080 == 0 {
        return Ok(());
    }
    utf8(bytes).map(|_| ())
}
