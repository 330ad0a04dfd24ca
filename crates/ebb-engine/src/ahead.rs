//! What is found out about requests ahead of their run: so the misses of a pipeline overlap.

use std::ops::Range;

use ebb_collections::Collection;
use ebb_keyspace::{Db, same};

use crate::dispatch::{Batch, Executor, Turn};
use crate::locks::Locks;
use crate::table::{Command, Resolved};

/// So many requests before a command runs, its bucket has been asked for, and then its entry. The
/// processor has some 16 misses in flight; spread over a pipeline they cost next to nothing.
const BUCKETS_AHEAD: usize = 16;
const ENTRIES_AHEAD: usize = 8;
/// The same of the value that a large argument will take the place of.
const VALUES_AHEAD: usize = 4;
/// The same within the large collection that it names: the bucket of an element, and the element.
const ELEMENT_BUCKETS_AHEAD: usize = 4;
const ELEMENTS_AHEAD: usize = 2;
/// Elements are asked for so many at a time: less lies between their stages.
const ELEMENTS_TOGETHER: usize = 4;
/// They are asked for so many at a time.
const TOGETHER: usize = 8;
/// A power of two above the sum of [`BUCKETS_AHEAD`] and [`TOGETHER`].
pub(crate) const RING: usize = 32;

/// A request with what was found out about it ahead of its run.
#[derive(Clone, Copy)]
pub(crate) struct Prepared {
    pub(crate) resolved: Resolved,
    /// Position and hash of its key, if it has just one.
    pub(crate) hashed: Option<(usize, u64)>,
    /// Hash of the element that it names.
    pub(crate) element: Option<u64>,
    /// Where that key is.
    pub(crate) shard: usize,
    /// The database that its client has selected, if it is still so when the request runs.
    pub(crate) db: usize,
}

impl Prepared {
    /// Whether both are for one key, as far as hashes tell, and name elements.
    fn names_the_key_of(&self, other: &Prepared) -> bool {
        let hash = |request: &Prepared| request.hashed.map(|(_, hash)| hash);
        self.element.is_some() && hash(self) == hash(other) && self.db == other.db
    }
}

const NOTHING: Prepared =
    Prepared { resolved: Resolved::Unknown, hashed: None, element: None, shard: 0, db: 0 };

/// The requests that come next: what is found out about them ahead of their run.
pub(crate) struct Ahead<'a> {
    /// The last command's name as it was written: the next is often the same.
    name: &'a [u8],
    command: Resolved,
    /// By number modulo [`RING`].
    pub(crate) ring: [Prepared; RING],
    /// Whether the one shard there is can be held all the time.
    one_shard: bool,
    /// Whether buckets and entries are asked for: there is something to overlap.
    fetch: bool,
    /// How many requests are prepared, how many entries asked for.
    prepared: usize,
    fetched: usize,
    /// Whether there are arguments that take the place of values, and for how many requests the values
    /// have been asked for.
    has_values: bool,
    valued: usize,
    /// Whether a command names elements, and for how many requests their buckets and they have
    /// been asked for.
    has_elements: bool,
    sought: usize,
    met: usize,
    /// The next request to prepare: its turn, and its number there.
    turn: usize,
    index: usize,
    total: usize,
}

impl<'a> Ahead<'a> {
    pub(crate) fn new(turns: &[Turn<'_>], batch: &Batch<'a>, one_shard: bool) -> Ahead<'a> {
        let total = turns.iter().map(|turn| turn.requests.len()).sum();
        Ahead {
            name: &[],
            command: Resolved::Unknown,
            ring: [NOTHING; RING],
            one_shard,
            fetch: total > 1,
            prepared: 0,
            fetched: 0,
            has_values: !batch.shared.is_empty(),
            valued: 0,
            has_elements: false,
            sought: 0,
            met: 0,
            turn: 0,
            index: 0,
            total,
        }
    }

    /// Prepares requests up to some behind `number`, which is about to run.
    #[inline]
    pub(crate) fn prepare(
        &mut self,
        executor: &Executor,
        turns: &[Turn<'_>],
        batch: &Batch<'a>,
        locks: &mut Locks<'_>,
        number: usize,
    ) {
        while self.prepared < self.total.min(number + 1 + BUCKETS_AHEAD) {
            self.prepare_some(executor, turns, batch, locks);
        }
        while self.fetch && self.fetched < self.total.min(number + 1 + ENTRIES_AHEAD) {
            let end = self.prepared.min(self.fetched + TOGETHER);
            self.look_for(locks, self.fetched..end, Db::prefetch_entry);
            self.fetched = end;
        }
        while self.has_values
            && self.fetch
            && self.valued < self.total.min(number + 1 + VALUES_AHEAD)
        {
            let end = self.fetched.min(self.valued + TOGETHER);
            self.look_for(locks, self.valued..end, Db::prefetch_value);
            self.valued = end;
        }
        if self.has_elements && self.fetch {
            self.prepare_elements(locks, number);
        }
    }

    /// Asks for the elements that the next requests name.
    #[inline(never)]
    fn prepare_elements(&mut self, locks: &mut Locks<'_>, number: usize) {
        if self.sought < self.total.min(number + 1 + ELEMENT_BUCKETS_AHEAD) {
            let begin = self.sought.max(number);
            self.sought = self.fetched.min(begin + ELEMENTS_TOGETHER);
            self.look_into(locks, begin..self.sought, Collection::prefetch_bucket);
        }
        if self.met < self.total.min(number + 1 + ELEMENTS_AHEAD) {
            let begin = self.met.max(number);
            self.met = self.sought.min(begin + ELEMENTS_TOGETHER);
            self.look_into(locks, begin..self.met, Collection::prefetch_element);
        }
    }

    /// Prepares the next requests and asks for their buckets.
    #[inline(never)]
    fn prepare_some(
        &mut self,
        executor: &Executor,
        turns: &[Turn<'_>],
        batch: &Batch<'a>,
        locks: &mut Locks<'_>,
    ) {
        if self.fetch && self.one_shard {
            // Who holds it for long makes this batch's commands wait or answer so.
            let _ = locks.hold_one(0);
        }
        let begin = self.prepared;
        while self.prepared < self.total.min(begin + TOGETHER) {
            while self.index == turns[self.turn].requests.len() {
                (self.turn, self.index) = (self.turn + 1, 0);
            }
            let turn = &turns[self.turn];
            let request = &turn.requests[self.index];
            let args = &batch.args[request.first..request.first + request.count];
            if !same(args[0], self.name) || self.name.is_empty() {
                self.resolve(executor, args);
            }
            self.ring[self.prepared % RING] = executor.prepare(self.command, args, turn.session.db);
            self.index += 1;
            self.prepared += 1;
        }
        if self.fetch {
            self.look_for(locks, begin..self.prepared, Db::prefetch);
        }
    }

    fn resolve(&mut self, executor: &Executor, args: &[&'a [u8]]) {
        self.command = executor.server.commands.resolve(args);
        // A container's name alone does not say which command it is.
        let is_alone =
            |command: &Command| command.parent.is_none() && command.subcommands.is_empty();
        let alone = matches!(self.command, Resolved::Command(command) if is_alone(command));
        self.name = if alone { args[0] } else { &[] };
        self.has_elements |= matches!(self.command, Resolved::Command(it) if it.spec.element > 0);
    }

    /// Asks for something of the keys of prepared requests.
    #[inline]
    fn look_for(
        &self,
        locks: &mut Locks<'_>,
        requests: Range<usize>,
        ask: impl Fn(&Db, u64) + Copy,
    ) {
        for number in requests {
            let Prepared { hashed, shard, db, .. } = self.ring[number % RING];
            if let Some((_, hash)) = hashed {
                locks.glance(shard, |shard| ask(shard.db_ref(db), hash));
            }
        }
    }

    /// Asks for something of the elements that prepared requests name. Requests that follow each
    /// other often concern one collection, which is then looked for once.
    fn look_into(
        &self,
        locks: &mut Locks<'_>,
        mut requests: Range<usize>,
        ask: impl Fn(&Collection, u64) + Copy,
    ) {
        while !requests.is_empty() {
            let first = &self.ring[requests.start % RING];
            let others = requests.clone().map(|number| &self.ring[number % RING]);
            let alike = others.take_while(|request| request.names_the_key_of(first));
            let alike_end = requests.start + alike.clone().count();
            requests.start = alike_end.max(requests.start + 1);
            let Some((_, hash)) = first.hashed else { continue };
            locks.glance(first.shard, |shard| {
                if let Some(collection) = shard.db_ref(first.db).likely_collection(hash) {
                    let elements = alike.filter_map(|request| request.element);
                    elements.for_each(|element| ask(collection, element));
                }
            });
        }
    }
}
