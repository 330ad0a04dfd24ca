//! Lists, hashes, sets, sorted sets and streams.
//!
//! A small collection is a run of *packed* items ([`packed`]) inside the entry that holds its
//! key: no block, no pointer, one byte an item. One that outgrows the configured limits is
//! *grown*: a [`Collection`] whose elements are blocks of the heap, found through the table
//! of `ebb-table` (hash, set, sorted set) or lying in chunks (list).
//!
//! Where the bytes of a small collection lie is not known here. Whoever owns them gives a
//! [`Slot`], through which they are edited and exchanged for the grown form. Reading goes
//! through [`HashRef`], [`SetRef`], [`SortedSetRef`] and [`ListRef`], writing through
//! [`HashMut`], [`SetMut`], [`SortedSetMut`] and [`ListMut`].
//!
//! Absent on purpose: keys, replies, time. Fields that expire are told what time it is.

mod chunk;
mod collection;
mod grown_hash;
mod grown_list;
mod grown_set;
mod grown_sorted_set;
mod hash;
mod intset;
mod item;
mod list;
pub mod packed;
mod rank_tree;
mod set;
mod slot;
mod sorted_set;
pub mod stream;

pub use collection::{Collection, Footprint};
pub use ebb_table::hash as element_hash;
pub use hash::{Field, FieldDeadline, HashMut, HashRef};
pub use list::{End, Fill, ListMut, ListRef, set_lone_bytes};
pub use set::{Member, SetMut, SetRef};
pub use slot::{Arenas, Buffer, Form, Limits, MemorySlot, Slot};
pub use sorted_set::{Bound, Range, SortedSetMut, SortedSetRef};
