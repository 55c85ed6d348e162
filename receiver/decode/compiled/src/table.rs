//! Finished columns by the name of what they are.

use crate::columns::{Buffer, Column, Strings};
use crate::forms::Forms;
use crate::interner::Interner;
use crate::wire::Read;

columns! {
    Lines is table {
        line: Strings,
        form: Strings,
    }
}

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

    /// Distinct lines, and what the model reads of each.
    pub fn of_lines(lines: Interner) -> Read<Table> {
        let mut forms = Forms::default();
        let mut form = Strings::default();
        for number in 0..lines.len() {
            forms.write(lines.get(number), &mut form.data);
            form.end()?;
        }
        let (ends, data) = lines.into_parts();
        Ok(Table::of("lines", ends.len(), Lines { line: Strings::of_parts(&ends, data)?, form }))
    }
}
