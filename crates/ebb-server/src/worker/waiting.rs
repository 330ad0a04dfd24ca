//! Clients that wait in a command, and what becomes of them when their time is over.

use std::time::Duration;

use ebb_engine::unix_ms;

use super::{TICK, Worker};

impl Worker {
    /// How long to sleep if nothing happens.
    pub(super) fn sleep(&self) -> Duration {
        let next = self.deadlines.first().map(|&(at, _)| (at - unix_ms()).max(0));
        next.map_or(TICK, |left_ms| TICK.min(Duration::from_millis(left_ms as u64)))
    }

    /// Ends the waits whose time has come.
    pub(super) fn time_out(&mut self) {
        let now_ms = unix_ms();
        while let Some(&(deadline_ms, client)) = self.deadlines.first() {
            if deadline_ms > now_ms {
                return;
            }
            self.deadlines.pop_first();
            let Some(&at) = self.by_id.get(&client) else { continue };
            let server = self.server;
            let mut mail = std::mem::take(&mut self.mail);
            let fate = self.with(at, |connection, _| {
                let blocked = connection.session.blocked.as_ref();
                // It may wait in another command by now.
                let due = blocked.filter(|blocked| blocked.deadline_ms == Some(deadline_ms));
                let message = due.and_then(|blocked| blocked.time_out())?;
                mail.messages.push(message);
                Some(connection.send_mail(server, &mut mail))
            });
            self.mail = mail;
            if let Some(Some(fate)) = fate {
                self.settle(at, Some(fate));
                self.end_wait(at);
            }
        }
    }

    /// Goes on with a client whose wait is over.
    pub(super) fn end_wait(&mut self, at: usize) {
        let server = self.server;
        if self.with(at, |connection, _| connection.end_wait(server)) == Some(true) {
            self.go_on(at);
        }
    }
}
