//! Distinct texts of lines: what the model reads of each, its digest as id, and the first line that says it.

use crate::columns::{Ids, Strings};
use crate::forms::Forms;
use crate::interner::Interner;
use crate::md5::md5;
use crate::table::Table;
use crate::wire::Read;

columns! {
    Texts is table {
        text_id: Ids,
        text: Strings,
        model_text: Strings,
    }
}

/// The table of the texts, and the text id of each row.
pub fn texts(lines: &Interner, of_rows: &[u32]) -> Read<(Table, Ids)> {
    let (mut forms, mut form) = (Forms::default(), Vec::new());
    let mut distinct = Interner::default();
    let mut of_lines = Vec::with_capacity(lines.len());
    let mut digests = Vec::new();
    let mut text = Strings::default();
    for line in (0..lines.len()).map(|number| lines.get(number)) {
        form.clear();
        forms.write(line, &mut form);
        let (number, is_new) = distinct.number(&form);
        if is_new {
            digests.push(md5(&form));
            text.push(line)?;
        }
        of_lines.push(number);
    }
    let rows = Ids::of(of_rows.iter().map(|&line| &digests[of_lines[line as usize]]));
    let text_id = Ids::of(&digests);
    let (ends, data) = distinct.into_parts();
    let table = Texts { text_id, text, model_text: Strings::of_parts(&ends, data)? };
    Ok((Table::of("texts", ends.len(), table), rows))
}
