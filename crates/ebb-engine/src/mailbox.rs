//! Output that others leave for a client: messages by reference, and who is told of them.
//!
//! A message is encoded once and left in the mailbox of everyone who gets it. The worker of
//! a mailbox's client is told once, however many messages come until it looks, and is woken
//! only if it may be asleep.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ebb_config::{Config, OutputBufferLimit};
use ebb_resp::Protocol;
use parking_lot::RwLock;

use crate::clients::Client;
use crate::reply::Reply;
use crate::server::Server;
use crate::session::Session;

/// Encoded output that clients share.
pub type Message = Arc<[u8]>;

/// A mailbox keeps room for this many messages while it is empty.
const ROOM_KEPT: usize = 64;

/// What others left for a client.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    messages: Vec<Message>,
    bytes: usize,
    /// Somebody has told the worker, or is about to.
    is_announced: bool,
    /// It held more than the client may have waiting: the client is to be closed.
    is_overfull: bool,
}

impl Mailbox {
    /// Adds a message; answers whether the worker has to be told. `limit` is in bytes, 0 for none.
    fn add(&mut self, message: &Message, limit: u64) -> bool {
        if self.is_overfull {
            return false;
        }
        self.bytes += message.len();
        if limit != 0 && self.bytes as u64 >= limit {
            self.is_overfull = true;
            self.messages = Vec::new();
        } else {
            self.messages.push(Arc::clone(message));
        }
        !std::mem::replace(&mut self.is_announced, true)
    }

    /// Moves all messages to `into`; answers whether there were too many, and none is left.
    fn empty(&mut self, into: &mut Vec<Message>) -> bool {
        into.append(&mut self.messages);
        if self.messages.capacity() > ROOM_KEPT {
            self.messages = Vec::new();
        }
        self.is_announced = false;
        if !self.is_overfull {
            self.bytes = 0;
        }
        self.is_overfull
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Client {
    /// Takes what others left. True if it was more than the client may have waiting.
    pub fn take_mail(&self, into: &mut Vec<Message>) -> bool {
        self.mailbox.lock().empty(into)
    }

    /// What others left, in one piece.
    pub fn take_inbox(&self) -> Vec<u8> {
        let mut messages = Vec::new();
        self.take_mail(&mut messages);
        messages.concat()
    }

    /// Bytes that others left and its worker has not taken.
    pub fn inbox_bytes(&self) -> usize {
        self.mailbox.lock().bytes()
    }

    /// The protocol it has chosen.
    pub fn protocol(&self) -> Protocol {
        match self.figures.protocol.load(Ordering::Relaxed) {
            3 => Protocol::Resp3,
            _ => Protocol::Resp2,
        }
    }
}

/// Leaves messages, and notes which clients' workers are to be told.
#[derive(Debug, Default)]
pub struct Post {
    /// Clients by worker.
    clients: Vec<Vec<u64>>,
    /// A client whose reply is yet to come, and what is to come after it.
    held: Option<(u64, Vec<Message>)>,
}

impl Post {
    /// Leaves a message for a client.
    #[inline]
    pub fn leave(&mut self, server: &Server, client: &Client, message: &Message) {
        self.leave_within(client, message, server.output_limits.hard_bytes(client));
    }

    /// The same for a subscriber.
    #[inline]
    pub(crate) fn leave_published(&mut self, server: &Server, client: &Client, message: &Message) {
        self.leave_within(client, message, server.output_limits.published_bytes());
    }

    #[inline]
    fn leave_within(&mut self, client: &Client, message: &Message, limit: u64) {
        if client.mailbox.lock().add(message, limit) {
            let worker = client.worker();
            if self.clients.len() <= worker {
                self.clients.resize_with(worker + 1, Vec::new);
            }
            self.clients[worker].push(client.id);
        }
    }

    /// Keeps what is left with [`Post::leave_after_reply`] for a client until [`Post::release`].
    pub(crate) fn hold(&mut self, client: u64) {
        self.held = Some((client, Vec::new()));
    }

    /// Leaves what was kept.
    pub(crate) fn release(&mut self, server: &Server, client: &Client) {
        let held = self.held.take().map(|(_, messages)| messages);
        held.into_iter().flatten().for_each(|message| self.leave(server, client, &message));
    }

    /// Leaves a message that must not overtake the reply to the command that it tells of.
    pub(crate) fn leave_after_reply(
        &mut self,
        server: &Server,
        client: &Client,
        message: &Message,
    ) {
        match &mut self.held {
            Some((held, messages)) if *held == client.id => messages.push(message.clone()),
            _ => self.leave(server, client, message),
        }
    }

    /// Tells the workers. The one whose thread this is looks by itself before it sleeps.
    pub fn send(&mut self, server: &Server, this_worker: Option<usize>) {
        for (number, clients) in self.clients.iter_mut().enumerate() {
            if !clients.is_empty() {
                server.workers[number].tell(clients, this_worker != Some(number));
                clients.clear();
            }
        }
    }
}

/// A message in both protocols, each encoded when it is asked for.
pub struct Encoded<F> {
    encode: F,
    resp2: Option<Message>,
    resp3: Option<Message>,
}

impl<F: Fn(&mut Reply)> Encoded<F> {
    /// The message that `encode` writes.
    pub fn new(encode: F) -> Encoded<F> {
        Encoded { encode, resp2: None, resp3: None }
    }

    /// The message in a protocol.
    pub fn of(&mut self, protocol: Protocol) -> &Message {
        let encoded = match protocol {
            Protocol::Resp2 => &mut self.resp2,
            Protocol::Resp3 => &mut self.resp3,
        };
        let encode = &self.encode;
        encoded.get_or_insert_with(|| {
            let mut reply = Reply::default();
            reply.set_protocol(protocol);
            encode(&mut reply);
            reply.parts().0.into()
        })
    }
}

/// `client-output-buffer-limit`, read once for each change of it.
#[derive(Debug, Default)]
pub struct OutputLimits {
    normal_hard_bytes: AtomicU64,
    pubsub_hard_bytes: AtomicU64,
    all: RwLock<(OutputBufferLimit, OutputBufferLimit)>,
}

impl OutputLimits {
    /// Reads the directive.
    pub fn refresh(&self, config: &Config) {
        let limits = config.output_buffer_limits();
        self.normal_hard_bytes.store(limits.normal.hard_bytes, Ordering::Relaxed);
        self.pubsub_hard_bytes.store(limits.pubsub.hard_bytes, Ordering::Relaxed);
        *self.all.write() = (limits.normal, limits.pubsub);
    }

    /// The limits of a client's class.
    pub fn of(&self, client: &Client) -> OutputBufferLimit {
        let all = self.all.read();
        if client.is_subscribed() { all.1 } else { all.0 }
    }

    /// How long the replies to one batch of a client may get.
    #[inline]
    pub(crate) fn reply_bytes(&self, client: &Client) -> usize {
        match self.hard_bytes(client) {
            0 => usize::MAX,
            bytes => usize::try_from(bytes).unwrap_or(usize::MAX),
        }
    }

    /// How much may wait for a subscriber, 0 for no limit.
    #[inline]
    fn published_bytes(&self) -> u64 {
        self.pubsub_hard_bytes.load(Ordering::Relaxed)
    }

    #[inline]
    fn hard_bytes(&self, client: &Client) -> u64 {
        let of_class =
            if client.is_subscribed() { &self.pubsub_hard_bytes } else { &self.normal_hard_bytes };
        of_class.load(Ordering::Relaxed)
    }
}

/// Puts what others left for the session's client behind its replies so far: so a client
/// finds messages in the order in which it asked for them, published, and ended them.
pub fn deliver(session: &Session, reply: &mut Reply) {
    let mut mailbox = session.client.mailbox.lock();
    if mailbox.is_overfull {
        // It is closed when its worker looks after it.
        return;
    }
    let mut messages = Vec::new();
    mailbox.empty(&mut messages);
    drop(mailbox);
    messages.iter().for_each(|message| reply.raw(message));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_announces_once_and_has_a_limit() {
        let (mut mailbox, mut taken) = (Mailbox::default(), Vec::new());
        let message = Message::from(&b"12345"[..]);
        assert!(mailbox.add(&message, 12));
        assert!(!mailbox.add(&message, 12));
        assert!(!mailbox.empty(&mut taken));
        assert_eq!((taken.len(), mailbox.bytes()), (2, 0));
        assert!(mailbox.add(&message, 12));
        assert!(!mailbox.add(&message, 12));
        // The one that is too much takes all others with it.
        assert!(!mailbox.add(&message, 12));
        assert!(!mailbox.add(&message, 12));
        taken.clear();
        assert!(mailbox.empty(&mut taken));
        assert!(taken.is_empty());
        assert_eq!(Arc::strong_count(&message), 1);
    }

    #[test]
    fn a_mailbox_keeps_little_room() {
        let (mut mailbox, mut taken) = (Mailbox::default(), Vec::new());
        let message = Message::from(&b"x"[..]);
        for many in [1, 1000] {
            for _ in 0..many {
                mailbox.add(&message, 0);
            }
            mailbox.empty(&mut taken);
            assert!(mailbox.messages.capacity() <= ROOM_KEPT);
        }
        assert_eq!(taken.len(), 1001);
    }
}
