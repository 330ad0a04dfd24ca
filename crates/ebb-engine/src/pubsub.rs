//! Publish and subscribe: who listens to which channels and patterns.
//!
//! Channels are spread over parts, each behind a lock of its own, which is held while a
//! message is left for the subscribers: so all of them see messages on a channel in one
//! order, and nobody gets one after the end of a subscription was confirmed.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ebb_keyspace::KeyHasher;
use ebb_types::glob;
use parking_lot::{Mutex, RwLock};

use crate::clients::Client;
use crate::mailbox::{Encoded, Post};
use crate::reply::{Mark, Reply};
use crate::server::Server;
use crate::session::Session;
use crate::table::Resolved;

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

/// Clients that listen to the same, by ascending number.
#[derive(Debug, Default)]
struct Members(Vec<(u64, Arc<Client>)>);

impl Members {
    fn add(&mut self, client: &Arc<Client>) {
        if let Err(at) = self.0.binary_search_by_key(&client.id, |(id, _)| *id) {
            self.0.insert(at, (client.id, Arc::clone(client)));
        }
    }

    fn remove(&mut self, id: u64) {
        if let Ok(at) = self.0.binary_search_by_key(&id, |(id, _)| *id) {
            self.0.remove(at);
        }
    }

    /// Leaves a message for all; answers for how many.
    fn send(
        &self,
        server: &Server,
        message: &mut Encoded<impl Fn(&mut Reply)>,
        post: &mut Post,
    ) -> usize {
        for (_, client) in &self.0 {
            post.leave_published(server, client, message.of(client.protocol()));
        }
        self.0.len()
    }
}

type Names = HashMap<Arc<[u8]>, Members>;

/// Adds a client, and answers the name as it is kept.
fn join(names: &mut Names, name: &[u8], client: &Arc<Client>) -> Arc<[u8]> {
    let kept = names.get_key_value(name).map(|(kept, _)| Arc::clone(kept));
    let kept = kept.unwrap_or_else(|| name.into());
    names.entry(Arc::clone(&kept)).or_default().add(client);
    kept
}

/// Removes a client, and the name that nobody listens to any more.
fn leave(names: &mut Names, name: &[u8], id: u64) {
    if let Some(members) = names.get_mut(name) {
        members.remove(id);
        if members.0.is_empty() {
            names.remove(name);
        }
    }
}

/// Channels in parts.
struct Channels {
    parts: Box<[Mutex<Names>]>,
    hasher: KeyHasher,
}

impl Channels {
    fn new() -> Channels {
        let parts = (0..PARTS).map(|_| Mutex::default()).collect();
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
pub struct PubSub {
    channels: Channels,
    shard_channels: Channels,
    patterns: RwLock<Names>,
    /// Patterns, so that without any nobody takes their lock.
    pattern_count: AtomicUsize,
}

impl Default for PubSub {
    fn default() -> PubSub {
        PubSub {
            channels: Channels::new(),
            shard_channels: Channels::new(),
            patterns: RwLock::default(),
            pattern_count: AtomicUsize::new(0),
        }
    }
}

impl PubSub {
    fn channels(&self, kind: Kind) -> &Channels {
        if kind == Kind::Shard { &self.shard_channels } else { &self.channels }
    }

    fn add(&self, kind: Kind, name: &[u8], client: &Arc<Client>) -> Arc<[u8]> {
        if kind == Kind::Pattern {
            let mut patterns = self.patterns.write();
            let kept = join(&mut patterns, name, client);
            self.pattern_count.store(patterns.len(), Ordering::Release);
            return kept;
        }
        join(&mut self.channels(kind).part(name).lock(), name, client)
    }

    fn remove(&self, kind: Kind, name: &[u8], id: u64) {
        if kind == Kind::Pattern {
            let mut patterns = self.patterns.write();
            leave(&mut patterns, name, id);
            self.pattern_count.store(patterns.len(), Ordering::Release);
            return;
        }
        leave(&mut self.channels(kind).part(name).lock(), name, id);
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
            Some(members) => members.send(server, &mut message, post),
            None => 0,
        };
        if kind != Kind::Shard && self.pattern_count() > 0 {
            for (pattern, members) in self.patterns.read().iter() {
                if glob::matches(pattern, channel, false) {
                    let parts: [&[u8]; 4] = [b"pmessage", pattern, channel, payload];
                    let mut message = Encoded::new(|reply| write_message(reply, &parts));
                    receivers += members.send(server, &mut message, post);
                }
            }
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
        self.channels(kind).part(channel).lock().get(channel).map_or(0, |members| members.0.len())
    }

    /// The channels that have subscribers; those that match a pattern, if there is one.
    pub fn list(&self, kind: Kind, pattern: Option<&[u8]>) -> Vec<Arc<[u8]>> {
        let mut found = Vec::new();
        for part in &self.channels(kind).parts {
            let part = part.lock();
            let wanted = |name: &&Arc<[u8]>| {
                pattern.is_none_or(|pattern| glob::matches(pattern, name, false))
            };
            found.extend(part.keys().filter(wanted).cloned());
        }
        found
    }

    /// Visits every subscription.
    pub(crate) fn each_subscription(&self, mut visit: impl FnMut(Kind, &[u8], &Arc<Client>)) {
        let mut visit_all = |kind, names: &Names| {
            for (name, members) in names {
                members.0.iter().for_each(|(_, client)| visit(kind, name, client));
            }
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

/// What one client listens to.
#[derive(Debug, Default)]
pub struct Subscriptions {
    channels: BTreeSet<Arc<[u8]>>,
    patterns: BTreeSet<Arc<[u8]>>,
    shard_channels: BTreeSet<Arc<[u8]>>,
}

impl Subscriptions {
    fn of(&mut self, kind: Kind) -> &mut BTreeSet<Arc<[u8]>> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::Shard => &mut self.shard_channels,
        }
    }

    fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.patterns.is_empty() && self.shard_channels.is_empty()
    }

    /// The number that confirmations tell: channels and patterns count together.
    fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Shard => self.shard_channels.len(),
            Kind::Channel | Kind::Pattern => self.channels.len() + self.patterns.len(),
        }
    }
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
        self.subscriptions.is_some()
    }

    /// Begins a subscription; answers how many there are.
    pub fn subscribe(&mut self, server: &Server, kind: Kind, name: &[u8]) -> usize {
        let subscriptions = self.subscriptions.get_or_insert_default();
        if !subscriptions.of(kind).contains(name) {
            let kept = server.pubsub.add(kind, name, &self.client);
            subscriptions.of(kind).insert(kept);
        }
        let count = subscriptions.count(kind);
        self.show_subscriptions();
        count
    }

    /// Ends a subscription; answers how many are left.
    pub fn unsubscribe(&mut self, server: &Server, kind: Kind, name: &[u8]) -> usize {
        let Some(subscriptions) = &mut self.subscriptions else { return 0 };
        if subscriptions.of(kind).remove(name) {
            server.pubsub.remove(kind, name, self.client.id);
        }
        let count = subscriptions.count(kind);
        self.show_subscriptions();
        count
    }

    /// The names of all subscriptions of a kind.
    pub fn subscribed(&mut self, kind: Kind) -> Vec<Arc<[u8]>> {
        let names = self.subscriptions.as_mut().map(|all| all.of(kind).iter().cloned().collect());
        names.unwrap_or_default()
    }

    /// How many subscriptions confirmations of this kind count.
    pub fn subscription_count(&self, kind: Kind) -> usize {
        self.subscriptions.as_ref().map_or(0, |all| all.count(kind))
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
    fn show_subscriptions(&mut self) {
        let figures = &self.client.figures;
        let all = self.subscriptions.as_deref();
        let count = |kind: fn(&Subscriptions) -> usize| all.map_or(0, kind);
        figures.channels.store(count(|all| all.channels.len()), Ordering::Relaxed);
        figures.patterns.store(count(|all| all.patterns.len()), Ordering::Relaxed);
        figures.shard_channels.store(count(|all| all.shard_channels.len()), Ordering::Relaxed);
        if all.is_some_and(Subscriptions::is_empty) {
            self.subscriptions = None;
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
