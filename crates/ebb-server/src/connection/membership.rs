//! A connection's part in a [`crate::group::Group`]: it joins with what it reads, and leaves with
//! its replies.

use ebb_engine::{Group, Progress as Ran, Request, Server, Session};
use ebb_heap::ArenaId;
use ebb_resp::Arg;

use super::{Connection, Consumed, Fate, Finder, Stop, Tools};
use crate::output::is_transient;

/// How a connection's part of a group ended, before it ran.
pub(crate) struct Joined {
    /// Bytes of the buffer in use.
    pub(crate) len: usize,
    /// They filled the buffer: there may be more.
    full: bool,
    stop: Stop,
    /// Bytes that the requests take.
    end: usize,
}

impl Connection {
    /// Whether it has no request in the making and nothing to send, so that it may take part in
    /// a [`crate::group::Group`].
    pub(crate) fn is_fresh(&self) -> bool {
        self.pending.is_empty()
            && self.args.is_empty()
            && self.filling.is_none()
            && self.held.is_none()
            && !self.paused
            && !self.blocked
            && self.output.is_empty()
    }

    /// Whether nothing of it is under way, so that another worker may go on with it.
    pub(crate) fn may_move(&self) -> bool {
        self.is_fresh() && !self.peer_ended && !self.session.client.is_killed()
    }

    /// Reads into the buffer of a group and finds the requests in it. Answers what to conclude
    /// with, or what becomes of the connection if it has no part in the group.
    pub(crate) fn join(
        &mut self,
        server: &Server,
        arena: ArenaId,
        buffer: &mut [u8],
        args: &mut Vec<Arg>,
        requests: &mut Vec<Request>,
    ) -> Result<Joined, Fate> {
        let (len, guess) = match self.read_foreseeing(server, arena, buffer) {
            Ok((0, _)) => return Err(Fate::Close),
            Ok(read) => read,
            Err(error) if is_transient(&error) => return Err(Fate::Wait),
            Err(_) => return Err(Fate::Close),
        };
        self.count_in(server, len);
        let limits = self.limits(server);
        if let Some(guess) = guess
            && let Some(end) =
                self.take_foreseen(guess, &mut buffer[..len], &limits, args, requests)
        {
            return Ok(Joined { len: end, full: false, stop: Stop::Dry, end });
        }
        let (first, begin) = (args.len(), requests.len());
        let (stop, end) = self.parse(&buffer[..len], &limits, first, args, requests);
        let name = |request: &Request| self.parser.resolve(&args[request.first], &buffer[..len]);
        if requests[begin..].iter().any(|request| self.may_take_long(name(request))) {
            args.truncate(first);
            requests.truncate(begin);
            self.parser.reset();
            self.pending.extend_from_slice(&buffer[..len]);
            self.full_read = len == buffer.len();
            return Err(Fate::Aside);
        }
        self.note_shape(&buffer[..len], &args[first..], &requests[begin..]);
        // What belongs to a request in the making stays with the connection.
        let whole = requests.last().map_or(first, |last| last.first + last.count).max(first);
        self.args.extend(args.drain(whole..));
        Ok(Joined { len, full: len == buffer.len(), stop, end })
    }

    /// Whether a command may be a script that takes long. What the others have read must not wait
    /// for it: they are answered before, or told that the server is busy.
    fn may_take_long(&self, name: &[u8]) -> bool {
        const SCRIPTS: [&[u8]; 6] =
            [b"eval", b"evalsha", b"fcall", b"eval_ro", b"evalsha_ro", b"fcall_ro"];
        match name.first().map(u8::to_ascii_lowercase) {
            Some(b'e') if name.eq_ignore_ascii_case(b"exec") => {
                let queue = self.session.transaction.iter().flat_map(|queued| &queued.queue);
                queue.into_iter().any(|queued| queued.command.spec.group == Group::Scripting)
            }
            Some(b'e' | b'f') => SCRIPTS.iter().any(|script| name.eq_ignore_ascii_case(script)),
            _ => false,
        }
    }

    /// Runs what was set aside.
    pub(crate) fn run_aside(&mut self, tools: &mut Tools<'_>) -> Fate {
        if self.pending.is_empty() || self.paused || self.blocked || self.filling.is_some() {
            return Fate::Wait; // Another event has come, and it ran then.
        }
        let len = self.pending.len();
        let fate = self.run_pending(tools);
        let full = std::mem::take(&mut self.full_read);
        self.after_read(tools.server, fate, len, if full { len } else { usize::MAX })
    }

    /// Its part of a group's run: the session, and what finds its arguments.
    pub(crate) fn parts(&mut self) -> (&mut Session, Finder<'_>) {
        let finder = Finder { parser: &self.parser, externals: &self.externals };
        (&mut self.session, finder)
    }

    /// Goes on after its turn in a group, which had these arguments; its replies are in
    /// `tools.reply`.
    pub(crate) fn leave(
        &mut self,
        tools: &mut Tools<'_>,
        input: &[u8],
        args: &[Arg],
        requests: &[Request],
        joined: Joined,
        ran: Ran,
    ) -> Fate {
        let Joined { len, full, stop, end } = joined;
        if !requests.is_empty() {
            self.after_run(requests, ran, tools.executor.now_ms());
        }
        if !self.externals.is_empty() {
            self.settle_foreseen(args);
        }
        let mut at = 0;
        let Consumed { upto, cut, fate } =
            match self.conclude(tools, input, &mut at, requests, (stop, end), ran) {
                Some(consumed) => consumed,
                None => self.go_through(tools, input, at),
            };
        if self.keep(input, upto, cut).is_err() {
            return Fate::Close;
        }
        self.after_read(tools.server, fate, len, if full { len } else { usize::MAX })
    }
}
