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

/// A client that watches a key.
struct Watch {
    watcher: Arc<Watcher>,
    /// The key was due, but still there, when the watch began: for this client it is absent
    /// already, and its deletion changes nothing.
    was_due: bool,
}

/// The watched keys of one shard.
#[derive(Default)]
pub struct WatchTable {
    keys: HashMap<Name, Vec<Watch>>,
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

    /// Adds a watcher, which may watch the key only once. `was_due` says that the key is
    /// there although its time has come.
    pub fn add(&mut self, db: usize, key: &[u8], watcher: &Arc<Watcher>, was_due: bool) {
        let watches = self.keys.entry((db, key.into())).or_default();
        watches.push(Watch { watcher: Arc::clone(watcher), was_due });
    }

    /// Removes a watcher from a key.
    pub fn remove(&mut self, db: usize, key: &[u8], watcher: &Arc<Watcher>) {
        let name = (db, key.into());
        if let Some(watches) = self.keys.get_mut(&name) {
            watches.retain(|watch| !Arc::ptr_eq(&watch.watcher, watcher));
            if watches.is_empty() {
                self.keys.remove(&name);
            }
        }
    }

    /// Marks those who watch a key.
    pub fn touch(&self, db: usize, key: &[u8]) {
        if let Some(watches) = self.keys.get(&(db, key.into())) {
            watches.iter().for_each(|watch| watch.watcher.mark());
        }
    }

    /// Marks those who watch a key that was deleted because it was due, except those for whom
    /// it was due from the beginning.
    pub fn touch_expired(&mut self, db: usize, key: &[u8]) {
        if let Some(watches) = self.keys.get_mut(&(db, key.into())) {
            watches.iter_mut().for_each(Watch::expired);
        }
    }

    /// Marks those for whom a key of the database is another one after the database's contents
    /// were replaced as a whole: `before` and `after` say what is known of the key.
    pub fn replace_all(
        &mut self,
        db: usize,
        before: impl Fn(&[u8]) -> Presence,
        after: impl Fn(&[u8]) -> Presence,
    ) {
        for ((watched, key), watches) in &mut self.keys {
            if *watched == db {
                let (before, after) = (before(key), after(key));
                watches.iter_mut().for_each(|watch| watch.replaced(before, after));
            }
        }
    }

    /// Whether the key counts as absent for this watcher because it was due all the time.
    pub fn was_due(&self, db: usize, key: &[u8], watcher: &Arc<Watcher>) -> bool {
        let watches = self.keys.get(&(db, key.into()));
        let same = |watch: &&Watch| Arc::ptr_eq(&watch.watcher, watcher);
        watches.and_then(|list| list.iter().find(same)).is_some_and(|watch| watch.was_due)
    }
}

/// What is known of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is not there.
    Absent,
    /// It is there, but its time has come.
    Due,
    /// It is there.
    Live,
}

impl Watch {
    fn expired(&mut self) {
        if !std::mem::take(&mut self.was_due) {
            self.watcher.mark();
        }
    }
    /// Whoever saw no key and sees none now has lost nothing, whether it is due or absent. A
    /// key that became due during the watch was seen.
    fn replaced(&mut self, before: Presence, after: Presence) {
        let saw_nothing = self.was_due || before == Presence::Absent;
        if !saw_nothing || after == Presence::Live {
            self.watcher.mark();
        }
        self.was_due = after == Presence::Due;
    }
}
