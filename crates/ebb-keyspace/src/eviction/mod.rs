//! Which key goes when memory is short: access clocks, policies, and the search for a victim.
//!
//! Most policies draw some keys and take the one that is worth least; a [`Search`] remembers
//! the best of what it drew before, so that few draws do (the method of Redis). What an
//! [`AccessClock`] leaves in an entry says how it was used. Keys with a deadline are drawn from
//! the deadlines' wheel where they are rare, and by `volatile-ttl` from its first slot, so that
//! what goes first is what would expire first.
//!
//! The two policies called `s3fifo` work otherwise: see [`S3Fifo`].
//!
//! Nothing here knows limits, time or clients: a search is given parts of databases and a [`Rule`].

mod clock;
mod own;
mod s3fifo;
mod search;
mod uses;

pub use clock::{AccessClock, LFU_INIT, idle_seconds, lfu_count};
pub use own::Own;
pub(crate) use own::{decode_clock, encode_clock};
pub use s3fifo::{Ghosts, S3Fifo, SMALL_PERCENT};
pub use search::{Evicted, Search, Target};

/// What is worth least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// What was not used for longest.
    Lru,
    /// What is used most seldom.
    Lfu,
    /// Whatever is drawn.
    Random,
    /// What expires first.
    Ttl,
    /// What is new and was not used, or what was not used for a while.
    S3Fifo,
}

/// How a victim is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Only keys that have a deadline.
    pub volatile: bool,
    /// Which of them.
    pub order: Order,
    /// Keys drawn for each victim.
    pub samples: usize,
    /// How uses are counted, and what time it is.
    pub clock: AccessClock,
}

/// Random numbers for counting uses: a few instructions each, and good enough for that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dice(u64);

impl Default for Dice {
    fn default() -> Dice {
        Dice(0x2545_f491_4f6c_dd1d)
    }
}

impl Dice {
    /// Marsaglia's xorshift, the upper half.
    #[inline]
    pub(crate) fn roll(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }
}
