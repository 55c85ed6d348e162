//! Columns of the attributes that have one of their own.

use crate::columns::{Buffer, Column, Numbers, Strings};
use crate::value::Value;
use crate::wire::Read;

pub enum Hot {
    Strings(Strings),
    Integers(Numbers<i64>),
}

impl Hot {
    /// Adds the value if it has the column's type, else nothing.
    pub fn push(&mut self, value: Option<&Value<'_>>) -> Read<()> {
        match self {
            Hot::Strings(strings) => match value {
                Some(Value::String(text)) => strings.push(text)?,
                _ => strings.push_option(None)?,
            },
            Hot::Integers(numbers) => match value {
                Some(Value::Int(number)) => numbers.push(*number),
                _ => numbers.push_option(None),
            },
        }
        Ok(())
    }
}

impl Column for Hot {
    fn finish(self, buffers: &mut Vec<Buffer>) {
        match self {
            Hot::Strings(strings) => strings.finish(buffers),
            Hot::Integers(numbers) => numbers.finish(buffers),
        }
    }
}
