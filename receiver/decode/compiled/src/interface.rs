//! The C interface; the only module with unsafe code.
//!
//! The caller promises: pointers are valid for the lengths beside them while a call lasts, handles come from
//! this library and are used by one thread at a time and freed once.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::slice;

use crate::count::{Shapes, Stop};
use crate::keys::{Keys, Rules};
use crate::scan::{scan, Verdict};
use crate::table::Table;
use crate::{logs, metrics, spans, Signal};

/// Grows with each change of the interface; Python compares.
const INTERFACE: u32 = 5;

#[no_mangle]
pub extern "C" fn otlp_interface() -> u32 {
    INTERFACE
}

/// Returns a handle for the rules; null if they cannot be read.
///
/// # Safety
/// `rules` points to `size` bytes.
#[no_mangle]
pub unsafe extern "C" fn otlp_keys(rules: *const u8, size: usize) -> *mut Keys {
    match Rules::parse(slice::from_raw_parts(rules, size)) {
        Ok(rules) => Box::into_raw(Box::new(Keys::new(rules))),
        Err(_) => std::ptr::null_mut(),
    }
}

/// # Safety
/// `keys` is a handle of `otlp_keys`, not freed yet.
#[no_mangle]
pub unsafe extern "C" fn otlp_keys_free(keys: *mut Keys) {
    drop(Box::from_raw(keys));
}

/// Fills in for each request its number of records, -1 for one that is not for this decoder, and whether it
/// can be told from another.
///
/// # Safety
/// `bodies`, `sizes`, `records` and `identifiable` point to `count` values; `keys` is a handle.
#[no_mangle]
pub unsafe extern "C" fn otlp_scan(
    keys: *mut Keys,
    signal: u8,
    bodies: *const *const u8,
    sizes: *const usize,
    count: usize,
    max_messages: u64,
    records: *mut i64,
    identifiable: *mut u8,
) {
    let keys = &mut *keys;
    keys.bound();
    let requests = requests(bodies, sizes, count);
    let records = slice::from_raw_parts_mut(records, count);
    let identifiable = slice::from_raw_parts_mut(identifiable, count);
    for (place, body) in requests.iter().enumerate() {
        let found = catch_unwind(AssertUnwindSafe(|| {
            Signal::from_number(signal).and_then(|signal| scan(signal, body, max_messages, keys).ok())
        }));
        let verdict: Option<Verdict> = found.unwrap_or(None);
        records[place] = verdict.map_or(-1, |verdict| i64::from(verdict.records));
        identifiable[place] = u8::from(verdict.map_or(false, |verdict| verdict.identifiable));
    }
}

/// Returns 0 if a request holds at most `limit` messages, 1 if it holds more, 2 if that cannot be told.
///
/// # Safety
/// `shapes` points to `words` values, `body` to `size` bytes.
#[no_mangle]
pub unsafe extern "C" fn otlp_count(shapes: *const u32, words: usize, body: *const u8, size: usize, limit: u64) -> u8 {
    let shapes = slice::from_raw_parts(shapes, words);
    let body = slice::from_raw_parts(body, size);
    let found = catch_unwind(AssertUnwindSafe(|| match Shapes::parse(shapes) {
        Ok(shapes) => shapes.bound(body, limit),
        Err(_) => Err(Stop::Malformed),
    }));
    match found {
        Ok(Ok(())) => 0,
        Ok(Err(Stop::TooMany)) => 1,
        _ => 2,
    }
}

/// Returns the tables of requests that `otlp_scan` took; null if one cannot be turned into rows after all.
///
/// # Safety
/// As for `otlp_scan`; the result is freed with `otlp_tables_free`.
#[no_mangle]
pub unsafe extern "C" fn otlp_flatten(
    keys: *mut Keys,
    signal: u8,
    bodies: *const *const u8,
    sizes: *const usize,
    count: usize,
) -> *mut Vec<Table> {
    let keys = &mut *keys;
    keys.bound();
    let requests = requests(bodies, sizes, count);
    let found = catch_unwind(AssertUnwindSafe(|| {
        match Signal::from_number(signal)? {
            Signal::Traces => spans::flatten(&requests, keys),
            Signal::Logs => logs::flatten(&requests, keys),
            Signal::Metrics => metrics::flatten(&requests, keys),
        }
        .ok()
    }));
    match found {
        Ok(Some(tables)) => Box::into_raw(Box::new(tables)),
        _ => std::ptr::null_mut(),
    }
}

/// Fills in what a table holds: the address and size of its name, its rows, the number of its buffers.
/// Returns false behind the last table.
///
/// # Safety
/// `tables` is a result of `otlp_flatten`; `out` points to 4 values.
#[no_mangle]
pub unsafe extern "C" fn otlp_table(tables: *const Vec<Table>, place: usize, out: *mut usize) -> bool {
    let table = match (&*tables).get(place) {
        Some(table) => table,
        None => return false,
    };
    let out = slice::from_raw_parts_mut(out, 4);
    out.copy_from_slice(&[table.name.as_ptr() as usize, table.name.len(), table.rows, table.buffers.len()]);
    true
}

/// Fills in the address and size of each buffer of a table, one pair after the other.
///
/// # Safety
/// `tables` is a result of `otlp_flatten` with a table at `place`; `out` points to two values a buffer.
#[no_mangle]
pub unsafe extern "C" fn otlp_buffers(tables: *const Vec<Table>, place: usize, out: *mut usize) {
    let buffers = &(&*tables)[place].buffers;
    let out = slice::from_raw_parts_mut(out, 2 * buffers.len());
    for (pair, buffer) in out.chunks_exact_mut(2).zip(buffers) {
        let (address, size) = buffer.place();
        pair.copy_from_slice(&[address, size]);
    }
}

/// # Safety
/// `tables` is a result of `otlp_flatten`, not freed yet; nothing reads its buffers any more.
#[no_mangle]
pub unsafe extern "C" fn otlp_tables_free(tables: *mut Vec<Table>) {
    drop(Box::from_raw(tables));
}

unsafe fn requests<'a>(bodies: *const *const u8, sizes: *const usize, count: usize) -> Vec<&'a [u8]> {
    let bodies = slice::from_raw_parts(bodies, count);
    let sizes = slice::from_raw_parts(sizes, count);
    bodies.iter().zip(sizes).map(|(&body, &size)| slice::from_raw_parts(body, size)).collect()
}
