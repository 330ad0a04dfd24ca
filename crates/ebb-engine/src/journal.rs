//! The choke point for effects: what commands did, told while their locks are held.
//!
//! Every change passes [`crate::Context::changed`], which marks the transactions that watch
//! the key and leaves the change here. Keyspace notifications and client tracking collect it in
//! [`Effects`]; whatever else follows the data (a log, replicas) subscribes through a [`Sink`].
//! While nobody follows, a change costs an addition.

use ebb_config::id;

use crate::blocking::Ready;
use crate::notify::Effects;
use crate::partitions::Quota;
use crate::server::Server;

/// The class of a keyspace event, as `notify-keyspace-events` selects them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventClass {
    /// `g`: commands on keys of any type.
    Generic,
    /// `$`: strings.
    String,
    /// `x`: keys that expire.
    Expired,
    /// `n`: keys that are new.
    New,
    /// `l`: lists.
    List,
    /// `s`: sets.
    Set,
    /// `h`: hashes.
    Hash,
    /// `z`: sorted sets.
    SortedSet,
    /// `t`: streams.
    Stream,
    /// `e`: keys deleted for want of memory.
    Evicted,
    /// `m`: keys that were looked for and not found.
    KeyMiss,
    /// `d`: types that modules add.
    Module,
    /// What no notification tells of.
    Untold,
}

/// What happened to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Its class.
    pub class: EventClass,
    /// Its name in notifications: "set", "del", ...
    pub name: &'static str,
}

impl Event {
    /// An event on a string.
    pub const fn string(name: &'static str) -> Event {
        Event { class: EventClass::String, name }
    }

    /// An event on a key of any type.
    pub const fn generic(name: &'static str) -> Event {
        Event { class: EventClass::Generic, name }
    }

    /// A change that no notification tells of.
    pub const fn untold() -> Event {
        Event { class: EventClass::Untold, name: "" }
    }

    /// An event on a list.
    pub const fn list(name: &'static str) -> Event {
        Event { class: EventClass::List, name }
    }

    /// An event on a set.
    pub const fn set(name: &'static str) -> Event {
        Event { class: EventClass::Set, name }
    }

    /// An event on a hash.
    pub const fn hash(name: &'static str) -> Event {
        Event { class: EventClass::Hash, name }
    }

    /// An event on a sorted set.
    pub const fn zset(name: &'static str) -> Event {
        Event { class: EventClass::SortedSet, name }
    }

    /// An event on a stream.
    pub const fn stream(name: &'static str) -> Event {
        Event { class: EventClass::Stream, name }
    }

    /// A key was deleted to make room.
    pub const fn evicted() -> Event {
        Event { class: EventClass::Evicted, name: "evicted" }
    }

    /// A key was looked for and not found.
    pub const fn key_miss() -> Event {
        Event { class: EventClass::KeyMiss, name: "keymiss" }
    }

    /// A key that was not there is there now.
    pub const fn new_key() -> Event {
        Event { class: EventClass::New, name: "new" }
    }

    /// A key's time has come.
    pub const fn expired() -> Event {
        Event { class: EventClass::Expired, name: "expired" }
    }
}

/// Follows the changes, under the locks of the shards they happen in.
pub trait Sink: Send {
    /// A key of a database changed.
    fn changed(&mut self, db: usize, key: &[u8], event: Event);

    /// The server deleted a key by itself: its time had come, or there was no room for it. Whoever
    /// keeps a copy deletes it with this command: UNLINK where `lazyfree-lazy-expire` or
    /// `lazyfree-lazy-eviction` (of the key's partition, if it is in one) say so, otherwise DEL.
    fn deleted(&mut self, db: usize, key: &[u8], command: Deletion);
}

/// The command that stands for a deletion by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// DEL.
    Del,
    /// UNLINK.
    Unlink,
}

/// The followers of one thread's changes.
#[derive(Default)]
pub(crate) struct Sinks(Vec<Box<dyn Sink>>);

impl Sinks {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells of a change. `is_lazy` answers whether the server's own deletions of a class are lazy.
    #[inline]
    fn tell(&mut self, db: usize, key: &[u8], event: Event, is_lazy: impl Fn(EventClass) -> bool) {
        for sink in &mut self.0 {
            match event.class {
                EventClass::Expired | EventClass::Evicted => {
                    let lazy = is_lazy(event.class);
                    sink.deleted(db, key, if lazy { Deletion::Unlink } else { Deletion::Del });
                }
                _ => sink.changed(db, key, event),
            }
        }
    }
}

impl std::fmt::Debug for Sinks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} sinks", self.0.len())
    }
}

impl Effects {
    /// Adds a follower of the changes that are noted here.
    pub fn subscribe(&mut self, sink: Box<dyn Sink>) {
        self.sinks.0.push(sink);
    }

    /// Tells the followers of a change.
    #[inline]
    pub(crate) fn follow(&mut self, server: &Server, db: usize, key: &[u8], event: Event) {
        self.sinks.tell(db, key, event, |class| match class {
            EventClass::Expired => server.config.get(id::LAZYFREE_LAZY_EXPIRE),
            _ => server.partitions.evicts_lazily(server, db, key),
        });
    }
}

/// What the commands of one worker's batch did.
#[derive(Default)]
pub struct Journal {
    /// Changes.
    pub dirty: u64,
    /// Keys found by reading commands.
    pub hits: u64,
    /// Keys not found.
    pub misses: u64,
    /// Keys that had expired when they were looked up.
    pub expired: u64,
    /// Fields of hashes that had expired when the hash was to be changed.
    pub expired_fields: u64,
    /// Changed keys that somebody waits for.
    pub(crate) ready: Ready,
    /// What the command that runs has reserved in partitions.
    pub(crate) quota: Quota,
    /// For notifications, client tracking, and whatever else follows.
    pub effects: Effects,
}

impl Journal {
    /// Adds a follower.
    pub fn subscribe(&mut self, sink: Box<dyn Sink>) {
        self.effects.subscribe(sink);
    }
}
