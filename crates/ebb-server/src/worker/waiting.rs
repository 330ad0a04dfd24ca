//! Clients that wait in a command, and what becomes of them when their time is over.

use std::sync::Arc;
use std::time::Duration;

use ebb_engine::{PauseMode, unix_ms};

use super::{TICK, Worker};

/// How long a command that would run again waits during CLIENT PAUSE, each time.
const PAUSED_MS: i64 = 10;

impl Worker {
    /// How long to sleep if nothing happens.
    pub(super) fn sleep(&self) -> Duration {
        let next = self.deadlines.first().map(|&(at, _)| (at - unix_ms()).max(0));
        next.map_or(TICK, |left_ms| TICK.min(Duration::from_millis(left_ms as u64)))
    }

    /// Looks after the clients whose time has come.
    pub(super) fn time_out(&mut self) {
        let now_ms = unix_ms();
        while let Some(&(due_ms, client)) = self.deadlines.first() {
            if due_ms > now_ms {
                return;
            }
            self.deadlines.pop_first();
            let Some(&at) = self.by_id.get(&client) else { continue };
            if !self.give_up(at, now_ms)
                && let Some(due_ms) = self.try_again(at, now_ms)
            {
                self.deadlines.insert((due_ms.max(now_ms + 1), client));
            }
        }
    }

    /// Ends a client's wait, if its time is over; answers whether it was.
    fn give_up(&mut self, at: usize, now_ms: i64) -> bool {
        let server = self.server;
        let mut mail = std::mem::take(&mut self.mail);
        let fate = self.with(at, |connection, _| {
            let blocked = connection.session.blocked.as_ref();
            // It may wait in another command by now.
            let is_due = |at: i64| at <= now_ms;
            let due = blocked.filter(|blocked| blocked.deadline_ms.is_some_and(is_due));
            let message = due.and_then(|blocked| blocked.time_out(server))?;
            mail.messages.push(message);
            Some(connection.send_mail(server, &mut mail))
        });
        self.mail = mail;
        let Some(Some(fate)) = fate else { return false };
        self.settle(at, Some(fate));
        self.end_wait(at);
        true
    }

    /// Runs a client's command again, if time alone may have helped it; answers when to look after
    /// the client next, if it waits.
    fn try_again(&mut self, at: usize, now_ms: i64) -> Option<i64> {
        let is_paused = self.server.paused(now_ms) != PauseMode::Off;
        let due_ms = self.with(at, |connection, tools| {
            let blocked = Arc::clone(connection.session.blocked.as_ref()?);
            if !blocked.may_find(now_ms) {
                return blocked.due_ms();
            }
            if is_paused {
                // What it would find it would change.
                return Some(now_ms + PAUSED_MS);
            }
            tools.executor.try_again(&blocked, tools.attendant);
            blocked.due_ms().filter(|_| !blocked.is_over())
        });
        due_ms.flatten()
    }

    /// Goes on with a client whose wait is over.
    pub(super) fn end_wait(&mut self, at: usize) {
        let server = self.server;
        if self.with(at, |connection, _| connection.end_wait(server)) == Some(true) {
            self.go_on(at);
        }
    }
}
