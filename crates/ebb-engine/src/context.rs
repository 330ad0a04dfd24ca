//! What a command sees while it runs: arguments, data under lock, time, and the reply.

use std::borrow::Cow;

use ebb_config::id;
use ebb_keyspace::{
    Db, Deadline, Entry, EntryRef, Found, Key, OutOfMemory, Shard, StringRef, StringValue, Type,
    lazyfree,
};
use rand::rngs::SmallRng;

use crate::error::{CommandError, CommandResult, quote};
use crate::journal::{Event, Journal};
use crate::locks::Locks;
use crate::recorder::Recorder;
use crate::reply::Reply;
use crate::scripting::Attendant;
use crate::server::{PauseMode, Server};
use crate::session::Session;
use crate::shared_args::SharedArgs;
use crate::table::Command;

/// The world of one running command.
///
/// Reading and writing go through the methods below, because they expire keys, keep the
/// access clock and the hit counters, and tell the journal. A command may touch only the
/// keys that its specification names (or any, with [`crate::Scope::All`]).
pub struct Context<'a> {
    /// The arguments; the first is the command's name.
    pub args: &'a [&'a [u8]],
    /// Arguments that already lie in blocks of the heap.
    pub(crate) shared_args: SharedArgs<'a>,
    /// The command that runs.
    pub command: &'static Command,
    /// The client's state.
    pub session: &'a mut Session,
    /// What is answered.
    pub reply: &'a mut Reply,
    /// The server.
    pub server: &'static Server,
    /// The shards that are held.
    pub locks: &'a mut Locks<'static>,
    /// Milliseconds since 1970, the same during one command.
    pub now_ms: i64,
    /// Random numbers.
    pub random: &'a mut SmallRng,
    /// Effects of the command.
    pub journal: &'a mut Journal,
    /// Bytes that the request had on the wire; 0 in a transaction.
    pub bytes: usize,
    /// The position and hash of the key that dispatch has hashed.
    pub(crate) hashed: Option<(usize, u64)>,
    /// Measures the commands that a script calls.
    pub(crate) recorder: &'a mut Recorder,
    /// Looks after other connections while this command takes long.
    pub attendant: &'a mut dyn Attendant,
}

/// How a lookup counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// For reading: hit or miss, and the clock.
    Read,
    /// For asking about the key: hit or miss, but not the clock.
    Ask,
    /// The same, but a miss is not told of.
    Inspect,
    /// For writing: the clock.
    Write,
    /// As if nobody had looked.
    Peek,
}

impl Access {
    fn counts(self) -> bool {
        matches!(self, Access::Read | Access::Ask | Access::Inspect)
    }

    fn touches(self) -> bool {
        matches!(self, Access::Read | Access::Write)
    }
}

impl<'a> Context<'a> {
    /// An argument.
    #[inline]
    pub fn arg(&self, index: usize) -> &'a [u8] {
        self.args[index]
    }

    /// Writes an error behind replies that stay.
    pub fn error_behind(&mut self, error: &CommandError) {
        self.reply.error(&error.text());
        self.recorder.count_error(&error.code());
    }

    /// An argument as an error quotes it.
    pub fn quote(&self, index: usize) -> Cow<'a, str> {
        quote(self.args[index], usize::MAX)
    }

    /// An argument as a key.
    #[inline(always)]
    pub fn key(&self, index: usize) -> Key<'a> {
        match self.hashed {
            Some((position, hash)) if position == index => Key::with_hash(self.args[index], hash),
            _ => self.key_to_hash(index),
        }
    }

    #[inline(never)]
    fn key_to_hash(&self, index: usize) -> Key<'a> {
        self.server.keyspace.key(self.args[index])
    }

    /// The arguments at some positions, at most [`Context::KEYS_TOGETHER`], as keys whose entries
    /// are asked for together, so that their misses overlap.
    pub fn keys_together(&mut self, positions: impl Iterator<Item = usize>) -> Vec<Key<'a>> {
        let keys: Vec<_> = positions.map(|at| self.key(at)).collect();
        let number = self.session.db;
        self.locks.look_at(&keys, |shard, key| shard.db_ref(number).prefetch(key.hash()));
        self.locks.look_at(&keys, |shard, key| shard.db_ref(number).prefetch_entry(key.hash()));
        keys
    }

    /// So many keys are asked for at once: about as many misses as a processor has in flight.
    pub const KEYS_TOGETHER: usize = 16;

    /// An argument as an integer.
    #[inline]
    pub fn int(&self, index: usize) -> Result<i64, CommandError> {
        ebb_types::number::parse_i64(self.args[index]).ok_or(CommandError::NotInteger)
    }

    /// Whether an argument is a word, in any case.
    #[inline]
    pub fn is_word(&self, index: usize, word: &str) -> bool {
        self.args[index].eq_ignore_ascii_case(word.as_bytes())
    }

    /// An argument as a string to store.
    #[inline]
    pub fn value(&self, index: usize) -> StringValue<'a> {
        match self.shared_args.get(index) {
            Some(shared) => StringValue::Shared(shared),
            None => StringValue::Bytes(self.args[index]),
        }
    }

    /// The shard of a key.
    #[inline]
    pub fn shard(&mut self, key: &Key<'_>) -> &mut Shard {
        self.locks.shard_of(key)
    }

    /// The selected database's part in a key's shard. What is done here is not told to the
    /// journal: prefer the methods below.
    #[inline]
    pub fn db(&mut self, key: &Key<'_>) -> &mut Db {
        self.locks.shard_of(key).db(self.session.db)
    }

    /// Where the key's entry is, unless it is missing or has expired.
    #[inline]
    pub(crate) fn locate(&mut self, number: usize, key: &Key<'_>, access: Access) -> Option<Found> {
        let db = self.locks.shard_of(key).db(number);
        let Some(found) = db.find(key) else {
            self.miss(number, key, access);
            return None;
        };
        if db.at(found).is_due(self.now_ms) {
            self.expire(number, key);
            self.miss(number, key, access);
            return None;
        }
        if access.touches() && !self.session.no_touch {
            db.touch(found);
        }
        if access.counts() {
            db.count_hit(found, key);
            self.journal.hits += 1;
        }
        Some(found)
    }

    #[inline]
    fn find(&mut self, number: usize, key: &Key<'_>, access: Access) -> Option<EntryRef<'_>> {
        let found = self.locate(number, key, access)?;
        Some(self.locks.shard_of(key).db(number).at(found))
    }

    fn miss(&mut self, db: usize, key: &Key<'_>, access: Access) {
        if access.counts() {
            self.journal.misses += 1;
            self.locks.shard_of(key).db(db).count_miss(key);
            if access != Access::Inspect {
                self.journal.tell(self.server, db, key.bytes(), Event::key_miss(), false);
            }
        }
    }

    /// Deletes a key that is due. During a pause it only counts as absent, so that nothing
    /// changes.
    #[cold]
    fn expire(&mut self, db: usize, key: &Key<'_>) {
        if self.server.paused(self.now_ms) != PauseMode::Off {
            return;
        }
        let shard = self.locks.shard_of(key);
        shard.db(db).count_expired(key);
        let lazy = self.server.config.get(id::LAZYFREE_LAZY_EXPIRE);
        let freeing = lazyfree::Choice::new(lazy);
        shard.db(db).remove(key);
        drop(freeing);
        shard.watch.touch_expired(db, key.bytes());
        self.journal.expired += 1;
        self.journal.tell(self.server, db, key.bytes(), Event::expired(), true);
    }

    /// Tells that a key has expired that was due when another value came in its place. For who
    /// sets a string, that is cheaper than to look for the key before.
    #[cold]
    fn replaced_due(&mut self, db: usize, key: &Key<'_>) {
        self.locks.shard_of(key).db(db).count_expired(key);
        self.journal.expired += 1;
        self.journal.tell(self.server, db, key.bytes(), Event::expired(), true);
    }

    /// The key's entry, for a command that reads it: counts a hit or a miss.
    #[inline]
    pub fn read(&mut self, key: &Key<'_>) -> Option<EntryRef<'_>> {
        self.find(self.session.db, key, Access::Read)
    }

    /// The key's entry, for a command that will change it.
    #[inline]
    pub fn read_to_write(&mut self, key: &Key<'_>) -> Option<EntryRef<'_>> {
        self.find(self.session.db, key, Access::Write)
    }

    /// The key's entry, for a command that asks about it: counts a hit or a miss, but leaves
    /// the clock.
    pub fn ask(&mut self, key: &Key<'_>) -> Option<EntryRef<'_>> {
        self.find(self.session.db, key, Access::Ask)
    }

    /// The same for a command that looks into how the key is kept: a miss is counted, but
    /// keyspace notifications do not tell of it.
    pub fn inspect(&mut self, key: &Key<'_>) -> Option<EntryRef<'_>> {
        self.find(self.session.db, key, Access::Inspect)
    }

    /// The key's entry, its clock set to now even if the client said CLIENT NO-TOUCH.
    pub fn touch(&mut self, key: &Key<'_>) -> bool {
        let number = self.session.db;
        let Some(found) = self.locate(number, key, Access::Read) else { return false };
        self.locks.shard_of(key).db(number).touch(found);
        true
    }

    /// The key's entry, leaving clock and counters alone.
    pub fn peek(&mut self, key: &Key<'_>) -> Option<EntryRef<'_>> {
        self.find(self.session.db, key, Access::Peek)
    }

    /// The key's entry as it lies there, due or not, for DEBUG OBJECT.
    pub fn uncover(&mut self, key: &Key<'_>) -> Option<EntryRef<'_>> {
        let db = self.locks.shard_of(key).db(self.session.db);
        let found = db.find(key)?;
        Some(db.at(found))
    }

    /// The key's entry in some database, for COPY and MOVE; clock and counters stay.
    pub fn peek_in(&mut self, db: usize, key: &Key<'_>) -> Option<EntryRef<'_>> {
        self.find(db, key, Access::Peek)
    }

    /// The entry and the reply, to answer one with the other. Counts a hit or a miss.
    #[inline]
    pub fn read_and_reply(&mut self, key: &Key<'_>) -> (Option<EntryRef<'_>>, &mut Reply) {
        let found = self.locate(self.session.db, key, Access::Read);
        let db = self.locks.shard_of(key).db(self.session.db);
        (found.map(|found| db.at(found)), self.reply)
    }

    /// The key's string, for a command that reads it.
    #[inline]
    pub fn read_string(&mut self, key: &Key<'_>) -> Result<Option<StringRef<'_>>, CommandError> {
        self.read(key).map(string_of).transpose()
    }

    /// The key's string, for a command that will change it.
    pub fn string_to_write(
        &mut self,
        key: &Key<'_>,
    ) -> Result<Option<StringRef<'_>>, CommandError> {
        self.read_to_write(key).map(string_of).transpose()
    }

    /// Answers the key's string, or null.
    #[inline]
    pub fn reply_string(&mut self, key: &Key<'_>) -> CommandResult {
        let (entry, reply) = self.read_and_reply(key);
        match entry {
            Some(entry) => reply.string(&string_of(entry)?),
            None => reply.null(),
        }
        Ok(())
    }

    /// Sets a string. Who keeps a deadline looks for the key before, so that one that is due is
    /// gone, and its deadline with it.
    #[inline]
    pub fn set_string(
        &mut self,
        key: &Key<'_>,
        value: StringValue<'_>,
        deadline: Deadline,
    ) -> Result<(), OutOfMemory> {
        let deadline = self.deadline_or_default(key, deadline);
        let old = self.db(key).set(key, value, deadline)?;
        if old.is_some_and(|at| at < self.now_ms) {
            self.replaced_due(self.session.db, key);
        }
        Ok(())
    }

    /// Gives the key's integer, 0 if the key is not there, another value, and answers that.
    pub fn edit_integer(
        &mut self,
        key: &Key<'_>,
        change: impl FnOnce(i64) -> Result<i64, CommandError>,
    ) -> Result<i64, CommandError> {
        let number = self.session.db;
        let Some(found) = self.locate(number, key, Access::Write) else {
            let new = change(0)?;
            self.set_string(key, StringValue::Int(new), Deadline::Keep)?;
            return Ok(new);
        };
        let db = self.locks.shard_of(key).db(number);
        let old = string_of(db.at(found))?.to_int().ok_or(CommandError::NotInteger)?;
        let new = change(old)?;
        db.put(found, StringValue::Int(new))?;
        Ok(new)
    }

    /// The bytes of a string to edit: at least `len`, zeros where there were none.
    pub fn edit(&mut self, key: &Key<'_>, len: usize) -> Result<&mut [u8], OutOfMemory> {
        self.db(key).edit(key, len)
    }

    /// Deletes a key; answers whether it was there. The caller tells the journal.
    pub fn remove(&mut self, key: &Key<'_>) -> bool {
        self.db(key).remove(key)
    }

    /// Takes a key's entry out of some database. The caller tells the journal.
    pub fn take(&mut self, db: usize, key: &Key<'_>) -> Option<Entry> {
        self.locks.shard_of(key).db(db).take(key)
    }

    /// Puts an entry whose key is `key` into some database.
    pub fn insert(&mut self, db: usize, key: &Key<'_>, entry: Entry) -> Result<(), OutOfMemory> {
        self.note_made(key);
        self.locks.shard_of(key).db(db).insert(key, entry)
    }

    /// Tells the journal that a key of the selected database has changed: who watches it is
    /// marked, the change is counted, and `event` is what keyspace notifications will say.
    #[inline]
    pub fn changed(&mut self, key: &Key<'_>, event: Event) {
        self.changed_in(self.session.db, key, event);
    }

    /// The same for a key of some database.
    #[inline]
    pub fn changed_in(&mut self, db: usize, key: &Key<'_>, event: Event) {
        self.journal.dirty += 1;
        self.changed_too(db, key, event);
    }

    /// The same for another key that one change has to do with: it is not counted again.
    #[inline]
    pub fn changed_too(&mut self, db: usize, key: &Key<'_>, event: Event) {
        let server = self.server;
        let shard = self.locks.shard_of(key);
        let concerns = !(shard.watch.is_empty() && shard.wait.is_empty())
            || self.journal.effects.has_followers(server)
            || server.partitions.has_deadlines();
        let created = shard.db(db).take_created(key.hash());
        if concerns {
            self.tell_change(db, key, event, created);
        }
    }

    /// Tells all who may be concerned that a key has changed, or was `created`.
    #[inline(never)]
    fn tell_change(&mut self, db: usize, key: &Key<'_>, event: Event, created: bool) {
        let shard = self.locks.shard_of(key);
        if !shard.watch.is_empty() {
            shard.watch.touch(db, key.bytes());
        }
        if !shard.wait.is_empty() {
            self.note_ready(db, key);
        }
        if created {
            self.journal.tell(self.server, db, key.bytes(), Event::new_key(), false);
        }
        self.journal.tell(self.server, db, key.bytes(), event, true);
        self.default_deadline_of_made(db, key, created);
    }

    /// The same for a change beside the value, such as one of a consumer group: as in Redis, it does
    /// not disturb who watches the key or keeps a copy of it.
    pub fn changed_aside(&mut self, key: &Key<'_>, event: Event) {
        self.journal.dirty += 1;
        let db = self.session.db;
        if !self.shard(key).wait.is_empty() {
            self.note_ready(db, key);
        }
        self.journal.effects.follow(self.server, db, key.bytes(), event);
        self.journal.tell(self.server, db, key.bytes(), event, false);
    }

    /// Tells of another event on a key whose change was told already.
    pub fn notify(&mut self, key: &Key<'_>, event: Event) {
        self.journal.tell(self.server, self.session.db, key.bytes(), event, false);
    }

    /// A shard by number. Under [`crate::Scope::Walk`] it is locked, and the one visited
    /// before let go.
    pub fn enter_shard(&mut self, number: usize) -> &mut Shard {
        self.locks.visit(number);
        self.locks.shard(number)
    }

    /// Visits all shards, one after the other.
    pub fn each_shard(&mut self, mut visit: impl FnMut(&mut Shard)) {
        for number in 0..self.server.keyspace.shards() {
            visit(self.enter_shard(number));
        }
    }

    /// Tells that a key is new in a database before any change is told. This is for commands that
    /// put one key in the place of another, which counts as new even if the name was in use;
    /// others need not tell.
    pub fn appeared(&mut self, db: usize, key: &Key<'_>) {
        self.locks.shard_of(key).db(db).take_created(key.hash());
        self.journal.tell(self.server, db, key.bytes(), Event::new_key(), false);
    }

    /// Tells that the selected database, or all of them, were emptied.
    pub fn flushed(&mut self) {
        // What the data had outside of the heap is gone as well, before the next look at all.
        self.measure();
        self.journal.effects.note_flush(self.server);
    }

    /// Measures what counts against `maxmemory` and is not summed up exactly all the time.
    pub fn measure(&mut self) {
        let server = self.server;
        for number in 0..server.keyspace.shards() {
            server.eviction.measure(number, self.enter_shard(number));
        }
        server.measure_base();
    }
}

/// The string in an entry, or the error for other types.
#[inline]
pub fn string_of(entry: EntryRef<'_>) -> Result<StringRef<'_>, CommandError> {
    match entry.value_type() {
        Type::String => Ok(entry.string()),
        _ => Err(CommandError::WrongType),
    }
}
