//! The log of what was denied (ACL LOG). Like events that follow each other closely are one entry.

use std::collections::VecDeque;

use parking_lot::Mutex;

/// Like events within this time are one entry, in milliseconds.
const TOGETHER_MS: i64 = 60_000;
/// So many of the newest entries are compared with a new event.
const COMPARED: usize = 10;

/// Where a command came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogContext {
    /// From a client.
    TopLevel,
    /// From a transaction.
    Multi,
    /// From a script.
    Lua,
}

impl LogContext {
    /// The word in ACL LOG.
    pub fn word(self) -> &'static str {
        match self {
            LogContext::TopLevel => "toplevel",
            LogContext::Multi => "multi",
            LogContext::Lua => "lua",
        }
    }
}

/// What was denied, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// `command`, `key`, `channel`, `database` or `auth`.
    pub reason: &'static str,
    /// Where.
    pub context: LogContext,
    /// The command, key, channel or database.
    pub object: Vec<u8>,
    /// The user, or the name that somebody tried.
    pub username: Vec<u8>,
}

/// An entry.
#[derive(Debug, Clone)]
pub struct LogEntry {
    /// What happened.
    pub denied: Denied,
    /// How often.
    pub count: u64,
    /// The client, as CLIENT LIST describes it, the last time.
    pub client_info: String,
    /// Its number; never used again.
    pub id: u64,
    /// The first time, in milliseconds since 1970.
    pub created_ms: i64,
    /// The last time.
    pub updated_ms: i64,
}

/// The log, newest first.
#[derive(Debug, Default)]
pub struct AclLog(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    entries: VecDeque<LogEntry>,
    next_id: u64,
}

impl AclLog {
    /// Adds an event, and forgets the oldest entries beyond `max`.
    pub fn add(&self, denied: Denied, client_info: String, now_ms: i64, max: usize) {
        let log = &mut *self.0.lock();
        let is_like = |entry: &LogEntry| {
            entry.denied == denied && (now_ms - entry.updated_ms).abs() <= TOGETHER_MS
        };
        let like = log.entries.iter().take(COMPARED).position(is_like);
        let entry = match like.and_then(|at| log.entries.remove(at)) {
            Some(mut entry) => {
                (entry.client_info, entry.updated_ms) = (client_info, now_ms);
                entry.count += 1;
                entry
            }
            None => {
                let id = log.next_id;
                log.next_id += 1;
                let (created_ms, updated_ms) = (now_ms, now_ms);
                LogEntry { denied, count: 1, client_info, id, created_ms, updated_ms }
            }
        };
        log.entries.push_front(entry);
        log.entries.truncate(max);
    }

    /// The newest entries, at most so many.
    pub fn newest(&self, max: usize) -> Vec<LogEntry> {
        self.0.lock().entries.iter().take(max).cloned().collect()
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.0.lock().entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(object: &str) -> Denied {
        let (object, username) = (object.into(), b"me".to_vec());
        Denied { reason: "key", context: LogContext::TopLevel, object, username }
    }

    #[test]
    fn like_events_are_one_entry() {
        let log = AclLog::default();
        let add = |object: &str, at| log.add(denied(object), String::new(), at, 100);
        add("a", 0);
        add("b", 10);
        add("a", 20);
        let shown: Vec<_> = log.newest(9).iter().map(|e| (e.id, e.count, e.updated_ms)).collect();
        assert_eq!(shown, [(0, 2, 20), (1, 1, 10)]);
        add("a", 20 + TOGETHER_MS + 1);
        assert_eq!(log.newest(9).len(), 3);
        (0..COMPARED).for_each(|n| add(&format!("c{n}"), 70_000));
        add("a", 70_000);
        assert_eq!(log.newest(99)[0].count, 1);
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let log = AclLog::default();
        (0..10).for_each(|n| log.add(denied(&n.to_string()), String::new(), n, 5));
        assert_eq!(log.newest(100).len(), 5);
        assert_eq!(log.newest(2)[1].denied.object, b"8");
        log.add(denied("x"), String::new(), 0, 0);
        assert_eq!(log.newest(100).len(), 0);
    }
}
