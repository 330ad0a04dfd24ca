//! Sorted integers, packed: one byte of width (2, 4 or 8), then the integers in that many
//! bytes each, ascending.

use ebb_heap::OutOfMemory;

use crate::slot::Buffer;

const WIDTHS: [usize; 3] = [2, 4, 8];

fn width_for(value: i64) -> usize {
    if i16::try_from(value).is_ok() {
        2
    } else if i32::try_from(value).is_ok() {
        4
    } else {
        8
    }
}

fn width(bytes: &[u8]) -> usize {
    bytes.first().map_or(WIDTHS[0], |&width| width.into())
}

/// Number of integers.
pub(crate) fn len(bytes: &[u8]) -> usize {
    bytes.len().saturating_sub(1) / width(bytes)
}

/// The integer at an index.
pub(crate) fn get(bytes: &[u8], index: usize) -> i64 {
    let width = width(bytes);
    let at = 1 + index * width;
    let mut wide = [0; 8];
    wide[..width].copy_from_slice(&bytes[at..at + width]);
    let unused = 64 - 8 * width as u32;
    i64::from_le_bytes(wide) << unused >> unused
}

/// All integers, ascending.
pub(crate) fn iter(bytes: &[u8]) -> impl Iterator<Item = i64> + '_ {
    (0..len(bytes)).map(|index| get(bytes, index))
}

/// Where an integer is, or belongs.
pub(crate) fn search(bytes: &[u8], value: i64) -> Result<usize, usize> {
    let (mut low, mut high) = (0, len(bytes));
    while low < high {
        let middle = low + (high - low) / 2;
        match get(bytes, middle).cmp(&value) {
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
            std::cmp::Ordering::Equal => return Ok(middle),
        }
    }
    Err(low)
}

/// Adds an integer; answers whether it is new.
pub(crate) fn insert(buffer: &mut impl Buffer, value: i64) -> Result<bool, OutOfMemory> {
    let bytes = buffer.bytes();
    let Err(index) = search(bytes, value) else { return Ok(false) };
    let needed = width_for(value);
    if bytes.is_empty() {
        buffer.splice(0..0, &[&[needed as u8], &value.to_le_bytes()[..needed]])?;
        return Ok(true);
    }
    let width = width(bytes);
    if needed > width {
        let mut wide = Vec::with_capacity(1 + (len(bytes) + 1) * needed);
        wide.push(needed as u8);
        let (before, after) = (0..index, index..len(bytes));
        let all = before.map(|at| get(bytes, at)).chain([value]);
        for value in all.chain(after.map(|at| get(bytes, at))) {
            wide.extend_from_slice(&value.to_le_bytes()[..needed]);
        }
        buffer.splice(0..bytes.len(), &[&wide])?;
    } else {
        let at = 1 + index * width;
        buffer.splice(at..at, &[&value.to_le_bytes()[..width]])?;
    }
    Ok(true)
}

/// Removes an integer; answers whether it was there.
pub(crate) fn remove(buffer: &mut impl Buffer, value: i64) -> Result<bool, OutOfMemory> {
    let bytes = buffer.bytes();
    let Ok(index) = search(bytes, value) else { return Ok(false) };
    let width = width(bytes);
    let at = 1 + index * width;
    buffer.splice(at..at + width, &[])?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ebb_heap::ArenaId;
    use proptest::prelude::*;

    use super::*;
    use crate::slot::{Arenas, Form, MemorySlot};

    fn value() -> impl Strategy<Value = i64> {
        let edge = [i16::MAX as i64, i32::MIN as i64, i64::MAX, i64::MIN, 1 << 31, -1];
        prop_oneof![-20i64..20, prop::sample::select(edge.to_vec())]
    }

    proptest! {
        #[test]
        fn behaves_like_a_set(ops in prop::collection::vec((any::<bool>(), value()), 1..200)) {
            let arena = ArenaId::new();
            let mut slot = MemorySlot::new(Form::IntSet, Arenas { data: arena, index: arena });
            let mut model = BTreeSet::new();
            for (add, value) in ops {
                if add {
                    prop_assert_eq!(insert(&mut slot, value).unwrap(), model.insert(value));
                } else {
                    prop_assert_eq!(remove(&mut slot, value).unwrap(), model.remove(&value));
                }
                prop_assert!(iter(slot.bytes()).eq(model.iter().copied()));
            }
        }
    }
}
