//! The time to live that a partition gives to keys without a deadline of their own.
//!
//! A key gets it when it is made, and when a string is set without a deadline. PERSIST takes it
//! away again. Followers of the journal learn of it as of EXPIRE.

use ebb_keyspace::{Deadline, Key};

use crate::context::Context;
use crate::journal::Event;

impl Context<'_> {
    /// The deadline of a key of some database that gets none of its own, if it is to have one.
    #[cold]
    fn default_deadline(&mut self, db: usize, key: &Key<'_>) -> Option<i64> {
        let table = self.journal.quota.table(self.server);
        let seconds = table.of(db, key.bytes())?.line.default_ttl_s;
        (seconds != 0).then(|| self.now_ms.saturating_add(seconds as i64 * 1000))
    }

    /// The deadline for a string that is set.
    #[inline]
    pub(crate) fn deadline_or_default(&mut self, key: &Key<'_>, deadline: Deadline) -> Deadline {
        if deadline != Deadline::Clear || !self.server.partitions.has_deadlines() {
            return deadline;
        }
        let Some(at) = self.default_deadline(self.session.db, key) else { return deadline };
        self.journal.quota.made = Some(key.hash());
        Deadline::At(at)
    }

    /// An entry is put under a key. Whether it has a deadline is looked at when the change is told.
    #[inline]
    pub(crate) fn note_made(&mut self, key: &Key<'_>) {
        if self.server.partitions.has_deadlines() {
            self.journal.quota.made = Some(key.hash());
        }
    }

    /// Sees to the deadline of a key that was made, after that was told.
    #[inline]
    pub(crate) fn default_deadline_of_made(&mut self, db: usize, key: &Key<'_>, created: bool) {
        if self.server.partitions.has_deadlines() {
            let made = self.journal.quota.made == Some(key.hash());
            if created || made {
                self.give_default_deadline(db, key, made);
            }
        }
    }

    #[cold]
    fn give_default_deadline(&mut self, db: usize, key: &Key<'_>, made: bool) {
        self.journal.quota.made = None;
        let Some(at) = self.default_deadline(db, key) else { return };
        let part = self.locks.shard_of(key).db(db);
        let Some(deadline) = part.get(key).map(|entry| entry.deadline()) else { return };
        let given = match deadline {
            // One of its own was told by who gave it.
            Some(has) => made && has == at,
            // Without memory for a deadline the key is as good without.
            None => part.set_deadline(key, Some(at)).is_ok(),
        };
        if given {
            self.journal.tell(self.server, db, key.bytes(), Event::generic("expire"), true);
        }
    }
}
