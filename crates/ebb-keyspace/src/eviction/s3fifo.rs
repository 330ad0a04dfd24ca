//! S3-FIFO's memory of a database: the queue of new keys, the ghosts, and the hand.
//!
//! The policy is that of Yang and others ("FIFO queues are all you need for cache eviction",
//! 2023). A new key waits in a small queue. If it was used until its turn comes, it moves on to
//! the main part; if not, it is evicted, and its ghost remembered: should it come back soon, it
//! goes to the main part at once. So what a scan reads once passes through the small queue and
//! touches nothing else.
//!
//! Two things differ. A queue of all keys in the main part would take as much room as their index,
//! so the table takes its place: a hand goes through it from bucket to bucket, takes one use from
//! each key it passes, and stops at the first that has none. A key's place is then decided by
//! its hash and not by its age; `examples/eviction.rs` shows that nothing is lost by it. And what
//! the hand evicts leaves a ghost, too: it was worth its place once, and need not prove that again.
//! So a shorter small queue is enough.
//!
//! The 24 bits of an entry: a count of uses up to 3, whether the key is in the small queue, and a
//! stamp that tells such bits from those of another policy. An entry without it is in the main
//! part and unused.

use std::collections::VecDeque;

/// The part of the keys that waits in the small queue, in percent.
pub const SMALL_PERCENT: usize = 2;
/// Uses that count.
const USES_MAX: u32 = 3;
const SMALL: u32 = 4;
const STAMP_SHIFT: u32 = 3;
/// Of so few keys as many as these may wait.
const SMALL_MIN: usize = 16;

/// See the module.
#[derive(Debug)]
pub struct S3Fifo {
    /// Hashes, oldest first; some of the keys may be gone.
    small: VecDeque<u64>,
    ghosts: Ghosts,
    /// Where the hand is in the table: a position of its scan.
    pub(crate) hand: u64,
    /// In the entries' clocks, in its place.
    stamp: u32,
}

/// What the hand does with an entry, or the queue with its first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It goes.
    Victim,
    /// It stays, with this clock.
    Stays(u32),
}

impl S3Fifo {
    /// Without memory. `roll` makes its stamp.
    pub fn new(roll: u32) -> S3Fifo {
        let stamp = roll << STAMP_SHIFT & 0xff_ffff;
        S3Fifo { small: VecDeque::new(), ghosts: Ghosts::default(), hand: 0, stamp }
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.small.capacity() * 8 + self.ghosts.bytes()
    }

    /// What a clock says, without the stamp.
    fn read(&self, clock: u32) -> u32 {
        let bits = clock ^ self.stamp;
        if bits >> STAMP_SHIFT == 0 { bits } else { 0 }
    }

    /// Uses of an entry since they were taken away last.
    pub fn uses(&self, clock: u32) -> u32 {
        self.read(clock) & USES_MAX
    }

    /// The clock of an entry that is new in a database of so many keys.
    pub(crate) fn admit(&mut self, hash: u64, keys: usize) -> u32 {
        // While nothing is evicted, the queue is not emptied: then nothing needs to wait.
        let crowded = self.small.len() > SMALL_MIN.max(2 * keys * SMALL_PERCENT / 100);
        if crowded || self.ghosts.take(hash) {
            return self.stamp;
        }
        self.small.push_back(hash);
        self.stamp | SMALL
    }

    /// The clock of an entry after one more use.
    #[inline]
    pub(crate) fn touched(&self, clock: u32) -> u32 {
        let bits = self.read(clock);
        let uses = ((bits & USES_MAX) + 1).min(USES_MAX);
        self.stamp | bits & SMALL | uses
    }

    /// The first in the small queue, if that is as long as it may be: see [`S3Fifo::leave`].
    pub(crate) fn first(&mut self, keys: usize) -> Option<u64> {
        let full = self.small.len() > keys * SMALL_PERCENT / 100;
        if full { self.small.pop_front() } else { None }
    }

    /// What becomes of an entry that was the first in the small queue.
    pub(crate) fn leave(&mut self, hash: u64, clock: u32, keys: usize) -> Fate {
        let bits = self.read(clock);
        if bits & SMALL != 0 && bits & USES_MAX == 0 {
            self.ghosts.add(hash, keys);
            return Fate::Victim;
        }
        // It has proved its worth once, and starts anew.
        Fate::Stays(if bits & SMALL == 0 { clock } else { self.stamp })
    }

    /// The clock of an entry in the main part, unused.
    pub(crate) fn moved_on(&self) -> u32 {
        self.stamp
    }

    /// What becomes of an entry that the hand passes.
    pub(crate) fn pass(&mut self, hash: u64, clock: u32, keys: usize) -> Fate {
        let bits = self.read(clock);
        match (bits & SMALL, bits & USES_MAX) {
            (0, 0) => {
                self.ghosts.add(hash, keys);
                Fate::Victim
            }
            (0, uses) => Fate::Stays(self.stamp | (uses - 1)),
            _ => Fate::Stays(clock),
        }
    }
}

/// Ghosts that may take each other's place.
const WAYS: usize = 8;

/// Keys that were evicted of late, 16 bits of the hash of each: sets of eight, of which the oldest
/// makes room. One in 8,000 that was never there is taken for one that was.
#[derive(Debug, Default)]
pub struct Ghosts {
    /// A power of two of sets, or none; 0 is no ghost.
    sets: Vec<[u16; WAYS]>,
}

impl Ghosts {
    fn bytes(&self) -> usize {
        self.sets.len() * size_of::<[u16; WAYS]>()
    }

    fn place(&self, hash: u64) -> (usize, u16) {
        // The low bits name the shard and are the same for all keys here.
        ((hash >> 32) as usize & (self.sets.len() - 1), ((hash >> 12) as u16).max(1))
    }

    /// Remembers a key, as one of about as many as there are keys in the database.
    pub fn add(&mut self, hash: u64, keys: usize) {
        let wanted = (keys / WAYS).next_power_of_two();
        if self.sets.len() < wanted {
            // Every ghost is where it is looked for, in one half or the other.
            match self.sets.len() {
                0 => self.sets = vec![[0; WAYS]; wanted],
                _ => self.sets.extend_from_within(..),
            }
        } else if self.sets.len() > 4 * wanted {
            self.sets.truncate(wanted);
            self.sets.shrink_to_fit();
        }
        let (set, name) = self.place(hash);
        let set = &mut self.sets[set];
        set.copy_within(0..WAYS - 1, 1);
        set[0] = name;
    }

    /// Forgets a key; answers whether it was remembered.
    pub fn take(&mut self, hash: u64) -> bool {
        if self.sets.is_empty() {
            return false;
        }
        let (set, name) = self.place(hash);
        let found = self.sets[set].iter_mut().find(|ghost| **ghost == name);
        found.map(|ghost| *ghost = 0).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_that_is_not_used_leaves_a_ghost_and_comes_back_to_stay() {
        let mut memory = S3Fifo::new(77);
        let clock = memory.admit(5 << 32, 10);
        assert_eq!(memory.first(10), Some(5 << 32));
        assert_eq!(memory.leave(5 << 32, clock, 10), Fate::Victim);
        let clock = memory.admit(5 << 32, 10);
        assert_eq!((memory.first(10), memory.pass(5 << 32, clock, 10)), (None, Fate::Victim));
        let clock = memory.admit(5 << 32, 10);
        assert_eq!(clock, memory.stamp, "what the hand took has left a ghost, too");
        let clock = memory.admit(6 << 32, 10);
        assert_eq!(
            memory.pass(6 << 32, clock, 10),
            Fate::Stays(clock),
            "it has its turn in the queue"
        );
        assert_eq!(memory.leave(6 << 32, memory.touched(clock), 10), Fate::Stays(memory.stamp));
    }

    #[test]
    fn the_hand_takes_uses() {
        let mut memory = S3Fifo::new(0x1f_ffff);
        let mut clock = memory.stamp;
        (0..10).for_each(|_| clock = memory.touched(clock));
        assert_eq!(memory.uses(clock), 3);
        for left in [2, 1, 0] {
            let Fate::Stays(next) = memory.pass(0, clock, 10) else { panic!("it has uses") };
            assert_eq!(memory.uses(next), left);
            clock = next;
        }
        assert_eq!(memory.pass(0, clock, 10), Fate::Victim);
        // What another policy left there says nothing.
        assert_eq!((memory.uses(0x12_3457), memory.pass(0, 0x12_3457, 10)), (0, Fate::Victim));
    }

    #[test]
    fn the_queue_is_bounded_where_nothing_is_evicted() {
        let mut memory = S3Fifo::new(1);
        for hash in 0..10_000 {
            memory.admit(hash << 20, 1000);
        }
        assert!(memory.small.len() <= 41);
    }

    #[test]
    fn ghosts_are_found_until_others_take_their_place() {
        let mut ghosts = Ghosts::default();
        let hash = |n: u64| (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (0..1000).for_each(|n| ghosts.add(hash(n), 1024));
        let found = (0..1000).filter(|&n| ghosts.take(hash(n))).count();
        assert!(found > 750, "{found}");
        assert!((0..1000).all(|n| !ghosts.take(hash(n))), "they are forgotten when taken");
        (1000..3000).for_each(|n| ghosts.add(hash(n), 1024));
        let old = (1000..2000).filter(|&n| ghosts.take(hash(n))).count();
        assert!(old < 500, "{old}");
        ghosts.add(hash(7), 100_000);
        assert!(ghosts.take(hash(7)));
        ghosts.add(hash(8), 1);
        assert!(ghosts.take(hash(8)) && ghosts.bytes() == 16);
    }
}
