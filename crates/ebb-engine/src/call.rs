//! Runs one command: the reply or the error, and what follows from it.

use rand::rngs::SmallRng;

use crate::context::Context;
use crate::journal::Journal;
use crate::locks::Locks;
use crate::monitor;
use crate::recorder::Recorder;
use crate::reply::Reply;
use crate::scripting::Attendant;
use crate::server::Server;
use crate::session::Session;
use crate::shared_args::SharedArgs;
use crate::spec::{Flags, Scope};
use crate::table::Command;
use crate::tracking;

/// A command that is about to run.
pub(crate) struct Call<'a> {
    pub(crate) command: &'static Command,
    pub(crate) args: &'a [&'a [u8]],
    pub(crate) shared_args: SharedArgs<'a>,
    pub(crate) hashed: Option<(usize, u64)>,
    /// Bytes of the request on the wire, 0 if it came from a transaction.
    pub(crate) bytes: usize,
    pub(crate) now_ms: i64,
}

impl<'a> Call<'a> {
    /// A command whose request is over: it was queued, it waited, or a script calls it.
    pub(crate) fn indirect(
        command: &'static Command,
        args: &'a [&'a [u8]],
        now_ms: i64,
    ) -> Call<'a> {
        Call { command, args, shared_args: SharedArgs::NONE, hashed: None, bytes: 0, now_ms }
    }
}

/// Runs a command whose shards are held.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "the parts of a worker, each borrowed on its own")]
pub(crate) fn run(
    server: &'static Server,
    call: Call<'_>,
    session: &mut Session,
    locks: &mut Locks<'static>,
    journal: &mut Journal,
    random: &mut SmallRng,
    recorder: &mut Recorder,
    attendant: &mut dyn Attendant,
    reply: &mut Reply,
) {
    let mark = reply.mark();
    recorder.enter(call.command);
    let spec = call.command.spec;
    let mut context = Context {
        args: call.args,
        shared_args: call.shared_args,
        command: call.command,
        session,
        reply,
        server,
        locks,
        now_ms: call.now_ms,
        random,
        journal,
        recorder: &mut *recorder,
        attendant,
        bytes: call.bytes,
        hashed: call.hashed,
    };
    let result = (spec.run)(&mut context);
    if let Err(error) = &result {
        reply.truncate(mark);
        reply.error(&error.text());
        if !error.is_counted() {
            recorder.count_error(&error.code());
        }
    }
    if !journal.effects.is_empty() {
        journal.effects.publish(server, session.id());
    }
    // A script has read what its commands have, not what it was told that it may.
    let is_script = spec.scope == Scope::Growing;
    if session.tracking.is_some() && spec.flags.has(Flags::READONLY) && !is_script {
        tracking::remember(server, session, &call, random, &mut journal.effects.post);
    }
    if !session.is_retry {
        monitor::feed(server, session, call.command, call.args);
    }
    if session.blocked.is_some() || session.would_block {
        // It counts when it is answered.
        recorder.skip();
        return;
    }
    let reply_bytes = reply.len_since(mark);
    // In a transaction nobody knows how long its request was.
    let length = if call.bytes == 0 { usize::MAX } else { call.bytes.saturating_add(reply_bytes) };
    let nanos = recorder.record(call.command, result.is_err(), length);
    if spec.flags.has(Flags::ADMIN) {
        // It may have been CONFIG SET.
        recorder.read_limits();
    }
    if recorder.is_exceptional(nanos, call.bytes, reply_bytes) {
        recorder.log(&call, session, nanos, reply_bytes);
    }
}
