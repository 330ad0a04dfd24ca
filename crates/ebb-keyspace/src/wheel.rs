//! The deadline index: a hierarchical timing wheel of key hashes.
//!
//! Seven levels of 64 slots; a slot of the lowest level is 16 ms wide, one of the next 1 s,
//! then 65 s, 70 min, 75 h, 199 days and 35 years (after Varghese and Lauck, "Hashed and hierarchical
//! timing wheels"). A slot is a list of hashes, 8 bytes for each key with a deadline; the
//! deadline itself is in the entry, so a record is a hint: when its time comes the entry is
//! looked up, and is found gone, due, or due later, in which case the record moves on.
//! Hence a key whose deadline moves into the future (the common EXPIRE that refreshes)
//! costs nothing here, and neither does a deletion.

/// Width of a slot of the lowest level, in milliseconds.
pub const TICK_MS: i64 = 16;
const LEVEL_BITS: u32 = 6;
/// Seven levels reach beyond any deadline that is meant: the top one wraps in the year 4199.
const LEVELS: usize = 7;
const SLOTS: usize = 1 << LEVEL_BITS;

/// One level. Slots without records take no room: every shard has a wheel, and most keys of an
/// application live equally long.
#[derive(Default)]
struct Level {
    /// One bit for each slot that has records.
    filled: u64,
    /// The slots that have records, in order.
    lists: Vec<Vec<u64>>,
}

impl Level {
    /// Where the list of a slot is, or would be.
    fn place(&self, slot: usize) -> usize {
        (self.filled & ((1 << slot) - 1)).count_ones() as usize
    }

    fn add(&mut self, slot: usize, hash: u64) {
        let place = self.place(slot);
        if self.filled & (1 << slot) == 0 {
            self.filled |= 1 << slot;
            self.lists.insert(place, Vec::new());
        }
        self.lists[place].push(hash);
    }

    /// The records of a slot that has some.
    fn list(&mut self, slot: usize) -> &mut Vec<u64> {
        let place = self.place(slot);
        &mut self.lists[place]
    }

    /// Takes a slot's records out; it has some, or has just lost the last.
    fn open(&mut self, slot: usize) -> Vec<u64> {
        let list = self.lists.remove(self.place(slot));
        self.filled &= !(1 << slot);
        if self.filled == 0 {
            self.lists = Vec::new();
        }
        list
    }
}

/// The deadlines of one database in one shard.
#[derive(Default)]
pub struct Wheel {
    /// Ticks up to which everything has been handed out or sorted into lower levels.
    elapsed: u64,
    levels: [Level; LEVELS],
    /// Records whose slot has been opened.
    opened: Vec<u64>,
    records: usize,
}

fn tick_of(deadline_ms: i64) -> u64 {
    // The first tick after it: a record never comes before its deadline is over.
    deadline_ms.max(0) as u64 / TICK_MS as u64 + 1
}

impl Wheel {
    /// Records held.
    pub fn len(&self) -> usize {
        self.records
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Bytes of memory that the lists take.
    pub fn heap_bytes(&self) -> usize {
        let level_bytes = |level: &Level| {
            let records: usize = level.lists.iter().map(Vec::capacity).sum();
            level.lists.capacity() * size_of::<Vec<u64>>() + records * size_of::<u64>()
        };
        let levels: usize = self.levels.iter().map(level_bytes).sum();
        levels + self.opened.capacity() * size_of::<u64>()
    }

    /// Files a hash under its deadline.
    pub fn insert(&mut self, deadline_ms: i64, hash: u64) {
        self.records += 1;
        let tick = tick_of(deadline_ms);
        if tick <= self.elapsed {
            self.opened.push(hash);
            return;
        }
        // The highest group of six bits in which the tick differs from now names the level.
        let level = ((63 - (tick ^ self.elapsed).leading_zeros()) / LEVEL_BITS) as usize;
        let (level, slot) = if level < LEVELS {
            (level, (tick >> (level as u32 * LEVEL_BITS)) as usize % SLOTS)
        } else {
            // Beyond the wheel's reach: looked at again when the top level comes round.
            let shift = (LEVELS as u32 - 1) * LEVEL_BITS;
            (LEVELS - 1, ((self.elapsed >> shift) as usize + SLOTS - 1) % SLOTS)
        };
        self.levels[level].add(slot, hash);
    }

    /// The next hash whose time may have come, `None` if there is none up to `now_ms`. The
    /// caller looks the entry up and files it again if its deadline is later.
    pub fn next(&mut self, now_ms: i64) -> Option<u64> {
        loop {
            if let Some(hash) = self.opened.pop() {
                self.records -= 1;
                return Some(hash);
            }
            if self.records == 0 {
                self.opened = Vec::new();
                self.elapsed = self.elapsed.max(now_ms.max(0) as u64 / TICK_MS as u64);
                return None;
            }
            let now = now_ms.max(0) as u64 / TICK_MS as u64;
            let (start, level, slot) = self.first_filled();
            if start > now {
                // Nothing can be filed before `start`'s slot, so time may pass up to now.
                self.elapsed = self.elapsed.max(now);
                return None;
            }
            self.elapsed = self.elapsed.max(start);
            self.opened = self.levels[level].open(slot);
        }
    }

    /// Takes a record out, whichever `roll` chooses: of all, or of those whose time comes first.
    /// Whoever looks for keys with a deadline files it again, unless it was of no use any more.
    pub fn draw(&mut self, first: bool, roll: u64) -> Option<u64> {
        if self.records == 0 {
            return None;
        }
        if first && self.opened.is_empty() {
            let (_, level, slot) = self.first_filled();
            let count = self.levels[level].list(slot).len();
            return self.take(level, slot, roll as usize % count.max(1));
        }
        let count = if first { self.opened.len() } else { self.records };
        let mut place = roll as usize % count;
        if place < self.opened.len() {
            self.records -= 1;
            return Some(self.opened.swap_remove(place));
        }
        place -= self.opened.len();
        for level in 0..LEVELS {
            let mut filled = self.levels[level].filled;
            while filled != 0 {
                let slot = filled.trailing_zeros() as usize;
                filled &= filled - 1;
                let count = self.levels[level].list(slot).len();
                if place < count {
                    return self.take(level, slot, place);
                }
                place -= count;
            }
        }
        None
    }

    fn take(&mut self, level: usize, slot: usize, place: usize) -> Option<u64> {
        let level = &mut self.levels[level];
        let records = level.list(slot);
        if place >= records.len() {
            return None;
        }
        let hash = records.swap_remove(place);
        if records.is_empty() {
            drop(level.open(slot));
        }
        self.records -= 1;
        Some(hash)
    }

    /// The filled slot whose time comes first: its first tick, level and number.
    fn first_filled(&self) -> (u64, usize, usize) {
        let candidates = self.levels.iter().enumerate().filter_map(|(number, level)| {
            let shift = number as u32 * LEVEL_BITS;
            let current = (self.elapsed >> shift) as u32 % SLOTS as u32;
            let rotated = level.filled.rotate_right(current);
            (rotated != 0).then(|| {
                let ahead = u64::from(rotated.trailing_zeros());
                let start = ((self.elapsed >> shift) + ahead) << shift;
                (start, number, ((u64::from(current) + ahead) % SLOTS as u64) as usize)
            })
        });
        // On a tie the higher level opens first, as its records may belong to the lower.
        match candidates.min_by_key(|&(start, level, _)| (start, LEVELS - level)) {
            Some(first) => first,
            None => unreachable!("records that are not opened lie in a slot"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rand::{Rng, SeedableRng, rngs::SmallRng};

    use super::*;

    /// Runs the wheel against deadlines kept in a map, and answers what fired when.
    fn run(deadlines: &HashMap<u64, i64>, steps: impl Iterator<Item = i64>) -> HashMap<u64, i64> {
        let mut wheel = Wheel::default();
        wheel.next(1_000_000);
        let mut fired = HashMap::new();
        deadlines.iter().for_each(|(&hash, &deadline)| wheel.insert(deadline, hash));
        for now in steps {
            while let Some(hash) = wheel.next(now) {
                if deadlines[&hash] < now {
                    assert_eq!(fired.insert(hash, now), None);
                } else {
                    wheel.insert(deadlines[&hash], hash);
                }
            }
        }
        assert_eq!(wheel.len(), deadlines.len() - fired.len());
        fired
    }

    #[test]
    fn every_deadline_fires_within_a_tick() {
        let mut random = SmallRng::seed_from_u64(3);
        let mut deadlines = HashMap::new();
        for hash in 0..20_000 {
            let exponent = random.random_range(0..24);
            deadlines.insert(hash, 1_000_000 + random.random_range(0..=1i64 << exponent));
        }
        let end = 1_000_000 + (1 << 24) + 100;
        let fired = run(&deadlines, (1_000_000..end).step_by(7));
        for (hash, deadline) in &deadlines {
            let late = fired[hash] - deadline;
            assert!((1..TICK_MS + 7).contains(&late), "{late} ms late");
        }
    }

    #[test]
    fn every_record_can_be_drawn_and_the_first_come_first() {
        let mut wheel = Wheel::default();
        wheel.next(1_000_000);
        let mut random = SmallRng::seed_from_u64(4);
        let deadlines: Vec<i64> =
            (0..1000).map(|_| 1_000_000 + random.random_range(0..1i64 << 30)).collect();
        deadlines.iter().enumerate().for_each(|(n, &at)| wheel.insert(at, n as u64));
        let earliest = *deadlines.iter().min().unwrap();
        let first = wheel.draw(true, random.random()).unwrap();
        // Slots are wider the further away they are.
        assert!(deadlines[first as usize] - earliest < (earliest - 1_000_000).max(16) * 64);
        let mut drawn: Vec<u64> =
            std::iter::from_fn(|| wheel.draw(false, random.random())).collect();
        drawn.push(first);
        drawn.sort_unstable();
        assert_eq!(drawn, (0..1000).collect::<Vec<_>>());
        assert!(wheel.is_empty() && wheel.next(i64::MAX).is_none());
        assert_eq!(wheel.heap_bytes(), 0);
        (0..4).for_each(|hash| wheel.insert(i64::MAX, hash));
        assert!(wheel.heap_bytes() < 200, "{}", wheel.heap_bytes());
    }

    #[test]
    fn far_deadlines_wait_and_jumps_of_the_clock_are_caught_up() {
        let deadlines = HashMap::from([
            (1, 2_000_000),
            (2, 1_000_000 + (40i64 * 365 * 86_400_000)),
            (3, i64::MAX),
            (4, 5),
        ]);
        let years = |years: i64| 1_000_000 + years * 365 * 86_400_000;
        let fired = run(&deadlines, [1_000_000, years(1), years(39), years(41)].into_iter());
        assert_eq!(fired, HashMap::from([(1, years(1)), (4, 1_000_000), (2, years(41))]));
    }
}
