//! Logs of exceptional commands: slow ones, large requests, large replies (SLOWLOG and
//! COMMANDLOG).

use std::collections::VecDeque;

use parking_lot::Mutex;

/// At most this many arguments of a command are kept.
const ARGS_MAX: usize = 32;
/// At most this many bytes of an argument are kept.
const ARG_BYTES_MAX: usize = 128;

/// What a log collects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogKind {
    /// By microseconds.
    Slow,
    /// By bytes of the request.
    LargeRequest,
    /// By bytes of the reply.
    LargeReply,
}

/// One command in a log.
#[derive(Debug, Clone)]
pub struct LogEntry {
    /// Counts up from 0 and is never used again.
    pub id: i64,
    /// Seconds since 1970.
    pub time_s: i64,
    /// Microseconds or bytes, by the log's kind.
    pub value: i64,
    /// The arguments, shortened.
    pub args: Vec<Vec<u8>>,
    /// The client's address.
    pub address: String,
    /// The client's name.
    pub name: String,
}

#[derive(Debug, Default)]
struct Log {
    next_id: i64,
    /// Newest first.
    entries: VecDeque<LogEntry>,
}

/// The three logs.
#[derive(Debug, Default)]
pub struct CommandLogs([Mutex<Log>; 3]);

fn shortened(args: &[&[u8]]) -> Vec<Vec<u8>> {
    let shorten = |arg: &&[u8]| {
        if arg.len() <= ARG_BYTES_MAX {
            return arg.to_vec();
        }
        let mut short = arg[..ARG_BYTES_MAX].to_vec();
        short.extend(format!("... ({} more bytes)", arg.len() - ARG_BYTES_MAX).bytes());
        short
    };
    if args.len() <= ARGS_MAX {
        return args.iter().map(shorten).collect();
    }
    let mut short: Vec<_> = args[..ARGS_MAX - 1].iter().map(shorten).collect();
    short.push(format!("... ({} more arguments)", args.len() - ARGS_MAX + 1).into_bytes());
    short
}

impl CommandLogs {
    fn log(&self, kind: LogKind) -> &Mutex<Log> {
        &self.0[kind as usize]
    }

    /// Adds a command, and drops the oldest beyond `max_len`.
    pub fn add(
        &self,
        kind: LogKind,
        max_len: usize,
        value: i64,
        time_s: i64,
        args: &[&[u8]],
        client: (String, String),
    ) {
        if max_len == 0 {
            // The log is off, and numbers none.
            return;
        }
        let mut log = self.log(kind).lock();
        let id = log.next_id;
        log.next_id += 1;
        let (address, name) = client;
        let args = shortened(args);
        log.entries.push_front(LogEntry { id, time_s, value, args, address, name });
        log.entries.truncate(max_len);
    }

    /// The newest entries, at most `count`.
    pub fn newest(&self, kind: LogKind, count: usize) -> Vec<LogEntry> {
        self.log(kind).lock().entries.iter().take(count).cloned().collect()
    }

    /// Entries held.
    pub fn len(&self, kind: LogKind) -> usize {
        self.log(kind).lock().entries.len()
    }

    /// Forgets the entries.
    pub fn reset(&self, kind: LogKind) {
        self.log(kind).lock().entries.clear();
    }
}
