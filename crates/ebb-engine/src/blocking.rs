//! Commands that wait: BLPOP, BZPOPMIN, XREAD BLOCK and their kin.
//!
//! A command that finds nothing calls [`Context::block`]. The client is filed with each key that
//! it waits for, in that key's shard, under the locks under which nothing was found; so no
//! write can slip in between. Its connection runs nothing more for the time being.
//!
//! A write on such a key leaves the key in the journal. When the command (or transaction, or
//! script) that wrote is over, and before it is answered, the clients that wait for the key are
//! served in the order in which they came: the thread that wrote runs their commands again
//! ([`serve`]) and leaves the replies in their mailboxes. Running again may write, too (BLMOVE),
//! and that may serve others.
//!
//! A command may also find something because time has passed (XREADGROUP with CLAIM). It says when
//! ([`Wait::again_ms`]); the client's worker then has all who wait for the same keys served, so that
//! nobody gets ahead of who came before.
//!
//! A wait ends once: by being served, by its time, by CLIENT UNBLOCK, or with its client. Whoever
//! ends it does so under the lock of [`Blocked`].

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use ebb_keyspace::wait::Waiter;
use ebb_keyspace::{Key, Keyspace, Type};
use ebb_resp::Protocol;
use parking_lot::Mutex;

use crate::acl::Denial;
use crate::clients::Client;
use crate::context::Context;
use crate::dispatch::Executor;
use crate::locks::{Busy, Locks};
use crate::mailbox::{Message, Post};
use crate::reply::Reply;
use crate::scratch;
use crate::scripting::Attendant;
use crate::server::Server;
use crate::session::Session;
use crate::stats::{Outcome, Sample};
use crate::table::Command;

/// Between two attempts to get locks that a long script holds.
const PATIENCE: Duration = Duration::from_millis(2);

/// A time that does not come.
const NEVER: i64 = i64::MAX;

/// Clients that wait, in the whole process: what INFO shows as `blocked_clients`.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// How a command that finds nothing wants to wait.
pub struct Wait<'a> {
    /// Positions of the keys among its arguments.
    pub keys: std::ops::Range<usize>,
    /// What has to be at one of them; `None` if any change may matter.
    pub kind: Option<Type>,
    /// When it gives up, in milliseconds since 1970.
    pub deadline_ms: Option<i64>,
    /// When it may find something without a change, in milliseconds since 1970.
    pub again_ms: Option<i64>,
    /// What it answers when it gives up.
    pub on_timeout: fn(&mut Reply),
    /// Arguments to run with instead of its own, where those stood for what is known only now.
    pub args: Option<Vec<&'a [u8]>>,
}

/// A command that waits.
pub struct Blocked {
    client: Arc<Client>,
    command: &'static Command,
    args: Vec<Vec<u8>>,
    keys: std::ops::Range<usize>,
    kind: Option<Type>,
    db: usize,
    protocol: Protocol,
    /// When it gives up, in milliseconds since 1970.
    pub deadline_ms: Option<i64>,
    /// When it may find something without a change; [`NEVER`] if only a change helps.
    again_ms: AtomicI64,
    on_timeout: fn(&mut Reply),
    /// The version of the rules under which it was allowed.
    rules: u64,
    is_over: Mutex<bool>,
}

impl std::fmt::Debug for Blocked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Blocked({} of client {})", self.command.name, self.client.id)
    }
}

/// How CLIENT UNBLOCK ends a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unblock {
    /// As if its time were over.
    Timeout,
    /// With an error.
    Error,
}

/// Clients that wait.
pub fn waiting() -> usize {
    WAITING.load(Ordering::Relaxed)
}

/// Keys for which a client waits that wants to be told, too, when they are gone.
pub fn keys_watched_for_loss(server: &Server) -> usize {
    let clients = server.clients.all();
    let waiting = clients.iter().filter_map(|client| client.blocked.lock().clone());
    let concerned = waiting.filter(|blocked| blocked.kind.is_none() && !blocked.is_over());
    let keys: HashSet<_> =
        concerned.flat_map(|blocked| blocked.awaited().collect::<Vec<_>>()).collect();
    keys.len()
}

impl Blocked {
    /// Ends the wait; answers whether it was not over yet.
    fn end(&self) -> bool {
        let was_over = std::mem::replace(&mut *self.is_over.lock(), true);
        if !was_over {
            WAITING.fetch_sub(1, Ordering::Relaxed);
        }
        !was_over
    }

    /// Whether the wait is over, and its reply on the way.
    pub fn is_over(&self) -> bool {
        *self.is_over.lock()
    }

    /// When its worker has to look after it next, in milliseconds since 1970.
    pub fn due_ms(&self) -> Option<i64> {
        let again_ms = self.again_ms.load(Ordering::Relaxed);
        Some(self.deadline_ms.unwrap_or(NEVER).min(again_ms)).filter(|&at| at != NEVER)
    }

    /// Whether it may find something without a change by now.
    pub fn may_find(&self, now_ms: i64) -> bool {
        self.again_ms.load(Ordering::Relaxed) <= now_ms
    }

    /// The database and the keys that it waits for.
    pub(crate) fn awaited(&self) -> impl Iterator<Item = (usize, Box<[u8]>)> {
        self.args[self.keys.clone()].iter().map(|key| (self.db, key.as_slice().into()))
    }

    /// Why its user may not run it any more, if the rules have changed since it began to wait.
    fn denial(&self, server: &Server, session: &mut Session, args: &[&[u8]]) -> Option<Denial> {
        if server.acl.version() == self.rules {
            return None;
        }
        session.may_run(server, self.command, args).err()
    }

    /// Gives up because the time has come. The reply, unless the wait is over already.
    pub fn time_out(&self, server: &Server) -> Option<Message> {
        if !self.end() {
            return None;
        }
        self.count(server, Outcome::Done);
        Some(self.encode(self.on_timeout))
    }

    /// Counts a command that is answered without running again: it was not counted when it began to wait.
    fn count(&self, server: &Server, outcome: Outcome) {
        let sample = Sample { command: self.command.number as u32, outcome, count: 1, nanos: 0 };
        let commands = server.commands.all().len();
        server.workers[self.client.worker()].totals.add(&[sample], commands, false);
    }

    /// Ends the wait of a client that is gone.
    pub fn abandon(&self) {
        self.end();
    }

    fn encode(&self, write: impl FnOnce(&mut Reply)) -> Message {
        let mut reply = Reply::default();
        reply.set_protocol(self.protocol);
        write(&mut reply);
        encoded(&reply)
    }

    /// Takes the client off the keys it was filed with, taking the locks for it. Where a script
    /// holds them for long it is left to those who serve: they find that the wait is over.
    pub fn forget(&self, keyspace: &Keyspace) {
        for key in &self.args[self.keys.clone()] {
            let key = keyspace.key(key);
            let shard = keyspace.lock_unless_busy(keyspace.shard_of(key.hash()));
            if let Some(mut shard) = shard {
                shard.wait.remove(self.db, key.bytes(), self.client.id);
            }
        }
    }
}

/// The bytes of a reply in one piece.
fn encoded(reply: &Reply) -> Message {
    let (bytes, references) = reply.parts();
    if references.is_empty() {
        return bytes.into();
    }
    let mut whole = Vec::with_capacity(bytes.len());
    let mut at = 0;
    for (offset, shared) in references {
        whole.extend_from_slice(&bytes[at..*offset]);
        whole.extend_from_slice(shared.as_slice());
        at = *offset;
    }
    whole.extend_from_slice(&bytes[at..]);
    whole.into()
}

/// Ends a client's wait on behalf of another client; answers whether it waited.
pub fn unblock(server: &Server, client: &Arc<Client>, how: Unblock) -> bool {
    let Some(blocked) = client.blocked.lock().clone() else { return false };
    if !blocked.end() {
        return false;
    }
    let message = blocked.encode(|reply| match how {
        Unblock::Timeout => (blocked.on_timeout)(reply),
        Unblock::Error => reply.error("UNBLOCKED client unblocked via CLIENT UNBLOCK"),
    });
    if how == Unblock::Error {
        server.errors.add("UNBLOCKED");
        server.counters.error_replies.fetch_add(1, Ordering::Relaxed);
    }
    blocked.count(server, if how == Unblock::Error { Outcome::Failed } else { Outcome::Done });
    let mut post = Post::default();
    post.leave(server, client, &message);
    post.send(server, None);
    true
}

/// Ends a wait with the answer that was waited for, unless it is over already.
pub(crate) fn answer(server: &Server, blocked: &Blocked, write: impl FnOnce(&mut Reply)) {
    if !blocked.end() {
        return;
    }
    let mut reply = Reply::default();
    reply.set_protocol(blocked.protocol);
    write(&mut reply);
    if reply.is_starved() || scratch::require(reply.len()).is_err() {
        give_up(server, &blocked.client);
        return;
    }
    blocked.count(server, Outcome::Done);
    let mut post = Post::default();
    post.leave(server, &blocked.client, &encoded(&reply));
    post.send(server, None);
}

/// There is no memory for what a client waited for: it is told so by its end.
fn give_up(server: &Server, client: &Client) {
    client.kill();
    server.attend(client);
}

impl Context<'_> {
    /// Whether the client may wait: not inside a transaction or a script.
    pub fn may_block(&self) -> bool {
        self.session.may_block
    }

    /// Lets the client wait, if it may: inside a transaction or a script the command answers at
    /// once what it would answer when its time is over.
    pub fn block(&mut self, wait: Wait<'_>) {
        if self.session.is_retry {
            self.session.would_block = true;
            self.session.again_ms = wait.again_ms;
            return;
        }
        if !self.session.may_block {
            (wait.on_timeout)(self.reply);
            return;
        }
        let args = wait.args.as_deref().unwrap_or(self.args);
        let blocked = Arc::new(Blocked {
            client: Arc::clone(&self.session.client),
            command: self.command,
            args: args.iter().map(|arg| arg.to_vec()).collect(),
            keys: wait.keys.clone(),
            kind: wait.kind,
            db: self.session.db,
            protocol: self.session.protocol,
            deadline_ms: wait.deadline_ms,
            again_ms: AtomicI64::new(wait.again_ms.unwrap_or(NEVER)),
            on_timeout: wait.on_timeout,
            rules: self.server.acl.version(),
            is_over: Mutex::new(false),
        });
        for at in wait.keys {
            let key = self.key(at);
            let (db, client) = (self.session.db, self.session.id());
            let waiter = Waiter { client, watches_for_loss: wait.kind.is_none() };
            self.shard(&key).wait.add(db, key.bytes(), waiter);
        }
        WAITING.fetch_add(1, Ordering::Relaxed);
        *self.session.client.blocked.lock() = Some(Arc::clone(&blocked));
        self.session.blocked = Some(blocked);
    }

    /// Has those run again who wait for a key, where no change is told that would see to it.
    pub fn may_be_ready(&mut self, key: &Key<'_>) {
        if !self.shard(key).wait.is_empty() {
            self.note_ready(self.session.db, key);
        }
    }

    /// Notes that somebody may wait for a key that was just changed.
    #[cold]
    pub(crate) fn note_ready(&mut self, db: usize, key: &Key<'_>) {
        if self.locks.shard_of(key).wait.has(db, key.bytes()) {
            self.journal.ready.push_back((db, key.bytes().into()));
        }
    }

    /// Notes all keys of a database's shard that somebody waits for: its contents were replaced.
    pub fn all_may_be_ready(&mut self, shard: usize) {
        let journal = &mut *self.journal;
        let wait = &self.locks.shard(shard).wait;
        wait.each_key(|db, key| journal.ready.push_back((db, key.into())));
    }
}

/// Keys that were changed and that somebody waits for.
pub(crate) type Ready = VecDeque<(usize, Box<[u8]>)>;

/// Serves those who wait for the keys in the journal. Locks are let go and taken anew.
#[cold]
pub(crate) fn serve(
    executor: &mut Executor,
    locks: &mut Locks<'static>,
    attendant: &mut dyn Attendant,
) {
    let mut post = Post::default();
    // What changed the keys may have taken long.
    executor.look_at_the_clock();
    while let Some((db, key)) = executor.journal.ready.pop_front() {
        let keyspace = locks.keyspace();
        let shard = keyspace.shard_of(keyspace.hasher().hash(&key));
        patiently(|| locks.hold_one(shard));
        let mut is_gone = false;
        for waiter in locks.shard(shard).wait.clients(db, &key) {
            if is_gone && !waiter.watches_for_loss {
                continue;
            }
            let client = executor.server.clients.get(waiter.client);
            let blocked = client.and_then(|client| client.blocked.lock().clone());
            let Some(blocked) = blocked.filter(|blocked| !blocked.is_over()) else {
                patiently(|| locks.hold_one(shard));
                locks.shard(shard).wait.remove(db, &key, waiter.client);
                continue;
            };
            is_gone = !serve_one(executor, locks, attendant, &mut post, &blocked, (db, &key));
        }
    }
    locks.release();
    post.send(executor.server, Some(executor.worker));
}

/// Takes locks. A script that holds some of them for long is waited for: those who were promised
/// their turn get it.
fn patiently(mut take: impl FnMut() -> Result<(), Busy>) {
    while take() == Err(Busy) {
        std::thread::sleep(PATIENCE);
    }
}

/// Serves one client, if the key suits it; answers whether there may be something left for others.
fn serve_one(
    executor: &mut Executor,
    locks: &mut Locks<'static>,
    attendant: &mut dyn Attendant,
    post: &mut Post,
    blocked: &Blocked,
    (db, key): (usize, &[u8]),
) -> bool {
    let args: Vec<&[u8]> = blocked.args.iter().map(Vec::as_slice).collect();
    let keyspace = locks.keyspace();
    let mut shards = Vec::new();
    // Its keys were all there when it began to wait.
    let _ = blocked.command.spec.each_key(&args, |at, _| {
        shards.push(keyspace.shard_of(keyspace.hasher().hash(args[at])));
    });
    patiently(|| locks.hold_set(&mut shards));
    if let Some(kind) = blocked.kind {
        let key = keyspace.key(key);
        match locks.shard_of(&key).db_ref(db).get(&key).map(|entry| entry.value_type()) {
            None => return false,
            Some(found) if found != kind => return true,
            Some(_) => {}
        }
    }
    let mut is_over = blocked.is_over.lock();
    if *is_over {
        return true;
    }
    let mut session = Session::new(Arc::clone(&blocked.client), true);
    (session.db, session.protocol) = (blocked.db, blocked.protocol);
    session.is_retry = true;
    session.last_command = blocked.command.number + 1;
    let mut reply = Reply::default();
    reply.set_protocol(blocked.protocol);
    // The reply comes first, then what the client is told of its own change.
    executor.journal.effects.post.hold(blocked.client.id);
    let denial = blocked.denial(executor.server, &mut session, &args);
    if denial.is_none() {
        executor.retry(blocked.command, &args, &mut session, locks, attendant, &mut reply);
    }
    if session.would_block {
        let again_ms = session.again_ms.unwrap_or(NEVER);
        if blocked.again_ms.swap(again_ms, Ordering::Relaxed) != again_ms && again_ms != NEVER {
            // Its worker knows only of the time that it had.
            executor.server.attend(&blocked.client);
        }
        executor.journal.effects.post.release(executor.server, &blocked.client);
        return true;
    }
    *is_over = true;
    // Let go before a denial is logged: what the log says of a client includes whether it waits.
    drop(is_over);
    WAITING.fetch_sub(1, Ordering::Relaxed);
    if let Some(denial) = denial {
        executor.refuse(blocked.command, &args, &mut session, &denial, &mut reply);
    }
    for key in &args[blocked.keys.clone()] {
        let key = keyspace.key(key);
        locks.shard_of(&key).wait.remove(blocked.db, key.bytes(), blocked.client.id);
    }
    if reply.is_starved() || scratch::require(reply.len()).is_err() {
        give_up(executor.server, &blocked.client);
        return true;
    }
    post.leave(executor.server, &blocked.client, &encoded(&reply));
    executor.journal.effects.post.release(executor.server, &blocked.client);
    true
}
