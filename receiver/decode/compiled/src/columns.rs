//! Growing columns, and the buffers of Arrow's format that they become.
//!
//! Source: <https://arrow.apache.org/docs/format/Columnar.html>

use crate::wire::{Read, Unusual};

/// Memory that Python reads as an Arrow buffer.
pub enum Buffer {
    Absent,
    U8(Vec<u8>),
    I32(Vec<i32>),
    U32(Vec<u32>),
    I64(Vec<i64>),
    U64(Vec<u64>),
    F64(Vec<f64>),
}

impl Buffer {
    /// Address and size in bytes; 0 as address for a buffer that is not there.
    pub fn place(&self) -> (usize, usize) {
        fn of<T>(values: &[T]) -> (usize, usize) {
            (values.as_ptr() as usize, std::mem::size_of_val(values))
        }
        match self {
            Buffer::Absent => (0, 0),
            Buffer::U8(values) => of(values),
            Buffer::I32(values) => of(values),
            Buffer::U32(values) => of(values),
            Buffer::I64(values) => of(values),
            Buffer::U64(values) => of(values),
            Buffer::F64(values) => of(values),
        }
    }
}

pub trait Element: Copy + Default {
    fn buffer(values: Vec<Self>) -> Buffer;
}

macro_rules! element {
    ($type:ty, $variant:ident) => {
        impl Element for $type {
            fn buffer(values: Vec<Self>) -> Buffer {
                Buffer::$variant(values)
            }
        }
    };
}
element!(u8, U8);
element!(i32, I32);
element!(u32, U32);
element!(i64, I64);
element!(u64, U64);
element!(f64, F64);

/// One bit a row, made only when the first null comes.
#[derive(Default)]
pub struct Validity {
    bits: Vec<u8>,
    length: usize,
    nulls: usize,
}

impl Validity {
    #[inline(always)]
    pub fn push(&mut self, is_valid: bool) {
        if is_valid && self.nulls == 0 {
            self.length += 1;
        } else {
            self.push_bit(is_valid);
        }
    }

    fn push_bit(&mut self, is_valid: bool) {
        if self.nulls == 0 {
            self.bits = vec![0xff; self.length / 8];
            if self.length % 8 != 0 {
                self.bits.push((1u16 << (self.length % 8)) as u8 - 1);
            }
        }
        if self.length % 8 == 0 {
            self.bits.push(0);
        }
        let last = self.bits.len() - 1;
        self.bits[last] |= u8::from(is_valid) << (self.length % 8);
        self.nulls += usize::from(!is_valid);
        self.length += 1;
    }

    fn finish(self) -> Buffer {
        match self.nulls {
            0 => Buffer::Absent,
            _ => Buffer::U8(self.bits),
        }
    }
}

/// What becomes buffers, in the order of Arrow's layouts: validity, offsets, values, children.
pub trait Column {
    fn finish(self, buffers: &mut Vec<Buffer>);
}

#[derive(Default)]
pub struct Numbers<T> {
    validity: Validity,
    values: Vec<T>,
}

impl<T: Element> Numbers<T> {
    #[inline]
    pub fn push(&mut self, value: T) {
        self.validity.push(true);
        self.values.push(value);
    }

    #[inline]
    pub fn push_option(&mut self, value: Option<T>) {
        self.validity.push(value.is_some());
        self.values.push(value.unwrap_or_default());
    }
}

impl<T: Element> Column for Numbers<T> {
    fn finish(self, buffers: &mut Vec<Buffer>) {
        buffers.push(self.validity.finish());
        buffers.push(T::buffer(self.values));
    }
}

/// Byte strings of one length.
#[derive(Default)]
pub struct Ids {
    validity: Validity,
    data: Vec<u8>,
}

impl Ids {
    /// Adds an id of 16 bytes; null where it has another length or is all zero.
    #[inline]
    pub fn push(&mut self, id: &[u8]) {
        let is_valid = id.len() == 16 && id.iter().any(|&byte| byte != 0);
        self.validity.push(is_valid);
        match is_valid {
            true => self.data.extend_from_slice(id),
            false => self.data.extend_from_slice(&[0; 16]),
        }
    }
}

impl Ids {
    /// Ids of which none is null.
    pub fn of<'a>(ids: impl IntoIterator<Item = &'a [u8; 16]>) -> Ids {
        let mut data = Vec::new();
        ids.into_iter().for_each(|id| data.extend_from_slice(id));
        Ids { data, ..Ids::default() }
    }
}

impl Column for Ids {
    fn finish(self, buffers: &mut Vec<Buffer>) {
        buffers.push(self.validity.finish());
        buffers.push(Buffer::U8(self.data));
    }
}

/// The number of a span id; none where it has another length than 8 bytes or is all zero.
#[inline]
pub fn span_id(id: &[u8]) -> Option<u64> {
    let mut word = [0u8; 8];
    if id.len() != 8 {
        return None;
    }
    word.copy_from_slice(id);
    match u64::from_be_bytes(word) {
        0 => None,
        number => Some(number),
    }
}

#[derive(Default)]
pub struct Flags {
    validity: Validity,
    bits: Vec<u8>,
    length: usize,
}

impl Flags {
    #[inline]
    pub fn push_option(&mut self, flag: Option<bool>) {
        self.validity.push(flag.is_some());
        if self.length % 8 == 0 {
            self.bits.push(0);
        }
        let last = self.bits.len() - 1;
        self.bits[last] |= u8::from(flag == Some(true)) << (self.length % 8);
        self.length += 1;
    }
}

impl Column for Flags {
    fn finish(self, buffers: &mut Vec<Buffer>) {
        buffers.push(self.validity.finish());
        buffers.push(Buffer::U8(self.bits));
    }
}

/// Ends of variable-length values.
struct Offsets(Vec<i32>);

impl Default for Offsets {
    fn default() -> Self {
        Offsets(vec![0])
    }
}

impl Offsets {
    #[inline]
    fn push(&mut self, end: usize) -> Read<()> {
        self.0.push(i32::try_from(end).map_err(|_| Unusual)?);
        Ok(())
    }
}

/// UTF-8; also written to directly, a value being what stands between two ends.
#[derive(Default)]
pub struct Strings {
    validity: Validity,
    offsets: Offsets,
    pub data: Vec<u8>,
}

impl Strings {
    #[inline]
    pub fn push(&mut self, text: &[u8]) -> Read<()> {
        self.data.extend_from_slice(text);
        self.end()
    }

    /// Ends the value that was written to `data`.
    #[inline]
    pub fn end(&mut self) -> Read<()> {
        self.validity.push(true);
        self.offsets.push(self.data.len())
    }

    #[inline]
    pub fn push_option(&mut self, text: Option<&[u8]>) -> Read<()> {
        match text {
            Some(text) => self.push(text),
            None => {
                self.validity.push(false);
                self.offsets.push(self.data.len())
            }
        }
    }

    /// Takes over strings that lie one behind the other.
    pub fn of_parts(ends: &[usize], data: Vec<u8>) -> Read<Self> {
        let mut strings = Strings { data, ..Strings::default() };
        for &end in ends {
            strings.validity.push(true);
            strings.offsets.push(end)?;
        }
        Ok(strings)
    }
}

impl Column for Strings {
    fn finish(self, buffers: &mut Vec<Buffer>) {
        buffers.push(self.validity.finish());
        buffers.push(Buffer::I32(self.offsets.0));
        buffers.push(Buffer::U8(self.data));
    }
}

/// Lists whose elements stand in another column; none is null.
#[derive(Default)]
pub struct Lists<C> {
    offsets: Offsets,
    pub elements: C,
    length: usize,
}

impl<C> Lists<C> {
    /// Ends a list of so many elements that were pushed to `elements`.
    #[inline]
    pub fn end(&mut self, count: usize) -> Read<()> {
        self.length += count;
        self.offsets.push(self.length)
    }
}

impl<C: Column> Column for Lists<C> {
    fn finish(self, buffers: &mut Vec<Buffer>) {
        buffers.push(Buffer::Absent);
        buffers.push(Buffer::I32(self.offsets.0));
        self.elements.finish(buffers);
    }
}

/// Declares a row of columns; as the elements of a list it is a struct, which has a validity buffer of its own.
#[macro_export]
macro_rules! columns {
    ($name:ident is $role:ident { $($field:ident: $type:ty),* $(,)? }) => {
        #[derive(Default)]
        pub struct $name {
            $(pub $field: $type,)*
        }

        impl $crate::columns::Column for $name {
            fn finish(self, buffers: &mut Vec<$crate::columns::Buffer>) {
                columns!(@begin $role buffers);
                $($crate::columns::Column::finish(self.$field, buffers);)*
            }
        }
    };
    (@begin table $buffers:ident) => {};
    (@begin element $buffers:ident) => { $buffers.push($crate::columns::Buffer::Absent) };
}

impl<C: Column> Column for Vec<C> {
    fn finish(self, buffers: &mut Vec<Buffer>) {
        for column in self {
            column.finish(buffers);
        }
    }
}
