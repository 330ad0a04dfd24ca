//! What the 24 bits in an entry say about its use.
//!
//! - LRU: the second of the last use, since 1970.
//! - LFU: 16 bits of the minute of the last use and a counter of 8 bits, which grows ever more
//!   slowly and shrinks with time: Redis's, in all details.
//! - S3-FIFO: see [`super::S3Fifo`].
//!
//! An entry does not say which of them it has: after a change of policy the old values mean
//! something else until the keys have been used.

/// The counter of a new key under LFU: it is not the first to go.
pub const LFU_INIT: u32 = 5;
const LFU_MAX: u32 = 255;
const MINUTES: u32 = 0xffff;
const SECONDS: u32 = 0xff_ffff;

/// How uses are noted, and the time they are noted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessClock {
    /// The time of the last use.
    Lru {
        /// Seconds since 1970, 24 bits.
        seconds: u32,
    },
    /// A logarithmic counter.
    Lfu {
        /// Minutes since 1970, 16 bits.
        minutes: u32,
        /// `lfu-log-factor`.
        log_factor: u32,
        /// `lfu-decay-time`: minutes in which the counter loses one; 0 if it never does.
        decay_minutes: u32,
    },
    /// A small count of uses, and where the key is.
    S3Fifo,
}

impl Default for AccessClock {
    fn default() -> AccessClock {
        AccessClock::Lru { seconds: 0 }
    }
}

impl AccessClock {
    /// LRU's at a time in milliseconds since 1970.
    pub fn lru(now_ms: i64) -> AccessClock {
        AccessClock::Lru { seconds: (now_ms / 1000) as u32 & SECONDS }
    }

    /// LFU's at a time in milliseconds since 1970.
    pub fn lfu(now_ms: i64, log_factor: u32, decay_minutes: u32) -> AccessClock {
        let minutes = (now_ms / 60_000) as u32 & MINUTES;
        AccessClock::Lfu { minutes, log_factor, decay_minutes }
    }

    /// What an entry that is new says. (For S3-FIFO see there.)
    #[inline]
    pub(crate) fn fresh(&self) -> u32 {
        match *self {
            AccessClock::Lru { seconds } => seconds,
            AccessClock::Lfu { minutes, .. } => minutes << 8 | LFU_INIT,
            AccessClock::S3Fifo => 0,
        }
    }

    /// What an entry that said `old` says after one more use. (For S3-FIFO see there.)
    #[inline]
    pub(crate) fn touched(&self, old: u32, roll: impl FnOnce() -> u32) -> u32 {
        match *self {
            AccessClock::Lru { seconds } => seconds,
            AccessClock::Lfu { minutes, log_factor, decay_minutes } => {
                let count = lfu_count(old, minutes, decay_minutes);
                minutes << 8 | lfu_grown(count, log_factor, roll)
            }
            AccessClock::S3Fifo => old,
        }
    }

    /// The counter of an entry that was seen with a frequency, as RESTORE FREQ has it.
    pub fn with_frequency(&self, frequency: u32) -> Option<u32> {
        match *self {
            AccessClock::Lfu { minutes, .. } => Some(minutes << 8 | frequency & LFU_MAX),
            _ => None,
        }
    }
}

/// The counter, less what time has taken from it.
#[inline]
pub fn lfu_count(clock: u32, now_minutes: u32, decay_minutes: u32) -> u32 {
    let elapsed = now_minutes.wrapping_sub(clock >> 8) & MINUTES;
    let periods = elapsed.checked_div(decay_minutes).unwrap_or(0);
    (clock & LFU_MAX).saturating_sub(periods)
}

/// The larger the counter, the smaller the chance that it grows.
fn lfu_grown(count: u32, log_factor: u32, roll: impl FnOnce() -> u32) -> u32 {
    if count == LFU_MAX {
        return LFU_MAX;
    }
    let above = u64::from(count.saturating_sub(LFU_INIT));
    let one_in = above * u64::from(log_factor) + 1;
    count + u32::from(u64::from(roll()) * one_in < 1 << 32)
}

/// Seconds since the use that an entry's clock tells of, under LRU.
#[inline]
pub fn idle_seconds(clock: u32, now_ms: i64) -> u32 {
    let seconds = ((now_ms / 1000) as u32).wrapping_sub(clock) & SECONDS;
    // A worker's time may be a little behind another's.
    if seconds == SECONDS { 0 } else { seconds }
}

#[cfg(test)]
mod tests {
    use super::super::Dice;
    use super::*;

    #[test]
    fn the_counter_grows_as_redis_says() {
        let mut dice = Dice::default();
        // From the comment in redis.conf: hits and the counter they lead to, factor 10.
        for (hits, expected) in [(100, 10..=10), (1000, 15..=22), (100_000, 130..=150)] {
            let clock = AccessClock::lfu(0, 10, 1);
            let mut totals = 0;
            for _ in 0..20 {
                let mut entry = clock.fresh();
                (0..hits).for_each(|_| entry = clock.touched(entry, || dice.roll()));
                totals += entry & 0xff;
            }
            let (low, high) = expected.into_inner();
            assert!((low - 2..=high + 2).contains(&(totals / 20)), "{hits}: {}", totals / 20);
        }
        let always = AccessClock::lfu(0, 0, 1);
        let mut entry = always.fresh();
        (0..300).for_each(|_| entry = always.touched(entry, || u32::MAX));
        assert_eq!(entry & 0xff, 255);
    }

    #[test]
    fn the_counter_shrinks_by_the_minute() {
        let entry = 100 << 8 | 40;
        assert_eq!(lfu_count(entry, 100, 1), 40);
        assert_eq!(lfu_count(entry, 107, 1), 33);
        assert_eq!(lfu_count(entry, 107, 3), 38);
        assert_eq!(lfu_count(entry, 300, 1), 0);
        assert_eq!(lfu_count(entry, 300, 0), 40);
        assert_eq!(lfu_count(0xfffe << 8 | 9, 3, 1), 4);
    }

    #[test]
    fn idle_time_wraps_and_never_runs_backwards() {
        assert_eq!(idle_seconds(7, 10_000), 3);
        assert_eq!(idle_seconds(11, 10_000), 0);
        assert_eq!(idle_seconds(0xff_ffff, 4_000), 5);
    }
}
