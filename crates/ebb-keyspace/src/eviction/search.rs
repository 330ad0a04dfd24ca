//! The search for a victim among some parts of databases.

use ebb_table::{Found, SLOTS};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::s3fifo::Fate;
use super::{AccessClock, Order, Rule, lfu_count};
use crate::entry::EntryRef;
use crate::part::Part;

/// Candidates that are remembered between searches.
const POOL_MAX: usize = 16;
/// Where fewer keys than one in this many have a deadline, they are drawn from the wheel.
const RARE: usize = 8;
/// Draws for one sample before the search is given up: of an empty bucket, or of a key that does
/// not qualify.
const DRAWS_MAX: usize = 64;
/// Times that the pool is filled before every key is looked at.
const ROUNDS_MAX: usize = 8;
/// Buckets that the hand passes before every key is looked at.
const TURNS_MAX: usize = 256;

/// A part of a database to take victims from, with a number that names it.
pub type Target<'a> = (usize, &'a mut Part);

/// A key that may go; the least score goes first.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    score: u64,
    /// The number that names its part.
    part: usize,
    hash: u64,
}

/// What was evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evicted {
    /// Bytes that the entry and its value took, most of them free now; large collections are
    /// freed later.
    pub bytes: usize,
}

/// Looks for victims in the same parts again and again.
#[derive(Debug)]
pub struct Search {
    /// By score, the least last.
    pool: Vec<Candidate>,
    /// What the scores mean.
    ranked: Option<(bool, Order)>,
    next: usize,
    random: SmallRng,
}

impl Default for Search {
    fn default() -> Search {
        let random = SmallRng::from_rng(&mut rand::rng());
        Search { pool: Vec::new(), ranked: None, next: 0, random }
    }
}

impl Search {
    /// Random numbers of its own.
    pub(crate) fn random(&mut self) -> &mut SmallRng {
        &mut self.random
    }

    /// Deletes the key that is worth least, as far as can be told; `evicted` is told of it
    /// before it goes: the number of its part, and its name.
    pub fn evict(
        &mut self,
        parts: &mut [Target<'_>],
        rule: &Rule,
        evicted: impl FnOnce(usize, &[u8]),
    ) -> Option<Evicted> {
        let (at, found) = self.find(parts, rule)?;
        let (number, part) = &mut parts[at];
        let entry = part.at(found);
        let footprint = entry.footprint();
        evicted(*number, entry.key());
        part.remove_found(found);
        part.count_evicted();
        part.tell_counts();
        Some(Evicted { bytes: footprint.data + footprint.index + footprint.outside })
    }

    /// The place in the list of a victim's part, and where it is there.
    fn find(&mut self, parts: &mut [Target<'_>], rule: &Rule) -> Option<(usize, Found)> {
        let qualify =
            |part: &Part| if rule.volatile { part.counts.volatile } else { part.counts.keys };
        if parts.iter().all(|(_, part)| qualify(part) == 0) {
            return None;
        }
        if self.ranked != Some((rule.volatile, rule.order)) {
            self.pool.clear();
            self.ranked = Some((rule.volatile, rule.order));
        }
        match rule.order {
            Order::Random => return self.any(parts, rule),
            Order::S3Fifo => return self.by_turns(parts, rule),
            _ => {}
        }
        for _ in 0..ROUNDS_MAX {
            for (number, part) in parts.iter_mut() {
                if qualify(part) > 0 {
                    self.sample(*number, part, rule);
                }
            }
            if let Some(best) = self.best(parts, rule) {
                return Some(best);
            }
        }
        first(parts, rule)
    }

    /// Any key that qualifies, from one part after the other.
    fn any(&mut self, parts: &mut [Target<'_>], rule: &Rule) -> Option<(usize, Found)> {
        for _ in 0..parts.len() {
            self.next = (self.next + 1) % parts.len();
            let part = &mut *parts[self.next].1;
            let mut hash = None;
            let one = Rule { samples: 1, ..*rule };
            draw(part, &one, &mut self.random, |_, key_hash| hash = Some(key_hash));
            if let Some(hash) = hash {
                return part.entries.find_hash(hash).map(|found| (self.next, found));
            }
        }
        first(parts, rule)
    }

    /// Draws keys of a part into the pool.
    fn sample(&mut self, number: usize, part: &mut Part, rule: &Rule) {
        let random = &mut self.random;
        let mut drawn = [(0, 0); POOL_MAX];
        let mut count = 0;
        draw(part, rule, random, |entry_score, hash| {
            if count < drawn.len() {
                drawn[count] = (entry_score, hash);
                count += 1;
            }
        });
        for &(score, hash) in &drawn[..count] {
            self.remember(Candidate { score, part: number, hash });
        }
    }

    /// Puts a candidate into the pool, if it is among the best.
    fn remember(&mut self, candidate: Candidate) {
        let pool = &mut self.pool;
        let full = pool.len() == POOL_MAX;
        if full && pool[0].score <= candidate.score {
            return;
        }
        let same = |known: &Candidate| known.hash == candidate.hash && known.part == candidate.part;
        if pool.iter().any(same) {
            return;
        }
        if full {
            pool.remove(0);
        }
        let place = pool.partition_point(|known| known.score > candidate.score);
        pool.insert(place, candidate);
    }

    /// The best candidate, if it is still worth as little as when it was drawn. Those that are
    /// gone or were used since are forgotten.
    fn best(&mut self, parts: &[Target<'_>], rule: &Rule) -> Option<(usize, Found)> {
        while let Some(candidate) = self.pool.pop() {
            let Candidate { score, part: number, hash } = candidate;
            if let Some(at) = parts.iter().position(|&(other, _)| other == number)
                && let part = &*parts[at].1
                && let Some(found) = part.entries.find_hash(hash)
                && score_of(part, &part.at(found), rule).is_some_and(|now| now <= score)
            {
                return Some((at, found));
            }
        }
        None
    }

    /// S3-FIFO: the first of a small queue that is full, unless it was used, or where the hand
    /// stops.
    fn by_turns(&mut self, parts: &mut [Target<'_>], rule: &Rule) -> Option<(usize, Found)> {
        for (at, (_, part)) in parts.iter_mut().enumerate() {
            if let Some(found) = unused_newcomer(part, rule) {
                return Some((at, found));
            }
        }
        for _ in 0..TURNS_MAX {
            if let Some(best) = self.best(parts, rule) {
                return Some(best);
            }
            let at = self.any_part(parts)?;
            let (number, part) = &mut parts[at];
            self.advance_hand(*number, part, rule);
        }
        first(parts, rule)
    }

    /// A part's place in the list, the larger the more often.
    fn any_part(&mut self, parts: &[Target<'_>]) -> Option<usize> {
        let keys: usize = parts.iter().map(|(_, part)| part.len()).sum();
        let mut place = self.random.random_range(0..keys.max(1));
        parts.iter().position(|(_, part)| {
            let here = place < part.len();
            place = place.saturating_sub(part.len());
            here
        })
    }

    /// Lets the hand pass a bucket, or as many keys with a deadline where they are rare. What has
    /// no uses left becomes a candidate.
    fn advance_hand(&mut self, number: usize, part: &mut Part, rule: &Rule) {
        let mut passed = [0; SLOTS];
        let mut count = 0;
        if is_rare(part, rule) {
            let roll = self.random.random();
            if let Some(hash) = part.draw_volatile(false, roll) {
                (passed[0], count) = (hash, 1);
            }
        } else {
            let entries = &part.entries;
            let hand = part.fifo.as_ref().map_or(0, |fifo| fifo.hand);
            let next = entries.scan(hand, |entry| {
                if count < SLOTS && (!rule.volatile || entry.has_deadline()) {
                    passed[count] = entries.hash(&entry);
                    count += 1;
                }
            });
            part.fifo().hand = next;
        }
        for &hash in &passed[..count] {
            let Some(found) = part.entries.find_hash(hash) else { continue };
            let (clock, keys) = (part.at(found).clock(), part.counts.keys);
            match part.fifo().pass(hash, clock, keys) {
                Fate::Stays(clock) => part.entries.get_mut(found).set_clock(clock),
                Fate::Victim => self.remember(Candidate { score: 0, part: number, hash }),
            }
        }
    }
}

/// The first of the small queue, if that is full and the key was not used. Those that were used
/// move on.
fn unused_newcomer(part: &mut Part, rule: &Rule) -> Option<Found> {
    let keys = part.counts.keys;
    loop {
        let hash = part.fifo.as_mut()?.first(keys)?;
        let Some(found) = part.entries.find_hash(hash) else { continue };
        let entry = part.entries.get(found);
        let (clock, qualifies) = (entry.clock(), !rule.volatile || entry.has_deadline());
        match part.fifo().leave(hash, clock, keys) {
            Fate::Victim if qualifies => return Some(found),
            Fate::Victim => {
                // It must not go, and waits no more.
                let clock = part.fifo().moved_on();
                part.entries.get_mut(found).set_clock(clock);
            }
            Fate::Stays(clock) => part.entries.get_mut(found).set_clock(clock),
        }
    }
}

/// Whether keys with a deadline are wanted, and few.
fn is_rare(part: &Part, rule: &Rule) -> bool {
    rule.volatile && part.counts.volatile * RARE < part.counts.keys
}

/// Draws keys that qualify; `visit` gets their scores and hashes.
fn draw(part: &mut Part, rule: &Rule, random: &mut SmallRng, mut visit: impl FnMut(u64, u64)) {
    if is_rare(part, rule) || (rule.volatile && rule.order == Order::Ttl) {
        return draw_volatile(part, rule, random, visit);
    }
    let mut wanted = rule.samples;
    for _ in 0..DRAWS_MAX + rule.samples {
        part.entries.sample_bucket(random, |entry, hash| {
            if wanted > 0
                && let Some(score) = score_of(part, &entry, rule)
            {
                wanted -= 1;
                visit(score, hash());
            }
        });
        if wanted == 0 {
            break;
        }
    }
}

/// Draws keys from the wheel: those that have a deadline, or the first of them.
fn draw_volatile(
    part: &mut Part,
    rule: &Rule,
    random: &mut SmallRng,
    mut visit: impl FnMut(u64, u64),
) {
    let mut wanted = rule.samples;
    for _ in 0..DRAWS_MAX + rule.samples {
        if wanted == 0 {
            return;
        }
        let first = rule.order == Order::Ttl;
        let Some(hash) = part.draw_volatile(first, random.random()) else { continue };
        let Some(found) = part.entries.find_hash(hash) else { continue };
        if let Some(score) = score_of(part, &part.at(found), rule) {
            wanted -= 1;
            visit(score, hash);
        }
    }
}

/// The first key that qualifies, from anywhere: where drawing found none.
#[cold]
fn first(parts: &[Target<'_>], rule: &Rule) -> Option<(usize, Found)> {
    for (at, (_, part)) in parts.iter().enumerate() {
        let mut position = 0;
        loop {
            let mut hash = None;
            position = part.scan(position, |entry| {
                if score_of(part, &entry, rule).is_some() {
                    hash = Some(part.entries.hash(&entry));
                }
            });
            if let Some(found) = hash.and_then(|hash| part.entries.find_hash(hash)) {
                return Some((at, found));
            }
            if position == 0 {
                break;
            }
        }
    }
    None
}

/// What an entry is worth, the least going first; `None` if it must not go.
fn score_of(part: &Part, entry: &EntryRef<'_>, rule: &Rule) -> Option<u64> {
    if rule.volatile && !entry.has_deadline() {
        return None;
    }
    let clock = entry.clock();
    Some(match (rule.order, rule.clock) {
        (Order::Ttl, _) => entry.deadline()?.max(0) as u64,
        (Order::Lfu, AccessClock::Lfu { minutes, decay_minutes, .. }) => {
            u64::from(lfu_count(clock, minutes, decay_minutes))
        }
        // Only of those that the hand took the last use from.
        (Order::S3Fifo, _) => u64::from(part.fifo.as_ref().map_or(0, |fifo| fifo.uses(clock))),
        (_, AccessClock::Lru { seconds }) => {
            let idle = seconds.wrapping_sub(clock) & 0xff_ffff;
            // A worker's clock may be a second ahead of ours.
            0xff_ffff - u64::from(if idle == 0xff_ffff { 0 } else { idle })
        }
        _ => 0,
    })
}

#[cfg(test)]
mod tests;
