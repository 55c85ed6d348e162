//! Finished columns by the name of what they are.

use crate::columns::{Buffer, Column, Strings};
use crate::interner::Interner;
use crate::wire::Read;

pub struct Table {
    pub name: &'static str,
    pub rows: usize,
    pub buffers: Vec<Buffer>,
}

impl Table {
    pub fn of(name: &'static str, rows: usize, columns: impl Column) -> Table {
        let mut buffers = Vec::new();
        columns.finish(&mut buffers);
        Table { name, rows, buffers }
    }

    /// One column of distinct byte strings.
    pub fn of_interned(name: &'static str, strings: Interner) -> Read<Table> {
        let (ends, data) = strings.into_parts();
        Ok(Table::of(name, ends.len(), Strings::of_parts(&ends, data)?))
    }
}
