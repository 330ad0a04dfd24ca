//! Which clients have read which keys.

use std::sync::atomic::{AtomicUsize, Ordering};

use ebb_collections::Arenas;
use ebb_heap::{ArenaId, OutOfMemory};
use ebb_keyspace::KeyHasher;
use parking_lot::Mutex;
use rand::Rng;

use crate::names::{Added, Names};

/// Parts of the table, each behind a lock of its own; a power of two.
const PARTS: usize = 64;

/// Keys, and the clients that have read each since it last changed, by their numbers: six bytes
/// are enough for a million new clients a second for nine years. Some may be gone, or track no
/// more.
pub(crate) type Part = Names<6>;

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
            parts: (0..PARTS).map(|_| Mutex::new(Part::new(arenas))).collect(),
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
        self.parts.iter().map(|part| part.lock().outside_bytes()).sum()
    }

    fn part(&self, key: &[u8]) -> &Mutex<Part> {
        &self.parts[self.hasher.hash(key) as usize & (PARTS - 1)]
    }

    /// Remembers that a client has read a key.
    pub(super) fn add(&self, key: &[u8], client: u64) -> Result<(), OutOfMemory> {
        let added = self.part(key).lock().add(key, client)?;
        self.keys.fetch_add(usize::from(added == Added::Name), Ordering::Relaxed);
        self.items.fetch_add(usize::from(added != Added::Nothing), Ordering::Relaxed);
        Ok(())
    }

    /// Forgets a key; answers who has read it.
    pub(super) fn remove(&self, key: &[u8]) -> Vec<u64> {
        let removed = self.part(key).lock().take(key);
        removed.map_or_else(Vec::new, |clients| self.gone(clients))
    }

    /// Forgets a key drawn at random; answers it and who has read it.
    pub(super) fn remove_random(&self, random: &mut impl Rng) -> Option<(Box<[u8]>, Vec<u64>)> {
        let first = random.random_range(0..PARTS);
        for at in 0..PARTS {
            let mut part = self.parts[(first + at) & (PARTS - 1)].lock();
            if let Some(drawn) = part.sample(random) {
                let key: Box<[u8]> = drawn.into();
                return part.take(&key).map(|clients| (key, self.gone(clients)));
            }
        }
        None
    }

    fn gone(&self, clients: Vec<u64>) -> Vec<u64> {
        self.keys.fetch_sub(1, Ordering::Relaxed);
        self.items.fetch_sub(clients.len(), Ordering::Relaxed);
        clients
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        for part in &self.parts {
            let old = std::mem::replace(&mut *part.lock(), Part::new(self.arenas));
            let mut items = 0;
            old.for_each(|_, clients| items += clients.len());
            self.keys.fetch_sub(old.len(), Ordering::Relaxed);
            self.items.fetch_sub(items, Ordering::Relaxed);
        }
    }

    /// Works on a part at a position, and goes on to the one that `work` answers, 0 for the next
    /// part; answers whether there is more.
    pub(super) fn step<E>(
        &self,
        sweep: &mut Sweep,
        work: impl FnOnce(&mut Part, u64) -> Result<u64, E>,
    ) -> Result<bool, E> {
        let Some(part) = self.parts.get(sweep.part) else { return Ok(false) };
        sweep.position = work(&mut part.lock(), sweep.position)?;
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
}
