//! Which clients have read which keys.

use std::sync::atomic::{AtomicUsize, Ordering};

use ebb_collections::Arenas;
use ebb_heap::{ArenaId, OutOfMemory};
use ebb_keyspace::{KeyHasher, lazyfree};
use parking_lot::Mutex;
use rand::Rng;

use crate::names::{Added, Names};

/// Parts of the table, each behind a lock of its own; a power of two.
const PARTS: usize = 64;

/// Keys, and the clients that have read each since it last changed, by their numbers: six bytes
/// are enough for a million new clients a second for nine years. Some may be gone, or track no
/// more.
pub(crate) type Keys = Names<6>;

struct Part {
    keys: Keys,
    /// Pairs of one of them and a client.
    items: usize,
}

impl Part {
    fn new(arenas: Arenas) -> Mutex<Part> {
        Mutex::new(Part { keys: Keys::new(arenas), items: 0 })
    }
}

/// The table. Its figures are exact between changes.
pub(super) struct Table {
    arenas: Arenas,
    parts: Box<[Mutex<Part>]>,
    hasher: KeyHasher,
    keys: AtomicUsize,
    items: AtomicUsize,
}

/// Where a walk over the table stands.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sweep {
    part: usize,
    position: u64,
}

impl Default for Table {
    fn default() -> Table {
        let arenas = Arenas { data: ArenaId::new(), index: ArenaId::new() };
        Table {
            arenas,
            parts: (0..PARTS).map(|_| Part::new(arenas)).collect(),
            hasher: KeyHasher::random(),
            keys: AtomicUsize::new(0),
            items: AtomicUsize::new(0),
        }
    }
}

impl Table {
    /// Keys.
    pub(super) fn keys(&self) -> usize {
        self.keys.load(Ordering::Relaxed)
    }

    /// Pairs of a key and a client.
    pub(super) fn items(&self) -> usize {
        self.items.load(Ordering::Relaxed)
    }

    /// The arenas of its blocks, and of their tables.
    pub(super) fn arenas(&self) -> [ArenaId; 2] {
        [self.arenas.data, self.arenas.index]
    }

    /// Bytes outside of the heap.
    pub(super) fn outside_bytes(&self) -> usize {
        self.parts.iter().map(|part| part.lock().keys.outside_bytes()).sum()
    }

    fn part(&self, key: &[u8]) -> &Mutex<Part> {
        &self.parts[self.hasher.hash(key) as usize & (PARTS - 1)]
    }

    /// Remembers that a client has read a key.
    pub(super) fn add(&self, key: &[u8], client: u64) -> Result<(), OutOfMemory> {
        let mut part = self.part(key).lock();
        let added = part.keys.add(key, client)?;
        let items = usize::from(added != Added::Nothing);
        part.items += items;
        self.keys.fetch_add(usize::from(added == Added::Name), Ordering::Relaxed);
        self.items.fetch_add(items, Ordering::Relaxed);
        Ok(())
    }

    /// Forgets a key; answers who has read it.
    pub(super) fn remove(&self, key: &[u8]) -> Vec<u64> {
        self.take(&mut self.part(key).lock(), key).unwrap_or_default()
    }

    /// Forgets a key drawn at random; answers it and who has read it.
    pub(super) fn remove_random(&self, random: &mut impl Rng) -> Option<(Box<[u8]>, Vec<u64>)> {
        let first = random.random_range(0..PARTS);
        for at in 0..PARTS {
            let mut part = self.parts[(first + at) & (PARTS - 1)].lock();
            if let Some(drawn) = part.keys.sample(random) {
                let key: Box<[u8]> = drawn.into();
                return self.take(&mut part, &key).map(|clients| (key, clients));
            }
        }
        None
    }

    fn take(&self, part: &mut Part, key: &[u8]) -> Option<Vec<u64>> {
        let clients = part.keys.take(key)?;
        part.items -= clients.len();
        self.keys.fetch_sub(1, Ordering::Relaxed);
        self.items.fetch_sub(clients.len(), Ordering::Relaxed);
        Some(clients)
    }

    /// Forgets everything. However much it was, that is quick: the blocks are freed by the
    /// maintenance thread, and count as the table's until then.
    pub(super) fn clear(&self) {
        lazyfree::discard_tables(self.parts.iter().map(|part| {
            let mut part = part.lock();
            let keys = std::mem::replace(&mut part.keys, Keys::new(self.arenas));
            let items = std::mem::take(&mut part.items);
            self.keys.fetch_sub(keys.len(), Ordering::Relaxed);
            self.items.fetch_sub(items, Ordering::Relaxed);
            keys.into_blocks()
        }));
    }

    /// Works on a part at a position, and goes on to the one that `work` answers, 0 for the next
    /// part; answers whether there is more.
    pub(super) fn step<E>(
        &self,
        sweep: &mut Sweep,
        work: impl FnOnce(&mut Keys, u64) -> Result<u64, E>,
    ) -> Result<bool, E> {
        let Some(part) = self.parts.get(sweep.part) else { return Ok(false) };
        sweep.position = work(&mut part.lock().keys, sweep.position)?;
        sweep.part += usize::from(sweep.position == 0);
        Ok(sweep.part < self.parts.len())
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn figures_are_those_of_what_is_in_it() {
        let table = Table::default();
        let key = |number: usize| number.to_string().into_bytes();
        for number in 0..1000 {
            (0..=number % 3).for_each(|client| table.add(&key(number), client as u64).unwrap());
        }
        table.add(&key(5), 1).unwrap();
        assert_eq!((table.keys(), table.items()), (1000, 334 + 2 * 333 + 3 * 333));
        assert_eq!(table.remove(&key(5)), [0, 1, 2]);
        assert!(table.remove(&key(5)).is_empty());
        let mut random = rand::rngs::SmallRng::seed_from_u64(1);
        for left in (0..999).rev() {
            let (drawn, clients) = table.remove_random(&mut random).unwrap();
            assert!(!clients.is_empty() && table.remove(&drawn).is_empty());
            assert_eq!(table.keys(), left);
        }
        assert!(table.remove_random(&mut random).is_none());
        assert_eq!(table.items(), 0);
        table.add(b"a", 1).unwrap();
        table.clear();
        assert_eq!((table.keys(), table.items()), (0, 0));
        assert!(table.remove(b"a").is_empty());
        assert_eq!(table.arenas().map(ArenaId::live_bytes), [0, 0]);
    }

    #[test]
    fn what_was_cleared_counts_until_it_is_freed() {
        let table = Table::default();
        let fill = |many: usize, client| {
            (0..many).for_each(|key| table.add(&key.to_le_bytes(), client).unwrap());
        };
        let live = || -> usize { table.arenas().iter().map(|arena| arena.live_bytes()).sum() };
        fill(100_000, 1);
        fill(50_000, 2);
        let full = live();
        table.clear();
        assert_eq!((table.keys(), table.items(), live()), (0, 0, full));
        // What comes meanwhile stays.
        fill(1000, 3);
        assert_eq!((table.keys(), table.items()), (1000, 1000));
        while lazyfree::step() {}
        assert!((1000 * 16..1000 * 60).contains(&live()), "{} of {full}", live());
        assert_eq!(table.remove(&7_usize.to_le_bytes()), [3]);
        let mut random = rand::rngs::SmallRng::seed_from_u64(2);
        while table.remove_random(&mut random).is_some() {}
        assert_eq!((table.items(), live()), (0, 0));
    }
}
