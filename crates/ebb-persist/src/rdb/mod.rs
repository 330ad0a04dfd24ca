//! The encoding of values in RDB files.
//!
//! What is written is version 11, as Redis 7.2 writes it and Valkey and all later versions read it:
//!
//! | value | as |
//! |---|---|
//! | string | string (0): an integer, LZF, or its bytes |
//! | list | quicklist (18) of listpacks of up to 8 KiB; a longer item has a node of its own |
//! | set | intset (11), listpack (20), or members (2) |
//! | sorted set | listpack (17), or members with binary scores (5), the greatest first |
//! | hash | listpack (16), or fields and values (4) |
//! | hash with deadlines of fields | listpack (25), or fields and values (24), of version 12 (Redis 7.4) |
//! | stream | listpacks (21), with groups, consumers and what is pending |
//!
//! What is read is every type of value up to version 12 (Redis 7.4), and version 80 (Valkey 9), but for those of
//! modules. The encodings that were replaced long ago are among them: ziplists, zipmaps, intsets, lists of ziplists,
//! scores as text.
//!
//! Bytes from outside are never trusted. Whatever is not well formed is [`LoadError::Corrupt`]: lengths beyond the
//! end, duplicates, scores that are not numbers, ids out of order, collections without elements. Memory is taken as
//! elements are read, not as counts announce them.

mod intset;
mod items;
pub mod kind;
mod listpack;
mod load;
mod load_stream;
mod reader;
mod save;
mod save_stream;
mod seal;
mod text;
mod writer;
mod ziplist;
mod zipmap;

use ebb_collections::{Fill, Limits};
use ebb_heap::OutOfMemory;
use ebb_keyspace::{Entry, EntryRef};

pub use load::{Place, load_value};
pub use reader::Reader;
pub use save::{save_value, type_of};
pub use seal::{Sealed, Trust, open, seal};
pub use text::Text;
pub use writer::Writer;

/// The version that is written.
pub const VERSION: u16 = 11;
/// The version with hashes whose fields have deadlines.
pub const VERSION_OF_FIELD_DEADLINES: u16 = 12;
/// The version of Valkey 9, which counts from here.
pub const VERSION_OF_VALKEY: u16 = 80;

/// Why a value could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadError {
    /// The bytes are not a value.
    Corrupt,
    /// There is no memory for it.
    OutOfMemory,
}

impl From<OutOfMemory> for LoadError {
    fn from(_: OutOfMemory) -> LoadError {
        LoadError::OutOfMemory
    }
}

/// What reading gives.
pub type Loaded<T> = Result<T, LoadError>;

/// Answers [`LoadError::Corrupt`] unless a condition holds.
fn ensure(holds: bool) -> Loaded<()> {
    if holds { Ok(()) } else { Err(LoadError::Corrupt) }
}

/// Up to where collections that are read stay packed.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Hashes.
    pub hash: Limits,
    /// Sets.
    pub set: Limits,
    /// Sets of integers: their number.
    pub set_ints: usize,
    /// Sorted sets.
    pub sorted_set: Limits,
    /// Chunks of lists.
    pub list: Fill,
}

/// The value of an entry as DUMP answers it: type, value, version and checksum. Strings are compressed if `compress`
/// is set and it makes them shorter.
pub fn dump(entry: &EntryRef<'_>, compress: bool) -> Vec<u8> {
    let mut writer = Writer::new(compress);
    let kind = type_of(entry);
    writer.byte(kind);
    save_value(&mut writer, entry);
    let mut payload = writer.into_bytes();
    let has_deadlines = matches!(kind, kind::HASH_DEADLINES | kind::HASH_DEADLINES_LISTPACK);
    seal(&mut payload, if has_deadlines { VERSION_OF_FIELD_DEADLINES } else { VERSION });
    payload
}

/// The bytes that a value takes when it is written, without its type.
pub fn value_len(entry: &EntryRef<'_>, compress: bool) -> usize {
    let mut writer = Writer::new(compress);
    save_value(&mut writer, entry);
    writer.into_bytes().len()
}

/// The entry that [`dump`] wrote, or another server; `sealed` comes from [`open`].
pub fn restore(sealed: &Sealed<'_>, place: &Place<'_>) -> Loaded<Entry> {
    let mut reader = Reader::new(sealed.body);
    let kind = reader.byte()?;
    let entry = load_value(kind, sealed.version, &mut reader, place)?;
    ensure(reader.is_empty())?;
    Ok(entry)
}
#[cfg(test)]
mod tests;
