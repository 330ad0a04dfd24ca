//! The choke point for effects: what commands did, told while their locks are held.
//!
//! Every change passes [`crate::Context::changed`], which marks the transactions that watch
//! the key and leaves the change here. Keyspace notifications and client tracking collect it in
//! [`Effects`]; whatever else follows the data (a log, replicas) subscribes through a [`Sink`].
//! While nobody follows, a change costs an addition.

use crate::blocking::Ready;
use crate::notify::Effects;
use crate::partitions::Quota;

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
    /// Changed keys that somebody waits for.
    pub(crate) ready: Ready,
    /// What the command that runs has reserved in partitions.
    pub(crate) quota: Quota,
    /// For notifications and client tracking.
    pub effects: Effects,
    sinks: Vec<Box<dyn Sink>>,
}

impl Journal {
    /// Adds a follower.
    pub fn subscribe(&mut self, sink: Box<dyn Sink>) {
        self.sinks.push(sink);
    }

    #[inline]
    pub(crate) fn note(&mut self, db: usize, key: &[u8], event: Event) {
        for sink in &mut self.sinks {
            sink.changed(db, key, event);
        }
    }
}
