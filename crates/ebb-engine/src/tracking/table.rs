//! Which clients have read which keys.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ebb_keyspace::KeyHasher;
use parking_lot::Mutex;
use rand::Rng;

/// Parts of the table, each behind a lock of its own; a power of two.
const PARTS: usize = 64;

/// A key, and the clients that have read it since it last changed, by ascending number. Some
/// may be gone, or track no more.
struct Tracked {
    key: Arc<[u8]>,
    clients: Vec<u64>,
}

/// Keys in a row, so that one can be drawn at random, and where in the row each is.
#[derive(Default)]
struct Part {
    row: Vec<Tracked>,
    places: HashMap<Arc<[u8]>, usize>,
}

impl Part {
    /// Adds a client to a key. Answers whether the key is new, and whether the client is.
    fn add(&mut self, key: &[u8], client: u64) -> (bool, bool) {
        if let Some(&at) = self.places.get(key) {
            let clients = &mut self.row[at].clients;
            let Err(place) = clients.binary_search(&client) else { return (false, false) };
            clients.insert(place, client);
            return (false, true);
        }
        let key: Arc<[u8]> = key.into();
        self.places.insert(Arc::clone(&key), self.row.len());
        self.row.push(Tracked { key, clients: vec![client] });
        (true, true)
    }

    fn remove(&mut self, key: &[u8]) -> Option<Tracked> {
        let at = self.places.remove(key)?;
        let tracked = self.row.swap_remove(at);
        if let Some(moved) = self.row.get(at) {
            self.places.insert(Arc::clone(&moved.key), at);
        }
        Some(tracked)
    }
}

/// The table. Its figures are exact between changes.
pub(super) struct Table {
    parts: Box<[Mutex<Part>]>,
    hasher: KeyHasher,
    keys: AtomicUsize,
    items: AtomicUsize,
}

impl Default for Table {
    fn default() -> Table {
        Table {
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
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

    fn part(&self, key: &[u8]) -> &Mutex<Part> {
        &self.parts[self.hasher.hash(key) as usize & (PARTS - 1)]
    }

    /// Remembers that a client has read a key.
    pub(super) fn add(&self, key: &[u8], client: u64) {
        let (new_key, new_client) = self.part(key).lock().add(key, client);
        self.keys.fetch_add(usize::from(new_key), Ordering::Relaxed);
        self.items.fetch_add(usize::from(new_client), Ordering::Relaxed);
    }

    /// Forgets a key; answers who has read it.
    pub(super) fn remove(&self, key: &[u8]) -> Vec<u64> {
        let removed = self.part(key).lock().remove(key);
        removed.map_or_else(Vec::new, |tracked| self.gone(tracked).1)
    }

    /// Forgets a key drawn at random; answers it and who has read it.
    pub(super) fn remove_random(&self, random: &mut impl Rng) -> Option<(Arc<[u8]>, Vec<u64>)> {
        let first = random.random_range(0..PARTS);
        for at in 0..PARTS {
            let mut part = self.parts[(first + at) & (PARTS - 1)].lock();
            if !part.row.is_empty() {
                let drawn = random.random_range(0..part.row.len());
                let key = Arc::clone(&part.row[drawn].key);
                return part.remove(&key).map(|tracked| self.gone(tracked));
            }
        }
        None
    }

    fn gone(&self, tracked: Tracked) -> (Arc<[u8]>, Vec<u64>) {
        self.keys.fetch_sub(1, Ordering::Relaxed);
        self.items.fetch_sub(tracked.clients.len(), Ordering::Relaxed);
        (tracked.key, tracked.clients)
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        for part in &self.parts {
            let row = std::mem::take(&mut *part.lock()).row;
            row.into_iter().for_each(|tracked| drop(self.gone(tracked)));
        }
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
            (0..=number % 3).for_each(|client| table.add(&key(number), client as u64));
        }
        table.add(&key(5), 1);
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
        table.add(b"a", 1);
        table.clear();
        assert_eq!((table.keys(), table.items()), (0, 0));
        assert!(table.remove(b"a").is_empty());
    }
}
