//! Keyspace notifications, and what is done with a command's effects at its end.
//!
//! While a command runs its effects are collected, if anybody follows them. At its end, while
//! its locks are still held, they are published: so the messages about a key come in the
//! order of its changes. The workers of those who get them are told after the batch.

use std::sync::atomic::{AtomicU32, Ordering};

use ebb_config::{Config, id};

use crate::journal::{Event, EventClass, Journal, Sinks};
use crate::mailbox::Post;
use crate::pubsub::Kind;
use crate::server::Server;

/// Letters of `notify-keyspace-events` and their classes.
const CLASSES: [(char, EventClass); 12] = [
    ('g', EventClass::Generic),
    ('$', EventClass::String),
    ('l', EventClass::List),
    ('s', EventClass::Set),
    ('h', EventClass::Hash),
    ('z', EventClass::SortedSet),
    ('x', EventClass::Expired),
    ('e', EventClass::Evicted),
    ('t', EventClass::Stream),
    ('d', EventClass::Module),
    ('m', EventClass::KeyMiss),
    ('n', EventClass::New),
];
/// What `A` stands for.
const ALL: &str = "g$lshzxetd";

/// Messages on `__keyspace@...`.
const KEYSPACE: u32 = 1 << 29;
/// Messages on `__keyevent@...`.
const KEYEVENT: u32 = 1 << 30;
/// Clients keep copies of values and want to know of every change.
const TRACKED: u32 = 1 << 31;

/// Who follows the effects of commands: looked at with each of them.
#[derive(Debug, Default)]
pub struct Followers(AtomicU32);

fn bit(class: EventClass) -> u32 {
    1 << class as u32
}

impl Followers {
    /// Reads `notify-keyspace-events`.
    pub fn refresh(&self, config: &Config) {
        let text = config.get(id::NOTIFY_KEYSPACE_EVENTS);
        let has = |letter| text.contains(letter) || (text.contains('A') && ALL.contains(letter));
        let to = |letter, bit| if text.contains(letter) { bit } else { 0 };
        let channels = to('K', KEYSPACE) | to('E', KEYEVENT);
        let wanted = CLASSES.iter().filter(|(letter, _)| has(*letter));
        let classes = wanted.fold(0, |bits, (_, class)| bits | bit(*class));
        // Without a channel to send to there is nothing to send.
        let bits = if channels == 0 { 0 } else { channels | classes };
        let keep_tracked = |old| Some(old & TRACKED | bits);
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, keep_tracked);
    }

    /// Whether any client tracks keys.
    pub(crate) fn set_tracked(&self, on: bool) {
        if on {
            self.0.fetch_or(TRACKED, Ordering::Relaxed);
        } else {
            self.0.fetch_and(!TRACKED, Ordering::Relaxed);
        }
    }

    /// Whether any client tracks keys.
    #[inline]
    pub(crate) fn is_tracked(&self) -> bool {
        self.0.load(Ordering::Relaxed) & TRACKED != 0
    }

    /// Whether notifications of a class are sent.
    #[inline]
    pub fn wants(&self, class: EventClass) -> bool {
        self.0.load(Ordering::Relaxed) & bit(class) != 0
    }

    /// Whether anything is followed.
    #[inline]
    fn follows_any(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    /// Whether an event is to be collected: for notifications or, if it is a change, for tracking.
    #[inline]
    fn follows(&self, class: EventClass, changed: bool) -> bool {
        let tracked = if changed { TRACKED } else { 0 };
        self.0.load(Ordering::Relaxed) & (bit(class) | tracked) != 0
    }
}

/// What happened to a key.
#[derive(Debug)]
struct Effect {
    db: usize,
    key: Box<[u8]>,
    event: Event,
    /// It is a change; otherwise only something to tell of.
    changed: bool,
}

/// The effects of a command, until it ends.
#[derive(Debug, Default)]
pub struct Effects {
    effects: Vec<Effect>,
    /// A database was emptied.
    flushed: bool,
    /// Keys that changed in this batch, and by whom: for clients that follow prefixes.
    broadcast: Vec<(Box<[u8]>, u64)>,
    /// Messages to clients.
    pub post: Post,
    pub(crate) sinks: Sinks,
}

impl Effects {
    /// Whether anybody may follow a change.
    #[inline]
    pub(crate) fn has_followers(&self, server: &Server) -> bool {
        !self.sinks.is_empty() || server.followers.follows_any()
    }

    /// Notes an event, if anybody follows it.
    #[inline]
    pub fn note(&mut self, server: &Server, db: usize, key: &[u8], event: Event, changed: bool) {
        if changed {
            self.follow(server, db, key, event);
        }
        if server.followers.follows(event.class, changed) {
            self.effects.push(Effect { db, key: key.into(), event, changed });
        }
    }

    /// Notes that a database was emptied.
    pub(crate) fn note_flush(&mut self, server: &Server) {
        self.flushed |= server.followers.is_tracked();
    }

    /// Whether there is anything to publish.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.effects.is_empty() && !self.flushed
    }

    /// Publishes what a command did. `origin` is the client that ran it, 0 if nobody did.
    #[cold]
    pub fn publish(&mut self, server: &Server, origin: u64) {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            if effect.changed && server.followers.is_tracked() {
                server.tracking.invalidate(server, &effect.key, origin, &mut self.post);
            }
            if server.followers.wants(effect.event.class) {
                notify(server, &effect, &mut self.post);
            }
            if effect.changed && server.tracking.has_prefixes() {
                self.broadcast.push((effect.key, origin));
            }
        }
        self.effects = effects;
        if std::mem::take(&mut self.flushed) {
            server.tracking.flush(server, &mut self.post);
        }
    }

    /// Ends a batch, while no locks are held. `worker` is the one whose thread this is.
    #[inline]
    pub fn finish(&mut self, server: &Server, worker: Option<usize>) {
        if !self.broadcast.is_empty() {
            server.tracking.broadcast(server, &self.broadcast, &mut self.post);
            self.broadcast = Vec::new();
        }
        self.post.send(server, worker);
    }
}

impl Journal {
    /// Notes an event on a key for those who follow it: a change, or something else to tell of.
    #[inline]
    pub fn tell(&mut self, server: &Server, db: usize, key: &[u8], event: Event, changed: bool) {
        self.effects.note(server, db, key, event, changed);
    }
}

/// Publishes an event on the key's channel, then on the event's.
fn notify(server: &Server, effect: &Effect, post: &mut Post) {
    let Effect { db, key, event, .. } = effect;
    let channels = server.followers.0.load(Ordering::Relaxed);
    let mut publish = |channel: &[u8], payload: &[u8]| {
        server.pubsub.publish(server, Kind::Channel, channel, payload, post);
    };
    if channels & KEYSPACE != 0 {
        let mut channel = format!("__keyspace@{db}__:").into_bytes();
        channel.extend_from_slice(key);
        publish(&channel, event.name.as_bytes());
    }
    if channels & KEYEVENT != 0 {
        publish(format!("__keyevent@{db}__:{}", event.name).as_bytes(), key);
    }
}
