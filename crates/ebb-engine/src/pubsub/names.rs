//! Names and who stands behind each: rows in blocks of the heap, which can be moved.
//!
//! A row is one block: how many numbers there are, the length of the name (both 4 bytes, little
//! endian), the name, and the numbers, ascending, 4 bytes each. Room for more numbers grows by
//! an eighth, so that a name with one number has none to spare.

use ebb_collections::Arenas;
use ebb_heap::{ArenaId, Block, OutOfMemory};
use ebb_keyspace::defrag::Moved;
use ebb_table::Blocks;

const KIND_NAME: u8 = 112;
const HEAD: usize = 8;
const NUMBER: usize = 4;
/// Numbers that a row may have room for beyond twice those it has.
const SPARE_MAX: usize = 8;

/// What stands in a row.
struct Row<'a> {
    name: &'a [u8],
    numbers: Numbers<'a>,
    /// Numbers that fit.
    room: usize,
}

/// Numbers in ascending order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers<'a>(&'a [[u8; NUMBER]]);

impl Numbers<'_> {
    pub(super) fn len(self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().copied().map(u32::from_le_bytes)
    }

    /// Where a number stands, or would.
    fn position(self, number: u32) -> Result<usize, usize> {
        self.0.binary_search_by_key(&number, |bytes| u32::from_le_bytes(*bytes))
    }
}

/// Two counts: of numbers, and of the name's bytes.
fn head(body: &[u8]) -> [usize; 2] {
    let (counts, _) = body[..HEAD].as_chunks::<4>();
    [u32::from_le_bytes(counts[0]) as usize, u32::from_le_bytes(counts[1]) as usize]
}

fn row(body: &[u8]) -> Row<'_> {
    let [count, len] = head(body);
    let (name, rest) = body[HEAD..].split_at(len);
    let (numbers, _) = rest.as_chunks();
    Row { name, numbers: Numbers(&numbers[..count]), room: numbers.len() }
}

fn name_of(block: &Block) -> &[u8] {
    let body = block.body();
    &body[HEAD..][..head(body)[1]]
}

/// The place of the numbers, those that fit included.
fn numbers_mut(body: &mut [u8]) -> &mut [[u8; NUMBER]] {
    let [_, len] = head(body);
    body[HEAD + len..].as_chunks_mut().0
}

fn set_count(body: &mut [u8], count: usize) {
    body[..4].copy_from_slice(&(count as u32).to_le_bytes());
}

/// Puts a number in its place; there is room for it.
fn put(body: &mut [u8], at: usize, number: u32) {
    let [count, _] = head(body);
    let numbers = numbers_mut(body);
    numbers.copy_within(at..count, at + 1);
    numbers[at] = number.to_le_bytes();
    set_count(body, count + 1);
}

/// A row of its own, with room for so many numbers.
fn make(
    arena: ArenaId,
    name: &[u8],
    numbers: Numbers<'_>,
    room: usize,
) -> Result<Block, OutOfMemory> {
    let len = u32::try_from(name.len()).map_err(|_| OutOfMemory)?;
    let mut block = Block::allocate(arena, HEAD + name.len() + room * NUMBER, KIND_NAME)?;
    let body = block.body_mut();
    set_count(body, numbers.len());
    body[4..HEAD].copy_from_slice(&len.to_le_bytes());
    body[HEAD..][..name.len()].copy_from_slice(name);
    numbers_mut(body)[..numbers.len()].copy_from_slice(numbers.0);
    Ok(block)
}

/// A table of names.
pub(super) struct Names {
    rows: Blocks,
    data: ArenaId,
}

impl Names {
    pub(super) fn new(arenas: Arenas) -> Names {
        Names { rows: Blocks::new(arenas.index, name_of), data: arenas.data }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn contains(&self, name: &[u8]) -> bool {
        self.rows.find(name).is_some()
    }

    /// The numbers behind a name; none if it is not there.
    pub(super) fn get(&self, name: &[u8]) -> Option<Numbers<'_>> {
        self.rows.find(name).map(|found| row(self.rows.get(found).body()).numbers)
    }

    /// Adds a name that is not there, without numbers.
    pub(super) fn insert(&mut self, name: &[u8]) -> Result<(), OutOfMemory> {
        debug_assert!(!self.contains(name));
        self.rows.insert(make(self.data, name, Numbers(&[]), 0)?).map(|_| ())
    }

    /// Adds a number to a name, and the name if it is not there.
    pub(super) fn add(&mut self, name: &[u8], number: u32) -> Result<(), OutOfMemory> {
        let Some(found) = self.rows.find(name) else {
            let one = [number.to_le_bytes()];
            return self.rows.insert(make(self.data, name, Numbers(&one), 1)?).map(|_| ());
        };
        let old = row(self.rows.get(found).body());
        let Err(at) = old.numbers.position(number) else { return Ok(()) };
        let count = old.numbers.len();
        if count < old.room {
            put(self.rows.get_mut(found).body_mut(), at, number);
        } else {
            let room = count + 1 + count / 8;
            let mut wider = make(self.data, old.name, old.numbers, room)?;
            put(wider.body_mut(), at, number);
            drop(self.rows.replace(found, wider));
        }
        Ok(())
    }

    /// Takes a number from a name, and the name away with its last number.
    pub(super) fn remove(&mut self, name: &[u8], number: u32) {
        let Some(found) = self.rows.find(name) else { return };
        let old = row(self.rows.get(found).body());
        let Ok(at) = old.numbers.position(number) else { return };
        let (count, room) = (old.numbers.len(), old.room);
        if count == 1 {
            drop(self.rows.remove(found));
            return;
        }
        let mut block = self.rows.get_mut(found);
        let body = block.body_mut();
        numbers_mut(body).copy_within(at + 1..count, at);
        set_count(body, count - 1);
        if room > 2 * (count - 1) + SPARE_MAX {
            let wide = row(self.rows.get(found).body());
            // Without memory for a smaller one it keeps its room.
            if let Ok(narrow) = make(self.data, wide.name, wide.numbers, count - 1) {
                drop(self.rows.replace(found, narrow));
            }
        }
    }

    /// Takes a name away, whatever stands behind it; false if it is not there.
    pub(super) fn forget(&mut self, name: &[u8]) -> bool {
        let found = self.rows.find(name);
        found.map(|found| drop(self.rows.remove(found))).is_some()
    }

    /// Visits all names.
    pub(super) fn for_each<'a>(&'a self, mut visit: impl FnMut(&'a [u8], Numbers<'a>)) {
        self.rows.for_each(|block| {
            let row = row(block.body());
            visit(row.name, row.numbers);
        });
    }

    /// Bytes outside of the heap.
    pub(super) fn outside_bytes(&self) -> usize {
        self.rows.index_bytes().1
    }

    /// Moves blocks of one segment of the table, those for which `should` holds. Answers the
    /// position to go on from, 0 at the end.
    pub(super) fn relocate(
        &mut self,
        position: u64,
        should: impl Fn(&Block) -> bool,
        moved: &mut Moved,
    ) -> Result<u64, OutOfMemory> {
        self.rows.relocate(position, should, |block, _| {
            moved.blocks += 1;
            moved.bytes += block.bytes() as u64;
        })
    }

    /// Visits the blocks of one segment of the table, for the audit. Answers the position to
    /// go on from, 0 at the end.
    pub(super) fn inspect(&self, position: u64, visit: &mut dyn FnMut(&Block)) -> u64 {
        self.rows.inspect(position, visit)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    fn arenas() -> Arenas {
        Arenas { data: ArenaId::new(), index: ArenaId::new() }
    }

    fn content(names: &Names) -> BTreeMap<Vec<u8>, BTreeSet<u32>> {
        let mut all = BTreeMap::new();
        names.for_each(|name, numbers| {
            assert!(numbers.iter().is_sorted());
            all.insert(name.to_vec(), numbers.iter().collect());
        });
        all
    }

    #[test]
    fn names_behave_as_a_map_of_sets_while_their_blocks_move() {
        let arenas = arenas();
        let mut names = Names::new(arenas);
        let mut model: BTreeMap<Vec<u8>, BTreeSet<u32>> = BTreeMap::new();
        let mut random = StdRng::seed_from_u64(7);
        let mut moved = Moved::default();
        for step in 0..20_000 {
            let name = vec![b'n'; random.random_range(0..40)];
            let number = random.random_range(0..50_u32) * 1_000_003;
            // First it grows, then it shrinks.
            if random.random_bool(if step < 12_000 { 0.7 } else { 0.2 }) {
                names.add(&name, number).unwrap();
                model.entry(name.clone()).or_default().insert(number);
            } else {
                names.remove(&name, number);
                let numbers = model.entry(name.clone()).or_default();
                numbers.remove(&number);
                if numbers.is_empty() {
                    model.remove(&name);
                }
            }
            let found: Option<BTreeSet<u32>> = names.get(&name).map(|all| all.iter().collect());
            assert_eq!(found.as_ref(), model.get(&name));
            if step % 500 == 0 {
                let mut position = names.relocate(0, |_| true, &mut moved).unwrap();
                while position != 0 {
                    position = names.relocate(position, |_| true, &mut moved).unwrap();
                }
                assert_eq!(content(&names), model);
            }
        }
        assert!(moved.blocks > 0 && moved.bytes > moved.blocks);
        assert_eq!((names.len(), content(&names)), (model.len(), model));
        drop(names);
        assert_eq!((arenas.data.live_bytes(), arenas.index.live_bytes()), (0, 0));
    }

    #[test]
    fn a_row_gives_back_room_that_it_does_not_need() {
        let arenas = arenas();
        let mut names = Names::new(arenas);
        (0..1000).for_each(|number| names.add(b"crowded", number).unwrap());
        assert!(arenas.data.live_bytes() < 1000 * NUMBER * 9 / 8 + 100);
        (1..1000).for_each(|number| names.remove(b"crowded", number));
        assert!(arenas.data.live_bytes() < 100, "{}", arenas.data.live_bytes());
        assert_eq!(names.get(b"crowded").unwrap().iter().collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn names_may_stand_alone() {
        let mut names = Names::new(arenas());
        names.insert(b"").unwrap();
        names.insert(&[0; 1000]).unwrap();
        assert!(names.contains(b"") && names.get(b"").unwrap().len() == 0);
        assert!(names.forget(b"") && !names.forget(b""));
        assert_eq!(names.len(), 1);
    }
}
