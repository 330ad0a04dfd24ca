//! Who watches which keys (WATCH), by shard.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// One client's transaction: set when a key it watches has changed.
#[derive(Debug, Default)]
pub struct Watcher {
    dirty: AtomicBool,
}

impl Watcher {
    /// Whether a watched key has changed.
    pub fn is_dirty(&self) -> bool {
        self.dirty.load(Ordering::Acquire)
    }

    /// Marks the transaction as failed.
    pub fn mark(&self) {
        self.dirty.store(true, Ordering::Release);
    }
}

/// A database and a key in it.
type Name = (usize, Box<[u8]>);

/// The watched keys of one shard.
#[derive(Default)]
pub struct WatchTable {
    keys: HashMap<Name, Vec<Arc<Watcher>>>,
}

impl WatchTable {
    /// Whether nobody watches anything here: the common case, checked on every write.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Keys watched.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Adds a watcher; once is enough.
    pub fn add(&mut self, db: usize, key: &[u8], watcher: &Arc<Watcher>) {
        let watchers = self.keys.entry((db, key.into())).or_default();
        if !watchers.iter().any(|other| Arc::ptr_eq(other, watcher)) {
            watchers.push(Arc::clone(watcher));
        }
    }

    /// Removes a watcher from a key.
    pub fn remove(&mut self, db: usize, key: &[u8], watcher: &Arc<Watcher>) {
        let name = (db, key.into());
        if let Some(watchers) = self.keys.get_mut(&name) {
            watchers.retain(|other| !Arc::ptr_eq(other, watcher));
            if watchers.is_empty() {
                self.keys.remove(&name);
            }
        }
    }

    /// Marks those who watch a key.
    pub fn touch(&self, db: usize, key: &[u8]) {
        if let Some(watchers) = self.keys.get(&(db, key.into())) {
            watchers.iter().for_each(|watcher| watcher.mark());
        }
    }

    /// Marks those who watch a key of the database for which `changed` holds.
    pub fn touch_matching(&self, db: usize, changed: impl Fn(&[u8]) -> bool) {
        for ((watched, key), watchers) in &self.keys {
            if *watched == db && changed(key) {
                watchers.iter().for_each(|watcher| watcher.mark());
            }
        }
    }
}
