//! MULTI, EXEC and WATCH: what dispatch needs to know of them.

use ebb_keyspace::{Key, Keyspace, Presence};

use crate::locks::Locks;
use crate::session::{Session, Transaction, WatchedKey};

/// Commands that run inside MULTI instead of being queued.
pub(crate) fn runs_at_once(name: &str) -> bool {
    matches!(name, "exec" | "discard" | "multi" | "watch" | "quit" | "reset")
}

/// Commands that let go of watched keys, and therefore need their shards.
pub(crate) fn releases_watches(name: &str) -> bool {
    matches!(name, "unwatch" | "discard" | "reset")
}

/// The shards of the keys that a session watches.
pub(crate) fn watched_shards<'a>(
    session: &'a Session,
    keyspace: &'a Keyspace,
) -> impl Iterator<Item = usize> + 'a {
    session.watched.iter().map(|watched| keyspace.shard_of(keyspace.hasher().hash(&watched.key)))
}

/// What becomes of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Run,
    /// A watched key has changed.
    Changed,
    /// A command could not be queued.
    Aborted,
}

/// Decides on a transaction while all of its shards, and those of its watched keys, are held.
pub(crate) fn verdict(
    session: &Session,
    transaction: &Transaction,
    locks: &mut Locks<'_>,
    now_ms: i64,
) -> Verdict {
    if transaction.aborted {
        return Verdict::Aborted;
    }
    let Some(watcher) = &session.watcher else { return Verdict::Run };
    if watcher.is_dirty() {
        return Verdict::Changed;
    }
    let expired = session.watched.iter().any(|watched| {
        let key = locks.keyspace().key(&watched.key);
        is_due(locks, watched.db, &key, now_ms)
            && !locks.shard_of(&key).watch.was_due(watched.db, &watched.key, watcher)
    });
    if expired { Verdict::Changed } else { Verdict::Run }
}

/// Whether a key is there but its time has come.
pub fn is_due(locks: &mut Locks<'_>, db: usize, key: &Key<'_>, now_ms: i64) -> bool {
    locks.shard_of(key).db_ref(db).presence(key, now_ms) == Presence::Due
}

/// Lets go of all watched keys, whose shards are held.
pub fn unwatch(session: &mut Session, locks: &mut Locks<'_>) {
    if let Some(watcher) = session.watcher.take() {
        for watched in session.watched.drain(..) {
            let key = locks.keyspace().key(&watched.key);
            locks.shard_of(&key).watch.remove(watched.db, &watched.key, &watcher);
        }
    }
}

/// Lets go of the watched keys of a session that ends, taking the locks for it.
///
/// While a script holds them for long, a thread waits for them in the place of the worker.
pub fn forget_watches(session: &mut Session, keyspace: &'static Keyspace) {
    let Some(watcher) = session.watcher.take() else { return };
    let watched = std::mem::take(&mut session.watched);
    let forget = move |wait: bool| {
        for WatchedKey { db, key } in &watched {
            let hashed = keyspace.key(key);
            let shard = keyspace.shard_of(hashed.hash());
            let guard =
                if wait { Some(keyspace.lock(shard)) } else { keyspace.lock_unless_busy(shard) };
            match guard {
                Some(mut guard) => guard.watch.remove(*db, key, &watcher),
                None => return false,
            }
        }
        true
    };
    if !forget(false) {
        std::thread::spawn(move || forget(true));
    }
}
