//! Client-side caching (CLIENT TRACKING): who is told that keys have changed.
//!
//! A client that tracks is remembered for each key that it reads, until the key changes and
//! it is told. This happens under the lock of the key's shard, for reads and for writes, so
//! no change between a client's reading and its being remembered is missed. A client in BCAST
//! mode is told of all changes under prefixes, once a batch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use ebb_config::id;
use ebb_heap::ArenaId;
use ebb_resp::Protocol;
use parking_lot::Mutex;
use rand::Rng;

use crate::call::Call;
use crate::clients::Client;
use crate::mailbox::{Encoded, Message, Post};
use crate::reply::Reply;
use crate::server::Server;
use crate::session::Session;
use crate::spec::{Flags, KeyFlags};
use crate::table::Resolved;
pub(crate) use table::Sweep;
use table::{Keys, Table};

mod table;

/// So many keys at most are forgotten after one command.
const FORGET_MAX: usize = 100;

/// How a client tracks keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrackingMode {
    /// All keys under prefixes, whether it read them or not.
    pub bcast: bool,
    /// Only keys read by commands after CLIENT CACHING YES.
    pub optin: bool,
    /// All keys but those read by commands after CLIENT CACHING NO.
    pub optout: bool,
    /// Not what it changed itself.
    pub noloop: bool,
    /// Another client gets the messages; 0 if it does.
    pub redirect: u64,
    /// That other client is gone.
    pub broken: bool,
}

/// What a client's own session keeps about its tracking.
#[derive(Debug, Default)]
pub struct OwnTracking {
    /// The mode it chose; `broken` is kept where others can set it.
    pub mode: TrackingMode,
    /// Prefixes, in BCAST mode.
    pub prefixes: BTreeSet<Box<[u8]>>,
    /// CLIENT CACHING was given for the next command.
    pub caching: bool,
}

/// What is tracked.
#[derive(Default)]
pub struct Tracking {
    table: Table,
    /// Clients by prefix.
    prefixes: Mutex<BTreeMap<Box<[u8]>, BTreeSet<u64>>>,
    prefix_count: AtomicUsize,
    clients: Mutex<usize>,
}

impl Tracking {
    /// Clients that track.
    pub fn clients(&self) -> usize {
        *self.clients.lock()
    }

    /// Keys remembered.
    pub fn keys(&self) -> usize {
        self.table.keys()
    }

    /// Pairs of a key and a client, remembered.
    pub fn items(&self) -> usize {
        self.table.items()
    }

    /// Bytes of what is remembered: in the heap, and outside of it.
    pub fn bytes(&self) -> (usize, usize) {
        let inside = self.table.arenas().map(ArenaId::live_bytes);
        (inside.iter().sum(), self.table.outside_bytes())
    }

    /// The arenas of what is remembered.
    pub(crate) fn arenas(&self) -> [ArenaId; 2] {
        self.table.arenas()
    }

    /// Works on what is remembered at a position, and goes on to the one that `work` answers, 0 for
    /// the next part; answers whether there is more.
    pub(crate) fn step<E>(
        &self,
        sweep: &mut Sweep,
        work: impl FnOnce(&mut Keys, u64) -> Result<u64, E>,
    ) -> Result<bool, E> {
        self.table.step(sweep, work)
    }

    /// Prefixes that clients follow.
    pub fn prefixes(&self) -> usize {
        self.prefix_count.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn has_prefixes(&self) -> bool {
        self.prefixes() > 0
    }

    /// A key has changed: tells who has read it.
    pub(crate) fn invalidate(&self, server: &Server, key: &[u8], origin: u64, post: &mut Post) {
        tell(server, key, &self.table.remove(key), origin, post);
    }

    /// A database was emptied: tells everybody that nothing is valid.
    pub(crate) fn flush(&self, server: &Server, post: &mut Post) {
        self.table.clear();
        let mut message = Encoded::new(|reply| write_invalidation(reply, None));
        for client in server.clients.all() {
            let mode = *client.tracking.lock();
            if let Some(mode) = mode {
                send(server, &client, mode, &mut message, post);
            }
        }
    }

    /// Tells clients that follow prefixes of the keys that changed in a batch, each with the
    /// client that changed it.
    pub(crate) fn broadcast(&self, server: &Server, changes: &[(Box<[u8]>, u64)], post: &mut Post) {
        for (prefix, clients) in self.prefixes.lock().iter() {
            let under = changes.iter().filter(|(key, _)| key.starts_with(prefix));
            let keys: BTreeMap<&[u8], u64> = under.map(|(key, by)| (&**key, *by)).collect();
            if keys.is_empty() {
                continue;
            }
            let all: Vec<&[u8]> = keys.keys().copied().collect();
            let mut message = Encoded::new(|reply| write_invalidation(reply, Some(&all)));
            for &id in clients {
                let Some(client) = server.clients.get(id) else { continue };
                let mode = *client.tracking.lock();
                let Some(mode) = mode else { continue };
                if !mode.noloop || keys.values().all(|by| *by != id) {
                    send(server, &client, mode, &mut message, post);
                    continue;
                }
                let others = keys.iter().filter(|(_, by)| **by != id);
                let others: Vec<&[u8]> = others.map(|(key, _)| *key).collect();
                if !others.is_empty() {
                    let mut message =
                        Encoded::new(|reply| write_invalidation(reply, Some(&others)));
                    send(server, &client, mode, &mut message, post);
                }
            }
        }
    }

    /// Forgets keys at random, at most `limit`, while there are more than the directive
    /// `tracking-table-max-keys` allows, and tells who has read them.
    pub fn shrink(&self, server: &Server, limit: usize, random: &mut impl Rng, post: &mut Post) {
        let max = server.config.get(id::TRACKING_TABLE_MAX_KEYS) as usize;
        for _ in 0..limit {
            if max == 0 || self.keys() <= max {
                return;
            }
            let Some((key, clients)) = self.table.remove_random(random) else { return };
            tell(server, &key, &clients, 0, post);
        }
    }

    fn change_prefixes(&self, change: impl FnOnce(&mut BTreeMap<Box<[u8]>, BTreeSet<u64>>)) {
        let mut prefixes = self.prefixes.lock();
        change(&mut prefixes);
        self.prefix_count.store(prefixes.len(), Ordering::Relaxed);
    }

    /// Counts clients. Without any, nothing is remembered.
    fn count(&self, server: &Server, begins: bool) {
        let mut clients = self.clients.lock();
        if begins {
            *clients += 1;
        } else {
            *clients -= 1;
        }
        server.followers.set_tracked(*clients > 0);
        if *clients == 0 {
            self.table.clear();
        }
    }
}

/// Tells clients that have read a key that it has changed.
fn tell(server: &Server, key: &[u8], clients: &[u64], origin: u64, post: &mut Post) {
    let keys = [key];
    let mut message = Encoded::new(|reply| write_invalidation(reply, Some(&keys)));
    for &id in clients {
        let Some(client) = server.clients.get(id) else { continue };
        let mode = *client.tracking.lock();
        if let Some(mode) = mode
            && !mode.bcast
            && !(mode.noloop && id == origin)
        {
            send(server, &client, mode, &mut message, post);
        }
    }
}

/// Writes a message that names keys, or says that all are meant.
fn write_invalidation(reply: &mut Reply, keys: Option<&[&[u8]]>) {
    if reply.is_resp3() {
        reply.push(2);
        reply.bulk(b"invalidate");
    } else {
        reply.push(3);
        reply.bulk(b"message");
        reply.bulk(b"__redis__:invalidate");
    }
    match keys {
        Some(keys) => {
            reply.array(keys.len());
            keys.iter().for_each(|key| reply.bulk(key));
        }
        None => reply.null(),
    }
}

/// Leaves a message for a client that tracks, or for the one that gets its messages. In RESP2
/// only a client that listens to channels can understand it, and only for another one.
fn send(
    server: &Server,
    client: &Client,
    mode: TrackingMode,
    message: &mut Encoded<impl Fn(&mut Reply)>,
    post: &mut Post,
) {
    if mode.redirect == 0 {
        if client.protocol() == Protocol::Resp3 {
            post.leave_after_reply(server, client, message.of(Protocol::Resp3));
        }
        return;
    }
    match server.clients.get(mode.redirect) {
        Some(target) => {
            let protocol = target.protocol();
            if protocol == Protocol::Resp3 || target.is_subscribed() {
                post.leave_after_reply(server, &target, message.of(protocol));
            }
        }
        None => report_broken(server, client, mode.redirect, post),
    }
}

/// The client that was to get the messages is gone.
fn report_broken(server: &Server, client: &Client, redirect: u64, post: &mut Post) {
    if let Some(mode) = &mut *client.tracking.lock() {
        mode.broken = true;
    }
    if client.protocol() == Protocol::Resp3 {
        let mut reply = Reply::default();
        reply.set_protocol(Protocol::Resp3);
        reply.push(2);
        reply.bulk(b"tracking-redir-broken");
        reply.integer(redirect as i64);
        post.leave(server, client, &Message::from(reply.parts().0));
    }
}

impl Session {
    /// Begins to track, or goes on in another way. In BCAST mode `prefixes` are added to those
    /// it follows; if it has none, it follows all keys.
    pub fn start_tracking(&mut self, server: &Server, mode: TrackingMode, prefixes: &[&[u8]]) {
        if self.tracking.is_none() {
            server.tracking.count(server, true);
        }
        let own = self.tracking.get_or_insert_default();
        own.mode = mode;
        if mode.bcast {
            let all: &[&[u8]] = &[b""];
            let prefixes = if prefixes.is_empty() { all } else { prefixes };
            own.prefixes.extend(prefixes.iter().map(|&prefix| prefix.into()));
            server.tracking.change_prefixes(|table| {
                for &prefix in prefixes {
                    table.entry(prefix.into()).or_default().insert(self.client.id);
                }
            });
        }
        let prefixes = own.prefixes.len();
        self.client.figures.prefixes.store(prefixes, Ordering::Relaxed);
        *self.client.tracking.lock() = Some(mode);
        self.update_receives();
    }

    /// Ends tracking.
    pub fn stop_tracking(&mut self, server: &Server) {
        let Some(own) = self.tracking.take() else { return };
        *self.client.tracking.lock() = None;
        self.client.figures.prefixes.store(0, Ordering::Relaxed);
        if !own.prefixes.is_empty() {
            server.tracking.change_prefixes(|table| {
                for prefix in &own.prefixes {
                    if let Some(clients) = table.get_mut(prefix) {
                        clients.remove(&self.client.id);
                        if clients.is_empty() {
                            table.remove(prefix);
                        }
                    }
                }
            });
        }
        server.tracking.count(server, false);
        self.update_receives();
    }
}

/// Remembers the keys that a command has read, while their shards are held.
#[cold]
pub(crate) fn remember(
    server: &Server,
    session: &Session,
    call: &Call<'_>,
    random: &mut impl Rng,
    post: &mut Post,
) {
    let Some(own) = &session.tracking else { return };
    let mode = own.mode;
    let left_out = (mode.optin && !own.caching) || (mode.optout && own.caching);
    if mode.bcast || left_out || call.command.spec.flags.has(Flags::PUBSUB) {
        return;
    }
    // Arguments that name no keys were refused by the command.
    let _ = call.command.spec.each_key(call.args, |at, flags| {
        if !flags.has(KeyFlags::NOT_KEY) {
            let (key, client) = (call.args[at], session.client.id);
            if server.tracking.table.add(key, client).is_err() {
                // What cannot be remembered must not be kept.
                tell(server, key, &[client], 0, post);
            }
        }
    });
    server.tracking.shrink(server, FORGET_MAX, random, post);
}

/// What CLIENT CACHING said holds for the next command, or the whole transaction.
pub(crate) fn end_request(session: &mut Session, command: &Resolved) {
    let is_client =
        matches!(command, Resolved::Command(command) if command.name.starts_with("client|"));
    if let Some(own) = &mut session.tracking
        && session.transaction.is_none()
        && !is_client
    {
        own.caching = false;
    }
}
