//! Who waits for which keys (BLPOP and its kin), by shard, in the order in which they came.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Keys that somebody waits for, in the whole process.
static KEYS: AtomicUsize = AtomicUsize::new(0);

/// Keys that somebody waits for.
pub fn keys() -> usize {
    KEYS.load(Ordering::Relaxed)
}

/// A database and a key in it.
type Name = (usize, Box<[u8]>);

/// Who waits for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiter {
    /// The client's number.
    pub client: u64,
    /// Whether it is to be served, too, when the key is gone.
    pub watches_for_loss: bool,
}

/// The keys of one shard that clients wait for.
#[derive(Default)]
pub struct WaitTable {
    keys: HashMap<Name, VecDeque<Waiter>>,
}

impl WaitTable {
    /// Whether nobody waits for anything here: the common case, checked on every write.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Keys that somebody waits for.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Adds a client behind the others. A client that names a key twice waits for it once.
    pub fn add(&mut self, db: usize, key: &[u8], waiter: Waiter) {
        let clients = self.keys.entry((db, key.into())).or_insert_with(|| {
            KEYS.fetch_add(1, Ordering::Relaxed);
            VecDeque::new()
        });
        if clients.back() != Some(&waiter) && !clients.contains(&waiter) {
            clients.push_back(waiter);
        }
    }

    /// Removes a client.
    pub fn remove(&mut self, db: usize, key: &[u8], client: u64) {
        let name = (db, key.into());
        if let Some(clients) = self.keys.get_mut(&name) {
            clients.retain(|waiter| waiter.client != client);
            if clients.is_empty() {
                self.keys.remove(&name);
                KEYS.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Whether somebody waits for a key.
    pub fn has(&self, db: usize, key: &[u8]) -> bool {
        self.keys.contains_key(&(db, Box::from(key)))
    }

    /// The clients that wait for a key, the first who came first.
    pub fn clients(&self, db: usize, key: &[u8]) -> Vec<Waiter> {
        let clients = self.keys.get(&(db, Box::from(key)));
        clients.map(|clients| clients.iter().copied().collect()).unwrap_or_default()
    }

    /// Visits all keys that somebody waits for.
    pub fn each_key(&self, mut visit: impl FnMut(usize, &[u8])) {
        self.keys.keys().for_each(|(db, key)| visit(*db, key));
    }
}
