//! Publish and subscribe: who listens to which channels and patterns.
//!
//! Channels are spread over parts, each behind a lock of its own, which is held while a
//! message is left for the subscribers: so all of them see messages on a channel in one
//! order, and nobody gets one after the end of a subscription was confirmed.
//!
//! Names, and who listens, are in blocks of the heap (`names.rs`): they are counted exactly,
//! their memory goes back with the last subscription, and defragmentation moves them.

mod moving;
mod subscribers;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ebb_collections::Arenas;
use ebb_heap::{ArenaId, OutOfMemory};
use ebb_keyspace::KeyHasher;
use ebb_types::glob;
use parking_lot::{Mutex, RwLock};

use crate::clients::Client;
use crate::mailbox::{Encoded, Post};
use crate::names;
use crate::reply::{Mark, Reply};
use crate::server::Server;
use crate::session::Session;
use crate::table::Resolved;

pub use moving::Sweep;
pub(crate) use subscribers::Subscriber;
use subscribers::Subscribers;

/// Names and numbers of subscribers.
type Names = names::Names<4>;
type Numbers<'a> = names::Numbers<'a, 4>;

/// Parts of the table of channels; a power of two.
const PARTS: usize = 64;

/// What a subscription is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A channel.
    Channel,
    /// All channels whose names match a pattern.
    Pattern,
    /// A channel that belongs to a slot of a cluster.
    Shard,
}

/// Channels in parts.
struct Channels {
    parts: Box<[Mutex<Names>]>,
    hasher: KeyHasher,
}

impl Channels {
    fn new(arenas: Arenas) -> Channels {
        let parts = (0..PARTS).map(|_| Mutex::new(Names::new(arenas))).collect();
        Channels { parts, hasher: KeyHasher::random() }
    }

    fn part(&self, name: &[u8]) -> &Mutex<Names> {
        &self.parts[self.hasher.hash(name) as usize & (PARTS - 1)]
    }

    fn len(&self) -> usize {
        self.parts.iter().map(|part| part.lock().len()).sum()
    }
}

/// All subscriptions.
///
/// Locks are taken in this order: what one client listens to, a part of the channels or the
/// patterns, the subscribers.
pub struct PubSub {
    arenas: Arenas,
    channels: Channels,
    shard_channels: Channels,
    patterns: RwLock<Names>,
    /// Patterns, so that without any nobody takes their lock.
    pattern_count: AtomicUsize,
    subscribers: RwLock<Subscribers>,
}

impl Default for PubSub {
    fn default() -> PubSub {
        let arenas = Arenas { data: ArenaId::new(), index: ArenaId::new() };
        PubSub {
            arenas,
            channels: Channels::new(arenas),
            shard_channels: Channels::new(arenas),
            patterns: RwLock::new(Names::new(arenas)),
            pattern_count: AtomicUsize::new(0),
            subscribers: RwLock::default(),
        }
    }
}

impl PubSub {
    fn channels(&self, kind: Kind) -> &Channels {
        if kind == Kind::Shard { &self.shard_channels } else { &self.channels }
    }

    /// Works on the names of a kind among which this one is, or would be.
    fn edit<R>(&self, kind: Kind, name: &[u8], work: impl FnOnce(&mut Names) -> R) -> R {
        if kind != Kind::Pattern {
            return work(&mut self.channels(kind).part(name).lock());
        }
        let mut patterns = self.patterns.write();
        let result = work(&mut patterns);
        self.pattern_count.store(patterns.len(), Ordering::Release);
        result
    }

    /// Leaves a message for all subscribers with these numbers; answers for how many.
    fn send(
        &self,
        server: &Server,
        numbers: Numbers<'_>,
        message: &mut Encoded<impl Fn(&mut Reply)>,
        post: &mut Post,
    ) -> usize {
        let subscribers = self.subscribers.read();
        for seat in numbers.iter().filter_map(|number| subscribers.get(number)) {
            post.leave_published(server, &seat.client, message.of(seat.client.protocol()));
        }
        numbers.len()
    }

    /// Publishes a message; answers how many clients get it.
    pub fn publish(
        &self,
        server: &Server,
        kind: Kind,
        channel: &[u8],
        payload: &[u8],
        post: &mut Post,
    ) -> usize {
        let word: &[u8] = if kind == Kind::Shard { b"smessage" } else { b"message" };
        let mut message = Encoded::new(|reply| write_message(reply, &[word, channel, payload]));
        let mut receivers = match self.channels(kind).part(channel).lock().get(channel) {
            Some(numbers) => self.send(server, numbers, &mut message, post),
            None => 0,
        };
        if kind != Kind::Shard && self.pattern_count() > 0 {
            self.patterns.read().for_each(|pattern, numbers| {
                if glob::matches(pattern, channel, false) {
                    let parts: [&[u8]; 4] = [b"pmessage", pattern, channel, payload];
                    let mut message = Encoded::new(|reply| write_message(reply, &parts));
                    receivers += self.send(server, numbers, &mut message, post);
                }
            });
        }
        receivers
    }

    /// How many channels of a kind have subscribers.
    pub fn channel_count(&self, kind: Kind) -> usize {
        self.channels(kind).len()
    }

    /// How many patterns have subscribers.
    pub fn pattern_count(&self) -> usize {
        self.pattern_count.load(Ordering::Acquire)
    }

    /// Subscribers of a channel.
    pub fn subscribers(&self, kind: Kind, channel: &[u8]) -> usize {
        self.channels(kind).part(channel).lock().get(channel).map_or(0, |numbers| numbers.len())
    }

    /// The channels that have subscribers; those that match a pattern, if there is one.
    pub fn list(&self, kind: Kind, pattern: Option<&[u8]>) -> Vec<Box<[u8]>> {
        let mut found = Vec::new();
        for part in &self.channels(kind).parts {
            part.lock().for_each(|name, _| {
                if pattern.is_none_or(|pattern| glob::matches(pattern, name, false)) {
                    found.push(name.into());
                }
            });
        }
        found
    }

    /// Visits every subscription.
    pub(crate) fn each_subscription(&self, mut visit: impl FnMut(Kind, &[u8], &Arc<Client>)) {
        let mut visit_all = |kind, names: &Names| {
            let subscribers = self.subscribers.read();
            names.for_each(|name, numbers| {
                let seats = numbers.iter().filter_map(|number| subscribers.get(number));
                seats.for_each(|seat| visit(kind, name, &seat.client));
            });
        };
        for kind in [Kind::Channel, Kind::Shard] {
            let parts = &self.channels(kind).parts;
            parts.iter().for_each(|part| visit_all(kind, &part.lock()));
        }
        visit_all(Kind::Pattern, &self.patterns.read());
    }
}

/// Writes a push message of strings.
fn write_message(reply: &mut Reply, parts: &[&[u8]]) {
    reply.push(parts.len());
    parts.iter().for_each(|part| reply.bulk(part));
}

impl Client {
    /// Whether it listens to anything.
    pub fn is_subscribed(&self) -> bool {
        let figures = &self.figures;
        let all = [&figures.channels, &figures.patterns, &figures.shard_channels];
        all.iter().any(|count| count.load(Ordering::Relaxed) > 0)
    }
}

impl Session {
    /// Whether the client listens to anything.
    #[inline]
    pub fn is_subscribed(&self) -> bool {
        self.subscriber.is_some()
    }

    /// Begins a subscription; answers how many there are.
    pub fn subscribe(
        &mut self,
        server: &Server,
        kind: Kind,
        name: &[u8],
    ) -> Result<usize, OutOfMemory> {
        let pubsub = &server.pubsub;
        let enroll = || pubsub.subscribers.write().enroll(&self.client, pubsub.arenas);
        let subscriber = self.subscriber.get_or_insert_with(enroll);
        let mut own = subscriber.subscriptions.lock();
        let mut result = own.add(kind, name).map(|_| ());
        if result.is_ok() {
            result = pubsub
                .edit(kind, name, |names| names.add(name, subscriber.number.into()).map(|_| ()));
            if result.is_err() {
                own.of(kind).forget(name);
            }
        }
        let count = own.count(kind);
        drop(own);
        self.show_subscriptions(server);
        result.map(|()| count)
    }

    /// Ends a subscription; answers how many are left.
    pub fn unsubscribe(&mut self, server: &Server, kind: Kind, name: &[u8]) -> usize {
        let Some(subscriber) = &self.subscriber else { return 0 };
        let mut own = subscriber.subscriptions.lock();
        if own.of(kind).forget(name) {
            server.pubsub.edit(kind, name, |names| names.remove(name, subscriber.number.into()));
        }
        let count = own.count(kind);
        drop(own);
        self.show_subscriptions(server);
        count
    }

    /// The names of all subscriptions of a kind, in order.
    pub fn subscribed(&self, kind: Kind) -> Vec<Box<[u8]>> {
        let mut all: Vec<Box<[u8]>> = Vec::new();
        if let Some(subscriber) = &self.subscriber {
            subscriber.subscriptions.lock().of(kind).for_each(|name, _| all.push(name.into()));
        }
        all.sort_unstable();
        all
    }

    /// How many subscriptions confirmations of this kind count.
    pub fn subscription_count(&self, kind: Kind) -> usize {
        self.subscriber.as_ref().map_or(0, |all| all.subscriptions.lock().count(kind))
    }

    /// Ends all subscriptions without a word.
    pub fn unsubscribe_all(&mut self, server: &Server) {
        for kind in [Kind::Channel, Kind::Pattern, Kind::Shard] {
            for name in self.subscribed(kind) {
                self.unsubscribe(server, kind, &name);
            }
        }
    }

    /// Shows others what the client listens to.
    fn show_subscriptions(&mut self, server: &Server) {
        let all = self.subscriber.as_ref();
        let lens = all.map_or([0; 3], |all| all.subscriptions.lock().lens());
        let figures = &self.client.figures;
        let places = [&figures.channels, &figures.patterns, &figures.shard_channels];
        places.iter().zip(lens).for_each(|(place, len)| place.store(len, Ordering::Relaxed));
        if lens == [0; 3]
            && let Some(subscriber) = self.subscriber.take()
        {
            server.pubsub.subscribers.write().dismiss(subscriber.number);
        }
        self.update_receives();
    }
}

/// Commands whose answers are messages, which even CLIENT REPLY OFF lets through.
fn answers_with_messages(name: &str) -> bool {
    matches!(
        name,
        "subscribe" | "unsubscribe" | "psubscribe" | "punsubscribe" | "ssubscribe" | "sunsubscribe"
    )
}

/// Whether a client of RESP2 that listens to channels may use the command.
pub(crate) fn is_allowed_while_subscribed(name: &str) -> bool {
    answers_with_messages(name) || matches!(name, "ping" | "quit" | "reset")
}

/// Whether what was written since `mark` is sent whatever CLIENT REPLY says.
pub(crate) fn is_always_sent(command: &Resolved, reply: &Reply, mark: Mark) -> bool {
    matches!(command, Resolved::Command(command) if answers_with_messages(command.name))
        && !reply.is_error_at(mark)
}
