//! One connection: reads, parses, runs and writes.
//!
//! Input is read into a buffer that the worker lends; a connection keeps bytes of its own
//! only while a command is incomplete. A large argument is read straight into the block in
//! which it will stay. Replies are written at once; what the socket does not take waits in
//! an [`Output`].

use std::io::{self, Read};
use std::sync::atomic::Ordering;
use std::time::Instant;

use ebb_config::id;
use ebb_engine::scripting::Attendant;
use ebb_engine::{Batch, Executor, Progress as Ran, Reply, Request, Server, Session, Turn};
use ebb_heap::ArenaId;
use ebb_keyspace::Shared;
use ebb_resp::{Arg, Limits, Progress, ProtocolError, RequestParser};

use crate::output::{Output, is_transient, starved};

mod arguments;
mod delivery;
mod figures;
mod foreseen;
mod membership;
mod socket;
mod waiting;

pub(crate) use arguments::Finder;
pub(crate) use delivery::Mail;
pub(crate) use membership::Joined;
pub(crate) use socket::Socket;

/// A buffer for input that a worker lends to one connection after the other.
pub(crate) const READ_BYTES: usize = 64 * 1024;
/// Room for requests that a client keeps for a while: one that needs more gets it anew from one look
/// after the connections to the next. Redis resizes query buffers above the same size.
const ROOM_KEPT: usize = 32 * 1024;
/// A connection that waits for the rest of a command reads at least this much at a time.
const PENDING_READ_BYTES: usize = 16 * 1024;
/// Arguments from here on are read into their final place.
const EXTERNAL_BULK_MIN: usize = 32 * 1024;
/// Requests run before others get their turn.
const BATCH_MAX: usize = 512;
/// A reply buffer keeps at most this much between batches.
const REPLY_KEEP: usize = 32 * 1024;

/// A large argument that is being read.
#[derive(Debug)]
struct Filling {
    index: u32,
    len: usize,
    /// Where it is read to; nowhere if there was no memory for it.
    value: Option<Shared>,
    filled: usize,
}

/// What a connection needs from its worker.
pub(crate) struct Tools<'w> {
    pub(crate) server: &'static Server,
    pub(crate) executor: &'w mut Executor,
    pub(crate) buffer: &'w mut [u8],
    pub(crate) reply: &'w mut Reply,
    /// Room for the requests of one batch.
    pub(crate) requests: &'w mut Vec<Request>,
    pub(crate) arena: ArenaId,
    /// Serves the others while a script takes long.
    pub(crate) attendant: &'w mut dyn Attendant,
}

/// What becomes of a connection after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It waits for its next event.
    Wait,
    /// It has more to read or to run, after the others had their turn.
    Again,
    /// What it has read may take long: it runs after what the others have read.
    Aside,
    /// It is over.
    Close,
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) socket: Socket,
    pub(crate) session: Session,
    parser: RequestParser,
    /// Input from the first byte of an incomplete command on.
    pending: Vec<u8>,
    /// Arguments of the incomplete command.
    args: Vec<Arg>,
    /// Its large arguments that are complete.
    externals: Vec<Option<Shared>>,
    external_bytes: usize,
    filling: Option<Filling>,
    foreseen: foreseen::Foreseen,
    /// The first request of `pending` is parsed (it has large arguments) but had to wait.
    held: Option<Request>,
    pub(crate) output: Output,
    /// Whether the socket is watched for room to write.
    pub(crate) watches_writable: bool,
    /// The peer will send nothing more than what has arrived.
    pub(crate) peer_ended: bool,
    /// Held back by CLIENT PAUSE.
    pub(crate) paused: bool,
    /// Waits in a command.
    pub(crate) blocked: bool,
    over_soft_limit_since: Option<Instant>,
    /// The window of rounds in which its worker counted it last.
    pub(crate) counted_in: u32,
    /// What was set aside filled its buffer: there may be more to read.
    full_read: bool,
}

/// How much of its input a connection is done with.
struct Consumed {
    /// Everything before this.
    upto: usize,
    /// Behind it, the part that was moved to a large argument's place.
    cut: std::ops::Range<usize>,
    fate: Fate,
}

/// Why parsing stopped.
enum Stop {
    /// All is parsed, or the rest of a command is missing.
    Dry,
    /// Enough for one batch.
    Full,
    /// The command that begins here has a large argument to be filled.
    Bulk { index: u32, len: usize, offset: usize },
    /// The input breaks the protocol.
    Broken(ProtocolError),
}

impl Connection {
    pub(crate) fn new(socket: Socket, session: Session) -> Connection {
        Connection {
            socket,
            session,
            parser: RequestParser::new(),
            pending: Vec::new(),
            args: Vec::new(),
            externals: Vec::new(),
            external_bytes: 0,
            filling: None,
            foreseen: foreseen::Foreseen::default(),
            held: None,
            output: Output::default(),
            watches_writable: false,
            peer_ended: false,
            counted_in: 0,
            paused: false,
            blocked: false,
            over_soft_limit_since: None,
            full_read: false,
        }
    }

    /// Keeps what is left of the input. An error says that there is no memory for it.
    fn keep(&mut self, input: &[u8], upto: usize, cut: std::ops::Range<usize>) -> io::Result<()> {
        if upto < input.len() {
            let parts = [&input[upto..cut.start.max(upto)], &input[cut.end.max(upto)..]];
            // No more: what was cut out has its own place.
            self.pending.try_reserve(parts[0].len() + parts[1].len()).map_err(starved)?;
            parts.into_iter().for_each(|part| self.pending.extend_from_slice(part));
        }
        Ok(())
    }

    /// Makes room for so many more bytes of input.
    fn make_room(&mut self, bytes: usize) -> io::Result<()> {
        self.pending.try_reserve(bytes).map_err(starved)?;
        self.pending.resize(self.pending.len() + bytes, 0);
        Ok(())
    }

    /// Visits the values of the heap that it refers to.
    pub(crate) fn each_value(&self, visit: impl FnMut(&Shared)) {
        let filling = self.filling.iter().flat_map(|filling| &filling.value);
        let externals = self.externals.iter().flatten();
        filling.chain(externals).chain(self.output.values()).for_each(visit);
    }

    /// The socket can be read.
    pub(crate) fn readable(&mut self, tools: &mut Tools<'_>) -> Fate {
        if self.paused {
            return Fate::Wait;
        }
        if self.blocked {
            return self.read_ahead(tools);
        }
        match self.read(tools) {
            Ok(fate) => fate,
            Err(error) if is_transient(&error) => Fate::Wait,
            Err(_) => Fate::Close,
        }
    }

    fn read(&mut self, tools: &mut Tools<'_>) -> io::Result<Fate> {
        tools.server.counters.reads.fetch_add(1, Ordering::Relaxed);
        if self.filling.is_some() {
            return self.fill(tools);
        }
        if self.pending.is_empty() {
            let buffer = std::mem::take(&mut tools.buffer);
            let result = self.socket.read(buffer);
            let fate = result.and_then(|len| {
                self.count_in(tools.server, len);
                let Consumed { upto, cut, fate } = self.consume(tools, &buffer[..len]);
                self.keep(&buffer[..len], upto, cut)?;
                Ok(self.after_read(tools.server, fate, len, buffer.len()))
            });
            tools.buffer = buffer;
            return fate;
        }
        let old = self.pending.len();
        let room = PENDING_READ_BYTES.max(old.min(READ_BYTES));
        self.make_room(room)?;
        let result = self.socket.read(&mut self.pending[old..]);
        self.pending.truncate(old + result.as_ref().map_or(0, |len| *len));
        let len = result?;
        self.count_in(tools.server, len);
        if self.is_over_query_limit(tools) {
            return Ok(Fate::Close);
        }
        let fate = self.run_pending(tools);
        Ok(self.after_read(tools.server, fate, len, room))
    }

    /// Runs what is in `pending`.
    fn run_pending(&mut self, tools: &mut Tools<'_>) -> Fate {
        let mut pending = std::mem::take(&mut self.pending);
        let Consumed { upto, cut, fate } = self.consume(tools, &pending);
        pending.drain(cut);
        pending.drain(..upto);
        self.pending = pending;
        fate
    }

    fn count_in(&mut self, server: &Server, len: usize) {
        server.counters.net_in.fetch_add(len as u64, Ordering::Relaxed);
        self.session.client.figures.net_in.fetch_add(len as u64, Ordering::Relaxed);
    }

    /// Reads more of a large argument into its place.
    fn fill(&mut self, tools: &mut Tools<'_>) -> io::Result<Fate> {
        let Some(filling) = &mut self.filling else { return Ok(Fate::Wait) };
        let wanted = filling.len - filling.filled;
        let mut away = [0; 16 * 1024];
        let room = match &mut filling.value {
            Some(value) => match value.get_mut() {
                Some(bytes) => &mut bytes[filling.filled..],
                None => return Ok(Fate::Close),
            },
            None => &mut away[..wanted.min(16 * 1024)],
        };
        let asked = room.len();
        let len = self.socket.read(room)?;
        filling.filled += len;
        self.count_in(tools.server, len);
        if len == 0 || self.is_over_query_limit(tools) {
            return Ok(Fate::Close);
        }
        if len < wanted {
            return Ok(self.after_read(tools.server, Fate::Wait, len, asked));
        }
        self.finish_filling();
        Ok(self.after_read(tools.server, Fate::Again, len, asked))
    }

    /// Whether what it holds of unfinished requests exceeds `client-query-buffer-limit`.
    fn is_over_query_limit(&self, tools: &Tools<'_>) -> bool {
        let filled = self.filling.as_ref().map_or(0, |filling| filling.filled);
        let queued = self.session.transaction.as_ref().map_or(0, |queue| queue.bytes);
        let bytes = (self.pending.len() + self.external_bytes + filled + queued) as u64;
        if bytes <= tools.server.config.get(id::CLIENT_QUERY_BUFFER_LIMIT) {
            return false;
        }
        tools.server.counters.query_buffer_limit_disconnections.fetch_add(1, Ordering::Relaxed);
        tracing::warn!("Closing client {} that reached max query buffer length", self.session.id());
        true
    }

    fn finish_filling(&mut self) {
        if let Some(filling) = self.filling.take() {
            self.parser.external_done(filling.index);
            self.external_bytes += filling.value.as_ref().map_or(0, |value| value.len());
            self.externals.push(filling.value);
        }
    }

    /// Parses and runs input, as far as it is complete.
    fn consume(&mut self, tools: &mut Tools<'_>, input: &[u8]) -> Consumed {
        let mut at = 0;
        if let Some(held) = self.held.take() {
            at = held.end;
            match self.run(tools, input, &[held]) {
                Ran::Paused(_) => return Consumed { upto: 0, cut: 0..0, fate: Fate::Wait },
                Ran::Blocked(_) => {
                    return Consumed { upto: at, cut: at..at, fate: self.send(tools) };
                }
                Ran::Done | Ran::Close(_) => {}
            }
        }
        self.go_through(tools, input, at)
    }

    /// Parses and runs batch after batch, from `at` on.
    fn go_through(&mut self, tools: &mut Tools<'_>, input: &[u8], mut at: usize) -> Consumed {
        loop {
            let limits = self.limits(tools.server);
            let mut requests = std::mem::take(tools.requests);
            let mut args = std::mem::take(&mut self.args);
            let (stop, end) = self.parse(&input[at..], &limits, 0, &mut args, &mut requests);
            self.args = args;
            let ran = self.run(tools, &input[at..], &requests);
            let consumed = self.conclude(tools, input, &mut at, &requests, (stop, end), ran);
            requests.clear();
            *tools.requests = requests;
            if let Some(consumed) = consumed {
                return consumed;
            }
        }
    }

    /// What the client may send now: a batch may authenticate it, or change the limit.
    fn limits(&self, server: &Server) -> Limits {
        Limits {
            max_bulk_len: server.config.get(id::PROTO_MAX_BULK_LEN) as usize,
            external_bulk_min: EXTERNAL_BULK_MIN,
            authenticated: self.session.authenticated || !server.acl.needs_password(),
            ..Limits::default()
        }
    }

    /// After a batch: sends its replies, and does what its end asks for. `None` says that there
    /// may be more requests in the input, from `at` on.
    fn conclude(
        &mut self,
        tools: &mut Tools<'_>,
        input: &[u8],
        at: &mut usize,
        requests: &[Request],
        (stop, parsed_end): (Stop, usize),
        ran: Ran,
    ) -> Option<Consumed> {
        let end = |upto, fate| Some(Consumed { upto, cut: upto..upto, fate });
        match ran {
            Ran::Done => {}
            Ran::Paused(count) | Ran::Blocked(count) => {
                let done = count.checked_sub(1).map_or(0, |last| requests[last].end);
                return end(*at + done, self.send(tools));
            }
            Ran::Close(_) if self.session.is_over_output_limit => {
                tools.reply.clear(REPLY_KEEP);
                return end(input.len(), self.close_over_limit(tools.server));
            }
            Ran::Close(_) => {
                self.send(tools);
                return end(input.len(), self.fate_when_closing());
            }
        }
        *at += parsed_end;
        match stop {
            Stop::Dry => end(*at, self.send(tools)),
            Stop::Full => match self.send(tools) {
                Fate::Wait => None,
                fate => end(*at, fate),
            },
            Stop::Bulk { index, len, offset } => {
                let sent = self.send(tools);
                let payload = *at + offset;
                let filled = self.begin_filling(tools, &input[payload..], index, len);
                let fate = match sent {
                    Fate::Wait if filled == len => Fate::Again,
                    fate => fate,
                };
                Some(Consumed { upto: *at, cut: payload..payload + filled, fate })
            }
            Stop::Broken(error) => {
                self.break_off(tools, error);
                end(input.len(), self.fate_when_closing())
            }
        }
    }

    /// A connection that is to be closed waits until its last replies are sent.
    fn fate_when_closing(&mut self) -> Fate {
        self.session.close_after_reply = true;
        self.session.client.figures.closing.store(true, Ordering::Relaxed);
        if self.output.is_empty() { Fate::Close } else { Fate::Wait }
    }

    /// Finds whole requests, whose arguments begin at `first` of `args`. Also answers how many
    /// bytes they and blank lines take.
    fn parse(
        &mut self,
        input: &[u8],
        limits: &Limits,
        mut first: usize,
        args: &mut Vec<Arg>,
        requests: &mut Vec<Request>,
    ) -> (Stop, usize) {
        let mut at = 0;
        let full = requests.len() + BATCH_MAX;
        loop {
            let large = !self.externals.is_empty() && !requests.is_empty();
            if requests.len() == full || large {
                return (Stop::Full, at);
            }
            if let Some(end) = self.parser.parse_plain(input, at, limits, args) {
                let count = args.len() - first;
                requests.push(Request { first, count, bytes: end - at, end });
                (first, at) = (args.len(), end);
                continue;
            }
            match self.parser.parse(&input[at..], limits, args) {
                Ok(Progress::Command { consumed }) => {
                    let external = self.external_bytes;
                    // Ranges are relative to their command; from here on to the input.
                    for arg in &mut args[first..] {
                        if let Arg::Inline { start, .. } = arg {
                            *start += at as u32;
                        }
                    }
                    at += consumed;
                    let count = args.len() - first;
                    requests.push(Request { first, count, bytes: consumed + external, end: at });
                    first = args.len();
                }
                Ok(Progress::Empty { consumed }) => at += consumed,
                Ok(Progress::Incomplete) => return (Stop::Dry, at),
                Ok(Progress::NeedBulk { index, len, offset }) => {
                    return (Stop::Bulk { index, len, offset }, at);
                }
                Err(error) => return (Stop::Broken(error), at),
            }
        }
    }

    /// Runs parsed requests.
    fn run(&mut self, tools: &mut Tools<'_>, input: &[u8], requests: &[Request]) -> Ran {
        let Some(last) = requests.last() else { return Ran::Done };
        let whole = last.first + last.count;
        let mut shared = Vec::new();
        let mut args: Vec<&[u8]> = Vec::new();
        if args.try_reserve_exact(whole).is_err() {
            self.session.close_after_reply = true;
            return Ran::Close(0);
        }
        let finder = Finder { parser: &self.parser, externals: &self.externals };
        finder.find(&self.args[..whole], input, &mut args, &mut shared);
        // A request with such arguments is alone.
        self.session.starved = self.externals.iter().any(Option::is_none);
        let reply = &mut *tools.reply;
        let mut turn = Turn { session: &mut self.session, requests, reply, progress: Ran::Done };
        let batch = Batch { args: &args, shared: &shared };
        tools.executor.run(std::slice::from_mut(&mut turn), &batch, tools.attendant);
        let ran = turn.progress;
        self.session.starved = false;
        if !matches!(ran, Ran::Paused(_) | Ran::Blocked(_)) {
            self.args.drain(..whole);
            self.externals.clear();
            self.external_bytes = 0;
        }
        self.after_run(requests, ran, tools.executor.now_ms());
        ran
    }

    /// Notes what a run of requests means for the connection.
    fn after_run(&mut self, requests: &[Request], ran: Ran, now_ms: i64) {
        match ran {
            Ran::Paused(count) => {
                self.hold_back(requests[count]);
                self.update_figures(count, now_ms);
            }
            Ran::Blocked(count) => {
                // What comes after the command is parsed when the wait is over.
                self.blocked = true;
                self.parser.reset();
                self.args.clear();
                self.externals.clear();
                self.external_bytes = 0;
                self.update_figures(count, now_ms);
            }
            Ran::Done | Ran::Close(_) => {
                if self.args.is_empty() {
                    self.parser.clear_scratch();
                }
                self.update_figures(requests.len(), now_ms);
            }
        }
    }

    /// CLIENT PAUSE holds this request back: it and the rest stay in `pending`. A request
    /// with large arguments stays parsed; others are parsed again.
    fn hold_back(&mut self, waiting: Request) {
        self.paused = true;
        self.session.client.figures.paused.store(true, Ordering::Relaxed);
        if self.externals.is_empty() {
            self.parser.reset();
            self.args.clear();
        } else {
            self.held = Some(waiting);
        }
    }

    /// Allocates the place of a large argument and copies what has come of it there; answers
    /// how much that is. Without memory the argument is read past, and its request refused.
    fn begin_filling(
        &mut self,
        tools: &Tools<'_>,
        arrived: &[u8],
        index: u32,
        len: usize,
    ) -> usize {
        let mut value = Shared::allocate(tools.arena, len, len).ok();
        let filled = arrived.len().min(len);
        match value.as_mut().and_then(Shared::get_mut) {
            Some(bytes) => bytes[..filled].copy_from_slice(&arrived[..filled]),
            None => tracing::warn!("No memory for an argument of client {}", self.session.id()),
        }
        self.filling = Some(Filling { index, len, value, filled });
        if filled == len {
            self.finish_filling();
        }
        filled
    }

    /// Goes on with input that is here already: after a pause, or a turn of the others.
    pub(crate) fn resume(&mut self, tools: &mut Tools<'_>) -> Fate {
        if self.paused {
            self.paused = false;
            self.session.client.figures.paused.store(false, Ordering::Relaxed);
        }
        if self.filling.is_none() && !self.pending.is_empty() && !self.blocked {
            let fate = self.run_pending(tools);
            // There may be nothing to read, and so no other look at what was held back.
            self.show_input(tools.server);
            if fate != Fate::Wait {
                return fate;
            }
        }
        if self.paused { Fate::Wait } else { self.readable(tools) }
    }

    fn break_off(&mut self, tools: &mut Tools<'_>, error: ProtocolError) {
        tracing::debug!("Protocol error from client {}: {error}", self.session.id());
        tools.reply.error(&String::from_utf8_lossy(&error.reply_text()));
        self.send(tools);
    }

    /// Sends the replies gathered so far.
    pub(crate) fn send(&mut self, tools: &mut Tools<'_>) -> Fate {
        if tools.reply.is_empty() {
            return if self.session.close_after_reply && self.output.is_empty() {
                Fate::Close
            } else {
                Fate::Wait
            };
        }
        let result = self.output.send(&mut self.socket, tools.reply);
        tools.reply.clear(REPLY_KEEP);
        self.after_send(tools.server, result)
    }

    /// Sends what waits; called when the socket has room again.
    pub(crate) fn writable(&mut self, server: &'static Server) -> Fate {
        let result = self.output.flush(&mut self.socket);
        self.after_send(server, result)
    }

    /// Gives back room that is not needed now, if it is much or the client is idle.
    pub(crate) fn trim(&mut self, is_idle: bool) {
        let is_kept = |bytes: usize| bytes == 0 || (!is_idle && bytes <= ROOM_KEPT);
        if self.pending.is_empty() && !is_kept(self.pending.capacity()) {
            self.pending = Vec::new();
        }
        if self.args.is_empty() && !is_kept(self.args.capacity() * size_of::<Arg>()) {
            self.args = Vec::new();
        }
        if is_idle && self.externals.is_empty() {
            self.externals = Vec::new();
        }
    }
}
