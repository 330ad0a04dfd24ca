//! Names and who stands behind each: rows in blocks of the heap, which can be moved.
//!
//! A row is one block: how many numbers there are, the length of the name (both 4 bytes, little
//! endian), the name, and the numbers, ascending, each in as many bytes as the table says. Room
//! for more numbers grows by an eighth, so that a name with one number has none to spare.

use std::cell::Cell;
use std::convert::Infallible;

use ebb_collections::Arenas;
use ebb_heap::{ArenaId, Block, OutOfMemory, watch};
use ebb_keyspace::defrag::{Moved, STEP_BYTES};
use ebb_table::Blocks;
use rand::Rng;

const KIND_NAME: u8 = 112;
const HEAD: usize = 8;
/// Numbers that a row may have room for beyond twice those it has.
const SPARE_MAX: usize = 8;

/// What stands in a row.
struct Row<'a, const WIDTH: usize> {
    name: &'a [u8],
    numbers: Numbers<'a, WIDTH>,
    /// Numbers that fit.
    room: usize,
}

/// Numbers in ascending order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbers<'a, const WIDTH: usize>(&'a [[u8; WIDTH]]);

impl<const WIDTH: usize> Numbers<'_, WIDTH> {
    pub(crate) fn len(self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(number)
    }

    /// Where a number stands, or would.
    fn position(self, wanted: u64) -> Result<usize, usize> {
        self.0.binary_search_by_key(&wanted, number)
    }
}

fn number<const WIDTH: usize>(bytes: &[u8; WIDTH]) -> u64 {
    let mut wide = [0; 8];
    wide[..WIDTH].copy_from_slice(bytes);
    u64::from_le_bytes(wide)
}

/// The bytes of a number that fits.
fn bytes_of<const WIDTH: usize>(number: u64) -> [u8; WIDTH] {
    debug_assert!(WIDTH == 8 || number >> (8 * WIDTH) == 0, "{number} is too large");
    let mut bytes = [0; WIDTH];
    bytes.copy_from_slice(&number.to_le_bytes()[..WIDTH]);
    bytes
}

/// Two counts: of numbers, and of the name's bytes.
fn head(body: &[u8]) -> [usize; 2] {
    let (counts, _) = body[..HEAD].as_chunks::<4>();
    [u32::from_le_bytes(counts[0]) as usize, u32::from_le_bytes(counts[1]) as usize]
}

fn row<const WIDTH: usize>(body: &[u8]) -> Row<'_, WIDTH> {
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
fn numbers_mut<const WIDTH: usize>(body: &mut [u8]) -> &mut [[u8; WIDTH]] {
    let [_, len] = head(body);
    body[HEAD + len..].as_chunks_mut().0
}

fn set_count(body: &mut [u8], count: usize) {
    body[..4].copy_from_slice(&(count as u32).to_le_bytes());
}

/// Puts a number in its place; there is room for it.
fn put<const WIDTH: usize>(body: &mut [u8], at: usize, number: u64) {
    let [count, _] = head(body);
    let numbers = numbers_mut::<WIDTH>(body);
    numbers.copy_within(at..count, at + 1);
    numbers[at] = bytes_of(number);
    set_count(body, count + 1);
}

/// A row of its own, with room for so many numbers.
fn make<const WIDTH: usize>(
    arena: ArenaId,
    name: &[u8],
    numbers: Numbers<'_, WIDTH>,
    room: usize,
) -> Result<Block, OutOfMemory> {
    let len = u32::try_from(name.len()).map_err(|_| OutOfMemory)?;
    let mut block = Block::allocate(arena, HEAD + name.len() + room * WIDTH, KIND_NAME)?;
    let body = block.body_mut();
    set_count(body, numbers.len());
    body[4..HEAD].copy_from_slice(&len.to_le_bytes());
    body[HEAD..][..name.len()].copy_from_slice(name);
    numbers_mut(body)[..numbers.len()].copy_from_slice(numbers.0);
    Ok(block)
}

/// What was added to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Added {
    /// It was there.
    Nothing,
    /// A number behind a name that was there.
    Number,
    /// A name with its number.
    Name,
}

/// A table of names, with numbers of so many bytes.
pub(crate) struct Names<const WIDTH: usize> {
    rows: Blocks,
    data: ArenaId,
}

impl<const WIDTH: usize> Names<WIDTH> {
    pub(crate) fn new(arenas: Arenas) -> Names<WIDTH> {
        Names { rows: Blocks::new(arenas.index, name_of), data: arenas.data }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn contains(&self, name: &[u8]) -> bool {
        self.rows.find(name).is_some()
    }

    /// The numbers behind a name; none if it is not there.
    pub(crate) fn get(&self, name: &[u8]) -> Option<Numbers<'_, WIDTH>> {
        self.rows.find(name).map(|found| row(self.rows.get(found).body()).numbers)
    }

    /// Adds a name that is not there, without numbers.
    pub(crate) fn insert(&mut self, name: &[u8]) -> Result<(), OutOfMemory> {
        debug_assert!(!self.contains(name));
        self.rows.insert(make::<WIDTH>(self.data, name, Numbers(&[]), 0)?).map(|_| ())
    }

    /// Adds a number to a name, and the name if it is not there.
    pub(crate) fn add(&mut self, name: &[u8], number: u64) -> Result<Added, OutOfMemory> {
        let Some(found) = self.rows.find(name) else {
            let one = [bytes_of::<WIDTH>(number)];
            self.rows.insert(make(self.data, name, Numbers(&one), 1)?)?;
            return Ok(Added::Name);
        };
        let old = row::<WIDTH>(self.rows.get(found).body());
        let Err(at) = old.numbers.position(number) else { return Ok(Added::Nothing) };
        let count = old.numbers.len();
        if count < old.room {
            put::<WIDTH>(self.rows.get_mut(found).body_mut(), at, number);
        } else {
            let room = count + 1 + count / 8;
            let mut wider = make(self.data, old.name, old.numbers, room)?;
            put::<WIDTH>(wider.body_mut(), at, number);
            drop(self.rows.replace(found, wider));
        }
        Ok(Added::Number)
    }

    /// Takes a number from a name, and the name away with its last number.
    pub(crate) fn remove(&mut self, name: &[u8], number: u64) {
        let Some(found) = self.rows.find(name) else { return };
        let old = row::<WIDTH>(self.rows.get(found).body());
        let Ok(at) = old.numbers.position(number) else { return };
        let (count, room) = (old.numbers.len(), old.room);
        if count == 1 {
            drop(self.rows.remove(found));
            return;
        }
        let mut block = self.rows.get_mut(found);
        let body = block.body_mut();
        numbers_mut::<WIDTH>(body).copy_within(at + 1..count, at);
        set_count(body, count - 1);
        if room > 2 * (count - 1) + SPARE_MAX {
            let wide = row::<WIDTH>(self.rows.get(found).body());
            // Without memory for a smaller one it keeps its room.
            if let Ok(narrow) = make(self.data, wide.name, wide.numbers, count - 1) {
                drop(self.rows.replace(found, narrow));
            }
        }
    }

    /// The blocks, to be freed elsewhere.
    pub(crate) fn into_blocks(self) -> Blocks {
        self.rows
    }

    /// Takes a name away, whatever stands behind it; false if it is not there.
    pub(crate) fn forget(&mut self, name: &[u8]) -> bool {
        let found = self.rows.find(name);
        found.map(|found| drop(self.rows.remove(found))).is_some()
    }

    /// Takes a name away; what stood behind it, if it was there.
    pub(crate) fn take(&mut self, name: &[u8]) -> Option<Vec<u64>> {
        let found = self.rows.find(name)?;
        let row = self.rows.remove(found);
        Some(self::row::<WIDTH>(row.body()).numbers.iter().collect())
    }

    /// A name drawn with the same chance as every other.
    pub(crate) fn sample(&self, random: &mut impl Rng) -> Option<&[u8]> {
        self.rows.sample(random).map(|block| row::<WIDTH>(block.body()).name)
    }

    /// Visits all names.
    pub(crate) fn for_each<'a>(&'a self, mut visit: impl FnMut(&'a [u8], Numbers<'a, WIDTH>)) {
        self.rows.for_each(|block| {
            let row = row(block.body());
            visit(row.name, row.numbers);
        });
    }

    /// Bytes outside of the heap.
    pub(crate) fn outside_bytes(&self) -> usize {
        self.rows.index_bytes().1
    }

    /// Moves blocks of one segment of the table, those for which `should` holds, until
    /// [`STEP_BYTES`] of names are moved. Answers the position to go on from, 0 at the end.
    ///
    /// With all those bytes moved it is a position in the same segment, where some may be left. So
    /// `should` does not hold for a block that has moved; one that cannot move keeps nobody.
    pub(crate) fn relocate(
        &mut self,
        position: u64,
        should: impl Fn(&Block) -> bool,
        moved: &mut Moved,
    ) -> Result<u64, OutOfMemory> {
        let bytes = Cell::new(0);
        let should = |block: &Block| bytes.get() < STEP_BYTES && should(block);
        let next = self.rows.relocate(position, should, |block, _| {
            moved.blocks += 1;
            bytes.set(bytes.get() + block.bytes());
        });
        moved.bytes += bytes.get() as u64;
        let next = next?;
        // No segment ends before position 1, and 0 would be the end of the table.
        Ok(if bytes.get() < STEP_BYTES { next } else { position.max(1) })
    }

    /// Claims the blocks of one segment of the table, and its own, for the audit. Answers the
    /// position to go on from, 0 at the end.
    pub(crate) fn claim(&self, position: u64) -> Result<u64, Infallible> {
        Ok(self.rows.inspect(position, &mut |block| {
            watch::claim(block.compact());
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn arenas() -> Arenas {
        Arenas { data: ArenaId::new(), index: ArenaId::new() }
    }

    fn content<const WIDTH: usize>(names: &Names<WIDTH>) -> BTreeMap<Vec<u8>, BTreeSet<u64>> {
        let mut all = BTreeMap::new();
        names.for_each(|name, numbers| {
            assert!(numbers.iter().is_sorted());
            all.insert(name.to_vec(), numbers.iter().collect());
        });
        all
    }

    #[test]
    fn names_behave_as_a_map_of_sets_while_their_blocks_move() {
        run::<4>(81_000_003);
        run::<6>(5 << 40);
    }

    fn run<const WIDTH: usize>(factor: u64) {
        let arenas = arenas();
        let mut names = Names::<WIDTH>::new(arenas);
        let mut model: BTreeMap<Vec<u8>, BTreeSet<u64>> = BTreeMap::new();
        let mut random = StdRng::seed_from_u64(7);
        let mut moved = Moved::default();
        for step in 0..20_000 {
            let name = vec![b'n'; random.random_range(0..40)];
            let number = random.random_range(0..50_u64) * factor;
            // First it grows, then it shrinks.
            if random.random_bool(if step < 12_000 { 0.7 } else { 0.2 }) {
                let expected = match model.get(&name) {
                    None => Added::Name,
                    Some(numbers) if numbers.contains(&number) => Added::Nothing,
                    Some(_) => Added::Number,
                };
                assert_eq!(names.add(&name, number), Ok(expected));
                model.entry(name.clone()).or_default().insert(number);
            } else {
                names.remove(&name, number);
                let numbers = model.entry(name.clone()).or_default();
                numbers.remove(&number);
                if numbers.is_empty() {
                    model.remove(&name);
                }
            }
            let found: Option<BTreeSet<u64>> = names.get(&name).map(|all| all.iter().collect());
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
        let drawn = names.sample(&mut random).unwrap().to_vec();
        let numbers: BTreeSet<u64> = names.take(&drawn).unwrap().into_iter().collect();
        assert_eq!(Some(numbers), model.remove(&drawn));
        assert!(names.take(&drawn).is_none());
        assert_eq!((names.len(), content(&names)), (model.len(), model));
        drop(names);
        assert_eq!((arenas.data.live_bytes(), arenas.index.live_bytes()), (0, 0));
    }

    /// Steps to the end, each within its bound; answers what was moved.
    fn relocate_all(names: &mut Names<4>, should: impl Fn(&Block) -> bool) -> Moved {
        const MOST: u64 = (STEP_BYTES + ebb_heap::LARGE_BYTES) as u64;
        let (mut all, mut position, mut steps) = (Moved::default(), 0, 0);
        loop {
            let mut moved = Moved::default();
            position = names.relocate(position, &should, &mut moved).unwrap();
            assert!(moved.bytes < MOST, "{moved:?} in one step");
            all.add(moved);
            steps += 1;
            assert!(steps < 10_000, "no end");
            if position == 0 {
                return all;
            }
        }
    }

    #[test]
    fn a_step_moves_no_more_than_it_may_and_none_is_left() {
        let mut random = StdRng::seed_from_u64(11);
        for longest in [100, 5_000, 60_000, 120_000] {
            let arenas = arenas();
            let mut names = Names::<4>::new(arenas);
            // From the first segment on, which begins at position 0, there is more than one step.
            for number in 0..1000_u64.min(40_000_000 / longest as u64) {
                let len = random.random_range(longest / 2..longest);
                let name: Vec<u8> = number.to_le_bytes().into_iter().cycle().take(len).collect();
                names.add(&name, number).unwrap();
            }
            let model = content(&names);
            for segment in arenas.data.segments() {
                assert!(arenas.data.begin_evacuation(segment.index));
            }
            let live = arenas.data.live_bytes() as u64;
            let moved = relocate_all(&mut names, Block::should_move);
            assert_eq!((moved.blocks, moved.bytes), (model.len() as u64, live), "{longest}");
            assert_eq!(relocate_all(&mut names, Block::should_move), Moved::default());
            assert_eq!(arenas.data.end_evacuation(), 0);
            assert_eq!(content(&names), model);
        }
    }

    #[test]
    fn blocks_that_cannot_move_hold_no_step_up() {
        let mut names = Names::<4>::new(arenas());
        for number in 0..50_u8 {
            names.insert(&vec![number; 300_000]).unwrap();
        }
        assert_eq!(relocate_all(&mut names, |_| true), Moved::default());
    }

    #[test]
    fn a_row_gives_back_room_that_it_does_not_need() {
        let arenas = arenas();
        let mut names = Names::<4>::new(arenas);
        (0..1000).for_each(|number| assert!(names.add(b"crowded", number).is_ok()));
        assert!(arenas.data.live_bytes() < 1000 * 4 * 9 / 8 + 100);
        (1..1000).for_each(|number| names.remove(b"crowded", number));
        assert!(arenas.data.live_bytes() < 100, "{}", arenas.data.live_bytes());
        assert_eq!(names.get(b"crowded").unwrap().iter().collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn names_may_stand_alone() {
        let mut names = Names::<4>::new(arenas());
        names.insert(b"").unwrap();
        names.insert(&[0; 1000]).unwrap();
        assert!(names.contains(b"") && names.get(b"").unwrap().len() == 0);
        assert!(names.forget(b"") && !names.forget(b""));
        assert_eq!(names.len(), 1);
    }
}
